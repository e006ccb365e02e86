"""What a cargo call compiles of the packages whose manifests are known: with which features, by which dependencies.

As cargo does it: features are resolved first, by the workspace's resolver; then the selected packages lead to what is
compiled. Resolver 1 takes features from dependencies that are not compiled too: of tests, of other targets. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from doit_cargo.engine.base.model import Dependency
from doit_cargo.engine.cargo.resolver.graph import FeatureGraph, Manner, Node, Walk


class Call(NamedTuple):
    """What a call selects. `features` count for each package that has them; `tests` are compiled too."""

    packages: tuple[str, ...]
    features: tuple[str, ...] = ()
    default: bool = True
    every_feature: bool = False
    tests: bool = False
    triple: str = ""
    host: str = ""
    resolver: int = 2


class Built(NamedTuple):
    """What is compiled: the dependencies that are compiled for each package, and a shortest way to it.

    `outside` are the features that a package asks of a dependency whose manifest is not known, by its name.
    """

    features: Mapping[Node, frozenset[str]]
    edges: Mapping[Node, tuple[Dependency, ...]]
    chains: Mapping[Node, tuple[str, ...]]
    outside: Mapping[tuple[Node, str], frozenset[str]]


def built(graph: FeatureGraph, call: Call) -> Built:
    """Return what a call compiles."""
    apart = call.resolver >= 2
    manner = Manner(call.tests or not apart, apart, call.triple, call.host)
    wanted = list(call.features)
    if call.every_feature:
        wanted += {feature: None for name in call.packages for feature in graph.packages[name].features}
    walk = graph.walked(call.packages, wanted, call.default, manner)
    edges, chains = _reached(walk, call)
    features = {node: frozenset(walk.on.get(node, ())) for node in edges}
    return Built(features, edges, chains, {key: frozenset(asked) for key, asked in walk.outside.items()})


def _reached(walk: Walk, call: Call) -> tuple[dict[Node, tuple[Dependency, ...]], dict[Node, tuple[str, ...]]]:
    graph, apart = walk.graph, walk.manner.apart
    roots = [Node(name, apart and graph.is_macro(name)) for name in call.packages]
    chains: dict[Node, tuple[str, ...]] = {root: (root.package,) for root in roots}
    edges: dict[Node, tuple[Dependency, ...]] = {}
    waiting = deque(roots)
    while waiting:  # breadth first: the shortest way is kept
        node = waiting.popleft()
        if node in edges:
            continue
        edges[node] = tuple(_compiled(walk, node, call.tests and node in roots))
        for edge in edges[node]:
            target = walk.leads_to(node, edge)
            if target:
                chains.setdefault(target, (*chains[node], target.package))
                waiting.append(target)
    return edges, chains


def _compiled(walk: Walk, node: Node, tested: bool) -> Iterator[Dependency]:
    """Yield the dependencies that are compiled with a package."""
    for edge in walk.graph.packages[node.package].dependencies:
        wanted = not edge.optional or (node, edge.name) in walk.activated
        if wanted and (edge.kind != "dev" or tested) and walk.manner.counts(edge, node.for_host):
            yield edge
