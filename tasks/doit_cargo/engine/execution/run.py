"""Run one invocation: a process group of its own, output to the terminal and the log at once, the true exit status.

Cargo keeps its colours and its progress bar where the terminal shows them; the log gets everything, plain. Knows
nothing of targets, receipts or freshness.
"""

from __future__ import annotations

import gc
import re
import sys
import time
from collections.abc import Mapping

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.model import Invocation
from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.process.processes import environment_of
from doit_cargo.engine.cargo.messages import BuildReport
from doit_cargo.engine.console.child import Child
from doit_cargo.engine.console.streams import Colour, has_colour
from doit_cargo.engine.console.terminal import CountedLines, Log, Screen, StderrWarnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from doit_cargo.engine.execution.observe.observer import Observation

    # Gets what cargo has told so far, and a question whether it lives, which waits a moment for its end.
    Meanwhile = Callable[[BuildReport, Callable[[], bool]], object]

JSON_MESSAGES = "--message-format=json-diagnostic-rendered-ansi"


class Outcome:
    """What came of a process. `status` is its exit status, negative for a signal; `seconds` is wall time.

    `expired` tells that it was asked to end since its time was over.
    """

    __slots__ = ("cargo_warnings", "expired", "interrupted", "report", "seconds", "status")

    def __init__(
        self,
        status: int,
        seconds: float,
        report: BuildReport,
        cargo_warnings: list[str],
        *,
        interrupted: bool = False,
        expired: bool = False,
    ) -> None:
        self.status = status
        self.seconds = seconds
        self.report = report
        self.cargo_warnings = cargo_warnings
        self.interrupted = interrupted
        self.expired = expired

    @property
    def ok(self) -> bool:
        return self.status == 0 and not self.interrupted

    @property
    def warnings(self) -> list[str]:
        return [*self.cargo_warnings, *self.report.warnings]


def waiting(report: BuildReport, lives: Callable[[], bool]) -> None:
    """Do nothing while cargo runs."""


def run(
    invocation: Invocation,
    environ: Mapping[str, str],
    log_path: str,
    title: str,
    hidden: re.Pattern[str] | None = None,
    appends: bool = False,
    observation: Observation | None = None,
    meanwhile: Meanwhile = waiting,
) -> Outcome:
    """Run a cargo build to its end. `hidden` are lines of its standard error that nobody shall see.

    `meanwhile` is called while it runs, with what it has told so far and whether it still lives: what it does then is
    not waited for afterwards. Raises `UserError` if it cannot be started or the log cannot be written.
    """
    return _run(
        invocation,
        environ,
        Log(log_path, title, invocation, appends),
        JSON_MESSAGES,
        hidden,
        observation=observation,
        meanwhile=meanwhile,
    )


def run_tool(
    invocation: Invocation,
    environ: Mapping[str, str],
    log_path: str,
    title: str,
    seconds: float = 0,
    watched: str = "",
    appends: bool = False,
    asks: bool = False,
    observation: Observation | None = None,
    counts: CountedLines | None = None,
) -> Outcome:
    """Run any other program to its end: its standard output stays standard output, the log gets both streams.

    With `seconds`, it gets an interrupt (as from Ctrl-C) when they are over; with `watched`, the program that a
    profiler runs gets it, so that the profiler can write its data. One that `asks` may read the terminal as its
    standard input. On a terminal lines that only count are drawn as one. Raises `UserError` as `run` does.
    """
    log = Log(log_path, title, invocation, appends)
    return _run(invocation, environ, log, "", None, seconds, watched, asks, observation, counts=counts)


def _run(
    invocation: Invocation,
    environ: Mapping[str, str],
    log: Log,
    messages: str,
    hidden: re.Pattern[str] | None,
    seconds: float = 0,
    watched: str = "",
    asks: bool = False,
    observation: Observation | None = None,
    meanwhile: Meanwhile = waiting,
    counts: CountedLines | None = None,
) -> Outcome:
    child_environ = _with_terminal(environment_of(invocation, environ))
    argv = _argv(invocation, child_environ, messages)
    if observation:
        argv, child_environ = observation.call(argv, child_environ, invocation.cwd)
    # The launcher turns it off, for calls of milliseconds; what is there now will not be garbage.
    collects = gc.isenabled()
    gc.freeze()
    gc.enable()
    started = time.monotonic()
    report, warnings = BuildReport(), StderrWarnings()
    try:
        with Child(argv, invocation.cwd, child_environ, watched, asks=asks) as child:
            screen = Screen(log, warnings, hidden, counts)
            if messages:
                child.read(child.process.stdout, lambda said: screen.show_messages(said, report))
            else:
                child.read(child.process.stdout, screen.show_output)
            child.read(child.process.stderr, screen.show_errors)
            meanwhile(report, child.lives)
            status = child.wait(seconds)
            screen.finish()
            if child.left_behind:
                screen.tell(child.left_behind)
        taken, said = time.monotonic() - started, warnings.taken()
        return Outcome(status, taken, report, said, interrupted=child.signalled, expired=child.expired)
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        reason = getattr(error, "strerror", "") or error
        problem = Problem(f"cannot start {argv[0]}: {reason}", "see doit-cargo info", invocation.cwd)
        raise UserError(problem, COULD_NOT_RUN) from None
    finally:
        if not collects:
            gc.disable()
        log.close()


def _argv(invocation: Invocation, environ: Mapping[str, str], messages: str) -> list[str]:
    """Return the argument list with cargo's JSON messages asked for, and the program found on the child's PATH."""
    program, *arguments = (invocation.with_arguments(messages) if messages else invocation).argv
    return [which(program, environ) or program, *arguments]


def _with_terminal(environ: dict[str, str]) -> dict[str, str]:
    """Let cargo draw as if it had the terminal that we read for it (Cargo book, "term.progress")."""
    drawn = {}
    if sys.stderr.isatty() and environ.get("TERM") != "dumb":
        import shutil

        width = str(shutil.get_terminal_size().columns)
        drawn = {"CARGO_TERM_PROGRESS_WHEN": "always", "CARGO_TERM_PROGRESS_WIDTH": width}
    if Colour.wanted is False:
        drawn["CARGO_TERM_COLOR"] = "never"
    elif has_colour(sys.stderr):
        drawn["CARGO_TERM_COLOR"] = "always"
    return {**drawn, **environ}
