"""Contents of files by digest, read once as long as their signatures hold; and what Rust sources name in their texts.

A test may read anything while it runs, and nothing tells. What its sources name in string literals is as near as one
can come without watching the process: paths, variables and programs that stand there are taken as inputs.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any, NamedTuple

from doit_cargo.engine.execution.evidence.snapshot import Stamp
from doit_cargo.engine.state import store
from doit_cargo.engine.state.fingerprint import digest, settled, signature

FILE = "test-contents"
_LITERAL = re.compile(rb'"((?:[^"\\\n]|\\.){2,200})"')
_VARIABLE = re.compile(rb"[A-Z][A-Z0-9]*_[A-Z0-9_]+")
# What a source asks the environment for by name, in whatever letters; and what it starts.
_ASKED = re.compile(rb'\bvar(?:_os)?\(\s*"([^"\\\n]+)"')
_STARTED = re.compile(rb'\bCommand::new\(\s*"([\w.+-]+)"')
_PATH = re.compile(rb"[\w.@+/ -]+")


Entry = tuple[Stamp | None, bytes | None, Any]
"""(signature or None, digest, what a source names or None where nobody has looked)"""


class Named(NamedTuple):
    """What a source names: paths (as they are written), variables, programs."""

    paths: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


NOTHING = Named()


def named_in(source: bytes) -> Named:
    """Return what the literals of a Rust source name.

    >>> named_in(b'read("../data/x.txt"); env::var("TOKEN"); Command::new("git")')
    Named(paths=('../data/x.txt', 'TOKEN', 'git'), variables=('TOKEN',), programs=('git',))
    """
    literals = dict.fromkeys(_LITERAL.findall(source))
    variables = dict.fromkeys([*_ASKED.findall(source), *(word for word in literals if _VARIABLE.fullmatch(word))])
    return Named(
        tuple(os.fsdecode(word) for word in literals if _PATH.fullmatch(word) and word.strip(b"./ ") != b""),
        tuple(os.fsdecode(word) for word in variables),
        tuple(os.fsdecode(word) for word in dict.fromkeys(_STARTED.findall(source))),
    )


class Contents:
    """What is known of files, kept between calls. `stamps` are the signatures that this call has seen."""

    def __init__(self, state: str) -> None:
        self._path = os.path.join(state, FILE)
        data = store.load(self._path)
        self._known: dict[str, Entry] = data if isinstance(data, dict) else {}
        self._used: dict[str, Entry] = {}
        self._now = time.time_ns()
        self.stamps: dict[str, Stamp | None] = {}

    def teach(self, path: str, stamp: Stamp | None, content: bytes | None) -> None:
        """Take what a build has found out about a file, so that it is not read twice."""
        known = self._known.get(path)
        if stamp and (known is None or known[0] != stamp):
            self._known[path] = (stamp, content, None)

    def digest(self, path: str) -> bytes | None:
        """Return the digest of a file, None where there is none."""
        return self._entry(path, names=False)[1]

    def named(self, path: str) -> Named:
        """Return what a Rust source names."""
        return Named(*(self._entry(path, names=True)[2] or NOTHING))

    def _entry(self, path: str, names: bool) -> Entry:
        used = self._used.get(path)
        if used is not None and (used[2] is not None or not names):
            return used
        stamp = signature(path)
        self.stamps.setdefault(path, stamp)
        known = self._known.get(path)
        if known is None or known[0] is None or known[0] != stamp or (names and known[2] is None):
            known = (settled(stamp, self._now), digest(path), tuple(_named_in_file(path)) if names else None)
        self._used[path] = known
        return known

    def moved(self, paths: list[str]) -> str:
        """Return the first of these files that is not the one that was looked at, or nothing."""
        return next((path for path in paths if signature(path) != self.stamps.get(path)), "")

    def kept(self, path: str) -> tuple[Stamp | None, bytes | None]:
        """Return (signature, digest) of a file that was looked at, as a freshness state holds it."""
        entry = self._used[path]
        return entry[0], entry[1]

    def store(self) -> None:
        """Keep what was used; losing it costs only time."""
        try:
            store.store(self._path, self._used)
        except OSError:
            return


def _named_in_file(path: str) -> Named:
    if not os.path.isfile(path):
        return NOTHING  # a pipe would let us wait
    try:
        with open(path, "rb") as stream:
            return named_in(stream.read())
    except OSError:
        return NOTHING
