"""Rows x pack x workspace -> the targets that exist here. A wrong row is an error, an absent target has a reason.

Family modules hold the rows; a new family is one name in `FAMILIES`. Knows nothing of doit but the names that it
cannot take.
"""

from __future__ import annotations

import importlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from doit_cargo.engine import variables
from doit_cargo.engine.errors import Absent, Problem, UserError, unknown
from doit_cargo.engine.model import PLATFORMS, Machine, Target, Workspace
from doit_cargo.engine.plan.decision import Case, decide
from doit_cargo.engine.plan.selection import ROLES_OF_CARGO
from doit_cargo.engine.profiles import Library, packs

FAMILIES = ("build", "check", "maintenance")

# Commands of doit: `doit NAME` runs the command, not a task of that name.
DOIT_COMMANDS = frozenset(
    {"auto", "clean", "completion", "dumpdb", "forget", "help", "ignore", "info", "list", "reset-dep", "run", "strace"}
    | {"reset_dep", "tabcompletion"}
)
# Words of doit-cargo that are no targets (cli.commands.COMMANDS).
OUR_COMMANDS = frozenset({"list", "makefile", "plan", "profile", "why"})
# Names that make users know. `doit-cargo clean` and `make clean` reach them, and so does `doit run clean`.
SHARED_WITH_DOIT = frozenset({"clean", "help", "info"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A target and whether this checkout, on this machine, has it; `reason` says why not."""

    target: Target
    available: bool
    reason: str = ""


def rows() -> tuple[Target, ...]:
    """Return the rows of all families, in their order."""
    modules = (importlib.import_module(f"doit_cargo.{family}") for family in FAMILIES)
    return tuple(target for module in modules for target in module.TARGETS)


def load(workspace: Workspace, library: Library, machine: Machine) -> tuple[Entry, ...]:
    """Return every target with whether it exists here."""
    targets = rows()
    require_good_names(targets)
    return tuple(_entry(target, workspace, library, machine) for target in targets)


def _entry(target: Target, workspace: Workspace, library: Library, machine: Machine) -> Entry:
    if target.packs and library.pack.name not in target.packs:
        reason = f"{target.name} is for the pack {' or '.join(target.packs)}; this workspace uses {library.pack.name}"
        return Entry(target, available=False, reason=reason)
    if target.platforms and machine.platform not in target.platforms:
        reason = f"{target.name} builds only on {' and '.join(target.platforms)}; this is {machine.platform}"
        return Entry(target, available=False, reason=reason)
    if not target.command:
        return Entry(target, available=True)
    try:
        decide(Case(target, variables.NONE, workspace, library, machine))
    except Absent as absent:
        return Entry(target, available=False, reason="; ".join(problem.what for problem in absent.problems))
    except UserError:
        # Something of the user's is broken, a profile file for instance. The target is here: asking for it tells.
        return Entry(target, available=True)
    return Entry(target, available=True)


def find(name: str, entries: Iterable[Entry]) -> Entry:
    """Return the entry of a target, by its doit or its make name; an unknown one raises with the nearest."""
    by_name = {entry.target.name: entry for entry in entries}
    found = by_name.get(name.replace("-", "_"))
    if found:
        return found
    known = tuple(name for name, entry in by_name.items() if entry.available)
    raise UserError(unknown("target", name, known, shown=len(known)))


# --- the rows are right ----------------------------------------------------------------------------------------------


def require_good_names(targets: tuple[Target, ...]) -> None:
    """Raise for names that are taken twice or that doit cannot have."""
    problems = [*_duplicates(targets), *_bad_names(targets)]
    if problems:
        raise UserError(problems)


def require_good_rows(targets: tuple[Target, ...], shipped: str = "") -> None:
    """Raise for everything that rows name and nobody knows. For tests: rows do not change at run time."""
    require_good_names(targets)
    layers = _shipped_layers(shipped or packs.shipped_directory())
    found = {name: packs.read_pack(layer, name) for name, layer in layers.items()}
    roles = {role for pack in found.values() for role in pack.roles} | set(ROLES_OF_CARGO)
    profiles = {profile for pack in found.values() for profile in pack.profiles}
    problems = [
        problem
        for target in targets
        for kind, names, known in (
            ("role", (target.package,), roles),
            ("profile", target.profile, profiles),
            ("variable", target.takes, set(variables.BY_NAME)),
            ("target", target.after, {other.name for other in targets}),
            ("pack", target.packs, set(found)),
            ("platform", target.platforms, set(PLATFORMS)),
        )
        for problem in _unknown_of(target, kind, names, known)
    ]
    if problems:
        raise UserError(problems)


def _shipped_layers(shipped: str) -> dict[str, tuple[packs.Layer, ...]]:
    names = packs.pack_names(shipped)
    layers = {name: packs.Layer(os.path.join(shipped, name), f"profiles/{name}") for name in names}
    return {name: tuple(dict.fromkeys([layers[name], layers[packs.BASE]])) for name in names}


def _unknown_of(target: Target, kind: str, names: Iterable[str], known: set[str]) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            yield unknown(kind, name, tuple(known), where=_row(target))


def _duplicates(targets: Iterable[Target]) -> Iterator[Problem]:
    counts = Counter(target.name for target in targets)
    for name, count in counts.items():
        if count > 1:
            families = sorted({target.family for target in targets if target.name == name})
            yield Problem(
                f"{count} targets are called {name}", "rename all but one", where=f"tasks: {', '.join(families)}"
            )


def _bad_names(targets: Iterable[Target]) -> Iterator[Problem]:
    for target in targets:
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", target.name):
            fix = "small letters, digits and single underscores, beginning with a letter"
            yield Problem(f"{target.name!r} cannot be the name of a target", fix, where=_row(target))
        elif target.name in DOIT_COMMANDS - SHARED_WITH_DOIT:
            yield Problem(f"{target.name!r} is a command of doit", "choose another name", where=_row(target))
        elif target.name in OUR_COMMANDS:
            yield Problem(f"{target.name!r} is a command of doit-cargo", "choose another name", where=_row(target))
        if bool(target.command) == bool(target.action):
            yield Problem(f"{target.name} must have a command or an action, one of them", "", where=_row(target))


def _row(target: Target) -> str:
    return f"tasks/{target.family}.py, {target.name}"
