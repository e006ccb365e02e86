"""Where a program spends its time: samply, perf or flamegraph, whichever is there, on the build for profilers.

The program runs until it ends or SECONDS are over; then it is interrupted and the profiler writes what it has.
Knows the command lines of the three profilers.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doit_cargo.actions import log_path, run_tool, write_whole
from doit_cargo.actions.measure import planned, programs
from doit_cargo.engine import receipts, say
from doit_cargo.engine.errors import COULD_NOT_RUN, FAILED, Problem, UserError, unknown

if TYPE_CHECKING:
    from doit_cargo.engine.toolchain.tools import Tool
    from doit_cargo.engine.variables import Values
    from doit_cargo.session import Session

SECONDS = 30.0
FREQUENCY = "997"  # samples a second; a prime, so that it beats with nothing periodic
SHOWN = 15
FOLDER = "profile"


@dataclass(frozen=True, slots=True)
class Profiler:
    """A tool that runs a program and leaves a file; `argv` is all of its own arguments, before the program."""

    tool: str
    file: str
    argv: Callable[[str], tuple[str, ...]]
    look: str


# In order of preference: samply needs no symbols of the kernel and shows the result in a browser.
PROFILERS = (
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


def check(session: Session, values: Values) -> None:
    """Raise `UserError` for variables that do not fit, and where nothing says what the program shall do."""
    known = tuple(profiler.tool for profiler in PROFILERS)
    if values.text("PROFILER") and values.text("PROFILER") not in known:
        raise UserError(unknown("profiler", values.text("PROFILER"), known, "PROFILER"))
    plan = planned.plan_of(session, values, "build")
    planned.require_program(plan, values.text("BIN"))
    programs.arguments(session, values)


def profile(session: Session, values: Values) -> bool:
    """Run the program under a profiler and print the functions that took most of the time."""
    profiler = _choose(session, values)
    program = build_program(session, values)
    folder = os.path.join(os.path.dirname(log_path(session, session.current)), FOLDER)
    os.makedirs(folder, exist_ok=True)
    file = os.path.join(folder, profiler.file)
    receipts.remove(file)
    seconds = float(values.text("SECONDS") or SECONDS)
    say.note(session.current, f"{profiler.tool} watches {os.path.basename(program)} for at most {seconds:g} s")
    argv = (*profiler.argv(file), program, *programs.arguments(session, values))
    outcome = run_tool(session, session.current, argv, seconds=seconds, watched=program)
    log = say.relative(log_path(session, session.current), session.root)
    if not os.path.isfile(file) or not os.path.getsize(file) or (outcome.status and not outcome.expired):
        say.failed(session.current, f"{profiler.tool} ended with status {outcome.status}{_hint(session)}; log: {log}")
        return False
    if profiler.tool == "perf":
        _print_perf(session, file, values.number("N") or SHOWN)
    place = say.relative(file, session.root)
    say.done(session.current, f"{outcome.seconds:.1f} s: {place}; look: {profiler.look.format(file=place)}; log: {log}")
    return True


def _choose(session: Session, values: Values) -> Profiler:
    """Return the profiler that PROFILER names, or the first that is here. Raises `UserError` with how to get one."""
    wanted = values.text("PROFILER")
    candidates = [profiler for profiler in PROFILERS if not wanted or profiler.tool == wanted]
    found = next((profiler for profiler in candidates if session.machine.tool(profiler.tool)), None)
    if found is None:
        raise UserError(no_tool(session, "a profiler", [profiler.tool for profiler in candidates]), COULD_NOT_RUN)
    return found


def no_tool(session: Session, what: str, names: list[str]) -> Problem:
    """Return the problem of a machine that has none of these tools, and how to get each."""
    from doit_cargo.engine.toolchain.tools import how_to_get

    ways = "; ".join(f"{name}: {how_to_get(name, session.machine.package_manager)}" for name in names)
    return Problem(f"{session.current} needs {what}, and {' or '.join(names)} is not on PATH", ways)


def build_program(session: Session, values: Values) -> str:
    """Build the row's profile, up to date or not, and return the program that BIN names."""
    plan = planned.plan_of(session, values, "build")
    planned.require(session, values, plan)
    outcome = planned.run_cargo(session, plan, log_path(session, f"{session.current}-build"))
    if not outcome.ok:
        log = say.relative(log_path(session, f"{session.current}-build"), session.root)
        raise UserError(Problem("the program could not be built", f"see the log: {log}"), FAILED)
    return planned.require_program(plan, values.text("BIN"))


def _hint(session: Session) -> str:
    """Return what a profiler's log says about rights, in plain words."""
    with open(log_path(session, session.current), encoding="utf-8", errors="replace") as stream:
        text = stream.read()
    if "perf_event_paranoid" in text or "No permission" in text:
        return ": the kernel does not let you; as an administrator: sysctl kernel.perf_event_paranoid=1"
    return ""


def _print_perf(session: Session, file: str, shown: int) -> None:
    """Print the functions with most samples, and keep perf's whole list and a flame graph beside its data."""
    argv = ["perf", "report", "-i", file, "--stdio", "--no-children", "-g", "none", "--percent-limit", "0.1"]
    listed = _ask(session, argv)
    write_whole(file.removesuffix(".data") + ".txt", listed)
    rows = [line.rstrip() for line in listed.splitlines() if line.strip() and not line.startswith("#")]
    if not rows:
        say.note(session.current, "perf took no sample: the program hardly ran")
    for row in rows[:shown]:
        print(f"   {row.strip()}")
    drawer: Tool | None = session.machine.tool("flamegraph")
    if drawer:
        picture = file.removesuffix(".data") + ".svg"
        _ask(session, [drawer.path, "--perfdata", file, "--output", picture])
        if os.path.isfile(picture):
            say.note(session.current, f"flame graph: {say.relative(picture, session.root)}")


def _ask(session: Session, argv: list[str]) -> str:
    try:
        done = subprocess.run(
            argv,
            cwd=session.root,
            env=dict(session.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=600,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout
