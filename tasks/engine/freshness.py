"""Is a recorded state still true? One walk over it, with two readers: the skip and `why`.

A *state* is a plain dict that `marshal` can store, so that the launcher reads it with built-in modules alone:

    env      {name: value or None}        variables that the result depends on
    guarded  (name, ...)                  all CARGO*/RUST* variables that were set: a new one makes it stale
    path     str                          PATH, and
    which    {program: path or None}      what it gave for the programs that matter
    files    {path: (signature, digest)}  None, None for a file that must stay absent
    trees    {directory: (rule, {directory: signature}, (name, ...))}
    outputs  {path: (signature, digest)}  programs and libraries that the user gets
    left     {path: (signature, digest)}  other files that a run has left
    units    {path: (mtime, size, inode)} what cargo keeps between builds
    tools    {path: (mtime, size, inode)} programs and libraries of toolchains, known by stamp as cargo knows them
    always   str                          why cargo would work on every call, or ""

A signature is (mtime_ns, size, inode, ctime_ns); the ctime moves with every write, also where a tool sets the
mtime back, so an equal signature proves equal content. Where it differs the content decides: a touch costs a
hash, not a build. A signature of None is not trusted (the file was too young when it was recorded).

This module knows nothing of cargo, receipts or doit, and imports nothing that costs start-up time.
"""

from __future__ import annotations

import os

from doit_cargo.engine.secrets import is_secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Stamp = tuple[int, int, int, int]
    Rule = tuple[str, ...]
    Stamps = dict[str, Stamp | None]
    State = dict[str, Any]

# A file changed within one tick of the clock that stamps it may change again unseen (git calls it "racily clean").
TICK_NS = 50_000_000
COARSE_TICK_NS = 2_000_000_000
UNKNOWN = b"changed while it was read"

GUARDED_PREFIXES = ("CARGO", "RUST")
# Variables that never change what cargo builds (facts of the differential test in tests/).
UNGUARDED_PREFIXES = ("CARGO_TERM_", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_CACHE_")
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
MATCHING = "matching"
SOURCES = "sources"
MODULE = "module"
# What Python's tools leave beside sources; a folder with a pyvenv.cfg is one more of them.
LEFTOVERS = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox", ".nox", "node_modules"})
SKIPPED_DIRECTORIES = frozenset({".git", ".hg", ".jj", ".doit-cargo", ".logs", ".testlogs"})


class Change:
    """One difference between a state and the world: what it is, and both values as text."""

    __slots__ = ("kind", "new", "old", "subject")

    def __init__(self, kind: str, subject: str, old: str = "", new: str = "") -> None:
        self.kind = kind
        self.subject = subject
        self.old = old
        self.new = new

    def __str__(self) -> str:
        if self.kind in ("env", "tool", "argument"):
            return f"{self.kind} {self.subject}: {self.old or 'unset'} -> {self.new or 'unset'}"
        return f"{self.kind} {self.subject}: {self.new}" if self.new else f"{self.kind} {self.subject}"


def signature(path: str) -> Stamp | None:
    """Return (mtime_ns, size, inode, ctime_ns) of what `path` leads to, or None if there is nothing."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns)


def settled(stamp: Stamp | None, now_ns: int) -> Stamp | None:
    """Return `stamp` if a later write must show in it, else None.

    Windows reports a creation time as ctime, so that nothing but the content proves anything there.
    """
    if stamp is None or os.name == "nt":
        return None
    return stamp if changed_before(stamp, now_ns) else None


def changed_before(stamp: Stamp, moment_ns: int) -> bool:
    """Tell whether the last write that `stamp` shows was surely before `moment_ns`."""
    changed = stamp[0] if os.name == "nt" else stamp[3]
    tick = COARSE_TICK_NS if changed % 1_000_000_000 == 0 else TICK_NS
    return changed + tick < moment_ns


def digest(path: str) -> bytes | None:
    """Return the BLAKE2b of a file, b"directory", or None where there is nothing to read."""
    import hashlib

    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).digest()
    except IsADirectoryError:
        return b"directory"
    except OSError:
        return None


def is_runnable(path: str, mode: int) -> bool:
    """Tell whether a program has its executable bit; libraries and Windows need none."""
    return bool(mode & 0o111) or os.name == "nt" or path.endswith((".a", ".so", ".dylib", ".rlib", ".lib"))


def public_value(name: str, value: str | None) -> str | None:
    """Return a variable's value as it may be stored and shown: a secret becomes a fingerprint."""
    if value is None or not is_secret(name):
        return value
    import hashlib

    return "hidden:" + hashlib.blake2b(value.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def guarded_names(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the CARGO*/RUST* variables that are set and can change what cargo does."""
    return tuple(
        sorted(
            name
            for name in environ
            if name.startswith(GUARDED_PREFIXES) and name not in UNGUARDED and not name.startswith(UNGUARDED_PREFIXES)
        )
    )


def which(program: str, path: str) -> str | None:
    """Return the file that PATH gives for `program`, or None. Like `shutil.which`, without its imports."""
    suffixes = ("",) if os.name != "nt" else tuple(os.environ.get("PATHEXT", ".EXE").split(";"))
    for directory in path.split(os.pathsep):
        for suffix in suffixes:
            candidate = os.path.join(directory or ".", program + suffix)
            if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
                return candidate
    return None


def list_tree(directory: str, rule: Rule) -> tuple[Stamps, tuple[str, ...]]:
    """Return ({directory: signature}, names) of what `rule` sees below `directory`.

    Rules: ("watched",) every file; ("package", TARGET_DIRECTORY) every file but those of nested packages and
    of the target directory; ("targets",) auto-discovered cargo targets (x.rs, y/main.rs); ("only", NAME, ...)
    whether these names exist; ("globs", PATTERN, ...) directories with a manifest that a `members` pattern matches;
    ("matching", TARGET_DIRECTORY, PATTERN, ...) files below whose path fits a pattern (`fits`), but for the target
    directory; ("sources", TARGET_DIRECTORY, ENDING, ...) files below whose name ends so, but for directories that
    hold no sources (`holds_sources`); ("module", TARGET_DIRECTORY) those of "package" but for what Python
    leaves.
    """
    kind = rule[0]
    if kind == "only":
        return {directory: signature(directory)}, tuple(
            name for name in rule[1:] if os.path.lexists(os.path.join(directory, name))
        )
    if kind == "targets":
        return _list_targets(directory)
    if kind == "globs":
        found = [_list_glob(directory, pattern) for pattern in rule[1:]]
        stamps = {path: stamp for one, _ in found for path, stamp in one.items()}
        return stamps, tuple(sorted({name for _, names in found for name in names}))
    if kind == SOURCES:
        return _list_sources(directory, rule[1], rule[2:])
    if kind == MATCHING:
        stamps, names = _list_files(directory, rule[1], skip_packages=False)
        return stamps, tuple(name for name in names if fits(name, rule[2:]))
    skipped = LEFTOVERS if kind == MODULE else frozenset()
    of_package = kind in ("package", MODULE)
    return _list_files(directory, rule[1] if of_package else "", of_package, skipped)


def holds_sources(directory: str, name: str) -> bool:
    """Tell whether a folder may hold what people write: no hidden one, no cache, no virtual environment."""
    if name.startswith(".") or name in ("node_modules", "__pycache__"):
        return False
    path = os.path.join(directory, name)
    # Cargo marks target directories with the first (bford.info/cachedir), Python environments with the second.
    return not any(os.path.lexists(os.path.join(path, mark)) for mark in ("CACHEDIR.TAG", "pyvenv.cfg"))


def _list_sources(top: str, excluded: str, endings: tuple[str, ...]) -> tuple[Stamps, tuple[str, ...]]:
    stamps, names = {}, []
    for directory, below, files in os.walk(top):
        stamps[directory] = signature(directory)
        below[:] = sorted(
            name for name in below if os.path.join(directory, name) != excluded and holds_sources(directory, name)
        )
        names += [
            os.path.relpath(os.path.join(directory, name), top) for name in sorted(files) if name.endswith(endings)
        ]
    return stamps, tuple(names)


def fits(name: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a relative path fits a pattern: ``*`` and ``?`` stop at a slash, ``**/`` stands for any folders.

    >>> fits("a/b/c.rs", ("**/*.rs",)), fits("c.rs", ("**/*.rs",)), fits("a/c.rs", ("*.rs",))
    (True, True, False)
    """
    import re

    path = name.replace(os.sep, "/")
    return any(re.fullmatch(_expression(pattern), path) for pattern in patterns)


def _expression(pattern: str) -> str:
    import re

    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    words = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return "".join(parts.get(word) or re.escape(word) for word in words)


def _list_targets(directory: str) -> tuple[Stamps, tuple[str, ...]]:
    stamps: Stamps = {directory: signature(directory)}
    names: list[str] = []
    for name in _names(directory):
        path = os.path.join(directory, name)
        if name.endswith(".rs"):
            names.append(name)
        elif os.path.isdir(path):
            stamps[path] = signature(path)
            if os.path.exists(os.path.join(path, "main.rs")):
                names.append(name + "/main.rs")
    return stamps, tuple(names)


def _list_glob(directory: str, pattern: str) -> tuple[Stamps, tuple[str, ...]]:
    import fnmatch

    stamps: Stamps = {}
    level = [directory]
    for part in pattern.replace("\\", "/").strip("/").split("/"):
        following: list[str] = []
        for parent in level:
            if any(mark in part for mark in "*?["):
                stamps[parent] = signature(parent)
                found = (name for name in _names(parent) if fnmatch.fnmatchcase(name, part))
                following += [os.path.join(parent, name) for name in found]
            else:
                following.append(os.path.join(parent, part))
        level = [path for path in following if os.path.isdir(path)]
    stamps.update((path, signature(path)) for path in level)
    return stamps, tuple(path for path in level if os.path.exists(os.path.join(path, "Cargo.toml")))


def _list_files(
    top: str, excluded: str, skip_packages: bool, skipped: frozenset[str] = frozenset()
) -> tuple[Stamps, tuple[str, ...]]:
    stamps: Stamps = {}
    names: list[str] = []
    seen: set[int] = set()
    for directory, below, files in os.walk(top, followlinks=True):
        stamps[directory] = stamp = signature(directory)
        if stamp is None or stamp[2] in seen:
            below.clear()
            continue
        seen.add(stamp[2])
        below[:] = sorted(
            name
            for name in below
            if name not in SKIPPED_DIRECTORIES
            and os.path.join(directory, name) != excluded
            and not (skip_packages and os.path.exists(os.path.join(directory, name, "Cargo.toml")))
            and not (skipped and (name in skipped or os.path.exists(os.path.join(directory, name, "pyvenv.cfg"))))
        )
        names += [os.path.relpath(os.path.join(directory, name), top) for name in sorted(files)]
    return stamps, tuple(names)


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


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
        if self.state["always"]:
            yield Change("always", "cargo", "", self.state["always"])
        yield from self._environment()
        yield from self._programs()
        yield from self._stamps("tools", "program")
        yield from self._contents("files", "file")
        yield from self._trees()
        yield from self._contents("outputs", "output")
        yield from self._contents("left", "output")
        yield from self._stamps("units", "artefact")

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
            now_stamps, now_names = list_tree(directory, rule)
            if now_names != names:
                yield Change("listing", directory, "", _listing_text(names, now_names))
                continue
            self.state["trees"][directory] = (rule, settle_all(now_stamps, self.now), names)
            self.refreshed = True

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


def settle_all(stamps: Stamps, now_ns: int) -> Stamps:
    """Return `stamps` with those that are too young replaced by None."""
    return {path: settled(stamp, now_ns) for path, stamp in stamps.items()}


def _shown(value: str | None) -> str:
    return "" if value is None else value or '""'


def _listing_text(old: tuple[str, ...], new: tuple[str, ...]) -> str:
    added = [name for name in new if name not in old]
    removed = [name for name in old if name not in new]
    return ", ".join([f"{name} added" for name in added[:3]] + [f"{name} removed" for name in removed[:3]]) or "changed"
