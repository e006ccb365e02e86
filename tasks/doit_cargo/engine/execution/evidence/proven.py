"""Which contents each local unit was built from, and whether what cargo calls fresh was built from those at hand.

Cargo compares times, and times can be anything: of a restored target directory, of a copy, after a touch. So the
ledger keeps for each unit what it was made from. A fresh unit is *proven* if that is what is there now, or if cargo
compiled it where it lies and no source was written since. Everything else is built anew.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, cast

from doit_cargo.engine.base import NamedTuple, own_key
from doit_cargo.engine.cargo import messages, units
from doit_cargo.engine.execution.evidence.inputs import Made
from doit_cargo.engine.execution.evidence.invalidation import Ledger
from doit_cargo.engine.execution.evidence.snapshot import Snapshot
from doit_cargo.engine.state.fingerprint import TICK_NS, UNKNOWN, digest, signature

if TYPE_CHECKING:
    from doit_cargo.engine.execution.evidence.ledger_data import UnitRecord
    from doit_cargo.engine.state.fingerprint import Kept, Stamp


class Doubt(NamedTuple):
    """A unit that cargo calls fresh without a proof, and an input that has changed since it was built, if known."""

    one: Made
    changed: str


def doubts(made: Collection[Made], ledger: Ledger, before: Snapshot) -> tuple[Doubt, ...]:
    """Return the fresh units of a call of which nothing proves that they are right; also one that is not even there."""
    known = {units.profile_of_key(key) for one in made for key in one.keys}
    lost = (Doubt(one, "") for one in made if one.fresh and not one.keys and _profile(one) in known)
    found = (_doubt(one, ledger, before) for one in made if _is_fresh(one, before))
    return (*(doubt for doubt in found if doubt), *lost)


def _profile(one: Made) -> str:
    return units.profile_of(os.path.dirname(one.marks[0])) if one.marks else ""


def build_anew(known: Iterable[Doubt], target_directory: str) -> None:
    """Make cargo build these units; of one that is not where it should be, the whole package. Raises OSError."""
    for doubt in known:
        units.drop(doubt.one.keys)
        if not doubt.one.keys:
            units.drop_packages(target_directory, (doubt.one.package,))


def learn(made: Iterable[Made], ledger: Ledger, before: Snapshot) -> None:
    """Keep what the units of a call were made from: of those just compiled, and of fresh ones that are proven."""
    for one in made:
        if not _is_fresh(one, before) or not _doubt(one, ledger, before):
            for key in filter(os.path.exists, one.keys):
                ledger.data["units"][key] = _record(key, one, ledger, before)


def _is_fresh(one: Made, before: Snapshot) -> bool:
    """Tell whether cargo left the unit as it was. Of build scripts its messages do not tell."""
    ends = [signature(key) for key in one.keys if os.path.basename(key).startswith(units.SCRIPT_RUN)]
    return one.fresh and not any(end and end[3] + TICK_NS >= before.started for end in ends)


def _doubt(one: Made, ledger: Ledger, before: Snapshot) -> Doubt | None:
    if id(one) not in before.verdicts:
        before.verdicts[id(one)] = one, _judged(one, ledger, before)
    return cast("Doubt | None", before.verdicts[id(one)][1])


def _judged(one: Made, ledger: Ledger, before: Snapshot) -> Doubt | None:
    now = _contents(one, before)
    found = [_missing_proof(key, one, now, ledger) for key in one.keys]
    return next((Doubt(one, what) for what in found if what is not None), None)


def _missing_proof(key: str, one: Made, now: Mapping[str, bytes | None], ledger: Ledger) -> str | None:
    """Return None for a proven unit, else the input that it was not made from, or an empty string."""
    record = ledger.data["units"].get(key)
    difference = ""
    if record and _is_the_recorded(key, record):
        difference = _difference(record, now, ledger)
        if not difference:
            return None
    return None if _is_proven_by_times(key, one) else difference


def _is_the_recorded(key: str, record: UnitRecord) -> bool:
    """Tell whether the unit is the very one on record, here or brought back from a copy.

    Pages are looked at in any case: variants write the same ones.
    """
    known, _, marks, _ = record
    if known == units.identity(key) and not units.is_documentation(key):
        return True
    return bool(marks) and all(_holds(path, *mark) for path, mark in marks.items())


def _holds(path: str, stamp: Stamp | None, content: bytes | None) -> bool:
    now = signature(path)
    return bool(now) and ((now == stamp and not os.path.isdir(path)) or _digest(path) == content)


def _difference(record: UnitRecord, now: Mapping[str, bytes | None], ledger: Ledger) -> str:
    """Return an input whose content is not the recorded one, or an empty string.

    Of one that changes while cargo runs nobody knows what cargo saw: the receipt will not hold.
    """
    _, sources, _, declared = record
    for path in {**sources, **now}:
        if now.get(path) != UNKNOWN and sources.get(path) != now.get(path):
            return str(path)
    values = ledger.data["untracked"]
    return next((key for key, value in declared.items() if key in values and values[key][0] != value), "")


def _is_proven_by_times(key: str, one: Made) -> bool:
    if units.is_documentation(key):
        return False
    return (
        units.compiled_here(key)
        and all(units.as_old_as(key, path) for path in one.marks)
        and units.unchanged_since(key, one.sources)
        and _was_made_for_this_place(key, one)
    )


def _was_made_for_this_place(key: str, one: Made) -> bool:
    """Tell whether a unit was built under the path where it lies: a moved workspace brings its old paths along."""
    if not os.path.basename(key).startswith(units.SCRIPT_RUN):
        return all(messages.written_as(path) == path for path in one.dep_infos)
    folder = units.run_folder(key)
    return messages.first_line(os.path.join(folder, "root-output")) == os.path.join(folder, "out")


def _record(key: str, one: Made, ledger: Ledger, before: Snapshot) -> UnitRecord:
    known = ledger.data["units"].get(key)
    old = known[2] if known and known[0] == units.identity(key) else {}
    # What a build script made is named by the units of some calls only.
    marks = {path: _mark(path, old.get(path), ledger) for path in {**old, **dict.fromkeys(one.marks)}}
    declared = {name: value for name, (value, owners) in ledger.data["untracked"].items() if one.package in owners}
    return units.identity(key), _contents(one, before), marks, declared


def _mark(path: str, old: Kept | None, ledger: Ledger) -> Kept:
    stamp = signature(path)
    if old and stamp and old[0] == stamp and not os.path.isdir(path):
        return old
    return stamp, ledger.known_content(path) or _digest(path)


def _digest(path: str) -> bytes | None:
    """Return the digest of a file, or of all files of a folder together."""
    if not os.path.isdir(path):
        return digest(path)
    total = own_key.blake2b(digest_size=16)
    for folder, below, names in os.walk(path):
        below.sort()
        for name in sorted(names):
            total.update(os.fsencode(name) + (digest(os.path.join(folder, name)) or b""))
    return total.digest()


def _contents(one: Made, before: Snapshot) -> dict[str, bytes | None]:
    return {sys.intern(path): before.as_cargo_saw(path)[1] for path in one.sources}
