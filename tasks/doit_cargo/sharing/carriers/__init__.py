"""How results travel: one interface over a folder, HTTP and gRPC.

A carrier knows blobs and entries, not what they mean. A blob is known by its content and checked on its way in; an
entry (an ActionResult) is known by an Action's digest and checked by whoever reads it. Every failure is a
`CarrierError`: nothing that a store does may end a build.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.sharing.wire import Digest

BLOCK = 1 << 18
# An entry is a list of files: what is larger is none.
MOST_ENTRY = 1 << 24
# A transfer may wait so long for the next bytes, and after that must have moved so much a second.
IDLE_SECONDS = 3.0
LEAST_RATE = 16_000


class CarrierError(Exception):
    """A store did not do what it was asked. `is_sick`: it is left alone for a while."""

    is_sick = True


class RefusedError(CarrierError):
    """A store that answers, but does not allow this."""

    is_sick = False


class WrongContentError(CarrierError):
    """A blob that is not what its name says."""

    is_sick = False


class Carrier(Protocol):
    """A store of blobs and entries."""

    def entry(self, action: Digest) -> bytes | None:
        """Return the entry of an action, None where there is none."""
        ...

    def keep_entry(self, action: Digest, content: bytes) -> None:
        """Keep an entry; all blobs that it names are there."""
        ...

    def fetch(self, blob: Digest, target: BinaryIO) -> bool:
        """Write a blob to a file and return True, or False where there is none. Raises `WrongContentError`."""
        ...

    def missing(self, blobs: Iterable[Digest]) -> list[Digest]:
        """Return those that are not there."""
        ...

    def keep(self, blob: Digest, source: BinaryIO) -> None:
        """Keep the content of a file under its digest."""
        ...

    def close(self) -> None: ...


class Access:
    """What a call may use of a store: seconds for an answer, and who asks, as the value of an Authorization header."""

    __slots__ = ("authorization", "seconds")

    def __init__(self, seconds: float = 0.8, authorization: str = "") -> None:
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


class Pace:
    """Ends a transfer that trickles: it has no end of its own, since blobs are of any size.

    Each few seconds count by themselves: what came fast before makes nobody wait longer.
    """

    __slots__ = ("before", "moved", "started")

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.moved = self.before = 0

    def took(self, count: int) -> None:
        """Count bytes. Raises `CarrierError` where they come too slowly."""
        self.moved += count
        passed, lately = time.monotonic() - self.started, self.moved - self.before
        if passed > IDLE_SECONDS:
            if lately < passed * LEAST_RATE:
                raise CarrierError(f"sends only {lately / passed / 1000:.1f} kB a second")
            self.started, self.before = time.monotonic(), self.moved


def receive(blob: Digest, chunks: Iterable[bytes], target: BinaryIO) -> None:
    """Write what arrives, and check that it is the blob. Raises `CarrierError`."""
    made, pace = hashlib.sha256(), Pace()
    for chunk in chunks:
        made.update(chunk)
        pace.took(len(chunk))
        if pace.moved > blob.size:
            break
        target.write(chunk)
    if pace.moved != blob.size or made.hexdigest() != blob.hash:
        raise WrongContentError(f"sent something else as {blob.hash[:12]}")


def blocks(source: BinaryIO) -> Iterator[bytes]:
    """Yield a file in pieces."""
    while chunk := source.read(BLOCK):
        yield chunk


def checked(blob: Digest, source: BinaryIO) -> Iterator[bytes]:
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
