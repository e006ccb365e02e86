"""What a result depends on, without the values: the one place that knows the parts of a `State` (`state.staleness`).

A *path set* is made of the state of a success, travels in symbolic paths, and is filled with what is there on another
machine. `manifest` then says both states as lines of text: one walk for the key, for its comparison and for `why`.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from doit_cargo.engine.execution.evidence import recorder, seen_inputs
from doit_cargo.engine.state import dir_listing, fingerprint, sights, staleness
from doit_cargo.sharing.roots import Roots

if TYPE_CHECKING:
    from doit_cargo.engine.state.staleness import State

# Kinds of lines, which are the parts of a path set too.
FILE, LISTING, LOOK, LEAD, ABSENT, ENV, PROGRAM = "file", "listing", "look", "lead", "absent", "env", "which"
WALKED = "walked"
# A folder whose path is within a result; how messages call it.
ROOT = "root"
ROOTS = {"ws": "the checkout", "target": "the target directory", "cargo_home": "cargo's home"}
PATHS, NAMES = (FILE, LOOK, LEAD, ABSENT), (ENV, PROGRAM)
# A state of this many paths is no plain build: what a store sends may not make us read the whole disk.
MOST = 200_000

PathSet = dict[str, Any]
Values = Callable[[str], str]


class NotShared(Exception):  # noqa: N818 - a state of a result, not a fault
    """A result that cannot be shared, and why."""


def of(state: State, roots: Roots, ignored: Callable[[str], bool]) -> PathSet:
    """Return what a success depended on. Raises `NotShared` where that is not known whole."""
    if state["always_stale_reason"]:
        raise NotShared(state["always_stale_reason"])
    if state["seen"]:
        raise NotShared("it was observed in a form that cannot be shared yet")
    absent = [os.path.join(folder, name) for folder, (_, names) in state["absent"].items() for name in names]
    return {
        FILE: sorted(map(roots.symbolic, state["files"])),
        LISTING: sorted([roots.symbolic(path), _rule(rule, roots)] for path, (rule, _, _) in state["trees"].items()),
        LOOK: sorted(map(roots.symbolic, state["looks"])),
        LEAD: sorted(map(roots.symbolic, state["leads"])),
        ABSENT: sorted(set(map(roots.symbolic, absent))),
        ENV: sorted(name for name in state["env"] if not ignored(name)),
        PROGRAM: sorted(state["which"]),
        WALKED: state["walked"],
    }


def _rule(rule: Iterable[str], roots: Roots) -> list[str]:
    return [roots.symbolic(word) for word in rule]


def is_sound(found: object) -> bool:
    """Tell whether what came from a store has the form of a path set."""
    if not isinstance(found, dict) or set(found) != {*PATHS, LISTING, *NAMES, WALKED}:
        return False
    names = [found[kind] for kind in (*PATHS, *NAMES)]
    if not all(isinstance(part, list) and len(part) < MOST and all(map(_is_name, part)) for part in names):
        return False
    listed = found[LISTING]
    return isinstance(found[WALKED], bool) and isinstance(listed, list) and all(map(_is_listing, listed))


def _is_name(name: object) -> bool:
    return isinstance(name, str) and "\0" not in name


def _is_listing(entry: object) -> bool:
    if not isinstance(entry, list) or len(entry) != 2 or not _is_name(entry[0]) or not isinstance(entry[1], list):
        return False
    return bool(entry[1]) and all(map(_is_name, entry[1]))


def present(found: PathSet, roots: Roots, environ: Mapping[str, str]) -> State:
    """Return the state of what a path set names, as it is here and now. Raises `NotShared`."""
    now = time.time_ns()
    state = staleness.empty(environ, found[PROGRAM])
    try:
        state["files"] = {path: recorder.read_settled_or_hash(path, now) for path in _here(found[FILE], roots)}
        state["looks"] = {path: sights.look(path) for path in _here(found[LOOK], roots)}
        state["leads"] = {path: sights.lead(path) for path in _here(found[LEAD], roots)}
        state["absent"] = _absent(_here(found[ABSENT], roots), now)
        for path, rule in found[LISTING]:
            state["trees"][roots.absolute(path)] = _listed(roots.absolute(path), [*map(roots.absolute, rule)], now)
    except (ValueError, KeyError, dir_listing.TooLarge) as error:
        raise NotShared(f"cannot be compared here: {error}") from None
    names = {*found[ENV], *(filter(staleness.is_of_work, environ) if found[WALKED] else ())}
    state["walked"] = found[WALKED]
    state["env"] = {name: staleness.public_value(name, environ.get(name)) for name in sorted(names)}
    return state


def _here(paths: Iterable[str], roots: Roots) -> Iterator[str]:
    return map(roots.absolute, paths)


def _listed(path: str, rule: list[str], now: int) -> Any:
    stamps, names = dir_listing.list_tree(path, tuple(rule))
    return tuple(rule), fingerprint.settle_all(stamps, now), names


def _absent(paths: Iterable[str], now: int) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for path in paths:
        folder, name = sights.absence(path)
        found.setdefault(folder, []).append(name)
    return {
        folder: (fingerprint.settled(fingerprint.signature(folder), now), tuple(names))
        for folder, names in found.items()
    }


def manifest(
    found: PathSet, state: State, roots: Roots, ignored: Callable[[str], bool], value_of: Values
) -> dict[str, str]:
    """Return a state as lines, subject -> what it is, for the subjects of a path set. Raises `NotShared`.

    `value_of` gives what stands for the value of a variable.
    """
    lines: dict[str, str] = {}
    for path in found[FILE]:
        lines[f"{FILE} {path}"] = _content(path, state["files"][roots.absolute(path)][1])
    for path, rule in found[LISTING]:
        names = state["trees"][roots.absolute(path)][2]
        lines[f"{LISTING} {path} {'|'.join(rule)}"] = _names(path, names, roots)
    for path in found[LOOK]:
        lines[f"{LOOK} {path}"] = _look(state["looks"][roots.absolute(path)], roots)
    for path in found[LEAD]:
        lines[f"{LEAD} {path}"] = roots.symbolic(state["leads"][roots.absolute(path)] or "nowhere")
    for path in found[ABSENT]:
        lines[f"{ABSENT} {path}"] = "there" if os.path.lexists(roots.absolute(path)) else "absent"
    for name in state["env"] if found[WALKED] else found[ENV]:
        if not ignored(name):
            lines[f"{ENV} {name}"] = value_of(name)
    for name in found[PROGRAM]:
        lines[f"{PROGRAM} {name}"] = roots.symbolic(state["which"][name] or "not found")
    return lines


def _content(path: str, content: bytes | None) -> str:
    if content is None:
        return "absent"
    if content == fingerprint.UNKNOWN or content.startswith(b"no file"):
        raise NotShared(f"{path} changed while it was read, or is no plain file")
    return "folder" if content == b"directory" else content.hex()


def _names(path: str, names: tuple[str, ...] | None, roots: Roots) -> str:
    if names is None:
        raise NotShared(f"{path} changed while cargo ran, or holds more than can be looked through")
    return hashlib.sha256("\0".join(sorted(map(roots.symbolic, names))).encode("utf-8", "surrogateescape")).hexdigest()


def _look(found: Any, roots: Roots) -> str:
    if found is None:
        return "absent"
    mode, size, leads = found
    return f"{mode:o} {size}" + (f" -> {roots.symbolic(leads)}" if leads else "")


def is_whole(found: PathSet) -> bool:
    """Tell whether a path set names sources: one that names none would fit everywhere."""
    return any(path.startswith("${ws}/") for path in found[FILE])


def subject_of(line: str) -> str:
    """Return what a line speaks of, as a message names it."""
    kind, _, subject = line.partition(" ")
    name = subject.removeprefix("${ws}/")
    if kind == ROOT:
        return f"the path of {ROOTS.get(name, name)} (it is within the result)"
    return f"variable {name}" if kind == ENV else f"program {name}" if kind == PROGRAM else name or kind


def scripts_start_programs(observed: Mapping[str, Any], keys: Iterable[str]) -> bool:
    """Tell whether a build script was seen to start a program, such as a C compiler: nobody knows what for.

    `observed` are the ledger's records of units (`evidence.observed`), `keys` the units that count.
    """
    records = (observed.get(key) for key in keys)
    items = (item for one in records if one for item in one[3])
    return any(by == "script" and _is_program(kind, subject) for kind, subject, _, by in items)


def _is_program(kind: str, subject: str) -> bool:
    if kind == seen_inputs.PROGRAM:
        return True
    return kind == seen_inputs.FILE and ".so" not in os.path.basename(subject) and os.access(subject, os.X_OK)


def known_names(state: State, roots: Roots) -> set[str]:
    """Return the names of all files outside of the target directory that a state holds by their content."""
    return {
        os.path.basename(path)
        for path, (_, content) in state["files"].items()
        if content is not None and not roots.symbolic(path).startswith("${target}/")
    }


def plan_lines(state: State, roots: Roots, skipped: Callable[[str], bool], value_of: Values) -> dict[str, str]:
    """Return what a plan rests on as lines. Its files are found by rules, so that of absent ones nothing is said.

    A file above the workspace, such as a config file of cargo's, is named by where it lies from there.
    """
    lines = {}
    for path, (_, content) in state["files"].items():
        if content is not None and not skipped(path):
            lines[f"{FILE} {_above(path, roots)}"] = _content(path, content)
    for path, (rule, _, names) in state["trees"].items():
        lines[f"{LISTING} {roots.symbolic(path)} {'|'.join(_rule(rule, roots))}"] = _names(path, names, roots)
    for name in state["env"]:
        lines[f"{ENV} {name}"] = value_of(name)
    return lines


def _above(path: str, roots: Roots) -> str:
    named = roots.symbolic(path)
    root = roots.folders["ws"]
    folder = os.path.dirname(path)
    while named == path and folder != os.path.dirname(folder):
        if root.startswith(folder + os.sep):
            return f"${{ws}}/{os.path.relpath(path, root)}"
        folder = os.path.dirname(folder)
    return named
