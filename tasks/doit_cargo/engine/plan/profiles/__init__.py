"""Feature profiles: from TOML files to one `Profile` that knows which file:line set each value.

Files are found in layers, the first that has a name wins: the user's overlay folder, the pack, the pack ``base``.
Composition is a fold over the files in order: what a file extends comes before it, each file counts once. Knows
nothing of targets or of where layers come from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from doit_cargo.engine.base.errors import Collector, Problem, UserError, nearest, unknown
from doit_cargo.engine.base.model import CARGO_DEFAULTS, DeclaredInputs, Profile, Setting, Workspace
from doit_cargo.engine.base.toml.locations import TomlFile
from doit_cargo.engine.cargo.config.keys import unknown_keys
from doit_cargo.engine.plan.profiles.files import dotted, problems_of
from doit_cargo.engine.plan.profiles.keys import PROFILE
from doit_cargo.engine.plan.profiles.packs import BASE, OVERLAY, Layer, layers_for, read_pack, shipped_directory

LONGEST_CHAIN = 64


@dataclass(frozen=True, slots=True)
class ProfileSource:
    """A profile file: its name and the index of its layer."""

    name: str
    layer: int


class Library:
    """All profiles that a workspace can use, and its pack."""

    def __init__(self, layers: tuple[Layer, ...], pack_name: str = BASE, root: str = "") -> None:
        self.layers = layers
        self.root = root
        self.pack = read_pack(layers, pack_name)
        self._composed: dict[str, Profile] = {}

    @classmethod
    def load(cls, workspace: Workspace, shipped: str = "") -> Library:
        """Return the library of a workspace: its pack by its members' names or its settings, and its overlay."""
        layers, name = layers_for(workspace, shipped or shipped_directory())
        return cls(layers, name, workspace.root)

    @property
    def directories(self) -> tuple[str, ...]:
        """Folders in which a new file could change what a profile means; also the user's own, before it exists."""
        overlay = (os.path.join(self.root, OVERLAY),) if self.root else ()
        return tuple(dict.fromkeys([*overlay, *(layer.directory for layer in self.layers)]))

    def names(self) -> tuple[str, ...]:
        return self.pack.profiles

    def has(self, name: str) -> bool:
        return name in self.pack.profiles

    def is_own(self, name: str) -> bool:
        """Tell whether a profile is the user's own, or changed by one of that name."""
        return any(layer.is_overlay and layer.has(name) for layer in self.layers)

    def unknown(self, name: str, where: str = "", others: tuple[str, ...] = ()) -> Problem:
        """Return the problem of a name that is no profile; a file of that name that is none is told."""
        known = tuple(dict.fromkeys([*self.names(), *others]))
        problem = unknown("profile", name, known, where, shown=len(known) if others else 12)
        for layer in self.layers:
            if keys := layer.strange_keys(name):
                problem.what += f": {layer.label}/{name}.toml has no key of a profile, only {', '.join(keys)}"
        return problem

    def compose(self, name: str) -> Profile:
        """Return a profile with all that it extends; raises every problem of the files that it needs at once."""
        if name not in self._composed:
            self._composed[name] = self._compose(name)
        return self._composed[name]

    def _compose(self, name: str) -> Profile:
        source = self._find(name)
        if source is None:
            raise UserError(self.unknown(name))
        problems = Collector()
        order = self._ordered(source, problems)
        files = [self.layers[each.layer].file(each.name) for each in order if self._is_readable(each)]
        for file in files:
            problems.problems.extend(problems_of(file, PROFILE))
        problems.raise_if_any()
        profile = _Fold(name, problems).over(files)
        problems.raise_if_any()
        return profile

    def _find(self, name: str, start: int = 0) -> ProfileSource | None:
        for index in range(start, len(self.layers)):
            if self.layers[index].has(name):
                return ProfileSource(name, index)
        return None

    def _is_readable(self, source: ProfileSource) -> bool:
        try:
            self.layers[source.layer].file(source.name)
        except UserError:
            return False
        return True

    def _ordered(self, first: ProfileSource, problems: Collector) -> list[ProfileSource]:
        """Return the files that make up a profile, each once, each after all that it extends."""
        ordered: list[ProfileSource] = []
        trail: list[tuple[ProfileSource, str]] = []

        def visit(source: ProfileSource, where: str) -> None:
            if source in ordered:
                return
            trail.append((source, where))
            if len(trail) > LONGEST_CHAIN:
                what = f"{first.name} extends profiles through more than {LONGEST_CHAIN} others"
                problems.problems.append(Problem(what, "let a profile extend what it needs directly", where))
                ordered.append(source)
            elif any(source == earlier for earlier, _ in trail[:-1]):
                problems.problems.append(_cycle(trail))
            else:
                for parent, place in self._parents(source, problems):
                    visit(parent, place)
                ordered.append(source)
            trail.pop()

        visit(first, "")
        return ordered

    def _parents(self, source: ProfileSource, problems: Collector) -> list[tuple[ProfileSource, str]]:
        try:
            file = self.layers[source.layer].file(source.name)
        except UserError as error:
            problems.problems.extend(error.problems)
            return []
        parents: list[tuple[ProfileSource, str]] = []
        below = self._find(source.name, source.layer + 1)
        if below and self.layers[source.layer].is_overlay:
            parents.append((below, file.where()))
        for name, where in _extends(file):
            # A file that extends its own name means the one of the layer below.
            found = below if name == source.name else self._find(name)
            if found:
                parents.append((found, where))
            elif name == source.name:
                problems.problems.append(_cycle([(source, ""), (source, where)]))
            else:
                problems.problems.append(self.unknown(name, where))
        return parents


def _extends(file: TomlFile) -> Iterator[tuple[str, str]]:
    value = file.values.get("extends", [])
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list):
        for index, name in enumerate(names):
            if isinstance(name, str):
                yield name, file.where("extends", index)


def _cycle(trail: list[tuple[ProfileSource, str]]) -> Problem:
    start = next(index for index, (source, _) in enumerate(trail) if source == trail[-1][0])
    steps = " -> ".join(f"{source.name} ({where})" for source, where in trail[start + 1 :])
    first = trail[start][0].name
    what = f"profiles extend each other in a circle: {first} -> {steps}"
    return Problem(what, "remove one of these extends", where=trail[-1][1])


@dataclass
class _Fold:
    """Lay files over each other; of two that set a key, the later one wins."""

    name: str
    problems: Collector
    doc: str = ""
    features: dict[str, Setting] = field(default_factory=dict)
    single: dict[str, Setting] = field(default_factory=dict)
    cargo: dict[str, Setting] = field(default_factory=lambda: dict(CARGO_DEFAULTS))
    config: dict[str, Setting] = field(default_factory=dict)
    env: dict[str, Setting] = field(default_factory=dict)
    needs: dict[str, Setting] = field(default_factory=dict)
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)

    def over(self, files: list[TomlFile]) -> Profile:
        for file in files:
            self._lay(file)
        return Profile(
            name=self.name,
            doc=self.doc,
            features=tuple(self.features.values()),
            default_features=self.single.get("default-features", Setting(True, "default")),
            cargo=self.cargo,
            config=self.config,
            env=self.env,
            needs=self.needs,
            platforms=self.single.get("platforms", Setting((), "default")),
            inputs=DeclaredInputs(
                **{key: tuple(values) for key, values in self.inputs.items()},
                places=tuple(self.inputs.get("files", {}).values()),
                observe=str(self.single["observe"].value) if "observe" in self.single else "",
            ),
            files=tuple(file.path for file in files),
        )

    def _lay(self, file: TomlFile) -> None:
        values = file.values
        self.doc = values.get("doc", self.doc)
        for index, name in enumerate(values.get("features", [])):
            self._feature(name, file.where("features", index))
        if "default-features" in values:
            self.single["default-features"] = Setting(values["default-features"], file.where("default-features"))
        if "platforms" in values:
            self.single["platforms"] = Setting(tuple(values["platforms"]), file.where("platforms"))
        self._lay_cargo(file, values.get("cargo", {}))
        for name, value in values.get("env", {}).items():
            self.env[name] = Setting(None if value == {"unset": True} else value, file.where("env", name))
        for tool, specifier in values.get("needs", {}).items():
            self.needs[tool] = Setting(specifier, file.where("needs", tool))
        for key, names in values.get("inputs", {}).items():
            if key == "observe":
                self.single[key] = Setting(names, file.where("inputs", key))
                continue
            places = {name: file.where("inputs", key, index) for index, name in enumerate(names)}
            self.inputs.setdefault(key, {}).update(places)

    def _feature(self, name: str, where: str) -> None:
        if not name.startswith("-"):
            self.features.setdefault(name, Setting(name, where))
        elif self.features.pop(name[1:], None) is None:
            listed = ", ".join(self.features) or "none"
            what = f"the feature {name[1:]!r} cannot be removed, it is not set"
            self.problems.add(what, f"leave {name!r} out; set so far: {listed}", where)

    def _lay_cargo(self, file: TomlFile, cargo: Mapping[str, Any]) -> None:
        for key, value in cargo.items():
            if key != "config":
                self.cargo[key] = Setting(value, file.where("cargo", key))
        self.problems.problems.extend(_misspelt(file, cargo.get("config", {})))
        for path, value in _leaves(cargo.get("config", {})):
            if "." in path[0]:
                what = f"cargo.config names a table {path[0]!r}, which cargo ignores"
                self.problems.add(what, f"write {path[0]} without quotes", file.where("cargo", "config", *path))
            # The last of two settings of one key wins, and stands last: cargo reads --config in order.
            self.config.pop(dotted(path), None)
            self.config[dotted(path)] = Setting(value, file.where("cargo", "config", *path))


def _misspelt(file: TomlFile, config: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the keys of cargo's that are surely misspelt. One that is like none may be a newer cargo's, or unstable:
    `check_profiles` tells it, and cargo mostly warns.
    """
    for path, known in unknown_keys(config):
        if guess := nearest(path[-1], known):
            what = f"cargo.config.{dotted(path)} is unknown: cargo ignores it"
            newer = " A newer cargo's key belongs in .cargo/config.toml"
            yield Problem(what, f"did you mean {guess!r}?{newer}", file.where("cargo", "config", *path))


def _leaves(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value
