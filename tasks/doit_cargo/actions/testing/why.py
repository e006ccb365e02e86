"""`why` for test targets: which packages' tests would run, and the causes, without running anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from doit_cargo.actions.maintenance import failures
from doit_cargo.actions.testing import selection, test_inputs
from doit_cargo.actions.testing import test_binaries as test_programs
from doit_cargo.actions.testing.compile import TestRequest, plan_in, verdict
from doit_cargo.actions.testing.runners import choice
from doit_cargo.actions.testing.test_inputs import TestInputs
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import causes
from doit_cargo.engine.state.staleness import Change

if TYPE_CHECKING:
    from doit_cargo.engine.execution.causes import JsonChange, Why
    from doit_cargo.session import Session

Reasons = dict[str, list[Change]]
"""Package -> why its tests would run."""
ProgramChanges = list[tuple[test_programs.TestBinary, list[Change]]]
"""Each program that is asked for, with why it would run; of one that has passed before nothing."""
ONLY_NEW = "tests run only where a program comes out that has not passed before"


def explain(session: Session, name: str) -> Why:
    """Return the answer of `why` (docs/reference/commands.md), with its text under "says"."""
    work = selection.work_of(session, name, session.values_for(name))
    whole, differs = session.verdict(name, explain=True)
    if whole and not differs:
        return _of_programs(work, [])
    receipt, changes = verdict(work, explain=True)
    if whole and receipt is None:  # that they passed came from another machine: here nothing was compiled
        return _of_compilation(work, differs, whole)
    last = receipt or _last(work)
    if receipt is None or changes:
        return _of_compilation(work, changes, last)
    return _of_programs(work, _programs(work, receipt))


def _last(work: TestRequest) -> Any:
    from doit_cargo.actions.testing.compile import key_of
    from doit_cargo.engine.state import receipts

    return receipts.last_receipt(work.session.state, key_of(work))


def _answer(work: TestRequest, rows: list[JsonChange], changed: list[str], runs: list[str], says: list[str]) -> Why:
    return {
        "target": work.name,
        "fresh": not rows,
        "changes": rows,
        "changed": changed,
        "rebuilds": runs,
        "skipped": len(work.packages) - len(runs) if rows else len(work.packages),
        "always": False,
        "says": says,
    }


def _of_compilation(work: TestRequest, changes: list[Change], last: Any) -> Why:
    """Return why something must be compiled; what that changes in the programs is known only afterwards.

    Tests whose other inputs changed run whatever comes out.
    """
    reasons = reporter.split_consequences(changes)[0] if last else changes
    given: list[str] = []
    if last:
        reasons, given = causes.named(reasons, last, work.session.root)
    changed = reporter.roots_of([*reporter.changed_packages(reasons, last), *given], last) if last else []
    is_local = last and last["owners"]  # of what came from another machine nobody knows whose a file is
    built = reporter.rebuilds(changed, last) if is_local else work.packages
    compiled = [name for name in built if name in work.packages]
    rows = [_row(change, ", ".join(reporter.owners(change, last)) if last else "", work) for change in reasons]
    certain = _certain(work, last) if is_local else {}
    known = {(row["kind"], row["subject"]) for row in rows}
    rows += [row for row in _rows(work, certain) if (row["kind"], row["subject"]) not in known]
    says = [f"{work.name} is stale:", *(_line(row) for row in rows)]
    says.append(f"  compiles  {_names(compiled) if compiled else 'what rests on it'}; {ONLY_NEW}")
    if certain:
        says.append(f"  tests     {_names(certain)} run")
    return _answer(work, rows, changed, [*dict.fromkeys([*compiled, *certain])], says)


def _certain(work: TestRequest, last: Any) -> Reasons:
    """Return why tests run whatever comes out: of what is compiled for them, nobody knows yet."""
    made = {*last["outputs"]}
    found = {
        name: [one for one in many if one.kind != "output" and one.subject not in made]
        for name, many in _reasons(_programs(work, last)).items()
    }
    return {name: changes for name, changes in found.items() if changes}


def _programs(work: TestRequest, receipt: Any) -> ProgramChanges:
    runner = choice.runner_of(work)
    world = test_inputs.of_call(work, receipt, plan_in(receipt, work), runner)
    wanted = selection.wanted(work, test_programs.from_data(receipt["programs"]))
    return [(program, _changes(program, runner, world, work)) for program in wanted]


def _reasons(programs: ProgramChanges) -> Reasons:
    found: Reasons = {}
    for program, changes in programs:
        found.setdefault(program.package, []).extend(changes)
    return {package: changes for package, changes in found.items() if changes}


def _changes(program: test_programs.TestBinary, runner: str, world: TestInputs, work: TestRequest) -> list[Change]:
    """Return what differs from the success that is nearest to the world now; nothing if any had today's inputs."""
    kept = choice.kept(work.session.state, program, runner)
    if not kept:
        return [Change("run", program.package, "", f"{program.title}: no success on record")]
    return min((world.changes(program, one, work.values.flag("KEEP_FLAKY")) for one in kept), key=len)


def _of_programs(work: TestRequest, programs: ProgramChanges) -> Why:
    reasons = _reasons(programs)
    found, runs = _failure(work, reasons) or _rows(work, reasons), list(reasons)
    if not found:
        return _answer(work, [], [], [], [f"{work.name} is up to date: all its tests have passed with what is here"])
    says = [f"{work.name} is stale:", *(_line(row) for row in found)]
    passed = sum(not changes for _, changes in programs)
    before = f"; {passed} of {counted(len(programs), 'program')} passed before" if passed else ""
    says.append(f"  tests     {_names(runs)} run{before}")
    return _answer(work, found, runs, runs, says)


def _failure(work: TestRequest, reasons: Reasons) -> list[JsonChange]:
    """Return that the last run failed, if nothing differs since but what that run has compiled itself."""
    end = failures.of_target(work.session, work.name)
    if not end or any(change.kind not in ("output", "run") for changes in reasons.values() for change in changes):
        return []
    cause = failures.explained(work.session, end).cause
    name = cause.removeprefix("test ").removesuffix(" ... FAILED")
    told = ": ".join(filter(None, (f"the last run {end.end}", name)))
    return [_row(Change("run", work.name, "", told), _names(reasons), work)] if reasons else []


def _rows(work: TestRequest, reasons: Reasons) -> list[JsonChange]:
    rows: dict[tuple[str, str], JsonChange] = {}
    for package, changes in reasons.items():
        for change in changes:
            row = rows.setdefault((change.kind, change.subject + change.new), _row(change, "", work))
            names = [*row["package"].split(", "), package] if row["package"] else [package]
            row["package"] = ", ".join(dict.fromkeys(names))
    return list(rows.values())


def _row(change: Change, package: str, work: TestRequest) -> JsonChange:
    return {
        "kind": change.kind,
        "subject": reporter.relative(change.subject, work.session.root),
        "old": change.old,
        "new": change.new,
        "package": package,
    }


def _line(row: JsonChange) -> str:
    pair = row["kind"] in ("env", "tool", "argument")
    text = f"{row['old'] or 'unset'} -> {row['new'] or 'unset'}" if pair else row["new"]
    same = row["kind"] == "run" or row["package"] == row["subject"]
    return f"  {row['kind']:9} {row['subject']}: {text}" + (
        f"  ({row['package']})" if row["package"] and not same else ""
    )


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)
