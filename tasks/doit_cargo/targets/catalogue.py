"""Rows x pack x workspace -> the targets that exist here. A wrong row is an error, an absent target has a reason.

Family modules hold the rows; a new family is one name in `FAMILIES`. A family may also have a rule:
`of_member(package)` yields rows for a member of the workspace, such as ``test_<package>``. Knows nothing of doit but
the names that it cannot take.
"""

from __future__ import annotations

import importlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import NamedTuple

from doit_cargo.engine.base import variables
from doit_cargo.engine.base.errors import Absent, Problem, UserError, unknown
from doit_cargo.engine.base.launch import OwnProgram
from doit_cargo.engine.base.model import PLATFORMS, MachineFacts, Pack, Package, Target, Workspace
from doit_cargo.engine.plan.decision import PlanCase, decide
from doit_cargo.engine.plan.profiles import Library, packs
from doit_cargo.engine.plan.selection import ROLES_OF_CARGO, select
from doit_cargo.targets import check, feature_sets, project_targets, setup
from doit_cargo.targets.commands import COMMANDS, SHARED_WITH_DOIT
from doit_cargo.targets.wording import Words, mode_of, packages_of

FAMILIES = (
    "build",
    "check",
    "test",
    "deps",
    "ci",
    "environment",
    "settings",
    "python",
    "models",
    "serve",
    "mcp",
    "coverage",
    "bench",
    "size",
    "performance",
    "cache",
    "cross",
    "deploy",
    "setup",
    "maintenance",
)

# Commands of doit: `doit NAME` runs the command, not a task of that name.
DOIT_COMMANDS = frozenset(
    {"auto", "clean", "completion", "dumpdb", "forget", "help", "ignore", "info", "list", "reset-dep", "run", "strace"}
    | {"reset_dep", "tabcompletion"}
)


class Entry(NamedTuple):
    """A target and whether this checkout, on this machine, has it; `reason` says why not.

    `files` are those that make it what it is, beside the workspace's own: of its profile and of the pack. `words` stand
    in its text. One that is not `listed` means nothing in this workspace, on any machine; `reason` says why.
    """

    target: Target
    available: bool
    reason: str = ""
    files: tuple[str, ...] = ()
    words: Words | None = None
    listed: bool = True


def rows() -> tuple[Target, ...]:
    """Return the rows of all families, in their order."""
    return tuple(target for family in FAMILIES for target in _module(family).TARGETS)


def targets(workspace: Workspace, library: Library, environ: Mapping[str, str]) -> tuple[Target, ...]:
    """Return all rows for a workspace: of the families, of its pack and its own, and those that rules make of members.

    Of two rows of one name the nearer one counts: the project's own, the pack's, a family's, a rule's.
    """
    own = project_targets.load(workspace.root, environ)
    require_good_names(own)
    checks = map(check.of_service, library.pack.services.values())
    sets = feature_sets.rows(library.pack.feature_sets.values())
    found = {target.name: target for target in (*rows(), *checks, *sets, *library.pack.targets, *own)}
    for family in FAMILIES:
        for package in workspace.packages.values():
            for target in of_member(family, package):
                found.setdefault(target.name, _as_the_general_one(target, found))
    return tuple(found.values())


def _as_the_general_one(target: Target, found: Mapping[str, Target]) -> Target:
    """Return the row of a member with the profile of the target that it narrows: `build_<package>` is as `build`."""
    general = found.get(target.rule.partition("_<")[0])
    same = general is not None and general.command and general.command == target.command
    return target._replace(profile=general.profile) if general and same else target


def of_member(family: str, package: Package) -> Iterator[Target]:
    """Yield the rows that the rule of a family, if it has one, makes of a member."""
    rule = getattr(_module(family), "of_member", None)
    yield from rule(package) if rule else ()


def row_files() -> tuple[str, ...]:
    """Return the files that hold rows, and this one, which names them."""
    return (__file__, str(feature_sets.__file__), *(str(_module(family).__file__) for family in FAMILIES))


def root_files() -> tuple[str, ...]:
    """Return the names of files in the root of a workspace whose absence makes a target absent."""
    return tuple(dict.fromkeys(name for target in rows() for name in target.root_files))


def _module(family: str) -> ModuleType:
    return importlib.import_module(f"doit_cargo.targets.{family}")


def load(workspace: Workspace, library: Library, machine: MachineFacts) -> tuple[Entry, ...]:
    """Return every target with whether it exists here; a group lacks the parts that do not."""
    require_good_names(rows())
    found = targets(workspace, library, machine.environ)
    _require_known(found, library, workspace)
    entries = {target.name: _entry(target, workspace, library, machine) for target in found}
    for target in project_targets.named(workspace.root, machine.environ):
        entries[target.name] = Entry(target, available=False, reason=f"{target.name} {project_targets.NOT_TRUSTED}")
    for name in list(entries):
        _settle(name, entries, set())
    general = entries["build"].words if "build" in entries else None
    needed = {need.split(">")[0] for entry in entries.values() if entry.listed for need in entry.target.needs}
    named = (entry._replace(words=entry.words or general) for entry in entries.values())
    return tuple(_only_if_needed(entry, needed) for entry in named)


def _only_if_needed(entry: Entry, needed: set[str]) -> Entry:
    """Leave the installation of a tool that nothing here needs out of the listing."""
    tool = setup.TOOLS.get(entry.target.name)
    if tool is None or tool in needed | setup.EVERYBODYS:
        return entry
    return entry._replace(listed=False, reason=f"installs {tool}, which no target here needs")


def _require_known(found: tuple[Target, ...], library: Library, workspace: Workspace) -> None:
    """Raise for names in the rows of TOML files that nobody knows. Rows in Python are checked by the tests."""
    names = {target.name for target in found}
    written = [target for target in found if target.where]
    problems = list(_bad_names(written))
    for target in written:
        known = (
            ("role", (target.package,), {*library.pack.roles, *ROLES_OF_CARGO, *workspace.packages}),
            ("profile", target.profile, set(library.names())),
            ("target", target.after, names),
            ("service", target.services, set(library.pack.services)),
        )
        problems += [
            unknown(kind, name, tuple(have), where=_row(target))
            for kind, asked, have in known
            for name in asked
            if name not in have
        ]
    if problems:
        raise UserError(problems)


def _settle(name: str, entries: dict[str, Entry], above: set[str]) -> None:
    """Settle the parts of a target, then itself: a group whose parts are groups depends on what becomes of those."""
    if name not in above:  # doit tells of a cycle
        for part in entries[name].target.after:
            if part in entries:
                _settle(part, entries, above | {name})
        entries[name] = _with_parts(entries[name], entries)


def _with_parts(entry: Entry, entries: Mapping[str, Entry]) -> Entry:
    """Drop the parts that do not exist here, and a group that then has none; a group takes what its parts take."""
    target = entry.target
    after = tuple(name for name in target.after if name in entries and entries[name].available)
    if not target.is_group:
        return entry._replace(target=target._replace(after=after)) if after != target.after else entry
    if entry.available and (not after or (target.requires_all_parts and len(after) < len(target.after))):
        parts = [entries[name] for name in target.after if name in entries and name not in after]
        lacking = "; ".join(part.reason for part in parts)
        return entry._replace(
            available=False, reason=f"{target.name} lacks its parts: {lacking}", listed=all(p.listed for p in parts)
        )
    takes = dict.fromkeys([*target.takes, *(name for part in after for name in entries[part].target.takes)])
    words = entry.words or next((entries[part].words for part in reversed(after)), None)
    return entry._replace(target=target._replace(after=after, takes=tuple(takes)), words=words)


def _entry(target: Target, workspace: Workspace, library: Library, machine: MachineFacts) -> Entry:
    reason = _absence(target, workspace, machine.platform, library.pack)
    files: tuple[str, ...] = ()
    words = None
    try:
        if not reason:
            files, words = _decided(target, workspace, library, machine)
    except Absent as absent:
        reason = "; ".join(problem.what for problem in absent.problems)
    except UserError:
        pass  # Something of the user's is broken, a profile file for instance: asking for the target tells.
    if reason:
        return Entry(target, available=False, reason=reason, listed=_is_for(target, workspace, library))
    idle = _asked(target.relevance, workspace, library)
    return Entry(target, available=True, reason=idle, files=files, words=words, listed=not idle)


class _AnyMachine(NamedTuple):
    """A machine of a platform that has everything: what is absent there is absent everywhere."""

    platform: str
    environ: Mapping[str, str] = {}

    def has(self, tool: str, specifier: str = "") -> bool:  # noqa: ARG002 - the protocol's signature
        return True

    def detect(self, name: str) -> str | None:  # noqa: ARG002 - the protocol's signature
        return None


def _is_for(target: Target, workspace: Workspace, library: Library) -> bool:
    """Tell whether a target that is not here could be, in this checkout on another machine."""
    for platform in target.platforms or PLATFORMS:
        try:
            if not _absence(target, workspace, platform, library.pack):
                _decided(target, workspace, library, _AnyMachine(platform))
                return not _asked(target.relevance, workspace, library)
        except Absent:
            continue
        except UserError:
            return True
    return False


def _asked(function: str, workspace: Workspace, library: Library) -> str:
    """Return what a function of a row, "module:function", says of a checkout; "" where there is none."""
    module, _, name = function.partition(":")
    return str(getattr(importlib.import_module(module), name)(workspace, library)) if function else ""


def _absence(target: Target, workspace: Workspace, platform: str, pack: Pack) -> str:
    """Return what a row itself says of why the target does not exist here, else an empty text."""
    if target.packs and pack.name not in target.packs:
        return f"{target.name} is for the pack {' or '.join(target.packs)}; this workspace uses {pack.name}"
    if target.platforms and platform not in target.platforms:
        verb = "builds only on" if target.command else "runs only on"
        return f"{target.name} {verb} {' and '.join(target.platforms)}; this is {platform}"
    if target.program and not os.path.exists(os.path.join(workspace.root, _needed_by(target.program))):
        return f"{target.name} works on {_needed_by(target.program)}, which this checkout lacks"
    missing = [name for name in target.root_files if not os.path.exists(os.path.join(workspace.root, name))]
    if missing:
        return f"{target.name} needs {missing[0]} in the root of the workspace"
    return ""


def _decided(
    target: Target, workspace: Workspace, library: Library, machine: MachineFacts
) -> tuple[tuple[str, ...], Words | None]:
    """Return the files that make a target what it is, and the words that it means; raises `UserError`, `Absent` for one
    that cannot be here.
    """
    reason = _asked(target.absence, workspace, library)
    if reason:
        raise Absent(Problem(f"{target.name} {reason}"))
    call, everything = _call_of(target), len(workspace.packages)
    if call:
        decision = decide(PlanCase(call, variables.NONE, workspace, library, machine))
        named = packages_of(decision.selection.packages, everything)
        return (*decision.profile.files, *library.pack.files), Words(named, mode_of(decision.cargo_profile))
    if target.package or target.member:
        found = select(target, variables.NONE, workspace, library.pack, machine)
        return (), Words(packages_of(found.packages, everything))
    return (), None


def _needed_by(program: OwnProgram) -> str:
    """Return what must be there for a program to make sense: its folder, for cargo with a manifest in it."""
    is_cargo = program.argv[0] == "cargo" and program.cwd
    return f"{program.cwd}/Cargo.toml" if is_cargo else program.cwd


def _call_of(target: Target) -> Target | None:
    """Return the target as a cargo call; an action that names profiles makes one of its own with them."""
    if target.command:
        return target
    return target._replace(command="build", action="") if target.action and target.profile else None


def find(name: str, entries: Iterable[Entry]) -> Entry:
    """Return the entry of a target, by its doit or its make name; an unknown one raises with the nearest."""
    by_name = {entry.target.name: entry for entry in entries}
    found = by_name.get(name.replace("-", "_"))
    if found:
        return found
    known = tuple(name for name, entry in by_name.items() if entry.available)
    raise UserError(unknown("target", name, known, shown=len(known)))


def require_good_names(targets: tuple[Target, ...]) -> None:
    """Raise for names that are taken twice or that doit cannot have."""
    problems = [*_duplicates(targets), *_bad_names(targets)]
    if problems:
        raise UserError(problems)


def shipped_packs() -> dict[str, Pack]:
    """Return the packs that come with doit-cargo, each with what it has from `base`."""
    shipped = packs.shipped_directory()
    layers = {name: packs.Layer(os.path.join(shipped, name), f"profiles/{name}") for name in packs.pack_names(shipped)}
    own = {name: tuple(dict.fromkeys([layer, layers[packs.BASE]])) for name, layer in layers.items()}
    return {name: packs.read_pack(found, name) for name, found in own.items()}


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
        elif target.name in COMMANDS:
            yield Problem(f"{target.name!r} is a command of doit-cargo", "choose another name", where=_row(target))
        if (target.command and target.action) or (target.is_group and not target.after):
            fix = "a cargo call has a command, an action an action, a group only `after`"
            yield Problem(f"{target.name} must have a command, an action or parts", fix, where=_row(target))


def _row(target: Target) -> str:
    return target.where or f"tasks/doit_cargo/targets/{target.family}.py, {target.name}"
