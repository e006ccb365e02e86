"""From the processes of an observed build to what each unit rests on beside what cargo tracks by itself.

A *record* is plain data for the ledger: the unit's identity, its package, what it is, its items and the reasons why
they may not be all. An *item* is (by, row): `by` tells who asked, rows are those of `state.seen`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.model import Workspace
from doit_cargo.engine.cargo import units
from doit_cargo.engine.cargo.config.named_files import HARMLESS
from doit_cargo.engine.execution.observe.inputs import (
    ASKED_BY_RUST,
    CHANGED_MEANWHILE,
    ObservedRun,
    Scope,
    inputs,
    takes_all,
    walks,
    whole_run,
)
from doit_cargo.engine.execution.observe.model import Event, Observed, Op, Process, lineage
from doit_cargo.engine.execution.observe.units import COMPILERS, Group, ObservedUnit, by_unit, macros
from doit_cargo.engine.state import fingerprint, seen
from doit_cargo.engine.state.seen import World
from doit_cargo.engine.toolchain.rustup import cargo_home, rustup_home

SCRIPT, MACRO, LINKER, WRAPPER = "script", "macro", "linker", "wrapper"
# libc's own: what it looks up by itself, whoever starts. A new one of these changes no result of a build.
OF_LIBC = (
    *(f"/etc/{name}" for name in ("ld.so.cache", "ld.so.preload", "passwd", "group", "nsswitch.conf", "localtime")),
    *(f"/etc/{name}" for name in ("hosts", "resolv.conf", "host.conf", "gai.conf", "locale.alias", "timezone")),
    *(f"/usr/{name}" for name in ("lib/locale", "share/locale", "share/zoneinfo", "share/locale-langpack")),
)
# Cargo sets these for each unit (Cargo book, "Environment variables"), whatever they were outside.
SET_BY_CARGO = re.compile(
    "CARGO|CARGO_(BIN_NAME|CRATE_NAME|ENCODED_RUSTFLAGS|MAKEFLAGS|MANIFEST_(DIR|LINKS|PATH)|PRIMARY_PACKAGE|TARGET_TMPDIR)"
    "|CARGO_(PKG|CFG|FEATURE|BIN_EXE)_.*|DEP_.*|DEBUG|HOST|NUM_JOBS|OPT_LEVEL|OUT_DIR|PROFILE|RUSTC|RUSTC_LINKER|RUSTDOC|TARGET"
)
# Of these it sets for build scripts alone: who asks a compiler's environment for them asks the caller's.
SET_FOR_SCRIPTS = re.compile("CARGO_(CFG|FEATURE)_.*|DEP_.*|DEBUG|HOST|NUM_JOBS|OPT_LEVEL|PROFILE|RUSTC_LINKER|TARGET")
# What counts only for who asks for it by name. Of PATH counts where it leads. Cargo sets RUSTDOC for build scripts, and
# we do, to hear what cargo would test; PYO3_PYTHON is set where something in the call needs it.
NOT_IN_A_WALK = ("PATH", "RUSTDOC", "PYO3_*")
# How compilers and linkers say things, and where their temporary files lie.
OF_TOOLS = re.compile("CI|COLUMNS|LANG|LANGUAGE|LC_.*|NO_COLOR|TEMP|TERM|TMP|TMPDIR")
TOOLS = re.compile(
    r"(.*-)?(cc|gcc|g\+\+|c\+\+|clang|clang\+\+|cc1|cc1plus|as|ar|ranlib|collect2|ld|ld\.\w+|rust-lld|lld|mold|lto1|"
    r"lto-wrapper)(-[\d.]+)?"
)
# What lies there changes all the time, and nvcc lists it to find a name that is free; a file below it counts as any.
TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - nothing is put there


TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.execution.evidence.ledger_data import SeenItem, UnitSeen


class Places(NamedTuple):
    """Where units lie, and the folders of which other inputs tell."""

    workspace: Workspace
    dropped: tuple[str, ...]


def places(workspace: Workspace, environ: Mapping[str, str], more: Iterable[str]) -> Places:
    """Return the places of a build; what cargo and rustup have downloaded is taken as it is."""
    home = cargo_home(environ)
    downloaded = (os.path.join(home, "registry"), os.path.join(home, "git"), rustup_home(environ))
    made = [path for folder in workspace.built_in for path in units.parts_of(folder)]
    return Places(workspace, (*made, *downloaded, *more, *OF_LIBC))


def of_run(observed: Observed, where: Places, world: World) -> dict[str, UnitSeen]:
    """Return the records of all units that an observed run made: their keys and what they rest on."""
    run = whole_run(observed)
    scope = Scope((*where.dropped, *_toolchains(observed)), world, NOT_IN_A_WALK)
    found: dict[str, UnitSeen] = {}
    for unit, group in by_unit(observed).items():
        keys = list(_keys(unit, group, where.workspace, observed.started))
        if keys:
            items, reasons = _rests_on(unit, group, run, scope, world)
            part = SCRIPT if unit.kind == "build-script" else unit.kind
            for key in keys:
                made = (units.identity(key), unit.package, part, items, reasons)
                found[key] = _both(found[key], made) if key in found else made
    return found


def _both(one: UnitSeen, other: UnitSeen) -> UnitSeen:
    """Return what two calls of a tool rest on of which each may have made a unit, such as rustdoc's for the programs of
    one package.
    """
    identity, package, part, items, reasons = other
    more = (item for item in one[3] if item not in items)
    return identity, package, part, (*items, *more), tuple(dict.fromkeys((*reasons, *one[4])))


def _toolchains(observed: Observed) -> Iterator[str]:
    """Yield the folders of compilers: their files stand in the state of the plan."""
    for program in {process.program for process in observed.processes if process.name in COMPILERS}:
        root = os.path.dirname(os.path.dirname(os.path.realpath(program)))
        yield os.path.join(root, "lib", "rustlib") if root in ("/", "/usr", "/usr/local") else root


def _keys(unit: ObservedUnit, group: Group, workspace: Workspace, started: int) -> Iterator[str]:
    if unit.kind == "build-script":
        found = [units.script_key(unit.key)]
    elif unit.kind == "compile":
        found = [key for process in group.processes for key in _compiled(process, unit)]
    elif unit.kind == "document":
        found = list(units.pages_of(workspace.kept_in, unit.package))
    else:
        return
    for key in dict.fromkeys(found):
        made = fingerprint.signature(key) if key else None
        if made and made[3] >= started:
            yield key


def _compiled(process: Process, unit: ObservedUnit) -> Iterator[str]:
    """Yield the keys of what one call of a compiler made: cargo puts the hash of the folder into the files' names."""
    if "--crate-name" not in process.argv or "--out-dir" not in process.argv:
        return
    profile = units.profile_of(process.argv[process.argv.index("--out-dir") + 1])
    mark = next((word.partition("extra-filename=-")[2] for word in process.argv if "extra-filename=-" in word), "")
    if mark:
        yield from units.keys_in(profile, f"{unit.package}-{mark}")
    else:  # a library without a hash in its name
        folders = units.folders_of(profile, (unit.package,))
        keys = (key for folder in folders for key in units.keys_in(profile, os.path.basename(folder)))
        yield from (key for key in keys if key.replace("-", "_").endswith("_" + unit.name))


def _rests_on(
    unit: ObservedUnit, group: Group, run: ObservedRun, scope: Scope, world: World
) -> tuple[tuple[SeenItem, ...], tuple[str, ...]]:
    """Return the items of a group, and the reasons why they may not be all. A cache between rustc and its caller hides
    what rustc does; what it asks for itself changes no result.
    """
    taken = inputs(run, group, scope)
    working = [process for process in group.processes if process.name not in HARMLESS]
    if len(working) < len(group.processes):
        group = Group(working)
        taken = inputs(run, group, scope)._replace(reasons=taken.reasons)
    who = _who(unit, group, run)
    temporary = {*TEMPORARY, world.environ.get("TMPDIR", "").rstrip("/")}
    found = [(who(row[1]), row) for row in taken.rows if row[0] in seen.PATHS and row[1] not in temporary]
    reasons = []
    for reason in taken.reasons:
        path, moved, _ = reason.partition(f" {CHANGED_MEANWHILE}")
        if moved:
            found.append((who(path), ["read", path, CHANGED_MEANWHILE, []]))
        else:
            reasons.append(reason)
    for (kind, name), by in {**dict(_asked(unit, group)), **dict(_started(group.processes, world, who))}.items():
        found.append((by, run.row((kind, name), scope)[0]))
    return tuple(found), tuple(reasons)


def _is_compiler(process: Process) -> bool:
    return process.name in COMPILERS


def _role(process: Process, unit: ObservedUnit) -> str:
    """Return as what a process works for its unit."""
    if unit.kind == "build-script":
        return SCRIPT
    if _is_compiler(process):
        return MACRO
    return LINKER if any(map(_is_compiler, lineage(process.parent))) else WRAPPER


def _who(unit: ObservedUnit, group: Group, run: ObservedRun) -> Callable[[str], str]:
    """Return who asked for a path; the compiler is named before those that it starts."""
    found: dict[str, str] = {}
    roles = [(_role(process, unit), process) for process in group.processes]
    for wanted in (WRAPPER, LINKER, MACRO, SCRIPT):
        for role, process in roles:
            if role == wanted:
                found.update((run.plain(event.subject), role) for event in process.events)
    return lambda path: found.get(path, SCRIPT if unit.kind == "build-script" else LINKER)


def _asked(unit: ObservedUnit, group: Group) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the variables that somebody asked for, with who did."""
    for process in group.processes:
        by = _role(process, unit)
        # rustdoc writes no dep-info: what `env!` asks for is known from here alone.
        span = macros(process) if by == MACRO and process.name != "rustdoc" else None
        for event in process.events:
            if span and not span[0] < event.order < span[1]:
                continue
            if event.op is Op.VARIABLE and _counts(event.subject, process, by):
                yield ("variable", event.subject), by
            elif (span and event.op is Op.ENVIRONMENT) or _walks(process, event):
                yield ("environment", ""), by
        if takes_all(process):
            yield ("environment", ""), by


def _counts(name: str, process: Process, by: str) -> bool:
    is_set = SET_BY_CARGO.fullmatch(name) and (by == SCRIPT or not SET_FOR_SCRIPTS.fullmatch(name))
    if is_set or seen.volatile(name) or name == "PATH":
        return False
    if process.name == "rustdoc" and name in ASKED_BY_RUST:
        return False
    return not (OF_TOOLS.fullmatch(name) and TOOLS.fullmatch(process.name))


def _walks(process: Process, event: Event) -> bool:
    """A compiler driver copies all variables for those that it starts, and reads none but by name."""
    return not TOOLS.fullmatch(process.name) and walks(process, event.op, event.subject)


def _started(
    processes: Sequence[Process], world: World, who: Callable[[str], str]
) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the programs that PATH led to: another PATH that leads to others makes another unit."""
    for process in processes:
        for path in process.executed:
            name = os.path.basename(path)
            if world.program(name) == path:
                yield ("program", name), who(path)
