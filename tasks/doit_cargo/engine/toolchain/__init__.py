"""The programs of this computer: where each is, which version, and which files stand for it.

The entry point for the rest of the engine: `Machine` joins rows (tools.py) and finders. Knows no plan and no profile,
and makes no message: preflight does. What the no-op path calls (`toolchain_identity`, `active_toolchain`,
`pin_candidates`, all of rustup.py) runs no program and imports next to nothing.
"""

import os

from doit_cargo.engine.toolchain.machine import BareMachine
from doit_cargo.engine.toolchain.rustup import active_toolchain, pin_candidates, toolchain_identity
from doit_cargo.engine.toolchain.tools import Tool

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = (
    "DETECTORS",
    "FINDERS",
    "Machine",
    "Tool",
    "active_toolchain",
    "identity_of",
    "pin_candidates",
    "toolchain_identity",
)

# Tools that no row can find: the module and function that do, loaded when one is looked for.
FINDERS = {
    "nvcc": "cuda.nvcc:find_nvcc",
    "nvcc-host": "cuda.nvcc:find_host_compiler",
    "linker": "native.linkers:find_linker",
    "python": "finders:find_python",
    "libclang": "finders:find_libclang",
    "cl.exe": "native.visual_studio:find_compiler",
    "link.exe": "native.visual_studio:find_linker",
}


class Machine(BareMachine):
    """The tools that one directory and environment see, and the paths that profiles ask for by name."""

    def find(self, name: str) -> Tool | None:
        """Look for a tool: by its finder if it has one, else by its row."""
        return _finder(name)(self) if name in FINDERS else super().find(name)

    def detect(self, name: str) -> str | None:
        """Return a path that a profile asks for by name, or None where this machine has no such thing."""
        detector = DETECTORS.get(name)
        return detector(self) or None if detector else None


def _finder(name: str) -> "Callable[[BareMachine], Tool | None]":
    from importlib import import_module

    module, _, function = FINDERS[name].partition(":")
    found: Callable[[BareMachine], Tool | None] = getattr(import_module(f"{__name__}.{module}"), function)
    return found


def _cuda_root(machine: Machine) -> str:
    nvcc = machine.tool("nvcc")
    return nvcc.root if nvcc else ""


def _nvcc_directory(machine: Machine) -> str:
    nvcc = machine.tool("nvcc")
    return os.path.dirname(nvcc.path) if nvcc else ""


def _msvc_cl(machine: Machine) -> str:
    from doit_cargo.engine.toolchain.native.visual_studio import visual_studio_tools

    directory = visual_studio_tools(machine)
    return os.path.join(directory, "cl.exe") if directory else ""


def _python_path(machine: Machine) -> str:
    """Return pyo3's Python, or the one that runs us."""
    import sys

    found = machine.tool("python")
    return found.path if found else sys.executable


def _base_of_python(machine: Machine) -> str:
    from doit_cargo.engine.toolchain.python import base_of_python

    return base_of_python(machine)


def _sccache_path(machine: Machine) -> str:
    """Return sccache if it can be started."""
    found = machine.tool("sccache")
    return found.path if found and found.version else ""


DETECTORS: "dict[str, Callable[[Machine], str]]" = {
    "cuda_root": _cuda_root,
    "nvcc_directory": _nvcc_directory,
    "msvc_cl": _msvc_cl,
    "python": _python_path,
    "pyo3_python": _base_of_python,
    "sccache": _sccache_path,
}


def identity_of(tool: Tool) -> tuple[str, ...]:
    """Return the files that stand for a tool: for nvcc the wrapper, what makes the code, and the host compiler."""
    return tuple(dict.fromkeys((tool.path, tool.real_path, *tool.companions)))
