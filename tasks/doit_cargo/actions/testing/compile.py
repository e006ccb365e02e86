"""Compile the tests of a target: one cargo call, skipped with proof like any build.

A part of the workspace is compiled alone, as cargo would; with WHOLE=1 by the selection of the whole workspace
(docs/testing.md). Which programs run is decided afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from doit_cargo.actions import TEST_LOGS, log_path
from doit_cargo.actions.testing import discovery
from doit_cargo.actions.testing import test_binaries as test_programs
from doit_cargo.actions.testing.test_binaries import TestBinary
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.model import Plan, Target
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.base.variables import ALL, Values
from doit_cargo.engine.cargo.metadata import dependents
from doit_cargo.engine.state import receipts, store

if TYPE_CHECKING:
    from doit_cargo.engine.execution.run import Outcome
    from doit_cargo.engine.state.receipts import Receipt, TestProgram
    from doit_cargo.engine.state.staleness import Change
    from doit_cargo.session import Session

KEY = "test_programs"
# Variables that choose other units.
PLANNING = ("FEATURES", "ALL_FEATURES", "NO_DEFAULT_FEATURES", "PROFILE", "TARGET")
# What cargo says when it starts a program, or its recorder.
STARTS = re.compile(r"^\s*(?:Running|Doc-tests|Executable) ")


class TestRequest(NamedTuple):
    """A target that tests, as one call asked for it. `packages` are those whose programs run."""

    session: Session
    name: str
    values: Values
    target: Target
    packages: tuple[str, ...]
    whole: bool


class Compiled(NamedTuple):
    """Programs that can run. `broken` are packages that do not compile."""

    receipt: Receipt
    plan: Plan
    programs: tuple[TestBinary, ...]
    broken: tuple[str, ...] = ()


def key_of(work: TestRequest, without: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the words that name this compilation: the same for all targets that call cargo alike."""
    chosen = ALL if work.whole else ",".join(sorted(work.packages))
    raw = {name: work.session.raw.get(name, "") for name in PLANNING}
    chosen_set = work.target.feature_set
    words = [*work.target.flags, *([repr(chosen_set)] if chosen_set else []), f"packages={chosen}"]
    words += [f"without={name}" for name in without]
    return (KEY, *words, *(f"{name}={value}" for name, value in raw.items() if value))


def plan_of(work: TestRequest) -> Plan:
    """Return the plan as a user would type it, made once. Raises `UserError` for what is wrong with the variables."""
    found: Plan = work.session.found.get(("plan", key_of(work))) or _make_plan(work)
    work.session.found["plan", key_of(work)] = found
    return found._replace(log=log_path(work.session, work.name, TEST_LOGS))


def _make_plan(work: TestRequest) -> Plan:
    from doit_cargo.engine.plan import plan

    session = work.session
    values = {name: value for name, value in work.values.by_name.items() if name != "PACKAGE"}
    values["PACKAGE"] = (ALL,) if work.whole else work.packages
    return plan.make(work.target, Values(values), session.workspace, session.library, session.machine)


def verdict(work: TestRequest, explain: bool = False) -> tuple[Receipt | None, list[Change]]:
    """Return (receipt, changes) of the compilation."""
    return work.session.verdict_of(key_of(work), explain)


def compile_tests(work: TestRequest) -> Compiled | None:
    """Return the programs of a target, compiled where that is needed; None if nothing of it compiles.

    To be called under the lock. Raises `UserError` if cargo could not be started.
    """
    receipt, changes = verdict(work, explain=True)
    if receipt and not changes and not work.session.forced and _same_outside(receipt, work):
        return _of_receipt(receipt, work, ())
    outcome = None
    if receipt and _same_outside(receipt, work) and _only_sources_changed(receipt, changes, work):
        outcome = _call(work, receipt, changes, (), receipt["programs"])
        if outcome.ok and not _gave(outcome, receipt["programs"]):
            outcome = None
    if outcome is None:
        outcome = _call(work, receipt, changes, ())
    if outcome.ok:
        return _of_receipt(_receipt(work, ()), work, ())
    broken = tuple(name for name in outcome.report.failed if name in work.session.workspace.packages)
    if outcome.interrupted or not broken or len(broken) == len(work.packages):
        return None
    return _compile_rest(work, broken)


def _only_sources_changed(receipt: Receipt, changes: list[Change], work: TestRequest) -> bool:
    """Tell whether cargo would start the same programs in the same way as before: then it need not tell again.

    A build script may give them other variables, a manifest everything else.
    """
    from doit_cargo.engine.console import reporter

    if "--doc" in work.target.flags or work.session.forced or not changes:
        return False
    if not all(change.kind == "file" and change.subject.endswith(".rs") for change in changes):
        return False
    changed = reporter.changed_packages(changes, receipt)
    packages = work.session.workspace.packages
    rebuilt = reporter.rebuilds(changed, receipt)
    return bool(changed) and all(name in packages and not packages[name].has_build_script for name in rebuilt)


def _gave(outcome: Outcome, rows: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether a call has made these programs and no other."""
    made = {unit.executable for unit in outcome.report.units if unit.is_test and unit.executable}
    return made == {row["path"] for row in rows if row["kind"] != test_programs.DOC}


def _compile_rest(work: TestRequest, broken: tuple[str, ...]) -> Compiled | None:
    """Compile what does not belong to broken packages, and if that fails what does not rest on them either."""
    from doit_cargo.engine.console import reporter

    for without in dict.fromkeys((broken, (*broken, *dependents(work.session.workspace, broken, dev=True)))):
        if set(work.packages) <= set(without):
            break
        reporter.note(work.name, f"{', '.join(without)}: not compiled; the other packages go on without")
        outcome = _call(work, *work.session.verdict_of(key_of(work, without)), without)
        if outcome.ok:
            return _of_receipt(_receipt(work, without), work, without)
        if outcome.interrupted:
            break
    return None


def _receipt(work: TestRequest, without: tuple[str, ...]) -> Receipt:
    """Return the receipt of a compilation that has just ended well. Raises `UserError` where it could not be kept."""
    found = receipts.load_receipt(work.session.state, key_of(work, without))
    if found is None:
        fix = f"make room in {work.session.state}, or set DOIT_CARGO_STATE to a folder that can be written"
        raise UserError(Problem("the tests are compiled, and what they are could not be kept", fix), COULD_NOT_RUN)
    return found


def _of_receipt(receipt: Receipt, work: TestRequest, broken: tuple[str, ...]) -> Compiled:
    return Compiled(receipt, plan_in(receipt, work, broken), test_programs.from_data(receipt["programs"]), broken)


def plan_in(receipt: Receipt, work: TestRequest, without: tuple[str, ...] = ()) -> Plan:
    """Return the plan behind a receipt as a user would type it; one that no receipt may keep is made anew."""
    from doit_cargo.engine.plan import serialize

    if receipt["stored_plan"] is None:
        return without_packages(plan_of(work), without)
    return serialize.plan_from_data(receipt["stored_plan"], receipt["plan"])


def _same_outside(receipt: Receipt, work: TestRequest) -> bool:
    """Tell whether what cargo changes in its programs' environment has the value that it had outside."""
    base = processes.environment_of(plan_in(receipt, work).invocation, work.session.environ)
    rows = receipt["programs"]
    return all(base.get(name) == outside for row in rows for name, (outside, _) in row["env"].items())


def _call(
    work: TestRequest,
    receipt: Receipt | None,
    changes: list[Change],
    without: tuple[str, ...],
    known: tuple[TestProgram, ...] = (),
) -> Outcome:
    """Call cargo; with `known` programs it need not tell how it starts them."""
    from doit_cargo.engine.execution.execute import execute_locked
    from doit_cargo.engine.execution.request import CargoCallOptions

    session = work.session
    if receipt is None and not without:
        _tell_whole(work)
    typed = session.stored_plan(key_of(work, without)) or without_packages(plan_of(work), without)
    typed = typed._replace(log=log_path(session, work.name, TEST_LOGS))
    writer, recorded = discovery.prepare(typed, session.state, session.workspace, session.environ)
    if known:  # nothing is started, and nothing recorded
        recorded = typed._replace(invocation=typed.invocation.with_arguments("--no-run"))
    outside = processes.environment_of(typed.invocation, session.environ)

    def keeps(outcome: Outcome) -> tuple[TestProgram, ...]:
        if known:
            return known
        found = discovery.read(writer, outside, outcome.report, session.workspace)
        return test_programs.to_data(found)

    request = session.request(work.name, recorded)._replace(
        key=key_of(work, without), more=CargoCallOptions(STARTS, keeps, typed, appends=bool(without))
    )
    outcome = execute_locked(request, receipt, changes)
    session.interrupted = session.interrupted or outcome.interrupted
    store.remove(writer.record)
    return outcome


def _tell_whole(work: TestRequest) -> None:
    """Say what WHOLE=1 costs, on the first call."""
    from doit_cargo.engine.console import reporter

    every = _every_package(work)
    if work.whole and set(work.packages) != set(every):
        reporter.note(
            work.name,
            f"WHOLE=1: compiles the tests of all {len(every)} packages, once, for {', '.join(work.packages)} and every "
            "later part",
        )


def without_packages(plan: Plan, packages: tuple[str, ...]) -> Plan:
    """Return the plan without packages that do not compile."""
    argv = plan.invocation.argv
    if not packages:
        return plan
    kept = tuple(name for name in plan.packages if name not in packages)
    invocation = plan.invocation._replace(argv=_excluding(argv, packages))
    return plan._replace(packages=kept, invocation=invocation)


def _excluding(argv: tuple[str, ...], packages: tuple[str, ...]) -> tuple[str, ...]:
    """Return a cargo call without some packages: excluded from the workspace, or no longer asked for."""
    if "--workspace" in argv:
        position = argv.index("--workspace") + 1
        words = tuple(word for name in packages for word in ("--exclude", name))
        return (*argv[:position], *words, *argv[position:])
    named = {place for place, word in enumerate(argv[:-1]) if word == "--package" and argv[place + 1] in packages}
    return tuple(word for place, word in enumerate(argv) if place not in named and place - 1 not in named)


def is_whole(work: TestRequest) -> bool:
    """Tell whether the selection is that of the whole workspace: all packages are asked for, or WHOLE=1 is."""
    every = set(_every_package(work))
    return set(work.packages) == every or (work.values.flag("WHOLE") and set(work.packages) <= every)


def _every_package(work: TestRequest) -> tuple[str, ...]:
    """Return the members that the whole workspace stands for here: without those whose tools are missing."""
    from doit_cargo.engine.plan.selection import select

    session = work.session
    target = work.target._replace(package=ALL, member="")
    values = Values({name: value for name, value in work.values.by_name.items() if name != "PACKAGE"})
    return select(target, values, session.workspace, session.library.pack, session.machine).packages


TestRequest.__test__ = False  # type: ignore[attr-defined]
