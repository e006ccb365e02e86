"""The targets around benchmarks: run them, keep a measurement under a name, compare with one that was kept."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from doit_cargo.actions.measure.bench import baselines
from doit_cargo.actions.measure.bench.baselines import LAST, Baseline
from doit_cargo.actions.measure.bench.control import controlled
from doit_cargo.actions.measure.bench.results import NOISY, REGRESSION, SAME_PROGRAM, BenchChange, compare, text_of
from doit_cargo.actions.measure.bench.run import BenchRequest, Measured, check, measure, plans, program_package
from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

THRESHOLD = 5.0
# What looks slower is measured so many times in all, all benchmarks in each round.
ROUNDS = 4


FULL = BenchRequest(programs=True)
# All others, one of a single package too, run what cargo itself has.
REQUESTS = {"bench_quick": BenchRequest(quick=True, programs=True), "bench_full": FULL}


def _wanted(session: Session) -> BenchRequest:
    return REQUESTS.get(session.current, BenchRequest())


def bench(session: Session, values: Values) -> bool:
    """Run what the target at hand measures."""
    measured, _ = _measured(session, values, _wanted(session))
    for name, times in measured.results.items():
        print(f"   {name:48} {text_of(times.middle):>12}  +/- {times.noise:.1f} %")
    kept = _keep(session, values, measured)
    reporter.done(session.current, f"{counted(len(measured.results), 'benchmark')}{kept}")
    return True


def check_bench(session: Session, values: Values) -> None:
    """Raise `UserError` where there is nothing to run, or the variables do not fit."""
    check(session, values, _wanted(session))


def show_bench(session: Session, values: Values) -> list[Plan]:
    """Return the calls of the target at hand."""
    return plans(session, values, _wanted(session))


def _measured(session: Session, values: Values, wanted: BenchRequest) -> tuple[Baseline, Measured]:
    found = measure(session, values, wanted)
    kept = Baseline(found.results, _setting(session, values), time.time(), wanted.quick)
    programs = {name: call.argv[0] for name, call in found.calls.items()}
    return baselines.keep_programs(session.state, kept, programs), found


def _keep(session: Session, values: Values, measured: Baseline) -> str:
    """Keep a measurement as the last one, and under the name of BASELINE; return what there is to say of it."""
    name = values.text("BASELINE")
    for each in dict.fromkeys(filter(None, (LAST, name))):
        baselines.save(session.state, each, measured)
    return f", kept as {name}: compare with bench_compare BASELINE={name}" if name else ""


def _setting(session: Session, values: Values) -> dict[str, str]:
    """Return what a measurement depends on besides the code."""
    from doit_cargo.engine.toolchain import platform

    rustc = session.machine.tool("rustc")
    here = f"{platform.operating_system()}-{platform.architecture()}, {platform.usable_cores()} cores"
    return {
        "rustc": rustc.version if rustc else "",
        "machine": here,
        "features": ",".join(values.words("FEATURES")),
        "profile": values.text("PROFILE"),
        "model": values.text("MODEL"),
    }


def check_save(session: Session, values: Values) -> None:
    """Raise `UserError` where there is no name, or no measurement to keep."""
    if not values.text("BASELINE"):
        raise UserError(Problem("bench_save needs a name for the measurement", "doit-cargo bench_save BASELINE=main"))
    baselines.load(session.state, LAST)


def bench_save(session: Session, values: Values) -> bool:
    """Keep the last measurement under another name."""
    name = values.text("BASELINE")
    last = baselines.load(session.state, LAST)
    baselines.save(session.state, name, last)
    reporter.done(
        session.current, f"the measurement of {last.date}, {counted(len(last.results), 'benchmark')}, is kept as {name}"
    )
    return True


def check_compare(session: Session, values: Values) -> None:
    """Raise `UserError` for an unknown or broken baseline, and for all that `bench_full` would refuse."""
    baselines.load(session.state, values.text("BASELINE") or LAST)
    check(session, values, FULL)


def bench_compare(session: Session, values: Values) -> bool:
    """Measure, compare with a measurement that was kept, and fail on a regression.

    Only what is slower than the program of then counts, measuring in turns with it now: other programs make benchmarks
    slow too. Where that program is not kept, further rounds show how much this machine differs by itself.
    """
    name = values.text("BASELINE") or LAST
    before = baselines.load(session.state, name)
    _say_differences(session, before, _setting(session, values))
    package = program_package(session, values)
    programs = bool(package) and any(key.startswith(f"{package}: ") for key in before.results)
    wanted = BenchRequest(before.quick, programs)
    threshold = float(values.text("BENCH_THRESHOLD") or THRESHOLD)
    measured, found = _measured(session, values, wanted)
    rounds = [measured.results]
    changes = compare(before.results, rounds, threshold)
    told = controlled(session, before, found, changes, threshold)
    changes = [told.get(change.name, change) for change in changes]
    while any(change.name not in told for change in _regressions(changes)) and len(rounds) < ROUNDS:
        reporter.note(session.current, f"{len(_regressions(changes))} look slower: all are measured once more")
        measured, _ = _measured(session, values, wanted)
        rounds.append(measured.results)
        changes = [told.get(change.name, change) for change in compare(before.results, rounds, threshold)]
    measured = replace(measured, results={one.name: one.after for one in changes if one.after})
    return _judge(session, changes, measured, f"{name} of {before.date}", threshold)


def _regressions(changes: Iterable[BenchChange]) -> list[BenchChange]:
    return [change for change in changes if change.verdict == REGRESSION]


def _say_differences(session: Session, before: Baseline, now: dict[str, str]) -> None:
    for name, value in now.items():
        then = before.setting.get(name, "")
        if then != value:
            reporter.note(session.current, f"{name} differs: {then or 'none'} then, {value or 'none'} now")


def _judge(session: Session, changes: list[BenchChange], measured: Baseline, what: str, threshold: float) -> bool:
    print(f"   {'benchmark':48} {'before':>12} {'now':>12} {'change':>9} {'noise':>8}")
    for change in changes:
        print(_line(change))
    regressions = _regressions(changes)
    if regressions:
        worst = max(regressions, key=lambda change: change.percent)
        count = f"{len(regressions)} of {counted(len(changes), 'benchmark')}"
        more = f"{count} slower by more than {threshold:g} % and than the noise, compared with {what}"
        reporter.failed(session.current, f"{more}; the worst is {worst.name} ({worst.percent:+.1f} %)")
        return False
    same = [change.name for change in changes if change.verdict == SAME_PROGRAM]
    if same:
        text = f"{len(same)} slower by the very program of then, such as {same[0]}: the machine or its data differ"
        reporter.note(session.current, text)
    noisy = [change.name for change in changes if change.verdict == NOISY]
    if noisy:  # what was measured then stays what is compared with
        told = f"{len(noisy)} of {counted(len(changes), 'benchmark')} too noisy to tell, such as {noisy[0]}"
        reporter.done(session.current, f"{told}; none of the others slower by more than {threshold:g} % than {what}")
        return True
    if not same:
        baselines.save(session.state, LAST, measured)
    reporter.done(
        session.current, f"{counted(len(changes), 'benchmark')}, none slower by more than {threshold:g} % than {what}"
    )
    return True


def _line(change: BenchChange) -> str:
    before = text_of(change.before.middle) if change.before else "-"
    after = text_of(change.after.middle) if change.after else "-"
    figures = (
        f"{change.percent:+8.1f}% {change.noise:7.1f}%" if change.before and change.after else f"{'-':>9} {'-':>8}"
    )
    return f"   {change.name:48} {before:>12} {after:>12} {figures}  {change.verdict}"
