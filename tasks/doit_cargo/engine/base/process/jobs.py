"""Job control, as shells do it: which process group has the terminal, and what Ctrl-Z means.

A child runs in a group of its own, so that Ctrl-C and Ctrl-Z come to us and are passed on. One that reads the terminal
or sets its modes is stopped by the kernel, since its group is in the background: then it gets the terminal, until it
ends. Knows process groups and nothing of what runs in them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from doit_cargo.engine.base.process import guard

HERE = hasattr(os, "waitid") and hasattr(os, "tcsetpgrp")


class ProcessGroup:
    """The process group of one child, seen from the terminal."""

    def __init__(self, group: int) -> None:
        self.group = group
        self.has_terminal = False
        self.had_terminal = False
        self._terminal = -1
        self._wants = False
        self._asked = False
        self._our_modes: Any = None
        self._its_modes: Any = None

    def attend(self) -> None:
        """Do what a stop of the child asks for, if it has been stopped."""
        try:
            found = os.waitid(os.P_PID, self.group, os.WSTOPPED | os.WNOHANG) if HERE else None
        except ChildProcessError:
            return
        if found and found.si_status in (signal.SIGTTIN, signal.SIGTTOU):
            self._wants, self._asked = True, False
        elif found and found.si_status == signal.SIGTSTP and self.has_terminal:
            self.suspend(everyone=True)
        if self._wants:
            self._give_when_ours()

    def _give_when_ours(self) -> None:
        if self._terminal < 0:
            with contextlib.suppress(OSError):
                self._terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        if self._is_ours():
            self._give()
        elif not self._asked and self._terminal >= 0 and not self._a_sibling_has_it():
            self._asked = True
            os.killpg(os.getpgrp(), signal.SIGTTIN)  # in the background: the shell says so, `fg` goes on

    def _is_ours(self) -> bool:
        with contextlib.suppress(OSError):
            return self._terminal >= 0 and os.tcgetpgrp(self._terminal) == os.getpgrp()
        return False

    def _a_sibling_has_it(self) -> bool:
        """Tell whether another run of this very job has the terminal: it comes back by itself."""
        with contextlib.suppress(OSError, IndexError):
            parent = guard.stat_of(os.tcgetpgrp(self._terminal))[1]
            return int(guard.stat_of(parent)[2]) == os.getpgrp()
        return False

    def _give(self) -> None:
        import termios

        self._wants = False
        with contextlib.suppress(OSError, termios.error), _in_the_background():
            self._our_modes = termios.tcgetattr(self._terminal)
            if self._its_modes:
                termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._its_modes)
            os.tcsetpgrp(self._terminal, self.group)
            self.has_terminal = self.had_terminal = True
            if _is_main_thread():
                signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # we go on printing
        self.send(signal.SIGCONT)

    def take_back(self) -> bool:
        """Take the terminal back with the modes that it had; return whether the child had it."""
        if not self.has_terminal:
            return False
        import termios

        self.has_terminal = False
        with contextlib.suppress(OSError, termios.error), _in_the_background():
            self._its_modes = termios.tcgetattr(self._terminal)
            os.tcsetpgrp(self._terminal, os.getpgrp())
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._our_modes)
        if _is_main_thread():
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        return True

    def suspend(self, *_: object, everyone: bool = False) -> None:
        """Stop the child and ourselves (`everyone`: the whole job that the shell sees), and go on together."""
        had = self.take_back()
        self.send(signal.SIGTSTP)
        ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL) if _is_main_thread() else None
        if everyone:
            os.killpg(os.getpgrp(), signal.SIGTSTP)
        else:
            os.kill(os.getpid(), signal.SIGTSTP)
        # Here the shell has us; what follows is after `fg`, `bg` or `kill -CONT`.
        if ours is not None:
            signal.signal(signal.SIGTSTP, ours)
        if had and self._is_ours():
            self._give()
        else:
            self.send(signal.SIGCONT)

    def send(self, number: int) -> None:
        """Send a signal to the whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, number)

    def close(self) -> None:
        """Have the terminal back, whatever the child has done with it."""
        self.take_back()
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _in_the_background() -> Iterator[None]:
    """Let this thread use a terminal that another group has, for which the kernel would stop it."""
    kept = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)
