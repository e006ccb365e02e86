"""What came of a test program: read from libtest's output, judged by the exit status alone, kept if it is a proof.

A kept result lies among the receipts. It names everything that the program rested on, so that it is true as long as
all of that is the same.
"""

from __future__ import annotations

import os
import re
import signal
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from doit_cargo.actions.testing.test_binaries import TestBinary
from doit_cargo.engine.execution.past import readers
from doit_cargo.engine.state import store

if TYPE_CHECKING:
    from doit_cargo.engine.state.seen import Row

PASSED, FAILED, IGNORED = "passed", "failed", "ignored"
PREFIX = readers.TESTED
# To be raised whenever an identity gets to mean something else; a new version alone makes no test run again.
MEANING = 2
# So many inputs of a program are remembered to have passed.
REMEMBERED = 4
# And of so many programs of a package; one of other features or settings is another one.
MOST_PROGRAMS = 512
Label = tuple[str, str]
Identity = Mapping[Label, object]
"""(kind, subject) -> value: everything that a program's outcome rests on."""

# libtest's lines, the same for rustdoc: "test NAME ... ok", "test result: ok. 1 passed; 0 failed; 0 ignored; ...".
_CASE = re.compile(r"^test (.+?)(?: - should panic)? \.\.\. (?:.*?)(ok|FAILED|ignored)(?:, .*| \(.*\))?$")
_SUMMARY = re.compile(
    r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored; \d+ measured; (\d+) filtered out"
)
_WORDS = {"ok": PASSED, "FAILED": FAILED, "ignored": IGNORED}


class CaseResult(NamedTuple):
    """One test. `seconds` is None where the harness does not tell."""

    name: str
    outcome: str
    seconds: float | None = None
    message: str = ""


@dataclass(slots=True)
class ProgramResult:
    """What came of one program. `why` says how it ended where that was no ordinary failure; `kept`: from a receipt;
    `has_case_results`: the program has told of single tests.
    """

    ok: bool
    passed: int = 0
    failed: int = 0
    ignored: int = 0
    seconds: float = 0.0
    cases: list[CaseResult] = field(default_factory=list)
    why: str = ""
    output: str = ""
    flaky: tuple[str, ...] = ()
    kept: bool = False
    has_case_results: bool = True

    @property
    def count(self) -> int:
        return self.passed + self.failed + self.ignored


class Reading:
    """libtest's output, line by line."""

    def __init__(self) -> None:
        self.cases: dict[str, CaseResult] = {}
        self.summaries: list[tuple[int, int, int]] = []

    def take(self, line: str) -> None:
        case = _CASE.match(line)
        if case:
            self.cases[case[1]] = CaseResult(case[1], _WORDS[case[2]])
            return
        summary = _SUMMARY.match(line)
        if summary:
            self.summaries.append((int(summary[1]), int(summary[2]), int(summary[3])))

    def result(self, program: TestBinary, status: int, seconds: float, output: str) -> ProgramResult:
        """Return what came of the program; its exit `status` alone says whether it passed."""
        cases = list(self.cases.values())
        why = "" if self.summaries or program.own_harness else how_it_ended(status)
        if program.own_harness and not self.summaries:
            cases = [CaseResult(program.name, FAILED if status else PASSED, seconds, how_it_ended(status))]
        # rustdoc prints a summary for each of its runs; of an executable the last one is its own.
        taken = self.summaries if program.kind == "doc" else self.summaries[-1:]
        passed, failed, ignored = [sum(column) for column in zip(*taken, strict=True)] or _counted(cases)
        if why:
            cases.append(CaseResult(f"({why})", FAILED, seconds, why))
            failed += 1
        told = bool(self.summaries) or not program.own_harness
        return ProgramResult(status == 0, passed, failed, ignored, seconds, cases, why, output, has_case_results=told)


def _counted(cases: list[CaseResult]) -> list[int]:
    return [sum(case.outcome == outcome for case in cases) for outcome in (PASSED, FAILED, IGNORED)]


def how_it_ended(status: int) -> str:
    """Return how a process ended, nothing for a good end."""
    if status == 0:
        return ""
    if status > 0:
        return f"ended with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


@dataclass(slots=True)
class CachedResult:
    """A success that is kept, with what it rested on: what is known of it, and what was seen.

    With `reasons`, not all was seen: it counts only where the profile says that all is declared, and then rests on
    `declared` too. `because` are the inputs for which it ran, `times` how often in a row it ran for the same.
    """

    result: ProgramResult
    identity: Identity
    seen: list[Row] = field(default_factory=list)
    reasons: tuple[str, ...] = ()
    declared: Identity = field(default_factory=dict)
    because: tuple[str, ...] = ()
    times: int = 1
    finished: float = 0.0


def _path(state: str, runner: str, program: TestBinary) -> str:
    words = f"{runner}\0{program.identity}".encode("utf-8", "surrogateescape")
    return os.path.join(state, "receipts", f"{PREFIX}-{program.package}-{zlib.crc32(words):08x}")


def load(state: str, runner: str, program: TestBinary) -> list[CachedResult]:
    """Return what is kept of a program, the latest first: a branch switch there and back finds its old results."""
    data = store.load(_path(state, runner, program))
    known = isinstance(data, dict) and data.get("basis") == (MEANING, state, runner, program.identity)
    return [CachedResult(_result(row["result"]), **row["rest"]) for row in data["rows"]] if known else []  # type: ignore[index]


def _result(row: tuple[Any, ...]) -> ProgramResult:
    passed, failed, ignored, seconds, cases, flaky = row
    known = [CaseResult(*case) for case in cases]
    return ProgramResult(True, passed, failed, ignored, seconds, known, flaky=flaky, kept=True)


def _row(kept: CachedResult) -> dict[str, Any]:
    result = kept.result
    cases = tuple((case.name, case.outcome, case.seconds, case.message) for case in result.cases)
    rest = {name: getattr(kept, name) for name in CachedResult.__slots__ if name != "result"}
    counts = (result.passed, result.failed, result.ignored, result.seconds)
    return {"result": (*counts, cases, result.flaky), "rest": {**rest, "identity": dict(kept.identity)}}


def keep(state: str, runner: str, program: TestBinary, new: CachedResult) -> None:
    """Keep a success. Of those that prove nothing only the latest is remembered. Raises OSError."""
    new.finished = time.time()
    others = [one for one in load(state, runner, program) if not one.reasons and _basis(one) != _basis(new)]
    _write(state, runner, program, [new, *others][:REMEMBERED])


def _basis(kept: CachedResult) -> tuple[Identity, list[Any]]:
    """Return what a success rests on, without the times of its files."""
    states = ([*row[:2], row[2][:2] if isinstance(row[2], list) else row[2]] for row in kept.seen)
    return kept.identity, list(states)


def _write(state: str, runner: str, program: TestBinary, rows: list[CachedResult]) -> None:
    path = _path(state, runner, program)
    store.store(path, {"basis": (MEANING, state, runner, program.identity), "rows": tuple(map(_row, rows))})
    store.keep_newest(os.path.dirname(path), f"{PREFIX}-{program.package}-", MOST_PROGRAMS)


def drop(state: str, runner: str, program: TestBinary, counts: Callable[[CachedResult], bool]) -> None:
    """Take away what is kept of a program and would count now: it runs, or has failed. Raises OSError."""
    rows = load(state, runner, program)
    others = [one for one in rows if not counts(one)]
    if not others:
        store.remove(_path(state, runner, program))
    elif len(others) < len(rows):
        _write(state, runner, program, others)


def observed(state: str, packages: Collection[str]) -> Iterator[tuple[str, Row, tuple[str, ...]]]:
    """Yield (package, row, reasons) of all that the latest success of each program was seen to rest on."""
    directory = os.path.join(state, "receipts")
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        package = name.removeprefix(f"{PREFIX}-").rpartition("-")[0]
        data = store.load(os.path.join(directory, name)) if name.startswith(f"{PREFIX}-") else None
        if package in packages and isinstance(data, dict) and data["basis"][:2] == (MEANING, state) and data["rows"]:
            rest = data["rows"][0]["rest"]
            yield from ((package, row, rest["reasons"]) for row in rest["seen"])


def forget(state: str) -> None:
    """Drop all that is kept of tests, so that they run again."""
    directory = os.path.join(state, "receipts")
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        if name.startswith((f"{PREFIX}-", "test_", "test-")):
            store.remove(os.path.join(directory, name))
