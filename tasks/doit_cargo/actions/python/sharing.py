"""Wheels as results that other machines fetch: what names one, and what maturin's cargo was seen to rest on.

Of the units all that lie in the folder of the cargo profile count: more than needed is never a wrong hit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from doit_cargo.actions.python.observing import WheelWatch
from doit_cargo.actions.python.plans import WheelBuild, builds_of, interpreter
from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.cargo import pyo3, units
from doit_cargo.engine.execution.evidence import observed
from doit_cargo.engine.execution.observe import receipt as rows_of
from doit_cargo.engine.execution.same_plan import plan_state_of
from doit_cargo.engine.state.seen import World
from doit_cargo.sharing import keys, machine, path_set
from doit_cargo.sharing.path_set import NotShared
from doit_cargo.sharing.success import Success

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.seen import Row
    from doit_cargo.engine.state.staleness import State
    from doit_cargo.session import Session
    from doit_cargo.sharing.share import Sharing

# In `session.found`: that builds of wheels are to be published, and what of them was seen.
OBSERVED = "what the builds of wheels were seen to rest on"


class SeenOfWheel(NamedTuple):
    """What all units of a build rest on, what of it was not seen, and what of the machine it is bound to."""

    rows: list[Row]
    unseen: list[str]
    bound: set[str]


def shared_plan(session: Session, name: str) -> tuple[Plan, Mapping[str, str]]:
    """Return what names a wheel elsewhere: the cargo call, maturin, the interpreter. Raises `UserError`."""
    values = session.values_for(name)
    python = interpreter(session, values)
    if python is None:
        raise UserError(Problem(f"{name} needs a Python", "name one: PYTHON=path"))
    builds = builds_of(session, values, python)
    more = {f"wheel {build.crate.name}": os.path.relpath(build.crate.directory, session.root) for build in builds}
    tools = {"maturin": "maturin", "python": python.base}
    more |= {f"tool {kind}": machine.tool(program, session.environ, session.root) for kind, program in tools.items()}
    call, told = builds[0].plan.invocation, pyo3.told(builds[0].profile_folder)
    # What PyO3 was told here before spares compiling it again, and changes no wheel.
    env = {name: value for name, value in call.env.items() if name != pyo3.PYTHON and told.get(name) != value}
    # Kept as one that must be made anew: nobody shall take it for the target's own call.
    return builds[0].plan._replace(invocation=call._replace(env=env), outputs=(), is_remade=True), more


def of(session: Session, name: str) -> SharedWheel | None:
    """Return what a call may fetch and publish, None where nothing is shared."""
    if interpreter(session, session.values_for(name)) is None:
        return None
    request = session.shared_request(name)
    return SharedWheel(session, request) if request.shared else None


class SharedWheel:
    """The wheels of one call, fetched or published."""

    def __init__(self, session: Session, request: BuildRequest) -> None:
        self.session = session
        self.request = request
        self.shared = cast("Sharing", request.shared)

    def fetched(self) -> bool:
        """Fetch the wheels where somebody has built them; else have kept what is seen, if they are to be published."""
        plan_state = plan_state_of(self.request, self.request.plan)
        if not self.session.forced and self.shared.fetched(self.request.plan, plan_state):
            return True
        if self.shared.settings.writes or self.shared.settings.verifies:
            self.session.found[OBSERVED] = {}
        return False

    def published(self, receipt: Receipt) -> None:
        """Publish the wheels that were just built, or compare them with what is stored."""
        self.shared.publish(self.request.plan, lambda: self._success(receipt))

    def _success(self, receipt: Receipt) -> Success:
        seen: Mapping[str, SeenOfWheel] = self.session.found.pop(OBSERVED, {})
        if len(seen) != 1:
            raise NotShared("it is of several Python crates: name one with PACKAGE")
        [one] = seen.values()
        build = receipt["build"]
        state: State = {
            **build,
            "env": {**build["env"]},
            "which": {**build["which"]},
            "absent": {**build["absent"]},
            "seen": [*build["seen"]],
        }
        known = state["files"]  # by content: the mode of a source is no part of a wheel
        rows_of.put(state, [row for row in one.rows if row[1] not in known], World(self.session.environ))
        plan_state = plan_state_of(self.request, self.request.plan)
        whole: Receipt = {**receipt, "plan": plan_state, "unseen": tuple(one.unseen)}
        return Success(whole, state, build["left"], one.bound)


def note(session: Session, build: WheelBuild, seen: WheelWatch) -> None:
    """Keep what a build was seen to rest on until it is published, where it is to be."""
    if OBSERVED in session.found:
        session.found[OBSERVED][build.crate.name] = _seen(seen)


def _seen(seen: WheelWatch) -> SeenOfWheel:
    records, there = {**seen.ledger.data["observed"], **seen.watch.made}, seen.keys()
    rows: list[Row] = []
    unseen = dict.fromkeys([seen.watch.why] if seen.watch.why else [])
    for key in there:
        if key not in records or records[key][0] != units.identity(key):
            unseen[f"{units.package_of(key)} {observed.NOT_SEEN}"] = None
            continue
        _, package, _, items, reasons = records[key]
        unseen.update((f"{package}: {reason}", None) for reason in reasons)
        rows += [row for _, row in items]
    return SeenOfWheel(rows, list(unseen), _bound(records, there, rows))


def _bound(records: Mapping[str, object], there: Iterable[str], rows: Iterable[Row]) -> set[str]:
    bound = {keys.CPU} if path_set.scripts_start_programs(records, there) else set()
    return bound | ({keys.GPU} if any(row[:2] == ["program", "nvidia-smi"] for row in rows) else set())
