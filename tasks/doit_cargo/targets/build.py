"""The build family: rows only. What a profile sets is in profiles/, how rows become arguments in engine/plan.py."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from doit_cargo.engine.base.model import Package, Target, name_of_member
from doit_cargo.engine.base.variables import CARGO, MEMBER

_build = partial(Target, family="build", command="build", package="server", takes=CARGO)

TARGETS: tuple[Target, ...] = (
    _build(
        name="build",
        doc="Build the server in release mode, for the CPU, as the workspace configures its release profile.",
        profile=("release",),
    ),
    _build(
        name="release",
        doc="Build the server with all optimisations forced on: fat LTO, opt-level 3, one codegen unit, stripped.",
        profile=("optimised",),
    ),
    _build(
        name="build_server",
        doc="Build the server package alone in release mode: no other package's tools, such as Python, are needed.",
        profile=("release",),
    ),
    _build(
        name="build_all",
        doc="Build the whole workspace in release mode, without packages whose tools are missing here.",
        profile=("release",),
        package="all",
    ),
    _build(
        name="dev",
        doc="Build the server in debug mode.",
        profile=("dev",),
    ),
    _build(
        name="dev_fast",
        doc="Build the server in debug mode for small edits: incremental, without the compiler cache.",
        profile=("dev_fast",),
    ),
    _build(
        name="build_cuda",
        doc="Build the server in release mode with CUDA.",
        profile=("cuda",),
    ),
    _build(
        name="build_cuda_full",
        doc="Build the server in release mode with CUDA, Flash Attention, cuDNN and MKL.",
        profile=("cuda_full",),
        packs=("mistralrs",),
    ),
    _build(
        name="build_metal",
        doc="Build the server in release mode with Metal, on macOS.",
        profile=("metal",),
        platforms=("macos",),
    ),
    _build(
        name="build_windows",
        doc="Build the server on Windows in release mode with CUDA, Flash Attention, cuDNN and MKL.",
        profile=("cuda_full",),
        platforms=("windows",),
        packs=("mistralrs",),
    ),
    _build(
        name="build_linux",
        doc="Build the server on Linux in release mode, with full CUDA where nvcc is found, else for the CPU.",
        profile=("cuda_full", "release"),
        platforms=("linux",),
    ),
    _build(
        name="build_low_memory",
        doc="Build the server in release mode with little memory: two jobs, no LTO, into target/low-memory.",
        profile=("low_memory",),
    ),
    _build(
        name="build_profiled",
        doc="Build the server in release mode with debug information for profilers, into target/release-with-debug.",
        profile=("profiled",),
    ),
    _build(
        name="build_lto_thin",
        doc="Build the server in release mode with thin LTO.",
        profile=("lto_thin",),
    ),
    _build(
        name="build_lto_fat",
        doc="Build the server in release mode with fat LTO.",
        profile=("lto_fat",),
    ),
    _build(
        name="build_release_fast",
        doc="Build the server optimised but faster to link: thin LTO, four codegen units, into target/release-fast.",
        profile=("release_fast",),
    ),
)


def of_member(package: Package) -> Iterator[Target]:
    """Yield the target that builds one member in debug mode."""
    yield Target(
        name=f"build_{name_of_member(package)}",
        family="build",
        doc=f"Build the package {package.name} in debug mode.",
        command="build",
        profile=("dev",),
        member=package.name,
        takes=MEMBER,
        rule="build_<package>",
    )
