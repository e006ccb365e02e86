"""Benchmarks: which there are, how each is run, and the figures that come of it.

A benchmark is a cargo target of the kind `bench`; the package in the role `bench` may also be a program that measures
by itself. They are built once, then run one after the other, so that none disturbs another. Knows no baseline.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.actions import explain, log_path, planned, run_tool, shown_log
from doit_cargo.actions.measure import programs
from doit_cargo.actions.measure.bench.results import Results, criterion_files, criterion_places, read
from doit_cargo.engine.base.errors import COULD_NOT_RUN, FAILED, Problem, UserError
from doit_cargo.engine.base.variables import Values
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import build_places
from doit_cargo.engine.state import lock

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import CargoTarget, Invocation, Package, Plan
    from doit_cargo.session import Session

ROLE = "bench"


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """What to measure: fewer samples or all, and whether the program in the role `bench` belongs to it."""

    quick: bool = False
    programs: bool = False


class Measured(NamedTuple):
    """The figures, and how each program that gave them is started by itself: its path is the first word."""

    results: Results
    calls: dict[str, Invocation]


def measure(session: Session, values: Values, wanted: BenchRequest) -> Measured:
    """Build and run the benchmarks that the row and its variables select; return their figures.

    Raises `UserError` where there are none, and where one of them fails or prints nothing that can be read.
    """
    plan, names, lacking, program = _choose(session, values, wanted)
    for name, features in lacking.items():
        reporter.note(plan.target, f"{name} is left out: it needs FEATURES={features}")
    found = Measured({}, {})
    if names:
        planned.require(session, values, plan)
        _run_benches(session, plan, names, wanted, found)
    if program:
        _run_program(session, values, program, wanted, found)
    return found


def check(session: Session, values: Values, wanted: BenchRequest) -> None:
    """Raise `UserError` for bad variables, and where the selected packages have nothing to run."""
    _choose(session, values, wanted)


def plans(session: Session, values: Values, wanted: BenchRequest) -> list[Plan]:
    """Return the calls of a measurement: the build of all benchmarks, and each by itself."""
    plan, names, lacking, program = _choose(session, values, wanted)
    left_out = tuple(f"{name} is left out: it needs FEATURES={features}" for name, features in lacking.items())
    found = [_building(plan, names)._replace(notes=(*plan.notes, *left_out))] if names else []
    found += [_with(plan, "--bench", name) for name in names]
    if program:
        built = _program_plan(session, values, program)
        started = built.invocation._replace(argv=(planned.require_program(built, ""),))
        found += [built, built._replace(invocation=started)]
    return found


def _choose(session: Session, values: Values, wanted: BenchRequest) -> tuple[Plan, list[str], dict[str, str], str]:
    """Return the plan, its benchmarks, those that lack a feature (and which), and the package of the bench program."""
    plan = planned.plan_of(session, values, "bench")
    names, lacking = _benches_of(session, plan)
    program = program_package(session, values) if wanted.programs else ""
    if not names and not program:
        raise UserError(_nothing_to_run(session, plan, lacking))
    return plan, names, lacking, program


def _nothing_to_run(session: Session, plan: Plan, lacking: dict[str, str]) -> Problem:
    having = [name for name, package in session.workspace.packages.items() if _benches(package)]
    selected = ", ".join(plan.packages) if len(plan.packages) < len(session.workspace.packages) else "this workspace"
    if lacking:
        name, features = next(iter(lacking.items()))
        return Problem(f"the benchmark {name} needs features that are off", f"add FEATURES={features}")
    fix = f"packages that have: {', '.join(having)}" if having else "add a [[bench]] to a Cargo.toml, or benches/*.rs"
    program = next(iter(session.library.pack.roles.get(ROLE, ())), "")
    if program in plan.packages:
        fix += f"; bench_full runs the program {program}"
    return Problem(f"{selected} has no benchmarks", fix)


def _benches(package: Package) -> list[CargoTarget]:
    return [target for target in package.cargo_targets if "bench" in target.kinds]


def _benches_of(session: Session, plan: Plan) -> tuple[list[str], dict[str, str]]:
    """Return the benchmarks of the selected packages that can be built, and the features that the others lack."""
    from doit_cargo.engine.plan import features

    found: dict[str, None] = {}
    lacking: dict[str, str] = {}
    for package in map(session.workspace.packages.__getitem__, plan.packages):
        on = features.enabled_in(plan, package)
        for target in _benches(package):
            missing = [feature for feature in target.required_features if feature not in on]
            if missing:
                lacking[target.name] = ",".join(missing)
            else:
                found.setdefault(target.name)
    return list(found), lacking


def _run_benches(session: Session, plan: Plan, names: list[str], wanted: BenchRequest, found: Measured) -> None:
    """Build all, then run each by itself, always with the same selection: no feature set changes in between."""
    built = planned.run_cargo(session, _building(plan, names), log_path(session, f"{plan.target}-build"))
    if not built.ok:
        raise UserError(Problem("the benchmarks could not be built", _log(session, f"{plan.target}-build")), FAILED)
    units = {unit.name: unit for unit in built.report.units if "bench" in unit.kinds}
    for name in names:
        program = units[name].executable if name in units else ""
        passed = ("--quick",) if wanted.quick and _has_quick_mode(session, name, program) else ()
        found.results.update(_run(session, name, _with(plan, "--bench", name, passed=passed).invocation))
        owner = session.workspace.packages.get(units[name].package) if program else None
        if owner:  # as cargo starts it
            call = plan.invocation
            env = {**call.env, "CARGO_MANIFEST_DIR": owner.directory}
            found.calls[name] = call._replace(argv=(program, "--bench", *passed), cwd=owner.directory, env=env)


def _building(plan: Plan, names: Iterable[str]) -> Plan:
    return _with(plan, *(word for name in names for word in ("--bench", name)), "--no-run")


def _with(plan: Plan, *words: str, passed: tuple[str, ...] = ()) -> Plan:
    """Return a `cargo bench` with further arguments. It knows no --release: its own profile is an optimised one."""
    call = plan.invocation.with_arguments(*words)
    argv = tuple(word for word in call.argv if word != "--release")
    return plan._replace(invocation=call._replace(argv=(*argv, "--", *passed) if passed else argv))


def _has_quick_mode(session: Session, name: str, program: str) -> bool:
    """Ask a benchmark whether it takes --quick, together with --list, which measures nothing (Criterion takes both)."""
    if program and programs.ask(session, session.root, program, "--bench", "--list", "--quick"):
        return True
    reporter.note(session.current, f"{name} has no quick mode: all of its samples are taken")
    return False


def run_alone(session: Session, name: str, call: Invocation) -> Results:
    """Run the program of a benchmark by itself; Criterion's files of the workspace stay as they are."""
    home = planned.scratch_directory(session, "bench-control")
    return _run(session, name, call._replace(env={**call.env, "CRITERION_HOME": home}))


def _run(session: Session, name: str, call: Invocation) -> Results:
    """Run one benchmark and read its figures: Criterion's files go before what it printed."""
    criterion = call.env.get("CRITERION_HOME") or _criterion_folder(session)
    before = criterion_places(criterion)
    log = log_path(session, f"{session.current}-{name}")
    with lock.RunLock(session.state), build_places.held(session.workspace.built_in):
        outcome = run_tool(session, session.current, call.argv, env=call.env, unset=call.unset, cwd=call.cwd, log=log)
    if not outcome.ok:
        explain(session, session.current, outcome, log)
        what = "was interrupted" if outcome.interrupted else f"failed with status {outcome.status}"
        raise UserError(Problem(f"the benchmark {name} {what}", _log(session, f"{session.current}-{name}")), FAILED)
    with open(log, encoding="utf-8") as stream:
        found = read(stream.read())
    found.update(criterion_files(criterion, before))
    if not found:
        fix = "known are Criterion's and libtest's output, and JSON lines with name and median_ns; " + _log(
            session, f"{session.current}-{name}"
        )
        raise UserError(Problem(f"the benchmark {name} printed no figures that can be read", fix), FAILED)
    return {f"{name}: {each}": times for each, times in found.items()}


def _criterion_folder(session: Session) -> str:
    home = session.environ.get("CRITERION_HOME")
    return home or os.path.join(session.workspace.target_directory, "criterion")


def _log(session: Session, target: str) -> str:
    return f"see the log: {shown_log(session, target)}"


def program_package(session: Session, values: Values) -> str:
    """Return the package whose program measures by itself, if this checkout has it and PACKAGE does not exclude it."""
    candidates: Iterable[str] = session.library.pack.roles.get(ROLE, ())
    packages = session.workspace.packages
    found = next((name for name in candidates if name in packages and packages[name].binaries), "")
    asked = values.words("PACKAGE")
    return found if not asked or found in asked or "all" in asked else ""


def _program_plan(session: Session, values: Values, package: str) -> Plan:
    rest = Values({name: value for name, value in values.by_name.items() if name != "PACKAGE"})
    return planned.plan_of(session, rest, "build", member=package, package="", profile=("release",))


def _run_program(session: Session, values: Values, package: str, wanted: BenchRequest, found: Measured) -> None:
    plan = _program_plan(session, values, package)
    planned.require(session, values, plan)
    if not planned.run_cargo(session, plan, log_path(session, f"{plan.target}-build")).ok:
        raise UserError(Problem(f"{package} could not be built", _log(session, f"{plan.target}-build")), FAILED)
    program = planned.require_program(plan, "")
    argv = (program, *_program_arguments(session, values, program, package, wanted))
    call = plan.invocation._replace(argv=argv)
    found.results.update(_run(session, package, call))
    found.calls[package] = call


def _program_arguments(session: Session, values: Values, program: str, package: str, wanted: BenchRequest) -> list[str]:
    """Return the options that the program's own help names, and its model if it takes one."""
    words = programs.ask(session, session.root, program, "--help")
    chosen = [option for option, asked in (("--json", True), ("--quick", wanted.quick)) if asked and option in words]
    model = values.text("MODEL")
    if not programs.TAKES_A_MODEL.search(words):
        if model:
            reporter.note(session.current, f"{package} takes no model: MODEL={model} has no effect on it")
        return chosen
    if not model:
        fix = f"doit-cargo {session.current} MODEL=name, or MODEL=path/to/file.gguf"
        raise UserError(Problem(f"{package} measures a model, and MODEL names none", fix), COULD_NOT_RUN)
    return [*chosen, *programs.model_arguments(model)]
