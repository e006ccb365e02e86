"""Files and folders that only their owner reads: state, logs, the key. Imports nothing that costs start-up time."""

from __future__ import annotations

import os

FOLDER_MODE, FILE_MODE, OTHERS = 0o700, 0o600, 0o077


def folder(path: str) -> None:
    """Make a folder that is closed to others, and close one that is there. Raises OSError."""
    os.makedirs(path, mode=FOLDER_MODE, exist_ok=True)
    if os.name != "nt" and os.stat(path).st_mode & OTHERS:
        _close(path, FOLDER_MODE)


# State, logs of runs, and those of tests.
OWN_FOLDERS = frozenset({".doit-cargo", ".logs", ".testlogs"})


def opener(path: str, flags: int) -> int:
    """Open a file for `open(..., opener=opener)`: closed to others, also where it is there already."""
    descriptor = os.open(path, flags, FILE_MODE)
    if os.name != "nt" and os.fstat(descriptor).st_mode & OTHERS:
        _close(path, FILE_MODE)
    return descriptor


def _close(path: str, mode: int) -> None:
    try:
        os.chmod(path, mode)
    except OSError:
        return  # it belongs to somebody else, who may have it open


def is_ours(path: str) -> bool:
    """Tell whether a file lies where only doit-cargo writes: it is for its owner alone."""
    return not OWN_FOLDERS.isdisjoint(path.split(os.sep))
