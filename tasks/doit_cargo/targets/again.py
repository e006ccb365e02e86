"""Whether a success on record still holds, for whoever asks; where profiles differ, by the plan of its call made anew.

Knows how a key is written and what a session can be asked; what counts as a difference, others know.
"""

from __future__ import annotations

from doit_cargo.engine.execution import equivalence
from doit_cargo.engine.state import receipts
from doit_cargo.targets import handlers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.staleness import Change
    from doit_cargo.targets.listing import Row

    class Asked(Protocol):
        """What of a session is asked here."""

        environ: Mapping[str, str]

        @property
        def state(self) -> str: ...

        def known_row(self, name: str) -> Row | None: ...

        def with_variables(self, given: Mapping[str, str]) -> Asked: ...

        def request(self, name: str, plan: Plan) -> BuildRequest: ...

        def new_plan(self, name: str) -> Plan: ...


# Variables that a result does not depend on, but the argument list does.
COSMETIC = ("JOBS", "VERBOSE", "REGISTRY", "SCCACHE")


def verdict(session: Asked, key: tuple[str, ...], explain: bool) -> tuple[Receipt | None, list[Change]]:
    """Return (receipt, changes) of a result as `receipts.verdict` does, without profiles that make no other plan."""
    receipt, changes = receipts.verdict(session.state, key, session.environ, explain, equivalence.is_same)
    if receipt and changes and receipts.is_of_profiles(receipt, changes[0]):
        from doit_cargo.engine.execution import same_plan

        known = receipt
        if same_plan.holds(known, changes[0], session.environ, lambda: _request_of(session, known)):
            return known, []
        if not explain:  # what surely counts may come after it
            changes = receipts.verdict(session.state, key, session.environ, True, equivalence.is_same)[1]
        changes = sorted(changes, key=lambda change: receipts.is_of_profiles(known, change))
    return receipt, changes


def _request_of(session: Asked, receipt: Receipt) -> BuildRequest | None:
    """Return the request of a success with its plan made anew, None where its call cannot be told from the record."""
    plan = receipt["stored_plan"]
    row = session.known_row(receipt["key"][0]) or (session.known_row(plan["target"]) if plan else None)
    if row is None:
        return None
    call = session.with_variables(_variables_of(receipt, row))
    asked: BuildRequest | None
    if row["handler"]:
        asked = handlers.module(row["handler"]).request_again(call, receipt)
    else:
        asked = call.request(row["name"], call.new_plan(row["name"]))
    return asked if asked and asked.key == receipt["key"] else None


def _variables_of(receipt: Receipt, row: Row) -> dict[str, str]:
    words = [word.partition("=") for word in receipt["key"][1:]]
    given = {name: value for name, _, value in words if name in row["takes"]}
    cosmetic = zip(COSMETIC, receipt["cosmetic_options"], strict=True)
    return given | {name: value for name, value in cosmetic if value}
