"""From what was observed to what a receipt keeps, for the launcher to compare; and what a profile has ignored.

Knows neither tests nor builds: rows are those of `engine.state.seen`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.engine.state import seen

if TYPE_CHECKING:
    from doit_cargo.engine.state.seen import Row


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


def merged(rows: Iterable[Row], environ: Mapping[str, str], variables: Iterable[str]) -> list[Row]:
    """Return the rows of several programs as one state, each once.

    Without single variables, which a state keeps by name; a walk over all of them is one over the caller's own, since
    what is given to a program beside is known where it is given.
    """
    found: dict[tuple[str, ...], Row] = {}
    walked = False
    for row in rows:
        kind, subject, state, own = row
        walked = walked or kind == "environment"
        if kind not in ("variable", "environment"):
            content = state[:2] if kind in seen.STAMPED and isinstance(state, list) else state
            found.setdefault((kind, subject, repr(content), repr(own)), row)
    if walked:
        own = list(variables)
        found["environment",] = ["environment", "", seen.take("environment", "", own, seen.World(environ)), own]
    return list(found.values())
