"""The state of one observed item: taken after a run, and compared before the next one.

A file's content is digested again only if its size, times or inode are others. Reads nothing of logs.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Sequence
from typing import Any, Protocol

TREE_MOST = 200_000
VOLATILE = frozenset(
    {"_", "COLUMNS", "DOIT_CARGO_OBSERVE", "LD_PRELOAD", "LINES", "OLDPWD", "PWD", "SHLVL", "TERM", "WINDOWID"}
)
VOLATILE_HEADS = ("CARGO_MAKEFLAGS", "DBUS_", "NEXTEST_", "SSH_", "TERM_", "TMUX", "VSCODE_", "XDG_SESSION")


class Sight(Protocol):
    """What of a scope is needed here."""

    @property
    def variable(self) -> Callable[[str], str | None]: ...
    @property
    def names(self) -> Callable[[], Sequence[str]]: ...
    @property
    def volatile(self) -> Callable[[str], bool]: ...
    @property
    def digest(self) -> Callable[[str], str]: ...


def volatile(name: str) -> bool:
    """Tell whether a variable is of the terminal or the session, not of the work."""
    return name in VOLATILE or name.startswith(VOLATILE_HEADS)


def take(kind: str, subject: str, own: Sequence[str], scope: Sight) -> Any:
    """Return the state now: plain data."""
    try:
        return _TAKE[kind](subject, own, scope)
    except PermissionError:
        return "not allowed"
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except OSError as error:
        return f"error {error.errno}"


def same(kind: str, subject: str, state: Any, own: Sequence[str], scope: Sight) -> bool:
    """Tell whether the state is still this one. A file that nobody touched is not read for it."""
    if kind == "read" and isinstance(state, list) and len(state) == 3:
        try:
            if _stamp(os.stat(subject)) == state[2]:
                return True
        except OSError:
            return False
        now = take(kind, subject, own, scope)
        return isinstance(now, list) and now[:2] == state[:2]
    return bool(take(kind, subject, own, scope) == state)


def changed_since(path: str, started: int) -> bool:
    """Tell whether a file, its link or its mode was changed at or after a moment."""
    try:
        return os.lstat(path).st_ctime_ns >= started or os.stat(path).st_ctime_ns >= started
    except OSError:
        return False


def _stamp(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _read(path: str, own: Sequence[str], scope: Sight) -> Any:
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        return _list(path, own, scope)
    if not stat.S_ISREG(found.st_mode):
        return f"special {found.st_mode:o}"
    return [scope.digest(path), found.st_mode, _stamp(found)]


def _stat(path: str, own: Sequence[str], scope: Sight) -> Any:
    del own, scope
    link = os.readlink(path) if os.path.islink(path) else ""
    found = os.stat(path) if os.path.exists(path) else os.lstat(path)
    size = found.st_size if stat.S_ISREG(found.st_mode) else 0
    return [f"{found.st_mode:o}", size, link]


def _link(path: str, own: Sequence[str], scope: Sight) -> Any:
    del own, scope
    return [os.readlink(path)] if os.path.islink(path) else [stat.S_IFMT(os.lstat(path).st_mode)]


def _resolve(path: str, own: Sequence[str], scope: Sight) -> Any:
    del own, scope
    return [os.path.realpath(path, strict=True)]


def _list(path: str, own: Sequence[str], scope: Sight) -> Any:
    del scope
    made = set(own)
    return ["names", _sum(sorted(name for name in os.listdir(path) if name not in made))]


def _tree(path: str, own: Sequence[str], scope: Sight) -> Any:
    del scope
    made, names = set(own), list[str]()
    for folder, below, files in os.walk(path):
        below.sort()
        here = os.path.relpath(folder, path)
        names += (
            name for name in (os.path.normpath(os.path.join(here, one)) for one in (*below, *files)) if name not in made
        )
        if len(names) > TREE_MOST:
            return "too large"
    return ["names", _sum(sorted(names)), f"{os.lstat(path).st_mode:o}"]


def _variable(name: str, own: Sequence[str], scope: Sight) -> Any:
    del own
    return [scope.variable(name)]


def _environment(name: str, own: Sequence[str], scope: Sight) -> Any:
    del name, own
    return [_sum([[each, scope.variable(each)] for each in sorted(scope.names()) if not scope.volatile(each)])]


def _sum(value: object) -> str:
    return hashlib.blake2b(json.dumps(value).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


_TAKE: dict[str, Callable[[str, Sequence[str], Sight], Any]] = {
    "read": _read,
    "stat": _stat,
    "link": _link,
    "resolve": _resolve,
    "list": _list,
    "tree": _tree,
    "variable": _variable,
    "environment": _environment,
}
