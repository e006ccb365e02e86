"""The entry of key 1: which path sets are known for a call, each with the manifest of the last result that has it.

Path sets and not contents: an edit adds none, so that many writers at once lose little of each other. Whoever writes
last wins; what is lost is published again by the next build.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable
from typing import NamedTuple

from doit_cargo.sharing import action, path_set, signing, wire
from doit_cargo.sharing.action import Action
from doit_cargo.sharing.carriers import Carrier, WrongContentError
from doit_cargo.sharing.path_set import PathSet
from doit_cargo.sharing.result import UnsoundError
from doit_cargo.sharing.wire import Digest, OutputFile

MOST = 16
# So many bytes of path sets travel within the entry itself, the newest first: gRPC takes no message above 4 MiB.
MOST_WITHIN = 1 << 20
MOST_BYTES = 1 << 25
SET, MANIFEST = "set", "manifest"


class Known(NamedTuple):
    """A path set, what holds it beside (the roots that its results embed, and the machine), and a manifest.

    `packed` is how it came, signed by whoever made it.
    """

    paths: PathSet
    bound: tuple[str, ...]
    manifest: Digest
    packed: bytes = b""


def pack(known: Known, key: Action, private: str) -> bytes:
    """Return a path set as it travels, signed if there is a key: it says what of a machine is looked at."""
    signature = signing.sign(_signed(key, known.paths, known.bound), private) if private else ""
    return zlib.compress(action.text({"paths": known.paths, "bound": list(known.bound), "signature": signature}))


def _signed(key: Action, paths: object, bound: Iterable[str]) -> bytes:
    return action.text({"key": key.digest.hash, "paths": paths, "bound": list(bound)})


def read(carrier: Carrier, key: Action, keys: Collection[str]) -> list[Known]:
    """Return what is known for a call, the newest first; what is not sound is left out.

    Where there are public `keys`, only what one of them has signed for this call is looked at. Raises `UnsoundError`
    where that is nothing of what is there, and `CarrierError`.
    """
    found = _all(carrier, key, keys)
    known = [one for one, is_signed in found if is_signed]
    if found and not known:
        raise UnsoundError("is not signed by a key of the pack")
    return known


def _all(carrier: Carrier, key: Action, keys: Collection[str]) -> list[tuple[Known, bool]]:
    """Return what is there and sound, and of each whether its word counts."""
    try:
        files = wire.read_action_result(carrier.entry(key.digest) or b"")
    except wire.MalformedError:
        return []
    pairs = list(zip(files[::2], files[1::2], strict=False))[:MOST]
    return [found for pair in pairs if (found := _known(carrier, key, keys, *pair))]


def _known(
    carrier: Carrier, key: Action, keys: Collection[str], one: OutputFile, other: OutputFile
) -> tuple[Known, bool] | None:
    if (one.path, other.path) != (SET, MANIFEST):
        return None
    try:
        content = one.content if Digest.of(one.content) == one.digest else action.small(carrier, one.digest)
        data = json.loads(zlib.decompressobj().decompress(content or b"", MOST_BYTES))
        paths, bound, signature = data["paths"], tuple(map(str, data["bound"])), str(data["signature"])
    except (WrongContentError, zlib.error, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not path_set.is_sound(paths):
        return None
    is_signed = not keys or signing.is_signed(_signed(key, paths, bound), signature, keys)
    return Known(paths, bound, other.digest, content or b""), is_signed


def keep(carrier: Carrier, key: Action, known: Known, keys: Collection[str], private: str) -> None:
    """Put a path set first in the entry of a call; of others those stay whose word counts. Raises `CarrierError`."""
    mine = pack(known, key, private)
    others = [one for one, is_signed in _all(carrier, key, keys) if is_signed]
    packed = [(mine, known.manifest), *((one.packed, one.manifest) for one in others)]
    kept = {Digest.of(content): (content, manifest) for content, manifest in reversed(packed)}
    kept[Digest.of(mine)] = packed[0]
    newest = [Digest.of(mine), *(name for name in reversed(kept) if name != Digest.of(mine))][:MOST]
    files, size = [], 0
    for name in newest:
        content, manifest = kept[name]
        size += name.size
        within = content if size <= MOST_WITHIN else b""
        files += [OutputFile(SET, name, content=within), OutputFile(MANIFEST, manifest)]
    action.keep_blobs(carrier, {**key.blobs, **{name: kept[name][0] for name in newest}})
    carrier.keep_entry(key.digest, wire.action_result(files))
