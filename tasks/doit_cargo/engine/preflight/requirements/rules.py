"""What crates need from the system: data/sysdeps.toml and the user's file over it, as typed rows.

Knows which keys there are and reads them; which rules hold for a plan is for inference.py to say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import doit_cargo
from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.base.toml.locations import TomlFile
from doit_cargo.engine.plan.profiles.files import check
from doit_cargo.engine.plan.profiles.kinds import FLAG, LIST, ON_PLATFORMS, SPECIFIER, TEXT, Kind, Section

FILE = "sysdeps.toml"


@dataclass(frozen=True, slots=True)
class NativeLibrary:
    """A C library: the pkg-config modules that stand for it, and how to get it (as in `tools.Row.get`)."""

    name: str
    modules: tuple[str, ...]
    get: str = ""


@dataclass(frozen=True, slots=True)
class NeedRule:
    """One thing that a crate needs, and when. The fields are the keys of sysdeps.toml, which explains them."""

    crate: str
    thing: str
    version: str = ""
    crates: str = ""
    features: tuple[str, ...] = ()
    unless_features: tuple[str, ...] = ()
    shown_by: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    unless_targets: tuple[str, ...] = ()
    unless_env: tuple[str, ...] = ()
    if_env: tuple[str, ...] = ()
    only_if_env: tuple[str, ...] = ()
    place_env: tuple[str, ...] = ()
    not_for: tuple[str, ...] = ()
    unless_beside: tuple[str, ...] = ()
    with_any: tuple[str, ...] = ()
    in_scripts: bool = False
    only_warn: bool = False
    when: str = ""
    own: bool = False
    """Whether the user's own file says it, who knows the packages at hand."""


@dataclass(frozen=True, slots=True)
class CrateEntry:
    """What is known of one crate: its rules, or why it needs nothing; and where, in which versions that was read."""

    name: str
    rules: tuple[NeedRule, ...]
    nothing: str = ""
    evidence: str = ""

    @property
    def versions(self) -> tuple[str, ...]:
        """The crate's versions that `evidence` names right behind the crate's name: ``bindgen 0.71, 0.72``."""
        named = re.findall(rf"(?<![\w-]){re.escape(self.name)} (\d[\w.+-]*(?:(?:, | and )\d[\w.+-]*)*)", self.evidence)
        return tuple(word for words in named for word in re.split(r", | and ", words))


@dataclass(frozen=True, slots=True)
class Knowledge:
    """All of it. `optional` maps a registry crate to {dependency: features of the crate that turn it on}."""

    crates: Mapping[str, CrateEntry]
    libraries: Mapping[str, NativeLibrary]
    optional: Mapping[str, Mapping[str, tuple[str, ...]]]


NEED: Section = {
    "thing": TEXT,
    "version": SPECIFIER,
    "crates": SPECIFIER,
    "features": LIST,
    "unless-features": LIST,
    "shown-by": LIST,
    "asked": LIST,
    "platforms": ON_PLATFORMS,
    "targets": LIST,
    "unless-targets": LIST,
    "unless-env": LIST,
    "if-env": LIST,
    "only-if-env": LIST,
    "place-env": LIST,
    "not-for": LIST,
    "unless-beside": LIST,
    "with": LIST,
    "in-scripts": FLAG,
    "only-warn": FLAG,
    "when": TEXT,
}
SECTION: Section = {
    "library": {"*": {"pkg-config": LIST, "get": TEXT}},
    "crate": {"*": {"nothing": TEXT, "evidence": TEXT, "needs": {"*": NEED}}},
    "optional": {"*": {"*": LIST}},
}
_OFF = Kind("a table of conditions, or false to take the need away", "false", lambda value: value is False)


def shipped_path() -> str:
    """Return the file that comes with doit-cargo."""
    return os.path.join(doit_cargo.DIRECTORY, "data", FILE)


def load(overlay: str = "", label: str = "") -> Knowledge:
    """Return what is known; `overlay` is the user's own file if there is one, `label` how messages call it.

    Raises `UserError` with every mistake of the user's file, each with its line.
    """
    with open(shipped_path(), "rb") as stream:
        values: dict[str, Any] = toml.load(stream)
    own: dict[str, Any] = {}
    if overlay and os.path.isfile(overlay):
        file = TomlFile.read(overlay, label or overlay)
        problems = list(problems_of(file))
        if problems:
            raise UserError(problems)
        own = file.values.get("crate", {})
        _lay_over(values, file.values)
    return _from_values(values, own)


def problems_of(file: TomlFile) -> Iterator[Problem]:
    """Yield everything that is wrong in a file of this kind."""
    values = {key: _without_off(value) if key == "crate" else value for key, value in file.values.items()}
    yield from check(file, SECTION, values, ())


def _without_off(crates: object) -> object:
    """Return the crates without needs that are taken away (`needs.X = false`), which the schema of a need lacks."""
    if not isinstance(crates, dict):
        return crates
    return {name: _need_tables(entry) if isinstance(entry, dict) else entry for name, entry in crates.items()}


def _need_tables(entry: dict[str, Any]) -> dict[str, Any]:
    needs = entry.get("needs")
    if not isinstance(needs, dict):
        return entry
    return {**entry, "needs": {label: need for label, need in needs.items() if not _OFF.accepts(need)}}


def _lay_over(values: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Lay one document over another, table by table; what is no table replaces."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _lay_over(values[key], value)
        else:
            values[key] = value


def _from_values(values: Mapping[str, Any], own: Mapping[str, Any]) -> Knowledge:
    return Knowledge(
        crates={name: _entry(name, table, own.get(name, {})) for name, table in values.get("crate", {}).items()},
        libraries={
            name: NativeLibrary(name, tuple(table.get("pkg-config", [name])), table.get("get", ""))
            for name, table in values.get("library", {}).items()
        },
        optional={
            crate: {name: tuple(features) for name, features in table.items()}
            for crate, table in values.get("optional", {}).items()
        },
    )


def _entry(name: str, table: Mapping[str, Any], own: Mapping[str, Any]) -> CrateEntry:
    needs = table.get("needs", {})
    mine = own.get("needs", {})
    rules = tuple(_rule(name, label, need, label in mine) for label, need in needs.items() if need is not False)
    return CrateEntry(name, rules, "" if rules else table.get("nothing", ""), table.get("evidence", ""))


def _rule(crate: str, label: str, need: Mapping[str, Any], own: bool) -> NeedRule:
    fields: dict[str, Any] = {
        _field(key): tuple(value) if isinstance(value, list) else value for key, value in need.items()
    }
    return NeedRule(crate, str(fields.pop("thing", label)), **fields, own=own)


def _field(key: str) -> str:
    return "with_any" if key == "with" else key.replace("-", "_")
