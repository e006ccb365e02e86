"""What the head of a model file says, and bounded reading: no length that a file claims is believed.

The two formats are gguf.py and safetensors.py; readers.py opens a file. What is broken, cut off or hostile raises
`BrokenError`, and takes no more memory than the head has bytes.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import IO

MAX_HEADER = 256 << 20
"""Bytes of a head: the largest known (vocabularies of 256,000 words) are about 10 MB."""


class BrokenError(Exception):
    """The text is what is wrong with a file."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a head says. `parameters` counts the numbers in all tensors; `needed` is a whole file's size in bytes."""

    format: str
    architecture: str = ""
    quantisation: str = ""
    parameters: int = 0
    context_length: int = 0
    name: str = ""
    needed: int = 0
    problem: str = ""


class Reader:
    """A file from its beginning; each step is checked against the bytes that are there."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.size = os.fstat(stream.fileno()).st_size
        self.position = 0

    def bytes(self, count: int) -> bytes:
        self._require(count)
        data = self._stream.read(count)
        if len(data) != count:
            raise BrokenError("the file ends within its head")
        self.position += count
        return data

    def skip(self, count: int) -> None:
        self._require(count)
        self._stream.seek(count, os.SEEK_CUR)
        self.position += count

    def number(self, form: str) -> int:
        """Return one little-endian number; `form` is `struct`'s letter."""
        (value,) = struct.unpack(f"<{form}", self.bytes(struct.calcsize(f"<{form}")))
        return int(value)

    def _require(self, count: int) -> None:
        if count > self.size - self.position:
            raise BrokenError("the file ends within its head")
        if self.position + count > MAX_HEADER:
            raise BrokenError(f"its head is longer than {MAX_HEADER >> 20} MiB")
