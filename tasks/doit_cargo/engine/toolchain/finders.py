"""Tools that no row can find: the Python that pyo3 takes and the library that bindgen loads.

Knows where they may be, not who needs them. nvcc.py, linkers.py and visual_studio.py find the others.
"""

import os

from doit_cargo.engine.base.files import named_like
from doit_cargo.engine.toolchain.machine import BareMachine
from doit_cargo.engine.toolchain.platform import host_triple
from doit_cargo.engine.toolchain.tools import ROWS, Tool
from doit_cargo.engine.toolchain.version_cache import validity_of
from doit_cargo.engine.toolchain.versions import version_in

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Iterator


def find_python(machine: BareMachine) -> Tool | None:
    """Return the Python that pyo3 takes: PYO3_PYTHON, the virtual environment, conda's, then `python` and `python3`."""
    row = ROWS["python"]
    if machine.environ.get("PYO3_PYTHON"):
        path = machine.locate(row)
        return machine.ask_version(row, path) if path else None
    for path in filter(None, _python_candidates(machine)):
        found = machine.ask_version(row, path)
        if not found.version.startswith("2."):
            return found
    return None


def _python_candidates(machine: BareMachine) -> "Iterator[str]":
    windows = machine.platform == "windows"
    for variable, below in (
        ("VIRTUAL_ENV", "Scripts" if windows else "bin"),
        ("CONDA_PREFIX", "" if windows else "bin"),
    ):
        if machine.environ.get(variable):
            yield machine.which(os.path.join(machine.environ[variable], below, "python"))
    yield from map(machine.which, ROWS["python"].executables)


# libclang.so, libclang-14.so.1, libclang.dll; never libclang-cpp.so.14, which is another library.
LIBCLANG_NAMES = ("libclang.so", "libclang.dylib", "libclang.dll", *(f"libclang-{digit}" for digit in range(1, 10)))
_XCODE_LIBRARIES = "/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib"


def find_libclang(machine: BareMachine) -> Tool | None:
    """Return the library that bindgen loads, where clang-sys 1.8 (build/common.rs) looks.

    LIBCLANG_PATH alone if it is set; else what llvm-config names, LD_LIBRARY_PATH, and LLVM's usual places.
    `companions` holds the folder of clang's own headers (stddef.h) if they are there: a PyPI wheel has none.
    """
    named = machine.environ.get("LIBCLANG_PATH", "")
    if os.path.isfile(named):
        return _libclang(named)
    for directory in (named,) if named else dict.fromkeys(_libclang_directories(machine)):
        for path in named_like(directory, LIBCLANG_NAMES):
            return _libclang(path)
    return None


def _libclang(path: str) -> Tool:
    version = version_in(os.path.realpath(path), r"(?:llvm-|libclang-|\.so\.)(\d+(?:\.\d+)*)")
    return Tool("libclang", path, version, companions=tuple(filter(None, [_builtin_headers(path)])))


def _builtin_headers(library: str) -> str:
    """Return ``lib/clang/VERSION/include`` near a libclang, where clang looks for its headers, "" if there is none."""
    for path in dict.fromkeys([library, os.path.realpath(library)]):
        directory = os.path.dirname(path)
        places = [os.path.join(directory, "clang"), os.path.join(os.path.dirname(directory), "lib", "clang")]
        for version in [found for place in places for found in named_like(place, tuple("123456789"))]:
            include = os.path.join(version, "include")
            if os.path.isfile(os.path.join(include, "stddef.h")):
                return include
    return ""


def _libclang_directories(machine: BareMachine) -> "Iterator[str]":
    config = machine.which(machine.environ.get("LLVM_CONFIG_PATH") or "llvm-config")
    prefix = _llvm_prefix(machine, config) if config else ""
    if prefix:
        yield from (os.path.join(prefix, name) for name in ("bin", "lib", "lib64"))
    yield from filter(None, machine.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))
    yield from _llvm_directories(machine)


def _llvm_prefix(machine: BareMachine, config: str) -> str:
    def answer() -> "dict[str, object]":
        return {"version": machine.run(config, "--prefix").strip(), **validity_of(config)}

    return str(machine.remember("llvm-config", config, os.path.realpath(config), answer)["version"])


def _llvm_directories(machine: BareMachine) -> list[str]:
    if machine.platform == "windows":
        programs = machine.environ.get("PROGRAMFILES", r"C:\Program Files")
        return [
            os.path.join(place, below)
            for place in (os.path.join(programs, "LLVM"), r"C:\LLVM")
            for below in ("lib", "bin")
        ]
    if machine.platform == "macos":
        clt = "/Library/Developer/CommandLineTools/usr/lib"
        return [clt, _XCODE_LIBRARIES, "/usr/local/opt/llvm/lib"]
    arch = host_triple().split("-")[0]
    versions = [*named_like("/usr/local", ("llvm",)), *named_like("/usr/lib", ("llvm",))[::-1]]
    versions += named_like("/usr/lib64", ("llvm",))[::-1]
    nested = [os.path.join(path, name) for path in versions for name in ("lib", "lib64")]
    multiarch = [f"/usr/local/lib/{arch}-linux-gnu", f"/usr/lib/{arch}-linux-gnu"]
    return [*nested, *multiarch, "/usr/local/lib64", "/usr/local/lib", "/usr/lib64", "/usr/lib"]
