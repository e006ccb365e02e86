"""The entry of key 1: which path sets are known for a call, each with the manifest of the last result that has it.

Path sets and not contents: an edit adds none, so that many writers at once lose little of each other. Whoever writes
last wins; what is lost is published again by the next build.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from doit_cargo.sharing import action, path_set, wire
from doit_cargo.sharing.action import Action
from doit_cargo.sharing.carriers import Carrier, WrongContentError
from doit_cargo.sharing.path_set import PathSet
from doit_cargo.sharing.wire import Digest, OutputFile

MOST = 16
# So many bytes of path sets travel within the entry itself, the newest first: gRPC takes no message above 4 MiB.
MOST_WITHIN = 1 << 20
MOST_BYTES = 1 << 26
SET, MANIFEST = "set", "manifest"


class Known(NamedTuple):
    """A path set, what holds it beside (the roots that its results embed, and the machine), and a manifest."""

    paths: PathSet
    bound: tuple[str, ...]
    manifest: Digest


def pack(known: Known) -> bytes:
    """Return a path set as it travels."""
    return zlib.compress(action.text({"paths": known.paths, "bound": list(known.bound)}))


def read(carrier: Carrier, key: Action) -> list[Known]:
    """Return what is known for a call, the newest first; what is not sound is left out. Raises `CarrierError`."""
    content = carrier.entry(key.digest)
    if content is None:
        return []
    try:
        files = wire.read_action_result(content)
    except wire.MalformedError:
        return []
    pairs = zip(files[::2], files[1::2], strict=False)
    found = [_known(carrier, one, other) for one, other in list(pairs)[:MOST]]
    return [one for one in found if one]


def _known(carrier: Carrier, one: OutputFile, other: OutputFile) -> Known | None:
    if (one.path, other.path) != (SET, MANIFEST) or one.digest.size > MOST_BYTES:
        return None
    try:
        content = one.content if Digest.of(one.content) == one.digest else action.small(carrier, one.digest)
        data = json.loads(zlib.decompressobj().decompress(content or b"", MOST_BYTES))
        bound = tuple(map(str, data["bound"]))
    except (WrongContentError, zlib.error, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Known(data["paths"], bound, other.digest) if path_set.is_sound(data["paths"]) else None


def keep(carrier: Carrier, key: Action, known: Known, others: Iterable[Known]) -> None:
    """Put a path set first in the entry of a call. Raises `CarrierError`."""
    mine = pack(known)
    packed = [(mine, known.manifest), *((pack(one), one.manifest) for one in others)]
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
