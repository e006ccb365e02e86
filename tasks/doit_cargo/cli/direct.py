"""Targets run without doit: one after the other, the first failure ends the call.

Importing doit costs more than all else of a small rebuild. What doit alone can do (groups, several at once, `doit
ignore`) is left to it: `run` then returns None. Knows nothing of options and of commands.
"""

from __future__ import annotations

import os
import time

from doit_cargo.engine.base.errors import COULD_NOT_RUN, DONE, FAILED, Problem, UserError, as_user_error
from doit_cargo.engine.console import reporter, streams
from doit_cargo.engine.state import receipts
from doit_cargo.session import CARGO, GROUP, Session
from doit_cargo.targets.answers import profiles_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.targets.listing import Row

INTERRUPTED = 130
ENDS = {DONE: "done", FAILED: "failed", COULD_NOT_RUN: "could not run", INTERRUPTED: "interrupted"}
# doit's own state, and what stands in it where somebody has said `doit ignore`.
DOIT_STATE, IGNORED = "doit.json", b'"ignore:"'


def main(targets: Sequence[str], variables: Mapping[str, str], start: str, known_stale: str) -> int | None:
    """Run targets; return the exit code, None for those that need doit. Raises `UserError`."""
    try:
        session = Session(start, os.environ, variables)
        if known_stale:
            session.take_as_stale(known_stale)
        return run(session, targets)
    except (OSError, RecursionError, MemoryError) as error:
        raise as_user_error(error) from None


def run(session: Session, names: Sequence[str]) -> int | None:
    """Run targets in their order; return the exit code, None for those that need doit. Raises `UserError`."""
    rows = rows_of(session, names)
    if any(row["after"] for row in rows.values()) or _is_something_ignored(session.state):
        return None
    streams.Stream.goes_on = True
    session.prepare(list(rows))
    status, began, skipped = DONE, time.time(), dict[str, float]()
    for name, row in rows.items():
        receipt = _fresh(session, row)
        if receipt:
            skipped[name] = receipt["seconds"]
            continue
        status = perform(session, name)
        if status:
            break
    if len(rows) > 1 and len(skipped) < len(rows):
        from doit_cargo.cli import ending

        ending.tell(session, began, list(rows), skipped)
    return INTERRUPTED if session.interrupted else status


def has_proof(row: Mapping[str, Any]) -> bool:
    """Tell whether receipts can tell that a target is up to date; else it runs each time."""
    return row["kind"] == CARGO or bool(row["watch"])


def perform(session: Session, name: str) -> int:
    """Run a target, tell what keeps it from that, and remember how it ended; return the exit code."""
    started, problem, status = time.time(), None, INTERRUPTED
    try:
        status = DONE if session.run(name) else FAILED
    except (UserError, OSError, RecursionError, MemoryError) as error:
        told = as_user_error(error)
        reporter.problem(name, told)
        problem = told.problems[0]
        status = COULD_NOT_RUN if told.code == COULD_NOT_RUN else FAILED
    finally:
        _remember(session, name, ENDS[INTERRUPTED if status and session.interrupted else status], started, problem)
    return status


def _remember(session: Session, name: str, end: str, started: float, problem: Problem | None) -> None:
    """Remember how a run of a target ended; a group is what its parts are."""
    from doit_cargo.engine.state import journal

    row = session.known_row(name)
    if row and row["kind"] != GROUP:
        more = session.narrowed.get(name)
        narrowed = session.key(name, more) if more else ()
        journal.remember(session.state, session.root, end, started, session.key(name), problem, narrowed)


def rows_of(session: Session, names: Sequence[str]) -> dict[str, Row]:
    """Return the available targets of a call by name; raises as `Session.row` does."""
    if names[:1] == ["profile"] and names[1:] and session.known_row(receipts.normalise(names[1])) is None:
        raise UserError(Problem("profile measures a program", profiles_of(names[1:])))
    for name in names:
        if session.known_row(receipts.normalise(name)) is None:
            _refuse_what_is_kept(session, name)
    if len(names) == 2 and names[0] in ("test", "bench") and session.known_row(receipts.normalise(names[1])) is None:
        fix = f"a test's name is a variable: doit-cargo {names[0]} TEST={names[1]}"
        raise UserError(Problem(f"{names[1]} is no target", fix))
    return {row["name"]: row for row in map(session.row, names)}


def _refuse_what_is_kept(session: Session, name: str) -> None:
    """Raise for a name that an older build file still stands for."""
    from doit_cargo import makefile

    still = makefile.kept(session)
    if still and still.has(name):
        fix = f"{still.call} {name}, or: doit-cargo kept {name}"
        raise UserError(Problem(f"{name} is no target, but kept in {still.file}", fix))


def _fresh(session: Session, row: Mapping[str, Any]) -> Receipt | None:
    """Return the receipt of a target that is up to date, and say so."""
    if session.forced or not has_proof(row):
        return None
    receipt, changes = session.verdict(row["name"])
    if receipt is None or changes:
        return None
    reporter.skipped(row["name"], receipt, session.raw.get("SHARE", ""))
    receipts.note_skip(receipt)
    return receipt


def _is_something_ignored(state: str) -> bool:
    try:
        with open(os.path.join(state, DOIT_STATE), "rb") as stream:
            return IGNORED in stream.read()
    except OSError:
        return False
