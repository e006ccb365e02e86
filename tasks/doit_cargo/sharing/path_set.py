"""What a result depends on, without the values: the one place that knows the parts of a `State` (`state.staleness`).

A *path set* is made of the state of a success, travels in symbolic paths, and is filled with what is there on another
machine. `manifest` then says both states as lines of text: one walk for the key, for its comparison and for `why`.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from doit_cargo.engine.execution.evidence import recorder
from doit_cargo.engine.state import dir_listing, fingerprint, seen, staleness
from doit_cargo.sharing.roots import Roots

if TYPE_CHECKING:
    from doit_cargo.engine.state.seen import Row
    from doit_cargo.engine.state.staleness import State

# Kinds of lines, which are the parts of a path set too.
FILE, LISTING, SEEN, ABSENT, ENV, PROGRAM = "file", "listing", "seen", "absent", "env", "which"
THERE = "there"
# A folder whose path is within a result; how messages call it.
ROOT = "root"
ROOTS = {"ws": "the checkout", "repo": "the repository", "target": "the target directory", "cargo_home": "cargo's home"}
PATHS, NAMES = (FILE, ABSENT), (ENV, PROGRAM)
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
    absent = [os.path.join(folder, name) for folder, (_, names) in state["absent"].items() for name in names]
    return {
        FILE: sorted(map(roots.symbolic, state["files"])),
        LISTING: sorted([roots.symbolic(path), _rule(rule, roots)] for path, (rule, _, _) in state["trees"].items()),
        SEEN: sorted(_named(row, roots) for row in state["seen"] if row[0] != "variable" or not ignored(row[1])),
        ABSENT: sorted(set(map(roots.symbolic, absent))),
        ENV: sorted(name for name in state["env"] if not ignored(name)),
        PROGRAM: sorted(state["which"]),
    }


def with_neighbours(state: State, roots: Roots) -> State:
    """Return a state with a second name for what lies beside the checkout: by the way from there.

    Whether ``../other/src/lib.rs`` or the absolute path was meant cannot be told, so that both must be what they were.
    """
    tools = roots.folders_of_tools(state["path"])

    def near(path: str) -> str:
        return roots.from_workspace(path, tools)

    absent = {folder: names for folder, (_, names) in state["absent"].items()}
    paths = [near(os.path.join(folder, name)) for folder, names in absent.items() for name in names]
    beside = {os.path.dirname(path): list[str]() for path in paths if path}
    for path in filter(None, paths):
        beside[os.path.dirname(path)].append(os.path.basename(path))
    rows = ([row[0], near(row[1]), *row[2:]] for row in state["seen"] if row[0] in seen.PATHS)
    return {
        **state,
        "files": state["files"] | {other: kept for path, kept in state["files"].items() if (other := near(path))},
        "trees": state["trees"] | {other: tree for path, tree in state["trees"].items() if (other := near(path))},
        "seen": [*state["seen"], *(row for row in rows if row[1])],
        "absent": state["absent"] | {folder: (None, tuple(names)) for folder, names in beside.items()},
    }


def _named(row: Row, roots: Roots) -> list[Any]:
    """Return what was seen without its state: kind, subject, and what of it was the run's own."""
    kind, subject, _, own = row
    return [kind, roots.symbolic(subject) if kind in seen.PATHS else subject, list(own)]


def _rule(rule: Iterable[str], roots: Roots) -> list[str]:
    return [roots.symbolic(word) for word in rule]


def is_sound(found: object) -> bool:
    """Tell whether what came from a store has the form of a path set."""
    if not isinstance(found, dict) or set(found) != {*PATHS, LISTING, SEEN, *NAMES}:
        return False
    names = [found[kind] for kind in (*PATHS, *NAMES)]
    if not all(isinstance(part, list) and len(part) < MOST and all(map(_is_name, part)) for part in names):
        return False
    rows = ((found[LISTING], _is_listing), (found[SEEN], _is_row))
    return all(isinstance(part, list) and len(part) < MOST and all(map(is_one, part)) for part, is_one in rows)


def _is_name(name: object) -> bool:
    """Tell whether something can be the name of a file or a variable here."""
    try:
        return isinstance(name, str) and b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _is_listing(entry: object) -> bool:
    if not isinstance(entry, list) or len(entry) != 2 or not _is_name(entry[0]) or not isinstance(entry[1], list):
        return False
    return bool(entry[1]) and all(map(_is_name, entry[1]))


def _is_row(entry: object) -> bool:
    if not isinstance(entry, list) or len(entry) != 3 or not isinstance(entry[2], list):
        return False
    return entry[0] in seen.KINDS and all(map(_is_name, (entry[1], *entry[2])))


class Here:
    """What path sets name, as it is on this machine: each item is looked at once, however many sets name it."""

    def __init__(self, roots: Roots, environ: Mapping[str, str]) -> None:
        self.roots = roots
        self.environ = environ
        self._world = seen.World(environ)
        self._now = time.time_ns()
        self._known: dict[tuple[object, ...], Any] = {}

    def state(self, found: PathSet) -> State:
        """Return the state of what a path set names, without what must be absent (`absence`). Raises `NotShared`."""
        state = staleness.empty(self.environ, found[PROGRAM])
        try:
            state["files"] = dict(self._once(FILE, path) for path in found[FILE])
            state["trees"] = dict(self._once(LISTING, path, *rule) for path, rule in found[LISTING])
            state["seen"] = [self._once(SEEN, kind, name, *own) for kind, name, own in found[SEEN]]
        except (ValueError, LookupError, TypeError, OSError, re.error, RecursionError, dir_listing.TooLarge) as error:
            raise NotShared(f"cannot be compared here: {error}") from None
        env = sorted(found[ENV])
        state["env"] = {name: staleness.public_value(name, self.environ.get(name)) for name in env}
        return state

    def absence(self, found: PathSet) -> seen.Absent:
        """Return what a path set names that must not be there."""
        return seen.absence(map(self.roots.absolute, found[ABSENT]))

    def is_there(self, name: str) -> bool:
        """Tell whether a path that should be absent is there."""
        return bool(self._once(ABSENT, name))

    def _once(self, *item: str) -> Any:
        if item not in self._known:
            self._known[item] = _LOOK[item[0]](self, *item[1:])
        return self._known[item]

    def _file(self, name: str) -> Any:
        path = self.roots.absolute(name)
        return path, recorder.read_settled_or_hash(path, self._now)

    def _tree(self, name: str, *rule: str) -> Any:
        path, words = self.roots.absolute(name), tuple(map(self.roots.absolute, rule))
        stamps, names = dir_listing.list_tree(path, words)
        return path, (words, fingerprint.settle_all(stamps, self._now), names)

    def _row(self, kind: str, name: str, *own: str) -> Row:
        subject = self.roots.absolute(name) if kind in seen.PATHS else name
        return [kind, subject, seen.take(kind, subject, own, self._world), list(own)]

    def _lies(self, name: str) -> bool:
        return os.path.lexists(self.roots.absolute(name))


_LOOK: dict[str, Callable[..., Any]] = {
    FILE: Here._file,
    LISTING: Here._tree,
    SEEN: Here._row,
    ABSENT: Here._lies,
}


def manifest(
    found: PathSet, state: State, here: Here, ignored: Callable[[str], bool], value_of: Values
) -> dict[str, str]:
    """Return a state as lines, subject -> what it is, for the subjects of a path set. Raises `NotShared`.

    `value_of` gives what stands for the value of a variable.
    """
    roots = here.roots
    lines: dict[str, str] = {}
    for path in found[FILE]:
        lines[f"{FILE} {path}"] = _content(path, state["files"][roots.absolute(path)][1])
    for path, rule in found[LISTING]:
        names = state["trees"][roots.absolute(path)][2]
        lines[f"{LISTING} {path} {'|'.join(rule)}"] = _names(path, names, roots)
    for row in state["seen"]:
        lines.update(_line(row, roots, ignored, value_of))
    for path in found[ABSENT]:
        lines[f"{ABSENT} {path}"] = THERE if here.is_there(path) else "absent"
    for name in found[ENV]:
        if not ignored(name):
            lines[f"{ENV} {name}"] = value_of(name)
    for name in found[PROGRAM]:
        lines[f"{PROGRAM} {name}"] = roots.symbolic(state["which"][name] or "not found")
    return lines


def has_appeared(lines: Mapping[str, str]) -> bool:
    """Tell whether something is there that was looked for in vain: of such a state no result is ever published."""
    return any(value == THERE for line, value in lines.items() if line.startswith(f"{ABSENT} "))


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


def _line(row: Row, roots: Roots, ignored: Callable[[str], bool], value_of: Values) -> dict[str, str]:
    """Return what was seen of one item as lines: one, or one for each variable of a walk over all of them."""
    kind, subject, state, _ = row
    if kind == "environment":
        return {f"{ENV} {name}": value_of(name) for name in state if not ignored(name)}
    if kind == "variable":
        return {} if ignored(subject) else {f"{ENV} {subject}": value_of(subject)}
    if kind == "program":
        return {f"{PROGRAM} {subject}": roots.symbolic(state[0] or "not found")}
    return {f"{kind} {roots.symbolic(subject)}": _state(kind, subject, state, roots)}


def _state(kind: str, path: str, state: Any, roots: Roots) -> str:
    """Return the state of a path as text that means the same on every machine."""
    if isinstance(state, str):
        if state != "absent":
            raise NotShared(f"{path} cannot be compared elsewhere: {state}")
        return state
    if state[0] == "names":
        if not isinstance(state[1], list):
            raise NotShared(f"{path} holds more names than are kept")
        return _names(path, tuple(state[1]), roots)
    if kind == "read" and state[0].startswith("large "):
        raise NotShared(f"{path} is too large to be read each time")
    if kind == "read":
        return f"{state[0]} {_mode(path, state[1], roots)}"
    if kind == "stat":
        return f"{_mode(path, state[0], roots)} {state[1]}" + (f" -> {roots.symbolic(state[2])}" if state[2] else "")
    return roots.symbolic(state[0]) if isinstance(state[0], str) else f"{state[0]:o}"


def _mode(path: str, mode: int, roots: Roots) -> str:
    """Return a mode as text. A file of a checkout has the rights that its owner's umask leaves, and whether it can be
    run: git keeps no more.
    """
    if roots.symbolic(path) == path:
        return f"{mode:o}"
    made = {0o666 & ~roots.umask: 0o644, 0o777 & ~roots.umask: 0o755}
    rights = stat.S_IMODE(mode)
    return f"{stat.S_IFMT(mode) | made.get(rights, rights):o}"


def is_whole(found: PathSet) -> bool:
    """Tell whether a path set names sources: one that names none would fit everywhere."""
    return any(path.startswith("${ws}/") for path in found[FILE])


def rank(line: str) -> int:
    """Return where the subject of a line stands in a message: what somebody has edited comes first."""
    kind = line.partition(" ")[0]
    return (FILE, "read", LISTING, "list").index(kind) if kind in (FILE, "read", LISTING, "list") else 9


def subject_of(line: str) -> str:
    """Return what a line speaks of, as a message names it."""
    kind, _, subject = line.partition(" ")
    name = subject.removeprefix("${ws}/")
    if kind == "secret":
        return "another DOIT_CARGO_SHARE_SECRET"
    if kind == ROOT:
        return f"the path of {ROOTS.get(name, name)} (it is within the result)"
    return f"variable {name}" if kind == ENV else f"program {name}" if kind == PROGRAM else name or kind


def scripts_start_programs(observed: Mapping[str, Any], keys: Iterable[str]) -> bool:
    """Tell whether a build script was seen to start a program, such as a C compiler: nobody knows what for.

    `observed` are the ledger's records of units (`evidence.observed`), `keys` the units that count.
    """
    records = (observed.get(key) for key in keys)
    rows = (row for one in records if one for by, row in one[3] if by == "script")
    return any(row[0] == "program" or (row[0] == "read" and _is_program(row[1])) for row in rows)


def _is_program(path: str) -> bool:
    return ".so" not in os.path.basename(path) and os.path.isfile(path) and os.access(path, os.X_OK)


def known_files(state: State, roots: Roots) -> set[str]:
    """Return the files outside of the target directory that a state holds by their content."""
    read = [path for path, (_, content) in state["files"].items() if content is not None]
    read += [row[1] for row in state["seen"] if row[0] == "read" and isinstance(row[2], list)]
    return {path for path in read if not roots.symbolic(path).startswith("${target}/")}


def plan_lines(
    state: State, roots: Roots, text_of: Callable[[str, bytes], str | None], value_of: Values
) -> dict[str, str]:
    """Return what a plan rests on as lines. Its files are found by rules, so that of absent ones nothing is said.

    A file above the workspace, such as a config file of cargo's, is named by where it lies from there. `text_of` gives
    what a file says beside its content, None for its content; of what is "" there is no line.
    """
    lines = {}
    for path, (_, content) in state["files"].items():
        text = "" if content is None else text_of(path, content)
        if text != "":
            lines[f"{FILE} {_above(path, roots)}"] = _content(path, content) if text is None else text
    for path, (rule, _, names) in state["trees"].items():
        lines[f"{LISTING} {roots.symbolic(path)} {'|'.join(_rule(rule, roots))}"] = _names(path, names, roots)
    lines |= {f"{ENV} {name}": text for name in state["env"] if (text := value_of(name))}
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
