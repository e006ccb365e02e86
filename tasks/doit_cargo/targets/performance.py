"""The performance family: where the time of builds and runs goes. Rows only; actions/measure/ does the work."""

from __future__ import annotations

from functools import partial

from doit_cargo.engine.base.model import FREE, Target
from doit_cargo.engine.base.variables import CARGO
from doit_cargo.targets import relevance

ACTIONS = "doit_cargo.actions.measure"
OF_CARGO = tuple(name for name in CARGO if name != "FORCE")

_of_a_build = partial(Target, family="performance", package="server")
_of_timings = partial(_of_a_build, check=f"{ACTIONS}.timings:check", profile=("release",))
_of_a_profiler = partial(_of_a_build, profile=("profiled",))
_RUN = (*OF_CARGO, "MODEL", "ARGS", "BIN", "PROFILER", "SECONDS")

TARGETS: tuple[Target, ...] = (
    _of_timings(
        name="build_timings",
        doc="Build {package} {mode} from nothing, beside what is there, and keep cargo's page of timings.",
        action=f"{ACTIONS}.timings:build_timings",
        equivalent_command=("cargo", "build", "--timings"),
        takes=(*OF_CARGO, "N"),
    ),
    _of_timings(
        name="slowest_deps",
        doc="Show the packages that took longest to compile in the last build_timings.",
        action=f"{ACTIONS}.timings:slowest_deps",
        takes=(*CARGO, "N"),
    ),
    Target(
        name="build_perf_docs",
        family="performance",
        doc="Write a table of how long builds took, by target, machine and features, into a Markdown file.",
        action=f"{ACTIONS}.build_times:build_perf_docs",
        check=f"{ACTIONS}.build_times:check_docs",
        takes=("OUTPUT",),
    ),
    _of_a_build(
        name="verify_build",
        doc="Build {package} {mode} from nothing, beside what is there, with full CUDA where nvcc is found, and start "
        "each program.",
        action=f"{ACTIONS}.build_times:verify_build",
        equivalent_command=("cargo", "build"),
        check=f"{ACTIONS}.build_times:check_build",
        profile=("cuda_full", "release"),
        takes=OF_CARGO,
    ),
    _of_a_profiler(
        name="profile",
        doc="Run {package} under samply, perf or flamegraph, whichever is there, and show where its time goes.",
        action=f"{ACTIONS}.profiler:profile",
        check=f"{ACTIONS}.profiler:check",
        takes=(*_RUN, "N"),
    ),
    _of_a_profiler(
        name="profile_memory",
        doc="Run {package} under heaptrack, massif or GNU time, whichever is there, and show the memory it needs.",
        action=f"{ACTIONS}.memory:profile_memory",
        check=f"{ACTIONS}.memory:check",
        takes=_RUN,
    ),
    Target(
        name="monitor_vram",
        family="performance",
        doc="Watch the memory of the GPUs every INTERVAL seconds and compare it with what MODEL is expected to take.",
        action=f"{ACTIONS}.vram:monitor_vram",
        takes=("INTERVAL", "SECONDS", "MODEL"),
        platforms=("linux", "windows"),
        relevance=relevance.CUDA,
        pool=FREE,
    ),
)
