"""The crates of a plan as far as Cargo.lock and the members' own manifests tell: no source is needed.

Members are exact: their manifests are resolved as cargo does. Of any other crate the lock lists what it may depend on,
whatever the features and targets, and weak ones as if they were strong: those are not said to be built for sure.
sysdeps.toml ([optional.CRATE]) names the features of some that decide.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.cargo import lockfile
from doit_cargo.engine.cargo import metadata as facts
from doit_cargo.engine.cargo.lockfile import Lock, Locked
from doit_cargo.engine.cargo.resolver import FeatureGraph as Members
from doit_cargo.engine.cargo.resolver.built import Built, Call, built
from doit_cargo.engine.cargo.resolver.graph import DEFAULT, Node
from doit_cargo.engine.preflight.requirements.calls import selection, with_tests
from doit_cargo.engine.preflight.requirements.crates import Crate, CrateGraph, closure
from doit_cargo.engine.preflight.requirements.requirement import LOCK
from doit_cargo.engine.state.trust import may_ask
from doit_cargo.engine.toolchain.platform import host_triple

Optional = Mapping[str, Mapping[str, tuple[str, ...]]]


def from_lock(
    plan: Plan, directory: str, environ: Mapping[str, str], triple: str, optional: Optional, why: str
) -> CrateGraph:
    """Return the crates by the lock; without a lock, the members and what they name."""
    workspace = _workspace(directory, environ)
    if not workspace:
        return CrateGraph((), basis=LOCK, why=why)
    found = built(Members.of(workspace), _call(plan, workspace, triple))
    return _Walk(workspace, found, _lock(directory), optional).graph(why)


def _workspace(directory: str, environ: Mapping[str, str]) -> Workspace | None:
    if not may_ask("cargo", directory, environ):
        return None
    try:
        return facts.from_metadata(facts.read_metadata(directory, environ))
    except UserError:
        return None  # cargo will tell of it


def _lock(directory: str) -> Lock:
    """Return the lock; an empty one where it cannot be read: cargo will tell of it."""
    try:
        return lockfile.read(os.path.join(directory, "Cargo.lock"))
    except UserError:
        return Lock()


def _call(plan: Plan, workspace: Workspace, triple: str) -> Call:
    """Return what the plan's own command selects."""
    words = selection(plan)
    listed = [name for value in _values(words, ("-F", "--features")) for name in value.replace(",", " ").split()]
    return Call(
        packages=tuple(_roots(words, workspace)),
        features=tuple(listed or plan.features),
        default="--no-default-features" not in words,
        every_feature="--all-features" in words,
        tests=with_tests(plan.invocation.argv),
        triple=triple,
        host=host_triple(),
        resolver=workspace.resolver,
    )


def _roots(words: tuple[str, ...], workspace: Workspace) -> list[str]:
    named = _values(words, ("-p", "--package"))
    whole = "--workspace" in words or "--all" in words
    names = named or list(workspace.packages if whole else workspace.default_members)
    excluded = _values(words, ("--exclude",))
    return [name for name in names if name in workspace.packages and name not in excluded]


def _values(words: tuple[str, ...], options: tuple[str, ...]) -> list[str]:
    """Return the values of an option; a package may be given as NAME@VERSION."""
    found = [words[place + 1] for place, word in enumerate(words[:-1]) if word in options]
    return [value.partition("@")[0] for value in found]


@dataclass
class _Walk:
    """From the members that are built down the lock."""

    workspace: Workspace
    found: Built
    lock: Lock
    optional: Optional
    crates: dict[tuple[str, str], Crate] = field(default_factory=dict)
    below: dict[str, set[str]] = field(default_factory=dict)
    requested: dict[str, set[str]] = field(default_factory=dict)
    from_registry: set[str] = field(default_factory=set)
    paths: dict[str, str] = field(default_factory=dict)

    def graph(self, why: str) -> CrateGraph:
        members = {(node.package, self.found.features[node]): self._member(node) for node in self.found.edges}
        for node in self.found.edges:
            self._note_edges(node)
        asked = frozenset(name for names in self.found.features.values() for name in names)
        asked |= frozenset(name for names in self.requested.values() for name in names)
        for node, name in self._outside():
            self._add(name, self.found.chains[node], self._locked(node.package, name))
        crates = (*members.values(), *(self._with_features(crate) for crate in self.crates.values()))
        below = {name: frozenset(names) for name, names in self.below.items()}
        users = {name: frozenset(names) for name, names in self._users_in_scripts().items()}
        return CrateGraph(crates, below, LOCK, why, asked, closure(users, below), users)

    def _member(self, node: Node) -> Crate:
        package = self.workspace.packages[node.package]
        features, chain = self.found.features[node], self.found.chains[node]
        return Crate(package.name, package.version, features, chain, package.directory)

    def _note_edges(self, node: Node) -> None:
        for edge in self.found.edges[node]:
            self.below.setdefault(node.package, set()).add(edge.package_name)
            if edge.path:
                self.paths[edge.package_name] = edge.path
            wanted = self.requested.setdefault(edge.package_name, set())
            wanted.update(self.found.outside.get((node, edge.name), ()), [DEFAULT] if edge.default_features else [])

    def _outside(self) -> list[tuple[Node, str]]:
        """Return the crates that are no members but dependencies of one, each with who depends on it."""
        members = self.workspace.packages
        edges = [(node, edge.package_name) for node, edges in self.found.edges.items() for edge in edges]
        return [(node, name) for node, name in edges if name not in members]

    def _users_in_scripts(self) -> dict[str, set[str]]:
        """Return who may use which crate in a build script; of a registry crate's dependency the lock does not tell."""
        users = {name: {""} for name in self.from_registry}
        for node, edges in self.found.edges.items():
            for edge in edges:
                if edge.kind == "build":
                    users.setdefault(edge.package_name, set()).add(node.package)
        return users

    def _locked(self, member: str, name: str) -> Sequence[Locked]:
        """Return the packages of that name that the lock gives a member; all of that name if it does not know it."""
        entry = self.lock.member(member)
        named = [one for one in self.lock.dependencies[entry] if one.name == name] if entry else []
        return named or self.lock.named(name) or [Locked(name, "")]

    def _add(self, name: str, above: tuple[str, ...], entries: Sequence[Locked]) -> None:
        waiting = deque((entry, (*above, name), True) for entry in entries)
        while waiting:  # breadth first: the shortest chain is kept
            entry, chain, surely = waiting.popleft()
            known = self.crates.get((entry.name, entry.version))
            if known and (known.surely or not surely):
                continue
            directory = self.paths.get(entry.name, "")
            crate = known or Crate(entry.name, entry.version, frozenset(), chain, directory, certain=False)
            self.crates[entry.name, entry.version] = replace(crate, surely=surely)
            for other in self.lock.dependencies.get(entry, ()):
                on = self._is_on(entry.name, other.name)
                if on is not False:
                    self.below.setdefault(entry.name, set()).add(other.name)
                    self.from_registry.add(other.name)
                    waiting.append((other, (*chain, other.name), surely and on is True))

    def _is_on(self, crate: str, dependency: str) -> bool | None:
        """Return whether a dependency of a crate is on, as far as sysdeps.toml and the members tell; None: perhaps."""
        features = self.optional.get(crate, {}).get(dependency)
        return None if features is None else bool(set(features) & self.requested.get(crate, set()))

    def _with_features(self, crate: Crate) -> Crate:
        """Return the crate with what the members ask of it; that is all there is if no other crate depends on it."""
        requested = frozenset(self.requested.get(crate.name, ()))
        only_members = bool(requested) and crate.name not in self.from_registry
        return replace(crate, features=requested, certain=only_members)
