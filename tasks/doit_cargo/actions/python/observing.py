"""One run of maturin under the observer: what the units of its cargo rest on, and which of them are to be made anew.

maturin is a static program: what it reads itself is listed (`inputs`), cargo and all that cargo starts is observed.
maturin keeps cargo's messages to itself, so which units took part is not known: all of the local packages count.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from doit_cargo.actions.python.crates import local_packages
from doit_cargo.actions.python.plans import NAME, WheelBuild
from doit_cargo.engine.cargo import units
from doit_cargo.engine.execution import build_places
from doit_cargo.engine.execution.evidence import observed
from doit_cargo.engine.execution.evidence.invalidation import Ledger
from doit_cargo.engine.execution.observing import Watch

if TYPE_CHECKING:
    from doit_cargo.engine.execution.evidence.observed import Stale
    from doit_cargo.engine.execution.observe.observer import Observation
    from doit_cargo.engine.state.seen import Row
    from doit_cargo.session import Session


class WheelWatch:
    """What is seen of the build of one wheel, and was seen of what it takes as it is."""

    def __init__(self, session: Session, build: WheelBuild, ledger: Ledger) -> None:
        self.ledger = ledger
        places = build_places.of(build.plan, build.crate.workspace, session.environ)
        self.watch = Watch(session.request(NAME, build.plan), build.plan, places)
        self.profile = _profile(session, build)
        self.packages = set(local_packages(session, build.crate).values())

    def stale(self) -> list[Stale]:
        """Return the units that cargo would leave alone, though something that they rest on changed."""
        observed.note_cut_off(self.ledger)
        return observed.stale(self.ledger, _local([self.profile], self.packages), self.watch.world(self.ledger))

    @contextmanager
    def observing(self) -> Iterator[Observation | None]:
        """Observe what runs meanwhile; the ledger keeps what units of local packages rest on.

        Of PyO3 it keeps nothing: maturin tells it other variables than cargo does, for which it need not be made anew.
        """
        with self.watch.observing(self.ledger) as observation:
            yield observation
        made = ((key, record) for key, record in self.watch.made.items() if record[1] in self.packages)
        self.ledger.data["observed"].update(made)

    def keys(self) -> list[str]:
        """Return the units that lie where this build was made, of whichever package."""
        return list(units.keys_of(dict.fromkeys([self.profile, *map(units.profile_of_key, self.watch.made)])))


def rows_of(session: Session, build: WheelBuild) -> list[Row]:
    """Return what the units of local packages were seen to rest on, as they are now."""
    places = build_places.of(build.plan, build.crate.workspace, session.environ)
    records = Ledger(places.kept_in, places.target_directory).data["observed"]
    local = _local([_profile(session, build)], set(local_packages(session, build.crate).values()))
    found = (records[key] for key in local if key in records)
    return [row for record in found for _, row in record[3]]


def _profile(session: Session, build: WheelBuild) -> str:
    places = build_places.of(build.plan, build.crate.workspace, session.environ)
    return os.path.join(places.kept_in, os.path.relpath(build.profile_folder, build.target_directory))


def _local(profiles: list[str], packages: set[str]) -> Iterator[str]:
    return (key for key in units.keys_of(profiles) if units.package_of(key) in packages)
