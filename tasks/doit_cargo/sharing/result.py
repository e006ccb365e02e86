"""What a result says: the files that it left, what is told of it, who made it. It is signed as one.

It travels as one more output file of an ActionResult; all else there only tells servers what to keep. What comes from a
store is checked whole before anything of it is used. Knows nothing of stores and of receipts.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from doit_cargo.sharing import signing, wire
from doit_cargo.sharing.action import small, text
from doit_cargo.sharing.carriers import Carrier, WrongContentError
from doit_cargo.sharing.roots import TARGET, Roots
from doit_cargo.sharing.wire import Digest, OutputFile

NAME = "doit-cargo.json"
FORMAT = 1
MOST_BYTES = 1 << 22
NUMBER = (int, float)
LONGEST = 1 << 40  # seconds
# Linux takes no longer path; so much of one is told.
LONGEST_PATH, LONGEST_TOLD = 4096, 200
TOLD: Mapping[str, Any] = {
    "machine": str,
    "finished": NUMBER,
    "seconds": NUMBER,
    "warnings": list,
    "packages": list,
    "features": list,
    "passed": str,
}


class UnsoundError(Exception):
    """What a store gave is no result that may be used; says why."""


class File(NamedTuple):
    """A file of a result, by its symbolic path."""

    path: str
    digest: Digest
    is_executable: bool


class SharedResult(NamedTuple):
    """A result: `told` holds what is said of it, `log` is a blob."""

    action: str
    files: tuple[File, ...]
    log: Digest
    told: Mapping[str, Any]


def pack(result: SharedResult, private: str) -> bytes:
    """Return a result as it travels, signed if there is a key."""
    data = _data(result)
    signature = signing.sign(text(data), private) if private else ""
    return text({**data, "signature": signature})


def _data(result: SharedResult) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "action": result.action,
        "files": [[one.path, *one.digest, one.is_executable] for one in result.files],
        "log": list(result.log),
        "told": dict(result.told),
    }


def unpack(content: bytes, action: Digest, keys: Collection[str]) -> SharedResult:
    """Return the result for an action. Raises `UnsoundError` for all else, or for what nobody trusted has signed."""
    try:
        data = json.loads(content)
        signature = data.pop("signature")
        files = tuple(_file(*entry) for entry in data["files"])
        result = SharedResult(str(data["action"]), files, _digest(*data["log"]), _told(**data["told"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UnsoundError("is none that can be read") from None
    if text(_data(result)) != text(data):
        raise UnsoundError("is of another format")
    if result.action != action.hash:
        raise UnsoundError("was made from something else")
    if keys and not signing.is_signed(text(data), str(signature), keys):
        raise UnsoundError("is not signed by a key of the pack")
    return result


def _told(**told: Any) -> dict[str, Any]:
    """Return what is told of a result, if each word of it is of its kind."""
    for name, kind in TOLD.items():
        if not _is(kind, told[name]):
            raise ValueError(name)
    return {name: told[name] for name in TOLD}


def _is(kind: Any, value: object) -> bool:
    """Tell whether a value is of a kind, and can be printed: no half of a character, no number without an end."""
    if kind is list:
        return isinstance(value, list) and all(_is(str, word) for word in value)
    if kind is str:
        return isinstance(value, str) and value.encode() is not None
    return isinstance(value, kind) and not isinstance(value, bool) and 0 <= value < LONGEST


def _file(path: str, name: str, size: int, is_executable: bool) -> File:
    if not (_is(str, path) and isinstance(is_executable, bool)):
        raise ValueError(path)
    return File(path, _digest(name, size), is_executable)


def _digest(name: str, size: int) -> Digest:
    if not (isinstance(name, str) and isinstance(size, int) and size >= 0):
        raise ValueError(name)
    return wire.read_digest(wire.digest(Digest(name, size)))


def entry_of(result: SharedResult, content: bytes) -> bytes:
    """Return the ActionResult that holds a result."""
    files = [OutputFile(one.path, one.digest, one.is_executable) for one in result.files]
    files.append(OutputFile("log", result.log))
    return wire.action_result([*files, OutputFile(NAME, Digest.of(content), content=content)])


def places(result: SharedResult, roots: Roots, writes: Iterable[str]) -> dict[File, str]:
    """Return where each file of a result goes. Raises `UnsoundError` for one that would leave the target directory.

    `writes` are the files that the plan leaves elsewhere.
    """
    allowed = {roots.symbolic(path) for path in writes}
    found = {}
    for one in result.files:
        if one.path not in allowed and not _is_below_target(one.path):
            raise UnsoundError(f"would write {one.path[:LONGEST_TOLD]}")
        path = roots.absolute(one.path)
        folder = roots.folders[TARGET] if one.path not in allowed else os.path.dirname(path)
        if not _stays(path, folder):
            raise UnsoundError(f"would write through a link, to {one.path}")
        found[one] = path
    if len(set(found.values())) != len(found) or len(found) != len(result.files):
        raise UnsoundError("names a file twice")
    if any(path.startswith(other + os.sep) for path, other in _neighbours(found.values())):
        raise UnsoundError("names a file in a file")
    return found


def _neighbours(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each path with the one before it, as they stand where a folder comes right before all that is in it."""
    ordered = sorted(paths, key=lambda path: path.split(os.sep))
    yield from zip(ordered[1:], ordered, strict=False)


def _is_below_target(path: str) -> bool:
    head, _, rest = path.partition("/")
    words = rest.split("/")
    is_short = len(path) < LONGEST_PATH
    return (
        head == f"${{{TARGET}}}" and bool(rest) and is_short and "\0" not in path and not {"", ".", ".."} & set(words)
    )


def _stays(path: str, folder: str) -> bool:
    """Tell whether no link between a folder and a file leads out of it, and whether no folder is in the way."""
    real, inside = os.path.realpath(os.path.dirname(path)), os.path.realpath(folder)
    is_inside = real == inside or real.startswith(inside + os.sep)
    return is_inside and not (os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)))


def file_of(path: str, roots: Roots) -> File:
    """Return a file that a build left."""
    with open(path, "rb") as stream:
        made = hashlib.file_digest(stream, "sha256")
        size = os.fstat(stream.fileno()).st_size
    return File(roots.symbolic(path), Digest(made.hexdigest(), size), os.access(path, os.X_OK))


def of_entry(carrier: Carrier, content: bytes, key: Digest, keys: Collection[str]) -> SharedResult | None:
    """Return the result that an entry holds, None for one that holds none. Raises `UnsoundError` and `CarrierError`."""
    try:
        files = wire.read_action_result(content)
    except wire.MalformedError:
        raise UnsoundError("is none that can be read") from None
    found = [one for one in files if one.path == NAME and one.digest.size <= MOST_BYTES]
    if not found:
        return None
    inside = found[0].content
    try:
        packed = inside if inside and Digest.of(inside) == found[0].digest else small(carrier, found[0].digest)
    except WrongContentError as error:
        raise UnsoundError(str(error)) from None
    return unpack(packed, key, keys) if packed is not None else None
