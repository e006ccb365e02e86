"""What fills a build directory, unit by unit, and how a unit that nobody needs goes away.

A unit is known by the hash in the names of its files: that of its fingerprint, of what rustc left in `deps`, of the
folder of its build script. Files without such a hash (programs under their own name, pages, packages) are nobody's
here. Knows nothing of results, nor of who needs a unit.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from doit_cargo.engine.cargo import units

MARK = re.compile(r"-([0-9a-f]{16})(?=\.|/|\\|$)")
PLACES = (units.FINGERPRINTS, "build", "deps", "examples")
INCREMENTAL = "incremental"


class UnitFiles(NamedTuple):
    """Files of one unit in the folder of one cargo profile. `used` is when cargo last wrote to it, in ns.

    `mark` is empty for what rustc keeps to compile a crate faster: that belongs to no single unit.
    """

    profile: str
    mark: str
    name: str
    paths: tuple[str, ...]
    used: int


def mark_of(path: str) -> str:
    """Return the hash of the unit that a file of a build directory belongs to, "" for none."""
    found = MARK.search(os.path.basename(path)) or MARK.search(path)
    return found[1] if found else ""


def kept(build_directory: str) -> list[UnitFiles]:
    """Return all units that lie in a build directory, of all its cargo profiles and triples."""
    return [unit for profile in units.profiles(build_directory) for unit in _in_profile(profile)]


def _in_profile(profile: str) -> Iterator[UnitFiles]:
    found: dict[str, list[os.DirEntry[str]]] = {}
    for place in PLACES:
        for entry in _entries(os.path.join(profile, place)):
            mark = mark_of(entry.name)
            if mark:
                found.setdefault(mark, []).append(entry)
    for mark, entries in found.items():
        name = MARK.split(entries[0].name)[0]
        yield UnitFiles(profile, mark, name, tuple(entry.path for entry in entries), max(map(_time, entries)))


def incremental(profile: str) -> list[UnitFiles]:
    """Return what rustc keeps of crates to compile them faster, newest first."""
    entries = [entry for entry in _entries(os.path.join(profile, INCREMENTAL)) if entry.is_dir(follow_symlinks=False)]
    found = [UnitFiles(profile, "", entry.name.rpartition("-")[0], (entry.path,), _time(entry)) for entry in entries]
    return sorted(found, key=lambda one: -one.used)


def unneeded_incremental(profile: str, marks: set[str]) -> list[UnitFiles]:
    """Return what is kept of crates beyond the units of these marks: of each crate, so many of the newest stay."""
    left: dict[str, int] = {}
    for entry in _entries(os.path.join(profile, units.FINGERPRINTS)):
        if mark_of(entry.name) in marks:
            for name in {units.crate_of(file.path) for file in _entries(entry.path)}:
                left[name] = left.get(name, 0) + 1
    unneeded = []
    for one in incremental(profile):
        left[one.name] = left.get(one.name, 0) - 1
        if left[one.name] < 0:
            unneeded.append(one)
    return unneeded


def size(paths: Iterable[str]) -> int:
    """Return the bytes of these files and folders, of each file once, whatever names it has."""
    return sum(size for size, _, _ in _files(paths))


def freed(paths: Iterable[str]) -> int:
    """Return the bytes that go with these files and folders: a file that has another name elsewhere frees nothing."""
    return sum(size for size, links, seen in _files(paths) if seen >= links)


def _files(paths: Iterable[str]) -> Iterable[list[int]]:
    """Return of each file its bytes, how many names it has, and how many of them these are."""
    found: dict[tuple[int, int], list[int]] = {}
    for path in paths:
        for status in _statuses(path):
            found.setdefault((status.st_dev, status.st_ino), [status.st_size, status.st_nlink, 0])[2] += 1
    return found.values()


def _statuses(path: str) -> Iterator[os.stat_result]:
    with contextlib.suppress(OSError):
        if not os.path.isdir(path) or os.path.islink(path):
            yield os.lstat(path)
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                yield os.lstat(os.path.join(folder, name))


def remove(unneeded: Iterable[UnitFiles]) -> None:
    """Remove units, under cargo's own locks. Raises OSError.

    The fingerprint goes first: where we are cut off, cargo makes the unit anew and finds no half of one.
    """
    by_profile: dict[str, list[str]] = {}
    for one in unneeded:
        by_profile.setdefault(one.profile, []).extend(one.paths)
    for profile, paths in by_profile.items():
        with units.locked(profile):
            for path in sorted(paths, key=lambda path: f"{os.sep}{units.FINGERPRINTS}{os.sep}" not in path):
                units.remove(path)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []


def _time(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0
