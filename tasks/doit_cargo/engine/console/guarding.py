"""What this process starts, guarded: should it be killed, its guard ends all of that within a second.

Knows of processes alone. Where there is no /proc nothing is guarded.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from doit_cargo.engine.base.process import guard
from doit_cargo.engine.state import lock


class _Own:
    """The mark of this process, and the pipe to its guard; a forked worker has its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.mark = os.urandom(12).hex()
        self.running = 0
        self.pipe = _start(self.mark) if os.path.isdir("/proc/self") else -1

    def tell(self, word: bytes) -> None:
        if self.pipe >= 0:
            with contextlib.suppress(OSError):
                os.write(self.pipe, word)


_known: list[_Own] = []


def _own() -> _Own:
    if not _known or _known[-1].pid != os.getpid():
        _known.append(_Own())
    return _known[-1]


def _start(mark: str) -> int:
    """Start the guard and return what keeps it waiting: the writing end of its standard input, which dies with us."""
    reading, writing = os.pipe()
    try:
        null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
        # As a module: what Python is given as a script it compiles anew each time.
        program = f"import sys; sys.path.append({os.path.dirname(guard.__file__)!r}); import guard; guard.main()"
        argv = [sys.executable, "-I", "-S", "-c", program, mark, str(os.getsid(0))]
        actions = [(os.POSIX_SPAWN_DUP2, reading, 0), *null]
        os.posix_spawn(sys.executable, argv, {}, file_actions=actions, setsid=True)
    except (OSError, NotImplementedError, TypeError):
        os.close(writing)
        writing = -1
    finally:
        os.close(reading)
    return writing


@contextlib.contextmanager
def guarded() -> Iterator[dict[str, str]]:
    """Guard what is started inside, which must get the yielded variables; a lock that is held tells of it, too."""
    own = _own()
    own.running += 1
    own.tell(guard.BEGIN)
    if own.pipe >= 0:
        lock.note_run(f"run {own.mark} {os.getsid(0)}")
    try:
        yield {guard.MARK: own.mark}
    finally:
        own.running -= 1
        own.tell(guard.END)
        if not own.running:
            lock.note_run("")


def left_behind() -> str:
    """Return what of this process's runs still lives, in words; nothing while another one runs beside it."""
    if os.name == "nt" or _own().running > 1:
        return ""
    return ", ".join(f"{guard.name_of(pid)} (process {pid})" for pid in guard.left(_own().mark, os.getsid(0)))
