"""A composed profile as commented TOML: each value with the file and line that set it.

For people, and valid as a profile file of its own. Knows nothing of how profiles are found or composed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from doit_cargo.engine.base.model import DeclaredInputs, Profile, Setting
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.plan.profiles.keys import CARGO, INPUTS

if TYPE_CHECKING:
    from tomlkit import TOMLDocument
    from tomlkit.items import Array, Item


def to_toml(profile: Profile) -> str:
    """Return the text of a profile, each value with a comment that names the file and line that set it."""
    import tomlkit

    document = tomlkit.document()
    document.add("doc", tomlkit.item(profile.doc))
    document.add("features", _features(profile.features))
    document.add("default-features", _item(profile.default_features))
    if profile.platforms.value:
        document.add("platforms", _item(profile.platforms))
    _add_table(document, "cargo", _cargo(profile))
    _add_table(document, "env", {name: _env(setting) for name, setting in profile.env.items()})
    _add_table(document, "needs", profile.needs)
    _add_inputs(document, profile.inputs)
    return tomlkit.dumps(document)


def _features(settings: tuple[Setting, ...]) -> Array:
    import tomlkit

    array = tomlkit.array()
    for setting in settings:
        array.add_line(str(setting.value), comment=_by(setting))
    if settings:
        array.add_line(indent="")
    return array


def _cargo(profile: Profile) -> dict[str, Setting]:
    known = {key: profile.cargo[key] for key in CARGO if key in profile.cargo}
    return known | {f"config.{key}": setting for key, setting in profile.config.items()}


def _env(setting: Setting) -> Setting:
    return Setting({"unset": True}, setting.where) if setting.value is None else setting


def _add_table(document: TOMLDocument, name: str, settings: Mapping[str, Setting]) -> None:
    import tomlkit

    if not settings:
        return
    table = tomlkit.table()
    for key, setting in settings.items():
        table.add(tomlkit.key(_parts(key)), _item(setting))
    document.add(name, table)


def _add_inputs(document: TOMLDocument, inputs: DeclaredInputs) -> None:
    import tomlkit

    table = tomlkit.table()
    for key in INPUTS:
        said = getattr(inputs, key)
        if said:
            table.add(key, said if isinstance(said, str) else tomlkit.item(list(said)))
    if table:
        document.add("inputs", table)


def _item(setting: Setting) -> Item:
    import tomlkit

    item: Item = tomlkit.item(_plain(setting.value))
    return item.comment(_by(setting))


def _plain(value: Any) -> Any:
    """Return a value in the form that tomlkit writes on one line."""
    import tomlkit

    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update(value)
        return table
    return list(value) if isinstance(value, tuple) else value


def _by(setting: Setting) -> str:
    return setting.where if setting.where == "default" else f"set by {setting.where}"


def _parts(key: str) -> list[str]:
    """Return the parts of a dotted key, which may hold quoted ones."""
    parts: list[str] = []
    table: Any = toml.loads(f"{key} = 0")
    while isinstance(table, dict):
        part, table = next(iter(table.items()))
        parts.append(part)
    return parts
