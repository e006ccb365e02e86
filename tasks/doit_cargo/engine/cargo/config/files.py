"""What cargo's config files say: values by their keys, nearest file first, and the environment that they set.

Knows Cargo's rules (Cargo book, "Configuration") and no key but ``[env]``. A file that cannot be read says nothing:
cargo tells what is wrong with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from doit_cargo.engine.base.files import line_of, read_text
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.cargo.discovery import config_files

Tables = tuple[tuple[str, Mapping[str, Any]], ...]


def read_tables(root: str, environ: Mapping[str, str]) -> Tables:
    """Return (path, content) of the config files that cargo reads in `root`, nearest first."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for path in config_files(root, environ):
        twin = path.removesuffix(".toml")
        if not os.path.isfile(path) or (twin != path and os.path.isfile(twin)):
            continue  # where both are, cargo takes the one without an ending
        try:
            found.append((path, toml.loads(read_text(path))))
        except ValueError:
            continue
    return tuple(found)


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
