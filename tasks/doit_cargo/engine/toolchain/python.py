"""Pythons: which one a call means, what it tells of itself, and the real interpreter behind an environment.

PyO3 and maturin take the interpreter that PATH or an active environment gives, and compile PyO3 again whenever that
path differs. The interpreter behind all environments of one installation has one path: that is what we hand on.
"""

import os

from doit_cargo.engine.base.process import processes
from doit_cargo.engine.toolchain.finders import find_python
from doit_cargo.engine.toolchain.machine import BareMachine
from doit_cargo.engine.toolchain.version_cache import stamp_of, validity_of

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Mapping

ASK_SECONDS = 20
# Isolated (-I), so that neither the working directory nor PYTHON* variables change the answer.
QUESTION = """\
import json, os, sys, sysconfig
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3],
    "implementation": sys.implementation.name,
    "executable": sys.executable,
    "base": getattr(sys, "_base_executable", "") or sys.executable,
    "is_environment": sys.prefix != sys.base_prefix or bool(os.path.isdir(os.path.join(sys.prefix, "conda-meta"))),
    "prefix": sys.prefix,
    "site_packages": sysconfig.get_path("platlib"),
    "is_managed": os.path.isfile(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")),
}))
"""


class Python:
    """An interpreter. `base` is the one behind an environment; `is_managed`: PEP 668 forbids to install there."""

    __slots__ = (
        "base",
        "executable",
        "implementation",
        "is_environment",
        "is_managed",
        "prefix",
        "site_packages",
        "version",
    )

    def __init__(self, facts: "Mapping[str, object]") -> None:
        self.version = str(facts["version"])
        self.implementation = str(facts["implementation"])
        self.executable = str(facts["executable"])
        self.base = os.path.realpath(str(facts["base"]))
        self.prefix = str(facts["prefix"])
        self.site_packages = str(facts["site_packages"])
        self.is_environment = bool(facts["is_environment"])
        self.is_managed = bool(facts["is_managed"]) and not self.is_environment

    def __str__(self) -> str:
        name = "Python" if self.implementation == "cpython" else self.implementation
        return f"{name} {self.version} at {self.executable}"


_told: dict[str, tuple[list[int], Python]] = {}


def ask_found(path: str, directory: str) -> Python | None:
    """Ask an interpreter that nobody has named; None also for one of a checkout that is not trusted."""
    from doit_cargo.engine.state.trust import may_ask

    return ask(path) if may_ask(path, directory, os.environ) else None


def ask(path: str) -> Python | None:
    """Ask an interpreter what it is, once for the same file; None if it is none, or older than 3."""
    import json

    stamp = stamp_of(path)
    if path in _told and _told[path][0] == stamp != []:
        return _told[path][1]
    done = processes.answer([path, "-I", "-c", QUESTION], os.environ, ASK_SECONDS)
    try:
        answer = Python(json.loads(done.out)) if done.ok else None
    except (ValueError, KeyError, TypeError):
        return None
    if answer:
        _told[path] = stamp, answer
    return answer


def program_in(machine: BareMachine, named: str) -> str:
    """Return the interpreter that a user names: a program, a name on PATH, or the folder of an environment."""
    if os.path.isdir(os.path.join(machine.directory, named)):
        folder = os.path.join(machine.directory, named)
        below = ("Scripts/python.exe", "python.exe") if machine.platform == "windows" else ("bin/python", "bin/python3")
        return next(filter(None, (machine.which(os.path.join(folder, *name.split("/"))) for name in below)), "")
    if os.path.dirname(named):
        return machine.which(os.path.join(machine.directory, named))
    return machine.which(named)


def base_of_python(machine: BareMachine) -> str:
    """Return the real interpreter behind the Python that pyo3 would take, "" if there is none. Remembered."""
    found = find_python(machine)
    if found is None:
        return ""

    def answer() -> "dict[str, object]":
        facts = ask_found(found.path, machine.directory)
        return {"version": facts.base if facts else "", **validity_of(found.path, found.real_path)}

    return str(machine.remember("python-base", found.path, found.real_path, answer)["version"])
