"""The graph: from features that are asked for to everything that they turn on. Pure.

Nodes are packages whose manifests are known: the members and, where cargo can tell, their dependencies. Of any other
dependency only the features that are asked of it are known.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.model import Dependency, Package, Workspace

DEFAULT = "default"
RECENT = 16


class State(NamedTuple):
    """What is on. `features`: package -> features; `outside`: the same of packages whose manifests are not known, by
    the name that a dependent gives them.
    """

    features: Mapping[str, frozenset[str]] = {}
    outside: Mapping[str, frozenset[str]] = {}

    def of(self, package: str) -> frozenset[str]:
        return self.features.get(package, frozenset())

    def minus(self, other: State) -> State:
        """Return what is on here and not there; a package that is there at all keeps its place, with no feature."""
        return State(_minus(self.features, other.features), _minus(self.outside, other.outside))


def _minus(mine: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    pairs = ((name, features - other.get(name, frozenset())) for name, features in mine.items())
    return {name: features for name, features in pairs if features or name not in other}


class Graph:
    """The packages and how they lead to each other."""

    def __init__(self, packages: Mapping[str, Package], members: Iterable[str]) -> None:
        self.packages = packages
        self.members = tuple(members)
        # One feature after the other of a package is compared with the same beginning.
        self._turn_on = lru_cache(maxsize=RECENT)(self._walked)
        self._by_folder = {os.path.normcase(package.directory): name for name, package in packages.items()}

    @classmethod
    def of(cls, workspace: Workspace, others: Iterable[Package] = ()) -> Graph:
        """Return the graph of a workspace; `others` are packages outside it whose manifests are known."""
        packages = {package.name: package for package in others} | dict(workspace.packages)
        return cls(packages, workspace.packages)

    def target_of(self, dependency: Dependency) -> str:
        """Return the package that a dependency leads to, empty where its manifest is not known."""
        if dependency.path:
            return self._by_folder.get(os.path.normcase(os.path.normpath(dependency.path)), "")
        return dependency.name if dependency.name in self.packages and dependency.name not in self.members else ""

    def turn_on(
        self, packages: Iterable[str], features: Iterable[str] = (), default: bool = True, tests: bool = False
    ) -> State:
        """Return everything that is on when these packages are built with these features.

        A feature counts for each of the packages that has it; ``PACKAGE/FEATURE`` for that one, or for a dependency.
        With `tests`, the dependencies of the packages' tests take part.
        """
        return self._turn_on(tuple(packages), tuple(features), default, tests)

    def _walked(self, roots: tuple[str, ...], wanted: tuple[str, ...], default: bool, tests: bool) -> State:
        walk = _Walk(self, frozenset(roots) if tests else frozenset())
        for name in roots:
            walk.take(name, default)
        for name in roots:
            for feature in wanted:
                if "/" in feature or feature in self.packages[name].features:
                    walk.ask(name, feature)
        walk.finish()
        return walk.state()

    def effects(self, package: str, feature: str) -> State:
        """Return what one feature of a package adds to the package as it is by default."""
        return self.turn_on((package,), (feature,)).minus(self.turn_on((package,)))


class _Walk:
    """One spreading of features, until nothing more turns on. Steps wait in a row: a chain may be of any length."""

    def __init__(self, graph: Graph, tested: frozenset[str]) -> None:
        self.graph = graph
        self.tested = tested
        self.on: dict[str, set[str]] = {}
        self.outside: dict[str, set[str]] = {}
        self.activated: set[tuple[str, str]] = set()
        self.weak: set[tuple[str, str, str]] = set()
        self.waiting: deque[Callable[[], None]] = deque()

    def state(self) -> State:
        freeze = {name: frozenset(features) for name, features in self.on.items()}
        return State(freeze, {name: frozenset(features) for name, features in self.outside.items()})

    def take(self, name: str, default: bool) -> None:
        """Make a package part of the build, with the dependencies that are always there."""
        self.waiting.append(partial(self._take, name))
        if default:
            self.ask(name, DEFAULT)

    def ask(self, name: str, feature: str) -> None:
        """Turn a feature of a package on: its own, ``dep:NAME``, ``NAME/FEATURE`` or ``NAME?/FEATURE``."""
        self.waiting.append(partial(self._ask, name, feature))

    def finish(self) -> None:
        """Do everything that waits; then apply weak features to dependencies that came in by other ways."""
        while True:
            while self.waiting:
                self.waiting.popleft()()
            ready = [(name, edge, feature) for name, edge, feature in self.weak if (name, edge) in self.activated]
            if not ready:
                return
            self.weak.difference_update(ready)
            for name, dependency, feature in ready:
                self._spread(name, dependency, feature)

    def _take(self, name: str) -> None:
        if name not in self.on:
            self.on[name] = set()
            for dependency in self._edges(name):
                if not dependency.optional:
                    self._activate(name, dependency.name)

    def _ask(self, name: str, feature: str) -> None:
        if feature.startswith("dep:"):
            self._activate(name, feature.removeprefix("dep:"))
        elif "/" in feature:
            self._ask_dependency(name, *feature.split("/", 1))
        elif feature in self.graph.packages[name].features and feature not in self.on[name]:
            self.on[name].add(feature)
            for entry in self.graph.packages[name].features[feature]:
                self.ask(name, entry)

    def _ask_dependency(self, name: str, dependency: str, feature: str) -> None:
        if dependency == name and not any(edge.name == name for edge in self._edges(name)):
            self.ask(name, feature)  # PACKAGE/FEATURE of a command line
            return
        if dependency.endswith("?"):
            self.weak.add((name, dependency[:-1], feature))
            return
        self._activate(name, dependency)
        if dependency in self.graph.packages[name].features:
            self.ask(name, dependency)  # an optional dependency without `dep:` is a feature too
        self._spread(name, dependency, feature)

    def _activate(self, name: str, dependency: str) -> None:
        if (name, dependency) not in self.activated:
            edges = [edge for edge in self._edges(name) if edge.name == dependency]
            if edges:
                self.activated.add((name, dependency))
            for edge in edges:
                self._enter(edge)

    def _enter(self, edge: Dependency) -> None:
        target = self.graph.target_of(edge)
        if not target:
            self.outside.setdefault(edge.name, set()).update(edge.features)
            return
        self.take(target, edge.default_features)
        for feature in edge.features:
            self.ask(target, feature)

    def _spread(self, name: str, dependency: str, feature: str) -> None:
        for edge in self._edges(name):
            if edge.name == dependency:
                target = self.graph.target_of(edge)
                if target:
                    self.take(target, default=False)
                    self.ask(target, feature)
                else:
                    self.outside.setdefault(dependency, set()).add(feature)

    def _edges(self, name: str) -> Iterator[Dependency]:
        """Yield the dependencies of a build; those of tests take part only where tests are built."""
        edges = self.graph.packages[name].dependencies
        return (edge for edge in edges if edge.kind != "dev" or name in self.tested)
