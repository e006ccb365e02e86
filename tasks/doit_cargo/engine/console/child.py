"""A process in a group of its own: its signals, its terminal, its output, its end.

What ends or stops us reaches all of the group; should we be killed, our guard ends it. Knows nothing of what is run.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import IO

from doit_cargo.engine.base.process.jobs import ProcessGroup
from doit_cargo.engine.base.process.processes import running
from doit_cargo.engine.console.guarding import guarded, left_behind

GRACE_SECONDS = 30.0  # for a program that was interrupted: profilers write their data then
SECONDS_BETWEEN_LOOKS = 0.2
# After the end of a process, for those that it has started and that hold its output: so long they are waited for.
SECONDS_FOR_OTHERS = 1.0
SECONDS_OF_ONE_CTRL_C = 1.0  # make and a shell pass on what the terminal has sent: two or three come at once
ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
PIPE_SIZE = 1 << 18


class Child:
    """A process in a group of its own; what ends us reaches all of it.

    `watched` is a program that it runs, if any; `merged`: one stream for both of its own; `asks`: where we have a
    terminal it may read it as its standard input, else that is empty.
    """

    def __init__(
        self,
        argv: list[str],
        cwd: str,
        environ: Mapping[str, str],
        watched: str = "",
        merged: bool = False,
        asks: bool = False,
    ) -> None:
        self.watched = watched
        self.signalled = False
        self.expired = False
        self.left_behind = ""
        self._first_signal = 0.0
        self._over = 0.0
        self._readers: list[threading.Thread] = []
        self._streams_held = False
        self._previous: dict[int, object] = {}
        group = {"creationflags": 0x200} if os.name == "nt" else {"process_group": 0}
        self._stack = contextlib.ExitStack()
        mark = self._stack.enter_context(guarded())
        try:
            self.process = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**environ, **mark},
                stdin=None if asks and sys.stdin and sys.stdin.isatty() else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                **group,  # type: ignore[call-overload]
            )
        except BaseException:
            self._stack.close()
            raise
        self._job = ProcessGroup(self.process.pid)

    def __enter__(self) -> Child:
        if threading.current_thread() is threading.main_thread():
            for number in [getattr(signal, name) for name in ENDING if hasattr(signal, name)]:
                if signal.getsignal(number) != signal.SIG_IGN:  # nohup and background jobs want it ignored
                    self._previous[number] = signal.signal(number, self._forward)
            if hasattr(signal, "SIGTSTP") and signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
                self._previous[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._job.suspend)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self.process.poll() is None:
            self._send(signal.SIGTERM)
            self.process.wait()
        self._job.close()
        self._stack.close()

    def read(self, stream: IO[bytes] | None, show: Callable[[Iterator[bytes]], None]) -> None:
        """Let a thread read what the process says, until its end: `show` gets the pieces as they come."""
        reader = threading.Thread(target=self._read_all, args=(stream, show), daemon=True)
        self._readers.append(reader)
        reader.start()

    def _read_all(self, stream: IO[bytes], show: Callable[[Iterator[bytes]], None]) -> None:
        with stream:
            show(_pieces(stream) if os.name == "nt" else self._pieces_while_it_lives(stream))

    def _pieces_while_it_lives(self, stream: IO[bytes]) -> Iterator[bytes]:
        """Yield what is written, to the end of the stream, or a while after the end of the process."""
        number, size = stream.fileno(), _enlarged(stream)
        poll, left = select.poll(), size
        poll.register(number, select.POLLIN)
        while left > 0:
            over = self._over and time.monotonic() > self._over
            if poll.poll(0 if over else SECONDS_BETWEEN_LOOKS * 1000):
                piece = os.read(number, size)
                if not piece:
                    return
                left -= len(piece) if over else 0  # what was said before the end is in the pipe
                yield piece
            elif over:
                break
        self._streams_held = True

    def _forward(self, number: int, _: FrameType | None) -> None:
        """Pass a signal on. Who sends another one later means it."""
        now = time.monotonic()
        again = self.signalled and now - self._first_signal > SECONDS_OF_ONE_CTRL_C
        self._first_signal = self._first_signal or now
        self.signalled = True
        self._send(signal.SIGKILL if again and os.name != "nt" else number)
        if os.name != "nt":
            self._send(signal.SIGCONT)  # one that is stopped would not hear it

    def _send(self, number: int) -> None:
        if os.name == "nt":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                self.process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", number))
        else:
            self._job.send(number)

    def _interrupt(self) -> None:
        """Interrupt the watched program alone where it can be found, so that its watcher goes on to its own end."""
        watched = running(self.watched, self.process.pid) if self.watched and os.name != "nt" else []
        for number in watched:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGINT)
        if not watched:
            self._send(signal.SIGINT)

    def lives(self, seconds: float = 0.02) -> bool:
        """Wait a moment for the end; tell whether it goes on."""
        with _end_of(self.process.pid) as pause:
            if self.process.poll() is None:
                self._job.attend()
                pause(seconds)
        return self.process.poll() is None

    def _awaited(self, seconds: float) -> int:
        """Wait in short steps: a signal that comes just before one long system call would be seen only at its end."""
        deadline = time.monotonic() + seconds if seconds else None
        with _end_of(self.process.pid) as pause:
            while self.process.poll() is None:
                self._job.attend()
                if deadline and time.monotonic() > deadline:
                    raise subprocess.TimeoutExpired(self.process.args, seconds)
                pause(SECONDS_BETWEEN_LOOKS)
        return int(self.process.returncode)

    def wait(self, seconds: float = 0) -> int:
        """Wait for the end, asked for after `seconds` if any, then end what the process may have left in its group.

        Returns when all that it said is read, or soon after its end, if others hold its output (`left_behind`).
        """
        try:
            status = self._awaited(seconds)
        except subprocess.TimeoutExpired:
            status = self._expire()
        self._over = time.monotonic() + SECONDS_FOR_OTHERS
        self._job.take_back()
        if self._job.had_terminal and status in (-signal.SIGINT, 128 + signal.SIGINT):
            os.killpg(os.getpgrp(), signal.SIGINT)  # the terminal gave Ctrl-C to the child alone
        if (self.signalled or self.expired) and os.name != "nt":
            self._send(signal.SIGKILL)
        for reader in self._readers:
            reader.join(SECONDS_FOR_OTHERS if os.name == "nt" else None)
        if self._streams_held:
            names = left_behind() or "a process"
            self.left_behind = f"left behind by it and not waited for: {names} still holds its output"
        return int(status)

    def _expire(self) -> int:
        """Interrupt the group, and kill it where it does not end within its time."""
        self.expired = True
        self._interrupt()
        try:
            return self._awaited(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._send(signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
            return int(self.process.wait())


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := os.read(stream.fileno(), PIPE_SIZE):
        yield piece


def _enlarged(stream: IO[bytes]) -> int:
    """Give a pipe room, so that writer and reader wake each other less often; return how much it holds."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        return fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    return 1 << 16


@contextlib.contextmanager
def _end_of(pid: int) -> Iterator[Callable[[float], object]]:
    """Yield what waits for some seconds, or less if the process ends meanwhile (where a system can tell)."""
    try:
        ended = os.pidfd_open(pid)
    except (AttributeError, OSError):
        yield lambda _: time.sleep(0.01)
        return
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    try:
        yield lambda seconds: poll.poll(seconds * 1000)
    finally:
        os.close(ended)


def lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines of what comes in pieces, with their ends; the last one may have none."""
    kept: list[bytes] = []
    for piece in pieces:
        first, *more = piece.split(b"\n")
        if not more:
            kept.append(piece)
            continue
        yield b"".join([*kept, first, b"\n"])
        yield from (line + b"\n" for line in more[:-1])
        kept = [more[-1]] if more[-1] else []
    if kept:
        yield b"".join(kept)
