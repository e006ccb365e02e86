"""The graph: from features that are asked for to everything that they turn on. Pure.

Nodes are packages whose manifests are known: the members and, where cargo can tell, their dependencies. Of any other
dependency only the features that are asked of it are known.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from itertools import chain

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.model import Dependency, Package, Workspace

DEFAULT = "default"
RECENT = 16


class FeatureState(NamedTuple):
    """What is on. `features`: package -> features; `outside`: the same of packages whose manifests are not known, by
    the name that a dependent gives them.
    """

    features: Mapping[str, frozenset[str]] = {}
    outside: Mapping[str, frozenset[str]] = {}

    def of(self, package: str) -> frozenset[str]:
        return self.features.get(package, frozenset())

    def minus(self, other: FeatureState) -> FeatureState:
        """Return what is on here and not there; a package that is there at all keeps its place, with no feature."""
        return FeatureState(_minus(self.features, other.features), _minus(self.outside, other.outside))


def _minus(mine: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    pairs = ((name, features - other.get(name, frozenset())) for name, features in mine.items())
    return {name: features for name, features in pairs if features or name not in other}


class Node(NamedTuple):
    """A package as it is compiled: for the target, or for the host, where build scripts and macros run."""

    package: str
    for_host: bool = False


class Manner(NamedTuple):
    """How features spread. Plainly: of all targets, whether for the host or not; `tests` adds what tests depend on.

    `apart` is cargo's resolver 2 and later: host and target have features of their own, and tables of other targets
    than `triple` (for the host `host`) do not count.
    """

    tests: bool = False
    apart: bool = False
    triple: str = ""
    host: str = ""

    def counts(self, dependency: Dependency, for_host: bool) -> bool:
        """Tell whether the target table that a dependency stands in is one that is built."""
        if not dependency.target:
            return True
        from doit_cargo.engine.cargo.config.target_cfg import applies

        return applies(dependency.target, self.host if for_host else self.triple)


class FeatureGraph:
    """The packages and how they lead to each other."""

    def __init__(self, packages: Mapping[str, Package], members: Iterable[str]) -> None:
        self.packages = packages
        self.members = tuple(members)
        # One feature after the other of a package is compared with the same beginning, and goes on from there.
        self._turn_on = lru_cache(maxsize=RECENT)(self._state)
        self._begun = lru_cache(maxsize=RECENT)(self._taken)
        self.edges = lru_cache(maxsize=None)(self._edges)
        self._by_folder = {os.path.normcase(package.directory): name for name, package in packages.items()}

    @classmethod
    def of(cls, workspace: Workspace, others: Iterable[Package] = ()) -> FeatureGraph:
        """Return the graph of a workspace; `others` are packages outside it whose manifests are known."""
        packages = {package.name: package for package in others} | dict(workspace.packages)
        return cls(packages, workspace.packages)

    def target_of(self, dependency: Dependency) -> str:
        """Return the package that a dependency leads to, empty where its manifest is not known."""
        if dependency.path:
            return self._by_folder.get(os.path.normcase(os.path.normpath(dependency.path)), "")
        name = dependency.package_name
        return name if name in self.packages and name not in self.members else ""

    def _edges(self, node: Node, tested: bool, manner: Manner) -> dict[str, list[Dependency]]:
        """Return the dependencies whose features count, by their names; those of tests only where tests are built."""
        found: dict[str, list[Dependency]] = {}
        for edge in self.packages[node.package].dependencies:
            if (edge.kind != "dev" or tested) and (not manner.apart or manner.counts(edge, node.for_host)):
                found.setdefault(edge.name, []).append(edge)
        return found

    def turn_on(
        self, packages: Iterable[str], features: Iterable[str] = (), default: bool = True, tests: bool = False
    ) -> FeatureState:
        """Return everything that is on when these packages are built with these features, on any target.

        A feature counts for each of the packages that has it; ``PACKAGE/FEATURE`` for that one, or for a dependency.
        With `tests`, the dependencies of the packages' tests take part.
        """
        return self._turn_on(tuple(packages), tuple(features), default, tests)

    def _state(self, roots: tuple[str, ...], wanted: tuple[str, ...], default: bool, tests: bool) -> FeatureState:
        return self.walked(roots, wanted, default, Manner(tests)).state()

    def walked(self, roots: Iterable[str], wanted: Iterable[str], default: bool, manner: Manner) -> Walk:
        """Return where features have spread, package by package."""
        names = tuple(roots)
        walk = self._begun(names, default, manner).copy()
        asked = list(wanted)
        for node in (node for name in names for node in self.starts(name, manner)):
            for feature in asked:
                if "/" in feature or feature in self.packages[node.package].features:
                    walk.ask(node, feature)
        walk.finish()
        return walk

    def _taken(self, roots: tuple[str, ...], default: bool, manner: Manner) -> Walk:
        starts = [node for name in roots for node in self.starts(name, manner)]
        walk = Walk(self, frozenset(starts), manner)
        for node in starts:
            walk.take(node, default)
        walk.finish()
        return walk

    def starts(self, name: str, manner: Manner) -> list[Node]:
        """Return what a selected package is compiled as: a macro runs on the host, its tests on the target."""
        return [Node(name), Node(name, True)] if manner.apart and self.is_macro(name) else [Node(name)]

    def is_macro(self, name: str) -> bool:
        return any("proc-macro" in target.kinds for target in self.packages[name].cargo_targets)

    def effects(self, package: str, feature: str) -> FeatureState:
        """Return what one feature of a package adds to the package as it is by default."""
        return self.turn_on((package,), (feature,)).minus(self.turn_on((package,)))


class Walk:
    """One spreading of features, until nothing more turns on. Steps wait in a row: a chain may be of any length.

    `on`: features; `outside`: those asked of packages whose manifests are not known, by the dependency's name;
    `activated`: the optional dependencies of each package that take part.
    """

    def __init__(self, graph: FeatureGraph, roots: frozenset[Node], manner: Manner) -> None:
        self.graph = graph
        self.roots = roots
        self.manner = manner
        self.on: dict[Node, set[str]] = {}
        self.outside: dict[tuple[Node, str], set[str]] = {}
        self.activated: set[tuple[Node, str]] = set()
        self._weak: set[tuple[Node, str, str]] = set()
        self._waiting: deque[Callable[[], None]] = deque()

    def copy(self) -> Walk:
        """Return the same point of a finished walk, to go on from: features only ever turn more on."""
        walk = Walk(self.graph, self.roots, self.manner)
        walk.on = {node: set(features) for node, features in self.on.items()}
        walk.outside = {key: set(features) for key, features in self.outside.items()}
        walk.activated, walk._weak = set(self.activated), set(self._weak)
        return walk

    def state(self) -> FeatureState:
        outside = [(name, features) for (_, name), features in self.outside.items()]
        return FeatureState(_merged((node.package, features) for node, features in self.on.items()), _merged(outside))

    def take(self, node: Node, default: bool) -> None:
        """Make a package part of the build, with the dependencies that are always there."""
        self._waiting.append(partial(self._take, node))
        if default:
            self.ask(node, DEFAULT)

    def ask(self, node: Node, feature: str) -> None:
        """Turn a feature of a package on: its own, ``dep:NAME``, ``NAME/FEATURE`` or ``NAME?/FEATURE``."""
        self._waiting.append(partial(self._ask, node, feature))

    def finish(self) -> None:
        """Do everything that waits; then apply weak features to dependencies that came in by other ways."""
        while True:
            while self._waiting:
                self._waiting.popleft()()
            ready = [(node, edge, feature) for node, edge, feature in self._weak if (node, edge) in self.activated]
            if not ready:
                return
            self._weak.difference_update(ready)
            for node, dependency, feature in ready:
                self._spread(node, dependency, feature)

    def edges(self, node: Node) -> Iterable[Dependency]:
        """Return the dependencies whose features count; those of tests only where tests are built."""
        return chain.from_iterable(self._by_name(node).values())

    def _by_name(self, node: Node) -> dict[str, list[Dependency]]:
        return self.graph.edges(node, self.manner.tests and node in self.roots, self.manner)

    def leads_to(self, node: Node, edge: Dependency) -> Node | None:
        """Return the package that a dependency leads to, if its manifest is known."""
        target = self.graph.target_of(edge)
        if not target:
            return None
        own_host = edge.kind == "build" or self.graph.is_macro(target)
        return Node(target, self.manner.apart and (node.for_host or own_host))

    def _take(self, node: Node) -> None:
        if node not in self.on:
            self.on[node] = set()
            for dependency in self.edges(node):
                if not dependency.optional:
                    self._enter(node, dependency)

    def _ask(self, node: Node, feature: str) -> None:
        table = self.graph.packages[node.package].features
        if feature.startswith("dep:"):
            self._activate(node, feature.removeprefix("dep:"))
        elif "/" in feature:
            self._ask_dependency(node, *feature.split("/", 1))
        elif feature in table and feature not in self.on[node]:
            self.on[node].add(feature)
            for entry in table[feature]:
                self.ask(node, entry)

    def _ask_dependency(self, node: Node, dependency: str, feature: str) -> None:
        if dependency == node.package and not self._named(node, dependency):
            self.ask(node, feature)  # PACKAGE/FEATURE of a command line
            return
        if dependency.endswith("?"):
            self._spread(node, dependency[:-1], feature)
            return
        self._activate(node, dependency)
        if any(edge.optional for edge in self._named(node, dependency)):
            self.ask(node, dependency)  # an optional dependency without `dep:` is a feature too
        self._spread(node, dependency, feature)

    def _activate(self, node: Node, dependency: str) -> None:
        if (node, dependency) not in self.activated:
            self.activated.add((node, dependency))
            for edge in self._named(node, dependency):
                self._enter(node, edge)

    def _named(self, node: Node, dependency: str) -> list[Dependency]:
        return self._by_name(node).get(dependency, [])

    def _enter(self, node: Node, edge: Dependency) -> None:
        target = self.leads_to(node, edge)
        if not target:
            self.outside.setdefault((node, edge.name), set()).update(edge.features)
            return
        self.take(target, edge.default_features)
        for feature in edge.features:
            self.ask(target, feature)

    def _spread(self, node: Node, dependency: str, feature: str) -> None:
        """Turn on a feature of a dependency; of an optional one that does not take part, as soon as it does."""
        for edge in self._named(node, dependency):
            target = self.leads_to(node, edge)
            if edge.optional and (node, dependency) not in self.activated:
                self._weak.add((node, dependency, feature))
            elif target:
                self.take(target, default=False)
                self.ask(target, feature)
            else:
                self.outside.setdefault((node, dependency), set()).add(feature)


def _merged(pairs: Iterable[tuple[str, set[str]]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, features in pairs:
        found[name] = found.get(name, frozenset()) | features
    return found
