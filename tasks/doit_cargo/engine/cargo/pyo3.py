"""PyO3 between cargo and maturin: what its build script was told in a target directory, and how not to say otherwise.

The build script of pyo3-ffi makes cargo run it again when PYO3_* variables change, and with it pyo3 and all that rests
on it are compiled again. maturin sets such variables, a plain `cargo build` does not: called in turn they compile
PyO3 each time. So a cargo call takes over what the last one in the same target directory had. Reads cargo's
fingerprints; knows nothing of targets.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from doit_cargo.engine.base.model import Package

CRATES = frozenset({"pyo3", "pyo3-ffi"})
PREFIX = "PYO3_"
PYTHON, CONFIG_FILE, EXTENSION = "PYO3_PYTHON", "PYO3_CONFIG_FILE", "PYO3_BUILD_EXTENSION_MODULE"
# Variables by which a user decides over PyO3's Python: then nothing of ours is laid over it.
DECIDED = (CONFIG_FILE, "PYO3_NO_PYTHON", "PYO3_CROSS", "PYO3_CROSS_LIB_DIR")

Told = dict[str, str | None]
"""Variable -> what the build script saw, None for unset."""


def uses_pyo3(package: Package) -> bool:
    """Tell whether a package always needs PyO3 itself."""
    return any(each.name in CRATES and not each.optional and each.kind != "dev" for each in package.dependencies)


def is_extension(package: Package) -> bool:
    """Tell whether a package is a Python module and nothing else: no program of it must link libpython."""
    kinds = {kind for target in package.cargo_targets for kind in target.kinds}
    return "cdylib" in kinds and "bin" not in kinds


def told(profile_folder: str) -> Told:
    """Return what the last run of pyo3-ffi's build script saw below a folder such as ``target/release``."""
    marks = sorted(_marks(os.path.join(profile_folder, ".fingerprint")), key=_age)
    return _told_in(marks[-1]) if marks else {}


def _marks(folder: str) -> Iterator[str]:
    """Yield the fingerprints of pyo3-ffi's build script."""
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if name.startswith("pyo3-ffi-"):
            from glob import escape, glob

            yield from glob(os.path.join(escape(folder), escape(name), "run-build-script-*.json"))


def _age(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _told_in(path: str) -> Told:
    """Return the PYO3_* variables of a fingerprint (cargo's own format; another one tells nothing)."""
    found: Told = {}
    try:
        with open(path, encoding="utf-8") as stream:
            local = json.load(stream).get("local", [])
        for entry in local:
            changed = entry.get("RerunIfEnvChanged") if isinstance(entry, dict) else None
            if changed and str(changed["var"]).startswith(PREFIX):
                found[str(changed["var"])] = changed["val"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return found


class Bindings(NamedTuple):
    """What a plan sets for PyO3; `are_in_it`: whether a package of the plan uses PyO3 at all."""

    env: Mapping[str, str] = {}
    are_in_it: bool = False


def bindings(known: Told, python: str, environ: Mapping[str, str], as_module: bool) -> Bindings:
    """Return the PYO3_* variables of a cargo call.

    `known` is what the target directory's PyO3 was told, `python` the interpreter to pin, `environ` the call's own
    environment, which wins. `as_module`: whatever uses PyO3 in this call may be built as maturin builds it, without
    linking libpython.
    """
    if not python or any(environ.get(name) for name in DECIDED):
        return Bindings(are_in_it=True)
    env = {} if environ.get(PYTHON) else {PYTHON: python}
    wanted, before, config = environ.get(PYTHON) or python, known.get(PYTHON), known.get(CONFIG_FILE)
    is_another = before is not None and before != wanted and not config
    if as_module and not is_another and not (config and not os.path.isfile(config)):
        own = (PYTHON, *environ)
        env.update({name: value for name, value in known.items() if value is not None and name not in own})
    return Bindings(env, are_in_it=True)


def difference(before: Told, after: Mapping[str, str | None]) -> str:
    """Return how PyO3 was told something else than before, "" if it was not, or was not there before."""
    changed = [name for name in after if before and before.get(name) != after[name]]
    return ", ".join(f"{name}: {before.get(name) or 'unset'} -> {after[name] or 'unset'}" for name in changed)
