"""Files and folders looked at without raising: what is absent or unreadable is empty.

Knows no format but lines, and no tool.
"""

import os

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    pass


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
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def line_of(path: str, key: str) -> str:
    """Return ``path:line`` of the first line that names `key`, or the path alone."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.lstrip(" \t\"'").startswith(key):
            return f"{path}:{number}"
    return path
