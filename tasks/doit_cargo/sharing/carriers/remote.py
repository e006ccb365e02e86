"""A server of the Remote Execution API over gRPC: ActionCache, ContentAddressableStorage and ByteStream.

Needs grpcio (the extra ``remote``); the messages are our own few (`sharing.wire`), so that nothing is generated.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.sharing import wire
from doit_cargo.sharing.carriers import (
    Access,
    BlobSource,
    BlobTarget,
    CarrierError,
    RefusedError,
    checked,
    receive,
)
from doit_cargo.sharing.wire import Digest, message

API = "/build.bazel.remote.execution.v2."
GET_RESULT, UPDATE_RESULT = f"{API}ActionCache/GetActionResult", f"{API}ActionCache/UpdateActionResult"
FIND_MISSING = f"{API}ContentAddressableStorage/FindMissingBlobs"
READ, WRITE = "/google.bytestream.ByteStream/Read", "/google.bytestream.ByteStream/Write"
NOT_ALLOWED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED")


def _grpc() -> Any:
    try:
        import grpc
    except ImportError:
        what = "a store at grpc:// needs grpcio, which is not installed"
        raise UserError(Problem(what, "pip install 'doit-cargo[remote]'"), COULD_NOT_RUN) from None
    return grpc


class Remote:
    """A store behind gRPC."""

    def __init__(self, address: str, access: Access) -> None:
        self.grpc = _grpc()
        parts = urlsplit(address)
        self.instance = parts.path.strip("/")
        self.seconds = access.seconds
        self.metadata = [("authorization", access.authorization)] if access.authorization else []
        # A store is no web page: what a proxy's variables name is not asked for it, and no old one is tried for long.
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 1 << 25)]
        if parts.scheme == "grpcs":
            self.channel = self.grpc.secure_channel(parts.netloc, self.grpc.ssl_channel_credentials(), options)
        else:
            self.channel = self.grpc.insecure_channel(parts.netloc, options)

    def entry(self, action: Digest) -> bytes | None:
        asked = message((1, self.instance), (2, wire.digest(action)))
        return self._call(GET_RESULT, asked, absent=True)

    def keep_entry(self, action: Digest, content: bytes) -> None:
        asked = message((1, self.instance), (2, wire.digest(action)), (3, content))
        self._call(UPDATE_RESULT, asked)

    def fetch(self, blob: Digest, target: BlobTarget) -> bool:
        name = f"blobs/{blob.hash}/{blob.size}"
        asked = message((1, f"{self.instance}/{name}" if self.instance else name))
        call = self.channel.unary_stream(READ)(asked, metadata=self.metadata)
        try:
            receive(blob, (wire.last(answer, 10) for answer in call), target)
        except self.grpc.RpcError as error:
            if error.code().name == "NOT_FOUND":
                return False
            raise self._said(error) from None
        except wire.MalformedError as error:
            raise _another_language(error) from None
        finally:
            call.cancel()
        return True

    def missing(self, blobs: Iterable[Digest]) -> list[Digest]:
        listed = list(blobs)
        asked = message((1, self.instance), *((2, wire.digest(blob)) for blob in listed))
        answer = self._call(FIND_MISSING, asked) or b""
        try:
            found = {
                wire.read_digest(value)
                for number, value in wire.fields(answer)
                if number == 2 and isinstance(value, bytes)
            }
        except wire.MalformedError as error:
            raise _another_language(error) from None
        return [blob for blob in listed if blob in found]

    def keep(self, blob: Digest, source: BlobSource) -> None:
        name = f"uploads/{uuid.uuid4()}/blobs/{blob.hash}/{blob.size}"
        name = f"{self.instance}/{name}" if self.instance else name
        trouble = list[CarrierError]()  # gRPC swallows what its requests raise
        try:
            requests = _writes(name, blob, source, trouble)
            self.channel.stream_unary(WRITE)(requests, metadata=self.metadata)
        except self.grpc.RpcError as error:
            raise trouble[0] if trouble else self._said(error) from None

    def _call(self, method: str, asked: bytes, absent: bool = False) -> bytes | None:
        try:
            answer: bytes = self.channel.unary_unary(method)(asked, timeout=self.seconds, metadata=self.metadata)
        except self.grpc.RpcError as error:
            if absent and error.code().name == "NOT_FOUND":
                return None
            raise self._said(error) from None
        return answer

    def _said(self, error: Any) -> CarrierError:
        name = str(error.code().name)
        if name in ("DEADLINE_EXCEEDED", "UNAVAILABLE"):
            return CarrierError("does not answer")
        kind = RefusedError if name in NOT_ALLOWED else CarrierError
        return kind(f"answers {name}: {str(error.details())[:200]}")

    def close(self) -> None:
        self.channel.close()


def _another_language(error: wire.MalformedError) -> CarrierError:
    return CarrierError(f"speaks another language: {error}")


def _writes(name: str, blob: Digest, source: BlobSource, trouble: list[CarrierError]) -> Iterator[bytes]:
    offset = 0
    try:
        for chunk in checked(blob, source):
            end = offset + len(chunk)
            yield message((1, name if not offset else ""), (2, offset), (3, int(end >= blob.size)), (10, chunk))
            offset = end
    except CarrierError as error:
        trouble.append(error)
        raise
