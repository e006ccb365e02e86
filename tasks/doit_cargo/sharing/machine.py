"""What of this machine a result rests on although no file of the checkout says it: compilers, libc, CPU, GPU.

A compiler is known by what it says of itself and, where it is no proxy of rustup's, by its content too. Anything that
cannot be told is a reason not to share.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.cargo.config import files as config_files
from doit_cargo.engine.state import fingerprint
from doit_cargo.engine.toolchain.cuda.gpu import find_gpus
from doit_cargo.sharing.path_set import NotShared

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.toolchain import Machine

SECONDS = 20.0
OF_RUST = ("cargo", "rustc", "rustdoc")
WITH_RUSTDOC = ("doc", "test")
CLIPPY = "clippy-driver"
CHECKSUMS = ".cargo-checksum.json"
# Settings by which another compiler than the one on PATH would be run.
COMPILERS = ("RUSTC", "RUSTC_WORKSPACE_WRAPPER", "RUSTDOC")
NATIVE = "native"


def platform_of() -> dict[str, str]:
    """Return the platform that results are for: system, processor, C library."""
    libc = (
        os.confstr("CS_GNU_LIBC_VERSION")
        if hasattr(os, "confstr") and "CS_GNU_LIBC_VERSION" in os.confstr_names
        else ""
    )
    return {"os": platform.system(), "arch": platform.machine(), "libc": libc or platform.libc_ver()[1]}


def facts(
    plan: Plan, root: str, machine: Machine, programs: Iterable[str], environ: Mapping[str, str]
) -> dict[str, str]:
    """Return what is known of the tools of a plan, as lines. Raises `NotShared`."""
    seen = processes.environment_of_tools(plan.invocation, environ)
    tables = config_files.read_tables(root, seen)
    word = plan.invocation.argv[1]
    own = OF_RUST if word in WITH_RUSTDOC else (*OF_RUST[:2], CLIPPY) if word == "clippy" else OF_RUST[:2]
    _require_usual_compiler(seen, tables)
    lines = {f"tool {name}": tool(name, seen, root) for name in sorted({*programs, *own})}
    lines |= {f"vendored {path}": content for path, content in _vendored(tables)}
    if _names_native(plan, seen, tables):
        lines["cpu"] = cpu()
    if "nvcc" in plan.needs and not seen.get("CUDA_COMPUTE_CAP"):
        lines["gpu"] = gpu(machine)
    return lines


def _require_usual_compiler(environ: Mapping[str, str], tables: config_files.Tables) -> None:
    named = [name for word in COMPILERS for name in (word, f"CARGO_BUILD_{word}") if environ.get(name)]
    keys = (word.lower().replace("_", "-") for word in COMPILERS)
    named += [f"build.{key}" for key in keys if config_files.value_of(tables, "build", key)[0]]
    if named:
        raise NotShared(f"{named[0]} names another compiler, of which nothing is known")


def tool(name: str, environ: Mapping[str, str], root: str) -> str:
    """Return what tells a program from others of its name. Raises `NotShared`."""
    path = which(name, environ)
    if not path:
        return "not found"
    flag = "-vV" if name in OF_RUST else "-V" if name == CLIPPY else "--version"
    said = processes.answer([path, flag], environ, SECONDS, root)
    if name in (*OF_RUST, CLIPPY):
        if not said.ok or "commit-hash: unknown" in said.out:
            raise NotShared(f"{name} does not say which one it is")
        return said.out.strip()
    content = fingerprint.digest(os.path.realpath(path)) or b""
    return f"{said.out.strip()[:2000]} {content.hex()}"


def _vendored(tables: config_files.Tables) -> Iterator[tuple[str, str]]:
    """Yield what folders of vendored packages hold: cargo itself checks each file against these sums."""
    for path, table in tables:
        sources = table.get("source")
        for name, source in sources.items() if isinstance(sources, Mapping) else ():
            folder = source.get("directory") if isinstance(source, Mapping) else None
            if isinstance(folder, str):
                yield name, _sums(os.path.join(os.path.dirname(os.path.dirname(path)), folder))


def _sums(folder: str) -> str:
    total = hashlib.sha256()
    try:
        for name in sorted(os.listdir(folder)):
            total.update(os.fsencode(name) + (fingerprint.digest(os.path.join(folder, name, CHECKSUMS)) or b"none"))
    except OSError as error:
        raise NotShared(f"{folder} cannot be read: {error.strerror}") from None
    return total.hexdigest()


def _names_native(plan: Plan, environ: Mapping[str, str], tables: config_files.Tables) -> bool:
    """Tell whether something asks for code for the processor at hand: where in doubt, yes."""
    values = (value for name, value in environ.items() if "FLAGS" in name)
    words = [*plan.invocation.argv, *plan.invocation.env.values(), *values, *(str(table) for _, table in tables)]
    return any(NATIVE in word for word in words)


def has_gpu_library(paths: Iterable[str]) -> bool:
    """Tell whether one of these files is a driver's library: who reads it may use a GPU."""
    return any(
        os.path.basename(path).startswith(("libcuda.", "libnvidia-", "libamdhip", "libOpenCL")) for path in paths
    )


def cpu() -> str:
    """Return what tells one kind of processor from another. Raises `NotShared`."""
    wanted = ("model name", "flags", "Features", "CPU part", "CPU implementer")
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            lines = {line.strip() for line in stream if line.startswith(wanted)}
    except OSError:
        lines = set()
    if not lines:
        raise NotShared("it is made for the processor at hand, which cannot be told here")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def gpu(machine: Machine) -> str:
    """Return the GPUs and their driver."""
    return ", ".join(f"{one.name} {one.capability} {one.driver}" for one in find_gpus(machine)) or "none"
