"""Who pulls a crate into this workspace, and what it needs of the system: for a build script that failed unexplained.

Reads Cargo.lock and what sysdeps.toml knows; knows nothing of logs.
"""

from __future__ import annotations

import os

from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.cargo import lockfile
from doit_cargo.engine.preflight.requirements import rules as needs


def about(name: str, version: str, root: str) -> str:
    """Return what the workspace at `root` knows of a crate: ``pulled in by app <- zmq; it needs cmake``, or nothing."""
    told = [_way(name, version, root)]
    entry = needs.load().crates.get(name)
    things = dict.fromkeys(rule.thing for rule in entry.rules) if entry else {}
    if things:
        told.append(f"it needs {', '.join(things)}")
    return "; ".join(part for part in told if part)


def _way(name: str, version: str, root: str) -> str:
    try:
        lock = lockfile.read(os.path.join(root, "Cargo.lock"))
    except UserError:
        return ""
    found = next((one for one in lock.named(name) if one.version == version), None)
    way = [one.name for one in lock.path_to(found)] if found else []
    return f"pulled in by {' -> '.join(way[:-1])}" if len(way) > 1 else ""
