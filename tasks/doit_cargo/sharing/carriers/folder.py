"""A folder as a store, in the layout of Bazel's ``--disk_cache``: ``ac/xx/HASH`` and ``cas/xx/HASH``.

For one machine, a network file system, or what a CI keeps between jobs. Who may write is the file system's business.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from typing import BinaryIO

from doit_cargo.engine.base import atomic
from doit_cargo.sharing.carriers import MOST_ENTRY, CarrierError, RefusedError, blocks, checked, receive
from doit_cargo.sharing.wire import Digest

ENTRIES, BLOBS = "ac", "cas"


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
            with open(self._path(ENTRIES, action.hash), "rb") as stream:
                return stream.read(MOST_ENTRY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _said(error) from None

    def keep_entry(self, action: Digest, content: bytes) -> None:
        self._write(self._path(ENTRIES, action.hash), [content])

    def fetch(self, blob: Digest, target: BinaryIO) -> bool:
        try:
            with open(self._path(BLOBS, blob.hash), "rb") as stream:
                receive(blob, blocks(stream), target)
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _said(error) from None

    def missing(self, blobs: Iterable[Digest]) -> list[Digest]:
        return [blob for blob in blobs if self._size(blob) != blob.size]

    def _size(self, blob: Digest) -> int:
        try:
            return os.stat(self._path(BLOBS, blob.hash)).st_size
        except OSError:
            return -1

    def keep(self, blob: Digest, source: BinaryIO) -> None:
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


def _said(error: OSError) -> CarrierError:
    kind = RefusedError if isinstance(error, PermissionError) else CarrierError
    return kind(f"says: {error.strerror or error}")
