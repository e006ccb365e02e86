"""Paths of this checkout within what it made: a debug build holds them, so that it fits only under the same path.

A path that is not there as plain bytes cannot be found: so compressed sections of a program count as holding every one.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable, Mapping

from doit_cargo.sharing import values
from doit_cargo.sharing.roots import Roots

ELF64_LITTLE = b"\x7fELF\x02\x01"
COMPRESSED = 0x800  # SHF_COMPRESSED


def roots_in(content: bytes | mmap.mmap, roots: Roots) -> set[str]:
    """Return the names of the folders whose paths are within bytes."""
    if _is_compressed(content):
        return set(roots.folders)
    return {name for name, folder in roots.folders.items() if content.find(os.fsencode(folder)) >= 0}


def scan(paths: Iterable[str], texts: Iterable[bytes], roots: Roots, secret: Mapping[bytes, str]) -> set[str]:
    """Return the folders whose paths are within files and texts. Raises `NotShared` where one holds a secret."""
    found: set[str] = set()
    for path in paths:
        if not os.path.getsize(path):
            continue
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found |= roots_in(content, roots)
            for value, name in secret.items():
                if content.find(value) >= 0:
                    values.refuse(os.path.basename(path), name)
    for one in texts:
        found |= roots_in(one, roots)
        values.require_no_secret(one, secret, "its log")
    return found


def _is_compressed(content: bytes | mmap.mmap) -> bool:
    """Tell whether a program has compressed sections, or is of a kind whose sections we do not know."""
    if content[:4] != ELF64_LITTLE[:4]:
        return content[:4] in (b"!<ar", b"PK\x03\x04", b"\x1f\x8b\x08\x00")
    if content[:6] != ELF64_LITTLE:
        return True
    (start,) = struct.unpack_from("<Q", content, 0x28)
    size, count, _ = struct.unpack_from("<HHH", content, 0x3A)
    ends = start + size * count
    if ends > len(content) or size < 64:
        return bool(count)
    flags = (struct.unpack_from("<Q", content, start + size * number + 8)[0] for number in range(count))
    return any(flag & COMPRESSED for flag in flags)
