"""What crates need, as plain data that can be kept; and what variables have to say to it.

Light: each build that runs loads it. How needs are inferred is in inference.py, how they are checked in checks.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from doit_cargo.engine.base import NamedTuple

# Who resolved the crates: cargo, or Cargo.lock alone.
CARGO, LOCK = "cargo", "lock"


class Need(NamedTuple):
    """One thing that one crate of a build needs. `chain` leads from a package that was asked for to the crate.

    `feature` is the crate's feature that brings the need, if one does. `modules` and `get` are set for a library.
    `doubt` says why it may not be needed after all, where that is so; it then only warns.
    """

    thing: str
    version: str
    crate: str
    feature: str = ""
    chain: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    get: str = ""
    unless_env: tuple[str, ...] = ()
    only_if_env: tuple[str, ...] = ()
    place_env: tuple[str, ...] = ()
    only_warn: bool = False
    doubt: str = ""

    def is_wanted(self, environ: Mapping[str, str], triple: str) -> bool:
        """Return whether the variables of a build script's environment leave the need standing."""
        if self.only_if_env and not any(is_set(environ, name, triple) for name in self.only_if_env):
            return False
        return not any(is_set(environ, name, triple) for name in self.unless_env)


class Inference(NamedTuple):
    """What a plan needs by its crates. `basis` is "cargo", or "lock" where `why` says what kept cargo from answering.

    `problem` is cargo's own word for a lock file or for sources that it cannot have: the build would end with it.
    """

    needs: tuple[Need, ...] = ()
    basis: str = CARGO
    why: str = ""
    problem: str = ""
    triple: str = ""
    crates: int = 0


NOTHING = Inference()
# An inference that was kept in another shape is not read.
SHAPE = (Need._fields, Inference._fields)


def is_set(environ: Mapping[str, str], name: str, triple: str = "") -> bool:
    """Return whether a variable is set to anything but 0."""
    return value_of(environ, name, triple) not in ("", "0")


def value_of(environ: Mapping[str, str], name: str, triple: str = "") -> str:
    """Return a variable as build scripts read it: the one for the target first (``X86_64_..._OPENSSL_DIR``)."""
    prefix = triple.upper().replace("-", "_")
    return environ.get(f"{prefix}_{name}") or environ.get(name, "")


def to_data(found: Inference) -> tuple[Any, ...]:
    """Return an inference as plain data that `marshal` can store."""
    return tuple(found._replace(needs=tuple(map(tuple, found.needs))))  # type: ignore[arg-type]


def from_data(data: tuple[Any, ...]) -> Inference:
    """Return the inference that `to_data` gave."""
    found = Inference(*data)
    return found._replace(needs=tuple(Need(*need) for need in found.needs))
