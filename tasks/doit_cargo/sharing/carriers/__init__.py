"""How results travel: one interface over a folder, HTTP and gRPC.

A carrier knows blobs and entries, not what they mean. A blob is known by its content and checked on its way in; an
entry (an ActionResult) is known by an Action's digest and checked by whoever reads it. Every failure is a
`CarrierError`: nothing that a store does may end a build.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Protocol
from urllib.parse import urlsplit

from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.sharing.wire import Digest

BLOCK = 1 << 18
# An entry is a list of files: what is larger is none.
MOST_ENTRY = 1 << 24
# So long one word of a server may take whatever happens. How long it is waited for says `sharing.patience`.
LAST_SECONDS = 60.0


class CarrierError(Exception):
    """A store did not do what it was asked. `is_sick`: it is left alone for a while."""

    is_sick = True


class RefusedError(CarrierError):
    """A store that answers, but does not allow this."""

    is_sick = False


class WrongContentError(CarrierError):
    """A blob that is not what its name says."""

    is_sick = False


class BlobTarget(Protocol):
    """Where a blob is written to."""

    def write(self, chunk: bytes, /) -> int: ...


class BlobSource(Protocol):
    """Where a blob is read from."""

    def read(self, size: int = -1, /) -> bytes: ...


class Carrier(Protocol):
    """A store of blobs and entries."""

    def entry(self, action: Digest) -> bytes | None:
        """Return the entry of an action, None where there is none."""
        ...

    def keep_entry(self, action: Digest, content: bytes) -> None:
        """Keep an entry; all blobs that it names are there."""
        ...

    def fetch(self, blob: Digest, target: BlobTarget) -> bool:
        """Write a blob to a file and return True, or False where there is none. Raises `WrongContentError`."""
        ...

    def missing(self, blobs: Iterable[Digest]) -> list[Digest]:
        """Return those that are not there."""
        ...

    def keep(self, blob: Digest, source: BlobSource) -> None:
        """Keep the content of a file under its digest."""
        ...

    def close(self) -> None: ...


class Access:
    """Who asks, as the value of an Authorization header, and after how many seconds a silent server is left."""

    __slots__ = ("authorization", "seconds")

    def __init__(self, seconds: float = LAST_SECONDS, authorization: str = "") -> None:
        self.seconds = seconds
        self.authorization = authorization


def open_store(address: str, access: Access) -> Carrier:
    """Return the carrier of an address: a folder, http(s)://, or grpc(s)://. Raises `UserError`."""
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https"):
        from doit_cargo.sharing.carriers.web import Web

        return Web(address, access)
    if scheme in ("grpc", "grpcs"):
        from doit_cargo.sharing.carriers.remote import Remote

        return Remote(address, access)
    if scheme not in ("", "file"):
        fix = "a folder, https://HOST/PATH or grpcs://HOST:PORT/INSTANCE"
        raise UserError(Problem(f"a store cannot be reached by {scheme}://", fix))
    from doit_cargo.sharing.carriers.folder import Folder

    return Folder(urlsplit(address).path if scheme else address)


def receive(blob: Digest, chunks: Iterable[bytes], target: BlobTarget) -> None:
    """Write what arrives, and check that it is the blob. Raises `CarrierError`."""
    made, size = hashlib.sha256(), 0
    for chunk in chunks:
        made.update(chunk)
        size += len(chunk)
        if size > blob.size:
            break
        target.write(chunk)
    if size != blob.size or made.hexdigest() != blob.hash:
        raise WrongContentError(f"sent something else as {blob.hash[:12]}")


def blocks(source: BlobSource) -> Iterator[bytes]:
    """Yield a file in pieces."""
    while chunk := source.read(BLOCK):
        yield chunk


def checked(blob: Digest, source: BlobSource) -> Iterator[bytes]:
    """Yield a file in pieces, the last one only if all together are the blob: it may change while it is read."""
    made, size, held = hashlib.sha256(), 0, b""
    for chunk in blocks(source):
        if held:
            yield held
        made.update(chunk)
        size += len(chunk)
        held = chunk
    if (made.hexdigest(), size) != blob:
        raise WrongContentError(f"was to get {blob.hash[:12]}, which has changed meanwhile")
    yield held
