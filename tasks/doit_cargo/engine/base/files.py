"""Files and folders looked at without raising: what is absent or unreadable is empty.

Knows no format but lines, and no tool.
"""

import contextlib
import os

from doit_cargo.engine.base.paths import ordinary


def named_like(directory: str, beginnings: tuple[str, ...]) -> list[str]:
    """Return the entries of a folder whose names begin so, in the order of their names."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [os.path.join(directory, name) for name in sorted(names) if name.startswith(beginnings)]


def read_text(path: str) -> str:
    """Return what a file holds; bytes that are no UTF-8 are replaced."""
    try:
        with open(ordinary(path), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def line_of(path: str, key: str) -> str:
    """Return ``path:line`` of the first line that names `key`, or the path alone."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.lstrip(" \t\"'").startswith(key):
            return f"{path}:{number}"
    return path


def bytes_below(*directories: str) -> int:
    """Return the bytes of all files below these folders, each inode once."""
    seen: dict[tuple[int, int], int] = {}
    for directory in directories:
        for folder, _, names in os.walk(directory):
            for name in names:
                with contextlib.suppress(OSError):
                    found = os.lstat(os.path.join(folder, name))
                    seen[found.st_dev, found.st_ino] = found.st_size
    return sum(seen.values())
