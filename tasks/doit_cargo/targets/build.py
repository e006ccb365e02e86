"""The build family: rows only. What a profile sets is in profiles/, how rows become arguments in engine/plan.py."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from doit_cargo.engine.base.model import Package, Target, name_of_member
from doit_cargo.engine.base.variables import CARGO, MEMBER
from doit_cargo.targets import relevance

_build = partial(Target, family="build", command="build", package="server", takes=CARGO)

TARGETS: tuple[Target, ...] = (
    _build(
        name="build",
        doc="Build {package} {mode}, as the workspace configures it.",
        profile=("release",),
    ),
    _build(
        name="release",
        doc="Build {package} {mode}, all optimisations forced on: fat LTO, opt-level 3, one codegen unit, stripped.",
        profile=("optimised",),
    ),
    _build(
        name="build_server",
        doc="Build the server, {package}, alone {mode}: no other package's tools, such as Python, are needed.",
        profile=("release",),
        relevance=relevance.SERVER,
    ),
    _build(
        name="build_all",
        doc="Build the whole workspace {mode}, without packages whose tools are missing here.",
        profile=("release",),
        package="all",
    ),
    _build(
        name="dev",
        doc="Build {package} {mode}, for the daily work.",
        profile=("dev",),
    ),
    _build(
        name="dev_fast",
        doc="Build {package} {mode} for small edits: incremental, without the compiler cache.",
        profile=("dev_fast",),
    ),
    _build(
        name="build_cuda",
        doc="Build {package} {mode} with CUDA.",
        profile=("cuda",),
    ),
    _build(
        name="build_cuda_full",
        doc="Build {package} {mode} with CUDA, Flash Attention, cuDNN and MKL.",
        profile=("cuda_full",),
        packs=("mistralrs",),
    ),
    _build(
        name="build_metal",
        doc="Build {package} {mode} with Metal, on macOS.",
        profile=("metal",),
        platforms=("macos",),
    ),
    _build(
        name="build_windows",
        doc="Build {package} on Windows {mode} with CUDA, Flash Attention, cuDNN and MKL.",
        profile=("cuda_full",),
        platforms=("windows",),
        packs=("mistralrs",),
    ),
    _build(
        name="build_linux",
        doc="Build {package} on Linux {mode}, with full CUDA where nvcc is found, else for the CPU.",
        profile=("cuda_full", "release"),
        platforms=("linux",),
        relevance=relevance.CUDA,
    ),
    _build(
        name="build_low_memory",
        doc="Build {package} with little memory: two jobs, no LTO, into target/low-memory.",
        profile=("low_memory",),
    ),
    _build(
        name="build_profiled",
        doc="Build {package} optimised, with debug information for profilers, into target/release-with-debug.",
        profile=("profiled",),
    ),
    _build(
        name="build_lto_thin",
        doc="Build {package} {mode} with thin LTO.",
        profile=("lto_thin",),
    ),
    _build(
        name="build_lto_fat",
        doc="Build {package} {mode} with fat LTO.",
        profile=("lto_fat",),
    ),
    _build(
        name="build_release_fast",
        doc="Build {package} optimised but faster to link: thin LTO, four codegen units, into target/release-fast.",
        profile=("release_fast",),
    ),
)


def of_member(package: Package) -> Iterator[Target]:
    """Yield the targets that build one member, as `build` and as `dev` build what is theirs."""
    for word, profile in (("build", "release"), ("dev", "dev")):
        yield _build(
            name=f"{word}_{name_of_member(package)}",
            doc=f"Build the package {package.name} {{mode}}.",
            profile=(profile,),
            package="",
            member=package.name,
            takes=MEMBER,
            rule=f"{word}_<package>",
        )
