"""What one run of a program in the box was seen to do: the calls that do work, the lines, how it ended.

Knows a source and a box, and how a call is told from a question; compares nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from doit_cargo.engine.base.plain_text import HIDDEN
from doit_cargo.engine.base.secrets import is_secret
from doit_cargo.migrate.recording.box import TIMED_OUT, Box, BoxOutcome
from doit_cargo.migrate.recording.lines import started_by_path
from doit_cargo.migrate.recording.recorder import RecordedCall
from doit_cargo.migrate.sources.source import Source

ROUNDS = 4
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
NOT_FOUND = re.compile(r": ([\w./@+-]+/[\w.@+-]+): (?:not found|No such file or directory)$", re.MULTILINE)
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
    started: tuple[str, ...] = ()
    """Programs that its lines start by a path below the checkout, and those that a shell looked for there in vain."""


class MadeFiles(NamedTuple):
    """Files about which make decides by their age: those that are not there, and those that are, new or old."""

    absent: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    is_old: bool = False


AS_THEY_ARE = MadeFiles()


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
    made: MadeFiles = AS_THEY_ARE,
) -> Recording:
    """Run a program in the box once and return what it did; `known` are steps to which it may listen, `without` is a
    tool that is not there, `leaves` are files for the next run."""
    outcome = box.run(
        argv,
        env,
        fail=fail,
        other=other,
        files=files,
        gone=(*gone, *made.absent, *box.programs_called(without)),
        known=(words := {step.argv for step in known}),
        leaves=leaves,
        there=made.there,
        is_old=made.is_old,
    )
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
    made: MadeFiles = AS_THEY_ARE,
) -> Recording:
    """Record targets of an old build file as if nothing of ours were there; `asked` are files that are there in the
    other world alone, or gone from it; `made` says of files of make's what they are."""
    # What reads OS itself is looked at with it set, and the shim then goes to the old file.
    is_windows = other and not (source.gives_environment and "OS" in source.variables)
    env = {**box.environment(other), **source.env, **(MACHINE if is_windows else {})}
    switched = {*source.asks_for, *asked}.difference(made.absent, made.there)
    files, gone = _other_files(box, sorted(switched)) if other else ({}, ())
    files, gone = {**files, **source.aside}, (*source.gone, *gone)
    words = [*source.call(names[0], given or {}), *names[1:]]
    return record(box, words, env, fail=fail, other=other, files=files, gone=gone, without=without, made=made)


def more_in(
    more: Sequence[RecordedStep], less: Sequence[RecordedStep], is_same: Callable[[RecordedStep, RecordedStep], bool]
) -> list[RecordedStep] | None:
    """Return the steps that a sequence has more than another one, which is the same else; None if it is not. Of two
    that are the same the first one is more."""
    rest, found = list(reversed(less)), []
    # What stands in a pipe begins at once, in any order.
    reach = len(rest) if any(step.out == "pipe" for step in rest) else 1
    for step in reversed(more):
        same = next((each for each in rest[:reach] if is_same(step, each)), None)
        found += [step] if same is None else []
        rest = [each for each in rest if each is not same]
    return None if rest else found[::-1]


def watch_programs(box: Box, source: Source) -> bool:
    """Have stand-ins for the programs that targets start by a path below the checkout, and tell whether there are more
    now: what is not there, a recipe may make. Behind one that is missing others may be, so it is looked again."""
    wanted, before = list(source.targets), box.programs
    for _ in range(ROUNDS):
        found = list(box.each(lambda old: record_old(box, source, [old.name]), wanted))
        new = {path for each in found for path in each.started}.difference(box.programs)
        if not new:
            break
        box.programs = (*box.programs, *sorted(new))
        wanted = [old for old, each in zip(wanted, found, strict=True) if each.ended != "well"]
    return box.programs != before


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
    spoken = [call for call in outcome.calls if call.kind in ("line", "text") and call.out != "pipe"]
    lines = tuple(call.argv[-1] if call.kind == "line" else call.argv[1] for call in spoken)
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
        tuple(dict.fromkeys(_started(box, started, outcome.err))),
    )


def _started(box: Box, lines: Sequence[RecordedCall], err: str) -> Iterator[str]:
    """Yield the programs that lines start by a path, and those of which a shell says that they are not there."""
    folder = ""
    for call in lines:
        folder = os.path.relpath(call.folder, box.root)
        yield from started_by_path(call.argv[-1], folder)
    for name in NOT_FOUND.findall(err):
        last = [word for call in lines[-1:] for word in re.findall(r"\bcd\s+([\w./-]+)", call.argv[-1])]
        yield from started_by_path(name, os.path.join(folder, *last))


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
