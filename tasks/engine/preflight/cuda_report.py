"""CUDA for its own sake: all of it in one report, and the paths that lead to it. For the check targets.

The looks that stop a build are in cuda.py and cuda_needs.py; this adds what is only good to know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from doit_cargo.engine.preflight.cuda import cuda_release, look_at_capability, look_at_host_compiler, nvcc_row
from doit_cargo.engine.preflight.gpu_look import look_at_gpu
from doit_cargo.engine.preflight.look import MISSING, OK, WARN, WRONG, Look, Row
from doit_cargo.engine.preflight.needs import look_at_needs
from doit_cargo.engine.toolchain import cuda_libraries
from doit_cargo.engine.toolchain.files import named_like
from doit_cargo.engine.toolchain.tools import Tool

VARIABLES = ("CUDA_PATH", "CUDA_HOME", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR")
LIBRARIES = {"cudnn": "cuDNN", "nccl": "NCCL"}


def environment(look: Look) -> Iterator[Row]:
    """Yield everything about CUDA: what a build needs, and what is here or not."""
    setting = look.plan.profile.needs.get("nvcc")
    rows = [nvcc_row(look, look.plan.needs.get("nvcc", ""), setting.where if setting else look.plan.target)]
    rows += look_at_needs(look)
    rows += look_at_host_compiler(look)
    rows += look_at_capability(look)
    rows += look_at_gpu(look)
    told = {row.name for row in rows}
    yield from rows
    if "GPU" not in told:
        what = "no GPU is here by nvidia-smi: code for one is built all the same, and runs elsewhere"
        yield Row("GPU", OK, "none", what=what)
    for name in LIBRARIES:
        if name not in told:
            yield _library(look, name)


def _library(look: Look, name: str) -> Row:
    found = cuda_libraries.find_cuda_library(look.scripts, name)
    if found:
        return Row(name, OK, found.version, found.path)
    what = f"{LIBRARIES[name]} is not here; only a build that links it would need it"
    return Row(name, WARN, what=what)


def paths(look: Look) -> Iterator[Row]:
    """Yield the toolkit's root, its headers and libraries, and each variable that names a CUDA."""
    nvcc = look.scripts.tool("nvcc")
    if nvcc is None:
        yield nvcc_row(look, "", look.plan.target)
    else:
        yield _toolkit(nvcc)
        yield _part(nvcc, "headers", ("include", "cuda_runtime.h"))
        yield _runtime(look, nvcc)
    for variable in VARIABLES:
        value = look.scripts.environ.get(variable)
        if value:
            yield _variable(variable, value, nvcc)
    yield _cudnn(look)


def _toolkit(nvcc: Tool) -> Row:
    if cuda_release(nvcc.version):
        return Row("CUDA toolkit", OK, nvcc.version, nvcc.root)
    what = f"this version of doit-cargo knows no CUDA {nvcc.version}: its limits are not checked"
    return Row("CUDA toolkit", WARN, nvcc.version, nvcc.root, what=what)


def _part(nvcc: Tool, name: str, place: tuple[str, ...]) -> Row:
    path = os.path.join(nvcc.root, *place)
    if os.path.isfile(path):
        return Row(name, OK, "", path)
    what = f"{place[-1]} is not below {nvcc.root}: the toolkit is not whole"
    return Row(name, MISSING, what=what, fix="install the rest of this toolkit, cuda-cudart-dev say")


def _runtime(look: Look, nvcc: Tool) -> Row:
    """Look for the runtime library: lib64 of NVIDIA's installers, lib of wheels, lib/x64 on Windows."""
    beginning = "cudart" if look.machine.platform == "windows" else "libcudart"
    for place in (("lib64",), ("lib",), ("lib", "x64"), ("targets", "x86_64-linux", "lib")):
        found = named_like(os.path.join(nvcc.root, *place), (beginning,))
        if found:
            return Row("libraries", OK, "", os.path.dirname(found[0]))
    what = f"libcudart is nowhere below {nvcc.root}: programs cannot be linked"
    return Row("libraries", WARN, what=what, fix="install the rest of this toolkit, or set LIBRARY_PATH")


def _variable(variable: str, value: str, nvcc: Tool | None) -> Row:
    if not os.path.isdir(value):
        what = f"{variable}={value} does not exist"
        return Row(variable, WRONG, "", value, what=what, fix=f"correct {variable}, or unset it", where=variable)
    if nvcc and os.path.realpath(value) != os.path.realpath(nvcc.root):
        what = f"{variable}={value} is not the toolkit that nvcc at {nvcc.path} belongs to, {nvcc.root}"
        return Row(variable, WARN, "", value, what=what, fix=f"set {variable}={nvcc.root}, or change PATH")
    return Row(variable, OK, "", value)


def _cudnn(look: Look) -> Row:
    found = cuda_libraries.find_cuda_library(look.scripts, "cudnn")
    for variable in cuda_libraries.LIBRARIES["cudnn"][2]:
        value = look.scripts.environ.get(variable, "")
        if value and not os.path.isdir(value):
            what = f"{variable}={value} does not exist"
            return Row("cudnn", WRONG, "", value, what=what, fix=f"correct {variable}, or unset it", where=variable)
    return Row("cudnn", OK, found.version, found.path) if found else _library(look, "cudnn")
