"""A server that knows GET, HEAD and PUT below ``/ac/`` and ``/cas/``: Bazel's HTTP caching protocol.

One connection that stays open, and the standard library alone. A redirect is not followed: what is fetched comes from
the server that the pack names, and from nowhere else.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
from collections.abc import Generator, Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from doit_cargo.sharing.carriers import (
    BLOCK,
    MOST_ENTRY,
    Access,
    BlobSource,
    BlobTarget,
    CarrierError,
    RefusedError,
    checked,
    receive,
)
from doit_cargo.sharing.wire import Digest

OK, NOT_FOUND = range(200, 300), (404, 410)
NOT_ALLOWED = (401, 403, 405, 407, 413)
PROBLEMS = (OSError, http.client.HTTPException, ssl.SSLError, ValueError)


class Web:
    """A store behind HTTP."""

    def __init__(self, address: str, access: Access) -> None:
        parts = urlsplit(address)
        self.base = parts.path.rstrip("/")
        self.headers = {"Authorization": access.authorization} if access.authorization else {}
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self.connection = kind(parts.hostname or "", parts.port, timeout=access.seconds)

    def entry(self, action: Digest) -> bytes | None:
        response = self._ask("GET", f"/ac/{action.hash}")
        content = b"".join(self._read(response, MOST_ENTRY))
        return content if response.status in OK else None

    def keep_entry(self, action: Digest, content: bytes) -> None:
        self._put(f"/ac/{action.hash}", iter((content,)), len(content))

    def fetch(self, blob: Digest, target: BlobTarget) -> bool:
        response = self._ask("GET", f"/cas/{blob.hash}")
        if response.status not in OK:
            self._empty(response)
            return False
        with contextlib.closing(self._read(response, blob.size + 1)) as chunks:
            receive(blob, chunks, target)
        return True

    def missing(self, blobs: Iterable[Digest]) -> list[Digest]:
        return [blob for blob in blobs if not self._has(blob)]

    def _has(self, blob: Digest) -> bool:
        response = self._ask("HEAD", f"/cas/{blob.hash}")
        self._empty(response)
        return response.status in OK

    def keep(self, blob: Digest, source: BlobSource) -> None:
        self._put(f"/cas/{blob.hash}", checked(blob, source), blob.size)

    def _put(self, path: str, body: Iterator[bytes], size: int) -> None:
        response = self._answered(self._send("PUT", path, body, {"Content-Length": str(size)}))
        self._empty(response)
        if response.status not in OK:
            raise RefusedError(f"does not keep anything: {response.status} {response.reason}")

    def _ask(self, verb: str, path: str) -> http.client.HTTPResponse:
        """Ask for something; once more where the server had closed the connection since the last time."""
        was_open = self.connection.sock is not None
        try:
            return self._answered(self._send(verb, path))
        except _ClosedError:
            if not was_open:
                raise
            return self._answered(self._send(verb, path))

    def _send(
        self, verb: str, path: str, body: Iterator[bytes] | None = None, more: Mapping[str, str] | None = None
    ) -> http.client.HTTPResponse:
        try:
            self.connection.request(verb, self.base + path, body, {**self.headers, **(more or {})})
            return self.connection.getresponse()
        except PROBLEMS as error:
            self.connection.close()
            raise _said(error) from None
        except CarrierError:
            self.connection.close()
            raise

    def _answered(self, response: http.client.HTTPResponse) -> http.client.HTTPResponse:
        if response.status in OK or response.status in NOT_FOUND:
            return response
        self._empty(response)
        kind = RefusedError if response.status in NOT_ALLOWED else CarrierError
        raise kind(f"answers {response.status} {response.reason}")

    def _empty(self, response: http.client.HTTPResponse) -> None:
        """Read what is left of an answer, so that the connection can be used again."""
        for _ in self._read(response, MOST_ENTRY):
            continue

    def _read(self, response: http.client.HTTPResponse, most: int) -> Generator[bytes, None, None]:
        left, is_whole = most, False
        try:
            while left > 0 and (chunk := response.read1(min(left, BLOCK))):
                left -= len(chunk)
                yield chunk
            is_whole = response.isclosed() or response.length == 0
            if response.length and left > 0:
                raise CarrierError("sends less than it said")
        except PROBLEMS as error:
            raise _said(error) from None
        finally:
            response.close()
            if not is_whole:  # what is left of the answer is none to the next question
                self.connection.close()

    def close(self) -> None:
        """Close the connection, also under a thread that was left behind in it: it shall not go on reading."""
        if self.connection.sock is not None:
            with contextlib.suppress(OSError):
                self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()


class _ClosedError(CarrierError):
    """The server closed the connection instead of answering."""


def _said(error: Exception) -> CarrierError:
    if isinstance(error, TimeoutError):
        return CarrierError("does not answer")
    if isinstance(error, ConnectionError | http.client.BadStatusLine):
        return _ClosedError(f"closes the connection ({type(error).__name__})")
    reason = getattr(error, "strerror", "") or os.fsdecode(str(error)) or type(error).__name__
    return CarrierError(f"cannot be asked: {reason}")
