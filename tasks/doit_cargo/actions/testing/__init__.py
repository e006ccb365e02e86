"""What the test targets do: compile, run what has not passed before with the same inputs, report all of it.

`run` and `explain` are what the rows of the family name by `handler`; `check` is theirs too. A package that fails never
hides the others' results; what has passed is kept for each program (results.py), so that targets share it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.causes import Why
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.session import Session


def check(session: Session, values: Values) -> None:
    """Raise `UserError` for what is wrong with the variables of the target at hand, before anything starts."""
    from doit_cargo.actions.testing import selection

    selection.check(session, session.current, values)


def run(session: Session, name: str, values: Values) -> bool:
    """Run the tests of a target; return whether all passed."""
    from doit_cargo.actions.testing import runner

    return runner.run(session, name, values)


def plans(session: Session, values: Values) -> list[Plan]:
    """Return the call that compiles the tests of the target at hand and starts them."""
    from doit_cargo.actions.testing import selection
    from doit_cargo.actions.testing.compile import plan_of

    plan = plan_of(selection.work_of(session, session.current, values))
    if session.current != "test_nextest" and values.text("RUNNER") != "nextest":
        return [plan]
    note = "this call compiles; cargo-nextest runs what has not passed before, and cargo the doc tests"
    return [plan._replace(needs={**plan.needs, "cargo-nextest": ""}, notes=(*plan.notes, note))]


def explain(session: Session, name: str) -> Why:
    """Return what `why` says: which packages' tests would run, and the causes."""
    from doit_cargo.actions.testing import why

    return why.explain(session, name)


def shared_plan(session: Session, name: str) -> tuple[Plan, Mapping[str, str]]:
    """Return what names the success of a target's tests elsewhere: the call, and what else counts."""
    from doit_cargo.actions.testing import sharing

    return sharing.plan_of(session, name)


def request_again(session: Session, receipt: Receipt) -> BuildRequest | None:
    """Return the request behind a success of tests or of their compilation, with its plan made anew."""
    from doit_cargo.actions.testing import selection

    return selection.request_again(session, receipt)


def forget(state: str) -> None:
    """Drop all that is kept of tests, so that they run again."""
    from doit_cargo.actions.testing import results

    results.forget(state)
