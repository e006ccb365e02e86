"""One call in one workspace: its facts, its targets, its runs, each worked out when it is first needed.

The place where catalogue and engine meet. Both doors come through here; nothing is computed at import.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from doit_cargo import remembered
from doit_cargo.engine import receipts
from doit_cargo.engine.errors import COULD_NOT_RUN, Absent, Problem, UserError, unknown
from doit_cargo.engine.freshness import Change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.catalogue import Entry
    from doit_cargo.engine.model import Plan, Workspace
    from doit_cargo.engine.profiles import Library
    from doit_cargo.engine.toolchain import Machine
    from doit_cargo.engine.variables import Values

Row = dict[str, Any]
"""A target as the listing has it: name, make_name, family, doc, available, reason, after, action, takes."""


class Session:
    """A workspace as one call sees it. `raw` are the variables of the command line, not yet checked."""

    def __init__(self, start: str, environ: Mapping[str, str], raw: Mapping[str, str]) -> None:
        self.start = os.path.abspath(start)
        self.environ = environ
        self.raw = raw
        self.interrupted = False
        self._plans: dict[str, Plan] = {}
        self._prepared: list[str] = []
        self.known_stale = ""
        self._verdicts: dict[str, tuple[dict[str, Any] | None, list[Change]]] = {}

    @cached_property
    def _facts(self) -> tuple[dict[str, Any], int]:
        return remembered.facts(self.start, self.environ)

    @cached_property
    def workspace(self) -> Workspace:
        from doit_cargo.engine import workspace

        return workspace.from_metadata(self._facts[0])

    @property
    def root(self) -> str:
        return str(self._facts[0]["root"])

    @property
    def state(self) -> str:
        return receipts.state_directory(self.root, self.environ)

    @cached_property
    def machine(self) -> Machine:
        from doit_cargo.engine.toolchain import Machine

        return Machine(self.environ, directory=self.root, cache=os.path.join(self.state, "tools.json"))

    @cached_property
    def library(self) -> Library:
        from doit_cargo.engine.profiles import Library

        return Library.load(self.workspace)

    @cached_property
    def listing(self) -> tuple[Row, ...]:
        """All targets, available here or not; doit asks for them on every call."""
        return remembered.listing(self.state, self._facts[1], self.environ, lambda: self.library, self._rows)

    def _rows(self) -> tuple[Row, ...]:
        from doit_cargo import catalogue

        return tuple(_row(entry) for entry in catalogue.load(self.workspace, self.library, self.machine))

    def row(self, name: str) -> Row:
        """Return an available target. Raises `UserError` for an unknown name, `Absent` for one that is not here."""
        wanted = receipts.normalise(name)
        found = next((row for row in self.listing if row["name"] == wanted), None)
        if found is None:
            known = tuple(row["name"] for row in self.listing if row["available"])
            raise UserError(unknown("target", name, known, shown=len(known)))
        if not found["available"]:
            raise Absent(Problem(f"{wanted} {found['reason']}"))
        return found

    def variables(self, *names: str) -> Values:
        """Return the checked variables of the command line, for these targets."""
        from doit_cargo.engine import variables

        everywhere = {row["name"]: row["takes"] for row in self.listing}
        return variables.parse(self.raw, {name: everywhere[name] for name in names}, everywhere)

    def plan(self, name: str) -> Plan:
        """Return the plan of a cargo target: the one of its last success while it holds, else a new one."""
        if name not in self._plans:
            self._plans[name] = self._stored_plan(name) or self.new_plan(name)
        return self._plans[name]

    def _stored_plan(self, name: str) -> Plan | None:
        from doit_cargo.engine import model

        receipt = receipts.load_receipt(self.state, self.key(name)) or self.last_receipt(name)
        if (
            receipt is None
            or not receipt["stored_plan"]
            or receipt["look"] != self._look
            or not receipts.plan_holds(receipt, self.environ)
        ):
            return None
        return model.plan_from_data(receipt["stored_plan"], receipt["plan"])

    @property
    def _look(self) -> tuple[str, str]:
        """Variables that a result does not depend on, but the argument list does."""
        return self.raw.get("JOBS", ""), self.raw.get("VERBOSE", "")

    def new_plan(self, name: str) -> Plan:
        """Return a plan made from scratch."""
        from doit_cargo import catalogue
        from doit_cargo.engine import plan

        target = next(target for target in catalogue.rows() if target.name == name)
        return plan.make(target, self.variables(name), self.workspace, self.library, self.machine)

    def prepare(self, names: list[str]) -> None:
        """Find all bad input of the asked targets before the first of them starts. Raises `UserError`."""
        if names == self._prepared:
            return
        self._prepared = names
        for name in names:
            self._verdicts[name] = self._first_verdict(name)
        stale = [name for name in names if self.forced or self._verdicts[name][1]]
        if not stale and not self.raw:
            return
        rows = [self.row(name) for name in names]
        self.variables(*(row["name"] for row in rows))
        for row in rows:
            if not row["action"] and row["name"] in stale:
                self.plan(row["name"])

    def _first_verdict(self, name: str) -> tuple[dict[str, Any] | None, list[Change]]:
        if name == self.known_stale:  # the launcher has looked a moment ago; the run itself looks again
            return None, [Change("run", name)]
        return receipts.verdict(self.state, self.key(name), self.environ)

    @property
    def forced(self) -> bool:
        """FORCE=1: run whatever the receipts say."""
        return self.raw.get("FORCE", "").lower() not in ("", "0", "false", "no")

    def verdict(self, name: str, explain: bool = False) -> tuple[dict[str, Any] | None, list[Change]]:
        """Return (receipt, changes) of a target; no change is the proof that nothing needs to run.

        What `prepare` has found counts once, and only until something runs.
        """
        if not explain and name in self._verdicts:
            return self._verdicts.pop(name)
        return receipts.verdict(self.state, self.key(name), self.environ, explain)

    def last_receipt(self, name: str) -> dict[str, Any] | None:
        """Return the last success that a failed run has put aside, or None."""
        return receipts.last_receipt(self.state, self.key(name))

    def key(self, name: str) -> tuple[str, ...]:
        """Return the words that name a result of a target."""
        return receipts.key_of(name, self.raw)

    def run(self, name: str) -> bool:
        """Run a target that is not up to date. Returns whether it succeeded; raises `UserError` if it could not run."""
        self._verdicts.clear()
        row = self.row(name)
        values = self.variables(row["name"])
        if row["action"]:
            return _call(row["action"], self, values)
        from doit_cargo.engine.execute import Request, execute

        request = Request(
            target=row["name"],
            key=self.key(row["name"]),
            root=self.root,
            state=self.state,
            environ=self.environ,
            variables=values,
            look=self._look,
            make_plan=lambda: self.plan(row["name"]),
            workspace=lambda: self.workspace,
            machine=lambda: self.machine,
        )
        outcome = execute(request)
        self.interrupted = self.interrupted or (outcome is not None and outcome.interrupted)
        return outcome is None or outcome.ok


def _row(entry: Entry) -> Row:
    target = entry.target
    return {
        "name": target.name,
        "make_name": target.make_name,
        "family": target.family,
        "doc": target.doc,
        "available": entry.available,
        "reason": entry.reason.removeprefix(f"{target.name} "),
        "after": target.after,
        "action": target.action,
        "takes": target.takes,
    }


def _call(action: str, session: Session, values: Values) -> bool:
    """Call "module:function" with the session; its result is whether it succeeded."""
    import importlib

    module, _, function = action.partition(":")
    try:
        return bool(getattr(importlib.import_module(module), function)(session, values))
    except OSError as error:
        raise UserError(Problem(f"{error.filename or action}: {error.strerror or error}"), COULD_NOT_RUN) from None
