"""The crates that a plan builds: what cargo resolves for exactly its packages, features and target.

One call of ``cargo tree`` answers that, if the sources are downloaded; lock_graph.py answers from Cargo.lock alone.
Knows nothing of what a crate needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from doit_cargo.engine.base.model import Plan
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.preflight.requirements.calls import selection, with_tests
from doit_cargo.engine.preflight.requirements.requirement import CARGO
from doit_cargo.engine.state.trust import may_ask

TREE_SECONDS = 60.0
# Fetching may take long, and is what the build would do anyway.
FETCH_SECONDS = 1800.0

_FORMAT = "\t{p}\t{f}"


@dataclass(frozen=True, slots=True)
class Crate:
    """One crate of a build. `chain` leads from a package that was asked for to the crate, both included.

    `features` are those that are on; where `certain` is false (only the lock was there), those that are known to be.
    `surely` is false of what stands in the lock below a crate whose manifest is not here: it may be off.
    """

    name: str
    version: str
    features: frozenset[str] = frozenset()
    chain: tuple[str, ...] = ()
    directory: str = ""
    certain: bool = True
    surely: bool = True


@dataclass(frozen=True, slots=True)
class CrateGraph:
    """The crates of a plan and who depends on whom, by name. `basis` is CARGO, or LOCK with `why` there is no better.

    `asked` are all feature names that the members have on or ask of others: what the lock alone cannot place.
    `in_scripts` are crates that build scripts are compiled with, so that they may be called while building;
    `of_scripts` names those packages whose manifest asks for one of them: "" is one whose sources nobody knows.
    """

    crates: tuple[Crate, ...]
    below: Mapping[str, frozenset[str]] = field(default_factory=dict)
    basis: str = CARGO
    why: str = ""
    asked: frozenset[str] = frozenset()
    in_scripts: frozenset[str] = frozenset()
    of_scripts: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def dependencies(self, name: str) -> frozenset[str]:
        return self.below.get(name, frozenset())

    def dependants(self, name: str) -> tuple[str, ...]:
        return tuple(other for other, names in self.below.items() if name in names)


class Refusal(NamedTuple):
    """Why cargo does not tell."""

    error: str

    @property
    def sources_missing(self) -> bool:
        """Cargo names a crate or a git repository that it would have to download."""
        return bool(re.search(r"--offline|offline mode|failed to (?:download|get)|unable to update", self.error))

    @property
    def lock_stale(self) -> bool:
        """Cargo would have to write Cargo.lock first (its texts before and after 1.90)."""
        return "--locked was passed" in self.error

    @property
    def first_line(self) -> str:
        lines = [line.strip() for line in self.error.splitlines() if line.strip()]
        return next((line.removeprefix("error: ") for line in lines if line.startswith("error")), "".join(lines[:1]))


def from_cargo(
    plan: Plan, directory: str, environ: Mapping[str, str], *, fetch: bool = False, locked: bool = True
) -> CrateGraph | Refusal:
    """Return the crates as cargo resolves them; a `Refusal` with its error if it cannot.

    Offline nothing is downloaded or written. `fetch` lets cargo download what the plan's own command would.
    """
    answer = _ask_tree(plan, directory, environ, fetch, locked)
    return _parse(answer.out) if answer.ok else Refusal(answer.err or f"cargo tree ended with {answer.status}")


def _ask_tree(plan: Plan, directory: str, environ: Mapping[str, str], fetch: bool, locked: bool) -> processes.Answer:
    chosen = selection(plan)
    toolchain = [word for word in chosen[:1] if word.startswith("+")]
    kinds = "normal,build,dev" if with_tests(plan.invocation.argv) else "normal,build"
    argv = ["cargo", *toolchain, "tree", *chosen[len(toolchain) :], "--edges", kinds, "--prefix", "indent"]
    argv += ["--charset", "ascii", "--format", _FORMAT, "--color", "never"]
    argv += [] if fetch else ["--offline"]
    argv += ["--locked"] if locked else []
    # A wrapper that is missing would fail this question too, and has a check of its own.
    seen = {**environ, "RUSTC_WRAPPER": "", "RUSTC_WORKSPACE_WRAPPER": "", "CARGO_TERM_PROGRESS_WHEN": "never"}
    if not may_ask("cargo", directory, environ):
        return processes.Answer(tuple(argv), 126, "", "PATH leads to a cargo of this checkout, which is not trusted")
    return processes.answer(argv, seen, FETCH_SECONDS if fetch else TREE_SECONDS, directory)


# "|-- " or "`-- " stands before each level below a root; a section such as [build-dependencies] before its entries.
_INDENT = 4
_LINE = re.compile(r"^([|` -]*)\t(\S+) v(\S+)(?: \(.*\))?\t(\S*)")
_SECTION = re.compile(r"^([| ]*)\[(build|dev)-dependencies\]$")
_PATH = re.compile(r"\(((?:/|[A-Za-z]:\\)[^()]*)\)")


class _Tree:
    """The tree as it is read: each crate once for each set of features, the edges between names, and their kinds."""

    def __init__(self) -> None:
        self.crates: dict[tuple[str, str, frozenset[str]], Crate] = {}
        self.below: dict[str, set[str]] = {}
        self.of_scripts: dict[str, set[str]] = {}
        self._trail: list[str] = []
        self._sections: dict[int, str] = {}

    def read(self, line: str) -> None:
        section, entry = _SECTION.match(line), _LINE.match(line)
        if section:
            self._sections[len(section[1]) // _INDENT] = section[2]
        elif entry:
            features = frozenset(filter(None, entry[4].split(",")))
            path = _PATH.search(line)
            self._enter(len(entry[1]) // _INDENT, entry[2], entry[3], features, path[1] if path else "")

    def _enter(self, depth: int, name: str, version: str, features: frozenset[str], directory: str) -> None:
        del self._trail[depth:]
        self._sections = {level: kind for level, kind in self._sections.items() if level < depth}
        if self._trail:
            self.below.setdefault(self._trail[-1], set()).add(name)
            if self._sections.get(depth - 1) == "build":
                self.of_scripts.setdefault(name, set()).add(self._trail[-1])
        self._trail.append(name)
        crate = Crate(name, version, features, tuple(self._trail), directory)
        known = self.crates.get((name, version, features))
        if known is None or len(crate.chain) < len(known.chain):
            self.crates[name, version, features] = crate


def _parse(text: str) -> CrateGraph:
    tree = _Tree()
    for line in text.splitlines():
        tree.read(line)
    below = {name: frozenset(names) for name, names in tree.below.items()}
    users = {name: frozenset(names) for name, names in tree.of_scripts.items()}
    return CrateGraph(tuple(tree.crates.values()), below, in_scripts=closure(users, below), of_scripts=users)


def closure(names: Iterable[str], below: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """Return the names and all that is below them."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(below.get(name, ()))
    return frozenset(found)
