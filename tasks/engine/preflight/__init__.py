"""What one plan needs from this computer, checked before cargo starts, so that a long build does not fail late.

Knows which looks there are, not what each sees (look.py, rust_checks.py, cuda_checks.py), nor how plans are made;
runs nothing but tools that tell their version, and changes nothing. No GPU is never an error: code for one is
built without it. Every step yields rows; `check` keeps the bad ones. A new check is one function in `STEPS`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping

from doit_cargo.engine.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.model import Invocation, Plan, Profile, Workspace
from doit_cargo.engine.preflight.cuda import look_at_capability, look_at_host_compiler, nvcc_row
from doit_cargo.engine.preflight.look import MISSING, OK, WRONG, Look, Row, tool_row
from doit_cargo.engine.preflight.rust import look_at_linker, look_at_rust
from doit_cargo.engine.toolchain import Machine
from doit_cargo.engine.toolchain.tools import ROWS

# Subcommands that rustup's components bring; any other tool of a subcommand is a row called cargo-NAME.
COMPONENTS = {"fmt": "rustfmt", "clippy": "clippy"}


def check(plan: Plan, machine: Machine, workspace_root: str, workspace: Workspace | None = None) -> list[Problem]:
    """Return all that would stop this plan. With `workspace`, the members' `rust-version` is checked too."""
    rows = report(plan, machine, workspace_root, workspace)
    return [Problem(row.what, row.fix, row.where) for row in rows if row.status in (MISSING, WRONG)]


def require(plan: Plan, machine: Machine, workspace_root: str, workspace: Workspace | None = None) -> None:
    """Raise all problems of this plan at once, if it has any."""
    problems = check(plan, machine, workspace_root, workspace)
    if problems:
        raise UserError(problems, code=COULD_NOT_RUN)


def missing_tools(target: str, needs: Iterable[str], machine: Machine) -> list[Problem]:
    """Return a problem for each tool of an action that is missing or too old; a need is NAME or NAME>=VERSION."""
    return [problem for need in needs if (problem := _tool_problem(target, need, machine))]


def _tool_problem(target: str, need: str, machine: Machine) -> Problem | None:
    name, specifier = split_need(need)
    look = Look(Plan(target, Profile(""), (), (), "", Invocation((), "")), machine, None)
    row = tool_row(look, name, specifier, target)
    return None if row.status == OK else Problem(row.what, row.fix, row.where)


def split_need(need: str) -> tuple[str, str]:
    """Return (name, specifier) of a tool that a row needs.

    >>> split_need("maturin>=1.4"), split_need("cl.exe")
    (('maturin', '>=1.4'), ('cl.exe', ''))
    """
    name = re.split(r"[<>=!~]", need, maxsplit=1)[0]
    return name.strip(), need[len(name) :].strip()


def report(plan: Plan, machine: Machine, workspace_root: str, workspace: Workspace | None = None) -> list[Row]:
    """Return one row for each thing that the plan needs."""
    seen = machine.at(plan.invocation.cwd or workspace_root, effective_environment(plan, machine.environ))
    look = Look(plan, seen, workspace)
    return [row for step in STEPS for row in step(look)]


def effective_environment(plan: Plan, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that the plan's process will see."""
    call = plan.invocation
    seen = {name: value for name, value in environ.items() if name not in call.unset} | dict(call.env)
    if call.path_prepend:
        seen["PATH"] = os.pathsep.join([*call.path_prepend, seen.get("PATH", "")])
    if len(call.argv) > 1 and call.argv[1].startswith("+"):
        seen["RUSTUP_TOOLCHAIN"] = call.argv[1][1:]  # `cargo +nightly` is the strongest choice of all
    return seen


def _needs(look: Look) -> Iterator[Row]:
    """Look at every tool that the plan names or that its command is."""
    needs = {**_implied(look), **look.plan.needs}
    for name, specifier in needs.items():
        if name in ("cargo", "rustc") and look.runs_cargo and not specifier:
            continue  # `look_at_rust` has said it
        setting = look.plan.profile.needs.get(name)
        needed_by = setting.where if setting and name in look.plan.needs else look.plan.target
        yield nvcc_row(look, specifier, needed_by) if name == "nvcc" else tool_row(look, name, specifier, needed_by)


def _implied(look: Look) -> dict[str, str]:
    """Return the tool that the command itself is: a component, a subcommand that cargo lacks, or another program."""
    if not look.runs_cargo:
        return {look.program: ""} if look.program else {}
    if look.command in COMPONENTS:
        return {COMPONENTS[look.command]: ""}
    return {f"cargo-{look.command}": ""} if f"cargo-{look.command}" in ROWS else {}


STEPS = (look_at_rust, look_at_linker, _needs, look_at_host_compiler, look_at_capability)
