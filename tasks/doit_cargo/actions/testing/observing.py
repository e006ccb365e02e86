"""What each test program read, listed, asked and started while it ran, and why that is not all of it.

Programs that we start ourselves are observed one by one, those of nextest together. Knows nothing of what is kept.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.actions.testing.test_binaries import DOC, TestBinary
from doit_cargo.engine.execution.observe.inputs import Scope, inputs, left, whole_run
from doit_cargo.engine.execution.observe.library import NotHere
from doit_cargo.engine.execution.observe.model import Observed, Op, Process, Unobserved
from doit_cargo.engine.execution.observe.observer import Observation, Observer
from doit_cargo.engine.execution.observe.units import CARGO, Group, by_unit

if TYPE_CHECKING:
    from doit_cargo.engine.state.seen import Row

# These run tests or what runs them, and are known by themselves.
OUR_RUNNERS = ("cargo", "cargo-nextest", "rustc", "rustup")
# These copy the whole environment to hand it on, and ask for what they want by name.
HAND_ON = ("cargo", "cargo-nextest", "clippy-driver", "rustc", "rustdoc", "rustup")
NOTHING_SEEN = "no record of it was left, so what it read is not known"


class Sighting(NamedTuple):
    """What a program depended on; with any of `reasons` that is not all, or will not be the same next time.

    `left` are the files that it made and left.
    """

    rows: list[Row]
    reasons: list[str]
    left: Sequence[str] = ()


Sightings = dict[str, Sighting]
"""A program's identity -> what was seen of it."""
ScopeOf = Callable[[TestBinary], Scope]


@dataclass
class TestWatch:
    """The observer of this machine, or why there is none. `toolchain` are folders whose programs are trusted."""

    observer: Observer | None
    absence: str
    toolchain: Sequence[str]

    @classmethod
    def of(cls, environ: Mapping[str, str], toolchain: Sequence[str], kind: str = "") -> TestWatch:
        """Return the observer of a kind; ``off`` is none, ``strict`` the usual one."""
        if kind == "off":
            return cls(None, "nothing is observed: OBSERVE=off", toolchain)
        try:
            return cls(Observer.find(environ, "strace" if kind == "strace" else "preload"), "", toolchain)
        except NotHere as absent:
            return cls(None, f"nothing is observed here: {absent}", toolchain)

    @contextlib.contextmanager
    def look(self) -> Iterator[Look]:
        """Observe what is started within the block by the observation that the look has."""
        observation = None
        try:
            observation = self.observer.start() if self.observer else None
        except NotHere as absent:
            self.absence = f"nothing is observed here: {absent}"
        try:
            yield Look(self, observation)
        finally:
            if observation:
                observation.close()


@dataclass
class Look:
    """One observed run."""

    watch: TestWatch
    observation: Observation | None

    def of_program(self, program: TestBinary, scope: Scope) -> Sighting:
        """Return what was seen where this program ran alone."""
        sighting = self.of_run(scope)
        if program.kind != DOC:
            return sighting
        return sighting._replace(rows=[row for row in sighting.rows if not _lists_artefacts(row, program)])

    def of_run(self, scope: Scope, *, repeats: bool = True) -> Sighting:
        """Return what was seen of all that ran; `repeats` as for `inputs`."""
        if self.observation is None:
            return Sighting([], [self.watch.absence])
        observed = self.observation.read(self.watch.toolchain)
        group = Group(observed.processes, observed.unobserved)
        return _sighting(group, observed.started, scope, repeats=repeats)

    def of_programs(self, programs: Iterable[TestBinary], scope_of: ScopeOf) -> Sightings:
        """Return what was seen of each of the programs that nextest ran."""
        if self.observation is None:
            return {program.identity: Sighting([], [self.watch.absence]) for program in programs}
        observed = self.observation.read(self.watch.toolchain)
        groups = by_unit(observed)
        found = {}
        for program in programs:
            group = Group()
            for unit, part in groups.items():
                if unit.kind == "test" and (unit.name == program.nextest_id or unit.key == program.path):
                    group.processes += part.processes
                    group.unobserved += part.unobserved
            path = os.path.realpath(program.path)
            seen_at_all = any(os.path.realpath(process.program) == path for process in group.processes)
            _add(group, _shared(groups.get(CARGO, Group())))
            sighting = _sighting(group, observed.started, scope_of(program))
            found[program.identity] = sighting if seen_at_all else Sighting([], [NOTHING_SEEN])
        return found


def _add(group: Group, more: Group) -> None:
    group.processes += more.processes
    group.unobserved += more.unobserved


def _shared(group: Group) -> Group:
    """Return what all tests rest on beside their own: setup scripts, and what they start."""
    processes = [process for process in group.processes if process.name not in OUR_RUNNERS]
    unseen = [one for one in group.unobserved if os.path.basename(one.program) not in OUR_RUNNERS]
    return Group(processes, unseen)


def _sighting(group: Group, started: int, scope: Scope, *, repeats: bool = True) -> Sighting:
    if not group.processes and not group.unobserved:
        return Sighting([], [NOTHING_SEEN])
    for process in group.processes:
        if process.name in HAND_ON:
            process.events = [event for event in process.events if event.op is not Op.ENVIRONMENT]
    # Of its own alone: what another program has left is an input of this one.
    run = whole_run(Observed(group.processes, [], started))
    rows, reasons = inputs(run, Group(group.processes), scope, repeats=repeats)
    reasons = sorted({*reasons, *(_reason(one, group.processes) for one in group.unobserved)})
    return Sighting(rows, reasons, left(run, scope))


def _lists_artefacts(row: Row, program: TestBinary) -> bool:
    """rustc looks through the folders of its libraries, and reads those that it takes."""
    return row[0] == "list" and row[1] in {os.path.dirname(path) for path in program.libraries}


def _reason(unseen: Unobserved, processes: Sequence[Process]) -> str:
    if unseen.by is None or unseen.program == processes[0].program:
        return f"it cannot be observed: {unseen.reason}"
    return f"starts {unseen.program}, which cannot be observed: {unseen.reason}"
