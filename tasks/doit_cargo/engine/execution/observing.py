"""One build under the observer: whether it watches, cargo's runs under it, and what the units of the build rest on.

Nothing here stops a build: what cannot be observed is built all the same, and the receipt says what was not seen.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.base.process.processes import environment_of
from doit_cargo.engine.base.variables import STRICT
from doit_cargo.engine.cargo.config import files as config_files
from doit_cargo.engine.cargo.messages import BuildReport
from doit_cargo.engine.execution.evidence import observed
from doit_cargo.engine.execution.evidence.inputs import Inputs
from doit_cargo.engine.execution.evidence.invalidation import Ledger
from doit_cargo.engine.execution.evidence.observed import Stale
from doit_cargo.engine.execution.request import BuildRequest
from doit_cargo.engine.plan.compiler_cache import changes_nothing
from doit_cargo.engine.state.seen import World
from doit_cargo.engine.toolchain.rustup import cargo_home, rustup_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.evidence.ledger_data import UnitSeen
    from doit_cargo.engine.execution.observe.observer import Observation, Observer
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.staleness import State

OFF, PRELOAD = "off", "preload"
STRICT_FIX = "doit-cargo clean, and build it observed; or leave OBSERVE=strict out"
MOST_TOLD = 6


class WatchedBuild(NamedTuple):
    """What a receipt keeps of a build that was watched: the keys of its units, and what of them was not observed."""

    units: tuple[str, ...]
    unseen: tuple[str, ...]


class Watch:
    """What is seen of one build. `why` says why nothing is; `made` are the records of units made before our eyes."""

    def __init__(self, request: BuildRequest, plan: Plan, workspace: Workspace) -> None:
        self.request, self.plan, self.workspace = request, plan, workspace
        self.made: dict[str, UnitSeen] = {}
        self.observer: Observer | None = None
        self.why = ""
        # The call itself has its say first, then its profile.
        asked = request.variables.text("OBSERVE")
        self.strict = asked == STRICT
        kind = (PRELOAD if self.strict else asked) or plan.profile.inputs.observe or PRELOAD
        if kind == OFF:
            self.why = "not observed: OBSERVE=off"
            return
        from doit_cargo.engine.execution.observe.library import NotHere
        from doit_cargo.engine.execution.observe.observer import Observer

        try:
            self.observer = Observer.find(request.environ, kind)
        except NotHere as absent:
            self.why = f"not observed: {absent}"

    def world(self, ledger: Ledger) -> World:
        """Return what units find now: the environment of the profile, with cargo's ``[env]``, whether there is a cache
        or not.
        """
        environ = environment_of(self.plan.invocation, self.request.environ)
        given = config_files.environment(config_files.read_tables(self.request.workspace.root, environ), environ)
        told = {name: value for name, value in given.items() if not changes_nothing(name, value)}
        return World(told, observed.contents(ledger))

    def stale(self, ledger: Ledger, previous: Receipt | None) -> list[Stale]:
        """Return the units of the last success that cargo would leave alone, though what they rest on changed."""
        observed.note_cut_off(ledger)
        return observed.stale(ledger, previous.get("observed", ()) if previous else (), self.world(ledger))

    @contextmanager
    def observing(self, ledger: Ledger) -> Iterator[Observation | None]:
        """Observe what runs meanwhile, and keep what the units that it makes rest on. The logs go with the end."""
        if self.observer is None:
            yield None
            return
        from doit_cargo.engine.execution.observe.library import NotHere

        try:
            observation = self.observer.start()
        except (NotHere, OSError) as error:
            self.why = f"not observed: {error}"
            yield None
            return
        with observation:
            yield observation
            self._take(observation, ledger)

    def prepare(self) -> None:
        """Load what reads the logs, while cargo runs."""
        if self.observer:
            from doit_cargo.engine.execution.evidence import sightings  # noqa: F401
            from doit_cargo.engine.execution.observe import log, own_calls  # noqa: F401

    def _take(self, observation: Observation, ledger: Ledger) -> None:
        from doit_cargo.engine.execution.evidence import sightings

        environ = self.request.environ
        library = os.path.dirname(observation.observer.program)
        try:
            seen = observation.read([rustup_home(environ), os.path.join(cargo_home(environ), "bin")])
        except OSError as error:
            self.why = f"not observed: {error}"
            return
        if not seen.processes:
            self.why = "not observed: nothing of the run was seen; a container may forbid it"
        places = sightings.places(self.workspace, environ, (library,))
        self.made.update(sightings.of_run(seen, places, self.world(ledger)))

    def doubts(self, ledger: Ledger, inputs: Inputs, report: BuildReport) -> Sequence[Stale]:
        """Return the units that cargo left as they were, though something that they rest on is another now."""
        return observed.doubts(ledger, observed.keys_of_call(inputs, report), self.made, self.world(ledger))

    def learn(self, ledger: Ledger, inputs: Inputs, report: BuildReport) -> None:
        """Have the ledger keep what was seen; of a failed call too."""
        observed.learn(ledger, self.made, inputs, report)

    def keep(self, state: State, ledger: Ledger, inputs: Inputs, report: BuildReport) -> WatchedBuild:
        """Put all that the units of a success were seen to rest on into its state; return what else a receipt keeps."""
        self.learn(ledger, inputs, report)
        keys = observed.keys_of_call(inputs, report)
        unseen = observed.add_to(state, ledger, keys, inputs, World(self.request.environ))
        found = WatchedBuild(tuple(keys), (self.why, *unseen) if self.why else unseen)
        if self.strict and found.unseen:
            ledger.finish()
            raise UserError(Problem(f"OBSERVE=strict: {'; '.join(found.unseen[:MOST_TOLD])}", STRICT_FIX), code=1)
        return found


def is_strict(variables: Values, receipt: Mapping[str, Any] | None) -> bool:
    """Tell whether a success does not count since not all of it was seen, and only such do (OBSERVE=strict)."""
    return variables.text("OBSERVE") == STRICT and bool(receipt and receipt.get("unseen"))
