"""Half-enabled features: a dependency's feature is on, but the member's own one, meant to turn it on, is off.

A member with ``cuda = ["engine/cuda", ...]`` and ``cudnn = ["engine/cudnn"]``, where the engine's cudnn turns its cuda
on: `cudnn` alone builds the CUDA code of the engine and leaves out that of the member. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from doit_cargo.engine.base.errors import nearest
from doit_cargo.engine.cargo.resolver.graph import DEFAULT, FeatureGraph, FeatureState

MEMBERS = 1024  # of a workspace, in memory


@dataclass(frozen=True, slots=True)
class Half:
    """`package`'s own `feature` is off, while the feature of that name is on in the packages `on`."""

    package: str
    feature: str
    on: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.feature} is on in {', '.join(self.on)} but off in {self.package}"


def halves(graph: FeatureGraph, state: FeatureState, base: FeatureState | None = None) -> list[Half]:
    """Return what is half on. `base` is what was on before: what is half by itself is not told again."""
    found: dict[tuple[str, str], list[str]] = {}
    for member in graph.members:
        if member in state.features:
            for target, feature in _reached(graph, member, state):
                if _is_new(target, feature, base):
                    found.setdefault((member, feature), []).append(target)
    return [Half(member, feature, tuple(dict.fromkeys(on))) for (member, feature), on in found.items()]


def _reached(graph: FeatureGraph, member: str, state: FeatureState) -> Iterator[tuple[str, str]]:
    """Yield (package, feature) that is on beside an own feature of the same name that leads there but is off."""
    own = state.of(member)
    for feature, dependency, target in _namesakes(graph, member):
        if feature not in own and feature in (state.of(target) if target else state.outside.get(dependency, ())):
            yield target or dependency, feature


@lru_cache(maxsize=MEMBERS)
def _namesakes(graph: FeatureGraph, member: str) -> tuple[tuple[str, str, str], ...]:
    """Return (feature, dependency, package) for each feature that leads to one of the same name in a dependency."""
    package = graph.packages[member]
    return tuple(
        (own, edge.name, graph.target_of(edge))
        for own in package.features
        if own != DEFAULT
        for dependency, feature in _forwards(graph, member, own)
        if feature == own
        for edge in package.dependencies
        if edge.name == dependency and (edge.kind != "dev" or not graph.target_of(edge))
    )


def _forwards(graph: FeatureGraph, member: str, own: str) -> Iterator[tuple[str, str]]:
    """Yield (dependency, feature) that a feature turns on, through others of the same package too."""
    table = graph.packages[member].features
    waiting, seen = [own], {own}
    while waiting:
        for entry in table.get(waiting.pop(), ()):
            dependency, slash, feature = entry.partition("/")
            if slash:
                yield dependency.removesuffix("?"), feature
            elif entry in table and entry not in seen:
                seen.add(entry)
                waiting.append(entry)


def _is_new(target: str, feature: str, base: FeatureState | None) -> bool:
    return base is None or (feature not in base.of(target) and feature not in base.outside.get(target, ()))


def of_feature(graph: FeatureGraph, package: str, feature: str) -> list[Half]:
    """Return what one feature of a package leaves half on."""
    return halves(graph, graph.turn_on((package,), (feature,)), graph.turn_on((package,)))


def of_selection(
    graph: FeatureGraph, packages: Iterable[str], features: Iterable[str], default: bool = True
) -> list[Half]:
    """Return what a set of features leaves half on in the packages that are built."""
    roots = tuple(packages)
    return halves(graph, graph.turn_on(roots, features, default), graph.turn_on(roots, (), default))


def misspelt(graph: FeatureGraph) -> list[tuple[str, str, str]]:
    """Return (package, feature, what the packages that it leads to call it) of features that look misspelt."""
    found = []
    for member in graph.members:
        own = graph.packages[member].features
        for name in own:
            names = {feature for _, feature in _forwards(graph, member, name)}
            guess = nearest(name, tuple(names)) if names and name not in names else ""
            if guess and guess not in own and _looks_like(name, guess):
                found.append((member, name, guess))
    return found


def _looks_like(name: str, other: str) -> bool:
    """Tell whether two names differ by a letter or two, and not by a word: cuda_12 is no misspelt cuda."""
    import difflib

    return difflib.SequenceMatcher(None, name, other).ratio() >= 0.85 and abs(len(name) - len(other)) <= 2
