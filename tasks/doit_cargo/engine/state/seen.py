"""What a run was seen to depend on: the state of each item, taken after the run and compared before the next one.

A *row* is plain data: [kind, subject, state, own]; `own` are names that the run itself put into a folder that it
lists, or variables that a walk over all of them leaves out. Kinds: *read* (content and mode), *stat* (kind, mode, size,
where a link leads), *link*, *resolve*, *list*, *tree*, *variable*, *environment* (all of them) and *program* (what PATH
gives for a name). Part of a state (`staleness`), so it imports nothing that costs start-up time.
"""

from __future__ import annotations

import os
import time

from doit_cargo.engine.base import own_key
from doit_cargo.engine.base.secrets import kept_value, shown_digest
from doit_cargo.engine.state import fingerprint
from doit_cargo.engine.state.change import Change
from doit_cargo.engine.state.fingerprint import DIRECTORY, KIND, REGULAR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from doit_cargo.engine.state.fingerprint import Stamp

    Row = list[Any]
    # A folder -> its signature, and the names that somebody looked for in it in vain.
    Absent = dict[str, tuple[Stamp | None, tuple[str, ...]]]

LINK = 0o120000
TREE_MOST = 200_000
# So many names of a folder are kept to tell which one came; of more only their digest.
NAMES_MOST = 200
# A larger file is known by its signature alone: its content is not read.
READ_MOST = 1 << 29
# What we ourselves put into a workspace, at any time.
OURS = (".doit-cargo", ".logs", ".testlogs")
# What only a package manager writes.
SYSTEM, NOT_SYSTEM = ("/usr/", "/lib/", "/lib64/", "/bin/", "/sbin/"), ("/usr/local/",)
# Our own variables: where the store of shared results lies, say, is nothing that a result rests on.
OWN = ("AUDIT", "KEY", "NOTIFY", "OBSERVE", "PICK", "RUN", "STATE", "TRUST", "WORKSPACE")
OWN_OF_SHARING = ("SHARE", "SHARE_SECRET", "SHARE_SIGNING_KEY", "SHARE_TOKEN", "SHARE_WRITE_TO")
# Variables of the terminal, the session and the caller's make.
VOLATILE = frozenset(
    {
        *(f"DOIT_CARGO_{name}" for name in (*OWN, *OWN_OF_SHARING)),
        "_",
        "_DOIT_CARGO_RECORD",
        "COLUMNS",
        "LD_PRELOAD",
        "LINES",
        "MAKEFLAGS",
        "MAKELEVEL",
        "MAKE_TERMERR",
        "MAKE_TERMOUT",
        "MFLAGS",
        "OLDPWD",
        "PROMPT",
        "PROMPT_COMMAND",
        "PS1",
        "PS2",
        "PWD",
        "RPROMPT",
        "SHLVL",
        "TERM",
        "VIRTUAL_ENV_PROMPT",
        "WINDOWID",
    }
)
# What activates a Python environment sets. Whoever starts a Python of it asks for these by name, which counts.
ACTIVATED = ("VIRTUAL_ENV", "CONDA_*")
VOLATILE_HEADS = ("CARGO_MAKEFLAGS", "DBUS_", "NEXTEST_", "SSH_", "TERM_", "TMUX", "VSCODE_", "XDG_SESSION")
PATHS = ("read", "stat", "link", "resolve", "list", "tree")
KINDS = (*PATHS, "variable", "environment", "program")


class World:
    """The files as they are, and an environment; each row and each program is looked at once."""

    __slots__ = ("_known", "_programs", "contents", "environ")

    def __init__(self, environ: Mapping[str, str], contents: Mapping[str, Any] | None = None) -> None:
        self.environ = environ
        self.contents = contents or {}  # states of files that were read before: of the very same no content is read
        self._programs: dict[str, str | None] = {}
        self._known: dict[int, tuple[Row, str]] = {}  # the row too: while it lives, nothing else bears its number

    def variable(self, name: str) -> str | None:
        """Return a variable's value as it may be kept: keyed unless everybody may see it."""
        value = self.environ.get(name)
        return None if value is None else kept_value(name, value)

    def program(self, name: str) -> str | None:
        """Return what PATH gives for a name."""
        if name not in self._programs:
            from doit_cargo.engine.base.paths import which

            self._programs[name] = which(name, self.environ) or None
        return self._programs[name]

    def difference(self, row: Row) -> str:
        """Return how an item differs from its row, "" if it does not. Many units share one row."""
        if id(row) not in self._known:
            text = "" if holds(row, self) else became(row[2], take(row[0], row[1], row[3], self))
            self._known[id(row)] = row, text
        return self._known[id(row)][1]


def volatile(name: str) -> bool:
    """Tell whether a variable is of the terminal or the session, not of the work."""
    return name in VOLATILE or name.startswith(VOLATILE_HEADS)


def is_named(name: str, names: Iterable[str]) -> bool:
    """Tell whether a variable is one of these; ``CI_*`` names all that begin so."""
    return any(name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in names)


def take(kind: str, subject: str, own: Sequence[str], world: World) -> Any:
    """Return the state now: plain data."""
    try:
        return _TAKE[kind](subject, own, world)
    except PermissionError:
        return "not allowed"
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except OSError as error:
        return f"error {error.errno}"
    except ValueError:
        return "absent"  # no path can hold a NUL


def holds(row: Row, world: World) -> bool:
    """Tell whether an item's state is still that of a row. An equal content gets its new signature there."""
    kind, subject, state, own = row
    stamped = kind in STAMPED and type(state) is list and len(state) == 3
    if stamped and state[2]:
        try:
            if _stamp(os.stat(subject)) == state[2]:
                return True
        except OSError:
            return False
    now = take(kind, subject, own, world)
    if not stamped:
        return bool(now == state)
    if type(now) is not list or now[:2] != state[:2]:
        return False
    row[2] = now
    return True


def changes(rows: Iterable[Row], world: World) -> Iterator[Change]:
    """Yield how the world differs from what was seen."""
    for row in rows:
        if holds(row, world):
            continue
        kind, subject, state, own = row
        now = take(kind, subject, own, world)
        if kind == "environment":
            yield from (
                Change("env", name, _shown(state.get(name)), _shown(now.get(name))) for name in _others(row, now)
            )
        elif kind == "variable":
            yield Change("env", subject, _shown(state[0]), _shown(now[0]))
        elif kind == "program":
            yield Change("tool", subject, state[0] or "", now[0] or "")
        else:
            yield Change("listing" if kind in ("list", "tree") else "file", subject, "", became(state, now))


def _others(row: Row, now: Mapping[str, str]) -> list[str]:
    """Return the variables that differ from those of a walk over all of them."""
    return [name for name in sorted({*row[2], *now}) if row[2].get(name) != now.get(name)]


def _shown(value: str | None) -> str:
    return "" if value is None else shown_digest(value) or '""'


def became(old: Any, now: Any) -> str:
    """Return in a word or two what has become of an item."""
    if isinstance(old, str) and old.startswith("was "):
        return old
    if isinstance(old, dict):
        return f"{', '.join(_others(['', '', old], now)[:3])} changed"
    if "absent" in (old, now):
        return "new" if old == "absent" else "deleted"
    if isinstance(now, str) and now.startswith(("not ", "error ")):
        return now
    lists = [state[1] for state in (old, now) if state[0] == "names"]
    if len(lists) == 2 and all(isinstance(names, list) for names in lists):
        added, removed = ([name for name in one if name not in other] for one, other in (lists[::-1], lists))
        return ", ".join([f"{one} added" for one in added[:3]] + [f"{one} removed" for one in removed[:3]]) or "changed"
    return "changed"


def absence(paths: Iterable[str]) -> Absent:
    """Return the nearest folders that are there, with the rest of each path: nothing appears without their changing.
    Of a path through a link that leads nowhere the place counts besides to which it leads.
    """
    found: dict[str, list[str]] = {}
    there: dict[str, str] = {}
    led: set[str] = set()
    waiting = list(paths)
    taken: set[str] = set()  # links may lead to each other
    while waiting:
        path = waiting.pop()
        if path in taken:
            continue
        taken.add(path)
        above = os.path.dirname(path)
        if above not in there:
            there[above] = above
            while not os.path.isdir(there[above]) and there[above] != os.path.dirname(there[above]):
                if os.path.islink(there[above]):
                    led.add(above)
                there[above] = os.path.dirname(there[above])
        if above in led:
            waiting.append(os.path.realpath(path))
        folder = there[above]
        found.setdefault(folder, []).append(path[len(folder) :].lstrip("/"))
    now = time.time_ns()
    stamps = {folder: fingerprint.settled(fingerprint.signature(folder), now) for folder in found}  # then looked again
    return {
        folder: (None if any(map(os.path.lexists, _below(folder, names))) else stamps[folder], tuple(names))
        for folder, names in found.items()
    }


def came(table: Absent) -> Iterator[Change]:
    """Yield what is there now of what was not. A folder that changed without that gets its new signature."""
    for folder, (old, names) in table.items():
        stamp = fingerprint.signature(folder)
        if stamp == old and old is not None:
            continue
        found = [path for path in _below(folder, names) if os.path.lexists(path)]
        yield from (Change("file", path, "", "new") for path in found)
        if not found:
            table[folder] = (fingerprint.settled(stamp, time.time_ns()), names)


def _below(folder: str, names: Iterable[str]) -> Iterator[str]:
    return (os.path.join(folder, name) for name in names)


def changed_since(path: str, started: int) -> bool:
    """Tell whether a file, its link or its mode was changed at or after a moment, as far as its clock can tell."""
    try:
        return any(_not_before(found.st_ctime_ns, started) for found in (os.lstat(path), os.stat(path)))
    except OSError:
        return False


def is_as_before(path: str, started: int, world: World) -> bool:
    """Tell whether a file of the system is what was read before the moment, and only its links, owner or mode were
    touched since: the very inode, with the time and the content of then. A package manager or a hard link does so to
    the C library. Elsewhere somebody may edit a file and put it back as it was.
    """
    known = world.contents.get(path) if path.startswith(SYSTEM) and not path.startswith(NOT_SYSTEM) else None
    try:
        if not known or not known[2] or (_not_before(os.lstat(path).st_ctime_ns, started) and os.path.islink(path)):
            return False
        state = _read(path, (), world)
        return isinstance(state, list) and state[:2] == known[:2] and _stamp(os.stat(path))[:3] == known[2][:3]
    except OSError:
        return False


def _not_before(changed: int, started: int) -> bool:
    coarse = fingerprint.COARSE_TICK_NS if changed % 1_000_000_000 == 0 else 0
    return changed + coarse >= started


def _stamp(found: os.stat_result) -> list[int]:
    return [found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns]


def _settled(found: os.stat_result) -> list[int]:
    """Return a signature in which a later write must show, or an empty one."""
    stamp = _stamp(found)
    return stamp if fingerprint.settled((stamp[0], stamp[1], stamp[2], stamp[3]), time.time_ns()) else []


def _read(path: str, own: Sequence[str], world: World) -> Any:
    found = os.stat(path)
    known = world.contents.get(path)
    if known and known[2] == _stamp(found) and known[1] == found.st_mode:
        return known
    kind = found.st_mode & KIND
    if kind == DIRECTORY:
        return _list(path, own, world)
    if kind != REGULAR:
        return f"special {found.st_mode:o}"
    if found.st_size > READ_MOST:
        return [f"large {_stamp(found)}", found.st_mode, _settled(found)]
    content = fingerprint.digest(path)
    if content is None:
        with open(path, "rb"):  # which says why
            raise FileNotFoundError(path)
    return [content.hex(), found.st_mode, _settled(found)]


def _stat(path: str, own: Sequence[str], world: World) -> Any:
    del own, world
    found = os.lstat(path)
    link = ""
    if found.st_mode & KIND == LINK:
        link = os.readlink(path)
        if os.path.exists(path):
            found = os.stat(path)
    return [found.st_mode, found.st_size if found.st_mode & KIND == REGULAR else 0, link]


def _link(path: str, own: Sequence[str], world: World) -> Any:
    del own, world
    return [os.readlink(path)] if os.path.islink(path) else [os.lstat(path).st_mode & KIND]


def _resolve(path: str, own: Sequence[str], world: World) -> Any:
    del own, world
    return [os.path.realpath(path, strict=True)]


def _list(path: str, own: Sequence[str], world: World) -> Any:
    del world
    found, made = os.stat(path), {*own, *OURS}
    with os.scandir(path) as entries:
        names = sorted(_with_kind(entry) for entry in entries if entry.name not in made)
    return ["names", _kept(names), _settled(found)]


def _with_kind(entry: os.DirEntry[str]) -> str:
    """Return a name with a mark that no name can have: a listing alone tells folders and links from files."""
    return entry.name + ("/@" if entry.is_symlink() else "/" if entry.is_dir(follow_symlinks=False) else "")


def _tree(path: str, own: Sequence[str], world: World) -> Any:
    del world
    made, names = set(own), list[str]()
    for folder, below, files in os.walk(path):
        below[:] = sorted(name for name in below if name not in OURS)
        here = os.path.relpath(folder, path)
        inside = (
            (os.path.normpath(os.path.join(here, one)), kind)
            for kind, them in (("/", below), ("", files))
            for one in them
        )
        names += (name + kind for name, kind in inside if name not in made)
        if len(names) > TREE_MOST:
            return "too large"
    return ["names", _kept(sorted(names)), f"{os.lstat(path).st_mode:o}"]


def _kept(names: list[str]) -> list[str] | str:
    return names if len(names) <= NAMES_MOST else own_key.fingerprint("\0".join(names))


def _variable(name: str, own: Sequence[str], world: World) -> Any:
    del own
    return [world.variable(name)]


def _environment(name: str, own: Sequence[str], world: World) -> Any:
    del name
    left_out = (*own, *ACTIVATED)
    return {each: world.variable(each) for each in world.environ if not (volatile(each) or is_named(each, left_out))}


def _program(name: str, own: Sequence[str], world: World) -> Any:
    del own
    return [world.program(name)]


STAMPED = ("read", "list")
_TAKE: dict[str, Callable[[str, Sequence[str], World], Any]] = {
    "read": _read,
    "stat": _stat,
    "link": _link,
    "resolve": _resolve,
    "list": _list,
    "tree": _tree,
    "variable": _variable,
    "environment": _environment,
    "program": _program,
}
