"""Keys that cargo does not know and values that it does not take: it ignores the one and refuses the other.

Cargo itself warns of unknown keys in known tables; it says nothing of an unknown table, or of a variable such as
CARGO_PROFILE_RELEASE_LT0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from doit_cargo.engine.base.errors import nearest
from doit_cargo.engine.cargo.config import keys
from doit_cargo.engine.cargo.config.layers import ARGUMENT, CONFIG, ConfigLayer, plain, variable
from doit_cargo.engine.preflight.config.findings import ERROR, Finding, SettingsCase, toml

PREFIX = "CARGO_PROFILE_"


def misspelt(case: SettingsCase) -> Iterator[Finding]:
    """Unknown keys of profiles, config files and what is passed with --config, and values that cargo refuses."""
    for layer in case.settings.layers:
        values = layer.values if layer.kind in (ARGUMENT, CONFIG) else {"profile": layer.table(("profile",))}
        for path, known in keys.unknown_keys(values):
            if not _is_refused(path):
                yield _unknown(layer, path, known)
        for name, table in layer.table(("profile",)).items():
            here = ("profile", str(name))
            if isinstance(table, Mapping):
                yield from _profile(layer, here, table)
            else:
                what = f"profile.{name} = {toml(table)}: cargo takes a table there"
                yield Finding(ERROR, "refused", what, f"[profile.{name}]", layer.where(here))


def _is_refused(path: tuple[str, ...]) -> bool:
    """Tell whether a key is one that holds for a whole profile, set in an override: cargo says so itself."""
    return path[0] == "profile" and len(path) > 3 and path[-1] in keys.NOT_IN_OVERRIDES


def _profile(layer: ConfigLayer, path: tuple[str, ...], table: Mapping[str, object]) -> Iterator[Finding]:
    for key, value in table.items():
        here = (*path, key)
        if _is_refused(here):
            what = f"{'.'.join(here)}: cargo refuses {key} there, it holds for a whole profile"
            yield Finding(ERROR, "refused", what, "take it out", layer.where(here))
        elif key == "build-override" and isinstance(value, Mapping):
            yield from _profile(layer, here, value)
        elif key == "package" and isinstance(value, Mapping):
            for spec, override in value.items():
                if isinstance(override, Mapping):
                    yield from _profile(layer, (*here, str(spec)), override)
        elif key in keys.PROFILE_KEYS:
            yield from _value(".".join(here), key, value, layer.where(here))


def _unknown(layer: ConfigLayer, path: tuple[str, ...], known: tuple[str, ...]) -> Finding:
    result = "cargo ignores it" if path[1:] else "cargo knows no such table and says nothing"
    guess = nearest(path[-1], known)
    fix = f"did you mean {guess}?" if guess else f"take it out; known: {', '.join(sorted(known)[:12])}"
    return Finding(ERROR, "misspelt", f"{'.'.join(path)} is unknown: {result}", fix, layer.where(path))


def _value(name: str, key: str, value: object, where: str) -> Iterator[Finding]:
    allowed = keys.ALLOWED.get(key)
    if key == "codegen-units":
        fine = isinstance(value, int) and not isinstance(value, bool) and value > 0
        allowed = (1, 16, 256)
    else:
        fine = allowed is None or any(value == one and type(value) is type(one) for one in allowed)
    if not fine:
        listed = ", ".join(toml(one) for one in allowed or ())
        yield Finding(ERROR, "refused", f"{name} = {toml(value)}: cargo takes no such value", f"one of {listed}", where)


def variables(case: SettingsCase) -> Iterator[Finding]:
    """CARGO_PROFILE_* variables that cargo never asks for: it says nothing of them."""
    known = {variable(path): path[-1] for path in _readable(case)}
    for name, text in sorted(case.settings.environ.items()):
        if not name.startswith(PREFIX):
            continue
        if name in known:
            yield from _value(name, known[name], plain(text), name)
        else:
            guess = nearest(name, tuple(known))
            fix = f"did you mean {guess}?" if guess else "unset it"
            if "_PACKAGE_" in name:
                fix = "write [profile.NAME.package.PACKAGE] in Cargo.toml, or pass it with --config"
            yield Finding(ERROR, "misspelt", f"{name} is set, but cargo reads no such variable", fix, name)


def _readable(case: SettingsCase) -> Iterator[tuple[str, ...]]:
    for name in case.profiles:
        yield from (("profile", name, key) for key in (*keys.SETTINGS, "inherits", *keys.UNSTABLE))
        yield from (("profile", name, "build-override", key) for key in keys.SETTINGS)


def renamed(table: Mapping[str, object]) -> dict[str, str]:
    """Return unknown keys of a profile table with the one that each surely means: the nearest, if it is not set too."""
    pairs = ((key, nearest(key, keys.PROFILE_KEYS)) for key in table if key not in keys.PROFILE_KEYS)
    return {key: guess for key, guess in pairs if guess and guess not in table and _fits(guess, table[key])}


def _fits(key: str, value: object) -> bool:
    if key in keys.TABLES:
        return isinstance(value, Mapping)
    return not isinstance(value, Mapping) and not list(_value(key, key, value, ""))
