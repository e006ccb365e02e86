"""Clippy's settings as inputs of a plan: clippy's own records tell of a clippy.toml that is there, not of a new one."""

from __future__ import annotations

import os
import zlib

from doit_cargo.engine.base.model import Target, Workspace
from doit_cargo.engine.base.paths import ancestors


def files(target: Target, workspace: Workspace) -> list[str]:
    """Return where clippy looks for its settings: from each package upwards (clippy's book, "Configuration")."""
    if target.command != "clippy":
        return []
    folders = dict.fromkeys(above for package in workspace.packages.values() for above in ancestors(package.directory))
    return [os.path.join(folder, name) for folder in folders for name in ("clippy.toml", ".clippy.toml")]


def mark(target: Target, workspace: Workspace) -> tuple[str, ...]:
    """Return an argument that changes when a clippy.toml comes or goes, so that clippy looks again (cargo 1.95)."""
    found = [os.path.relpath(path, workspace.root) for path in files(target, workspace) if os.path.exists(path)]
    names = zlib.crc32("\0".join(found).encode("utf-8", "surrogateescape"))
    return ("--cfg", f'clippy_configuration="{names:08x}"') if found else ()
