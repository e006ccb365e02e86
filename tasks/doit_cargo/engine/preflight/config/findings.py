"""What in cargo's settings does not do what it says. This module: the finding, the case, and the rules of profiles.

A finding is an error where a setting is dead, silenced or refused, so that somebody is mistaken about the build; else
a note. Rules are functions (case) -> findings, listed in `report.RULES`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from doit_cargo.engine.base.errors import Problem
from doit_cargo.engine.base.model import Package, Setting, Workspace
from doit_cargo.engine.base.toml.locations import TomlFile
from doit_cargo.engine.cargo.config import keys
from doit_cargo.engine.cargo.config.effective import CargoProfile, normal
from doit_cargo.engine.cargo.config.layers import MANIFEST, ConfigLayer, ConfigLayers, shown
from doit_cargo.engine.cargo.discovery import CONFIG_NAMES

ERROR, NOTE = "error", "note"
MEND = "doit-cargo fix_profiles writes it so"
LINKED = frozenset({"bin", "cdylib", "dylib", "staticlib"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: how bad, the rule that found it, where, what, and what to do."""

    severity: str
    rule: str
    what: str
    fix: str = ""
    where: str = ""

    def __str__(self) -> str:
        return str(Problem(self.what, self.fix, self.where))


@dataclass(frozen=True, slots=True)
class SettingsCase:
    """Everything that rules look at. `host` is this machine's triple; `facts` gives ``rustc --print cfg`` lines of a
    triple; `committed` tells whether git keeps a file (any file, where there is no git). `deliberate` maps a rule to
    why what it finds here is meant so.
    """

    settings: ConfigLayers
    profiles: Mapping[str, CargoProfile]
    refused: tuple[Problem, ...]
    workspace: Workspace
    host: str = ""
    facts: Callable[[str], Iterable[str]] = lambda _: ()
    committed: Callable[[str], bool] = lambda _: True
    cores: int = 0
    members: Mapping[str, TomlFile] = field(default_factory=dict)
    deliberate: Mapping[str, Setting] = field(default_factory=dict)


def refused(case: SettingsCase) -> Iterator[Finding]:
    """What cargo refuses: circles, an unknown or missing `inherits`."""
    for problem in case.refused:
        yield Finding(ERROR, "refused", problem.what, problem.fix, problem.where)


def overridden(case: SettingsCase) -> Iterator[Finding]:
    """Keys that two files of the workspace set, and what this machine's own settings override."""
    for path in _set_keys(case):
        found = [(layer, setting) for layer in case.settings.layers if (setting := layer.get(path))]
        for weaker in found[1:]:
            yield _override(path, found[0], weaker)


def _set_keys(case: SettingsCase) -> Iterator[tuple[str, ...]]:
    for name in case.settings.keys(("profile",)):
        yield from (("profile", name, key) for key in (*keys.SETTINGS, "inherits"))
        yield from (("profile", name, "build-override", key) for key in keys.SETTINGS)
        for spec in case.settings.keys(("profile", name, "package")):
            yield from (("profile", name, "package", spec, key) for key in keys.SETTINGS)


def _override(
    path: tuple[str, ...], winner: tuple[ConfigLayer, Setting], loser: tuple[ConfigLayer, Setting]
) -> Finding:
    (strong, value), (_, other) = winner, loser
    key = ".".join(path)
    same = normal(path[-1], value.value) == normal(path[-1], other.value)
    if not (strong.ours and loser[0].ours):
        what = f"{key} = {toml(value.value)} overrides {toml(other.value)} ({other.where})"
        return Finding(
            NOTE, "overridden-here", what, "on this machine only; leave it out to build as others do", value.where
        )
    if same:
        what = f"{key} = {toml(value.value)} is set twice, also at {value.where}"
        return Finding(NOTE, "repeated", what, MEND, other.where)
    what = f"{key} = {toml(other.value)} has no effect: {value.where} sets {toml(value.value)}, and config files win"
    if strong.kind == loser[0].kind:
        what = f"{key} = {toml(other.value)} has no effect: {value.where} sets {toml(value.value)}, and comes first"
    return Finding(ERROR, "overridden", what, f"keep one of the two; {MEND}", other.where)


def member_profiles(case: SettingsCase) -> Iterator[Finding]:
    """Profiles in the manifests of members: cargo takes those of the workspace root alone."""
    for name, file in case.members.items():
        for profile in file.values.get("profile", {}):
            what = (
                f"profile.{profile} of the member {name} is ignored: cargo takes profiles of the workspace root alone"
            )
            fix = "write it in the workspace's Cargo.toml, or nowhere; doit-cargo fix_profiles takes it out"
            yield Finding(ERROR, "member-profile", what, fix, file.where("profile", profile))


def lost_strip(case: SettingsCase) -> Iterator[Finding]:
    """Overrides of a package that take the profile's `strip` away, since they do not repeat it."""
    for profile, package in losing_strip(case):
        wanted, got = profile.keys["strip"], profile.of(package)["strip"]
        what = (
            f"strip = {toml(wanted.value)} of profile.{profile.name} ({wanted.where}) is lost for "
            f"{package}: {got.where.partition(': ')[2]}, and cargo then takes its default"
        )
        fix = f"add strip = {toml(wanted.value)} to profile.{profile.name}.package.{package}"
        yield Finding(ERROR, "lost-strip", what, f"{fix}; {MEND}", _place_in(got.where))


def losing_strip(case: SettingsCase) -> Iterator[tuple[CargoProfile, str]]:
    """Yield (profile, package) where an override of a package takes the profile's `strip` away."""
    for profile in case.profiles.values():
        wanted = profile.keys["strip"]
        if wanted.is_default or normal("strip", wanted.value) == "none" or profile.name in ("test", "bench"):
            continue
        for package in case.workspace.packages.values():
            lost = profile.of(package.name)["strip"].is_default
            if lost and _is_linked(package) and not _inherited(case, profile, package):
                yield profile, package.name


def _is_linked(package: Package) -> bool:
    return any(LINKED & set(target.kinds) for target in package.cargo_targets)


def _inherited(case: SettingsCase, profile: CargoProfile, package: Package) -> bool:
    """Tell whether the profile above has the same fault, so that it is told once."""
    above = [case.profiles[name] for name in profile.chain[:-1] if name in case.profiles]
    return any(one.of(package.name)["strip"].where == profile.of(package.name)["strip"].where for one in above)


def _place_in(text: str) -> str:
    return text.partition("(")[2].partition(")")[0]


def toml(value: object) -> str:
    """Return a value as TOML writes it."""
    from doit_cargo.engine.plan.render import toml_value

    return toml_value(value)


def member_files(workspace: Workspace) -> dict[str, TomlFile]:
    """Return the manifests of members, other than the root's, that hold a profile."""
    found: dict[str, TomlFile] = {}
    for package in workspace.packages.values():
        if os.path.realpath(package.manifest) != os.path.realpath(workspace.manifest) and _mentions_profile(package):
            file = TomlFile.read(package.manifest, shown(package.manifest, workspace.root))
            if file.values.get("profile"):
                found[package.name] = file
    return found


def _mentions_profile(package: Package) -> bool:
    try:
        with open(package.manifest, "rb") as stream:
            return b"profile" in stream.read()
    except OSError:
        return False


def member_configs(workspace: Workspace) -> list[str]:
    """Return config files in and above members: cargo reads them only if it runs there."""
    folders: dict[str, None] = {}
    for package in workspace.packages.values():
        folder = package.directory
        while folder.startswith(workspace.root + os.sep):
            folders[folder] = None
            folder = os.path.dirname(folder)
    paths = (os.path.join(folder, ".cargo", name) for folder in sorted(folders) for name in CONFIG_NAMES)
    return [path for path in paths if os.path.isfile(path)]


def own_layers(settings: ConfigLayers) -> list[ConfigLayer]:
    """Return the files of the workspace itself, config files first."""
    return [layer for layer in settings.layers if layer.ours and layer.file and layer.kind != MANIFEST]
