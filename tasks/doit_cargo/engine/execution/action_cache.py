"""Skips of actions: run one under the lock, and keep a receipt of what it rested on if it succeeded.

The receipts are those of cargo targets, so launcher, `why` and doit read them alike. Knows nothing of what an action
does; what it rests on, its `ActionInputs` lists.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from doit_cargo import __version__
from doit_cargo.engine import toolchain
from doit_cargo.engine.base.model import ActionInputs
from doit_cargo.engine.console import output, reporter
from doit_cargo.engine.execution.evidence import recorder, snapshot
from doit_cargo.engine.execution.observe import receipt as observed
from doit_cargo.engine.state import dir_listing, fingerprint, lock, receipts, seen, staleness

# What is longer is not kept: the target then answers anew each time.
LONGEST_ANSWER = 1 << 22

if TYPE_CHECKING:
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.staleness import State
    from doit_cargo.engine.toolchain import Machine


class SharedAction(Protocol):
    """What other machines have made of an action, where its results are shared; one that is fetched has a receipt."""

    def fetched(self) -> bool: ...

    def published(self, receipt: Receipt) -> None: ...


class ActionRequest(NamedTuple):
    """What a run is about: where its receipt is kept, the workspace's manifests, what it rests on, what it does.

    `lock` names a lock of its own ("" = the workspace's): what shares nothing waits for nobody.
    """

    state: str
    key: tuple[str, ...]
    root: str
    manifests: tuple[str, ...]
    machine: Machine
    lock: str
    watch: Callable[[], ActionInputs]
    act: Callable[[], bool | None]
    shared: SharedAction | None = None


def run(request: ActionRequest) -> bool:
    """Run an action; keep a receipt if it succeeded. One that returns None had nothing to do, and leaves no receipt.

    Contents are those from before the run: an edit that is made meanwhile makes it stale. The watch is asked again
    afterwards: some inputs are known only then, such as those of a compiler's dep-info, and so are the outputs.
    """
    state, key = request.state, request.key
    with lock.RunLock(state, request.lock):
        receipt, changes = receipts.verdict(state, key, request.machine.environ, explain=True)
        reporter.reasons(key[0], changes, receipt or receipts.last_receipt(state, key))
        receipts.withdraw(state, key)
        if request.shared and request.shared.fetched():
            return True
        watched = request.watch()
        before = state_of(watched, request.machine)
        started, started_ns = time.monotonic(), time.time_ns()
        done, answer = _act(request, watched)
        if not done:
            return done is None
        watched = request.watch()
        _add_late(before, watched, request.machine, started_ns)
        now = time.time_ns()
        if watched.mends and next(staleness.Check(before, request.machine.environ, now).changes(), None):
            return True
        before["left"] = {path: recorder.read_settled_or_hash(path, now) for path in watched.outputs}
        if len(answer) <= LONGEST_ANSWER:
            receipt = _receipt(request, before, watched, time.monotonic() - started)
            _keep(request, {**receipt, "answer": answer} if answer else receipt)
            if request.shared:
                request.shared.published(receipt)
        return True


def _act(request: ActionRequest, watched: ActionInputs) -> tuple[bool | None, str]:
    """Run the action; return how it ended, and what it printed if that is kept, without our own word of success."""
    if not watched.answers:
        return request.act(), ""
    with output.kept(LONGEST_ANSWER) as answer:
        done = request.act()
    own = f"ok {request.key[0]}  "
    return done, "".join(line for line in answer.text().splitlines(keepends=True) if not line.startswith(own))


def state_of(watched: ActionInputs, machine: Machine) -> State:
    """Return the freshness state of everything that is watched, as it is now."""
    now = time.time_ns()
    found = {name: machine.tool(name) for name in watched.tools}
    state = staleness.empty(machine.environ, ("cargo", *watched.tools))
    state["env"] = {
        name: staleness.public_value(name, machine.environ.get(name))
        for name in (*state["guarded"], *watched.variables)
    }
    try:
        dir_listing.require_readable(machine.directory, watched.files)
        state["files"] = {path: recorder.read_settled_or_hash(path, now) for path in watched.files}
    except dir_listing.TooLarge as error:
        state["always_stale_reason"] = error.problems[0].what
    for directory, rule in watched.folders.items():
        try:
            recorder.add_folder(state, directory, now, rule)
        except dir_listing.TooLarge as error:
            state["always_stale_reason"] = error.problems[0].what
    for directory, rule in watched.listings.items():
        state["trees"][directory] = dir_listing.tree_of(directory, rule, now)
    identity = [path for tool in found.values() if tool for path in toolchain.identity_of(tool)]
    identity += toolchain.toolchain_identity(machine.directory, machine.environ)
    state["tools"] = recorder.stamps_of([*identity, *watched.stamps])
    state["files"].update({path: (None, None) for path in watched.stamps if path not in state["tools"]})
    return state


def _add_late(state: State, watched: ActionInputs, machine: Machine, started: int) -> None:
    """Add what the watch names only after the run. What changed since the start of the run is not trusted."""
    late = {name for name in watched.variables if name not in state["env"]}
    state["env"].update({name: staleness.public_value(name, machine.environ.get(name)) for name in late})
    names = [path for path in watched.files if path not in state["files"]]
    for directory in [path for path in watched.folders if path not in state["trees"] and os.path.isdir(path)]:
        rule = watched.folders[directory]
        try:
            found_stamps, found = dir_listing.list_tree(directory, rule)
            dir_listing.require_readable(directory, found)
        except dir_listing.TooLarge as error:
            state["always_stale_reason"] = error.problems[0].what
            continue
        held = all(stamp and fingerprint.changed_before(stamp, started) for stamp in found_stamps.values())
        state["trees"][directory] = (rule, fingerprint.settle_all(found_stamps, started), found if held else None)
        names += [os.path.join(directory, name) for name in found]
    state["files"].update({path: snapshot.read_settled(path, started) for path in names if path not in state["files"]})
    observed.put(state, watched.seen, seen.World(machine.environ))
    state["always_stale_reason"] = watched.always_stale_reason or state["always_stale_reason"]


def _receipt(request: ActionRequest, found: State, watched: ActionInputs, seconds: float) -> Receipt:
    return {
        "key": request.key,
        "state": request.state,
        "cosmetic_options": ("", ""),
        "stored_plan": None,
        "version": __version__,
        "plan": staleness.empty(request.machine.environ, ()),
        "build": found,
        "packages": watched.packages,
        "graph": dict.fromkeys(watched.packages, ()),
        "owners": {},
        "manifests": request.manifests,
        "warnings": (),
        "seconds": seconds,
        "finished": time.time(),
        "log": os.path.join(request.root, ".logs", request.key[0].replace("_", "-") + ".log"),
        "features": (),
        "outputs": watched.outputs,
    }


def _keep(request: ActionRequest, receipt: Receipt) -> None:
    try:
        receipts.keep(receipt)
    except OSError as error:
        reporter.note(
            request.key[0], f"done, but the receipt could not be kept ({error.strerror}): the next call does it again"
        )
