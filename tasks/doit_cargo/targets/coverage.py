"""The coverage family: rows only; actions/measure/coverage.py does the work."""

from __future__ import annotations

from doit_cargo.engine.base.model import Target

TARGETS: tuple[Target, ...] = (
    Target(
        name="test_coverage",
        family="coverage",
        doc="Run the tests of the whole workspace with coverage: figures for each package, reports as COVERAGE says, a "
        "floor with COVERAGE_MIN.",
        action="doit_cargo.actions.measure.coverage:test_coverage",
        check="doit_cargo.actions.measure.coverage:check",
        equivalent_command=("cargo", "llvm-cov", "--html"),
        package="all",
        profile=("dev",),
        takes=("COVERAGE", "COVERAGE_MIN", "JOBS", "VERBOSE", "FEATURES", "PACKAGE", "TARGET", "WITHOUT_PREFLIGHT"),
        needs=("cargo-llvm-cov>=0.5",),
    ),
)
