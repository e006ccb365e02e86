"""Every feature of every member with what it turns on, what speaks against it, and who uses it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from doit_cargo.engine.base.launch import Rule
from doit_cargo.engine.base.model import Profile
from doit_cargo.engine.cargo.resolver.graph import DEFAULT, FeatureGraph, FeatureState
from doit_cargo.engine.cargo.resolver.half_enabled import misspelt, of_feature


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature of a member. `own` are further features of the same package that it turns on, `members` those of
    other members and `outside` those of other packages, each as ``PACKAGE/FEATURE``; `packages` are the optional
    dependencies that it brings in. `half_enabled` are sentences, `likely` is the name that was probably meant.
    """

    package: str
    name: str
    own: tuple[str, ...]
    members: tuple[str, ...]
    outside: tuple[str, ...]
    packages: tuple[str, ...]
    halves: tuple[str, ...]
    missing: tuple[str, ...]
    profiles: tuple[str, ...]
    binaries: tuple[str, ...]
    rule: Rule | None = None
    likely: str = ""
    is_default: bool = False

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the feature, or a set with it, is not valid."""
        found = [f"only with {name}" for name in self.rule.requires] if self.rule else []
        found += [f"not with {name}" for name in self.rule.conflicts] if self.rule else []
        if self.rule and self.rule.platforms:
            found.append(f"only on {' and '.join(self.rule.platforms)}")
        return tuple(found)


def features(graph: FeatureGraph, rules: Mapping[str, Rule], profiles: Iterable[Profile]) -> list[Feature]:
    """Return all features of all members, in the order of the workspace and its manifests."""
    users = _users(profiles)
    likely = {(package, name): guess for package, name, guess in misspelt(graph)}
    return [
        _feature(graph, package, name, rules.get(name), users, likely.get((package, name), ""))
        for package in graph.members
        for name in graph.packages[package].features
        if name != DEFAULT and not _is_implicit(graph, package, name)
    ]


def _users(profiles: Iterable[Profile]) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for profile in profiles:
        for name in profile.feature_names:
            users.setdefault(name, []).append(profile.name)
    return users


def _is_implicit(graph: FeatureGraph, package: str, name: str) -> bool:
    """Tell whether cargo made the feature of an optional dependency: nobody has written it."""
    return graph.packages[package].features[name] == (f"dep:{name}",)


def _feature(
    graph: FeatureGraph, package: str, name: str, rule: Rule | None, users: Mapping[str, list[str]], likely: str
) -> Feature:
    added = graph.effects(package, name)
    halves = of_feature(graph, package, name)
    default = graph.turn_on((package,)).of(package)
    return Feature(
        package=package,
        name=name,
        own=tuple(sorted(added.of(package) - {name})),
        members=tuple(_pairs(added.features, set(graph.members) - {package})),
        outside=tuple(_pairs(added.outside)) + tuple(_pairs(added.features, set(graph.packages) - set(graph.members))),
        packages=tuple(sorted(_new(graph, package, added))),
        halves=tuple(map(str, halves)),
        missing=tuple(dict.fromkeys(half.feature for half in halves)),
        profiles=tuple(dict.fromkeys([*users.get(name, []), *users.get(f"{package}/{name}", [])])),
        binaries=tuple(
            target.name for target in graph.packages[package].cargo_targets if name in target.required_features
        ),
        rule=rule,
        likely=likely,
        is_default=name in default,
    )


def _pairs(features: Mapping[str, Iterable[str]], among: set[str] | None = None) -> Iterator[str]:
    for package, names in sorted(features.items()):
        if among is None or package in among:
            yield from (f"{package}/{name}" for name in sorted(names))


def _new(graph: FeatureGraph, package: str, added: FeatureState) -> Iterator[str]:
    """Yield the packages that are part of the build only with the feature."""
    before = graph.turn_on((package,))
    for name in (*added.features, *added.outside):
        if name not in before.features and name not in before.outside:
            yield name


def to_json(found: Iterable[Feature]) -> list[dict[str, object]]:
    """Return features as JSON can carry them; docs/reference/commands.md has the fields."""
    return [
        {
            "package": feature.package,
            "feature": feature.name,
            "default": feature.is_default,
            "own": list(feature.own),
            "members": list(feature.members),
            "outside": list(feature.outside),
            "brings": list(feature.packages),
            "requires": list(feature.rule.requires) if feature.rule else [],
            "conflicts": list(feature.rule.conflicts) if feature.rule else [],
            "platforms": list(feature.rule.platforms) if feature.rule else [],
            "rule": feature.rule.where if feature.rule else "",
            "half": list(feature.halves),
            "likely": feature.likely,
            "profiles": list(feature.profiles),
            "binaries": list(feature.binaries),
        }
        for feature in found
    ]
