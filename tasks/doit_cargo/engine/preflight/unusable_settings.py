"""Settings with which no cargo call can succeed: a compiler wrapper that is not there, a cache that refuses to work.

Knows cargo's variables and config files, not what a plan builds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from doit_cargo.engine.cargo.config import files
from doit_cargo.engine.preflight.check_context import MISSING, OK, WRONG, CheckContext, CheckRow
from doit_cargo.engine.preflight.requirements.calls import WITHOUT_COMPILING
from doit_cargo.engine.toolchain.tools import ROWS, how_to_get, packages_for

# variable -> key of [build] (Cargo book, "Configuration": the variable wins, also when it is empty)
WRAPPERS = {"RUSTC_WRAPPER": "rustc-wrapper", "RUSTC_WORKSPACE_WRAPPER": "rustc-workspace-wrapper"}
INCREMENTAL = "CARGO_INCREMENTAL"


def look_at_wrappers(look: CheckContext) -> Iterator[CheckRow]:
    """Look at the programs that cargo is told to run instead of rustc: without one, every call fails at once."""
    if not look.runs_cargo or look.command in WITHOUT_COMPILING:
        return
    tables = files.read_tables(look.machine.directory, look.machine.environ)
    for variable, key in WRAPPERS.items():
        asked, where = _asked(look, tables, variable, key)
        if not asked:
            continue
        name = os.path.splitext(os.path.basename(asked))[0]
        path = look.machine.which(asked)
        if not path:
            yield _absent(look, asked, name, variable, where)
        elif name == "sccache" and look.machine.environ.get(INCREMENTAL) == "1":
            yield _refusing(look, path, where)
        else:
            yield CheckRow(name, OK, path=path, needed_by=where)


def _asked(look: CheckContext, tables: files.Tables, variable: str, key: str) -> tuple[str, str]:
    """Return the wrapper and who asks for it. A path with a slash in a config file counts from its folder."""
    if variable in look.machine.environ:
        return look.machine.environ[variable], look.place(variable)
    named = look.machine.environ.get(f"CARGO_BUILD_{variable}")
    if named is not None:
        return named, f"CARGO_BUILD_{variable}"
    value, where = files.value_of(tables, "build", key)
    if not isinstance(value, str):
        return "", ""
    path = where.rpartition(":")[0] or where
    above = os.path.dirname(os.path.dirname(path))
    return os.path.join(above, value) if os.path.dirname(value) else value, where


def _absent(look: CheckContext, asked: str, name: str, variable: str, where: str) -> CheckRow:
    what = f"cargo is told to run rustc through {asked}, which does not exist or is not on PATH"
    manager = look.machine.package_manager
    fix = f'{how_to_get(name, manager)}; or {variable}="" to do without'
    packages = packages_for(ROWS[name].get, manager) if name in ROWS else ""
    return CheckRow(name, MISSING, needed_by=where, what=what, fix=fix, where=where, packages=packages)


def _refusing(look: CheckContext, path: str, where: str) -> CheckRow:
    what = "sccache stops every call while CARGO_INCREMENTAL=1 is set: it does not cache incremental compilation"
    fix = f'unset {INCREMENTAL}, or RUSTC_WRAPPER="" to compile incrementally without the cache'
    return CheckRow("sccache", WRONG, path=path, needed_by=where, what=what, fix=fix, where=look.place(INCREMENTAL))
