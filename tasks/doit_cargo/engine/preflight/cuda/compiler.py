"""Is CUDA ready for a plan: nvcc, a host compiler that it accepts, the asked architectures (data/cuda.toml).

Looks only where a plan needs nvcc. No GPU is never an error: code for one is built without it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

import doit_cargo
from doit_cargo.engine.preflight.check_context import MISSING, OK, WARN, WRONG, CheckContext, CheckRow, tool_row
from doit_cargo.engine.toolchain import Machine
from doit_cargo.engine.toolchain.cuda.gpu import find_gpus
from doit_cargo.engine.toolchain.cuda.nvcc import host_compiler_request, nvcc_candidates
from doit_cargo.engine.toolchain.platform import install_command
from doit_cargo.engine.toolchain.tools import Tool, how_to_get
from doit_cargo.engine.toolchain.versions import major_minor, satisfies


def nvcc_row(look: CheckContext, specifier: str, needed_by: str) -> CheckRow:
    """Return nvcc's row; where it is missing, the message tells all the places."""
    row = tool_row(look, "nvcc", specifier, needed_by)
    if row.status == OK:
        return row
    what = row.what
    if row.status == MISSING:
        places = place_of_nvcc(look.scripts)
        what = f"{look.plan.target} needs {f'nvcc {specifier}'.strip()}, which is nowhere (looked at {places})"
    fix = row.fix if row.status == WRONG and not row.version else get_nvcc(look.scripts, specifier)
    return CheckRow("nvcc", row.status, row.version, row.path, needed_by, what, fix, row.where)


def place_of_nvcc(machine: Machine) -> str:
    """Return the places where nvcc is looked for, in the words of a message."""
    return ", ".join(dict.fromkeys(place for place, _path in nvcc_candidates(machine)))


def get_nvcc(machine: Machine, specifier: str) -> str:
    """Return how to get nvcc. PyPI has it for CUDA 13 only (facts/cargo.md, G3)."""
    if machine.platform == "macos":
        return "build this on Linux or Windows: CUDA does not exist for macOS"
    newest = max(cuda_releases(), key=_release_key)
    ways = ['pip install "doit-cargo[cuda]"'] if satisfies(newest, specifier) else []
    packages = {"apt": "nvidia-cuda-toolkit", "pacman": "cuda", "winget": "Nvidia.CUDA"}
    if machine.package_manager in packages:
        ways.append(install_command(machine.package_manager, packages[machine.package_manager]))
    else:
        ways.append("NVIDIA's own packages (https://developer.nvidia.com/cuda-downloads)")
    return ", or ".join(ways)


def look_at_host_compiler(look: CheckContext) -> Iterator[CheckRow]:
    """Look whether nvcc has a host compiler that it accepts."""
    nvcc = look.scripts.tool("nvcc") if look.needs_cuda else None
    if nvcc is None:
        return
    host = look.scripts.tool("nvcc-host")
    if host is None:
        yield _no_host_compiler(look, nvcc)
        return
    release = cuda_release(nvcc.version)
    limit = _limit(release, host)
    found = f"{host.family or host.name} {host.version}".strip()
    if not host.version or not limit or limit[0] <= _measure(host) <= limit[1]:
        yield CheckRow("host compiler", OK, host.version, host.path, "nvcc")
        return
    accepts = _accepts(host.family, limit)
    status = WARN if _allows_any(look.scripts.environ) else WRONG
    what = f"nvcc {major_minor(nvcc.version)} accepts {accepts}, found {found} at {host.path}"
    where = look.place(host_compiler_request(look.scripts, nvcc).where)
    fix = _fitting_compiler(look.scripts, host, limit[1])
    yield CheckRow("host compiler", status, host.version, host.path, "nvcc", what, fix, where)


def _no_host_compiler(look: CheckContext, nvcc: Tool) -> CheckRow:
    request = host_compiler_request(look.scripts, nvcc)
    what = f"nvcc at {nvcc.path} needs the host compiler {request.asked}, which is not on PATH"
    if request.where:
        what = f"nvcc is told to use the host compiler {request.asked or '(nothing)'}, which is no program"
    wanted = "cl.exe" if look.scripts.platform == "windows" else "c++"
    fix = how_to_get(wanted, look.scripts.package_manager)
    fix = f"unset {request.where}, or name a compiler there that exists" if request.where else fix
    return CheckRow("host compiler", MISSING, needed_by="nvcc", what=what, fix=fix, where=look.place(request.where))


def _limit(release: Mapping[str, object], host: Tool) -> tuple[int, int] | None:
    """Return the versions of this family that a CUDA release lets through, None if that is not known."""
    if host.family == "msvc":
        span = release.get("msvc")
        return (int(span[0]), int(span[1])) if isinstance(span, list) else None
    ceiling = release.get(f"max_{host.family}")
    return (0, ceiling) if isinstance(ceiling, int) else None


def _measure(host: Tool) -> int:
    """Return what the limit counts: the major version, or _MSC_VER (tool set 14.40 = _MSC_VER 1940)."""
    numbers = [int(part) for part in re.findall(r"\d+", host.version)[:2]]
    return 1900 + numbers[1] if host.family == "msvc" and len(numbers) > 1 else numbers[0]


def _accepts(family: str, limit: tuple[int, int]) -> str:
    if family == "msvc":
        return f"Visual C++ from 14.{limit[0] - 1900} to 14.{limit[1] - 1900}"
    return f"{family} up to {limit[1]}"


def _allows_any(environ: Mapping[str, str]) -> bool:
    """Return whether the user has taken the risk (nvcc reads these two variables on every call)."""
    flags = f"{environ.get('NVCC_PREPEND_FLAGS', '')} {environ.get('NVCC_APPEND_FLAGS', '')}".split()
    return bool({"-allow-unsupported-compiler", "--allow-unsupported-compiler"} & set(flags))


def _fitting_compiler(machine: Machine, host: Tool, ceiling: int) -> str:
    """Return how to give nvcc a compiler that it takes: one that is here already, else one to install."""
    risk = "NVCC_APPEND_FLAGS=-allow-unsupported-compiler at your own risk"
    if host.family == "msvc":
        return f"install a Visual C++ that fits and set NVCC_CCBIN to its cl.exe, or {risk}"
    name = "clang++" if host.family == "clang" else "g++"
    # Six versions back is as far as any distribution goes, and 1 ms of looking.
    here = next(filter(None, (machine.which(f"{name}-{major}") for major in range(ceiling, ceiling - 6, -1))), "")
    if here:
        return f"set NVCC_CCBIN={here}, or {risk}"
    wanted = f"{name}-{ceiling}"
    if machine.package_manager == "apt":
        package = f"clang-{ceiling}" if host.family == "clang" else wanted
        return f"{install_command('apt', package)} and set NVCC_CCBIN=/usr/bin/{wanted}, or {risk}"
    return f"install {wanted} and set NVCC_CCBIN to its path, or {risk}"


def look_at_capability(look: CheckContext) -> Iterator[CheckRow]:
    """Look whether this CUDA makes code for the architectures that are asked for, or for the GPU that is here."""
    nvcc = look.scripts.tool("nvcc") if look.needs_cuda else None
    if nvcc is None:
        return
    who, asked = "CUDA_COMPUTE_CAP", architectures(look.scripts.environ.get("CUDA_COMPUTE_CAP", ""))
    if not asked and any(need.thing == "capability" for need in look.inferred.needs):
        who, asked = "the GPU here", [gpu.capability for gpu in find_gpus(look.scripts)]
    elif not asked and not look.inferred.crates:
        yield from _unknown_capability(look)
    known = cuda_release(nvcc.version).get("sm")
    for architecture in asked:
        if isinstance(known, list) and architecture not in known:
            yield _impossible_capability(look, nvcc, architecture, known, who)


def _unknown_capability(look: CheckContext) -> Iterator[CheckRow]:
    """Warn where no crate is known: the build scripts of candle and mistral.rs ask nvidia-smi, and stop without it."""
    if not look.scripts.which("nvidia-smi"):
        what = "CUDA_COMPUTE_CAP is not set and nvidia-smi is not on PATH: build scripts that ask for the GPU will stop"
        fix = "set CUDA_COMPUTE_CAP to the compute capability of the GPU that will run this, 80 or 89 say"
        yield CheckRow("CUDA_COMPUTE_CAP", WARN, needed_by="build scripts", what=what, fix=fix)


def _impossible_capability(
    look: CheckContext, nvcc: Tool, architecture: int, known: list[object], who: str
) -> CheckRow:
    listed = ", ".join(map(str, known))
    what = f"{who} asks for {architecture}, nvcc {major_minor(nvcc.version)} makes code for {listed}"
    makers = sorted(
        (name for name, row in cuda_releases().items() if architecture in _list(row, "sm")), key=_release_key
    )
    fix = "set CUDA_COMPUTE_CAP to one of these"
    fix += f", or use a CUDA from {makers[0]} to {makers[-1]}" if makers else ""
    where = look.place("CUDA_COMPUTE_CAP") if who == "CUDA_COMPUTE_CAP" else ""
    return CheckRow("CUDA_COMPUTE_CAP", WRONG, nvcc.version, nvcc.path, "build scripts", what, fix, where)


def architectures(text: str) -> list[int]:
    """Return the architectures of ``80``, ``8.9``, ``sm_90a`` or several of them."""
    words = re.split(r"[,;\s]+", text.strip())
    found = [re.fullmatch(r"(?:sm_|compute_)?(\d+)\.?(\d?)[af]?", word) for word in words]
    return [int(match[1] + match[2]) for match in found if match]


def _list(row: Mapping[str, object], key: str) -> list[object]:
    value = row.get(key)
    return value if isinstance(value, list) else []


def _release_key(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


def cuda_release(version: str) -> Mapping[str, object]:
    """Return the facts of the CUDA release that nvcc's version belongs to; none for one that the table lacks."""
    return cuda_releases().get(major_minor(version), {})


@lru_cache(maxsize=1)
def cuda_releases() -> Mapping[str, Mapping[str, object]]:
    """Return the table of CUDA releases (data/cuda.toml), read once and only for a plan that needs nvcc."""
    from doit_cargo.engine.base.toml import toml

    path = os.path.join(doit_cargo.DIRECTORY, "data", "cuda.toml")
    with open(path, "rb") as file:
        return toml.load(file)
