"""Changes in words that name their cause: which crates a new Cargo.lock brings, and which target compiled since.

Knows copies of locks, kept beside the receipts, and other targets' receipts; says only what they show.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import NotRequired, TypedDict

from doit_cargo.engine.base import atomic, private
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.state import fingerprint, receipts, store
from doit_cargo.engine.state.staleness import Change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.cargo.lockfile import Lock, Locked
    from doit_cargo.engine.state.receipts import Receipt, StoredPlan

LOCK, LOCKS = "Cargo.lock", "locks"
COPIES, SHOWN = 8, 6


class JsonChange(TypedDict):
    """One difference as `why --json` tells it (docs/reference/commands.md)."""

    kind: str
    subject: str
    old: str
    new: str
    package: str


class Why(TypedDict):
    """The answer of `why --json`; `says` is its text where the target has its own."""

    target: str
    fresh: bool
    changes: list[JsonChange]
    changed: list[str]
    rebuilds: list[str]
    skipped: int
    always: bool
    # What of the units that took part was not observed.
    unobserved: NotRequired[list[str]]
    says: NotRequired[list[str]]
    # Seconds that the rebuild will take, as the times on record say.
    seconds: NotRequired[float]
    takes: NotRequired[str]


def keep_lock(state: str, root: str) -> None:
    """Keep a copy of the lock that a success has seen, under the name of its content; the oldest ones go."""
    path, folder = os.path.join(root, LOCK), os.path.join(state, LOCKS)
    content = fingerprint.digest(path)
    with contextlib.suppress(OSError):
        if content is None or os.path.exists(os.path.join(folder, content.hex())):
            return
        private.folder(folder)
        temporary = os.path.join(folder, f"{os.getpid()}.new")
        with open(path, "rb") as found, open(temporary, "wb", opener=private.opener) as copy:
            copy.write(found.read())
        if fingerprint.digest(temporary) == content:
            atomic.put(temporary, os.path.join(folder, content.hex()))
        kept = sorted(os.scandir(folder), key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
        for entry in kept[COPIES:]:
            store.remove(entry.path)


def named(changes: list[Change], receipt: Receipt, root: str) -> tuple[list[Change], list[str]]:
    """Return the changes with their causes in words, and the members that a new lock gives other crates."""
    told: list[Change] = []
    members: list[str] = []
    for change in changes:
        if change.kind == "file" and change.subject == os.path.join(root, LOCK):
            text, members = _of_lock(change, receipt)
            told.append(Change(change.kind, change.subject, change.old, text))
        else:
            told.append(change)
    return with_makers(told, receipt), members


def _of_lock(change: Change, receipt: Receipt) -> tuple[str, list[str]]:
    before, after = _lock_of(receipt, change.subject), _read(change.subject)
    if before is None or after is None:
        return change.new, []
    crates = [one for one in after.packages if one.source and one not in before.dependencies]
    gone = [one for one in before.packages if one.source and one not in after.dependencies]
    texts = list(_versions(crates, gone))
    members = [name for name in receipt["graph"] if _rests_on(after, name, crates)]
    return (shortened(texts, SHOWN) or change.new), members


def _lock_of(receipt: Receipt, path: str) -> Lock | None:
    """Return the lock that a receipt has seen, if its copy is kept."""
    entry = next((receipt[part]["files"][path] for part in ("build", "plan") if path in receipt[part]["files"]), None)
    content = entry[1] if entry else None
    return _read(os.path.join(receipt["state"], LOCKS, content.hex())) if content else None


def _read(path: str) -> Lock | None:
    from doit_cargo.engine.cargo import lockfile

    try:
        return lockfile.read(path)
    except UserError:
        return None


def _versions(new: list[Locked], gone: list[Locked]) -> Iterator[str]:
    for name in dict.fromkeys(one.name for one in (*new, *gone)):
        old, now = (_listed(one for one in group if one.name == name) for group in (gone, new))
        if old and now:
            yield f"{name} {old} -> {now}"
        else:
            yield f"{name} {now} added" if now else f"{name} {old} removed"


def _listed(packages: Iterable[Locked]) -> str:
    """Return versions; of a git package, which keeps its version, with the commit."""
    commits = {one: one.source.partition("#")[2][:9] for one in packages}
    return ", ".join(f"{one.version} ({commit})" if commit else one.version for one, commit in commits.items())


def _rests_on(lock: Lock, member: str, crates: Iterable[Locked]) -> bool:
    wanted, seen = set(crates), set()
    first = lock.member(member)
    waiting = [first] if first else []
    while waiting:
        here = waiting.pop()
        if here in wanted:
            return True
        if here not in seen:
            seen.add(here)
            waiting += lock.dependencies.get(here, ())
    return False


def without_same_profiles(changes: list[Change], receipt: Receipt, plan: StoredPlan | None) -> list[Change]:
    """Leave out edits of profiles that leave the plan as it was, where something else changed as well."""
    others = [change for change in changes if not receipts.is_of_profiles(receipt, change)]
    return others if others and plan is not None and plan == receipt["stored_plan"] else changes


def with_makers(changes: list[Change], receipt: Receipt) -> list[Change]:
    """Put the target that compiled a unit or wrote a program since in the place of the files that cargo touched."""
    touched = [change for change in changes if change.kind in ("artefact", "output") and change.new == "changed"]
    makers = list(_later(receipt)) if touched else []
    made: dict[str, list[str]] = {}
    for change in touched:
        maker = next((one for one in makers if _has_left(one, change)), None)
        if maker:
            made.setdefault(_title(maker), []).append(change.subject)
    known = {path for paths in made.values() for path in paths}
    said = [Change("run", title, "", f"{_done(paths)} since") for title, paths in made.items()]
    return [*said, *(change for change in changes if change.subject not in known)]


def _has_left(receipt: Receipt, change: Change) -> bool:
    """Tell whether a unit or a program is as this success left it. One that was too young for its times is compared."""
    stamp = fingerprint.signature(change.subject)
    if stamp is None or change.kind == "artefact":
        return stamp is not None and receipt["build"]["units"].get(change.subject) == stamp[:3]
    left, content = receipt["build"]["outputs"].get(change.subject, (None, None))
    return left[:3] == stamp[:3] if left else content is not None and content == fingerprint.digest(change.subject)


def _later(receipt: Receipt) -> Iterator[Receipt]:
    """Yield the receipts of other targets that are younger, the youngest first."""
    found = [other for _, other in receipts.every(receipt["state"]) if other["finished"] > receipt["finished"]]
    yield from sorted(found, key=lambda one: one["finished"], reverse=True)


def _title(receipt: Receipt) -> str:
    """Return the call behind a receipt; the compilation of tests has no name of its own but that of its log."""
    if receipt["key"][0].startswith("test"):
        log = os.path.splitext(os.path.basename(str(receipt["log"])))[0].replace("-", "_")
        return log or str(receipt["key"][0])
    return " ".join(map(str, receipt["key"]))


def _done(paths: Iterable[str]) -> str:
    """Say which packages these units are of, which `.fingerprint/PACKAGE-HASH/...` tells; else which files they are."""
    folders = [os.path.split(os.path.dirname(path)) for path in paths]
    names = dict.fromkeys(name.rpartition("-")[0] for above, name in folders if above.endswith(".fingerprint"))
    listed = list(names) or [os.path.basename(path) for path in paths]
    return f"{'compiled' if names else 'wrote'} {shortened(listed, SHOWN)}"
