"""Where profile files come from: the packs that ship with doit-cargo, and the user's own folder over them.

A `Layer` is a folder of profile files; `read_pack` composes the pack.toml of several. Knows nothing of how profiles
are composed, and of the workspace only its members' names and its settings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import doit_cargo
from doit_cargo.engine.base.errors import Problem, UserError, unknown
from doit_cargo.engine.base.launch import FeatureSet, Launch, ModelSource, Rule, Service, Share
from doit_cargo.engine.base.model import Duplicates, Pack, Setting, Workspace
from doit_cargo.engine.base.toml.locations import TomlFile
from doit_cargo.engine.plan.profiles import keys
from doit_cargo.engine.plan.profiles.files import check, is_known, problems_of
from doit_cargo.engine.plan.profiles.kinds import Section
from doit_cargo.engine.plan.profiles.rows import targets_of

BASE = "base"
PACK_FILE = "pack.toml"
HINTS_FILE = "hints.toml"
OVERLAY = "profiles"
GPU = "gpu"
T = TypeVar("T")


def shipped_directory() -> str:
    """Return the folder of the packs that come with doit-cargo: in the package, or beside tasks/ in a checkout."""
    inside = os.path.join(doit_cargo.DIRECTORY, "profiles")
    checkout = os.path.dirname(os.path.dirname(os.path.abspath(doit_cargo.DIRECTORY)))
    return inside if os.path.isdir(inside) else os.path.join(checkout, "profiles")


def pack_names(shipped: str) -> tuple[str, ...]:
    """Return the names of the packs in a folder of packs."""
    return tuple(name for name in sorted(os.listdir(shipped)) if os.path.isfile(os.path.join(shipped, name, PACK_FILE)))


def layers_for(workspace: Workspace, shipped: str) -> tuple[tuple[Layer, ...], str]:
    """Return the layers of a workspace, nearest first, and the name of its pack."""
    settings = _Settings(workspace)
    name = settings.pack(pack_names(shipped)) or _detect(workspace, shipped)
    packs = dict.fromkeys([name, BASE])
    layers = [Layer(os.path.join(shipped, pack), f"profiles/{pack}") for pack in packs]
    return (*settings.overlay(), *layers), name


class Layer:
    """A folder of profile files, read when asked for. `label` is how messages begin its paths."""

    def __init__(self, directory: str, label: str, is_overlay: bool = False) -> None:
        self.directory = directory
        self.label = label
        self.is_overlay = is_overlay
        self._files: dict[str, TomlFile] = {}
        self._names: tuple[str, ...] | None = None

    def file(self, name: str) -> TomlFile:
        """Return a file of this folder, by its name without the ending; raises `UserError` if it is no TOML."""
        if name not in self._files:
            path = os.path.join(self.directory, f"{name}.toml")
            self._files[name] = TomlFile.read(path, f"{self.label}/{name}.toml")
        return self._files[name]

    def has(self, name: str) -> bool:
        return name in self.names()

    def names(self) -> tuple[str, ...]:
        """Return the names of the profiles here; a broken file counts, so that its error is seen."""
        if self._names is None:
            names = [name.removesuffix(".toml") for name in self._listing() if name not in (PACK_FILE, HINTS_FILE)]
            self._names = tuple(name for name in names if self._is_ours(name, keys.PROFILE))
        return self._names

    def strange_keys(self, name: str) -> tuple[str, ...]:
        """Return the keys of a file here that is left alone, since none of them is one of a profile."""
        passed_over = f"{name}.toml" in self._listing() and not self.has(name)
        return tuple(self.file(name).values) or ("none at all",) if passed_over and name != "pack" else ()

    def _listing(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self.directory) if name.endswith(".toml"))
        except OSError:
            return []

    def pack_file(self) -> TomlFile | None:
        if not os.path.isfile(os.path.join(self.directory, PACK_FILE)):
            return None
        return self.file("pack") if self._is_ours("pack", keys.PACK) else None

    def _is_ours(self, stem: str, section: Section) -> bool:
        if not self.is_overlay:
            return True
        try:
            return is_known(self.file(stem), section)
        except UserError:
            return True


def read_pack(layers: tuple[Layer, ...], name: str) -> Pack:
    """Return the pack as its layers compose it, nearest layer last."""
    files = [file for layer in reversed(layers) if (file := layer.pack_file())]
    for file in files:
        _require_version(file)  # first: what a newer one knows is no mistake
    problems = [problem for file in files for problem in problems_of(file, keys.PACK)]
    if problems:
        raise UserError(problems)
    return Pack(
        name=name,
        roles=_merged(files, "roles", lambda _file, _role, packages: tuple(packages)),
        rules=_merged(files, "rules", _rule),
        profiles=tuple(sorted({profile for layer in layers for profile in layer.names()})),
        optional_packages=_merged(files, "packages", lambda _file, _package, table: str(table.get("needs", ""))),
        satellites=_united(files, "satellites"),
        platform_triples=_united(files, "platform-triples"),
        quick=tuple(_merged(files, "tests", lambda _file, _key, names: tuple(names)).get("quick", ())),
        files=tuple(file.path for file in files),
        launches=_merged(files, "serve", _launch),
        models=_merged(files, "models", _model),
        languages=tuple(
            dict.fromkeys(name for file in files for name in file.values.get("format", {}).get("languages", []))
        ),
        duplicates=_duplicates(files),
        deliberate=_merged(files, "deliberate", lambda file, rule, why: Setting(why, file.where("deliberate", rule))),
        targets=targets_of(files, name),
        services={GPU: Service(GPU)} | _merged(files, "services", _service),
        feature_sets=_merged(files, "feature-sets", _feature_set),
        share=_share(files),
        requires=next((str(found) for file in reversed(files) if (found := file.values.get("requires"))), ""),
        migrated=next((found for file in reversed(files) if (found := file.values.get("migrated"))), {}),
    )


def _require_version(file: TomlFile) -> None:
    """Raise `UserError` if a pack is for another version of doit-cargo."""
    wanted = file.values.get("requires")
    if not isinstance(wanted, str):
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        fits = SpecifierSet(wanted).contains(doit_cargo.__version__, prereleases=True)
    except InvalidSpecifier:
        return  # told with all else that is wrong with the file
    if not fits:
        what = f"this workspace is for doit-cargo {wanted}, and this is {doit_cargo.__version__}"
        raise UserError(Problem(what, f'pip install "doit-cargo{wanted}"', file.where("requires")))


def _united(files: list[TomlFile], key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for file in files for name in file.values.get(key, [])))


def _merged(files: list[TomlFile], key: str, make: Callable[[TomlFile, str, Any], T]) -> dict[str, T]:
    return {name: make(file, name, value) for file in files for name, value in file.values.get(key, {}).items()}


def _duplicates(files: list[TomlFile]) -> Duplicates:
    """Return what several files allow together; of several limits the nearest counts."""
    tables = [(file, file.values.get("duplicates", {})) for file in files]
    allowed = {
        name: file.where("duplicates", "allow", index)
        for file, table in tables
        for index, name in enumerate(table.get("allow", []))
    }
    limits = [Setting(table["max"], file.where("duplicates", "max")) for file, table in tables if "max" in table]
    return Duplicates(allowed, limits[-1] if limits else None)


def _share(files: list[TomlFile]) -> Share:
    """Return the nearest table as a whole: two layers' halves would make a store that nobody meant."""
    for file in reversed(files):
        if table := file.values.get("share"):
            lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
            fields: dict[str, Any] = {**table, **lists, "where": file.where("share")}
            return Share(**fields)
    return Share()


def _rule(file: TomlFile, feature: str, table: Mapping[str, Any]) -> Rule:
    return Rule(
        feature=feature,
        requires=tuple(table.get("requires", [])),
        conflicts=tuple(table.get("conflicts", [])),
        platforms=tuple(table.get("platforms", [])),
        where=file.where("rules", feature),
    )


def _feature_set(file: TomlFile, name: str, table: Mapping[str, Any]) -> FeatureSet:
    fields: dict[str, Any] = {
        key.replace("-", "_"): tuple(value) if isinstance(value, list) else value for key, value in table.items()
    }
    return FeatureSet(name=name, where=file.where("feature-sets", name), **fields)


def _service(file: TomlFile, name: str, table: Mapping[str, Any]) -> Service:
    return Service(name=name, where=file.where("services", name), **table)


def _launch(file: TomlFile, package: str, table: Mapping[str, Any]) -> Launch:
    if not table.get("binary"):
        what, fix = f"[serve.{package}] has no binary", 'say which program it is: binary = "NAME"'
        raise UserError(Problem(what, fix, file.where("serve", package)))
    arguments = {key: tuple(value) for key, value in table.items() if key != "binary"}
    return Launch(binary=table["binary"], **arguments)


def _model(file: TomlFile, name: str, table: Mapping[str, Any]) -> ModelSource:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", table.get("repo", "")):
        what, fix = f"[models.{name}] has no repository", 'where it is on the hub: repo = "OWNER/NAME"'
        raise UserError(Problem(what, fix, file.where("models", name)))
    return ModelSource(name=name, **table)


def _detect(workspace: Workspace, shipped: str) -> str:
    """Return the pack that names most of the workspace's members; `base` if none names any."""
    matches = {name: _matches(workspace, os.path.join(shipped, name), name) for name in pack_names(shipped)}
    best = max(matches, key=lambda name: matches[name], default=BASE)
    return best if matches.get(best) else BASE


def _matches(workspace: Workspace, directory: str, name: str) -> int:
    file = Layer(directory, f"profiles/{name}").pack_file()
    named = file.values.get("detect", {}).get("packages", []) if file else []
    return sum(package in workspace.packages for package in named)


class _Settings:
    """``[workspace.metadata.doit-cargo]`` of the root Cargo.toml, checked."""

    PATH = ("workspace", "metadata", "doit-cargo")

    def __init__(self, workspace: Workspace) -> None:
        self.root = workspace.root
        self.values: Mapping[str, Any] = workspace.settings
        if "doit-cargo" in workspace.metadata:
            self.file = TomlFile.read(workspace.manifest, "Cargo.toml")
            if not isinstance(workspace.metadata["doit-cargo"], Mapping):
                what, fix = "[workspace.metadata] doit-cargo is no table", "write [workspace.metadata.doit-cargo]"
                raise UserError(Problem(what, fix, self.file.where(*self.PATH)))
            problems = list(check(self.file, keys.SETTINGS, self.values, self.PATH))
            if problems:
                raise UserError(problems)

    def pack(self, known: tuple[str, ...]) -> str:
        name = str(self.values.get("pack", ""))
        if name and name not in known:
            raise UserError(unknown("pack", name, known, self.file.where(*self.PATH, "pack")))
        return name

    def overlay(self) -> tuple[Layer, ...]:
        """Return the user's own folder of profiles, if there is one; one that is named must be there."""
        named = str(self.values.get("profiles", ""))
        directory = os.path.normpath(os.path.join(self.root, named or OVERLAY))
        if os.path.join(self.root, "").startswith(os.path.join(os.path.realpath(directory), "")):
            where = self.file.where(*self.PATH, "profiles")
            raise UserError(Problem(f"{named!r} holds the workspace itself", "name a folder for profiles alone", where))
        if os.path.isdir(directory):
            return (Layer(directory, (named or OVERLAY).rstrip("/\\"), is_overlay=True),)
        if named:
            where = self.file.where(*self.PATH, "profiles")
            raise UserError(Problem(f"there is no folder {named!r}", "create it, or leave the key out", where))
        return ()
