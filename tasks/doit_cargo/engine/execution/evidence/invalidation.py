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
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.cargo import units
from doit_cargo.engine.execution.evidence import ledger_data, set_back
from doit_cargo.engine.execution.evidence.snapshot import Snapshot
from doit_cargo.engine.state import store
from doit_cargo.engine.state.fingerprint import UNKNOWN, changed_before, digest, is_runnable, settled, signature

if TYPE_CHECKING:
    from doit_cargo.engine.execution.evidence.ledger_data import LedgerData, Untracked
    from doit_cargo.engine.state.fingerprint import Stamp
    from doit_cargo.engine.state.receipts import Receipt

# What we and cargo put into a build directory that nobody has built in.
OWN_FILES = (".doit-cargo.", "CACHEDIR.TAG", ".gitignore")


class Root(NamedTuple):
    """A local package: its directory, and the files that make cargo rebuild it when they get a new mtime."""

    directory: str
    files: tuple[str, ...]


Roots = Mapping[str, Root]


class Repairs:
    """What was done before cargo started, and packages that it can only be made to build anew.

    `shared` are packages of which another workspace has built its own in the same target directory, `moved` tells that
    this directory was built under another path. `made_anew` are keys of single units that cargo would not look at.
    """

    __slots__ = ("clean", "made_anew", "moved", "removed", "set_back", "shared", "touched")

    def __init__(self, clean: Iterable[str] = (), *, moved: bool = False) -> None:
        self.touched: list[str] = []
        self.set_back: list[str] = []
        self.removed: list[str] = []
        self.shared: list[str] = []
        self.clean = list(clean)
        self.made_anew: list[str] = []
        self.moved = moved


class Ledger:
    """The ledger of one build directory: it lies where cargo's fingerprints lie.

    Workspaces that share them may have target directories of their own, for what users get.
    """

    def __init__(self, build_directory: str, target_directory: str = "") -> None:
        self.build_directory = build_directory
        self.target_directory = target_directory or build_directory
        self.path = os.path.join(build_directory, ".doit-cargo.ledger")
        self.data = ledger_data.empty(self.path)
        self._moved: tuple[str, ...] = ()
        known = cast("LedgerData | None", store.load(self.path))
        if known:
            self.data |= ledger_data.moved(known, self.path)
            if known["path"] != self.path:
                self._moved = tuple(dict.fromkeys(map(units.package_of, known["units"])))
        self._units_of: dict[str, list[str]] | None = None
        self._as_before: set[str] = set()  # files that were the very ones of the last run when this one began

    def begin(
        self, blind: Mapping[str, Untracked], roots: Roots, anew: Iterable[str] = (), keys: Iterable[str] = ()
    ) -> tuple[Snapshot, Repairs]:
        """Compare with the world, heal, and note that a run is under way. To be called under the run lock.

        `blind` holds the inputs that cargo never looks at. `roots` are the local packages, `anew` packages and `keys`
        units to build anew in any case. What was learned is kept only after all of it is healed. Raises `UserError` if
        it cannot be.
        """
        # Where the directory has moved, paths of the old place are compiled in.
        snapshot, healing = Snapshot(time.time_ns()), Repairs([*anew, *self._moved], moved=bool(self._moved))
        self._compare_files(snapshot, healing, roots)
        self._compare_trees(snapshot, healing, roots)
        self._compare_blind(blind, roots, healing)
        shown = self._compare_places(roots, healing)
        self._remove_damaged(healing)
        self._compare_generated(healing)
        healing.made_anew += keys
        self._drop(healing, roots)
        for path in (*healing.touched, *shown):  # young, but known: nobody else has written them
            snapshot.files.setdefault(path, (None, digest(path)))
            stamp = signature(path)
            if stamp:
                snapshot.stamps[path] = stamp
        self.data["when"], self.data["open"] = snapshot.started, True
        self._store()
        return snapshot, healing

    def finish(self) -> None:
        """Note that the run is over, whether it succeeded or not."""
        self._forget_gone()
        self.data["when"], self.data["open"] = time.time_ns(), False
        self._store()

    def _forget_gone(self) -> None:
        """Drop files that are gone, once nothing is there any more that was made from one: it would pass for fresh if
        the file came back.
        """
        gone = [path for path, (_, content) in self.data["files"].items() if content is None]
        self._units_of = None  # those of this run
        for path in gone:
            if not any(map(os.path.exists, self._made_from(path))):
                for table in (self.data["files"], self.data["times"], self.data["links"]):
                    table.pop(path, None)

    def _store(self) -> None:
        # Without a target directory there is nothing yet that cargo could be blind about; a full disk shows in cargo.
        if os.path.isdir(os.path.dirname(self.path)):
            with contextlib.suppress(OSError):
                store.store(self.path, self.data)

    def _compare_files(self, snapshot: Snapshot, healing: Repairs, roots: Roots) -> None:
        for path, (stamp, content) in list(self.data["files"].items()):
            now = signature(path)
            if now is not None and now == stamp and content != UNKNOWN and not self._is_touched(now):
                self._as_before.add(path)
                snapshot.stamps[path], snapshot.files[path] = now, self.data["files"][path]
                self.data["times"][path] = now[0]
                continue
            if now is None:
                self.data["files"][path] = (None, None)  # cargo misses it by itself, but not how it comes back
                continue
            found = digest(path) if now != stamp or content == UNKNOWN else content
            if found != content and (self._cargo_misses(path, now, found) or path in self.data["links"]):
                now = self._show(path, healing, roots) or now
                # Cargo has written down where a link led to, and looks there.
                for place in self.data["links"].get(path, ()):
                    _touch(place, healing)
            elif found == content and self._is_touched(now) and set_back.one(path, self.data["times"].get(path)):
                healing.set_back.append(path)
                now = signature(path) or now
            self.data["times"][path] = now[0]
            snapshot.stamps[path] = now
            entry = (settled(now, snapshot.started), found)
            self.data["files"][path] = snapshot.files[path] = entry

    def _is_touched(self, now: Stamp) -> bool:
        return now[0] > self.data["when"] and not self.data["open"]

    def _cargo_is_blind_to(self, stamp: Stamp) -> bool:
        return bool(self.data["open"]) or stamp[0] <= self.data["when"]

    def _cargo_misses(self, path: str, now: Stamp, found: bytes | None) -> bool:
        """Tell whether some unit that was built from another content would pass for fresh."""
        return self._cargo_is_blind_to(now) or any(
            self._passes_for_fresh(key, path, now, found) for key in self._made_from(path)
        )

    def _passes_for_fresh(self, key: str, path: str, now: Stamp, found: bytes | None) -> bool:
        seen = signature(units.fingerprint_file(key))
        if seen is None or self.data["units"][key][1][path] == found:
            return False
        if changed_before(now, seen[0]) and units.compiled_here(key):
            return False  # by a cargo that was not ours, from this content
        return now[0] <= seen[0]

    def _made_from(self, path: str) -> list[str]:
        """Return the units that were built from a file."""
        if self._units_of is None:
            self._units_of = {}
            for key, record in self.data["units"].items():
                for source in record[1]:
                    self._units_of.setdefault(source, []).append(key)
        return self._units_of.get(path, [])

    def _show(self, path: str, healing: Repairs, roots: Roots) -> Stamp | None:
        """Make cargo look at `path`; where its time is not ours to change, note the packages to build anew instead.

        Units with a time in the future (of another clock, or set by a tool) see no time of today.
        """
        stamp = _touch(path, healing)
        if stamp is None:
            owners = [name for name, root in roots.items() if path.startswith(root.directory + os.sep)]
            healing.clean += owners or list(roots)
            return None
        seen = {key: signature(units.fingerprint_file(key)) for key in self._made_from(path)}
        healing.made_anew += [
            key for key, fingerprint_file in seen.items() if fingerprint_file and fingerprint_file[0] >= stamp[0]
        ]
        return stamp

    def _compare_trees(self, snapshot: Snapshot, healing: Repairs, roots: Roots) -> None:
        for directory, (rule, names, script) in list(self.data["trees"].items()):
            if not os.path.exists(script):
                del self.data["trees"][directory]
                continue
            now = snapshot.record_tree(directory, rule)
            if now == names:
                found = set_back.folders(directory, self.data, self.build_directory)
                healing.set_back += found
                if found:
                    snapshot.record_tree(directory, rule)
                continue
            added = [os.path.join(directory, name) for name in now if name not in (names or ())]
            stamps = [stamp for stamp in map(signature, added) if stamp]
            if names is None or all(self._cargo_is_blind_to(stamp) for stamp in stamps):
                self._show(script, healing, roots)
                now = snapshot.record_tree(directory, rule)  # it may be the directory itself
            self.data["trees"][directory] = (rule, now, script)

    def _compare_blind(self, blind: Mapping[str, Untracked], roots: Roots, healing: Repairs) -> None:
        for key, (value, packages) in blind.items():
            known = self.data["untracked"].get(key)
            if (known is None and self._has_builds()) or (known and known[0] != value):
                for package in packages:
                    files = roots[package].files if package in roots else ()
                    if not all([_touch(path, healing) for path in files] or [False]):
                        healing.clean.append(package)
            self.data["untracked"][key] = (value, self._still_there(packages, roots))

    def _still_there(self, packages: tuple[str, ...], roots: Roots) -> tuple[str, ...]:
        """Leave out packages that are gone from the workspace and from what was built."""
        if all(package in roots for package in packages):
            return packages
        built = units.packages(os.path.dirname(self.path))
        return tuple(package for package in packages if package in roots or package in built)

    def _compare_places(self, roots: Roots, healing: Repairs) -> list[str]:
        """Show packages of which another workspace built its own here, and return their files.

        Cargo (1.95) names what it makes by name, version and place below the workspace's root. So two clones or
        worktrees overwrite each other's, and cargo takes the one for the other where its sources are older.
        """
        places, touched = self.data["places"], Repairs()
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
        with contextlib.suppress(OSError):
            return any(not name.startswith(OWN_FILES) for name in os.listdir(self.build_directory))
        return False

    def known_blind(self) -> dict[str, Untracked]:
        """Return the blind inputs of all targets that were ever built here."""
        return dict(self.data["untracked"])

    def _remove_damaged(self, healing: Repairs) -> None:
        for path, (stamp, content, fingerprint_file, fingerprint_stamp) in list(self.data["artefacts"].items()):
            now = signature(path)
            if now is None:
                del self.data["artefacts"][path]
            elif now[:3] == stamp[:3] and (content is None or now[3] == stamp[3]):
                continue
            elif content is not None and digest(path) == content and is_runnable(path, os.stat(path).st_mode):
                self.data["artefacts"][path] = (now, content, fingerprint_file, fingerprint_stamp)
            elif signature(fingerprint_file) == fingerprint_stamp:
                healing.removed.append(path)
                del self.data["artefacts"][path]
            else:
                del self.data["artefacts"][path]  # cargo itself compiled it anew
        for path in healing.removed:
            self._unlink_everywhere(path)

    def _unlink_everywhere(self, path: str) -> None:
        """Remove an artefact and the hard links by which cargo would bring it back."""
        from doit_cargo.engine.cargo.messages import HardLinks

        uplifted = os.path.dirname(os.path.dirname(path))
        below = os.path.relpath(uplifted, self.build_directory)
        inode = (signature(path) or (0, 0, 0, 0))[2]
        for folder in dict.fromkeys((uplifted, os.path.normpath(os.path.join(self.target_directory, below)))):
            with contextlib.suppress(OSError):
                for entry in os.scandir(folder):
                    if entry.inode() == inode:
                        os.unlink(entry.path)
        for hard_link in (*HardLinks().of(path), path):
            store.remove(hard_link)

    def _compare_generated(self, healing: Repairs) -> None:
        """Run a build script again whose files were changed after it ended: cargo takes those for its work."""
        known = self.data["units"] = {key: record for key, record in self.data["units"].items() if os.path.exists(key)}
        for key, (identity, _, marks, _) in known.items():
            if os.path.basename(key).startswith(units.SCRIPT_RUN) and identity == units.identity(key):
                changed = [path for path, mark in marks.items() if signature(path) != mark[0]]
                damaged = [path for path in changed if digest(path) != marks[path][1]]
                healing.made_anew += [key] if damaged else []
                healing.removed += damaged[:1]

    def _drop(self, healing: Repairs, roots: Roots) -> None:
        """Remove what cargo shall make anew."""
        place = os.path.dirname(self.path)
        known = {key: record[0] for key, record in self.data["units"].items()}
        with making_anew(place):
            units.forget_incremental(units.copied(place, roots, known))
            units.drop(dict.fromkeys(healing.made_anew))
            if healing.clean:
                units.drop_packages(place, set(healing.clean))

    def known_content(self, path: str) -> bytes | None:
        """Return the digest of an output whose bytes `begin` has verified under cargo's own name for them."""
        stamp = signature(path)
        for known, content, _, _ in self.data["artefacts"].values():
            if stamp and content and known[:3] == stamp[:3]:
                return bytes(content)
        return None

    def learn_files(self, paths: Iterable[str], snapshot: Snapshot) -> None:
        """Take files that this run read. One that changed while cargo ran is shown to cargo again next time."""
        files, times, new = self.data["files"], self.data["times"], []
        for path in paths:
            found = files[path] = snapshot.as_cargo_saw(path)
            if found[1] != UNKNOWN and path in self._as_before:
                continue  # its time and where it leads are known
            new.append(path)
            stamp = snapshot.stamps.get(path) or signature(path)
            if stamp:
                times[path] = stamp[0]
        self._learn_links(new)

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

    def adopt(self, receipt: Receipt) -> None:
        """Take what a receipt knows, where the ledger itself was lost (a restored cache, a torn file)."""
        if self.data["files"] or not self._has_builds():
            return
        files = receipt["build"]["files"]
        self.data["files"] = {path: (None, files[path][1]) for path in receipt["owners"] if path in files}
        self.data["when"] = int(receipt["finished"] * 1e9)

    def learn_tree(self, directory: str, rule: tuple[str, ...], names: tuple[str, ...] | None, script: str) -> None:
        """Take a directory that a build script watches; `script` is the file that makes cargo rerun it."""
        self.data["trees"][directory] = (rule, names, script)

    def learn_folders(self, directory: str, times: Mapping[str, int], package: str) -> None:
        """Take the times of the folders that a package's build script watches, as cargo has seen them."""
        self.data["folders"][directory] = (dict(times), package)

    def learn_artefact(self, path: str, content: bytes | None, fingerprint_file: str) -> None:
        """Take a file that rustc made. `fingerprint_file` is one that cargo rewrites whenever it makes `path` anew."""
        stamp, fingerprint_stamp = signature(path), signature(fingerprint_file)
        if stamp and fingerprint_stamp:
            self.data["artefacts"][path] = (stamp, content, fingerprint_file, fingerprint_stamp)


@contextlib.contextmanager
def making_anew(target_directory: str) -> Iterator[None]:
    """Say what stands in the way where something in the target directory cannot be removed."""
    try:
        yield
    except OSError as error:
        raise UserError(store.unwritable(target_directory, error, ""), code=1) from None


def _touch(path: str, healing: Repairs) -> Stamp | None:
    """Give `path` a new mtime, so that cargo looks at it. Returns its new signature, None if that is not ours to do."""
    try:
        os.utime(path)
    except OSError:
        return None
    healing.touched.append(path)
    return signature(path)
