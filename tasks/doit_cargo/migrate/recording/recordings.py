"""What one run of a program in the box was seen to do: the calls that do work, the lines, how it ended.

Knows a source and a box, and how a call is told from a question; compares nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from doit_cargo.engine.base.plain_text import HIDDEN
from doit_cargo.engine.base.secrets import is_secret
from doit_cargo.migrate.recording.box import TIMED_OUT, Box, BoxOutcome
from doit_cargo.migrate.recording.recorder import RecordedCall
from doit_cargo.migrate.sources.source import Source

MACHINE = {"OS": "Windows_NT"}
# Set by what runs a build file, or by a shell, for itself.
NOISE = re.compile(
    r"MAKE|MFLAGS$|GNUMAKEFLAGS$|(OLD)?PWD$|SHLVL$|_$|CURDIR$|SUFFIXES$|CARGO_MAKE|JUST_|npm_|INIT_CWD$|DOIT_CARGO"
    r"|LINES$|COLUMNS$"
)
# Programs that start another one, here.
AROUND = frozenset({"rustup", "nice", "ionice", "timeout", "nohup", "stdbuf", "setsid", "sudo"})
# The line of an error message that says what is wrong.
TELLING = re.compile(r"doit-cargo: |error\b|.*\*\*\* ")
TEMPORARY = re.compile(r"\{box\}/run/(?:other-)?tmp(?:/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """A call that does work: what is called, in which folder below the root, with what set for it."""

    argv: tuple[str, ...]
    folder: str
    env: Mapping[str, str]
    out: str
    number: int = field(compare=False)

    @property
    def is_cargo(self) -> bool:
        return self.argv[0] == "cargo"

    @property
    def calls_cargo(self) -> bool:
        """Whether cargo is called, be it by another program: `cross build`, `rustup run nightly cargo doc`."""
        return self.argv[0] in ("cargo", "cross") or (self.argv[0] in AROUND and "cargo" in self.argv)

    def __str__(self) -> str:
        import shlex

        place = f"cd {self.folder} && " if self.folder else ""
        shown = {name: HIDDEN if is_secret(name) else shlex.quote(value) for name, value in sorted(self.env.items())}
        env = "".join(f"{name}={value} " for name, value in shown.items())
        return place + env + shlex.join(self.argv)


@dataclass(frozen=True, slots=True)
class Recording:
    """One run of a target. `ended` is "well", "badly" or "never"; `lines` are those that a shell was given, and `given`
    is what was set for each of them. `asking` are lines whose answer something else takes, as `$(shell ...)` does."""

    steps: tuple[RecordedStep, ...]
    ended: str
    said: str
    lines: tuple[str, ...]
    asked: tuple[str, ...]
    changes: Mapping[str, str]
    given: Mapping[str, str] = field(default_factory=dict)
    asking: tuple[str, ...] = ()


def record(
    box: Box,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    fail: int = 0,
    other: bool = False,
    files: Mapping[str, str] | None = None,
    gone: Sequence[str] = (),
    known: Sequence[RecordedStep] = (),
    without: str = "",
    leaves: Sequence[str] = (),
) -> Recording:
    """Run a program in the box once and return what it did; `known` are steps to which it may listen, `without` is a
    tool that is not there, `leaves` are files for the next run."""
    words = {step.argv for step in known}
    gone = (*gone, *box.programs_called(without))
    outcome = box.run(argv, env, fail=fail, other=other, files=files, gone=gone, known=words, leaves=leaves)
    return _recording(box, outcome, env, words)


def record_old(
    box: Box,
    source: Source,
    names: Sequence[str],
    given: Mapping[str, str] | None = None,
    *,
    fail: int = 0,
    other: bool = False,
    without: str = "",
    asked: Collection[str] = (),
) -> Recording:
    """Record targets of an old build file as if nothing of ours were there; `asked` are files that are there in the
    other world alone, or gone from it."""
    # What reads OS itself is looked at with it set, and the shim then goes to the old file.
    is_windows = other and not (source.gives_environment and "OS" in source.variables)
    env = {**box.environment(other), **source.env, **(MACHINE if is_windows else {})}
    files, gone = _other_files(box, (*source.asks_for, *asked)) if other else ({}, ())
    files, gone = {**files, **source.aside}, (*source.gone, *gone)
    words = [*source.call(names[0], given or {}), *names[1:]]
    return record(box, words, env, fail=fail, other=other, files=files, gone=gone, without=without)


def _other_files(box: Box, asked: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Return what is there in the other world alone of the files that are asked for, and what is gone from it."""
    there = [path for path in asked if os.path.lexists(os.path.join(box.checkout, path))]
    return dict.fromkeys(set(asked).difference(there), ""), there


def _recording(box: Box, outcome: BoxOutcome, env: Mapping[str, str], known: Collection[tuple[str, ...]]) -> Recording:
    steps = tuple(_step(box, call, env) for call in outcome.calls if call.argv in known or _is_work(call))
    asked = (call.program for call in outcome.calls if call.kind in ("ask", "read") and call.out == "pipe")
    ended = "never" if outcome.status == TIMED_OUT else "badly" if outcome.status else "well"
    # A line whose output nobody takes is one of a recipe; what `$(shell)` runs has a pipe.
    started = [call for call in outcome.calls if call.kind == "line" and call.out != "pipe"]
    # What is given to `sh -c` inside of one is one too: its first word here.
    texts = [call.argv[1] for call in outcome.calls if call.kind == "text" and call.out != "pipe"]
    lines = (*(call.argv[-1] for call in started), *texts)
    given = [set(_step(box, call, env).env.items()) for call in started]
    words = [line.strip() for line in outcome.err.splitlines() if line.strip()]
    said = next(filter(TELLING.match, words), words[-1] if words else "")
    return Recording(
        steps,
        ended,
        said,
        lines,
        tuple(dict.fromkeys(asked)),
        outcome.changes,
        dict(set.intersection(*given) if given else ()),
        tuple(call.argv[-1] for call in outcome.calls if call.kind == "line" and call.out == "pipe"),
    )


def _is_work(call: RecordedCall) -> bool:
    """Tell whether a call does something."""
    return call.kind in ("work", "change", "ask", "read") and not call.is_question


def _step(box: Box, call: RecordedCall, env: Mapping[str, str]) -> RecordedStep:
    def placed(text: str) -> str:
        places = ((f"{box.base}/run/home", "{home}"), (f"{box.base}/run/other-home", "{home}"))
        # A blank in the path is where make parts it; and what says `{root}` itself is no place.
        pieces = ((box.root.split()[0], "{part}"),) if " " in box.root else ()
        roots = ((box.elsewhere, "{root}"), (box.root, "{root}"))
        for path, name in (("{root}", "{part}"), *roots, *places, (box.base, "{box}"), *pieces):
            text = text.replace(path, name)
        return TEMPORARY.sub("{tmp}", text)

    set_here = {
        name: placed(value) for name, value in call.env.items() if env.get(name) != value and not NOISE.match(name)
    }
    folder = placed(call.folder).removeprefix("{root}").lstrip("/")
    return RecordedStep(tuple(map(placed, call.argv)), folder, set_here, call.out, call.number)
