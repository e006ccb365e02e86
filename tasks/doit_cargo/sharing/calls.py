"""Which calls of a target a store has, and what each is made of: so that one that nobody has made is told from these.

Nothing is ever fetched by it. Whoever writes last wins, and the next one writes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from doit_cargo.sharing import action, wire
from doit_cargo.sharing.action import Action
from doit_cargo.sharing.carriers import Carrier
from doit_cargo.sharing.wire import Digest, OutputFile

MOST = 4
MOST_BYTES = 1 << 22
PARTS = "call"


def name_of(target: str, packages: Iterable[str]) -> Action:
    """Return what the calls of a target are kept under: the workspace is known by its members."""
    return action.make(["doit-cargo calls 1", target, *sorted(packages)], {}, {})


def keep(carrier: Carrier, name: Action, key: Action) -> None:
    """Put a call first among those of its target. Raises `CarrierError`."""
    content, others = action.text(key.parts), _digests(carrier, name)
    mine = Digest.of(content)
    newest = [mine, *(one for one in others if one != mine)][:MOST]
    if newest != others:
        action.keep_blobs(carrier, {**name.blobs, mine: content})
        carrier.keep_entry(name.digest, wire.action_result(OutputFile(PARTS, one) for one in newest))


def known(carrier: Carrier, name: Action) -> list[Mapping[str, str]]:
    """Return what the known calls are made of, the newest first. Raises `CarrierError`."""
    return [parts for one in _digests(carrier, name) if (parts := action.lines_of(action.small(carrier, one)))]


def _digests(carrier: Carrier, name: Action) -> list[Digest]:
    try:
        found = wire.read_action_result(carrier.entry(name.digest) or b"")
    except wire.MalformedError:
        return []
    return [one.digest for one in found if one.path == PARTS and one.digest.size < MOST_BYTES][:MOST]
