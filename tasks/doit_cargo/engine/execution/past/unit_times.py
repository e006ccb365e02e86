"""How long rustc worked at each local unit, as cargo's own files tell after a build, and how far estimates were off.

One file of the state. Kept by the sort of build (`check dev`, `build release TRIPLE`), since a unit that is only
checked is another one. Losing it costs an estimate.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from doit_cargo.engine.cargo import units
from doit_cargo.engine.state import store
from doit_cargo.engine.state.fingerprint import signature

if TYPE_CHECKING:
    from typing import TypedDict

    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.execution.evidence.inputs import Made

    class UnitTimes(TypedDict):
        """One sort of build: package -> unit -> the last times in seconds, of builds from nothing and of those after an
        edit; what a call takes beside its units; and (estimated, taken) of the last builds.
        """

        first: dict[str, dict[str, tuple[float, ...]]]
        again: dict[str, dict[str, tuple[float, ...]]]
        rest: list[float]
        told: list[tuple[float, float]]


FILE = "unit-times"
MOST, MOST_OF_A_UNIT = 8, 3
LONGEST = 24 * 3600.0


def kind_of(plan: Plan) -> str:
    """Return the sort of build that a plan is: units of one sort take the same time."""
    argv = plan.invocation.argv
    mode = {"clippy": "check", "test": "build"}.get(argv[1], argv[1])
    return f"{mode} {plan.cargo_profile} {plan.invocation.target}".strip()


def read(state: str, kind: str) -> UnitTimes:
    """Return what is known of a sort of build."""
    found = _all(state).get(kind)
    empty: UnitTimes = {"first": {}, "again": {}, "rest": [], "told": []}
    return cast("UnitTimes", {**empty, **found}) if isinstance(found, dict) else empty


def learn(
    state: str, kind: str, made: Iterable[Made], seconds: float, incremental: bool, estimated: float = 0.0
) -> None:
    """Keep what the units of a build took that has just ended well; `seconds` is what the whole call took, 0 where that
    tells nothing of them, `estimated` what was told before it.
    """
    known = read(state, kind)
    spans = [span for one in made if not one.fresh for span in map(_span, one.keys) if span]
    if not spans:
        return
    times = known["again" if incremental else "first"]
    for package, name, begin, end in spans:
        before = times.setdefault(package, {}).get(name, ())
        times[package][name] = (*before, round(end - begin, 3))[-MOST_OF_A_UNIT:]
    outside = seconds - (max(end for *_, end in spans) - min(begin for _, _, begin, _ in spans))
    known["rest"] = [*known["rest"], round(max(outside, 0.0), 2)][-MOST:] if incremental and seconds else known["rest"]
    if estimated and seconds:
        known["told"] = [*known["told"], (round(estimated, 2), round(seconds, 2))][-MOST:]
    with contextlib.suppress(OSError, ValueError):
        store.store(os.path.join(state, FILE), {**_all(state), kind: known})


def _span(key: str) -> tuple[str, str, float, float] | None:
    """Return (package, unit, begin, end) of a compilation: cargo sets one file back to the moment when rustc began."""
    seen = signature(units.fingerprint_file(key))
    if seen is None or not 0 < seen[3] - seen[0] < LONGEST * 1e9:
        return None
    return units.package_of(key), os.path.basename(key), seen[0] / 1e9, seen[3] / 1e9


def _all(state: str) -> dict[str, UnitTimes]:
    found = store.load(os.path.join(state, FILE))
    return found if isinstance(found, dict) else {}
