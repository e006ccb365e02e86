"""What names a result: an Action of the Remote Execution API, made of a call and a manifest of all that it rests on.

The manifest is kept beside the Action in the store, so that a miss can be explained by comparing two of them. Knows
nothing of cargo, paths or stores.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from doit_cargo.sharing import wire
from doit_cargo.sharing.carriers import Carrier
from doit_cargo.sharing.wire import Digest

MANIFEST = "manifest.json"
# What is kept in memory whole is no larger, whoever says so.
MOST_BYTES = 1 << 26
Manifest = Mapping[str, str]


class Action(NamedTuple):
    """The digest under which an entry is kept, the blobs that it is made of, and what they say, as lines."""

    digest: Digest
    blobs: Mapping[Digest, bytes]
    parts: Manifest


def make(arguments: Sequence[str], platform: Mapping[str, str], manifest: Manifest) -> Action:
    """Return the Action of a call: equal words, platform and manifest give an equal one."""
    listed = text(manifest)
    command = wire.command(arguments, tuple(platform.items()))
    folder = wire.directory([(MANIFEST, Digest.of(listed))])
    action = wire.action(Digest.of(command), Digest.of(folder))
    blobs = {Digest.of(blob): blob for blob in (listed, command, folder, action)}
    words = {f"word {word}": "given" for word in arguments} | {f"platform {name}": platform[name] for name in platform}
    return Action(Digest.of(action), blobs, words | dict(manifest))


def text(data: object) -> bytes:
    """Return JSON that is the same for the same data."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def keep_blobs(carrier: Carrier, blobs: Mapping[Digest, bytes]) -> None:
    """Keep those blobs that the store does not have. Raises `CarrierError`."""
    for digest in carrier.missing(blobs):
        carrier.keep(digest, io.BytesIO(blobs[digest]))


def small(carrier: Carrier, digest: Digest, most: int = MOST_BYTES) -> bytes | None:
    """Return a blob that fits in memory, or None; also for one that says of itself that it does not."""
    found = io.BytesIO()
    return found.getvalue() if digest.size <= most and carrier.fetch(digest, found) else None


def lines_of(content: bytes | None) -> dict[str, str]:
    """Return what a kept manifest says; nothing where it is none."""
    try:
        found = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return {name: str(value) for name, value in found.items()} if isinstance(found, dict) else {}
