"""Linkers for their own sake: the one that rustc takes, a faster one, and Visual C++. For the check targets."""

from __future__ import annotations

import os
from collections.abc import Iterator

from doit_cargo.engine.preflight.check_context import MISSING, OK, WARN, CheckContext, CheckRow, row_for
from doit_cargo.engine.preflight.cuda.compiler import look_at_host_compiler
from doit_cargo.engine.preflight.rust import look_at_linker
from doit_cargo.engine.toolchain.native.linkers import linker_request
from doit_cargo.engine.toolchain.native.visual_studio import visual_studio_tools
from doit_cargo.engine.toolchain.tools import how_to_get
from doit_cargo.engine.toolchain.versions import satisfies

# rustc links with its own lld there since 1.90 (the Rust blog, 2025-09-01).
LLD_BY_DEFAULT = "x86_64-unknown-linux-gnu"


def linkers(look: CheckContext) -> Iterator[CheckRow]:
    """Yield rustc's linker and the fastest other one."""
    yield from look_at_linker(look)
    triple = linker_request(look.machine).triple
    rustc = look.machine.tool("rustc")
    if triple == LLD_BY_DEFAULT and rustc and satisfies(rustc.version, ">=1.90"):
        yield CheckRow("lld", OK, rustc.version, what=f"rustc {rustc.version} links with its own lld on {triple}")
        return
    for name in ("mold", "lld"):
        found = look.machine.tool(name)
        if found:
            yield CheckRow(name, OK, found.version, found.path, what=_advice(triple, name))
            return
    if look.machine.platform != "macos":
        what = "neither lld nor mold is here: linking takes longer than it has to"
        yield CheckRow("lld", WARN, what=what, fix=how_to_get("lld", look.machine.package_manager))


def _advice(triple: str, name: str) -> str:
    return f'to link with it: rustflags = ["-C", "link-arg=-fuse-ld={name}"] in [target.{triple}] of .cargo/config.toml'


def visual_studio(look: CheckContext) -> Iterator[CheckRow]:
    """Yield Visual C++'s folder, its linker and compiler, and whether nvcc takes that compiler."""
    directory = visual_studio_tools(look.machine)
    if not directory:
        what = "no Visual Studio with a C++ tool set: no cl.exe on PATH, no VCToolsInstallDir, and vswhere finds none"
        fix = how_to_get("cl.exe", look.machine.package_manager)
        yield CheckRow("Visual C++", MISSING, needed_by="rustc, nvcc", what=what, fix=fix)
        return
    yield CheckRow("Visual C++", OK, "", os.path.dirname(directory))
    for name, needed_by in (("link.exe", "rustc"), ("cl.exe", "cc, nvcc")):
        yield row_for(look.machine, name, "", needed_by, needed_by)
    if look.machine.tool("nvcc"):
        yield from look_at_host_compiler(look)
