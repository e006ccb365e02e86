"""The few messages of the Remote Execution API that are needed, as bytes: protobuf's wire format, without its library.

Field numbers are those of build/bazel/remote/execution/v2/remote_execution.proto and google/bytestream. Knows nothing
of what a result means or of how it travels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

Value = int | str | bytes
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


class MalformedError(ValueError):
    """Bytes that are no such message."""


class Digest(NamedTuple):
    """What names a blob: SHA-256 of its content, and its size."""

    hash: str
    size: int

    @classmethod
    def of(cls, content: bytes) -> Digest:
        return cls(hashlib.sha256(content).hexdigest(), len(content))


class OutputFile(NamedTuple):
    """A file of a result: `content` is there only where the file travels within the message."""

    path: str
    digest: Digest
    is_executable: bool = False
    content: bytes = b""


def message(*fields: tuple[int, Value]) -> bytes:
    """Return the bytes of fields; what is empty or zero is left out, as proto3 does."""
    return b"".join(_field(number, value) for number, value in fields if value)


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3 | VARINT) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | LENGTH) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (number, value) of each field of a message. Raises `MalformedError`."""
    at = 0
    while at < len(content):
        key, at = _read_varint(content, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _read_varint(content, at)
            yield number, value
            continue
        size, at = _read_varint(content, at) if kind == LENGTH else ({FIXED64: 8, FIXED32: 4}.get(kind, -1), at)
        if size < 0 or at + size > len(content):
            raise MalformedError("a field ends behind the end of its message")
        yield number, content[at : at + size]
        at += size


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise MalformedError("a number does not end")


def last(content: bytes, number: int, default: bytes = b"") -> bytes:
    """Return the last value of a field that holds bytes. Raises `MalformedError`."""
    for found, value in fields(content):
        if found == number:
            if isinstance(value, int):
                raise MalformedError(f"field {number} is a number")
            default = value
    return default


# --- messages --------------------------------------------------------------------------------------------------------


def digest(value: Digest) -> bytes:
    """Return a Digest."""
    return message((1, value.hash), (2, value.size))


def read_digest(content: bytes) -> Digest:
    """Return what a Digest says. Raises `MalformedError`."""
    name, size = "", 0
    for number, value in fields(content):
        if number == 1 and isinstance(value, bytes):
            name = value.decode("ascii", "replace")
        elif number == 2 and isinstance(value, int):
            size = value
    if len(name) != 64 or set(name) - set("0123456789abcdef"):
        raise MalformedError("a digest is no SHA-256")
    return Digest(name, size)


def action_result(files: Iterable[OutputFile]) -> bytes:
    """Return an ActionResult with these output files."""
    return message(*((2, _output_file(one)) for one in files))


def _output_file(one: OutputFile) -> bytes:
    return message((1, one.path), (2, digest(one.digest)), (4, int(one.is_executable)), (5, one.content))


def read_action_result(content: bytes) -> list[OutputFile]:
    """Return the output files of an ActionResult. Raises `MalformedError`."""
    return [_read_output_file(value) for number, value in fields(content) if number == 2 and isinstance(value, bytes)]


def _read_output_file(content: bytes) -> OutputFile:
    try:
        path = last(content, 1).decode()
    except UnicodeDecodeError:
        raise MalformedError("a path is no text") from None
    flag = any(number == 4 and value for number, value in fields(content))
    return OutputFile(path, read_digest(last(content, 2)), flag, last(content, 5))


def command(arguments: Sequence[str], platform: Sequence[tuple[str, str]]) -> bytes:
    """Return a Command: what was called, and the platform that its result is for."""
    properties = message(*((1, message((1, name), (2, value))) for name, value in sorted(platform)))
    return message(*((1, word) for word in arguments), (5, properties))


def directory(files: Iterable[tuple[str, Digest]]) -> bytes:
    """Return a Directory of plain files."""
    return message(*((1, message((1, name), (2, digest(value)))) for name, value in sorted(files)))


def action(command_digest: Digest, root: Digest) -> bytes:
    """Return an Action."""
    return message((1, digest(command_digest)), (2, digest(root)))
