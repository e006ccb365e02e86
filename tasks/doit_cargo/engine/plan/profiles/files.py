"""What is wrong with a TOML file of ours, held against its table of keys (`keys`).

Knows nothing of how profiles are found or composed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from doit_cargo.engine.base.errors import Problem, nearest, unknown
from doit_cargo.engine.base.toml.locations import Path, TomlFile
from doit_cargo.engine.base.toml.toml import toml_text
from doit_cargo.engine.plan.profiles.kinds import ANY, Kind, Section, goal_problems, shown, variable_problems

# How alike two keys are of which one is surely the other, misspelt.
ALIKE = 0.8


def is_known(file: TomlFile, section: Section) -> bool:
    """Tell whether a file is meant for us: a TOML file without any key that we know is somebody else's.

    A key that is surely one of ours, misspelt, counts: left alone, the file would be without effect and without a word.
    """
    return any(key in section or _is_misspelt(key, value, section) for key, value in file.values.items())


def _is_misspelt(key: str, value: object, section: Section) -> bool:
    kind = section.get(nearest(key, tuple(section), ALIKE))
    return kind.accepts(value) if isinstance(kind, Kind) else kind is not None and isinstance(value, dict)


def problems_of(file: TomlFile, section: Section) -> Iterator[Problem]:
    """Yield everything that is wrong with the types and names in a file."""
    return check(file, section, file.values, ())


def check(file: TomlFile, section: Section, table: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Yield everything that is wrong with a table that stands at `path` in a file."""
    for key, value in table.items():
        kind = section.get(key) or section.get(ANY)
        where = file.where(*path, key)
        if path[-1:] == ("env",):
            yield from variable_problems(key, dotted(path), where)
        if path == ("migrated", "taken"):
            yield from goal_problems(key, dotted(path), where)
        if _holds_nul(value):
            yield Problem(f"{dotted((*path, key))} holds a NUL character, which no program takes", "remove it", where)
        elif kind is None:
            yield unknown(f"key of [{dotted(path)}]" if path else "key", key, tuple(section), where)
        elif isinstance(kind, Kind):
            yield from kind.check(value, dotted((*path, key)), where)
        elif isinstance(value, dict):
            yield from check(file, kind, value, (*path, key))
        else:
            what = f"{dotted((*path, key))} must be a table, not {shown(value)}"
            yield Problem(what, f"write [{dotted((*path, key))}]", where)


def _holds_nul(value: Any) -> bool:
    return "\0" in value if isinstance(value, str) else isinstance(value, list) and any(map(_holds_nul, value))


def dotted(path: Path) -> str:
    """Return a path of keys as TOML writes it, quoted where it must be."""
    return ".".join(part if re.fullmatch(r"[\w-]+", part, re.ASCII) else toml_text(part) for part in map(str, path))
