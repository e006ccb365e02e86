"""The test family: rows only. actions/testing/ runs what cargo has compiled and keeps what has passed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from doit_cargo.engine.base.model import Package, Target, name_of_member
from doit_cargo.engine.base.variables import CARGO, MEMBER, TESTS
from doit_cargo.targets import relevance

BY = "doit_cargo.actions.testing"

_test = partial(
    Target,
    family="test",
    command="test",
    profile=("test",),
    package="all",
    takes=(*CARGO, *TESTS, "TEST_FILE", "WHOLE", "SHARD"),
    handler=BY,
    check=f"{BY}:check",
)
_role = partial(_test, takes=(*MEMBER, *TESTS, "TEST_FILE", "WHOLE"))

TARGETS: tuple[Target, ...] = (
    _test(
        name="test",
        doc="Run all tests and doc tests of the workspace whose inputs have not passed before.",
    ),
    _role(name="test_core", doc="Run the tests of the core package, {package}.", package="core"),
    _role(name="test_server", doc="Run the tests of {package}.", package="server", relevance=relevance.SERVER),
    _role(name="test_vision", doc="Run the tests of the vision package, {package}.", package="vision"),
    _role(name="test_quant", doc="Run the tests of the quantisation package, {package}.", package="quant"),
    Target(
        name="test_pyo3",
        family="test",
        doc="Run the Rust tests of the Python bindings; skipped, with the reason, where there is no Python.",
        action=f"{BY}.pyo3:test",
        takes=("JOBS", "VERBOSE", "FEATURES", "FORCE", *TESTS),
        packs=("mistralrs",),
    ),
    _test(
        name="test_quick",
        doc="Run the smoke test: the unit tests of the libraries that the pack names, no programs and no doc tests.",
        flags=("--lib",),
        takes=(*CARGO, *TESTS, "WHOLE"),
    ),
    _test(
        name="test_nextest",
        doc="Run all tests with cargo-nextest and its configuration, RETRIES times again where one fails, and doc "
        "tests with cargo.",
        equivalent_command=("cargo", "nextest", "run", "--workspace"),
        takes=(*CARGO, "TEST", "TEST_FILE", "NOCAPTURE", "JUNIT", "RETRIES", "KEEP_FLAKY", "WHOLE", "SHARD"),
    ),
    _test(
        name="test_integration",
        doc="Run the integration tests (tests/*.rs) of the workspace; MODEL is handed to them.",
        flags=("--test", "*"),
        relevance=relevance.INTEGRATION,
        takes=(*CARGO, *TESTS, "TEST_FILE", "MODEL", "WHOLE"),
    ),
    _test(
        name="test_examples",
        doc="Compile every example of the workspace and run the tests in it.",
        flags=("--examples",),
        relevance=relevance.EXAMPLES,
        takes=(*CARGO, *TESTS, "WHOLE"),
    ),
    _test(
        name="test_doc",
        doc="Run the doc tests of the workspace.",
        flags=("--doc",),
        relevance=relevance.LIBRARIES,
        takes=(*CARGO, *TESTS, "WHOLE"),
    ),
)


def of_member(package: Package) -> Iterator[Target]:
    """Yield the target that runs the tests of one member."""
    yield _test(
        name=f"test_{name_of_member(package)}",
        doc=f"Run the tests of the package {package.name}.",
        package="",
        member=package.name,
        takes=(*MEMBER, *TESTS, "TEST_FILE", "WHOLE"),
        rule="test_<package>",
    )
