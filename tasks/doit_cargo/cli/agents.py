"""`doit-cargo mcp`: the targets of a workspace as tools of a coding agent, over standard input and output.

The protocol is the official SDK's (extra `mcp`). Each tool calls doit-cargo as a process of its own, so that it sees
the workspace as it is now and prints nothing between the messages; what comes back is short, typed and ends where
an agent stops reading. A call that the client takes back, or that it leaves behind, is ended with all it started.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from doit_cargo import __version__
from doit_cargo.actions import require_package
from doit_cargo.engine.base.errors import DONE
from doit_cargo.session import Session

MOST_LINES = 60
MOST_WIDTH = 400
SECONDS_TO_END = 20
NAME = re.compile(r"[A-Za-z_][\w-]*")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
SAID = re.compile(r"^(ok|--|!!|\.\.) (\S+)  (.*)$")
# What rustc, cargo and linkers begin a message with that says why.
CAUSE = re.compile(r"^(error(\[\w+\])?:|thread '.*' panicked|---- .* stdout ----|test .* FAILED|\s*FAIL )")

INSTRUCTIONS = """\
Targets of a Cargo workspace: each is skipped if nothing that it rests on changed, so running one that is up to date
costs nothing. Call `list_targets` once, then `run`. After a failure the result holds the lines that say why, the cause
if it is a known one, and the path of the log. `why` tells what makes a target stale and what that rebuilds."""


# --- what the tools return -------------------------------------------------------------------------------------------


@dataclass
class ListedTarget:
    """A target of this workspace."""

    name: str
    family: str
    doc: str


@dataclass
class PlannedCall:
    """What a target would run."""

    argv: list[str]
    cwd: str
    env: dict[str, str]


@dataclass
class Planned:
    """What running a target means, without running it."""

    target: str
    profile: str
    features: list[str]
    packages: list[str]
    steps: list[PlannedCall]
    outputs: list[str]
    log: str
    notes: list[str]


@dataclass
class StaleReason:
    """Something that differs from what the last success rested on."""

    kind: str
    subject: str
    old: str
    new: str
    package: str


@dataclass
class Reason:
    """Whether a target is up to date, what changed, and what that rebuilds."""

    target: str
    fresh: bool
    runs_each_time: bool
    changes: list[StaleReason]
    rebuilds: list[str]
    skipped_packages: int


@dataclass
class Cause:
    """A known cause of a failure, and what mends it."""

    category: str
    cause: str
    fix: str


@dataclass
class Ran:
    """What came of a run. `errors` are the lines that say why it failed, cut to what is worth reading."""

    ok: bool
    exit_code: int
    seconds: float
    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)


@dataclass
class LastSuccess:
    """The last success of a target: whether it still holds."""

    target: str
    state: str
    finished: str
    seconds: float


@dataclass
class Checked:
    """A line of the doctor."""

    name: str
    status: str
    found: str
    problem: str
    fix: str


# --- the server ------------------------------------------------------------------------------------------------------


def serve(session: Session, _: argparse.Namespace) -> int:
    """`mcp`: answer a client until it ends our input."""
    require_package("mcp", "mcp", "mcp")
    with contextlib.redirect_stdout(sys.__stdout__):
        server_of(Caller(session.root)).run("stdio")
    return DONE


def server_of(caller: Caller) -> Any:
    """Return the SDK's server with our tools."""
    from mcp.server.mcpserver import MCPServer
    from mcp.types import ToolAnnotations

    server = MCPServer("doit-cargo", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING")
    looks = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    for tool in (caller.list_targets, caller.plan, caller.why, caller.status, caller.hint, caller.doctor):
        server.tool(annotations=looks)(tool)
    server.tool(annotations=ToolAnnotations(read_only_hint=False, idempotent_hint=True))(caller.run)
    return server


class Caller:
    """The tools, each of them a call of doit-cargo in one workspace."""

    def __init__(self, root: str) -> None:
        self.root = root

    async def list_targets(self, family: str = "") -> list[ListedTarget]:
        """List the targets of this workspace, or of one family such as build, test or check."""
        rows = [row for row in await self._ask(["list", "--json"]) if row["available"]]
        found = [row for row in rows if family in ("", row["family"])]
        if not found:
            families = ", ".join(dict.fromkeys(row["family"] for row in rows))
            raise _refused(f"there is no family {family!r}; there are: {families}")
        return [ListedTarget(row["name"], row["family"], row["doc"]) for row in found]

    async def plan(self, target: str, variables: dict[str, str] | None = None) -> list[Planned]:
        """Show what a target, or each part of a group, would run, with its features and outputs. Runs nothing."""
        found = await self._ask(["plan", *_words([target], variables), "--json"])
        return [_planned(one) for one in _listed(found)]

    async def why(self, target: str, variables: dict[str, str] | None = None) -> list[Reason]:
        """Tell why a target, or each part of a group, would run: what changed, and which packages that rebuilds."""
        found = await self._ask(["why", *_words([target], variables), "--json"])
        return [_reason(one) for one in _listed(found)]

    async def run(
        self, targets: list[str], variables: dict[str, str] | None = None, timeout_seconds: float = 1800.0
    ) -> Ran:
        """Run targets, one after the other until one fails; what is up to date is skipped. The result is short."""
        words = _words(targets, variables)
        if not targets:
            raise _refused("name at least one target")
        began = time.monotonic()
        status, out, err = await self._call(words, timeout_seconds)
        ran = Ran(status == 0, status, round(time.monotonic() - began, 1))
        _take(ran, [*out.splitlines(), *err.splitlines()], self.root)
        if not ran.ok:
            ran.errors = _causing(err.splitlines())
            ran.causes = [cause for log in ran.logs for cause in await self.hint(log)]
        return ran

    async def status(self) -> list[LastSuccess]:
        """Tell of each result on record whether it still holds, when it was made and how long it took."""
        found = await self._ask(["status", "JSON=1"])
        return [LastSuccess(one["target"], one["state"], one["finished"], one["seconds"]) for one in found]

    async def hint(self, log: str = "") -> list[Cause]:
        """Tell the cause that a failing log shows and what mends it; of the latest build if no log is named."""
        if log.startswith("-"):
            raise _refused("name a file")
        found = await self._ask(["hint", *([os.path.join(self.root, log)] if log else []), "--json"], (0, 1))
        return [Cause(one["category"], one["cause"], one["fix"]) for one in found["hints"]]

    async def doctor(self, targets: list[str] | None = None) -> list[Checked]:
        """Tell what this computer lacks or has wrong for targets, or for the default build."""
        found = await self._ask(["doctor", *_words(targets or [], None), "--json"], (0, 1))
        return [_checked(row) for row in found["checks"]]

    async def _ask(self, words: Sequence[str], good: Iterable[int] = (0,)) -> Any:
        """Return what a call prints as JSON; an error of its own becomes the tool's."""
        status, out, err = await self._call(words, 600.0)
        try:
            answer = json.loads(out)
        except ValueError:
            raise _refused(_short([*out.splitlines(), *err.splitlines()][-MOST_LINES:]) or f"status {status}") from None
        if isinstance(answer, dict) and "error" in answer:
            problems = answer["error"]["problems"]
            raise _refused("\n".join(f"{one['what']}\nfix: {one['fix']}".strip() for one in problems))
        if status not in good:
            raise _refused(_short(err.splitlines()) or f"status {status}")
        return answer

    async def _call(self, words: Sequence[str], seconds: float) -> tuple[int, str, str]:
        argv = [sys.executable, "-m", "doit_cargo.cli.main", "-w", self.root, *words]
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=self.root,
            env={**os.environ, "NO_COLOR": "1", "CARGO_TERM_COLOR": "never", "CARGO_TERM_PROGRESS_WHEN": "never"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), seconds)
        except TimeoutError:
            raise _refused(f"it did not end within {seconds:g} seconds, and was ended") from None
        finally:
            await _end(process)
        return process.returncode or 0, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a call that goes on: doit-cargo passes the signal to all that it runs."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(process.wait()), SECONDS_TO_END)
        except (TimeoutError, asyncio.CancelledError):
            process.kill()


# --- words in, words out ---------------------------------------------------------------------------------------------


def _refused(text: str) -> Exception:
    from mcp.server.mcpserver.exceptions import ToolError

    return ToolError(text)


def _words(targets: Sequence[str], variables: dict[str, str] | None) -> list[str]:
    """Return the words of a command line; none of them can be an option."""
    wrong = [name for name in targets if not NAME.fullmatch(name)]
    wrong += [name for name, value in (variables or {}).items() if not VARIABLE.fullmatch(name) or "\0" in value]
    if wrong:
        raise _refused(f"{wrong[0]!r} is no name; `list_targets` tells the targets, variables are such as FEATURES")
    return [*targets, *(f"{name}={value}" for name, value in (variables or {}).items())]


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _planned(one: dict[str, Any]) -> Planned:
    steps = [PlannedCall(step["argv"], step["cwd"], step["env"]) for step in one["steps"]]
    texts = [list(one[key]) for key in ("features", "packages", "outputs", "notes")]
    return Planned(one["target"], one["profile"], texts[0], texts[1], steps, texts[2], one["log"], texts[3])


def _reason(one: dict[str, Any]) -> Reason:
    changes = [
        StaleReason(*(str(change[key] or "") for key in ("kind", "subject", "old", "new", "package")))
        for change in one["changes"][:MOST_LINES]
    ]
    return Reason(one["target"], one["fresh"], one["always"], changes, one["rebuilds"], one["skipped"])


def _checked(row: dict[str, Any]) -> Checked:
    return Checked(*(str(row[key] or "") for key in ("name", "status", "version", "what", "fix")))


def _take(ran: Ran, lines: Sequence[str], root: str) -> None:
    """Sort what doit-cargo itself said of each target."""
    places = {"ok": ran.done, "--": ran.skipped, "!!": ran.failed}
    for line in lines:
        said = SAID.match(line)
        if said and said[1] in places:
            places[said[1]].append(f"{said[2]}: {said[3]}"[:MOST_WIDTH])
            log = re.search(r"log: (\S.*)$", said[3])
            if log:
                ran.logs.append(os.path.join(root, log[1]))


def _causing(lines: Sequence[str]) -> list[str]:
    """Return the blocks that say why: from a line that begins one to the next empty line."""
    found: list[str] = []
    inside = False
    for line in lines:
        inside = bool(CAUSE.match(line)) or (inside and bool(line.strip()))
        if inside:
            found.append(line[:MOST_WIDTH])
    chosen = found or [line[:MOST_WIDTH] for line in lines if line.strip()]
    left = len(chosen) - MOST_LINES
    return chosen if left <= 0 else [*chosen[:MOST_LINES], f"... and {left} lines more: see the log"]


def _short(lines: Sequence[str]) -> str:
    return "\n".join(line[:MOST_WIDTH] for line in lines[:MOST_LINES])
