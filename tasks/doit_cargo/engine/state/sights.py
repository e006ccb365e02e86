"""What somebody saw who only looked: kind, mode and size of a path, or that nothing is there; where a path leads.

Part of a state (`staleness`), so it imports nothing that costs start-up time.
"""

from __future__ import annotations

import os

from doit_cargo.engine.state.fingerprint import DIRECTORY, KIND, REGULAR

TYPE_CHECKING = False
if TYPE_CHECKING:
    Look = tuple[int, int, str] | None

MODE = 0o7777
LINK = 0o120000


def look(path: str) -> Look:
    """Return (kind and mode, size of a file, target of a link), None where nothing is. Of folders the kind counts."""
    try:
        found = os.lstat(path)
        leads = os.readlink(path) if found.st_mode & KIND == LINK else ""
        if leads:
            found = os.stat(path)
    except (OSError, ValueError):
        return None
    kind = found.st_mode & KIND
    if kind == DIRECTORY:
        return kind, 0, leads
    return found.st_mode & (KIND | MODE), found.st_size if kind == REGULAR else 0, leads


def absence(path: str) -> tuple[str, str]:
    """Return the nearest folder that is there, and the rest of the path: nothing can appear without its changing."""
    folder = os.path.dirname(path)
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return folder, os.path.relpath(path, folder)


def lead(path: str) -> str | None:
    """Return the real path, None where it leads nowhere."""
    try:
        return os.path.realpath(path, strict=True)
    except (OSError, ValueError):
        return None
