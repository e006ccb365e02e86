"""Run test programs one after another, as `cargo test` does: the recorded command, directory and environment.

Output goes to the log; to the terminal it goes as it comes where the user asked for it, else only that of failures.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, NamedTuple, cast

from doit_cargo.actions.testing.programs import DOC, Program
from doit_cargo.actions.testing.results import Reading, Result
from doit_cargo.engine import private, run, screen
from doit_cargo.engine.errors import COULD_NOT_RUN, Problem, UserError

# Of a failing program's output this much is shown; the log has all of it.
SHOWN = 100_000


class Manner(NamedTuple):
    """How programs are run: a part of the tests' names or "", whether tests may print, whether all output is shown."""

    test: str = ""
    prints: bool = False
    shows: bool = False


def environment_of(program: Program, base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that cargo would give a program where cargo itself had `base`."""
    found = dict(base)
    found.update((name, value) for name, (_, value) in program.env.items())
    found.update(extra)
    return found


def arguments_of(program: Program, manner: Manner) -> list[str]:
    """Return the whole command. Cargo passes what is for the tests to rustdoc word by word."""
    words = [manner.test] if manner.test else []
    words += ["--nocapture"] if manner.prints else []
    if program.kind != DOC:
        return [*program.argv, *words]
    passed = [part for word in words for part in ("--test-args", word)]
    return [*program.argv, *passed]


def run_program(
    program: Program, environ: Mapping[str, str], manner: Manner, log: IO[str], interrupted: Callable[[], None]
) -> Result:
    """Run one program to its end. Raises `UserError` if it cannot be started."""
    argv = arguments_of(program, manner)
    log.write(f"\n# {program.package}: {program.title}\n# in {program.cwd}: {' '.join(argv)}\n")
    log.flush()
    started = time.monotonic()
    reading, tail = Reading(), _Tail()
    try:
        with run.Child(_found(argv, environ), program.cwd, environ, merged=True) as child:
            with cast("IO[bytes]", child.process.stdout) as stream:
                _read(stream, reading, tail, log, manner.shows or manner.prints)
            status = child.wait()
    except OSError as error:
        problem = Problem(f"cannot start {argv[0]}: {error.strerror or error}", "FORCE=1 builds it again", program.cwd)
        raise UserError(problem, COULD_NOT_RUN) from None
    if child.signalled:
        interrupted()
        status = status or 130
    return reading.result(program, status, time.monotonic() - started, tail.text())


def _found(argv: list[str], environ: Mapping[str, str]) -> list[str]:
    import shutil

    return [shutil.which(argv[0], path=environ.get("PATH", "")) or argv[0], *argv[1:]]


class _Tail:
    """The last lines of an output."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._size = 0
        self._cut = False

    def take(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line)
        while self._size > SHOWN and len(self._lines) > 1:
            self._size -= len(self._lines.pop(0))
            self._cut = True

    def text(self) -> str:
        return ("[...]\n" if self._cut else "") + "".join(self._lines)


def _read(stream: IO[bytes], reading: Reading, tail: _Tail, log: IO[str], shows: bool) -> None:
    for raw in stream:
        line = raw.decode("utf-8", "replace").replace("\r\n", "\n")
        plain = screen.plain(line)
        reading.take(plain.rstrip("\n"))
        tail.take(plain)
        log.write(plain)
        log.flush()
        if shows:
            sys.stdout.write(line)
            sys.stdout.flush()


def ignored_tests(program: Program, environ: Mapping[str, str], manner: Manner) -> list[str]:
    """Return the names of the tests that libtest would ignore."""
    import subprocess

    argv = [*_found(list(program.argv), environ), "--list", "--ignored", "--format", "terse"]
    argv += [manner.test] if manner.test else []
    try:
        done = subprocess.run(
            argv, cwd=program.cwd, env=dict(environ), capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
    except OSError:
        return []
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return [line.removesuffix(": test") for line in lines if line.endswith(": test")]


def log_file(path: str) -> IO[str]:
    """Open a log to go on in it. Raises `UserError` where it cannot be written."""
    from doit_cargo.engine.receipts import unwritable

    try:
        private.folder(os.path.dirname(path))
        return open(path, "a", encoding="utf-8", errors="replace", opener=private.opener)
    except OSError as error:
        raise UserError(unwritable(path, error, ""), COULD_NOT_RUN) from None
