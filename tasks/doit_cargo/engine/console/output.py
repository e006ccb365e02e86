"""The output of several runs at once: whole lines, or all that a run says in one block.

Stands in for `sys.stdout` and `sys.stderr` of a worker process. Knows nothing of what is said.
"""

from __future__ import annotations

import codecs
import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO


@contextlib.contextmanager
def together(lock: Any, *, at_once: bool) -> Iterator[None]:
    """Let nothing that this process prints be torn apart by what others print who hold the same lock.

    `at_once` keeps it all until the end, in its order; else each line goes out when it is whole.
    """
    held = _Held(lock, at_once)
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Stream(held, kept[0]), _Stream(held, kept[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = kept
        held.release()


@contextlib.contextmanager
def kept(most: int) -> Iterator[Tee]:
    """Keep what is printed meanwhile to the standard output, and a little more than `most` characters of it."""
    real = sys.stdout
    copy = Tee(real, most)
    sys.stdout = copy
    try:
        yield copy
    finally:
        sys.stdout = real


class Tee:
    """A text stream of which a copy is kept; all that is written goes on at once."""

    def __init__(self, stream: TextIO, most: int) -> None:
        self._stream = stream
        self._room = most
        self._pieces: list[str] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def text(self) -> str:
        return "".join(self._pieces)

    def write(self, text: str) -> int:
        self._copy(text)
        return self._stream.write(text)

    def write_bytes(self, data: bytes) -> None:
        """Write what another program has said."""
        self._copy(self._decoder.decode(data))
        as_it_is = getattr(self._stream, "write_bytes", None)
        if as_it_is:
            as_it_is(data)
        else:
            self._stream.write(data.decode("utf-8", "replace"))
            self._stream.flush()

    def _copy(self, text: str) -> None:
        if self._room >= 0:
            self._pieces.append(text)
            self._room -= len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Held:
    """What waits to be printed, by stream, in the order in which it came."""

    def __init__(self, lock: Any, at_once: bool) -> None:
        self._lock = lock
        self._at_once = at_once
        self._pieces: list[tuple[TextIO, str]] = []
        self._threads = threading.Lock()

    def take(self, stream: TextIO, text: str) -> None:
        with self._threads:
            self._pieces.append((stream, text))
            if not self._at_once and "\n" in text:
                self._print(self._whole_lines(stream))

    def _whole_lines(self, stream: TextIO) -> list[tuple[TextIO, str]]:
        text = "".join(piece for other, piece in self._pieces if other is stream)
        whole, _, rest = text.rpartition("\n")
        self._pieces = [piece for piece in self._pieces if piece[0] is not stream]
        if rest:
            self._pieces.append((stream, rest))
        return [(stream, f"{whole}\n")]

    def release(self) -> None:
        """Print what is left."""
        with self._threads:
            pieces, self._pieces = self._pieces, []
            self._print(pieces)

    def _print(self, pieces: list[tuple[TextIO, str]]) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            for stream, text in pieces:
                stream.write(text)
                stream.flush()


class _Stream:
    """A text stream that hands on what is written to it; all else is the real one's."""

    def __init__(self, held: _Held, stream: TextIO) -> None:
        self._held = held
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, text: str) -> int:
        self._held.take(self._stream, text)
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """Write what another program has said."""
        self.write(self._decoder.decode(data))

    def flush(self) -> None:
        """Nothing to do: what is whole is out."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
