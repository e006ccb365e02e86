"""The control of a comparison: the programs of then and of now measure in turns, on the machine as it is now.

A machine is often slower than it was; only what measures beside it at the same time tells that from a slower program.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from doit_cargo.actions.measure.bench import baselines
from doit_cargo.actions.measure.bench.results import (
    NOISY,
    PAIRS,
    REGRESSION,
    SAME_PROGRAM,
    BenchChange,
    Results,
    judged,
)
from doit_cargo.actions.measure.bench.run import Measured, run_alone
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.actions.measure.bench.baselines import Baseline
    from doit_cargo.engine.base.model import Invocation
    from doit_cargo.session import Session


def controlled(
    session: Session, before: Baseline, measured: Measured, changes: Iterable[BenchChange], threshold: float
) -> dict[str, BenchChange]:
    """Return what is to be said of benchmarks that were measured then and now; nothing of those whose program of then
    is not kept, and nothing where the same program is not slower.
    """
    found: dict[str, BenchChange] = {}
    for name, mine in _by_program(changes).items():
        digest, call = before.programs.get(name, ""), measured.calls.get(name)
        if call and digest and digest == baselines.digest_of(call.argv[0]):
            slower = [one for one in mine if one.verdict == REGRESSION]
            found |= {one.name: BenchChange(one.name, one.before, one.after, SAME_PROGRAM) for one in slower}
            continue
        then = baselines.program_of(session.state, digest)
        if call and then:
            turns = _Turns(session, name, call._replace(argv=(then, *call.argv[1:])), call, threshold)
            found |= turns.compared(mine, measured.results)
    return found


def _by_program(changes: Iterable[BenchChange]) -> dict[str, list[BenchChange]]:
    found: dict[str, list[BenchChange]] = {}
    for change in changes:
        if change.before and change.after:
            found.setdefault(change.name.partition(": ")[0], []).append(change)
    return found


class _Turns:
    """The program of then and that of now, which measure in turns until it is clear what each benchmark shows."""

    def __init__(self, session: Session, name: str, then: Invocation, now: Invocation, threshold: float) -> None:
        self.session, self.name, self.then, self.now, self.threshold = session, name, then, now, threshold
        self.ratios: dict[str, list[float]] = {}
        self.suspects: set[str] = set()
        self.found: dict[str, BenchChange] = {}

    def compared(self, changes: list[BenchChange], measured: Results) -> dict[str, BenchChange]:
        """Return what each benchmark shows; nothing where the program of then cannot be run any more."""
        reporter.note(self.session.current, f"{self.name}: the program of then measures too, in turns with that of now")
        self.ratios = {one.name: [] for one in changes}
        self.suspects = {one.name for one in changes if one.verdict == REGRESSION}
        try:
            self._add(run_alone(self.session, self.name, self.then), measured)
            for turn in range(1, PAIRS):
                if all(map(self._verdict, self.ratios)):
                    break
                self._take_turn(turn)
        except UserError as error:
            reporter.note(self.session.current, f"the program of then cannot be run any more: {error}")
            return {}
        return self.found

    def _take_turn(self, turn: int) -> None:
        """Measure both; whoever comes first changes, so that neither gains by it."""
        calls = (self.then, self.now) if turn % 2 else (self.now, self.then)
        first, second = (run_alone(self.session, self.name, call) for call in calls)
        self._add(*((first, second) if turn % 2 else (second, first)))

    def _verdict(self, name: str) -> str:
        return judged(self.ratios[name], self.threshold, name in self.suspects)

    def _add(self, then: Results, now: Results) -> None:
        for name, seen in self.ratios.items():
            if name in then and name in now and then[name].middle and not self._verdict(name):
                seen.append(now[name].middle / then[name].middle)
                self.found[name] = BenchChange(name, then[name], now[name], self._verdict(name) or NOISY)
