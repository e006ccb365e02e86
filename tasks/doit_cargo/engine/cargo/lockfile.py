"""Cargo.lock as a graph: which packages are locked, which are there twice, and who pulls each of them in.

The lock holds what all features, platforms and kinds of dependencies of the workspace may need (Cargo book,
"Cargo.toml vs Cargo.lock"). Reads one file, and knows nothing of targets.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.toml import toml


class Locked(NamedTuple):
    """One locked package; `source` is "" for one that lies in a folder."""

    name: str
    version: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Lock(NamedTuple):
    """The packages of a lock, what each depends on, who depends on it, and the versions of each name, in order."""

    dependencies: Mapping[Locked, tuple[Locked, ...]] = {}
    dependents: Mapping[Locked, tuple[Locked, ...]] = {}
    by_name: Mapping[str, tuple[Locked, ...]] = {}

    @property
    def packages(self) -> Iterable[Locked]:
        return self.dependencies

    def named(self, name: str) -> tuple[Locked, ...]:
        """Return every version of a package."""
        return self.by_name.get(name, ())

    def member(self, name: str) -> Locked | None:
        """Return the package of that name that lies in a folder, if there is one."""
        return next((one for one in self.named(name) if not one.source), None)

    def duplicates(self) -> dict[str, tuple[Locked, ...]]:
        """Return name -> its versions, for each name that is there more than once."""
        return {name: found for name, found in self.by_name.items() if len(found) > 1}

    def path_to(self, wanted: Locked) -> list[Locked]:
        """Return the shortest way from a package that lies in a folder to `wanted`, both included."""
        came_from: dict[Locked, Locked | None] = {wanted: None}
        waiting = deque([wanted])
        while waiting:
            here = waiting.popleft()
            if not here.source and here != wanted:
                return _way_back(here, came_from)
            for above in self.dependents.get(here, ()):
                if above not in came_from:
                    came_from[above] = here
                    waiting.append(above)
        return [wanted]


def _way_back(start: Locked, came_from: Mapping[Locked, Locked | None]) -> list[Locked]:
    way, here = [], came_from.get(start)
    way.append(start)
    while here is not None:
        way.append(here)
        here = came_from[here]
    return way


def _order(one: Locked) -> tuple[str, list[tuple[int, str]], str]:
    """Order versions as people do: 0.9 before 0.10."""
    parts = [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"[.+-]", one.version)]
    return one.name, parts, one.source


def read(path: str) -> Lock:
    """Return the lock at `path`; raises `UserError` if there is none, or none that cargo would take."""
    try:
        with open(path, "rb") as stream:
            data = toml.load(stream)
        return _lock(data.get("package", []))
    except FileNotFoundError:
        fix = "cargo writes it: build, or cargo generate-lockfile"
        raise UserError(Problem("there is no Cargo.lock", fix, path), COULD_NOT_RUN) from None
    except (OSError, UnicodeDecodeError, toml.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{path}:{line[1]}" if line else path
        fix = "take it back from version control, or let cargo generate-lockfile write it anew"
        raise UserError(Problem(f"this is no Cargo.lock: {error}", fix, where), COULD_NOT_RUN) from None


def _lock(tables: Iterable[Mapping[str, object]]) -> Lock:
    rows = {Locked(str(row["name"]), str(row["version"]), str(row.get("source", ""))): row for row in tables}
    by_name: dict[str, tuple[Locked, ...]] = {}
    for one in sorted(rows, key=_order):
        by_name[one.name] = (*by_name.get(one.name, ()), one)
    dependencies = {one: tuple(_resolved(row, by_name)) for one, row in rows.items()}
    dependents: dict[Locked, list[Locked]] = {}
    for one, others in dependencies.items():
        for other in others:
            dependents.setdefault(other, []).append(one)
    above = {one: tuple(sorted(others, key=_order)) for one, others in dependents.items()}
    return Lock(dependencies, above, by_name)


def _resolved(row: Mapping[str, object], by_name: Mapping[str, tuple[Locked, ...]]) -> Iterable[Locked]:
    """Yield what a row depends on: NAME, NAME VERSION or NAME VERSION (SOURCE), as far as it is unique.

    A git source is written there without the commit that the package's own row has behind a #.
    """
    listed = row.get("dependencies", [])
    for text in listed if isinstance(listed, list) else []:
        name, _, rest = str(text).partition(" ")
        version, _, source = rest.partition(" ")
        for one in by_name.get(name, ()):
            if version in ("", one.version) and source.strip("()") in ("", one.source.partition("#")[0]):
                yield one
