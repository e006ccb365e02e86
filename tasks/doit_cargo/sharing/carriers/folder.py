"""A folder as a store, in the layout of Bazel's ``--disk_cache``: ``ac/xx/HASH`` and ``cas/xx/HASH``.

For one machine, a network file system, or what a CI keeps between jobs. Who may write is the file system's business.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterable

from doit_cargo.engine.base import atomic
from doit_cargo.sharing.carriers import (
    MOST_ENTRY,
    BlobSource,
    BlobTarget,
    CarrierError,
    RefusedError,
    blocks,
    checked,
    receive,
)
from doit_cargo.sharing.wire import Digest

ENTRIES, BLOBS = "ac", "cas"
ABSENT = (FileNotFoundError, NotADirectoryError)


class Folder:
    """A store in a folder; it is made by the first who writes."""

    def __init__(self, root: str) -> None:
        self.root = root

    def absence(self) -> str:
        """Return why this folder cannot be made, "" if it can or is there: tried in the folder above it."""
        above = self.root
        while not os.path.lexists(above) and above != os.path.dirname(above):
            above = os.path.dirname(above)
        try:
            os.rmdir(tempfile.mkdtemp(dir=above))
        except OSError as error:
            return "" if os.path.isdir(self.root) else error.strerror or str(error)
        return ""

    def _path(self, kind: str, name: str) -> str:
        return os.path.join(self.root, kind, name[:2], name)

    def entry(self, action: Digest) -> bytes | None:
        try:
            with open(self._path(ENTRIES, action.hash), "rb", opener=_opener) as stream:
                return stream.read(MOST_ENTRY)
        except ABSENT:
            return None
        except OSError as error:
            raise _said(error) from None

    def keep_entry(self, action: Digest, content: bytes) -> None:
        self._write(self._path(ENTRIES, action.hash), [content])

    def fetch(self, blob: Digest, target: BlobTarget) -> bool:
        try:
            with open(self._path(BLOBS, blob.hash), "rb", opener=_opener) as stream:
                receive(blob, blocks(stream), target)
                return True
        except ABSENT:
            return False
        except OSError as error:
            raise _said(error) from None

    def missing(self, blobs: Iterable[Digest]) -> list[Digest]:
        return [blob for blob in blobs if not self._has(blob)]

    def _has(self, blob: Digest) -> bool:
        try:
            found = os.stat(self._path(BLOBS, blob.hash))
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == blob.size

    def keep(self, blob: Digest, source: BlobSource) -> None:
        self._write(self._path(BLOBS, blob.hash), checked(blob, source))

    def _write(self, path: str, chunks: Iterable[bytes]) -> None:
        """Write a file whole, beside others who write the same one: each has a draft of its own."""
        draft = ""
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            descriptor, draft = tempfile.mkstemp(suffix=".new", dir=os.path.dirname(path))
            with open(descriptor, "wb") as stream:
                stream.writelines(chunks)
            os.chmod(draft, 0o644)
            atomic.put(draft, path)
            draft = ""
        except OSError as error:
            raise _said(error) from None
        finally:
            if draft:
                atomic.remove(draft)

    def close(self) -> None:
        return


def _opener(path: str, flags: int) -> int:
    """Open a plain file; what else lies there we have not written, and a pipe, say, would have us wait for ever."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, "this is no plain file", path)


def _said(error: OSError) -> CarrierError:
    kind = RefusedError if isinstance(error, PermissionError) else CarrierError
    return kind(f"says: {error.strerror or error}")
