"""Which files a folder holds, by a rule: what a state records of a folder, and what is listed again when it changed.

Knows nothing of contents, nor of who asks.
"""

from __future__ import annotations

import os

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.state.fingerprint import settle_all, signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from doit_cargo.engine.state.fingerprint import Stamps

    ListingRule = tuple[str, ...]
    # What a rule saw: the directories, and the names; None where they moved meanwhile.
    Tree = tuple[ListingRule, Stamps, tuple[str, ...] | None]

MATCHING = "matching"
SOURCES = "sources"
MODULE = "module"
NAMES, BELOW = "names", "below"
# What Python's tools leave beside sources; a folder with a pyvenv.cfg is one more of them.
LEFTOVERS = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox", ".nox", "node_modules"})
SKIPPED_DIRECTORIES = frozenset({".git", ".hg", ".jj", ".doit-cargo", ".logs", ".testlogs"})

# What holds more is not looked through: whatever rests on it is never skipped, and that is said.
MOST_FILES = 50_000
MOST_BYTES = 4 << 30


class TooLarge(UserError):  # noqa: N818 - a state of a folder, not a fault
    """A folder that is not looked through."""


def too_large(directory: str, what: str) -> TooLarge:
    """Return what to tell of a folder, or of a file, that holds too much."""
    fix = "let the build script name what it reads (cargo::rerun-if-changed), or move the data out of the package"
    return TooLarge(Problem(f"{directory} holds more than {what}, which is not looked through", fix), COULD_NOT_RUN)


def require_readable(directory: str, names: Iterable[str]) -> None:
    """Raise `TooLarge` if these files of a directory are too large to be read as a matter of course."""
    total = 0
    for name in names:
        found = signature(os.path.join(directory, name))
        total += found[1] if found else 0
        if total > MOST_BYTES:
            raise too_large(directory, f"{MOST_BYTES >> 30} GiB")


def list_tree(directory: str, rule: ListingRule) -> tuple[Stamps, tuple[str, ...]]:
    """Return ({directory: signature}, names) of what `rule` sees below `directory`.

    Rules: ("watched",) every file; ("package", TARGET_DIRECTORY, ...) every file but those of nested packages and
    of directories that builds write into; ("targets",) auto-discovered cargo targets (x.rs, y/main.rs);
    ("only", NAME, ...) whether these names exist; ("globs", PATTERN, ...) directories with a manifest that a
    `members` pattern matches; ("matching", TARGET_DIRECTORY, PATTERN, ...) files below whose path fits a pattern
    (`fits`), but for the target directory; ("sources", TARGET_DIRECTORY, ENDING, ...) files below whose name ends so,
    but for directories that hold no sources (`holds_sources`); ("module", TARGET_DIRECTORY, ...) those of "package"
    but for what Python leaves; ("names", NAME, ...) all that a folder holds but for these, ("below", NAME, ...) also in
    folders below. Raises `TooLarge` for a "watched", "package" or "module" of more than MOST_FILES files.
    """
    kind = rule[0]
    if kind in _SHALLOW:
        return _SHALLOW[kind](directory, rule[1:])
    if kind == "globs":
        found = [_list_glob(directory, pattern) for pattern in rule[1:]]
        stamps = {path: stamp for one, _ in found for path, stamp in one.items()}
        return stamps, tuple(sorted({name for _, names in found for name in names}))
    if kind == SOURCES:
        return _list_sources(directory, rule[1], rule[2:])
    if kind == MATCHING:
        return _list_matching(directory, tuple(rule[1].split(os.pathsep)), rule[2:])
    skipped = LEFTOVERS if kind == MODULE else frozenset()
    of_package = kind in ("package", MODULE)
    return _list_files(directory, rule[1:] if of_package else (), of_package, skipped, most=MOST_FILES)


def tree_of(directory: str, rule: ListingRule, now: int) -> Tree:
    """Return what a state keeps of a folder as it is now. Raises `TooLarge`."""
    stamps, names = list_tree(directory, rule)
    return rule, settle_all(stamps, now), names


def _only(directory: str, names: tuple[str, ...]) -> tuple[Stamps, tuple[str, ...]]:
    found = (name for name in names if os.path.lexists(os.path.join(directory, name)))
    return {directory: signature(directory)}, tuple(found)


def _list_names(top: str, without: tuple[str, ...], deep: bool = False) -> tuple[Stamps, tuple[str, ...]]:
    stamps: Stamps = {top: signature(top)}
    names: list[str] = []
    for directory, below, files in os.walk(top):
        stamps[directory] = signature(directory)
        below.sort()
        found = (name for name in (*below, *files) if name not in SKIPPED_DIRECTORIES)
        names += [os.path.relpath(os.path.join(directory, name), top) for name in found]
        if len(names) > MOST_FILES:
            raise too_large(top, f"{MOST_FILES} files")
        if not deep:
            break
    return stamps, tuple(sorted(set(names).difference(without)))


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
    return _matcher(patterns)(name)


def _matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    import re

    expressions = [re.compile(_expression(pattern)) for pattern in patterns]
    return lambda name: any(one.fullmatch(name.replace(os.sep, "/")) for one in expressions)


def _expression(pattern: str) -> str:
    import re

    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    words = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\])", pattern)
    return "".join(parts.get(word) or (_choice(word) if word.startswith("[") else re.escape(word)) for word in words)


def _choice(word: str) -> str:
    """Return ``[a-z]`` or ``[!a-z]`` of a pattern as a regular expression has it."""
    import re

    inner = word[1:-1]
    if not inner:
        return re.escape(word)
    kept = re.escape(inner.removeprefix("!")).replace(r"\-", "-")
    return f"[^/{kept}]" if inner.startswith("!") else f"[{kept}]"


def _list_matching(top: str, excluded: tuple[str, ...], patterns: tuple[str, ...]) -> tuple[Stamps, tuple[str, ...]]:
    """List no deeper than a pattern can reach."""
    anywhere = any("**" in pattern for pattern in patterns)
    deepest = None if anywhere else max((pattern.count("/") for pattern in patterns), default=0)
    stamps, names = _list_files(top, excluded, skip_packages=False, deepest=deepest)
    return stamps, tuple(filter(_matcher(patterns), names))


def _list_targets(directory: str, _: tuple[str, ...] = ()) -> tuple[Stamps, tuple[str, ...]]:
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
            is_pattern = any(mark in part for mark in "*?[")
            if is_pattern or not os.path.isdir(os.path.join(parent, part)):  # which may come
                stamps[parent] = signature(parent)
            if part == "**":
                following += (folder for folder, _, _ in os.walk(parent))
            elif is_pattern:
                found = (name for name in _names(parent) if fnmatch.fnmatchcase(name, part))
                following += [os.path.join(parent, name) for name in found]
            else:
                following.append(os.path.join(parent, part))
        level = [path for path in dict.fromkeys(following) if os.path.isdir(path)]
        stamps.update((path, signature(path)) for path in level if part == "**")
    stamps.update((path, signature(path)) for path in level)
    return stamps, tuple(path for path in level if os.path.exists(os.path.join(path, "Cargo.toml")))


def _list_files(
    top: str,
    excluded: tuple[str, ...],
    skip_packages: bool,
    skipped: frozenset[str] = frozenset(),
    deepest: int | None = None,
    most: int = 0,
) -> tuple[Stamps, tuple[str, ...]]:
    stamps: Stamps = {}
    names: list[str] = []
    seen: set[int] = set()
    for directory, below, files in os.walk(top, followlinks=True):
        if len(names) + len(files) > most > 0:
            raise too_large(top, f"{most} files")
        stamps[directory] = stamp = signature(directory)
        if stamp is None or stamp[2] in seen:
            below.clear()
            continue
        seen.add(stamp[2])
        below[:] = sorted(
            name
            for name in below
            if name not in SKIPPED_DIRECTORIES
            and os.path.join(directory, name) not in excluded
            and not (skip_packages and os.path.exists(os.path.join(directory, name, "Cargo.toml")))
            and not (skipped and (name in skipped or os.path.exists(os.path.join(directory, name, "pyvenv.cfg"))))
        )
        if deepest is not None and _depth(directory, top) >= deepest:
            below.clear()
        names += [os.path.relpath(os.path.join(directory, name), top) for name in sorted(files)]
    return stamps, tuple(names)


def _depth(directory: str, top: str) -> int:
    below = directory[len(top) :].strip(os.sep)
    return below.count(os.sep) + 1 if below else 0


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


_SHALLOW: dict[str, Callable[[str, ListingRule], tuple[Stamps, tuple[str, ...]]]] = {
    "only": _only,
    "targets": _list_targets,
    NAMES: _list_names,
    BELOW: lambda top, without: _list_names(top, without, deep=True),
}
