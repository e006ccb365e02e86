"""What a build will take, from what its units took before: nothing is said where nothing is on record.

Units wait for the packages that theirs rest on, and share the cores. What that comes to is set right by how far the
last estimates of this sort were off, and the error that is left is told.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import advice, history
from doit_cargo.engine.execution.past import unit_times
from doit_cargo.engine.state import journal
from doit_cargo.engine.toolchain import platform

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.execution.evidence.inputs import Made
    from doit_cargo.engine.execution.past.unit_times import UnitTimes
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.execution.run import Outcome
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.staleness import Change

WORTH_TELLING = 10.0  # seconds
ENOUGH = 3  # builds after which the error of estimates means something
GOOD = 25.0  # percent by which an estimate may be off that is told in seconds
FEW = 2.0  # seconds
SHARE = 0.4  # of a build, from which a package is named


class Estimate(NamedTuple):
    """`raw` is what the units come to, `seconds` what that means here; `error` in percent, over so many `builds`."""

    raw: float
    seconds: float
    package: str = ""
    of_package: float = 0.0
    error: float = 0.0
    builds: int = 0

    @property
    def is_rough(self) -> bool:
        """Tell whether seconds would claim what nobody knows: of a short build, other work on the machine is a large
        part."""
        return self.seconds < WORTH_TELLING and (self.builds < ENOUGH or self.error > GOOD)

    def __str__(self) -> str:
        if self.is_rough:
            most = f", most of it {self.package}" if self.of_package > self.seconds / 2 else ""
            words = f"a few seconds{most}" if self.seconds >= FEW else f"a second or two{most}"
        else:
            most = f", {journal.took(self.of_package)} of it {self.package}" if self.package else ""
            words = f"about {journal.took(self.seconds)}{most}"
        off = f" (estimates here were off by {self.error:.0f} % in the last {self.builds} builds)"
        return words + (off if self.builds >= ENOUGH else "")


def of_edit(state: str, plan: Plan, packages: Iterable[str], receipt: Receipt, cores: int) -> Estimate | None:
    """Return what it takes to build these packages anew; None where one of them is not on record."""
    known = unit_times.read(state, unit_times.kind_of(plan))
    times = {name: _of_package(known, name) for name in packages}
    if not times or not all(times.values()):
        return None
    sums = {name: sum(found.values()) for name, found in times.items()}
    rest = _median(known["rest"]) if known["rest"] else 0.0
    raw = max(_longest_way(times, receipt["graph"]), sum(sums.values()) / max(cores, 1)) + rest
    factor = _factor(known)
    heaviest = max(sums, key=lambda name: sums[name])
    named = heaviest if len(sums) > 1 and sums[heaviest] >= SHARE * raw else ""
    own = min(sums[heaviest], raw) * factor
    return Estimate(raw, raw * factor, named, own, _error(known), len(known["told"]))


def _median(values: Iterable[float]) -> float:
    """Return the middle one; the module of that name costs a build ten milliseconds."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _of_package(known: UnitTimes, name: str) -> dict[str, float]:
    times = {**known["first"].get(name, {}), **known["again"].get(name, {})}
    return {unit: _median(spent) for unit, spent in times.items()}


def _longest_way(times: Mapping[str, Mapping[str, float]], graph: Mapping[str, Iterable[str]]) -> float:
    """Return how long the longest chain of packages takes, each waiting for the libraries of those it rests on."""
    ready: dict[str, float] = {}
    longest = 0.0
    for name in reporter.roots_first(graph):
        if name in times:
            begin = max((ready.get(other, 0.0) for other in graph[name]), default=0.0)
            library = sum(spent for unit, spent in times[name].items() if _is_waited_for(unit))
            ready[name] = begin + library
            others = (spent for unit, spent in times[name].items() if not _is_waited_for(unit))
            longest = max(longest, ready[name] + max(others, default=0.0))
    return longest


def _is_waited_for(unit: str) -> bool:
    return unit.startswith(("lib-", "build-script-", "run-build-script-"))


def _factor(known: UnitTimes) -> float:
    """Return what estimates of this sort must be multiplied by, as the last builds say: rustc's stages overlap."""
    ratios = [taken / raw for raw, taken in known["told"] if raw > 0]
    return _median(ratios) if ratios else 1.0


def _error(known: UnitTimes) -> float:
    """Return how far, in percent, estimates were off: each with what was known before that build."""
    wrong = []
    for place in range(1, len(known["told"])):
        raw, taken = known["told"][place]
        before: UnitTimes = {**known, "told": known["told"][:place]}
        wrong.append(abs(raw * _factor(before) - taken) / taken if taken else 0.0)
    return 100.0 * _median(wrong) if wrong else 0.0


def expect(request: BuildRequest, plan: Plan, changes: list[Change], previous: Receipt | None) -> float:
    """Say what a build that is about to start will take, if that is long and on record; return what to compare with."""
    causes = reporter.split_consequences(changes)[0] if previous else []
    if previous and causes and all(reporter.owners(change, previous) for change in causes):
        again = reporter.rebuilds(reporter.changed_packages(causes, previous), previous)
        cores = request.variables.number("JOBS") or platform.usable_cores()
        found = of_edit(request.state, plan, again, previous, cores)
        if found and found.seconds >= WORTH_TELLING:
            reporter.note(request.target, str(found))
        return found.raw if found else 0.0
    if not os.path.isdir(advice.profile_folder(plan, request.environ, request.workspace)):
        last = _last_from_nothing(request.state, plan)
        if last >= WORTH_TELLING:
            reporter.note(request.target, f"about {journal.took(last)}, as last time")
    return 0.0


def _last_from_nothing(state: str, plan: Plan) -> float:
    """Return what the latest such build from nothing took, 0 where none is on record."""
    same = (plan.target, plan.profile.name, plan.features)
    builds = [one for one in history.read(state) if (one.target, one.profile, one.features) == same]
    return next((one.seconds for one in reversed(builds) if one.work in (history.COLD, history.CACHED)), 0.0)


def learn(request: BuildRequest, plan: Plan, outcome: Outcome, made: Iterable[Made], expected: float) -> None:
    """Keep what each local unit of a success took, for the next estimate; and what the call took beside them, where it
    compiled nothing else.
    """
    units = outcome.report.units
    incremental = any(unit.fresh for unit in units)
    seconds = outcome.seconds if all(unit.fresh or unit.is_local for unit in units) else 0.0
    unit_times.learn(request.state, unit_times.kind_of(plan), made, seconds, incremental, expected)
