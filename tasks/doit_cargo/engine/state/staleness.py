"""Is a recorded state still true? One walk over it, with two readers: the skip and `why`.

A *state* is a plain dict that `marshal` can store, so that the launcher reads it with built-in modules alone:

    env      {name: value or None}        variables that the result depends on
    guarded  (name, ...)                  all variables of cargo's that were set: a new one makes it stale
    path     str                          PATH, and
    which    {program: path or None}      what it gave for the programs that matter
    files    {path: (signature, digest)}  None, None for a file that must stay absent
    trees    {directory: (rule, {directory: signature}, (name, ...))}
    outputs  {path: (signature, digest)}  programs and libraries that the user gets
    left     {path: (signature, digest)}  other files that a run has left
    units    {path: (mtime, size, inode)} what cargo keeps between builds
    tools    {path: (mtime, size, inode)} programs and libraries of toolchains, known by stamp as cargo knows them
    always   str                          why cargo would work on every call, or ""
    seen     [[kind, subject, state, own]] what an observed run depended on

Signatures and digests are those of `fingerprint`, rules those of `dir_listing`, rows of `seen` those of that module.

This module knows nothing of cargo, receipts or doit, and imports nothing that costs start-up time.
"""

from __future__ import annotations

import os

from doit_cargo.engine.base.plain_text import HIDDEN
from doit_cargo.engine.base.secrets import kept_value, shown_digest
from doit_cargo.engine.state.fingerprint import UNKNOWN, digest, is_runnable, settle_all, settled, signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    State = dict[str, Any]

GUARDED_PREFIXES = ("CARGO", "RUST")
# Variables that never change what cargo builds (facts of the differential test in tests/).
UNGUARDED_PREFIXES = ("CARGO_TERM_", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_CACHE_")
HOME = "HOME" if os.name != "nt" else "USERPROFILE"
UNGUARDED = frozenset(
    {
        "CARGO",
        "CARGO_BUILD_JOBS",
        "CARGO_LOG",
        "CARGO_MAKEFLAGS",
        "RUSTUP_AUTO_INSTALL",
        "RUSTUP_LOG",
        "RUSTUP_TERM_COLOR",
        "RUST_BACKTRACE",
        "RUST_LIB_BACKTRACE",
        "RUST_LOG",
    }
)


class Change:
    """One difference between a state and the world: what it is, and both values as text."""

    __slots__ = ("kind", "new", "old", "subject")

    def __init__(self, kind: str, subject: str, old: str = "", new: str = "") -> None:
        self.kind = kind
        self.subject = subject
        self.old = old
        self.new = new

    def __str__(self) -> str:
        difference = difference_of(self.kind, self.old, self.new)
        return f"{self.kind} {self.subject}: {difference}" if difference else f"{self.kind} {self.subject}"


def difference_of(kind: str, old: str, new: str) -> str:
    """Return what it was and what it is; of two values that must not be shown, that they differ."""
    if kind not in ("env", "tool", "argument"):
        return new
    return "changed" if old == new == HIDDEN else f"{old or 'unset'} -> {new or 'unset'}"


def public_value(name: str, value: str | None) -> str | None:
    """Return a variable's value as it may be kept: what not everybody may see becomes a digest."""
    return value if value is None else kept_value(name, value)


def guarded_names(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that are set and can change what cargo does: CARGO*, RUST*, and what leads to its home."""
    names = [
        name
        for name in environ
        if name.startswith(GUARDED_PREFIXES) and name not in UNGUARDED and not name.startswith(UNGUARDED_PREFIXES)
    ]
    if HOME in environ and not (environ.get("CARGO_HOME") and environ.get("RUSTUP_HOME")):
        names.append(HOME)  # cargo's and rustup's folders lie below
    return tuple(sorted(names))


def which(program: str, path: str) -> str | None:
    """Return the file that PATH gives for `program`, or None. Like `shutil.which`, without its imports."""
    suffixes = ("",) if os.name != "nt" else tuple(os.environ.get("PATHEXT", ".EXE").split(";"))
    for directory in path.split(os.pathsep):
        for suffix in suffixes:
            candidate = os.path.join(directory or ".", program + suffix)
            if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
                return candidate
    return None


class Check:
    """One comparison of a state with the world. `refreshed` tells that signatures of equal content were renewed."""

    __slots__ = ("environ", "now", "refreshed", "state")

    def __init__(self, state: State, environ: Mapping[str, str], now_ns: int) -> None:
        self.state = state
        self.environ = environ
        self.now = now_ns
        self.refreshed = False

    def changes(self) -> Iterator[Change]:
        """Yield each difference, cheapest questions first. Nothing yielded = the state is true."""
        if self.state["always_stale_reason"]:
            yield Change("always", "cargo", "", self.state["always_stale_reason"])
        yield from self._environment()
        yield from self._programs()
        yield from self._stamps("tools", "program")
        yield from self._contents("files", "file")
        yield from self._trees()
        yield from self._contents("outputs", "output")
        yield from self._contents("left", "output")
        yield from self._stamps("units", "artefact")
        if self.state["seen"]:
            yield from self._seen()

    def _environment(self) -> Iterator[Change]:
        for name, old in self.state["env"].items():
            new = public_value(name, self.environ.get(name))
            if new != old:
                yield Change("env", name, *(_shown(value) for value in (old, new)))
        guarded = self.state["guarded"]
        for name in guarded_names(self.environ):
            if name not in guarded and name not in self.state["env"]:
                yield Change("env", name, "", _shown(public_value(name, self.environ[name])))

    def _programs(self) -> Iterator[Change]:
        path = self.environ.get("PATH", "")
        same = True
        for program, old in self.state["which"].items():
            if path == self.state["path"] and old is not None:
                continue  # one that was missing may have come since
            new = which(program, path)
            if new != old:
                same = False
                yield Change("tool", program, old or "", new or "")
        if same and path != self.state["path"]:
            self.state["path"] = path
            self.refreshed = True

    def _contents(self, part: str, kind: str) -> Iterator[Change]:
        table = self.state[part]
        stat = os.stat
        for path, (old, content) in table.items():
            try:
                found = stat(path)
            except OSError:
                if content is not None:
                    yield Change(kind, path, "", "deleted")
                continue
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns)
            if stamp == old:
                continue
            if content is None:
                yield Change(kind, path, "", "new")
            elif part == "outputs" and not is_runnable(path, found.st_mode):
                yield Change(kind, path, "", "not executable")
            elif content != UNKNOWN and digest(path) == content:
                table[path] = (settled(stamp, self.now), content)
                self.refreshed = True
            else:
                yield Change(kind, path, "", "changed")

    def _trees(self) -> Iterator[Change]:
        for directory, (rule, stamps, names) in self.state["trees"].items():
            if names is None:
                yield Change("listing", directory, "", "changed while cargo ran")
                continue
            if all(stamp is not None and signature(path) == stamp for path, stamp in stamps.items()):
                continue
            from doit_cargo.engine.state.dir_listing import TooLarge, list_tree

            try:
                now_stamps, now_names = list_tree(directory, rule)
            except TooLarge:
                yield Change("listing", directory, "", "holds too much to be looked through")
                continue
            if now_names != names:
                yield Change("listing", directory, "", _listing_text(names, now_names))
                continue
            self.state["trees"][directory] = (rule, settle_all(now_stamps, self.now), names)
            self.refreshed = True

    def _seen(self) -> Iterator[Change]:
        from doit_cargo.engine.state import seen

        rows = self.state["seen"]
        before = [row[2] for row in rows]
        yield from seen.changes(rows, seen.World(self.environ))
        self.refreshed = self.refreshed or any(row[2] is not old for row, old in zip(rows, before, strict=True))

    def _stamps(self, part: str, kind: str) -> Iterator[Change]:
        stat = os.stat
        for path, old in self.state[part].items():
            try:
                found = stat(path)
            except OSError:
                yield Change(kind, path, "", "deleted")
                continue
            if (found.st_mtime_ns, found.st_size, found.st_ino) != old:
                yield Change(kind, path, "", "changed")


def _shown(value: str | None) -> str:
    return "" if value is None else shown_digest(value) or '""'


def _listing_text(old: tuple[str, ...], new: tuple[str, ...]) -> str:
    added = [name for name in new if name not in old]
    removed = [name for name in old if name not in new]
    return ", ".join([f"{name} added" for name in added[:3]] + [f"{name} removed" for name in removed[:3]]) or "changed"
