"""One target for many platforms: each triple is a cargo call of its own, with its own receipt, log and skip.

A triple that cannot be built from here is told with what it lacks, and the others are built all the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doit_cargo.engine.base.errors import BAD_INPUT, UserError, unknown
from doit_cargo.engine.base.model import Plan, Setting, Target
from doit_cargo.engine.base.tables import counted, size_of
from doit_cargo.engine.base.variables import ALL, CARGO, Values
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import receipts
from doit_cargo.engine.toolchain import triples
from doit_cargo.engine.toolchain.tools import how_to_get

if TYPE_CHECKING:
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.session import Session

DONE, FRESH, SKIPPED, FAILED = "done", "up to date", "skipped", "failed"


@dataclass(slots=True)
class TripleRow:
    """A triple and what becomes of it. `what` is an output, or the reason why there is none."""

    triple: str
    is_host: bool
    through: str = ""
    linker: str = ""
    result: str = ""
    what: str = ""
    seconds: float = 0.0
    plan: Plan | None = None

    @property
    def name(self) -> str:
        return f"{self.triple} (this computer)" if self.is_host else self.triple


def check(session: Session, values: Values) -> None:
    """Raise for triples that rustc does not know, and for variables that are wrong for every triple."""
    known = triples.known(session.machine)
    wanted = values.words("TARGETS") or session.library.pack.platform_triples
    where = "TARGETS" if values.words("TARGETS") else "platform-triples"
    problems = [
        unknown("target triple", name, known, where) for name in wanted if known and triples.plain(name) not in known
    ]
    if problems:
        raise UserError(problems)
    _plan_all(session, _target("build"), values, _rows(session, values, "build"))


def build_all_platforms(session: Session, values: Values) -> bool:
    """Build the server for each triple."""
    return _run_all(session, values, _target("build"))


def cross_matrix(session: Session, values: Values) -> bool:
    """Type-check the workspace for each triple: a linker for it is not needed."""
    return _run_all(session, values, _target("check"))


def _target(command: str) -> Target:
    if command == "check":
        return Target("cross_matrix", "cross", "", command, profile=("check",), package=ALL, takes=CARGO)
    return Target("build_all_platforms", "cross", "", command, profile=("release",), package="server", takes=CARGO)


def _run_all(session: Session, values: Values, target: Target) -> bool:
    rows = _rows(session, values, target.command)
    _plan_all(session, target, values, rows)
    for row in rows:
        if row.plan and not session.interrupted:
            _run(session, target, values, row, row.plan)
    _print(rows)
    return _tell(target.name, rows, asked=bool(values.words("TARGETS")))


def _rows(session: Session, values: Values, command: str) -> list[TripleRow]:
    host = triples.host_of(session.machine)
    wanted = values.words("TARGETS") or (host, *session.library.pack.platform_triples)
    rows = [TripleRow(triple, triple == host) for triple in dict.fromkeys(wanted)]
    for row in rows:
        _find_way(session, row, command, host)
    return rows


def _find_way(session: Session, row: TripleRow, command: str, host: str) -> None:
    """Note through what a triple is built, or what is missing for it."""
    way = (
        triples.way_to_build(session.machine, row.triple, host)
        if command == "build"
        else triples.CrossStrategy(triples.CARGO)
    )
    row.through, row.linker = way.through, way.linker
    if not triples.has_std(session.machine, row.triple):
        row.what = f"its standard library is not installed: {triples.how_to_add(session.machine, row.triple)}"
    elif way.through != triples.CARGO and not session.machine.has(way.through):
        row.what = f"needs {way.through}: {how_to_get(way.through, session.machine.package_manager)}"
    if row.what:
        row.result, row.through = SKIPPED, ""


def _plan_all(session: Session, target: Target, values: Values, rows: Iterable[TripleRow]) -> None:
    """Plan every triple that can be built. What is wrong with all of them is bad input: raised, nothing has started."""
    errors = []
    wanted = [row for row in rows if not row.result]
    for row in wanted:
        try:
            row.plan = _plan(session, target, values, row)
        except UserError as error:
            errors.append(error)
            row.result, row.what = FAILED, "; ".join(problem.what for problem in error.problems)
    if errors and len(errors) == len(wanted):
        raise UserError(errors[0].problems, BAD_INPUT)


def _plan(session: Session, target: Target, values: Values, row: TripleRow) -> Plan:
    from doit_cargo.engine.plan import plan

    chosen = dict(values.by_name)
    chosen.pop("TARGETS", None)
    if not row.is_host:
        chosen["TARGET"] = row.triple if row.through == triples.ZIGBUILD else triples.plain(row.triple)
    command = triples.COMMANDS[row.through] if target.command == "build" else target.command
    made = plan.make(
        target._replace(command=command), Values(chosen), session.workspace, session.library, session.machine
    )
    log = os.path.join(os.path.dirname(made.log), f"{target.make_name}-{row.triple}.log")
    return _with_tools(session, made._replace(log=log), row)


def _with_tools(session: Session, made: Plan, row: TripleRow) -> Plan:
    """Add what a triple takes besides cargo: the folder of cargo-zigbuild and of its zig, or a linker."""
    step = made.invocation
    if row.linker:
        variable = f"CARGO_TARGET_{row.triple.upper().replace('-', '_')}_LINKER"
        step = step._replace(env={**step.env, variable: row.linker})
    if row.through == triples.CARGO:
        return made._replace(invocation=step)
    found = session.machine.tool(row.through)
    folder = os.path.dirname(found.path) if found else ""
    if folder and folder not in session.environ.get("PATH", "").split(os.pathsep):
        step = step._replace(path_prepend=(*step.path_prepend, folder))
    profile = made.profile._replace(needs={**made.profile.needs, row.through: Setting("", made.target)})
    return made._replace(invocation=step, needs={**made.needs, row.through: ""}, profile=profile)


def _run(session: Session, target: Target, values: Values, row: TripleRow, plan: Plan) -> None:
    from doit_cargo.engine.execution.execute import execute

    started = time.monotonic()
    try:
        outcome = execute(_request(session, target, values, row.triple, plan))
    except UserError as error:
        reporter.problem(f"{target.name} {row.triple}", error)
        row.result, row.what = FAILED, error.problems[0].what
        return
    row.seconds = time.monotonic() - started
    if outcome is None or outcome.ok:
        row.result = DONE if outcome else FRESH
        row.what = _outputs(plan, session.root)
    else:
        session.interrupted = session.interrupted or outcome.interrupted
        log = reporter.relative(plan.log, session.root)
        row.result, row.what = FAILED, f"cargo ended with status {outcome.status}; log: {log}"


def _request(session: Session, target: Target, values: Values, triple: str, plan: Plan) -> BuildRequest:
    from doit_cargo.engine.execution.request import BuildRequest

    raw = {name: value for name, value in session.raw.items() if name in target.takes}
    return BuildRequest(
        target=f"{target.name} {triple}",
        key=receipts.key_of(target.name, {**raw, "TRIPLE": triple}),
        state=session.state,
        environ=session.environ,
        variables=values,
        cosmetic_options=("each time a plan of its own",),
        plan=plan,
        workspace=session.workspace,
        machine=session.machine,
        known=lambda: session.known(plan, target.name),
    )


def _outputs(plan: Plan, root: str) -> str:
    present = [path for path in plan.outputs if os.path.exists(path)]
    return ", ".join(f"{reporter.relative(path, root)} {size_of(os.path.getsize(path))}" for path in present)


def _print(rows: Iterable[TripleRow]) -> None:
    """Print one table of all triples."""
    lines = [("triple", "through", "result", "")]
    for row in rows:
        result = f"{row.result} in {row.seconds:.1f} s" if row.result == DONE else row.result or "not run"
        lines.append((row.name, row.through, result, row.what))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    print()
    for line in lines:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]]).rstrip())


def _tell(target: str, rows: list[TripleRow], asked: bool) -> bool:
    """Say how many are done. What was asked for by name and could not be built is a failure."""
    counts: Mapping[str, int] = {result: sum(row.result == result for row in rows) for result in (DONE, FRESH)}
    good = counts[DONE] + counts[FRESH]
    skipped = [row.triple for row in rows if row.result == SKIPPED]
    failed = [row.triple for row in rows if row.result in (FAILED, "")]
    text = f"{good} of {counted(len(rows), 'platform')} done"
    text += f"; skipped: {', '.join(skipped)}" if skipped else ""
    text += f"; failed: {', '.join(failed)}" if failed else ""
    ok = bool(good) and not failed and not (asked and skipped)
    (reporter.done if ok else reporter.failed)(target, text)
    return ok
