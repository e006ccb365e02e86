"""Run one invocation: a process group of its own, output to the terminal and the log at once, the true exit status.

Cargo keeps its colours and its progress bar where the terminal shows them; the log gets everything, plain. Knows
nothing of targets, receipts or freshness.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import IO

from doit_cargo.engine.cargo_files import BuildReport
from doit_cargo.engine.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.model import Invocation
from doit_cargo.engine.processes import running
from doit_cargo.engine.screen import Log, Screen, StderrWarnings

GRACE_SECONDS = 30.0  # for a program that was interrupted: profilers write their data then
SECONDS_BETWEEN_LOOKS = 0.2
JSON_MESSAGES = "--message-format=json-diagnostic-rendered-ansi"


@dataclass(slots=True)
class Outcome:
    """What came of a process. `status` is its exit status, negative for a signal; `seconds` is wall time.

    `expired` tells that it was asked to end since its time was over.
    """

    status: int
    seconds: float
    report: BuildReport
    cargo_warnings: list[str] = field(default_factory=list)
    interrupted: bool = False
    expired: bool = False

    @property
    def ok(self) -> bool:
        return self.status == 0 and not self.interrupted

    @property
    def warnings(self) -> list[str]:
        return [*self.cargo_warnings, *self.report.warnings]


def environment(invocation: Invocation, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of the process."""
    result = {name: value for name, value in environ.items() if name not in invocation.unset}
    result.update(invocation.env)
    if invocation.path_prepend:
        result["PATH"] = os.pathsep.join([*invocation.path_prepend, result.get("PATH", "")])
    return result


def run(
    invocation: Invocation,
    environ: Mapping[str, str],
    log_path: str,
    title: str,
    hidden: re.Pattern[str] | None = None,
    appends: bool = False,
) -> Outcome:
    """Run a cargo build to its end. `hidden` are lines of its standard error that nobody shall see.

    Raises `UserError` if it cannot be started or the log cannot be written.
    """
    return _run(invocation, environ, Log(log_path, title, invocation, appends), JSON_MESSAGES, hidden)


def run_tool(
    invocation: Invocation,
    environ: Mapping[str, str],
    log_path: str,
    title: str,
    seconds: float = 0,
    watched: str = "",
    appends: bool = False,
) -> Outcome:
    """Run any other program to its end: its standard output stays standard output, the log gets both streams.

    With `seconds`, it gets an interrupt (as from Ctrl-C) when they are over; with `watched`, the program that a
    profiler runs gets it, so that the profiler can write its data. Raises `UserError` as `run` does.
    """
    log = Log(log_path, title, invocation, appends)
    return _run(invocation, environ, log, "", None, seconds, watched)


def _run(
    invocation: Invocation,
    environ: Mapping[str, str],
    log: Log,
    messages: str,
    hidden: re.Pattern[str] | None,
    seconds: float = 0,
    watched: str = "",
) -> Outcome:
    child_environ = _with_terminal(environment(invocation, environ))
    argv = _argv(invocation, child_environ, messages)
    gc.enable()  # the launcher turns it off, for calls of milliseconds
    started = time.monotonic()
    report, warnings = BuildReport(), StderrWarnings()
    try:
        with Child(argv, invocation.cwd, child_environ, watched) as child:
            screen = Screen(log, warnings, hidden)
            show = screen.show_messages if messages else screen.show_output
            readers = [
                threading.Thread(target=_to_the_end, args=(show, child.process.stdout, report)),
                threading.Thread(target=_to_the_end, args=(screen.show_errors, child.process.stderr)),
            ]
            for reader in readers:
                reader.start()
            status = child.wait(seconds)
            for reader in readers:
                reader.join()
            screen.finish()
        return Outcome(status, time.monotonic() - started, report, warnings.taken(), child.signalled, child.expired)
    except OSError as error:
        problem = Problem(f"cannot start {argv[0]}: {error.strerror or error}", "see doit-cargo info", invocation.cwd)
        raise UserError(problem, COULD_NOT_RUN) from None
    finally:
        log.close()


def _to_the_end(show: Callable[..., None], stream: IO[bytes], *more: object) -> None:
    """Let `show` read a stream, then close it: only its reader knows that it is through."""
    with stream:
        show(stream, *more)


def _argv(invocation: Invocation, environ: Mapping[str, str], messages: str) -> list[str]:
    """Return the argument list with cargo's JSON messages asked for, and the program found on the child's PATH."""
    program, *arguments = invocation.argv
    found = shutil.which(program, path=environ.get("PATH", "")) or program
    position = arguments.index("--") if messages and "--" in arguments else len(arguments)
    return [found, *arguments[:position], *([messages] if messages else []), *arguments[position:]]


def _with_terminal(environ: dict[str, str]) -> dict[str, str]:
    """Let cargo draw as if it had the terminal that we read for it (Cargo book, "term.progress")."""
    if not sys.stderr.isatty() or environ.get("TERM") == "dumb":
        return environ
    width = str(shutil.get_terminal_size().columns)
    drawn = {"CARGO_TERM_COLOR": "always", "CARGO_TERM_PROGRESS_WHEN": "always", "CARGO_TERM_PROGRESS_WIDTH": width}
    if "NO_COLOR" in environ:
        del drawn["CARGO_TERM_COLOR"]
    return {**drawn, **environ}


class Child:
    """A process in a group of its own; what ends us reaches all of it.

    `watched` is a program that it runs, if any; `merged`: one stream for both of its own. Who reads a stream closes it.
    """

    def __init__(
        self, argv: list[str], cwd: str, environ: Mapping[str, str], watched: str = "", merged: bool = False
    ) -> None:
        self.watched = watched
        self.signalled = False
        self.expired = False
        self._previous: dict[int, object] = {}
        group = {"creationflags": 0x200} if os.name == "nt" else {"process_group": 0}
        self.process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            **group,  # type: ignore[call-overload]
        )

    def __enter__(self) -> Child:
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        if threading.current_thread() is threading.main_thread():
            for number in [getattr(signal, name) for name in names if hasattr(signal, name)]:
                if signal.getsignal(number) != signal.SIG_IGN:  # nohup and background jobs want it ignored
                    self._previous[number] = signal.signal(number, self._forward)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self.process.poll() is None:
            self._send(signal.SIGTERM)
            self.process.wait()

    def _forward(self, number: int, _: FrameType | None) -> None:
        self.signalled = True
        self._send(number)

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "nt":
                self.process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", number))
            else:
                os.killpg(self.process.pid, number)

    def _interrupt(self) -> None:
        """Interrupt the watched program alone where it can be found, so that its watcher goes on to its own end."""
        watched = running(self.watched, self.process.pid) if self.watched and os.name != "nt" else []
        for number in watched:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGINT)
        if not watched:
            self._send(signal.SIGINT)

    def _awaited(self, seconds: float) -> int:
        """Wait in short steps: a signal that comes just before one long system call would be seen only at its end."""
        ended = threading.Event()

        def fetch() -> None:
            self.process.wait()
            ended.set()

        threading.Thread(target=fetch, daemon=True).start()
        deadline = time.monotonic() + seconds if seconds else None
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            if deadline and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.process.args, seconds)
        return int(self.process.returncode)

    def wait(self, seconds: float = 0) -> int:
        """Wait for the end, asked for after `seconds` if any, then end what the process may have left in its group."""
        try:
            status = self._awaited(seconds)
        except subprocess.TimeoutExpired:
            status = self._expire()
        if (self.signalled or self.expired) and os.name != "nt":
            self._send(signal.SIGKILL)
        return int(status)

    def _expire(self) -> int:
        """Interrupt the group, and kill it where it does not end within its time."""
        self.expired = True
        self._interrupt()
        try:
            return int(self.process.wait(timeout=GRACE_SECONDS))
        except subprocess.TimeoutExpired:
            self._send(signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
            return int(self.process.wait())
