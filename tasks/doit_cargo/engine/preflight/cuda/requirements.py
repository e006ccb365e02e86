"""CUDA as crates need it: nvcc for build scripts, the GPU's architecture, cuDNN and NCCL for the linker.

Knows what crates ask for; which host compiler and architecture nvcc takes is in compiler.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from doit_cargo.engine.preflight.check_context import MISSING, OK, WRONG, CheckContext, CheckRow
from doit_cargo.engine.preflight.cuda.compiler import architectures, cuda_release, get_nvcc, place_of_nvcc
from doit_cargo.engine.preflight.requirements.merged import Wanted
from doit_cargo.engine.toolchain.cuda import gpu, libraries
from doit_cargo.engine.toolchain.versions import satisfies

# Packages of NVIDIA's own repositories.
PACKAGES = {
    "cudnn": {"apt": "libcudnn9-dev-cuda-{major}", "dnf": "libcudnn9-devel-cuda-{major}", "pacman": "cudnn"},
    "nccl": {"apt": "libnccl-dev", "dnf": "libnccl-devel", "pacman": "nccl"},
}


def look_at_nvcc(look: CheckContext, wanted: Wanted) -> Iterator[CheckRow]:
    """Look at nvcc for crates: it must be on PATH, where build scripts call it, in a version that all of them know."""
    machine = look.scripts
    nvcc = machine.tool("nvcc")
    asked = "nvcc" in look.plan.needs  # the plan's own row has told whether it is there
    if nvcc is None:
        if not asked:
            what = f"{wanted.subject} needs nvcc, which is nowhere (looked at {place_of_nvcc(machine)})"
            yield CheckRow(
                "nvcc", MISSING, needed_by=wanted.needed_by, what=what, fix=get_nvcc(machine, wanted.specifier)
            )
        return
    misfits = list(wanted.misfits(nvcc, _other_cuda(wanted)))
    if misfits:
        yield from misfits
    elif not machine.which("nvcc"):
        what = f"{wanted.subject} calls nvcc by its name, but {nvcc.path} is not on PATH"
        fix = 'put its folder on PATH, or build with a profile that says nvcc = "" in [needs]'
        yield CheckRow("nvcc", WRONG, nvcc.version, nvcc.path, wanted.needed_by, what, fix)
    elif not asked:
        yield CheckRow("nvcc", OK, nvcc.version, nvcc.path, wanted.needed_by)


def _other_cuda(wanted: Wanted) -> str:
    """Return what to do about a CUDA that a crate does not know: another CUDA, or the variable that cudarc takes."""
    fix = f"use a CUDA toolkit {wanted.specifier}"
    if any(need.crate == "cudarc" for need in wanted.needs):
        fix += ", a newer cudarc, or CUDARC_CUDA_VERSION=12080 (say) for an API that it knows"
    return fix


def look_at_capability(look: CheckContext, wanted: Wanted) -> Iterator[CheckRow]:
    """Look whether build scripts can tell for which GPU: CUDA_COMPUTE_CAP, else the GPU itself."""
    machine = look.scripts
    asked = machine.environ.get("CUDA_COMPUTE_CAP", "")
    found = architectures(asked) or [one.capability for one in gpu.find_gpus(machine)]
    if not found:
        what = f"{wanted.subject} asks for the GPU to build for: CUDA_COMPUTE_CAP is not set and nvidia-smi names none"
        fix = "set CUDA_COMPUTE_CAP to the compute capability of the GPU that will run this: 80 for A100, 89 for L4"
        yield CheckRow("CUDA_COMPUTE_CAP", MISSING, needed_by=wanted.needed_by, what=what, fix=fix)
        return
    shown = ", ".join(f"{one // 10}.{one % 10}" for one in found)
    bad = [
        need for need in wanted.needs if not any(satisfies(f"{one // 10}.{one % 10}", need.version) for one in found)
    ]
    if bad:
        what = f"{Wanted('', tuple(bad)).subject} needs a compute capability {bad[0].version}, not {shown}"
        fix = f"leave its feature out, or build for a GPU with {bad[0].version}"
        yield CheckRow(
            "CUDA_COMPUTE_CAP", WRONG, shown, "", wanted.needed_by, what, fix, look.place("CUDA_COMPUTE_CAP")
        )
    else:
        yield CheckRow("CUDA_COMPUTE_CAP", OK, shown, needed_by=wanted.needed_by)


def look_at_library(look: CheckContext, wanted: Wanted) -> Iterator[CheckRow]:
    """Look at cuDNN or NCCL where the linker looks."""
    name = wanted.thing
    machine = look.scripts
    found = libraries.find_cuda_library(machine, name)
    if found and not found.family:
        yield CheckRow(name, OK, found.version, found.path, wanted.needed_by)
        return
    nvcc = machine.tool("nvcc")
    major = nvcc.version.split(".")[0] if nvcc and cuda_release(nvcc.version) else "12"
    package = PACKAGES[name].get(machine.package_manager, "").format(major=major)
    fix = f"{package} of NVIDIA's packages" if package else f"NVIDIA's {name} (https://developer.nvidia.com/{name})"
    fix = f"install {fix}, or set {libraries.LIBRARIES[name][2][0]} to where it is unpacked"
    if found:
        what = f"{wanted.subject} links lib{name}.so, and {found.path} has only the name for running"
        yield CheckRow(name, WRONG, found.version, found.path, wanted.needed_by, what, fix, packages=package)
        return
    what = f"{wanted.subject} links lib{name}.so, which is neither in the CUDA toolkit nor in the system's folders"
    yield CheckRow(name, MISSING, needed_by=wanted.needed_by, what=what, fix=fix, packages=package)
