"""What a user sees of a test run: failures in full, a table of packages, one closing line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.actions.testing.results import FAILED, ProgramResult
from doit_cargo.actions.testing.test_binaries import DOC, TestBinary
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.actions.testing.compile import TestRequest

TestResults = Mapping[str, ProgramResult]
"""A program's identity -> what came of it."""

HEAD = ("package", "passed", "failed", "ignored", "time", "")
NAMES_SHOWN = 3
# More failed tests are not named on the line that runs them again: all are run.
MOST_NAMED = 20
# So many runs in a row for the same inputs, outside of the workspace, are no coincidence.
TOO_OFTEN = 3


class SummaryRow(NamedTuple):
    """A package in the table."""

    package: str
    passed: int
    failed: int
    ignored: int
    seconds: float
    kept: bool
    remark: str
    ok: bool


def rows(
    packages: Iterable[str], programs: Iterable[TestBinary], results: TestResults, broken: Iterable[str]
) -> list[SummaryRow]:
    """Return a row for each package, those that do not compile too."""
    found = []
    by_package: dict[str, list[TestBinary]] = {}
    for program in programs:
        by_package.setdefault(program.package, []).append(program)
    for name in packages:
        if name in broken:
            found.append(SummaryRow(name, 0, 0, 0, 0.0, False, "does not compile", False))
        else:
            done = [(one, results[one.identity]) for one in by_package.get(name, ()) if one.identity in results]
            found.append(_row(name, done, len(by_package.get(name, ()))))
    return found


def _row(name: str, done: list[tuple[TestBinary, ProgramResult]], wanted: int) -> SummaryRow:
    results = [result for _, result in done]
    kept = bool(results) and all(result.kept for result in results)
    passed, failed, ignored = (
        sum(getattr(one, column) for one in results) for column in ("passed", "failed", "ignored")
    )
    ok = len(done) == wanted and all(result.ok for result in results)
    seconds = sum(result.seconds for result in results if not result.kept)
    remark = _remark(done, kept, wanted, passed + failed + ignored)
    return SummaryRow(name, passed, failed, ignored, seconds, kept, remark, ok)


def _remark(done: list[tuple[TestBinary, ProgramResult]], kept: bool, wanted: int, count: int) -> str:
    remarks = [f"{program.title} {result.why}" for program, result in done if result.why]
    remarks += [f"flaky: {', '.join(result.flaky)}" for _, result in done if result.flaky]
    if len(done) < wanted:
        remarks.append("not run to the end")
    if not count and not remarks:
        return "no tests"
    some = sum(result.kept for _, result in done)
    if kept:
        remarks.append("passed before")
    elif some:
        remarks.append(f"{some} of {counted(len(done), 'program')} passed before")
    return "; ".join(remarks)


def print_table(found: list[SummaryRow]) -> None:
    """Print the table of packages."""
    lines = [HEAD, *((_cells(row)) for row in found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD) - 1)]
    for line in lines:
        first = line[0].ljust(widths[0])
        numbers = "  ".join(cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:], strict=True))
        print(f"   {first}  {numbers}  {line[-1]}".rstrip(), flush=True)


def _cells(row: SummaryRow) -> tuple[str, ...]:
    counts = (str(row.passed), str(row.failed), str(row.ignored))
    time = "-" if row.kept or row.remark in ("no tests", "does not compile") else f"{row.seconds:.2f} s"
    return (row.package, *counts, time, row.remark)


def close(target: str, found: list[SummaryRow], failures: list[str], seconds: float, log: str) -> bool:
    """Print the closing line; return whether all is well."""
    kept = sum(row.kept for row in found)
    sums = [sum(getattr(row, column) for row in found) for column in ("passed", "failed", "ignored")]
    counts = ", ".join(f"{number} {word}" for number, word in zip(sums, ("passed", "failed", "ignored"), strict=True))
    before = f", {kept} passed before" if kept else ""
    text = f"{counted(len(found), 'package')}{before}: {counts}; {seconds:.1f} s"
    bad = [row.package for row in found if not row.ok]
    if not bad and not any(sums):
        names = shortened([row.package for row in found], 4)
        reporter.note(target, f"no tests in {names}; log: {log}")
        return True
    if not bad:
        reporter.done(target, f"{text}; log: {log}")
        return True
    names = f" ({shortened(failures, NAMES_SHOWN)})" if failures else ""
    reporter.failed(target, f"{', '.join(bad)} failed{names}; {text}; log: {log}")
    return False


def runs_each_time(target: str, package: str, reasons: Sequence[str], root: str) -> str:
    """Return what is said of a package of whose tests not all was seen."""
    more = f" (and {len(reasons) - 1} more: doit-cargo why {target})" if len(reasons) > 1 else ""
    return f"{package} runs each time: {reasons[0].replace(root + os.sep, '')}{more}"


def differs_each_time(package: str, subjects: Sequence[str], root: str) -> Iterator[str]:
    """Yield what is said of inputs for which a package has run again and again, without an edit as it seems."""
    foreign = [name for name in subjects if not name.startswith(root + os.sep) and name != package]
    if foreign and len(foreign) == len(subjects):
        named = ", ".join(f'"{name}"' for name in foreign)
        yield (
            f"{package} has run {TOO_OFTEN} times in a row because of {', '.join(foreign)}; "
            f"if its tests do not depend on that: [inputs] ignore = [{named}] in the profile"
        )


def failures_in(programs: Iterable[TestBinary], results: TestResults) -> list[str]:
    """Return the names of failed tests, each with its package."""
    return [
        f"{program.package} {case.name}"
        for program in programs
        for case in (results[program.identity].cases if program.identity in results else ())
        if case.outcome == FAILED
    ]


def narrowed(work: TestRequest, programs: Sequence[TestBinary], results: TestResults) -> dict[str, str]:
    """Return the variables that let a call run nothing but what failed, none where names cannot select that."""
    failed = [(one, result) for one in programs if not (result := results[one.identity]).ok]
    names = [name for one, result in failed for name in _filters(one, result)]
    if not failed or "" in names or len(names) > MOST_NAMED:
        return {}
    found = {"TEST": ",".join(sorted(set(names)))}  # a runner tells them as they end
    packages = dict.fromkeys(one.package for one, _ in failed)
    divided = work.values.text("SHARD") or work.values.text("SINCE")
    if len(packages) < len(work.packages) and not divided and {"PACKAGE", "WHOLE"} <= set(work.target.takes):
        # The same programs: without WHOLE a part may be compiled with fewer features.
        found |= {"PACKAGE": ",".join(packages), **({"WHOLE": "1"} if work.whole else {})}
    return found


def _filters(program: TestBinary, result: ProgramResult) -> Iterator[str]:
    """Yield what selects each failed test of a program, "" where nothing does."""
    cases = [case.name for case in result.cases if case.outcome == FAILED]
    if program.own_harness or result.why or not cases:
        yield ""
    for name in cases:
        # Rustdoc takes its filter apart at blanks: "src/lib.rs - Item::new (line 3)".
        part = max((name.rpartition(" (line ")[0] or name).split(), key=len) if program.kind == DOC else name
        yield "" if "," in part or part != part.strip() else part


def show_failure(program: TestBinary, result: ProgramResult) -> None:
    """Print what a failed program has said, without the lines of tests that passed."""
    print(f"\n--- {program.package}: {program.title}", flush=True)
    kept = [line for line in result.output.splitlines() if not re.match(r"^test .* \.\.\. (ok|ignored.*)$", line)]
    print("\n".join(kept).strip("\n"), flush=True)
    if result.why:
        print(f"({result.why})", flush=True)
