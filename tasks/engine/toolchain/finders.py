"""Tools that no row can find: the Python that pyo3 takes and the library that bindgen loads.

Knows where they may be, not who needs them. nvcc.py, linkers.py and visual_studio.py find the others.
"""

import os

from doit_cargo.engine.toolchain.files import named_like
from doit_cargo.engine.toolchain.machine import BareMachine
from doit_cargo.engine.toolchain.platform import host_triple
from doit_cargo.engine.toolchain.tools import ROWS, Tool
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


# libclang-14.so.1 but never libclang-cpp.so.14, which is another library.
LIBCLANG_NAMES = ("libclang.so", "libclang.dylib", "libclang.dll", *(f"libclang-{digit}" for digit in range(1, 10)))
_XCODE_LIBRARIES = "/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib"


def find_libclang(machine: BareMachine) -> Tool | None:
    """Return the library that bindgen loads, where clang-sys looks: LIBCLANG_PATH, then LLVM's usual places."""
    named = machine.environ.get("LIBCLANG_PATH", "")
    if os.path.isfile(named):
        return Tool("libclang", named, _libclang_version(named))
    for directory in (named,) if named else _llvm_directories(machine):
        for path in named_like(directory, LIBCLANG_NAMES):
            return Tool("libclang", path, _libclang_version(path))
    return None


def _libclang_version(path: str) -> str:
    return version_in(os.path.realpath(path), r"(?:llvm-|libclang-|\.so\.)(\d+(?:\.\d+)*)")


def _llvm_directories(machine: BareMachine) -> list[str]:
    if machine.platform == "windows":
        return [os.path.join(machine.environ.get("PROGRAMFILES", r"C:\Program Files"), "LLVM", "bin")]
    if machine.platform == "macos":
        clt = "/Library/Developer/CommandLineTools/usr/lib"
        return ["/opt/homebrew/opt/llvm/lib", "/usr/local/opt/llvm/lib", clt, _XCODE_LIBRARIES]
    versions = named_like("/usr/lib", ("llvm-",))[::-1]
    multiarch = f"/usr/lib/{host_triple().split('-')[0]}-linux-gnu"
    return [*(os.path.join(path, "lib") for path in versions), multiarch, "/usr/lib64", "/usr/lib"]
