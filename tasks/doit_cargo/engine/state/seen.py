"""What a run was seen to depend on: the state of each item, taken after the run and compared before the next one.

A *row* is plain data: [kind, subject, state, own]; `own` are names that the run itself put into a folder that it
lists, or variables that a walk over all of them leaves out. A file's content is digested again only if its size, times
or inode are others. Reads nothing of logs, and imports nothing that costs start-up time.
"""

from __future__ import annotations

import os
import stat

from doit_cargo.engine.base import own_key
from doit_cargo.engine.base.secrets import kept_value, shown_digest
from doit_cargo.engine.state import fingerprint
from doit_cargo.engine.state.change import Change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any, Protocol

    Row = list[Any]

    class Sight(Protocol):
        """What states are taken and compared with."""

        @property
        def variable(self) -> Callable[[str], str | None]: ...
        @property
        def names(self) -> Callable[[], Collection[str]]: ...
        @property
        def volatile(self) -> Callable[[str], bool]: ...
        @property
        def digest(self) -> Callable[[str], str]: ...


TREE_MOST = 200_000
# A larger file is known by its signature alone: its content is not read.
READ_MOST = 1 << 29
VOLATILE = frozenset(
    {
        "_",
        "COLUMNS",
        "DOIT_CARGO_OBSERVE",
        "DOIT_CARGO_RUN",
        "LD_PRELOAD",
        "LINES",
        "OLDPWD",
        "PWD",
        "SHLVL",
        "TERM",
        "WINDOWID",
    }
)
VOLATILE_HEADS = ("CARGO_MAKEFLAGS", "DBUS_", "NEXTEST_", "SSH_", "TERM_", "TMUX", "VSCODE_", "XDG_SESSION")


LINK = 0o120000


class World:
    """The files as they are, and an environment; its values are keyed unless everybody may see them."""

    __slots__ = ("environ",)

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def variable(self, name: str) -> str | None:
        value = self.environ.get(name)
        return None if value is None else kept_value(name, value)

    def names(self) -> Collection[str]:
        return self.environ

    def volatile(self, name: str) -> bool:
        return volatile(name)

    def digest(self, path: str) -> str:
        return content(path)


NOWHERE = World({})


def content(path: str) -> str:
    """Return the digest of a file. Raises OSError where it cannot be read."""
    found = fingerprint.digest(path)
    if found is None:
        with open(path, "rb"):  # which says why
            raise FileNotFoundError(path)
    return found.hex()


def volatile(name: str) -> bool:
    """Tell whether a variable is of the terminal or the session, not of the work."""
    return name in VOLATILE or name.startswith(VOLATILE_HEADS)


def is_named(name: str, names: Iterable[str]) -> bool:
    """Tell whether a variable is one of these; ``CI_*`` names all that begin so."""
    return any(name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in names)


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


def holds(row: Row, scope: Sight) -> bool:
    """Tell whether an item's state is still that of a row. An equal content gets its new signature there."""
    kind, subject, state, own = row
    stamp = state[-1] if kind in STAMPED and type(state) is list and len(state) == 3 else None
    if stamp:
        try:
            if _stamp(os.stat(subject)) == stamp:
                return True
        except OSError:
            return False
    now = take(kind, subject, own, scope)
    if stamp is None:
        return bool(now == state)
    if type(now) is not list or now[:2] != state[:2]:
        return False
    row[2] = now
    return True


def changes(rows: Iterable[Row], scope: Sight) -> Iterator[Change]:
    """Yield how the world differs from what was seen."""
    for row in rows:
        kind, subject, state, own = row
        if (kind == "stat" and _looks(subject) == state) or holds(row, scope):
            continue
        if kind == "environment":
            yield from _variables(state, take(kind, subject, own, scope))
        elif kind == "variable":
            yield Change("env", subject, *map(_shown, (state[0], scope.variable(subject))))
        else:
            now = take(kind, subject, own, scope)
            yield Change("listing" if kind in ("list", "tree") else "file", subject, "", _became(state, now))


def _variables(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield Change("env", name, _shown(old.get(name)), _shown(new.get(name)))


def _shown(value: str | None) -> str:
    return "" if value is None else shown_digest(value) or '""'


def _became(old: object, new: object) -> str:
    if "absent" in (old, new):
        return "new" if old == "absent" else "deleted"
    return new if isinstance(new, str) else "changed"


def changed_since(path: str, started: int) -> bool:
    """Tell whether a file, its link or its mode was changed at or after a moment, as far as its clock can tell."""
    try:
        return any(_not_before(found.st_ctime_ns, started) for found in (os.lstat(path), os.stat(path)))
    except OSError:
        return False


def _not_before(changed: int, started: int) -> bool:
    coarse = fingerprint.COARSE_TICK_NS if changed % 1_000_000_000 == 0 else 0
    return changed + coarse >= started


def _stamp(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _read(path: str, own: Sequence[str], scope: Sight) -> Any:
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        return _list(path, own, scope)
    if not stat.S_ISREG(found.st_mode):
        return f"special {found.st_mode:o}"
    large = found.st_size > READ_MOST
    known = f"large {_stamp(found)}" if large else scope.digest(path)
    return [known, found.st_mode, _stamp(found)]


def _stat(path: str, own: Sequence[str], scope: Sight) -> Any:
    del own, scope
    found = os.lstat(path)
    link = ""
    if found.st_mode & fingerprint.KIND == LINK:
        link = os.readlink(path)
        if os.path.exists(path):
            found = os.stat(path)
    return [found.st_mode, found.st_size if found.st_mode & fingerprint.KIND == fingerprint.REGULAR else 0, link]


def _looks(path: str) -> Any:
    """Return the state of a path that was looked at or for: by far the most of what there is to compare."""
    try:
        return _stat(path, (), NOWHERE)
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except OSError:
        return None


def _link(path: str, own: Sequence[str], scope: Sight) -> Any:
    del own, scope
    return [os.readlink(path)] if os.path.islink(path) else [stat.S_IFMT(os.lstat(path).st_mode)]


def _resolve(path: str, own: Sequence[str], scope: Sight) -> Any:
    del own, scope
    return [os.path.realpath(path, strict=True)]


def _list(path: str, own: Sequence[str], scope: Sight) -> Any:
    del scope
    import time

    found, made = os.stat(path), set(own)
    names = sorted(name for name in os.listdir(path) if name not in made)
    signature = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns)
    return ["names", _sum(names), _stamp(found) if fingerprint.settled(signature, time.time_ns()) else []]


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
    del name
    return {each: scope.variable(each) for each in scope.names() if not (scope.volatile(each) or is_named(each, own))}


def _sum(names: Sequence[str]) -> str:
    return own_key.fingerprint("\0".join(names))


STAMPED = ("read", "list")
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
