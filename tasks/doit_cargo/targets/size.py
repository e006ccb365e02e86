"""The size family: rows only; actions/measure/sizes.py does the work."""

from __future__ import annotations

from functools import partial

from doit_cargo.engine.base.model import Target

ACTIONS = "doit_cargo.actions.measure.sizes"
BUILD = ("FEATURES", "PACKAGE", "PROFILE", "TARGET")

PROGRAMS = "doit_cargo.engine.plan.selection:without_programs"

_of_a_build = partial(
    Target, family="size", package="server", profile=("release",), check=f"{ACTIONS}:check", absence=PROGRAMS
)

TARGETS: tuple[Target, ...] = (
    _of_a_build(
        name="bloat_check",
        doc="Show which crates and functions the size of {package} comes from, without relinking what was built.",
        action=f"{ACTIONS}:bloat_check",
        equivalent_command=("cargo", "bloat", "--crates"),
        needs=("cargo-bloat>=0.12.1",),
        takes=(*BUILD, "BIN", "JOBS", "N", "WITHOUT_PREFLIGHT"),
    ),
    _of_a_build(
        name="binary_analysis",
        doc="Write .logs/bloat-analysis.txt: size and history of the programs of {package}, and their largest crates "
        "and functions.",
        action=f"{ACTIONS}:binary_analysis",
        equivalent_command=("cargo", "bloat", "-n", "50"),
        after=("build",),
        needs=("cargo-bloat>=0.12.1",),
        takes=("FEATURES", "PACKAGE", "TARGET", "BIN", "JOBS", "N", "WITHOUT_PREFLIGHT"),
    ),
    Target(
        name="binary_size_track",
        family="size",
        absence=PROGRAMS,
        doc="Show how the sizes of programs changed from build to build.",
        action=f"{ACTIONS}:binary_size_track",
        takes=("N",),
    ),
    Target(
        name="verify_binary_size",
        family="size",
        absence=PROGRAMS,
        doc="Check that no program of the release build grew by more than SIZE_THRESHOLD percent since its last other "
        "size.",
        action=f"{ACTIONS}:verify_binary_size",
        package="server",
        profile=("release",),
        after=("build",),
        takes=("FEATURES", "PACKAGE", "TARGET", "SIZE_THRESHOLD"),
    ),
)
