"""What cargo has seen in one target directory, and the means to make it look again.

Cargo (stable) compares times, not contents: it is blind to content that changed under an older or equal mtime,
to a binary damaged in place, and to inputs that it never looks at (a static library, a file that a proc macro
reads, nvcc). The ledger lies in the target directory, so that it travels and vanishes with what it describes.
Before each run it is compared with the world: what cargo would miss gets a new mtime, a damaged artefact is removed.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from doit_cargo.engine import receipts
from doit_cargo.engine.listings import TooLarge, list_tree
from doit_cargo.engine.stamps import UNKNOWN, changed_before, digest, is_runnable, settled, signature

Stamp = tuple[int, int, int, int]
Blind = Mapping[str, tuple[str, tuple[str, ...]]]
"""Input -> (its value, the packages to rebuild when it changes)."""


class Root(NamedTuple):
    """A local package: its directory, and the files that make cargo rebuild it when they get a new mtime."""

    directory: str
    files: tuple[str, ...]


Roots = Mapping[str, Root]


class Listing(NamedTuple):
    """What a rule saw below a directory (None: more than one thing), and the signatures of the directories."""

    names: tuple[str, ...] | None
    stamps: dict[str, Stamp | None]


@dataclass(slots=True)
class Snapshot:
    """The inputs as they were when the run began."""

    started: int
    files: dict[str, tuple[Stamp | None, bytes | None]] = field(default_factory=dict)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    ends: dict[str, tuple[Stamp | None, bytes | None]] = field(default_factory=dict)
    trees: dict[tuple[str, tuple[str, ...]], Listing] = field(default_factory=dict)
    tree_ends: dict[tuple[str, tuple[str, ...]], Listing] = field(default_factory=dict)

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
        if path in self.stamps and self.stamps[path] != signature(path):
            return None, UNKNOWN
        return self.files[path]


def _stood_still(rule: tuple[str, ...], now: Mapping[str, Stamp | None], before: Mapping[str, Stamp | None]) -> bool:
    """Tell whether nothing came and went where the contents of all files count.

    The folder that holds the target directory, the logs and the lock moves in every run.
    """
    if rule[0] not in ("package", "watched"):
        return True
    moving = os.path.dirname(rule[1]) if rule[0] == "package" else ""
    return all(before.get(folder) == stamp for folder, stamp in now.items() if folder != moving)


@dataclass(slots=True)
class Healing:
    """What was done before cargo started, and packages that only `cargo clean -p` can make it build again.

    `shared` are packages of which another workspace has built its own in the same target directory.
    """

    touched: list[str] = field(default_factory=list)
    set_back: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    clean: list[str] = field(default_factory=list)


def _empty(path: str) -> dict[str, Any]:
    return {
        "path": path,
        "files": {},
        "times": {},
        "links": {},
        "trees": {},
        "blind": {},
        "artefacts": {},
        "places": {},
        "when": 0,
        "open": False,
    }


def _moved(data: dict[str, Any], path: str) -> dict[str, Any]:
    """Return a ledger that came with a copied checkout as if it had been written here."""
    old, new = (os.path.dirname(os.path.dirname(place)) + os.sep for place in (data["path"], path))
    if old == new:
        return data
    moved = _empty(path) | {"when": data["when"], "open": data["open"]}
    for name, entry in data["files"].items():
        if name.startswith(old):
            moved["files"][new + name.removeprefix(old)] = (None, entry[1])
    return moved


class Ledger:
    """The ledger of one target directory."""

    def __init__(self, target_directory: str) -> None:
        self.path = os.path.join(target_directory, ".doit-cargo.ledger")
        data = receipts.load(self.path)
        self.data: dict[str, Any] = _moved(data, self.path) if isinstance(data, dict) else _empty(self.path)

    def begin(self, blind: Blind, roots: Roots) -> tuple[Snapshot, Healing]:
        """Compare with the world, heal, and note that a run is under way. To be called under the run lock.

        `blind` holds the inputs that cargo never looks at. `roots` are the local packages.
        """
        snapshot, healing = Snapshot(time.time_ns()), Healing()
        self._compare_files(snapshot, healing, roots)
        self._compare_trees(snapshot, healing, roots)
        self._compare_blind(blind, roots, healing)
        shown = self._compare_places(roots, healing)
        self._remove_damaged(healing)
        for path in (*healing.touched, *shown):  # young, but known: nobody else has written them
            snapshot.files.setdefault(path, (None, digest(path)))
            stamp = signature(path)
            if stamp:
                snapshot.stamps[path] = stamp
        self.data.update(when=snapshot.started, open=True)
        self._store()
        return snapshot, healing

    def finish(self) -> None:
        """Note that the run is over, whether it succeeded or not."""
        self.data.update(when=time.time_ns(), open=False)
        self._store()

    def _store(self) -> None:
        # Without a target directory there is nothing yet that cargo could be blind about; a full disk shows in cargo.
        if os.path.isdir(os.path.dirname(self.path)):
            with contextlib.suppress(OSError):
                receipts.store(self.path, self.data)

    def _compare_files(self, snapshot: Snapshot, healing: Healing, roots: Roots) -> None:
        for path, (stamp, content) in list(self.data["files"].items()):
            now = signature(path)
            if now is None:
                self.data["files"][path] = (None, None)  # cargo misses it by itself, but not how it comes back
                continue
            found = digest(path) if now != stamp or content == UNKNOWN else content
            if found != content and (self._cargo_is_blind_to(now) or path in self.data["links"]):
                now = _show(path, healing, roots) or now
                # Cargo has written down where a link led to, and looks there.
                for place in self.data["links"].get(path, ()):
                    _touch(place, healing)
            elif found == content and now[0] > self.data["when"] and not self.data["open"]:
                now = _set_back(path, self.data["times"].get(path), healing) or now
            self.data["times"][path] = now[0]
            snapshot.stamps[path] = now
            entry = (settled(now, snapshot.started), found)
            self.data["files"][path] = snapshot.files[path] = entry

    def _cargo_is_blind_to(self, stamp: Stamp) -> bool:
        return bool(self.data["open"]) or stamp[0] <= self.data["when"]

    def _compare_trees(self, snapshot: Snapshot, healing: Healing, roots: Roots) -> None:
        for directory, (rule, names, script) in list(self.data["trees"].items()):
            if not os.path.exists(script):
                del self.data["trees"][directory]
                continue
            now = snapshot.record_tree(directory, rule)
            if now == names:
                continue
            added = [os.path.join(directory, name) for name in now if name not in (names or ())]
            stamps = [stamp for stamp in map(signature, added) if stamp]
            if names is None or all(self._cargo_is_blind_to(stamp) for stamp in stamps):
                _show(script, healing, roots)
            self.data["trees"][directory] = (rule, now, script)

    def _compare_blind(self, blind: Blind, roots: Roots, healing: Healing) -> None:
        for key, (value, packages) in blind.items():
            known = self.data["blind"].get(key)
            if (known is None and self._has_builds()) or (known and known[0] != value):
                for package in packages:
                    files = roots[package].files if package in roots else ()
                    if not all([_touch(path, healing) for path in files] or [False]):
                        healing.clean.append(package)
            self.data["blind"][key] = (value, packages)

    def _compare_places(self, roots: Roots, healing: Healing) -> list[str]:
        """Show packages of which another workspace built its own here, and return their files.

        Cargo (1.95) names what it makes by name, version and place below the workspace's root. So two clones or
        worktrees overwrite each other's, and cargo takes the one for the other where its sources are older.
        """
        places, touched = self.data.setdefault("places", {}), Healing()
        common = os.path.commonpath([root.directory for root in roots.values()]) if roots else ""
        for name, (directory, files) in roots.items():
            key = f"{name} {os.path.relpath(directory, common)}"
            if places.get(key, directory) != directory:
                healing.shared.append(name)
                if not all([_touch(path, touched) for path in files] or [False]):
                    healing.clean.append(name)
            places[key] = directory
        return touched.touched

    def _has_builds(self) -> bool:
        """Tell whether somebody has built here before; if not, cargo will look at everything anyway."""
        return os.path.isdir(os.path.dirname(self.path))

    def known_blind(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Return the blind inputs of all targets that were ever built here."""
        return dict(self.data["blind"])

    def _remove_damaged(self, healing: Healing) -> None:
        for path, (stamp, content, witness, witness_stamp) in list(self.data["artefacts"].items()):
            now = signature(path)
            if now is None:
                del self.data["artefacts"][path]
            elif now[:3] == stamp[:3] and (content is None or now[3] == stamp[3]):
                continue
            elif content is not None and digest(path) == content and is_runnable(path, os.stat(path).st_mode):
                self.data["artefacts"][path] = (now, content, witness, witness_stamp)
            elif signature(witness) == witness_stamp:
                healing.removed.append(path)
                del self.data["artefacts"][path]
            else:
                del self.data["artefacts"][path]  # cargo itself compiled it anew
        for path in healing.removed:
            _unlink_everywhere(path)

    def known_content(self, path: str) -> bytes | None:
        """Return the digest of an output whose bytes `begin` has verified under cargo's own name for them."""
        stamp = signature(path)
        for known, content, _, _ in self.data["artefacts"].values():
            if stamp and content and known[:3] == stamp[:3]:
                return bytes(content)
        return None

    def learn_files(self, paths: Iterable[str], snapshot: Snapshot) -> None:
        """Take files that this run read. One that changed while cargo ran is shown to cargo again next time."""
        for path in paths:
            self.data["files"][path] = snapshot.as_cargo_saw(path)
            stamp = snapshot.stamps.get(path) or signature(path)
            if stamp:
                self.data["times"][path] = stamp[0]
        self._learn_links(paths)

    def _learn_links(self, paths: Iterable[str]) -> None:
        """Keep where links lead. Of one that was turned while cargo ran, both places: cargo holds one of them."""
        real: dict[str, str] = {}
        for path in paths:
            directory = os.path.dirname(path)
            if directory not in real:
                real[directory] = os.path.realpath(directory)
            before = self.data["links"].pop(path, ()) if self.data["files"][path][1] == UNKNOWN else ()
            is_link = real[directory] != directory or os.path.islink(path)
            places = (*before, os.path.realpath(path)) if is_link else before
            if places:
                self.data["links"][path] = tuple(dict.fromkeys(places))
            else:
                self.data["links"].pop(path, None)

    def adopt(self, receipt: Mapping[str, Any]) -> None:
        """Take what a receipt knows, where the ledger itself was lost (a restored cache, a torn file)."""
        if self.data["files"] or not self._has_builds():
            return
        files = receipt["build"]["files"]
        self.data["files"] = {path: (None, files[path][1]) for path in receipt["owners"] if path in files}
        self.data["when"] = int(receipt["finished"] * 1e9)

    def learn_tree(self, directory: str, rule: tuple[str, ...], names: tuple[str, ...] | None, script: str) -> None:
        """Take a directory that a build script watches; `script` is the file that makes cargo rerun it."""
        self.data["trees"][directory] = (rule, names, script)

    def learn_artefact(self, path: str, content: bytes | None, witness: str) -> None:
        """Take a file that rustc made. `witness` is one that cargo rewrites whenever it makes `path` anew."""
        stamp, witness_stamp = signature(path), signature(witness)
        if stamp and witness_stamp:
            self.data["artefacts"][path] = (stamp, content, witness, witness_stamp)


def read_settled(path: str, started: int) -> tuple[Stamp | None, bytes | None]:
    """Return (signature, digest) of a file as it was at `started`, or UNKNOWN if it changed since."""
    stamp = signature(path)
    if stamp is None:
        return None, None
    if not changed_before(stamp, started):
        return None, UNKNOWN
    return settled(stamp, started), digest(path)


def _show(path: str, healing: Healing, roots: Roots) -> Stamp | None:
    """Make cargo look at `path`; where its time is not ours to change, note the packages to clean instead."""
    stamp = _touch(path, healing)
    if stamp is None:
        owners = [name for name, root in roots.items() if path.startswith(root.directory + os.sep)]
        healing.clean += owners or list(roots)
    return stamp


def _touch(path: str, healing: Healing) -> Stamp | None:
    """Give `path` a new mtime, so that cargo looks at it. Returns its new signature, None if that is not ours to do."""
    try:
        os.utime(path)
    except OSError:
        return None
    healing.touched.append(path)
    return signature(path)


def _set_back(path: str, mtime: int | None, healing: Healing) -> Stamp | None:
    """Give a file that was only touched the mtime under which cargo built this very content: a branch switch there
    and back shall not cost a build. To every unit the file is then exactly as fresh as it was before.
    """
    before = signature(path)
    if mtime is None or before is None or before[0] == mtime:
        return None
    try:
        os.utime(path, ns=(os.stat(path).st_atime_ns, mtime))
    except OSError:
        return None
    healing.set_back.append(path)
    return signature(path)


def _unlink_everywhere(path: str) -> None:
    """Remove an artefact and the hard links by which cargo would bring it back."""
    from doit_cargo.engine.cargo_files import HardLinks

    uplifted = os.path.join(os.path.dirname(os.path.dirname(path)), "")
    inode = (signature(path) or (0, 0, 0, 0))[2]
    with contextlib.suppress(OSError):
        for entry in os.scandir(uplifted):
            if entry.inode() == inode:
                os.unlink(entry.path)
    for twin in (*HardLinks().of(path), path):
        receipts.remove(twin)
