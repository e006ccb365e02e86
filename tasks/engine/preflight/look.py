"""A plan before a machine, the rows that looking yields, and the look at one tool.

Knows no step and no order of steps: preflight.py walks them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from doit_cargo.engine.model import Plan, Workspace
from doit_cargo.engine.toolchain import Machine, version_cache
from doit_cargo.engine.toolchain.tools import Tool, how_to_get, row_of
from doit_cargo.engine.toolchain.versions import satisfies

OK, MISSING, WRONG, WARN = "ok", "missing", "wrong", "warn"

# Cargo's options whose value is the next word, before the subcommand (cargo --help).
WITH_VALUE = frozenset({"--config", "--color", "--manifest-path", "-Z", "-C"})


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at. `what` and `fix` are empty where nothing is wrong; `where` is its file:line."""

    name: str
    status: str
    version: str = ""
    path: str = ""
    needed_by: str = ""
    what: str = ""
    fix: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """A plan before a machine that already sees the plan's own directory and environment."""

    plan: Plan
    machine: Machine
    workspace: Workspace | None

    @property
    def command(self) -> str:
        return _subcommand(self.plan.invocation.argv)

    @property
    def runs_cargo(self) -> bool:
        return os.path.splitext(os.path.basename(self.program))[0] == "cargo"

    @property
    def program(self) -> str:
        return next(iter(self.plan.invocation.argv), "")

    def place(self, variable: str) -> str:
        """Return who set a variable: the profile's line, or the user's environment."""
        setting = self.plan.profile.env.get(variable)
        return setting.where if setting else variable


def _subcommand(argv: Sequence[str]) -> str:
    """Return cargo's subcommand: the first word that is no option, no option's value and no +toolchain."""
    words = iter(argv[1:])
    for word in words:
        if word in WITH_VALUE:
            next(words, None)
        elif not word.startswith(("-", "+")):
            return word
    return ""


def tool_row(look: Look, name: str, specifier: str, needed_by: str) -> Row:
    """Return the row of one tool against its specifier."""
    tool = look.machine.tool(name)
    fix = how_to_get(name, look.machine.package_manager)
    where = needed_by if re.search(r":\d+$", needed_by) else ""
    if tool is None:
        what = _absence(look.machine, name, specifier, look.plan.target)
        return Row(name, MISSING, needed_by=needed_by, what=what, fix=fix, where=where)
    if satisfies(tool.version, specifier):
        return Row(name, OK, tool.version, tool.path, needed_by)
    fix = f"get {name} {specifier}: {fix}" if tool.version else f"run `{_version_command(tool)}` to see why"
    what = _misfit(tool, specifier, look.plan.target)
    return Row(name, WRONG, tool.version, tool.path, needed_by, what, fix, where)


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
        return f"{target} needs {asked}, which the toolchain {machine.toolchain().name} lacks"
    return f"{target} needs {asked}, which is not on PATH"
