"""What past builds took of the disk and of the memory, kept beside the receipts, so that the next one can be warned.

Growth is what the file system of the target directory lost while cargo ran: a measure, not an account. Losing a
record costs nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.paths import ancestors
from doit_cargo.engine.state import store

FILE = "footprints"


class Footprint(NamedTuple):
    """Bytes: `disk` that a build added, `memory` of its largest process; 0 = not known."""

    disk: int = 0
    memory: int = 0


UNKNOWN = Footprint()


class Meter:
    """Started before cargo, read after it."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._free = free_space(directory)
        self._memory = _largest_child()

    def read(self) -> Footprint:
        """Return what was taken since the start."""
        grown = max(0, self._free - free_space(self._directory))
        memory = _largest_child()
        return Footprint(grown, memory if memory > self._memory else 0)


def free_space(directory: str) -> int:
    """Return the bytes that a user may still write where a directory is or will be."""
    place = next((path for path in ancestors(directory) if os.path.isdir(path)), os.sep)
    try:
        if os.name != "nt":  # shutil costs 3 ms to import
            found = os.statvfs(place)
            return found.f_bavail * found.f_frsize
        import shutil

        return shutil.disk_usage(place).free
    except OSError:
        return 0


def _largest_child() -> int:
    """Return the resident bytes of the largest process that this one has waited for, and that those have."""
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit


def past(state: str, key: tuple[str, ...]) -> Footprint:
    """Return the most that a build under this key has taken."""
    found = _all(state).get(_name(key))
    return Footprint(*found) if isinstance(found, tuple) and len(found) == 2 else UNKNOWN


def largest(state: str) -> int:
    """Return the most that any build of a workspace has added to the disk."""
    found = [each[0] for each in _all(state).values() if isinstance(each, tuple) and len(each) == 2]
    return max((size for size in found if isinstance(size, int)), default=0)


def keep(state: str, key: tuple[str, ...], now: Footprint) -> None:
    """Keep what a build has taken if it is the most so far."""
    before = past(state, key)
    most = Footprint(max(before.disk, now.disk), max(before.memory, now.memory))
    if most != before:
        with contextlib.suppress(OSError):
            store.store(os.path.join(state, FILE), {**_all(state), _name(key): tuple(most)})


def _all(state: str) -> Mapping[str, object]:
    found = store.load(os.path.join(state, FILE))
    return found if isinstance(found, dict) else {}


def _name(key: tuple[str, ...]) -> str:
    return "\n".join(key)
