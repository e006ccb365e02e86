"""cuDNN and NCCL: where their library and header are, and which version; beside the toolkit or anywhere else.

Knows no crate and makes no message. They come from NVIDIA's packages, conda, PyPI wheels or an archive.
"""

import os
import re

from doit_cargo.engine.base.files import named_like, read_text
from doit_cargo.engine.toolchain.cuda.nvcc import python_libraries
from doit_cargo.engine.toolchain.machine import BareMachine
from doit_cargo.engine.toolchain.platform import host_triple
from doit_cargo.engine.toolchain.tools import Tool

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Iterator

# name -> (header that tells the version, the beginning of its macros, variables that lead to it)
LIBRARIES = {
    "cudnn": ("cudnn_version.h", "CUDNN", ("CUDNN_PATH", "CUDNN_LIB", "CUDNN_HOME", "CUDNN_ROOT")),
    "nccl": ("nccl.h", "NCCL", ("NCCL_HOME", "NCCL_ROOT", "NCCL_PATH")),
}
# Where the linker looks by itself.
SYSTEM = ("/usr/lib/{arch}-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")
_PARTS = (("MAJOR",), ("MINOR",), ("PATCHLEVEL", "PATCH"))


def find_cuda_library(machine: BareMachine, name: str) -> Tool | None:
    """Return a library by what the linker would take (``libcudnn.so``), else by what a program would load.

    `companions` holds the header; `family` is "run time" where only a versioned name is there, which no linker takes.
    """
    best: Tool | None = None
    for directory in dict.fromkeys(_directories(machine, name)):
        path, linkable = _library_in(machine, directory, name)
        if path and (best is None or (linkable and best.family)):
            header = _header_near(directory, name)
            version = _version_in(header, LIBRARIES[name][1]) or _version_of_name(path)
            best = Tool(
                name, path, version, family="" if linkable else "run time", companions=(header,) if header else ()
            )
            if linkable:
                return best
    return best


def _directories(machine: BareMachine, name: str) -> "Iterator[str]":
    """Yield the folders of libraries: the variables', the toolkit's, conda's, the linker's own, PyPI's."""
    nvcc = machine.tool("nvcc")
    roots = [machine.environ.get(variable, "") for variable in LIBRARIES[name][2]]
    roots += [machine.environ.get(variable, "") for variable in ("CUDA_PATH", "CUDA_HOME", "CUDA_ROOT")]
    roots += [nvcc.root if nvcc else "", machine.environ.get("CONDA_PREFIX", "")]
    arch = host_triple().split("-")[0]
    for root in filter(None, roots):
        yield from (root, *(os.path.join(root, *below) for below in (("lib64",), ("lib",), ("lib", "x64"))))
        yield os.path.join(root, "targets", f"{arch}-linux", "lib")
    for variable in ("LIBRARY_PATH", "LD_LIBRARY_PATH"):
        yield from filter(None, machine.environ.get(variable, "").split(os.pathsep))
    yield from (place.format(arch=arch) for place in SYSTEM)
    yield from (os.path.join(library, "nvidia", name, "lib") for library in python_libraries())


def _library_in(machine: BareMachine, directory: str, name: str) -> tuple[str, bool]:
    """Return the library of a folder, and whether the linker takes it by its plain name."""
    if machine.platform == "windows":
        path = os.path.join(directory, f"{name}.lib")
        return (path, True) if os.path.isfile(path) else ("", False)
    for ending in (".so", "_static.a", ".dylib"):
        path = os.path.join(directory, f"lib{name}{ending}")
        if os.path.isfile(path):
            return path, True
    return next(iter(named_like(directory, (f"lib{name}.so.",))), ""), False


def _header_near(directory: str, name: str) -> str:
    """Return the header that belongs to a folder of libraries."""
    above, name_of_arch = os.path.dirname(directory), os.path.basename(directory)
    places = [os.path.join(directory, "include"), os.path.join(above, "include"), "/usr/include"]
    places += [os.path.join(os.path.dirname(above), "include"), f"/usr/include/{name_of_arch}"]
    found = (os.path.join(place, LIBRARIES[name][0]) for place in places)
    return next((path for path in found if os.path.isfile(path)), "")


def _version_in(header: str, prefix: str) -> str:
    """Return ``9.8.0`` of ``#define CUDNN_MAJOR 9`` and so on."""
    text = read_text(header) if header else ""
    numbers = []
    for names in _PARTS:
        found = re.search(rf"^\s*#\s*define\s+{prefix}_(?:{'|'.join(names)})\s+(\d+)", text, re.MULTILINE)
        numbers += [found[1]] if found else []
    return ".".join(numbers)


def _version_of_name(path: str) -> str:
    found = re.search(r"\.so\.(\d+(?:\.\d+)*)$", os.path.realpath(path))
    return found[1] if found else ""
