"""From what was observed to what a receipt keeps, for the launcher to compare; and what a profile has ignored.

Knows neither tests nor builds: rows are those of `engine.state.seen`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.engine.state import seen

if TYPE_CHECKING:
    from doit_cargo.engine.state.seen import Row, World
    from doit_cargo.engine.state.staleness import State


class Ignored(NamedTuple):
    """What is no input, although it is read: files and folders with all that they hold, and variables."""

    paths: tuple[str, ...]
    variables: tuple[str, ...]

    def holds(self, row: Row) -> bool:
        """Tell whether a row speaks of something ignored; it may be older than that."""
        if row[0] == "variable":
            return seen.is_named(row[1], self.variables)
        return any(row[1] == path or row[1].startswith(path + "/") for path in self.paths)


def ignored(names: Iterable[str], root: str, environ: Mapping[str, str]) -> Ignored:
    """Return what these names stand for: with a slash or a dot a path, relative to the root, else a variable."""
    paths, variables = [], []
    for name in names:
        if is_path(name):
            home = environ.get("HOME", "")
            place = home + name[1:] if name.startswith("~/") and home else name
            paths.append(os.path.normpath(os.path.join(root, place)))
        else:
            variables.append(name)
    return Ignored(tuple(paths), tuple(variables))


def is_path(name: str) -> bool:
    """Tell whether a name under `ignore` is a file's or a folder's."""
    return "/" in name or "." in name


def put(state: State, rows: Iterable[Row], given: World, ignored: Sequence[str] = ()) -> None:
    """Put what several programs were seen to depend on into a state, each once.

    `given` is the world of the caller: what a profile or cargo gives to a program beside is known where it is given.
    """
    found: dict[tuple[str, str], list[Row]] = {}
    looked_for: dict[str, None] = {}
    for row in rows:
        kind, subject, value, _ = row
        if kind == "stat" and value == "absent":
            looked_for[subject] = None
        elif kind == "variable":
            state["env"][subject] = given.variable(subject)
        elif kind == "program":
            if [given.program(subject)] == value:
                state["path"] = given.environ.get("PATH", "")
                state["which"][subject] = value[0]
        else:
            new = row if kind != "environment" else _retaken(row, given, ignored)
            known = found.setdefault((kind, subject), [])
            if not any(one is new or _is_same(one, new) for one in known):
                known.append(new)
    state["seen"] += [row for known in found.values() for row in known]
    state["absent"] |= seen.absence(looked_for)


def _retaken(walk: Row, given: World, ignored: Sequence[str]) -> Row:
    kind, subject, _, own = walk
    without = list(dict.fromkeys([*own, *ignored]))
    return [kind, subject, seen.take(kind, subject, without, given), without]


def _is_same(one: Row, other: Row) -> bool:
    """Tell whether two rows say the same, whatever the times of their file."""
    stamped = one[0] in seen.STAMPED and isinstance(one[2], list) and isinstance(other[2], list)
    return bool(one[3] == other[3] and (one[2][:2] == other[2][:2] if stamped else one[2] == other[2]))
