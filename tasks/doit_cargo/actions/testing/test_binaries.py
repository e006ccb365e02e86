"""Test programs: what cargo compiled for testing, and how it would start each.

A `TestBinary` is one process of `cargo test`: a test executable, or rustdoc for the doc tests of a library. Data only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.state.receipts import TestProgram


DOC = "doc"
LIBRARIES = frozenset({"lib", "rlib", "dylib", "cdylib", "staticlib", "proc-macro"})


class TestBinary(NamedTuple):
    """One process that `cargo test` would start.

    `kind` is lib, bin, test, example, bench or doc; `path` is the executable, of doc tests the library. `env` maps each
    variable that cargo sets to (the value outside of cargo or None, the value that cargo gives). `own_harness`: it is
    not libtest that runs the tests, so that only the exit status is known.
    """

    package: str
    kind: str
    name: str
    path: str
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, tuple[str | None, str]]
    libraries: tuple[str, ...] = ()
    own_harness: bool = False

    @property
    def identity(self) -> str:
        """What tells this program from any other: another feature set gives other paths."""
        return f"{self.kind} {self.path}"

    @property
    def title(self) -> str:
        """How a person calls it."""
        texts = {"lib": "unit tests", DOC: "doc tests", "test": f"tests/{self.name}"}
        return texts.get(self.kind, f"{self.kind} {self.name}")

    @property
    def nextest_id(self) -> str:
        """nextest's name of the executable (nextest book, "Running a subset of tests", binary ids)."""
        if self.kind == "lib":
            return self.package
        return f"{self.package}::{self.name}" if self.kind == "test" else f"{self.package}::{self.kind}/{self.name}"


def kind_of(kinds: tuple[str, ...]) -> str:
    """Return our kind of a cargo target with these kinds."""
    return "lib" if LIBRARIES & set(kinds) else kinds[0]


def to_data(programs: tuple[TestBinary, ...]) -> tuple[TestProgram, ...]:
    """Return programs as a receipt can keep them."""
    return tuple(cast("TestProgram", {**program._asdict(), "env": dict(program.env)}) for program in programs)


def from_data(rows: tuple[Mapping[str, Any], ...]) -> tuple[TestBinary, ...]:
    """Return the programs that `to_data` was given."""
    return tuple(TestBinary(**row) for row in rows)
