"""run, run_server, run_with_mcp, run_debug, test_tui: the program on the terminal of the caller, until it ends.

It stays in our process group, so that it may read from the terminal and Ctrl-C reaches it; signals that only we get
are passed on. What it prints goes to the terminal alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from doit_cargo.actions.serving import program
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from types import FrameType

    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session


def talk(session: Session, values: Values) -> bool:
    """Run the program for a person to talk with."""
    return _run(session, program.call(session, values, "talk"))


def serve(session: Session, values: Values) -> bool:
    """Run the program as a server on this machine's own address."""
    return _run(session, program.call(session, values, "serve"))


def _run(session: Session, made: program.ServerCall) -> bool:
    reporter.note(session.current, program.shown(session, made))
    started = time.monotonic()
    status, interrupted = run(made.argv, session.root, program.environment(session, made))
    seconds = f"{time.monotonic() - started:.1f} s"
    if interrupted and status:
        session.interrupted = True
        reporter.failed(session.current, f"interrupted after {seconds}")
        return False
    if status:
        reporter.failed(session.current, f"the program ended with status {status} after {seconds}")
        from doit_cargo.engine import hints

        hints.after_end(session.current, status, session.workspace)
        return False
    reporter.done(session.current, f"the program ended after {seconds}")
    return True


def run(argv: tuple[str, ...], cwd: str, environ: dict[str, str]) -> tuple[int, bool]:
    """Run a program on our own terminal; return its status (negative for a signal) and whether a signal came."""
    try:
        process = subprocess.Popen(argv, cwd=cwd, env=environ)
    except OSError as error:
        raise UserError(Problem(f"cannot start {argv[0]}: {error.strerror}"), COULD_NOT_RUN) from None
    with _passing_on(process) as signals:
        return process.wait(), bool(signals)


@contextlib.contextmanager
def _passing_on(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Pass SIGTERM and SIGHUP on; yield the list of signals that came. Ctrl-C reaches the program by itself."""
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)
        if number != signal.SIGINT or not os.isatty(0):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    main = threading.current_thread() is threading.main_thread()
    previous = {getattr(signal, name): signal.signal(getattr(signal, name), note) for name in names} if main else {}
    try:
        yield came
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if process.poll() is None:
            process.kill()
            process.wait()
