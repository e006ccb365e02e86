"""Does a plan compile through sccache? Decided from the call, the profile, the settings and what cargo is told.

sccache refuses to run beside ``CARGO_INCREMENTAL=1`` (it ends with status 1, and so does cargo), and a configured
wrapper that is not installed stops every cargo call. A plan that would end so is mended, for this call, and says so.
Statistics and the server are for engine/sccache.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from doit_cargo.engine.base.model import MachineFacts, Workspace
from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.variables import Values
from doit_cargo.engine.cargo.config.files import read_tables

WRAPPER, WRAPPER_OF_BUILD, INCREMENTAL = "RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER", "CARGO_INCREMENTAL"
SCCACHE = "sccache"
# sccache refuses this value and no other: "true" and "2" pass (tried with 0.16).
REFUSED = "1"


class Choice:
    """What a plan sets in the environment for its compiler cache, and what it says about that."""

    def __init__(self) -> None:
        self.env: dict[str, str] = {}
        self.notes: list[str] = []


def choose(workspace: Workspace, machine: MachineFacts, values: Values, env: Mapping[str, str]) -> Choice:
    """Return what to set; `env` is what the profile sets already, "" for what it removes.

    Raises `UserError` for wrong settings.
    """
    choice = Choice()
    said = values.choice("SCCACHE")
    wished = _wish(workspace, machine.environ) if said is None else said
    decided = WRAPPER in env or WRAPPER in machine.environ or WRAPPER_OF_BUILD in machine.environ
    if said is not None or (wished and not decided):
        _follow(choice, bool(wished), machine, workspace, env)
    _mend(choice, machine, workspace, env)
    return choice


def _wish(workspace: Workspace, environ: Mapping[str, str]) -> bool:
    """Return what the settings say: those of this checkout before those of the project."""
    from doit_cargo.engine.plan import settings

    local = settings.read(workspace.root, environ)
    return bool(local.get(SCCACHE, workspace.settings.get(SCCACHE, False)))


def _follow(choice: Choice, wished: bool, machine: MachineFacts, workspace: Workspace, env: Mapping[str, str]) -> None:
    """Switch the cache on or off as the call or the settings want it."""
    if not wished:
        if wrapper_of(workspace.root, {**machine.environ, **env}):
            choice.env[WRAPPER] = ""
        return
    program = machine.detect(SCCACHE)
    if program:
        choice.env[WRAPPER] = program
    else:
        choice.notes.append("sccache is wanted but not here, so nothing is cached: doit-cargo setup_sccache gets it")


def _mend(choice: Choice, machine: MachineFacts, workspace: Workspace, env: Mapping[str, str]) -> None:
    """Take out a wrapper that would stop every compilation.

    Never CARGO_INCREMENTAL: with another value cargo makes other units, and SCCACHE=1 must not change a result.
    """
    seen = {**machine.environ, **env, **choice.env}
    wrapper = wrapper_of(workspace.root, seen)
    if not is_sccache(wrapper):
        return
    if not which(wrapper, seen):
        found = choice.env[WRAPPER] = machine.detect(SCCACHE) or ""
        instead = f"this call takes {found}" if found else "this call goes without it"
        choice.notes.append(f"the configured rustc wrapper, {wrapper}, is not on PATH: {instead}")
    if seen.get(INCREMENTAL) == REFUSED:
        choice.env[WRAPPER] = ""
        choice.notes.append("sccache refuses to run beside CARGO_INCREMENTAL=1: this call goes without sccache")


def is_sccache(wrapper: str) -> bool:
    """Tell whether a wrapper of rustc is sccache, by the name of its program."""
    return os.path.splitext(os.path.basename(wrapper))[0] == SCCACHE


def changes_nothing(name: str, value: str | None) -> bool:
    """Tell whether a variable says no more than that sccache is taken, or is not."""
    return name in (WRAPPER, WRAPPER_OF_BUILD) and (not value or is_sccache(value))


def wrapper_of(root: str, environ: Mapping[str, str]) -> str:
    """Return the wrapper that cargo takes in a directory, "" for none (Cargo book, "build.rustc-wrapper").

    A variable wins over the config files, an empty one too. The nearest file wins.
    """
    for name in (WRAPPER, WRAPPER_OF_BUILD):
        if name in environ:
            return environ[name]
    for path, table in read_tables(root, environ):
        build = table.get("build")
        value = build.get("rustc-wrapper") if isinstance(build, Mapping) else None
        if isinstance(value, str):
            # A relative path counts from the folder that holds .cargo.
            return os.path.join(os.path.dirname(os.path.dirname(path)), value) if os.path.dirname(value) else value
    return ""
