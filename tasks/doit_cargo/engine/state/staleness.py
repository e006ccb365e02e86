"""Is a recorded state still true? One walk over it, with two readers: the skip and `why`.

A `State` is plain data that `marshal` can store, so that the launcher reads it with built-in modules alone.
This module knows nothing of cargo, receipts or doit, and imports nothing that costs start-up time.
"""

from __future__ import annotations

import os

from doit_cargo.engine.base.secrets import kept_value, shown_digest
from doit_cargo.engine.state import seen
from doit_cargo.engine.state.change import Change as Change  # noqa: PLC0414 - those who compare states take it from here
from doit_cargo.engine.state.fingerprint import UNKNOWN, digest, is_runnable, settle_all, settled, signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Literal, TypedDict

    from doit_cargo.engine.state.dir_listing import Tree
    from doit_cargo.engine.state.fingerprint import Kept, Mark
    from doit_cargo.engine.state.seen import Absent, Row

    class State(TypedDict):
        """What a result rests on. All that is kept of it can be compared with the world."""

        # Variables that the result depends on; None of one that is unset.
        env: dict[str, str | None]
        # All variables of cargo's that were set: a new one makes it stale.
        guarded: tuple[str, ...]
        # PATH, and what it gave for the programs that matter.
        path: str
        which: dict[str, str | None]
        # None, None for a file that must stay absent.
        files: dict[str, Kept]
        trees: dict[str, Tree]
        # Programs and libraries that the user gets, and other files that a run has left.
        outputs: dict[str, Kept]
        left: dict[str, Kept]
        # What was seen while it was made or ran, and what somebody looked for then in vain (see `seen`).
        seen: list[Row]
        absent: Absent
        # What cargo keeps between builds; programs and libraries of toolchains, known by stamp as cargo knows them.
        units: dict[str, Mark]
        tools: dict[str, Mark]
        # Why cargo would work on every call, or "".
        always_stale_reason: str


GUARDED_PREFIXES = ("CARGO", "RUST")
# Variables that never change what cargo builds (facts of the differential test in tests/).
UNGUARDED_PREFIXES = ("CARGO_PKG_", "CARGO_TERM_", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_CACHE_")
HOME = "HOME" if os.name != "nt" else "USERPROFILE"
UNGUARDED = frozenset(
    {
        "CARGO",
        "CARGO_BUILD_JOBS",
        "CARGO_LOG",
        "CARGO_MAKEFLAGS",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "RUSTUP_AUTO_INSTALL",
        "RUSTUP_LOG",
        "RUSTUP_TERM_COLOR",
        "RUSTUP_TOOLCHAIN_SOURCE",
        "RUST_BACKTRACE",
        "RUST_LIB_BACKTRACE",
        "RUST_LOG",
        "RUST_RECURSION_COUNT",
    }
)


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


def empty(environ: Mapping[str, str], programs: Iterable[str]) -> State:
    """Return a state that knows the environment and nothing else."""
    from doit_cargo.engine.base.paths import which

    return {
        "env": {},
        "guarded": guarded_names(environ),
        "path": environ.get("PATH", ""),
        "which": {program: which(program, environ) or None for program in programs},
        "files": {},
        "trees": {},
        "outputs": {},
        "left": {},
        "seen": [],
        "absent": {},
        "units": {},
        "tools": {},
        "always_stale_reason": "",
    }


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
            from doit_cargo.engine.base.paths import which

            new = which(program, self.environ) or None
            if new != old:
                same = False
                yield Change("tool", program, old or "", new or "")
        if same and path != self.state["path"]:
            self.state["path"] = path
            self.refreshed = True

    def _contents(self, part: Literal["files", "outputs", "left"], kind: str) -> Iterator[Change]:
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
        rows, absent = self.state["seen"], self.state["absent"]
        before = [row[2] for row in rows], list(absent.values())
        yield from seen.came(absent)
        yield from seen.changes(rows, seen.World(self.environ))
        renewed = any(row[2] is not old for row, old in zip(rows, before[0], strict=True))
        self.refreshed = self.refreshed or renewed or list(absent.values()) != before[1]

    def _stamps(self, part: Literal["units", "tools"], kind: str) -> Iterator[Change]:
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
