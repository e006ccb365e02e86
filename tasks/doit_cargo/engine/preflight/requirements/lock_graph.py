"""The crates of a plan as far as Cargo.lock and the members' own manifests tell: no source is needed.

Members are exact: their features, optional dependencies and target tables are in their manifests. Of registry crates
the lock has every dependency, whatever the features; sysdeps.toml ([optional.CRATE]) names those that matter.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.model import Plan
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.cargo import lockfile
from doit_cargo.engine.cargo.config.target_cfg import applies
from doit_cargo.engine.cargo.lockfile import Lock, Locked
from doit_cargo.engine.preflight.requirements.calls import selection, with_tests
from doit_cargo.engine.preflight.requirements.crates import Crate, Graph, closure
from doit_cargo.engine.preflight.requirements.requirement import LOCK
from doit_cargo.engine.state.trust import may_ask

METADATA = ("cargo", "metadata", "--no-deps", "--offline", "--format-version", "1")
Optional = Mapping[str, Mapping[str, tuple[str, ...]]]


def from_lock(
    plan: Plan, directory: str, environ: Mapping[str, str], triple: str, optional: Optional, why: str
) -> Graph:
    """Return the crates by the lock; without a lock, the members and what they name."""
    members, default = _members(directory, environ)
    if not members:
        return Graph((), basis=LOCK, why=why)
    choice = _Choice(plan, members, default, triple)
    choice.resolve()
    return _Walk(choice, _lock(directory), optional).graph(why)


class Edge(TypedDict):
    """A dependency as `cargo metadata` has it."""

    name: str
    rename: str | None
    kind: str | None
    optional: bool
    features: list[str]
    uses_default_features: bool
    target: str | None
    path: NotRequired[str]


class Member(TypedDict):
    """A package as `cargo metadata` has it, as far as it is asked here."""

    id: str
    name: str
    version: str
    manifest_path: str
    features: dict[str, list[str]]
    dependencies: list[Edge]


def _members(directory: str, environ: Mapping[str, str]) -> tuple[dict[str, Member], list[str]]:
    """Return the members by name, and the names of the default ones."""
    if not may_ask("cargo", directory, environ):
        return {}, []
    done = processes.answer(METADATA, environ, None, directory)
    try:
        raw = json.loads(done.out) if done.ok else {}
    except ValueError:
        return {}, []
    packages: list[Member] = raw.get("packages", [])
    default = set(raw.get("workspace_default_members", raw.get("workspace_members", [])))
    named = {package["name"]: package for package in packages}
    return named, [package["name"] for package in packages if package["id"] in default]


def _lock(directory: str) -> Lock:
    """Return the lock; an empty one where it cannot be read: cargo will tell of it."""
    try:
        return lockfile.read(os.path.join(directory, "Cargo.lock"))
    except UserError:
        return Lock()


@dataclass
class _Choice:
    """Which members a plan builds, with which features, and which dependencies they turn on (Cargo book, Features)."""

    plan: Plan
    members: Mapping[str, Member]
    default: list[str]
    triple: str
    features: dict[str, set[str]] = field(default_factory=dict)
    active: dict[str, dict[str, Edge]] = field(default_factory=dict)
    requested: dict[str, set[str]] = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    weak: list[tuple[str, str, str]] = field(default_factory=list)

    def resolve(self) -> None:
        words = selection(self.plan)
        asked, default = _asked_features(words, self.plan)
        for name in self._roots(words):
            self.chains[name] = (name,)
            self._enter(name, default)
            for feature in self.members[name]["features"] if "--all-features" in words else asked:
                package, slash, own = feature.rpartition("/")
                if not slash or package == name:
                    self._turn_on(name, own if slash else feature)
                else:
                    self._turn_on(name, feature, known=False)
        for name, dependency, wanted in self.weak:
            if dependency in self.active[name]:
                self._turn_on_dependency(name, dependency, wanted)

    def _roots(self, words: tuple[str, ...]) -> list[str]:
        named = _values(words, ("-p", "--package"))
        whole = "--workspace" in words or "--all" in words
        names = named or list(self.members) if whole or named else self.default
        excluded = _values(words, ("--exclude",))
        return [name for name in names if name in self.members and name not in excluded]

    def _enter(self, name: str, default: bool) -> None:
        """Begin with a member: its plain dependencies, and its default features if they are wanted."""
        if name not in self.features:
            self.features[name] = set()
            self.active[name] = {}
            for edge in self._edges(name):
                if not edge["optional"]:
                    self._activate(name, edge)
        if default:
            self._turn_on(name, "default")

    def _edges(self, name: str) -> Iterator[Edge]:
        tests = with_tests(self.plan.invocation.argv) and len(self.chains.get(name, ())) == 1
        for edge in self.members[name]["dependencies"]:
            if (edge["kind"] != "dev" or tests) and applies(edge["target"] or "", self.triple):
                yield edge

    def _turn_on(self, name: str, feature: str, known: bool = True) -> None:
        """Turn on a feature of a member, or what a feature's value says: another one, ``dep:x``, ``x/y``, ``x?/y``."""
        table = self.members[name]["features"]
        dependency, slash, wanted = feature.partition("/")
        if slash or feature.startswith("dep:"):
            if dependency.endswith("?"):  # only if something else turns the dependency on
                self.weak.append((name, dependency[:-1], wanted))
            else:
                self._turn_on_dependency(name, dependency.removeprefix("dep:"), wanted)
        elif feature in table and feature not in self.features[name] and known:
            self.features[name].add(feature)
            for value in table[feature]:
                self._turn_on(name, value)

    def _turn_on_dependency(self, name: str, dependency: str, wanted: str) -> None:
        for edge in self._edges(name):
            if (edge.get("rename") or edge["name"]) == dependency:
                self._activate(name, edge)
                self._request(edge, {wanted} if wanted else set())

    def _activate(self, name: str, edge: Edge) -> None:
        self.active[name][edge.get("rename") or edge["name"]] = edge
        target = edge["name"]
        if edge.get("path") and target in self.members:
            chain = (*self.chains[name], target)
            self.chains[target] = min(self.chains.get(target, chain), chain, key=len)
            self._enter(target, edge["uses_default_features"])
        self._request(edge, {*edge["features"], *({"default"} if edge["uses_default_features"] else ())})

    def _request(self, edge: Edge, wanted: set[str]) -> None:
        target = edge["name"]
        if edge.get("path") and target in self.members:
            for feature in wanted:
                self._turn_on(target, feature)
        else:
            self.requested.setdefault(target, set()).update(wanted)


def _is_build(edge: Edge) -> bool:
    return edge["kind"] == "build"


def _values(words: tuple[str, ...], options: tuple[str, ...]) -> list[str]:
    """Return the values of an option; a package may be given as NAME@VERSION."""
    found = [words[place + 1] for place, word in enumerate(words[:-1]) if word in options]
    return [value.partition("@")[0] for value in found]


def _asked_features(words: tuple[str, ...], plan: Plan) -> tuple[list[str], bool]:
    listed = [name for value in _values(words, ("-F", "--features")) for name in value.replace(",", " ").split()]
    return listed or list(plan.features), "--no-default-features" not in words


@dataclass
class _Walk:
    """From the chosen members down the lock."""

    choice: _Choice
    lock: Lock
    optional: Optional
    crates: dict[tuple[str, str], Crate] = field(default_factory=dict)
    seen: set[Locked] = field(default_factory=set)
    below: dict[str, set[str]] = field(default_factory=dict)
    from_registry: set[str] = field(default_factory=set)
    paths: dict[str, str] = field(default_factory=dict)

    def graph(self, why: str) -> Graph:
        asked = frozenset(name for names in self.choice.features.values() for name in names)
        asked |= frozenset(name for names in self.choice.requested.values() for name in names)
        for name, features in self.choice.features.items():
            self._add_member(name, frozenset(features))
        waiting = [
            (name, edge["name"])
            for name, edges in self.choice.active.items()
            for edge in edges.values()
            if edge["name"] not in self.choice.features
        ]
        chosen = [edge for edges in self.choice.active.values() for edge in edges.values()]
        self.paths = {edge["name"]: edge["path"] for edge in chosen if edge.get("path")}
        for member, name in waiting:
            self._add(name, self.choice.chains[member], self._locked(member, name))
        crates = tuple(self._with_features(crate) for crate in self.crates.values())
        below = {name: frozenset(names) for name, names in self.below.items()}
        # The lock does not tell whose build script a registry crate's dependency is for: any may be.
        users = {name: {""} for name in self.from_registry}
        for member, edges in self.choice.active.items():
            for edge in filter(_is_build, edges.values()):
                users.setdefault(edge["name"], set()).add(member)
        of_scripts = {name: frozenset(names) for name, names in users.items()}
        return Graph(crates, below, LOCK, why, asked, closure(of_scripts, below), of_scripts)

    def _add_member(self, name: str, features: frozenset[str]) -> None:
        package = self.choice.members[name]
        directory = os.path.dirname(package["manifest_path"])
        chain = self.choice.chains[name]
        self.crates[name, package["version"]] = Crate(name, package["version"], features, chain, directory)
        self.below.setdefault(name, set()).update(edge["name"] for edge in self.choice.active[name].values())

    def _locked(self, member: str, name: str) -> Sequence[Locked]:
        """Return the packages of that name that the lock gives a member; all of that name if it does not know it."""
        entry = self.lock.member(member)
        named = [one for one in self.lock.dependencies[entry] if one.name == name] if entry else []
        return named or self.lock.named(name) or [Locked(name, "")]

    def _add(self, name: str, above: tuple[str, ...], entries: Sequence[Locked]) -> None:
        waiting = deque((entry, (*above, name)) for entry in entries)
        while waiting:  # breadth first: the shortest chain is kept
            entry, chain = waiting.popleft()
            if entry in self.seen:
                continue
            self.seen.add(entry)
            key = (entry.name, entry.version)
            directory = self.paths.get(entry.name, "")
            self.crates.setdefault(key, Crate(*key, chain=chain, directory=directory, certain=False))
            for other in self.lock.dependencies.get(entry, ()):
                if self._is_on(entry.name, other.name):
                    self.below.setdefault(entry.name, set()).add(other.name)
                    self.from_registry.add(other.name)
                    waiting.append((other, (*chain, other.name)))

    def _is_on(self, crate: str, dependency: str) -> bool:
        """Return whether a dependency of a registry crate is on, as far as sysdeps.toml and the members tell."""
        features = self.optional.get(crate, {}).get(dependency)
        return features is None or bool(set(features) & self.choice.requested.get(crate, set()))

    def _with_features(self, crate: Crate) -> Crate:
        """Return the crate with what the members ask of it; that is all there is if no other crate depends on it."""
        if crate.certain:
            return crate
        requested = frozenset(self.choice.requested.get(crate.name, ()))
        only_members = bool(requested) and crate.name not in self.from_registry
        return Crate(crate.name, crate.version, requested, crate.chain, crate.directory, certain=only_members)
