"""What is right and wrong with this computer for a workspace: rows of pre-flight, gathered, printed, or as JSON.

Makes no check of its own: those are in engine/preflight. Changes nothing and downloads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.model import Invocation, Plan, Profile, Setting
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.preflight import linker_report, preflight, services
from doit_cargo.engine.preflight.check_context import MISSING, OK, WARN, WRONG, CheckContext, CheckRow, row_for
from doit_cargo.engine.preflight.cuda import report
from doit_cargo.engine.preflight.requirements.checks import look_at_needs
from doit_cargo.engine.preflight.requirements.requirement import NOTHING, Inference
from doit_cargo.engine.toolchain import Machine
from doit_cargo.engine.toolchain.platform import install_command
from doit_cargo.engine.toolchain.versions import split_need

if TYPE_CHECKING:
    from doit_cargo.session import Session

# What a look into the environment is glad to see beside what is needed.
NEEDED = ("cargo", "rustc", "linker")
ALSO = ("rustup", "git", "cc", "c++", "python", "nvcc", "sccache", "cargo-nextest")
CUDA_TARGETS = ("build_cuda_full", "build_cuda")
CUDA_THINGS = frozenset({"nvcc", "capability", "cudnn", "nccl", "c++"})
PYTHON_THINGS = frozenset({"python", "libpython"})


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The rows for some targets. `why` says why they rest on Cargo.lock or less, "" where cargo resolved the crates."""

    targets: tuple[str, ...]
    rows: tuple[CheckRow, ...]
    why: str = ""
    manager: str = ""
    of_tools: bool = False  # alone, without a workspace; `why` says so

    @property
    def bad(self) -> tuple[CheckRow, ...]:
        return tuple(row for row in self.rows if row.status in (MISSING, WRONG))

    @property
    def ok(self) -> bool:
        return not self.bad

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages of this system that bring what is missing, also what is only warned of."""
        return tuple(dict.fromkeys(word for row in self.rows for word in row.packages.split()))

    @property
    def install(self) -> str:
        return install_command(self.manager, " ".join(self.packages)) if self.packages and self.manager else ""


def of_targets(session: Session, names: list[str]) -> Diagnosis:
    """Return what some targets need; without a name, the default build and the general environment."""
    asked = names or [default(session)]
    plans = list(_plans(session, asked))
    rows, why = _rows(session, plans)
    rows += [row for name in asked for row in _services(session, name)]
    rows += [] if names else [*_also(session.machine, session.environ, rows), *_stores(session)]
    return _diagnosis(session, tuple(plan.target for plan in plans), rows, why)


def of_tools(folder: str, environ: Mapping[str, str], error: UserError) -> Diagnosis:
    """Return what any Rust build needs, where there is no workspace, or no cargo, to tell more."""
    machine, problem = Machine(environ, directory=folder), error.problems[0]
    rows = [row_for(machine, name, "", "any build", "any build") for name in NEEDED]
    rows += _also(machine, environ, rows)
    return Diagnosis(
        ("this computer",), tuple(rows), f"{problem.what} ({problem.fix})", machine.package_manager, of_tools=True
    )


def _services(session: Session, name: str) -> Iterator[CheckRow]:
    """Yield a row for each service that must answer before a target or one of its parts runs."""
    row = session.row(name)
    for part in row["after"] if row["kind"] == "group" else ():
        yield from _services(session, part)
    for service in row["services"]:
        found = list(services.problems(row["name"], [session.library.pack.services[service]], session.machine))
        what, fix = (found[0].what, found[0].fix) if found else ("", "")
        yield CheckRow(service, MISSING if found else OK, needed_by=row["name"], what=what, fix=fix)


def _diagnosis(session: Session, targets: tuple[str, ...], rows: Iterable[CheckRow], why: str = "") -> Diagnosis:
    return Diagnosis(targets, tuple(rows), why, session.machine.package_manager)


def default(session: Session) -> str:
    """Return the target that stands for the workspace: `build`, else the first that calls cargo."""
    known = [row["name"] for row in session.listing if row["available"] and row["kind"] == "cargo"]
    if not known:
        raise UserError(Problem("no target of this workspace calls cargo", "doit-cargo list --all says why"))
    return "build" if "build" in known else str(known[0])


def _plans(session: Session, names: Iterable[str]) -> Iterator[Plan]:
    """Yield the plans of targets: of a group those of its parts, of an action one that has its tools."""
    for name in names:
        row = session.row(name)
        if row["kind"] == "cargo":
            yield session.new_plan(row["name"])
        elif row["kind"] == "group":
            yield from _plans(session, row["after"])
        else:
            needs = dict(map(split_need, row["needs"]))
            yield Plan(row["name"], Profile(""), (), (), "", Invocation((), session.root), needs=needs)


def _rows(session: Session, plans: Iterable[Plan]) -> tuple[list[CheckRow], str]:
    """Return the rows of several plans, each once, with all who need it."""
    found: dict[tuple[str, str, str, str], CheckRow] = {}
    why = ""
    for plan in plans:
        known = session.known(plan, plan.target)
        why = why or known.inferred.why
        for row in preflight.report(plan, session.machine, session.root, known):
            key = (row.name, row.status, row.path, row.what)
            found[key] = _with_both(found[key], row) if key in found else row
    return list(found.values()), why


def _with_both(row: CheckRow, other: CheckRow) -> CheckRow:
    names = dict.fromkeys([*row.needed_by.split(", "), *other.needed_by.split(", ")])
    return row._replace(needed_by=", ".join(names))


def _also(machine: Machine, environ: Mapping[str, str], rows: Iterable[CheckRow]) -> Iterator[CheckRow]:
    """Yield the tools that are here though nothing needs them."""
    told = {row.name for row in rows}
    for name in ALSO:
        tool = machine.tool(name) if name not in told else None
        if tool:
            yield CheckRow(name, OK, tool.version, tool.path)
    if machine.has("sccache"):
        from doit_cargo.engine.preflight import sccache_report

        yield from sccache_report.rows(environ)
    yield _observing(environ)


def _stores(session: Session) -> Iterator[CheckRow]:
    """Yield whether the stores of shared results answer; nothing is written to them."""
    from doit_cargo.sharing import check, settings

    found = settings.of(session.library.pack.share, session.root, session.environ, settings.READ)
    if found is None:
        return
    for address in found.reads:
        said = check.of(address, found)
        if said.answers:
            told = said.trouble or f"answers in {said.seconds * 1000:.0f} ms"
            yield CheckRow("shared results", OK, told, said.store)
        else:
            fix = "doit-cargo share check; without it all is built here"
            yield CheckRow("shared results", WARN, "", said.store, what=said.trouble, fix=fix)


def _observing(environ: Mapping[str, str]) -> CheckRow:
    """Return whether what a run really reads can be seen here: tried, since a container may forbid it."""
    from doit_cargo.engine.execution.observe.library import NotHere
    from doit_cargo.engine.execution.observe.observer import Observer

    try:
        observer = Observer.find(environ)
        observer.works(environ)
    except NotHere as absent:
        what = f"what tests and build scripts read is not seen: {absent.why}"
        return CheckRow("observing", WARN, what=what, fix=absent.fix or "declare it in [inputs] of a profile")
    return CheckRow("observing", OK, observer.kind, observer.program)


def _look(session: Session, plan: Plan, inferred: Inference = NOTHING) -> CheckContext:
    seen = session.machine.at(session.root, processes.environment_of_tools(plan.invocation, session.environ))
    return CheckContext(plan, seen, session.workspace, inferred)


def cuda(session: Session) -> Diagnosis:
    """Return the state of CUDA: as the workspace's fullest CUDA build needs it, or by itself."""
    available = {row["name"] for row in session.listing if row["available"]}
    name = next((name for name in CUDA_TARGETS if name in available), "")
    plan = session.new_plan(name) if name else _plan_of_tools("check_cuda_env", session.root, "nvcc")
    inferred = session.known(plan, plan.target).inferred if name else NOTHING
    inferred = inferred._replace(needs=tuple(need for need in inferred.needs if need.thing in CUDA_THINGS))
    rows = list(report.environment(_look(session, plan, inferred)))
    return _diagnosis(session, (plan.target,), rows, inferred.why)


def cuda_paths(session: Session) -> Diagnosis:
    """Return where CUDA is, and whether the variables agree."""
    look = _look(session, _plan_of_tools("check_cuda_paths", session.root, "nvcc"))
    return _diagnosis(session, ("check_cuda_paths",), report.paths(look))


def msvc(session: Session) -> Diagnosis:
    """Return the state of Visual C++."""
    look = _look(session, _plan_of_tools("check_msvc", session.root))
    return _diagnosis(session, ("check_msvc",), linker_report.visual_studio(look))


def linker(session: Session) -> Diagnosis:
    """Return the linker of this workspace, and whether a faster one is here."""
    plan = Plan("check_linker", Profile(""), (), (), "dev", Invocation(("cargo", "build"), session.root))
    return _diagnosis(session, ("check_linker",), linker_report.linkers(_look(session, plan)))


def python(session: Session) -> Diagnosis:
    """Return the Python that the members' PyO3 takes; where no crate needs one, the one that is here."""
    argv = ("cargo", "build", "--workspace")
    plan = Plan("check_python", Profile(""), (), (), "dev", Invocation(argv, session.root))
    inferred = session.known(plan, plan.target).inferred
    inferred = inferred._replace(needs=tuple(need for need in inferred.needs if need.thing in PYTHON_THINGS))
    look = _look(session, plan, inferred)
    rows = list(look_at_needs(look))
    if not rows:
        tool = session.machine.tool("python")
        what = "" if tool else "no Python is here, and no crate of this workspace needs one"
        rows = [
            CheckRow("python", OK if tool else WARN, tool.version if tool else "", tool.path if tool else "", what=what)
        ]
    return _diagnosis(session, ("check_python",), rows, inferred.why if inferred.needs else "")


def _plan_of_tools(target: str, root: str, *tools: str) -> Plan:
    needs = {name: Setting("", target) for name in tools}
    return Plan(target, Profile("", needs=needs), (), (), "", Invocation((), root), needs=dict.fromkeys(tools, ""))


def print_diagnosis(found: Diagnosis) -> None:
    """Print one line a check: its state, name, version and place, and who needs it; what is wrong and the fix below."""
    if found.why:
        print(f"{'' if found.of_tools else 'from Cargo.lock and the manifests, without cargo: '}{found.why}")
    name_width = max((len(row.name) for row in found.rows), default=0)
    version_width = max((len(row.version) for row in found.rows), default=0)
    for row in found.rows:
        needed = f"  for {_shortened(row.needed_by)}" if row.needed_by else ""
        line = f"{row.status:7}  {row.name:{name_width}}  {row.version:{version_width}}  {row.path}{needed}"
        print(line.rstrip())
        if row.what:
            print(f"         {f'{row.where}: ' if row.where else ''}{row.what}")
        if row.fix:
            print(f"         fix: {row.fix}")
    print(_summary(found))
    if len(found.bad) > 1 and found.install:
        print(f"all packages at once: {found.install}")


def _shortened(names: str) -> str:
    """Return the first three of who needs something."""
    parts = names.split(", ")
    return shortened(parts, 3)


def _summary(found: Diagnosis) -> str:
    count = {status: sum(row.status == status for row in found.rows) for status in (OK, WARN, MISSING, WRONG)}
    parts = [f"{number} {status}" for status, number in count.items() if number]
    return f"{', '.join(found.targets)}: {', '.join(parts) or 'nothing to check'}"


def to_json(found: Diagnosis) -> dict[str, object]:
    """Return a diagnosis as JSON can carry it; the keys of a check are the fields of `CheckRow`."""
    return {
        "targets": list(found.targets),
        "ok": found.ok,
        "basis": "tools" if found.of_tools else "lock" if found.why else "cargo",
        "why": found.why,
        "checks": [row._asdict() for row in found.rows],
        "install": found.install,
    }
