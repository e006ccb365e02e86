"""Run test programs one after another, as `cargo test` does: the recorded command, directory and environment.

Output goes to the log; to the terminal it goes as it comes where the user asked for it, else only that of failures.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, NamedTuple

from doit_cargo.actions.testing.results import ProgramResult, Reading
from doit_cargo.actions.testing.test_binaries import DOC, TestBinary
from doit_cargo.engine.base import private
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.console import reporter, terminal
from doit_cargo.engine.console.child import Child

if TYPE_CHECKING:
    from doit_cargo.engine.execution.observe.observer import Observation

# Of a failing program's output this much is shown; the log has all of it.
SHOWN = 100_000


class OutputOptions(NamedTuple):
    """How programs are run: parts of the tests' names, whether tests may print, whether all output is shown."""

    tests: tuple[str, ...] = ()
    prints: bool = False
    shows: bool = False


def environment_of(program: TestBinary, base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that cargo would give a program where cargo itself had `base`."""
    found = dict(base)
    found.update((name, value) for name, (_, value) in program.env.items())
    found.update(extra)
    return found


def arguments_of(program: TestBinary, manner: OutputOptions) -> list[str]:
    """Return the whole command. Cargo passes what is for the tests to rustdoc word by word."""
    words = list(manner.tests)
    words += ["--nocapture"] if manner.prints else []
    if program.kind != DOC:
        return [*program.argv, *words]
    passed = [part for word in words for part in ("--test-args", word)]
    return [*program.argv, *passed]


def run_program(
    program: TestBinary,
    environ: Mapping[str, str],
    manner: OutputOptions,
    log: IO[str],
    interrupted: Callable[[], None],
    observation: Observation | None = None,
) -> ProgramResult:
    """Run one program to its end. Raises `UserError` if it cannot be started."""
    argv = arguments_of(program, manner)
    log.write(f"\n# {program.package}: {program.title}\n# in {program.cwd}: {' '.join(argv)}\n")
    log.flush()
    started = time.monotonic()
    reader = _Reader(log, manner.shows or manner.prints)
    call = _found(argv, environ)
    if observation:
        call, environ = observation.call(call, environ, program.cwd)
    try:
        with Child(call, program.cwd, environ, merged=True) as child:
            child.read(child.process.stdout, reader.show)
            status = child.wait()
    except OSError as error:
        problem = Problem(f"cannot start {argv[0]}: {error.strerror or error}", "FORCE=1 builds it again", program.cwd)
        raise UserError(problem, COULD_NOT_RUN) from None
    if child.signalled:
        interrupted()
        status = status or 130
    if child.left_behind:
        log.write(f"{child.left_behind}\n")
        reporter.note(program.title, child.left_behind)
    result = reader.reading.result(program, status, time.monotonic() - started, reader.tail.text())
    log.write(f"# {result.why}\n" if result.why else "")
    return result


def _found(argv: list[str], environ: Mapping[str, str]) -> list[str]:
    return [which(argv[0], environ) or argv[0], *argv[1:]]


class _Tail:
    """The last lines of an output."""

    def __init__(self) -> None:
        self._text = ""
        self._cut = False

    def take(self, text: str) -> None:
        self._text += text[-2 * SHOWN :]
        if len(self._text) > 4 * SHOWN:
            self._cut_off()

    def _cut_off(self) -> None:
        if len(self._text) > SHOWN:
            self._text, self._cut = self._text[-SHOWN:].partition("\n")[2] or self._text[-SHOWN:], True

    def text(self) -> str:
        self._cut_off()
        return ("[...]\n" if self._cut else "") + self._text


class _Reader:
    """What a test program says: into the log and its tail, to the terminal if asked for, read for its tests."""

    def __init__(self, log: IO[str], shows: bool) -> None:
        self.reading, self.tail = Reading(), _Tail()
        self._log, self._shows = log, shows

    def show(self, pieces: Iterator[bytes]) -> None:
        for piece, whole in terminal.blocks(pieces):
            if self._shows:
                terminal.show(sys.stdout, piece)
            self._take(terminal.plain_bytes(whole.replace(b"\r\n", b"\n")).decode("utf-8", "replace"))

    def _take(self, text: str) -> None:
        self._log.write(text)
        self._log.flush()
        self.tail.take(text)
        if "test " in text:
            for line in text.split("\n"):
                self.reading.take(line)


def ignored_tests(program: TestBinary, environ: Mapping[str, str], manner: OutputOptions) -> list[str]:
    """Return the names of the tests that libtest would ignore."""
    argv = [*program.argv, "--list", "--ignored", "--format", "terse", *manner.tests]
    lines = processes.answer(argv, environ, None, program.cwd).out.splitlines()
    return [line.removesuffix(": test") for line in lines if line.endswith(": test")]


def log_file(path: str) -> IO[str]:
    """Open a log to go on in it. Raises `UserError` where it cannot be written."""
    from doit_cargo.engine.state.store import unwritable

    try:
        private.folder(os.path.dirname(path))
        return open(path, "a", encoding="utf-8", errors="replace", opener=private.opener)
    except OSError as error:
        raise UserError(unwritable(path, error, ""), COULD_NOT_RUN) from None
