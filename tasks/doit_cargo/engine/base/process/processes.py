"""Processes: a program asked for its answer, and those of a group by the program that each runs (/proc)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.secrets import shown_words

if TYPE_CHECKING:
    from subprocess import Popen

    from doit_cargo.engine.base.model import Invocation

# git asked for facts: without the programs that a repository's own configuration names.
GIT = ("git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")


class Answer(NamedTuple):
    """What a program said, and how it ended; of one that was not there or took too long, `err` tells that.

    `status` is then 127 or 124, as a shell and `timeout` have it, and `started` or `in_time` false.
    """

    argv: tuple[str, ...]
    status: int
    out: str
    err: str
    started: bool = True
    in_time: bool = True

    @property
    def ok(self) -> bool:
        return self.status == 0

    @property
    def transcript(self) -> str:
        """The call and its answer as a log shows them."""
        return f"# {' '.join(shown_words(self.argv))}\n{self.out}{self.err}# status {self.status}\n"


def chosen(argv: Sequence[str], environ: Mapping[str, str], text: str) -> str:
    """Run a program that lets the user choose among lines, on the terminal itself; return the choice, "" for none."""
    import subprocess

    try:
        done = subprocess.run(argv, env=dict(environ), input=text, stdout=subprocess.PIPE, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def answer(
    argv: Sequence[str],
    environ: Mapping[str, str],
    seconds: float | None,
    cwd: str | None = None,
    *,
    shows_errors: bool = False,
) -> Answer:
    """Run a program whose output is for us: found on its own PATH, without standard input, within a time.

    It ends with all that it has started if its time is over or we are interrupted. Its output goes to files: a pipe
    would stay open, and this call hang, while something lives that it started. Bytes are read as UTF-8. Never raises.
    With `shows_errors` its standard error is the user's.
    """
    import subprocess

    found = which(argv[0], environ) or argv[0]
    with _file() as out, _file() as err:
        try:
            process = subprocess.Popen(
                [found, *argv[1:]],
                cwd=cwd,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=None if shows_errors else err,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL character
            reason = getattr(error, "strerror", "") or error
            return Answer(tuple(argv), 127, "", f"cannot start {argv[0]}: {reason}\n", started=False)
        try:
            in_time = _wait(process, seconds)
        finally:
            if process.returncode is None:
                _end(process)
        said = _text(out), _text(err)
    if not in_time:
        told = f"{argv[0]} did not end within {seconds:g} seconds\n"
        return Answer(tuple(argv), 124, said[0], f"{said[1]}{told}", in_time=False)
    return Answer(tuple(argv), process.returncode, *said)


def shown(argv: Sequence[str], environ: Mapping[str, str], cwd: str, *, asks: bool = False) -> int:
    """Run a program whose output is the user's, if it `asks` its input too; return the status. Raises `OSError`."""
    import subprocess

    found = which(argv[0], environ) or argv[0]
    stdin = None if asks else subprocess.DEVNULL
    return subprocess.run([found, *argv[1:]], cwd=cwd, env=dict(environ), stdin=stdin, check=False).returncode


def _file() -> IO[bytes]:
    """Return a file without a name: in memory where there is such a thing, so that no full disk stands in the way."""
    if hasattr(os, "memfd_create"):
        with contextlib.suppress(OSError):
            return os.fdopen(os.memfd_create("answer"), "w+b", buffering=0)
    import tempfile

    return tempfile.TemporaryFile(buffering=0)


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")


def _wait(process: Popen[bytes], seconds: float | None) -> bool:
    """Wait for the end; tell whether it came in time. Python's own wait looks only every 50 ms."""
    import subprocess

    if seconds is not None and hasattr(os, "pidfd_open"):
        import select

        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(process.pid)
            try:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                if not poll.poll(seconds * 1000):
                    return False
            finally:
                os.close(descriptor)
            seconds = None
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: Popen[bytes]) -> None:
    """Kill a program that leads its own process group, and all that it started."""
    import signal

    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, OSError):
        process.kill()
    process.wait()


def environment_of(invocation: Invocation, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that a call's process sees: with what the call sets, unsets and puts before PATH."""
    seen = {name: value for name, value in environ.items() if name not in invocation.unset} | dict(invocation.env)
    if invocation.path_prepend:
        seen["PATH"] = os.pathsep.join([*invocation.path_prepend, seen.get("PATH", "")])
    return seen


def environment_of_tools(invocation: Invocation, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which to look at a call's tools: `cargo +nightly` is the strongest choice of all."""
    seen = environment_of(invocation, environ)
    if invocation.argv[1:] and invocation.argv[1].startswith("+"):
        seen["RUSTUP_TOOLCHAIN"] = invocation.argv[1][1:]
    return seen


def running(program: str, group: int) -> list[int]:
    """Return the processes of a process group that run a program (a path); nothing where there is no /proc."""
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    real = os.path.realpath(program)
    return [number for number in numbers if _runs(number, real, group)]


def _runs(number: int, program: str, group: int) -> bool:
    try:
        return os.getpgid(number) == group and os.readlink(f"/proc/{number}/exe") == program
    except OSError:
        return False  # it has ended meanwhile, or belongs to someone else
