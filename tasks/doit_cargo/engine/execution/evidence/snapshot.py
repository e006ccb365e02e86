"""The inputs as they were when a run began, and what cargo can have seen of them: what changed meanwhile is UNKNOWN.

Knows of files and folders alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.state.dir_listing import TooLarge, list_tree
from doit_cargo.engine.state.fingerprint import UNKNOWN, changed_before, digest, settled, signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.state.fingerprint import Stamp


class Listing(NamedTuple):
    """What a rule saw below a directory (None: more than one thing), and the signatures of the directories."""

    names: tuple[str, ...] | None
    stamps: dict[str, Stamp | None]


class Snapshot:
    """The inputs as they were when the run began."""

    __slots__ = ("_now", "ends", "files", "stamps", "started", "tree_ends", "trees", "verdicts")

    def __init__(self, started: int) -> None:
        self.started = started
        self.files: dict[str, tuple[Stamp | None, bytes | None]] = {}
        self.stamps: dict[str, Stamp] = {}
        self.ends: dict[str, tuple[Stamp | None, bytes | None]] = {}
        self.trees: dict[tuple[str, tuple[str, ...]], Listing] = {}
        self.tree_ends: dict[tuple[str, tuple[str, ...]], Listing] = {}
        self._now: dict[str, Stamp | None] = {}
        # What `proven` has found out about a unit of a call, by its `id`.
        self.verdicts: dict[int, tuple[object, object]] = {}

    def now(self, path: str) -> Stamp | None:
        """Return the signature of an input after the run: looked at once, so that all who ask hear the same."""
        if path not in self._now:
            self._now[path] = signature(path)
        return self._now[path]

    def record_tree(self, directory: str, rule: tuple[str, ...]) -> tuple[str, ...]:
        """List a directory as it is before the run, and return the names."""
        try:
            stamps, names = list_tree(directory, rule)
        except TooLarge:
            self.trees[directory, rule] = Listing(None, {})
            return ()
        self.trees[directory, rule] = Listing(names, stamps)
        return names

    def tree_as_cargo_saw(self, directory: str, rule: tuple[str, ...]) -> Listing:
        """Return what the rule sees after the run; names are None if it may have seen something else meanwhile."""
        key = (directory, rule)
        if key not in self.tree_ends:
            try:
                stamps, names = list_tree(directory, rule)
                self.tree_ends[key] = Listing(names if self._held(key, names, stamps) else None, stamps)
            except TooLarge:
                self.tree_ends[key] = Listing(None, {})
        return self.tree_ends[key]

    def _held(
        self, key: tuple[str, tuple[str, ...]], names: tuple[str, ...], stamps: Mapping[str, Stamp | None]
    ) -> bool:
        known = self.trees.get(key)
        if known is None:
            return all(stamp and changed_before(stamp, self.started) for stamp in stamps.values())
        # Cargo itself may have written the lock, which belongs to the files of a package.
        same = set(names) ^ set(known.names or ()) <= {"Cargo.lock"}
        return same and _stood_still(key[1], stamps, known.stamps)

    def as_cargo_saw(self, path: str) -> tuple[Stamp | None, bytes | None]:
        """Return (signature, digest) for the end of the run. A file that was written meanwhile is UNKNOWN, even if it
        holds the old content again: nobody knows which one cargo read.
        """
        if path not in self.ends:
            self.ends[path] = self._at_the_end(path)
        return self.ends[path]

    def _at_the_end(self, path: str) -> tuple[Stamp | None, bytes | None]:
        if path not in self.files:
            return read_settled(path, self.started)
        if path in self.stamps and self.stamps[path] != self.now(path):
            return None, self.files[path][1] if self._is_linked_alone(path) else UNKNOWN
        return self.files[path]

    def _is_linked_alone(self, path: str) -> bool:
        """Tell whether all that a file got meanwhile is another name, as from a build script that links its sources."""
        before, now = self.stamps[path], self.now(path)
        if now is None or now[:3] != before[:3] or digest(path) != self.files[path][1]:
            return False
        return os.path.exists(path) and os.stat(path).st_nlink > 1


def _stood_still(rule: tuple[str, ...], now: Mapping[str, Stamp | None], before: Mapping[str, Stamp | None]) -> bool:
    """Tell whether nothing came and went where the contents of all files count.

    The folder that holds the target directory, the logs and the lock moves in every run.
    """
    if rule[0] not in ("package", "watched"):
        return True
    moving = {os.path.dirname(built) for built in rule[1:]}
    return all(before.get(folder) == stamp for folder, stamp in now.items() if folder not in moving)


def read_settled(path: str, started: int) -> tuple[Stamp | None, bytes | None]:
    """Return (signature, digest) of a file as it was at `started`, or UNKNOWN if it changed since."""
    stamp = signature(path)
    if stamp is None:
        return None, None
    if not changed_before(stamp, started):
        return None, UNKNOWN
    return settled(stamp, started), digest(path)
