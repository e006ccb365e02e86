"""What one plan needs from this computer, checked before cargo starts, so that a long build does not fail late.

Knows which looks there are, not what each sees, nor how plans are made; runs nothing but tools that tell of
themselves, and changes nothing. No GPU is never an error: code for one is built without it. Every step yields rows;
`require` keeps the bad ones. A new check is one function in `steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.launch import Service
from doit_cargo.engine.base.model import Invocation, Plan, Profile, Workspace
from doit_cargo.engine.base.process.processes import environment_of_tools
from doit_cargo.engine.preflight.check_context import MISSING, OK, WARN, WRONG, CheckContext, CheckRow, tool_row
from doit_cargo.engine.preflight.requirements.requirement import NOTHING, Inference
from doit_cargo.engine.state.footprint import UNKNOWN, Footprint
from doit_cargo.engine.toolchain import Machine
from doit_cargo.engine.toolchain.tools import ROWS
from doit_cargo.engine.toolchain.versions import split_need

Step = Callable[[CheckContext], Iterable[CheckRow]]

# Subcommands that rustup's components bring; any other tool of a subcommand is a row called cargo-NAME.
COMPONENTS = {"fmt": "rustfmt", "clippy": "clippy"}


class PreflightFacts(NamedTuple):
    """What is known of a plan beside itself: the members, what its crates need, what such a build took before."""

    workspace: Workspace | None = None
    inferred: Inference = NOTHING
    past: Footprint = UNKNOWN


NOTHING_KNOWN = PreflightFacts()


def check(plan: Plan, machine: Machine, workspace_root: str, known: PreflightFacts = NOTHING_KNOWN) -> list[Problem]:
    """Return all that would stop this plan."""
    return problems_in(report(plan, machine, workspace_root, known))


def problems_in(rows: Iterable[CheckRow]) -> list[Problem]:
    """Return the rows that stop a plan as problems."""
    return [Problem(row.what, row.fix, row.where) for row in rows if row.status in (MISSING, WRONG)]


def require(
    plan: Plan, machine: Machine, workspace_root: str, known: PreflightFacts = NOTHING_KNOWN, *, again: bool = False
) -> list[str]:
    """Raise all problems of this plan at once, if it has any; return the warnings for the user.

    `again` is for a plan that has held since its last success, when all was checked.
    """
    rows = list(rows_of(steps_again() if again else steps(), plan, machine, workspace_root, known))
    problems = problems_in(rows)
    if problems:
        raise UserError(problems, code=COULD_NOT_RUN)
    return [f"{row.what}; {row.fix}" if row.fix else row.what for row in rows if row.status == WARN]


def missing_tools(target: str, needs: Iterable[str], machine: Machine) -> list[Problem]:
    """Return a problem for each tool of an action that is missing or too old; a need is NAME or NAME>=VERSION."""
    return [problem for need in needs if (problem := _tool_problem(target, need, machine))]


def require_here(target: str, tools: Iterable[str], wanted: Iterable[Service], machine: Machine) -> None:
    """Raise for all tools and services that a row names and that are not here."""
    from doit_cargo.engine.preflight import services

    problems = [*missing_tools(target, tools, machine), *services.problems(target, wanted, machine)]
    if problems:
        raise UserError(problems, COULD_NOT_RUN)


def _tool_problem(target: str, need: str, machine: Machine) -> Problem | None:
    name, specifier = split_need(need)
    look = CheckContext(Plan(target, Profile(""), (), (), "", Invocation((), "")), machine, None)
    row = tool_row(look, name, specifier, target)
    return None if row.status == OK else Problem(row.what, row.fix, row.where)


def report(plan: Plan, machine: Machine, workspace_root: str, known: PreflightFacts = NOTHING_KNOWN) -> list[CheckRow]:
    """Return one row for each thing that the plan needs."""
    return list(rows_of(steps(), plan, machine, workspace_root, known))


def rows_of(
    chosen: Iterable[Step], plan: Plan, machine: Machine, workspace_root: str, known: PreflightFacts
) -> Iterator[CheckRow]:
    """Yield the rows of some steps."""
    seen = machine.at(plan.invocation.cwd or workspace_root, environment_of_tools(plan.invocation, machine.environ))
    look = CheckContext(plan, seen, known.workspace, known.inferred, _for_scripts(seen, known), known.past)
    for step in chosen:
        yield from step(look)


def _for_scripts(machine: Machine, known: PreflightFacts) -> Machine:
    """Return the machine as build scripts see it: cargo's config may set PROTOC or LIBCLANG_PATH for them."""
    if not known.inferred.needs:
        return machine
    from doit_cargo.engine.cargo.config import files

    tables = files.read_tables(machine.directory, machine.environ)
    return machine.at(machine.directory, files.environment(tables, machine.environ))


def _needs(look: CheckContext) -> Iterator[CheckRow]:
    """Look at every tool that the plan names or that its command is."""
    needs = {**_implied(look), **look.plan.needs}
    for name, specifier in needs.items():
        if name in ("cargo", "rustc") and look.runs_cargo and not specifier:
            continue  # `look_at_rust` has said it
        setting = look.plan.profile.needs.get(name)
        needed_by = setting.where if setting and name in look.plan.needs else look.plan.target
        yield _nvcc_row(look, specifier, needed_by) if name == "nvcc" else tool_row(look, name, specifier, needed_by)


def _nvcc_row(look: CheckContext, specifier: str, needed_by: str) -> CheckRow:
    from doit_cargo.engine.preflight.cuda.compiler import nvcc_row

    return nvcc_row(look, specifier, needed_by)


def _implied(look: CheckContext) -> dict[str, str]:
    """Return the tool that the command itself is: a component, a subcommand that cargo lacks, or another program."""
    if not look.runs_cargo:
        return {look.program: ""} if look.program else {}
    if look.command in COMPONENTS:
        return {COMPONENTS[look.command]: ""}
    return {f"cargo-{look.command}": ""} if f"cargo-{look.command}" in ROWS else {}


def steps() -> tuple[Step, ...]:
    """Return all looks, in their order."""
    from doit_cargo.engine.preflight.cuda.compiler import look_at_capability, look_at_host_compiler
    from doit_cargo.engine.preflight.cuda.gpu import look_at_gpu
    from doit_cargo.engine.preflight.requirements.checks import look_at_needs
    from doit_cargo.engine.preflight.resources import look_at_disk, look_at_memory
    from doit_cargo.engine.preflight.rust import look_at_linker, look_at_rust, look_at_target
    from doit_cargo.engine.preflight.unusable_settings import look_at_wrappers

    looks = (look_at_rust, look_at_target, look_at_wrappers, look_at_linker, _needs, look_at_needs)
    return (*looks, look_at_host_compiler, look_at_capability, look_at_gpu, look_at_disk, look_at_memory)


def steps_again() -> tuple[Step, ...]:
    """Return what a plan that held since its last success still has to be asked: the rest is part of what held."""
    from doit_cargo.engine.preflight.requirements.checks import look_at_needs
    from doit_cargo.engine.preflight.resources import look_at_disk, look_at_memory

    return (look_at_needs, look_at_disk, look_at_memory)
