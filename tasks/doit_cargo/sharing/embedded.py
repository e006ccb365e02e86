"""What is within the files of a result: paths of this checkout, secrets, the libraries that a program needs.

A debug build holds the paths of its sources, so that it fits only under the same path. A path that is not there as
plain bytes cannot be found: compressed sections and kinds of files that pack others count as holding every one.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping

from doit_cargo.sharing import elf, values
from doit_cargo.sharing.path_set import NotShared
from doit_cargo.sharing.roots import Roots

WHEEL, SHARED_OBJECT = ".whl", ".so"
# The bill of materials of a wheel tells where it was built: no path that anybody would follow.
BILL = ".dist-info/sboms/"
# How the names of rustc's files of split debug information end.
SPLIT = b".rcgu.dwo\0"
# Archives of objects, zip and gzip: what is in them may be compressed.
PACKED = (b"!<ar", b"PK\x03\x04", b"\x1f\x8b")


def scan(paths: Iterable[str], texts: Iterable[bytes], roots: Roots, secret: Mapping[bytes, str]) -> set[str]:
    """Return the folders whose paths are within files and texts. Raises `NotShared` where one holds a secret."""
    found: set[str] = set()
    for path in paths:
        for part, content in _parts(path):
            found |= _roots_in(content, roots) if BILL not in part else set()
            for value, name in secret.items():
                if content.find(value) >= 0:
                    values.refuse(os.path.basename(path), name)
    for one in texts:
        found |= _roots_in(one, roots)
        values.require_no_secret(one, secret, "what cargo said")
    return found


def _parts(path: str) -> Iterator[tuple[str, elf.Content]]:
    """Yield a file, of a wheel the files in it; a wheel that cannot be read is packed as any archive."""
    if path.endswith(WHEEL) and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from ((name, archive.read(name)) for name in archive.namelist())
    elif os.path.getsize(path):
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield path, content


def in_loaded(paths: Iterable[str], roots: Roots) -> set[str]:
    """Return the folders whose paths a program can know when it runs; of what is no program all count."""
    found: set[str] = set()
    for path in paths:
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                found.update(name for part in elf.loaded(content) for name in _roots_in(part, roots))
            except elf.UnknownError:
                return set(roots.folders)
    return found


def _roots_in(content: elf.Content, roots: Roots) -> set[str]:
    if _is_packed(content):
        return set(roots.folders)
    return {name for name, folder in roots.folders.items() if content.find(os.fsencode(folder)) >= 0}


def _is_packed(content: elf.Content) -> bool:
    if content[:4] != elf.MAGIC:
        return content[:4].startswith(PACKED)
    try:
        return any(one.flags & elf.COMPRESSED for one in elf.sections(content))
    except elf.UnknownError:
        return True


def require_debug_information(path: str) -> None:
    """Raise `NotShared` for a program whose debug information lies in other files, which cargo keeps apart."""
    if any(content.find(SPLIT) >= 0 for _, content in _parts(path)):
        raise NotShared(f"{os.path.basename(path)} has its debug information in other files (split-debuginfo)")


def library_names(paths: Iterable[str]) -> set[str]:
    """Return the names by which programs may need one of these files: its own, and what a library calls itself.

    The linker reads ``libz.so``, a program that it links needs ``libz.so.1``.
    """
    found = set[str]()
    for path in paths:
        found.add(os.path.basename(path))
        for _, content in _parts(path) if SHARED_OBJECT in os.path.basename(path) else ():
            with contextlib.suppress(elf.UnknownError):
                found.add(elf.own_name(content))
    return found


def require_libraries(path: str, known: Collection[str]) -> None:
    """Raise `NotShared` for a program that needs a library which is none of the known ones (by their file names)."""
    found = set[str]()
    for name, content in _parts(path):
        found.add(os.path.basename(name))
        if content[:4] == elf.MAGIC:
            try:
                unknown = [one for one in elf.needed(content) if one not in known and one not in found]
            except elf.UnknownError as reason:
                raise NotShared(f"{os.path.basename(path)} cannot be read: {reason}") from None
            if unknown:
                raise NotShared(f"{os.path.basename(name)} needs {unknown[0]}, of which nothing is known")
