"""Who runs a test program: nextest or we ourselves, as cargo would; and whose kept results count.

A result is kept under who ran it. Without RUNNER both count, and nextest runs what is worth its start.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from doit_cargo.actions.testing import results
from doit_cargo.actions.testing.results import CachedResult
from doit_cargo.actions.testing.test_binaries import DOC, TestBinary
from doit_cargo.engine.base.errors import COULD_NOT_RUN, UserError

if TYPE_CHECKING:
    from doit_cargo.actions.testing.compile import TestRequest
    from doit_cargo.session import Session

NEXTEST, CARGO, EITHER = "nextest", "cargo", "either"
CONFIGURED = "nextest with its configuration"
# Seconds of tests below which the start of nextest costs more than its parallel runs save (benchmarks/README.md).
WORTH_IT = 2.0


def runner_of(work: TestRequest) -> str:
    """Return who runs the tests of a call. Raises `UserError` where that is nextest, and it is not here."""
    session, asked = work.session, work.values.text("RUNNER")
    if work.name == "test_nextest" or asked == NEXTEST:
        _require_nextest(work)
    elif work.target.passthrough_args:
        return CARGO  # these arguments are libtest's
    if work.name == "test_nextest":
        has_config = os.path.exists(os.path.join(session.root, ".config", "nextest.toml"))
        return CONFIGURED if has_config else NEXTEST
    return asked or (EITHER if session.machine.has("cargo-nextest") else CARGO)


def _require_nextest(work: TestRequest) -> None:
    from doit_cargo.engine.preflight import preflight

    problems = preflight.missing_tools(work.name, ("cargo-nextest",), work.session.machine)
    if problems:
        raise UserError(problems, COULD_NOT_RUN)


def settings_of(session: Session, runner: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the files and the variables by which a user tells a runner when a test has failed."""
    if runner == CARGO:
        return (), ()
    from doit_cargo.actions.testing.runners import nextest

    return nextest.settings_files(session.root, session.environ), nextest.VARIABLES


def is_for_cargo(program: TestBinary) -> bool:
    """Tell whether nextest cannot run a program: it knows only executables with libtest."""
    return program.kind == DOC or program.own_harness


def counting(program: TestBinary, runner: str) -> tuple[str, ...]:
    """Return those whose kept results count."""
    if is_for_cargo(program):
        return (CARGO,)
    return (CARGO, NEXTEST) if runner == EITHER else (runner,)


def kept(state: str, program: TestBinary, runner: str) -> list[CachedResult]:
    """Return the results that count, the latest first."""
    found = [one for who in counting(program, runner) for one in results.load(state, who, program)]
    return sorted(found, key=lambda one: -one.finished)


def chosen(state: str, programs: Iterable[TestBinary], runner: str) -> str:
    """Return who runs these programs now."""
    if runner != EITHER:
        return runner
    seconds = 0.0
    for program in programs:
        if not is_for_cargo(program):
            last = kept(state, program, runner)[:1]
            seconds += last[0].result.seconds if last else WORTH_IT
    return NEXTEST if seconds >= WORTH_IT else CARGO
