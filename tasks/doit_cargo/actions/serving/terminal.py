"""test_tui and test_tui_auto: the program on a terminal, a real one or a pseudo-terminal that a script types into.

The pseudo-terminal is pexpect's (extra `serve`). Windows has none that Python could use: there only the test by hand
works. What a script may say is in script.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import IO, TYPE_CHECKING, Any

from doit_cargo.actions import TEST_LOGS, given_path, log_path, require_package
from doit_cargo.actions.serving import program
from doit_cargo.actions.serving.script import DEFAULT, KEYS, ScriptStep, parse
from doit_cargo.actions.signals import interruptible
from doit_cargo.engine.base import private
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.console import reporter
from doit_cargo.engine.console.terminal import plain

if TYPE_CHECKING:
    import pexpect

    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

LOG = "tui-test"
DEFAULT_TIMEOUT = 60
ROWS_AND_COLUMNS = (40, 120)
SHOWN_LINES = 8


class StepError(Exception):
    """What the program did instead of what a step of the script expects."""


def require_terminal(session: Session, values: Values) -> None:
    """Raise `UserError` if nobody can type, and for bad input."""
    program.require(session, values)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        what = f"{session.current} hands the terminal over, and this is none"
        raise UserError(
            Problem(what, "doit-cargo test_tui_auto types a script into a terminal of its own"), COULD_NOT_RUN
        )


def require_script(session: Session, values: Values) -> None:
    """Raise `UserError` for a script that cannot be read, a missing library, a system without pseudo-terminals."""
    if os.name == "nt":
        fix = "doit-cargo test_tui is the same by hand; WSL has pseudo-terminals"
        raise UserError(
            Problem(f"{session.current} needs a pseudo-terminal, which Windows has not", fix), COULD_NOT_RUN
        )
    require_package(session.current, "pexpect", "serve")
    _steps(session, values)
    program.require(session, values)


def _steps(session: Session, values: Values) -> tuple[ScriptStep, ...]:
    named = values.text("SCRIPT")
    if named:
        path = given_path(session, named)
        try:
            with open(path, encoding="utf-8") as stream:
                return parse(stream.read(), reporter.relative(path, session.root))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise UserError(Problem(f"cannot read the script: {reason}", "SCRIPT= names another file", path)) from None
    package = program.package_of(session, values)
    if not program.launch_of(session, package).talk:
        fix = "SCRIPT=FILE with lines such as: expect text, send text, exit 0"
        raise UserError(Problem(f"{session.current} has no script for {package}", fix, "SCRIPT"))
    return parse(DEFAULT, "built-in script")


def by_script(session: Session, values: Values) -> bool:
    """Type the script into the program; its transcript is kept, a wrong step fails with its line."""
    made = program.call(session, values, "talk")
    steps = _steps(session, values)
    reporter.note(session.current, program.shown(session, made))
    log = log_path(session, LOG, TEST_LOGS)
    started = time.monotonic()
    private.folder(os.path.dirname(log))
    with open(log, "w", encoding="utf-8", opener=private.opener) as stream, interruptible(session.current):
        problem = _play(made, steps, program.environment(session, made), session.root, stream, values)
    where = reporter.relative(log, session.root)
    if problem:
        reporter.failed(session.current, f"{problem}; transcript: {where}{_last_lines(log)}")
        return False
    seconds = time.monotonic() - started
    reporter.done(
        session.current, f"{seconds:.1f} s: {counted(len(steps), 'step')} of the script went well; transcript: {where}"
    )
    return True


def _play(
    made: program.ServerCall,
    steps: tuple[ScriptStep, ...],
    environ: dict[str, str],
    cwd: str,
    stream: IO[str],
    values: Values,
) -> str:
    """Run the script; return what went wrong, or "". The program and all of its group end with it."""
    import pexpect

    try:
        child = pexpect.spawn(
            made.argv[0],
            list(made.argv[1:]),
            cwd=cwd,
            env={**environ, "TERM": "xterm"},
            encoding="utf-8",
            codec_errors="replace",
            dimensions=ROWS_AND_COLUMNS,
        )
    except (pexpect.ExceptionPexpect, OSError) as error:
        return f"cannot start {made.argv[0]}: {error}"
    child.logfile_read = _Transcript(stream)
    player = _Player(child, values.number("TIMEOUT") or DEFAULT_TIMEOUT)
    try:
        for step in steps:
            player.take(step)
    except StepError as error:
        return str(error)
    finally:
        _end(child)
    return ""


class _Transcript:
    """A file for pexpect that keeps plain text: no colours, no carriage returns."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._stream.write(plain(text.replace("\r\n", "\n")))

    def flush(self) -> None:
        self._stream.flush()


class _Player:
    """A program on a pseudo-terminal, and the steps of a script done to it."""

    def __init__(self, child: pexpect.spawn[str], seconds: int) -> None:
        self._child = child
        self._seconds = seconds

    def take(self, step: ScriptStep) -> None:
        """Do one step; raises `StepError` with its line if the program does not play along."""
        getattr(self, f"_{step.verb}")(step)

    def _timeout(self, step: ScriptStep) -> None:
        self._seconds = int(step.text)

    def _expect(self, step: ScriptStep) -> None:
        self._wait(step, self._child.expect_exact, step.text)

    def _match(self, step: ScriptStep) -> None:
        self._wait(step, self._child.expect, step.text)

    def _wait(self, step: ScriptStep, expect: Any, text: str) -> None:
        import pexpect

        found = expect([text, pexpect.EOF, pexpect.TIMEOUT], timeout=self._seconds)
        if found == 1:
            self._child.close(force=True)
            raise StepError(f"{step.where}: the program ended (status {_status(self._child)}) before {text!r} came")
        if found == 2:
            raise StepError(f"{step.where}: {text!r} did not come within {self._seconds} s")

    def _send(self, step: ScriptStep) -> None:
        self._type(step, step.text + "\r")

    def _key(self, step: ScriptStep) -> None:
        self._type(step, KEYS[step.text])

    def _type(self, step: ScriptStep, text: str) -> None:
        try:
            self._child.send(text)
        except OSError:
            raise StepError(f"{step.where}: the program has ended, nobody reads {text!r}") from None

    def _exit(self, step: ScriptStep) -> None:
        import pexpect

        if self._child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=self._seconds) == 1:
            raise StepError(f"{step.where}: the program did not end within {self._seconds} s")
        self._child.close()
        status = _status(self._child)
        if status != int(step.text):
            raise StepError(f"{step.where}: the program ended with status {status}, not {step.text}")


def _status(child: pexpect.spawn[str]) -> int | None:
    return child.exitstatus if child.signalstatus is None else -int(child.signalstatus)


def _end(child: pexpect.spawn[str]) -> None:
    """End the program and what it has left in its group."""
    with contextlib.suppress(Exception):
        child.close(force=True)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _last_lines(log: str) -> str:
    with open(log, encoding="utf-8", errors="replace") as stream:
        lines = [line.rstrip() for line in stream if line.strip()]
    return "".join(f"\n     {line}" for line in lines[-SHOWN_LINES:])
