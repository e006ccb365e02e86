"""CUDA for its own sake: all of it in one report, and the paths that lead to it. For the check targets.

The looks that stop a build are in compiler.py and requirements.py; this adds what is only good to know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from doit_cargo.engine.base.files import named_like
from doit_cargo.engine.preflight.check_context import MISSING, OK, WARN, WRONG, CheckContext, CheckRow
from doit_cargo.engine.preflight.cuda.compiler import cuda_release, look_at_capability, look_at_host_compiler, nvcc_row
from doit_cargo.engine.preflight.cuda.gpu import look_at_gpu
from doit_cargo.engine.preflight.requirements.checks import look_at_needs
from doit_cargo.engine.toolchain.cuda import libraries
from doit_cargo.engine.toolchain.tools import Tool

VARIABLES = ("CUDA_PATH", "CUDA_HOME", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR")
LIBRARIES = {"cudnn": "cuDNN", "nccl": "NCCL"}


def environment(look: CheckContext) -> Iterator[CheckRow]:
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
        yield CheckRow("GPU", OK, "none", what=what)
    for name in LIBRARIES:
        if name not in told:
            yield _library(look, name)


def _library(look: CheckContext, name: str) -> CheckRow:
    found = libraries.find_cuda_library(look.scripts, name)
    if found:
        return CheckRow(name, OK, found.version, found.path)
    what = f"{LIBRARIES[name]} is not here; only a build that links it would need it"
    return CheckRow(name, WARN, what=what)


def paths(look: CheckContext) -> Iterator[CheckRow]:
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


def _toolkit(nvcc: Tool) -> CheckRow:
    if cuda_release(nvcc.version):
        return CheckRow("CUDA toolkit", OK, nvcc.version, nvcc.root)
    what = f"this version of doit-cargo knows no CUDA {nvcc.version}: its limits are not checked"
    return CheckRow("CUDA toolkit", WARN, nvcc.version, nvcc.root, what=what)


def _part(nvcc: Tool, name: str, place: tuple[str, ...]) -> CheckRow:
    path = os.path.join(nvcc.root, *place)
    if os.path.isfile(path):
        return CheckRow(name, OK, "", path)
    what = f"{place[-1]} is not below {nvcc.root}: the toolkit is not whole"
    return CheckRow(name, MISSING, what=what, fix="install the rest of this toolkit, cuda-cudart-dev say")


def _runtime(look: CheckContext, nvcc: Tool) -> CheckRow:
    """Look for the runtime library: lib64 of NVIDIA's installers, lib of wheels, lib/x64 on Windows."""
    beginning = "cudart" if look.machine.platform == "windows" else "libcudart"
    for place in (("lib64",), ("lib",), ("lib", "x64"), ("targets", "x86_64-linux", "lib")):
        found = named_like(os.path.join(nvcc.root, *place), (beginning,))
        if found:
            return CheckRow("libraries", OK, "", os.path.dirname(found[0]))
    what = f"libcudart is nowhere below {nvcc.root}: programs cannot be linked"
    return CheckRow("libraries", WARN, what=what, fix="install the rest of this toolkit, or set LIBRARY_PATH")


def _variable(variable: str, value: str, nvcc: Tool | None) -> CheckRow:
    if not os.path.isdir(value):
        what = f"{variable}={value} does not exist"
        return CheckRow(variable, WRONG, "", value, what=what, fix=f"correct {variable}, or unset it", where=variable)
    if nvcc and os.path.realpath(value) != os.path.realpath(nvcc.root):
        what = f"{variable}={value} is not the toolkit that nvcc at {nvcc.path} belongs to, {nvcc.root}"
        return CheckRow(variable, WARN, "", value, what=what, fix=f"set {variable}={nvcc.root}, or change PATH")
    return CheckRow(variable, OK, "", value)


def _cudnn(look: CheckContext) -> CheckRow:
    found = libraries.find_cuda_library(look.scripts, "cudnn")
    for variable in libraries.LIBRARIES["cudnn"][2]:
        value = look.scripts.environ.get(variable, "")
        if value and not os.path.isdir(value):
            what = f"{variable}={value} does not exist"
            return CheckRow(
                "cudnn", WRONG, "", value, what=what, fix=f"correct {variable}, or unset it", where=variable
            )
    return CheckRow("cudnn", OK, found.version, found.path) if found else _library(look, "cudnn")
