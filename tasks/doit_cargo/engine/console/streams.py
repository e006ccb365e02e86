"""Standard output and error that may be closed, full, or read by nobody: no traceback, and the right exit code.

Reports end when nobody can read them; a target goes on, since its work and its log count. Imports stay light: the
launcher loads this on each call.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

NOBODY_READS = 141  # as a shell tells SIGPIPE
CANNOT_WRITE = 2
STANDARD_OUTPUT = 1


# What `--color` may say: colours, none, or what the stream and the environment ask for.
COLOURS = {"always": True, "never": False, "auto": None}


class Colour:
    """What this call was told of colours; None where it was told nothing."""

    wanted: bool | None = None


def has_colour(stream: Any) -> bool:
    """Tell whether to write colours to a stream: as `--color` says, NO_COLOR, FORCE_COLOR, and else to a terminal."""
    if Colour.wanted is not None:
        return Colour.wanted
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR")
    if forced:
        return forced != "0"
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def take_choice(words: list[str]) -> list[str]:
    """Take `--color=WHEN` out of the words of a call; a wrong one stays, and is told where all bad input is."""
    rest = []
    for word in words:
        name, equals, when = word.partition("=")
        if name == "--color" and equals and when in COLOURS:
            Colour.wanted = COLOURS[when]
        else:
            rest.append(word)
    return rest


class Stream:
    """A text stream that never raises for what cannot be written: it ends the program, or goes on without."""

    goes_on = False

    def __init__(self, stream: TextIO, number: int) -> None:
        """`number` is that of the descriptor as the program was started: others may stand before `sys.stdout` now."""
        self._stream = stream
        self._number = number

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except OSError as error:
            self._lose(error)
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """Write what another program has said as it is."""
        try:
            self._stream.flush()
            self._stream.buffer.write(data)
            self._stream.buffer.flush()
        except OSError as error:
            self._lose(error)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        """Let all that follows go nowhere, tell why where somebody may see it, and end a report."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        if self._number != STANDARD_OUTPUT:
            return
        gone = isinstance(error, BrokenPipeError)
        if not gone:
            rest = "; the log has all of it" if Stream.goes_on else ""
            sys.stderr.write(f"doit-cargo: cannot write to standard output: {error.strerror}{rest}\n")
            sys.stderr.flush()
        if not Stream.goes_on:
            raise SystemExit(NOBODY_READS if gone else CANNOT_WRITE)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def ensure() -> None:
    """Let there be standard streams, whatever the caller has closed: a file of ours must not become one of them."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            stream = _nowhere(number, mode)
        if number and not isinstance(stream, Stream):
            stream = Stream(stream, number)
        setattr(sys, name, stream)


def _nowhere(number: int, mode: str) -> Any:
    place = os.open(os.devnull, os.O_RDWR)
    if place != number:
        try:
            os.fstat(number)  # taken meanwhile
        except OSError:
            os.dup2(place, number)
            os.close(place)
            place = number
    os.set_inheritable(place, place == number)
    return open(place, mode, encoding="utf-8", closefd=False)


def quietly_interrupted() -> None:
    """Let Ctrl-C end a program of others without a traceback; it ends by the signal all the same."""
    shown = sys.excepthook

    def show(kind: type[BaseException], value: BaseException, trace: Any) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            shown(kind, value, trace)

    sys.excepthook = show
