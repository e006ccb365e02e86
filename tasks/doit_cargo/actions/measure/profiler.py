"""Where a program spends its time: samply, perf or flamegraph, whichever is there, on the build for profilers.

The program runs until it ends or SECONDS are over; then it is interrupted and the profiler writes what it has.
Knows the command lines of the three profilers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doit_cargo.actions import log_path, shown_log
from doit_cargo.actions.measure import programs
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.files import read_text
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.toolchain.tools import Tool
    from doit_cargo.session import Session

SECONDS = 30.0
FREQUENCY = "997"  # samples a second; a prime, so that it beats with nothing periodic
SHOWN = 15
# With fewer samples a share of 10 % is known to a factor of two at best.
FEWEST = 50
UNITS = {"": 1, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class Profiler:
    """A tool that runs a program and leaves a file; `argv` is all of its own arguments, before the program."""

    tool: str
    file: str
    argv: Callable[[str], tuple[str, ...]]
    look: str


# In order of preference: samply needs no symbols of the kernel and shows the result in a browser.
PROFILERS = {
    profiler.tool: profiler
    for profiler in (
        Profiler(
            "samply",
            "samply.json.gz",
            lambda file: ("samply", "record", "--save-only", "--rate", FREQUENCY, "--output", file, "--"),
            "samply load {file}",
        ),
        Profiler(
            "perf",
            "perf.data",
            # Release builds have no frame pointers: stacks come from the debug information.
            lambda file: ("perf", "record", "--call-graph", "dwarf", "-F", FREQUENCY, "-o", file, "--"),
            "perf report -i {file}",
        ),
        Profiler(
            "flamegraph",
            "flamegraph.svg",
            lambda file: ("flamegraph", "--freq", FREQUENCY, "--output", file, "--"),
            "open {file} in a browser",
        ),
    )
}


def check(session: Session, values: Values) -> None:
    """Raise `UserError` for variables that do not fit, and where nothing says what the program shall do."""
    programs.check(session, values, tuple(PROFILERS))


def profile(session: Session, values: Values) -> bool:
    """Run the program under a profiler and print the functions that took most of the time."""
    tools = {name: name for name in PROFILERS}
    profiler = PROFILERS[programs.choose(session, values, tools, "a profiler")]
    program = programs.build(session, values)
    file = programs.empty_file(session, profiler.file)
    outcome = programs.watch(session, values, profiler.tool, profiler.argv(file), program, SECONDS)
    log = shown_log(session, session.current)
    if not os.path.isfile(file) or not os.path.getsize(file) or (outcome.status and not outcome.expired):
        reporter.failed(
            session.current, f"{profiler.tool} ended with status {outcome.status}{_hint(session)}; log: {log}"
        )
        return False
    if profiler.tool == "perf":
        taken = _print_perf(session, file, values.number("N") or SHOWN)
        if taken is not None and taken < FEWEST:
            what = f"perf took {taken} sample{'s' * (taken != 1)} in {outcome.seconds:.1f} s, which tells nothing"
            reporter.failed(session.current, f"{what}: let the program work longer, or on more (ARGS=, SECONDS=)")
            return False
    place = reporter.relative(file, session.root)
    reporter.done(
        session.current, f"{outcome.seconds:.1f} s: {place}; look: {profiler.look.format(file=place)}; log: {log}"
    )
    return True


def _hint(session: Session) -> str:
    """Return what a profiler's log says about rights, in plain words."""
    text = read_text(log_path(session, session.current))
    if "perf_event_paranoid" in text or "No permission" in text:
        return ": the kernel does not let you; as an administrator: sysctl kernel.perf_event_paranoid=1"
    return ""


def _samples_in(listed: str) -> int | None:
    """Return how many samples a report of perf rests on, None where it does not say.

    >>> _samples_in("# Samples: 1  of event 'cycles'"), _samples_in("# Samples: 12K of event 'x'"), _samples_in("")
    (1, 12000, None)
    """
    found = re.findall(r"^# Samples: (\d+)([KMG]?)", listed, re.MULTILINE)
    return sum(int(number) * UNITS[unit] for number, unit in found) if found else None


def _print_perf(session: Session, file: str, shown: int) -> int | None:
    """Print the functions with most samples, keep perf's whole list and a flame graph beside its data, and return the
    number of samples.
    """
    argv = ["perf", "report", "-i", file, "--stdio", "--no-children", "-g", "none", "--percent-limit", "0.1"]
    listed = _ask(session, argv)
    atomic.write(file.removesuffix(".data") + ".txt", listed)
    rows = [line.rstrip() for line in listed.splitlines() if line.strip() and not line.startswith("#")]
    for row in rows[:shown]:
        print(f"   {row.strip()}")
    drawer: Tool | None = session.machine.tool("flamegraph")
    if drawer:
        picture = file.removesuffix(".data") + ".svg"
        _ask(session, [drawer.path, "--perfdata", file, "--output", picture])
        if os.path.isfile(picture):
            reporter.note(session.current, f"flame graph: {reporter.relative(picture, session.root)}")
    return _samples_in(listed)


def _ask(session: Session, argv: list[str]) -> str:
    return processes.answer(argv, session.environ, 600, session.root).out
