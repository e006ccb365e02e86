"""The little of ELF that tells whether a program can be given to others: its sections, and the libraries that it needs.

A file of another kind, or one that is malformed, has no answer: whoever asks takes that as "not known".
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from typing import NamedTuple

MAGIC, ELF64_LITTLE = b"\x7fELF", b"\x7fELF\x02\x01"
LOADED, COMPRESSED = 0x2, 0x800
DYNAMIC, NOTE, NO_BITS = 6, 7, 8
NEEDED, OWN_NAME = 1, 14
Content = bytes | mmap.mmap


class UnknownError(ValueError):
    """Not a 64-bit little-endian ELF file, or not a sound one."""


class Section(NamedTuple):
    """A row of the table of sections."""

    kind: int
    flags: int
    start: int
    size: int
    link: int


def sections(content: Content) -> list[Section]:
    """Return the sections of a program. Raises `UnknownError`."""
    if content[:6] != ELF64_LITTLE:
        raise UnknownError("no 64-bit little-endian ELF file")
    try:
        (start,) = struct.unpack_from("<Q", content, 0x28)
        size, count = struct.unpack_from("<HH", content, 0x3A)
        return [_section(content, start + size * number) for number in range(count)]
    except struct.error:
        raise UnknownError("its table of sections is cut off") from None


def _section(content: Content, at: int) -> Section:
    _, kind, flags, _, start, size, link = struct.unpack_from("<IIQQQQI", content, at)
    return Section(kind, flags, start, size, link)


def loaded(content: Content) -> Iterator[bytes]:
    """Yield what of a program is loaded to run it: no debug information, no build id. Raises `UnknownError`."""
    for one in sections(content):
        if one.flags & LOADED and one.kind not in (NOTE, NO_BITS):
            yield content[one.start : one.start + one.size]


def needed(content: Content) -> Iterator[str]:
    """Yield the names of the libraries that a program is loaded with. Raises `UnknownError`."""
    return _tagged(content, NEEDED)


def own_name(content: Content) -> str:
    """Return the name by which programs need a library, "" for one without. Raises `UnknownError`."""
    return next(_tagged(content, OWN_NAME), "")


def _tagged(content: Content, wanted: int) -> Iterator[str]:
    table = sections(content)
    for one in table:
        if one.kind != DYNAMIC:
            continue
        if one.link >= len(table):
            raise UnknownError("its strings are missing")
        strings = table[one.link]
        for at in range(one.start, min(one.start + one.size, len(content) - 15), 16):
            tag, value = struct.unpack_from("<QQ", content, at)
            if tag == wanted:
                yield _text(content, strings.start + value)


def _text(content: Content, at: int) -> str:
    end = content.find(b"\0", at)
    if not 0 <= at < end:
        raise UnknownError("a name does not end")
    return content[at:end].decode("utf-8", "replace")
