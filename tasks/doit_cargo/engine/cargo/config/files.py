"""What cargo's config files say: values by their keys, strongest file first, and the environment that they set.

Knows Cargo's rules (Cargo book, "Configuration") and no key but ``[env]``. A file that cannot be read says nothing:
cargo tells what is wrong with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from doit_cargo.engine.base.files import line_of
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.cargo.discovery import CONFIG_NAMES, config_folders

Table = tuple[str, Mapping[str, Any]]
Tables = tuple[Table, ...]
DEEPEST = 8  # as includes may go in a circle


def read_tables(root: str, environ: Mapping[str, str]) -> Tables:
    """Return (path, content) of the config files that cargo reads in `root`, the strongest first."""
    return tuple(walk(root, environ, toml.read))


def walk(root: str, environ: Mapping[str, str], read: Callable[[str], Mapping[str, Any]]) -> Iterator[Table]:
    """Yield (path, content) of the config files that cargo takes in `root`, the strongest first, as `read` has it.

    The deepest folder comes first and cargo's home last; what a file includes comes after it, the last include first.
    """
    seen: set[str] = set()
    for folder in config_folders(root, environ):
        for path in [path for name in CONFIG_NAMES if os.path.isfile(path := os.path.join(folder, name))][:1]:
            for one, table in _with_includes(path, read, 0):
                if os.path.realpath(one) not in seen:
                    seen.add(os.path.realpath(one))
                    yield one, table


def _with_includes(path: str, read: Callable[[str], Mapping[str, Any]], depth: int) -> Iterator[Table]:
    table = read(path)
    yield path, table
    included = table.get("include", [])
    entries = [included] if isinstance(included, str | dict) else included
    for entry in reversed(entries if depth < DEEPEST and isinstance(entries, list) else []):
        name = entry.get("path", "") if isinstance(entry, dict) else str(entry)
        below = os.path.normpath(os.path.join(os.path.dirname(path), name))
        if os.path.isfile(below):
            yield from _with_includes(below, read, depth + 1)


def value_of(tables: Tables, *keys: str) -> tuple[Any, str]:
    """Return the value of a key and its ``file:line``; (None, "") where no file sets it."""
    for path, table in tables:
        value: Any = table
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            return value, line_of(path, keys[-1])
    return None, ""


def environment(tables: Tables, environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment as rustc and build scripts see it: with ``[env]``; what is set wins, unless forced."""
    seen = dict(environ)
    for path, table in reversed(tables):
        entries = table.get("env")
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            settings = entry if isinstance(entry, Mapping) else {"value": entry}
            value = settings.get("value")
            if isinstance(value, str) and (settings.get("force") or name not in environ):
                # A relative path counts from the directory that holds .cargo.
                above = os.path.dirname(os.path.dirname(path))
                seen[name] = os.path.join(above, value) if settings.get("relative") else value
    return seen
