"""A plan before a machine, the rows that looking yields, and the look at one tool.

Knows no step and no order of steps: preflight.py walks them.
"""

from __future__ import annotations

import os
import re

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.preflight.requirements.calls import subcommand
from doit_cargo.engine.preflight.requirements.requirement import NOTHING, Inference
from doit_cargo.engine.state.footprint import UNKNOWN, Footprint
from doit_cargo.engine.toolchain import Machine, version_cache
from doit_cargo.engine.toolchain.tools import Tool, how_to_get, packages_for, row_of
from doit_cargo.engine.toolchain.versions import satisfies

OK, MISSING, WRONG, WARN = "ok", "missing", "wrong", "warn"
COMPONENT = "rustup component add "


class CheckRow(NamedTuple):
    """One thing that was looked at. `what` and `fix` are empty where nothing is wrong; `where` is its file:line.

    `packages` are those of this system's package manager that bring what is missing.
    """

    name: str
    status: str
    version: str = ""
    path: str = ""
    needed_by: str = ""
    what: str = ""
    fix: str = ""
    where: str = ""
    packages: str = ""


class CheckContext(NamedTuple):
    """A plan before a machine that already sees the plan's own directory and environment.

    `inferred` is what the crates need; `scripts` is the machine as build scripts see it: cargo adds its ``[env]``.
    `past` is what such a build took before.
    """

    plan: Plan
    machine: Machine
    workspace: Workspace | None
    inferred: Inference = NOTHING
    scripts_machine: Machine | None = None
    past: Footprint = UNKNOWN

    @property
    def scripts(self) -> Machine:
        return self.scripts_machine or self.machine

    @property
    def command(self) -> str:
        return subcommand(self.plan.invocation.argv)

    @property
    def runs_cargo(self) -> bool:
        return os.path.splitext(os.path.basename(self.program))[0] == "cargo"

    @property
    def program(self) -> str:
        return next(iter(self.plan.invocation.argv), "")

    @property
    def needs_cuda(self) -> bool:
        """Whether the profile or a crate of this build asks for nvcc."""
        return "nvcc" in self.plan.needs or any(need.thing == "nvcc" for need in self.inferred.needs)

    def place(self, variable: str) -> str:
        """Return who set a variable: the profile's line, or the user's environment."""
        setting = self.plan.profile.env.get(variable)
        return setting.where if setting else variable


def tool_row(look: CheckContext, name: str, specifier: str, needed_by: str) -> CheckRow:
    """Return the row of one tool that the plan itself names, against its specifier."""
    where = needed_by if re.search(r":\d+$", needed_by) else ""
    return row_for(look.machine, name, specifier, look.plan.target, needed_by, where)


def row_for(machine: Machine, name: str, specifier: str, subject: str, needed_by: str, where: str = "") -> CheckRow:
    """Return the row of one tool against its specifier; `subject` is who needs it, in the words of a message."""
    tool = machine.tool(name)
    fix = how_to_get(name, machine.package_manager)
    if tool is None:
        what = _absence(machine, name, specifier, subject)
        fix = _with_toolchain(machine, name, fix)
        packages = packages_for(row_of(name).get, machine.package_manager)
        return CheckRow(name, MISSING, needed_by=needed_by, what=what, fix=fix, where=where, packages=packages)
    if satisfies(tool.version, specifier):
        return CheckRow(name, OK, tool.version, tool.path, needed_by)
    fix = f"get {name} {specifier}: {fix}" if tool.version else f"run `{_version_command(tool)}` to see why"
    what = _misfit(tool, specifier, subject)
    return CheckRow(name, WRONG, tool.version, tool.path, needed_by, what, fix, where)


def _with_toolchain(machine: Machine, name: str, fix: str) -> str:
    """Return how to get a tool; where rustup's proxy is there and the whole toolchain missing, what gets both."""
    row, chosen = row_of(name), machine.toolchain()
    if not row.component or not chosen.name or chosen.installed or not machine.which(row.executables[0]):
        return fix
    component = fix.removeprefix(COMPONENT) if fix.startswith(COMPONENT) else ""
    return f"rustup toolchain install {chosen.name}" + (f" --component {component}" if component else "")


def _version_command(tool: Tool) -> str:
    return " ".join((tool.path, *row_of(tool.name).argv))


def _misfit(tool: Tool, specifier: str, target: str) -> str:
    if not tool.version:
        seconds = f"{version_cache.VERSION_SECONDS:g} s"
        return f"{target} needs {tool.name} {specifier}, but {tool.path} did not tell its version within {seconds}"
    return f"{target} needs {tool.name} {specifier}, found {tool.version} at {tool.path}"


def _absence(machine: Machine, name: str, specifier: str, target: str) -> str:
    """Return that a tool is missing, and the variable that hides it if one does."""
    asked = f"{name} {specifier}".strip()
    row = row_of(name)
    for variable in row.environment:
        if machine.environ.get(variable):
            return f"{target} needs {asked}, but {variable}={machine.environ[variable]} is no program"
    if row.component and machine.which(row.executables[0]):
        chosen = machine.toolchain()
        if not chosen.installed:
            place = chosen.where.removeprefix(os.path.join(machine.directory, ""))
            return f"{target} needs {asked}, and the toolchain {chosen.name} ({place}) is not installed"
        return f"{target} needs {asked}, which the toolchain {chosen.name} lacks"
    return f"{target} needs {asked}, which is not on PATH"
