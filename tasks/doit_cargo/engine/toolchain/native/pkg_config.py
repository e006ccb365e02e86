"""What pkg-config knows of a C library, asked the way the Rust crate `pkg-config` (0.3) asks.

Knows no crate and makes no message.
"""

import os

from doit_cargo.engine.toolchain.machine import BareMachine
from doit_cargo.engine.toolchain.platform import host_triple
from doit_cargo.engine.toolchain.tools import ROWS
from doit_cargo.engine.toolchain.version_cache import validity_of

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Mapping

PATHS = ("PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_SYSROOT_DIR")


class Module:
    """What was found: the version and the .pc file; or `hidden_by`, the variable that keeps a crate from asking."""

    __slots__ = ("hidden_by", "name", "path", "version")

    def __init__(self, name: str, version: str = "", path: str = "", hidden_by: str = "") -> None:
        self.name = name
        self.version = version
        self.path = path
        self.hidden_by = hidden_by


def find_module(machine: BareMachine, name: str, triple: str = "") -> Module:
    """Return what pkg-config says of a module; a version of "" says that it knows none."""
    hidden = f"{name.upper().replace('-', '_').replace('.', '_')}_NO_PKG_CONFIG"
    if hidden in machine.environ:
        return Module(name, hidden_by=hidden)
    program = machine.locate(ROWS["pkg-config"])
    if not program:
        return Module(name)
    environ = targeted(machine.environ, triple)
    seen = machine.at(machine.directory, environ)
    place = "|".join(environ.get(variable, "") for variable in PATHS)
    kept = machine.remember(
        f"pkg-config {name} {place}", program, os.path.realpath(program), lambda: _answer(seen, program, name)
    )
    return Module(name, str(kept["version"]), str(kept["path"]))


def _answer(machine: BareMachine, program: str, name: str) -> "dict[str, object]":
    version = machine.run(program, "--modversion", name).strip()
    if not version or "\n" in version:
        return {"version": "", "path": ""}
    directory = machine.run(program, "--variable=pcfiledir", name).strip()
    path = os.path.join(directory, f"{name}.pc") if directory else ""
    return {"version": version, "path": path, **validity_of(program, *filter(None, [path]))}


def may_cross(environ: "Mapping[str, str]", triple: str) -> bool:
    """Return whether a crate asks at all: for another target only where it is told that the answers are of that one."""
    if not triple or triple == host_triple():
        return True
    allowed = environ.get("PKG_CONFIG_ALLOW_CROSS", "")
    if allowed:
        return allowed != "0"
    names = (*_forms("PKG_CONFIG", triple), *_forms("PKG_CONFIG_SYSROOT_DIR", triple), "PKG_CONFIG_SYSROOT_DIR")
    return any(environ.get(name) for name in names)


def targeted(environ: "Mapping[str, str]", triple: str) -> "dict[str, str]":
    """Return the environment with the variables for a target (``PKG_CONFIG_PATH_<target>``) in their plain names."""
    found = dict(environ)
    for name in PATHS:
        value = next((environ[form] for form in _forms(name, triple) if environ.get(form)), "") if triple else ""
        if value:
            found[name] = value
    return found


def _forms(name: str, triple: str) -> tuple[str, ...]:
    kind = "HOST" if triple == host_triple() else "TARGET"
    return f"{name}_{triple}", f"{name}_{triple.replace('-', '_')}", f"{kind}_{name}"
