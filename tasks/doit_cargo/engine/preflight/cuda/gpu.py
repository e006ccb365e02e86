"""The GPU of this computer before what a plan builds for it: only warnings, since a build needs no GPU.

Facts of releases are in data/cuda.toml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from doit_cargo.engine.preflight.check_context import OK, WARN, CheckContext, CheckRow
from doit_cargo.engine.preflight.cuda.compiler import architectures, cuda_release
from doit_cargo.engine.toolchain.cuda.gpu import Gpu, find_gpus
from doit_cargo.engine.toolchain.versions import major_minor, satisfies


def look_at_gpu(look: CheckContext) -> Iterator[CheckRow]:
    """Look whether what is built will run on the GPU that is here; where there is none, there is nothing to say."""
    if not look.needs_cuda:
        return
    asked = architectures(look.scripts.environ.get("CUDA_COMPUTE_CAP", ""))
    for gpu in find_gpus(look.scripts)[:1]:
        yield _gpu_row(gpu, asked)
        nvcc = look.scripts.tool("nvcc")
        if nvcc:
            yield _driver_row(look, gpu, nvcc.version, cuda_release(nvcc.version))


def _gpu_row(gpu: Gpu, asked: list[int]) -> CheckRow:
    has = f"{gpu.capability // 10}.{gpu.capability % 10}"
    if asked and min(asked) > gpu.capability:
        what = f"CUDA_COMPUTE_CAP={min(asked)} makes code that the GPU here, {gpu.name} with {has}, cannot run"
        fix = f"set CUDA_COMPUTE_CAP={gpu.capability} to run it here"
        return CheckRow("GPU", WARN, has, gpu.name, "running what is built", what, fix)
    return CheckRow("GPU", OK, has, gpu.name, "running what is built")


def _driver_row(look: CheckContext, gpu: Gpu, cuda: str, release: Mapping[str, object]) -> CheckRow:
    """Compare the driver: the floor is for machine code; PTX, which candle ships, needs one as new as the toolkit's."""
    system = "windows" if look.machine.platform == "windows" else "linux"
    floor, bundled = (str(release.get(f"{key}_driver_{system}", "")) for key in ("min", "bundled"))
    short = major_minor(cuda)
    for wanted, what in (
        (floor, f"no program made with CUDA {short} runs on it"),
        (bundled, "code shipped as PTX, as candle's kernels are, fails with CUDA_ERROR_UNSUPPORTED_PTX_VERSION"),
    ):
        if wanted and not satisfies(gpu.driver, f">={wanted}"):
            text = f"the driver {gpu.driver} is older than {wanted}, which CUDA {short} wants: {what}"
            fix = f"install a driver from {wanted} on, or build with an older CUDA toolkit"
            return CheckRow("driver", WARN, gpu.driver, "", f"CUDA {short}", text, fix)
    return CheckRow("driver", OK, gpu.driver, "", f"CUDA {short}")
