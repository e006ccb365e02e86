"""The states of what units were seen to rest on: taken after a run, compared before and after the next one.

Kinds: *file* (signature, digest), *look* and *lead* (`sights`), *names* (rule, names of a folder), *env* a variable,
*walk* all variables, *which* what PATH gives for a program. Knows nothing of processes, units or receipts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from doit_cargo.engine.base.paths import which
from doit_cargo.engine.state import dir_listing, sights, staleness
from doit_cargo.engine.state.fingerprint import UNKNOWN, digest, settled, signature

FILE, LOOK, LEAD, NAMES, VARIABLE, WALK, PROGRAM = "file", "look", "lead", "names", "env", "walk", "which"


class World:
    """What units ask for, as a call gives it to them: variables, and what PATH leads to. Each is asked once."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._walk: tuple[tuple[str, str | None], ...] | None = None
        self._programs: dict[str, str | None] = {}
        self._known: dict[tuple[str, str, int], str] = {}

    def value(self, name: str) -> str | None:
        """Return a variable's value as it may be kept."""
        return staleness.public_value(name, self.environ.get(name))

    def walk(self) -> tuple[tuple[str, str | None], ...]:
        """Return all variables but those of the terminal, the session and the caller's make."""
        if self._walk is None:
            names = sorted(name for name in self.environ if staleness.is_of_work(name))
            self._walk = tuple((name, self.value(name)) for name in names)
        return self._walk

    def program(self, name: str) -> str | None:
        if name not in self._programs:
            self._programs[name] = which(name, self.environ) or None
        return self._programs[name]

    def change(self, kind: str, subject: str, state: Any) -> str:
        """Return how an item differs from its state, "" if it does not."""
        key = (kind, subject, id(state))  # units share states: the ledger holds them all
        if key not in self._known:
            self._known[key] = _CHANGES[kind](subject, state, self)
        return self._known[key]


def of_path(kind: str, path: str, state: Any, own: Any, started: int) -> Iterator[tuple[str, str, Any]]:
    """Yield an observed item of a path as (kind, subject, state)."""
    path = plain(path)
    made = tuple(own) if isinstance(own, list) else ()
    if kind == "read" and isinstance(state, list) and len(state) == 3:
        content, _, (size, modified, changed, inode) = state
        yield FILE, path, (settled((modified, size, inode, changed), started), bytes.fromhex(content))
    elif kind in ("list", "tree") or (kind == "read" and os.path.isdir(path)):
        yield NAMES, path, listing(path, ("below" if kind == "tree" else "names", *made))
    elif kind == "resolve":
        yield LEAD, path, sights.lead(path)
    else:
        yield LOOK, path, sights.look(path)


def listing(path: str, rule: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Return a rule, and the names that it sees; None for more than can be looked through."""
    try:
        return rule, dir_listing.list_tree(path, rule)[1]
    except dir_listing.TooLarge:
        return rule, None


def plain(path: str) -> str:
    """Return a path without detours where that leads to the same place."""
    short = os.path.normpath(path)
    if short == path:
        return path
    one, two = os.path.dirname(path), os.path.dirname(short)
    return short if os.path.realpath(one) == os.path.realpath(two) else path


def is_older(kind: str, subject: str, moment: int) -> bool:
    """Tell whether what is there now was there before a moment: only of files that can be told."""
    now = signature(subject)
    return kind == FILE and now is not None and now[3] < moment


def again(subject: str) -> Any:
    """Return the state of a file as it is now."""
    return settled(signature(subject), time.time_ns()), digest(subject)


# --- how they change -------------------------------------------------------------------------------------------------


def _file(path: str, state: Any, world: World) -> str:
    del world
    stamp, content = state
    now = signature(path)
    if now is None:
        return "is gone"
    same = (now == stamp or digest(path) == content) and content != UNKNOWN
    return "" if same else "changed"


def _look(path: str, state: Any, world: World) -> str:
    del world
    now = sights.look(path)
    if now == state:
        return ""
    return "is there now" if state is None else "is gone" if now is None else "changed"


def _lead(path: str, state: Any, world: World) -> str:
    del world
    return "" if sights.lead(path) == state else "leads elsewhere"


def _names(path: str, state: Any, world: World) -> str:
    del world
    rule, names = state
    return "" if names is not None and listing(path, rule)[1] == names else "holds other files"


def _variable(name: str, state: Any, world: World) -> str:
    return "" if world.value(name) == state else "changed"


def _walk(_: str, state: Any, world: World) -> str:
    if world.walk() == state:
        return ""
    before, now = dict(state), dict(world.walk())
    names = sorted(name for name in {**before, **now} if before.get(name) != now.get(name))
    return f"{', '.join(names[:3])} changed"


def _program(name: str, state: Any, world: World) -> str:
    now = world.program(name)
    return "" if now == state else f"is {now or 'not on PATH'} now"


_CHANGES = {
    FILE: _file,
    LOOK: _look,
    LEAD: _lead,
    NAMES: _names,
    VARIABLE: _variable,
    WALK: _walk,
    PROGRAM: _program,
}
