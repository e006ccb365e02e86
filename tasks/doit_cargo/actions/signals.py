"""SIGTERM and SIGHUP as KeyboardInterrupt, while there is something to put away."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from doit_cargo.engine.console import reporter


class Interrupted(KeyboardInterrupt):
    """A signal that has been told to the user."""


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(number)


@contextlib.contextmanager
def interruptible(target: str) -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, and say so once; ignored ones stay ignored."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [getattr(signal, name) for name in names] if threading.current_thread() is threading.main_thread() else []
    wanted = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, _interrupt) for number in wanted}
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        reporter.failed(target, "interrupted; what was started is stopped")
        raise Interrupted from None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
