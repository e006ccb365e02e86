"""Which packages a target acts on: its role, the whole workspace, cargo's own choice, or what PACKAGE says.

Decides names only; knows nothing of features or arguments.
"""

from __future__ import annotations

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.errors import Absent, Problem, UserError, unknown
from doit_cargo.engine.base.model import MachineFacts, Pack, Target, Workspace
from doit_cargo.engine.base.variables import ALL, Values

# What a row may write instead of a role: cargo's own selection, or the whole workspace.
ROLES_OF_CARGO = ("", ALL)

# How cargo is told: nothing at all, --workspace, or --package for each.
OWN = "own"
WHOLE = "whole"
NAMED = "named"


class Selection(NamedTuple):
    """The packages that cargo acts on, and how it is told. `needs` are tools of optional packages among them."""

    packages: tuple[str, ...]
    how: str
    excluded: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def without_programs(workspace: Workspace, library: object) -> str:  # noqa: ARG001
    """Return why a target that works on programs does not exist here, "" if it does: a row's `absence`."""
    makes = any(package.binaries for package in workspace.packages.values())
    return "" if makes else "works on programs, and no member makes one"


def select(target: Target, values: Values, workspace: Workspace, pack: Pack, machine: MachineFacts) -> Selection:
    """Return the packages of a target; an unknown PACKAGE is a `UserError`, a role without package is `Absent`."""
    wanted = values.words("PACKAGE") or _of_target(target, workspace, pack)
    if wanted == (ALL,):
        return _without_missing_tools(Selection(tuple(workspace.packages), WHOLE), workspace, pack, machine)
    if wanted:
        return _named(wanted, workspace, pack)
    return _without_missing_tools(Selection(workspace.default_members, OWN), workspace, pack, machine)


def _of_target(target: Target, workspace: Workspace, pack: Pack) -> tuple[str, ...]:
    """Return the package that plays the target's role here, `ALL`, or nothing for cargo's own selection."""
    if target.member:
        return (target.member,)
    if target.package in ROLES_OF_CARGO:
        return (target.package,) if target.package else ()
    # Whoever writes a row for a workspace means its packages; a shipped row means roles.
    if target.package in workspace.packages and (target.where or target.package not in pack.roles):
        return (target.package,)
    if target.package not in pack.roles:
        raise Absent(
            Problem(f"{target.name} needs a package in the role {target.package}; the pack {pack.name} has none")
        )
    candidates = pack.roles[target.package]
    found = next((name for name in candidates if name in workspace.packages), "")
    if candidates and not found:
        names = " or ".join(candidates)
        raise Absent(Problem(f"{target.name} needs the package {names}, which this checkout lacks"))
    return (found,) if found else ()


def _named(names: tuple[str, ...], workspace: Workspace, pack: Pack) -> Selection:
    known = tuple(workspace.packages)
    problems = [unknown("package", name, known, "PACKAGE") for name in names if name not in known]
    if problems:
        raise UserError(problems)
    needs = dict.fromkeys(tool for name in names if (tool := pack.optional_packages.get(name)))
    return Selection(names, NAMED, needs=tuple(needs))


def _without_missing_tools(selection: Selection, workspace: Workspace, pack: Pack, machine: MachineFacts) -> Selection:
    """Leave out the packages whose tool is not here: they were not asked for by name, so the rest can be built."""
    tools = {name: pack.optional_packages.get(name, "") for name in selection.packages}
    missing = tuple(name for name, tool in tools.items() if tool and not machine.has(tool))
    if not missing:
        return selection
    rest = tuple(name for name in selection.packages if name not in missing)
    notes = tuple(f"{name} is left out: it needs {tools[name]}, which is not here" for name in missing)
    if len(selection.packages) == len(workspace.packages):
        return Selection(rest, WHOLE, excluded=missing, notes=notes)
    # Cargo has no --exclude without --workspace.
    return selection._replace(packages=rest, how=NAMED, notes=notes)
