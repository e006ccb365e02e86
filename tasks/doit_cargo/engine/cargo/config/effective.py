"""What each cargo profile comes to: every key with its value, the place that set it, and the places it overrides.

Follows cargo's own composition (`Profiles::new` and `ProfileMaker` in cargo): layers are merged key by key inside each
profile first, then along `inherits`, then come build-override and the packages. Pure over `ConfigLayers`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from doit_cargo.engine.base.errors import Problem, unknown
from doit_cargo.engine.base.model import Setting
from doit_cargo.engine.cargo.config import keys
from doit_cargo.engine.cargo.config.layers import ConfigLayers

DEFAULT = "cargo's default"
HOST = "cargo's default for build scripts and procedural macros"
UNWIND = "cargo: tests and benchmarks always unwind"
TESTING = ("test", "bench")


@dataclass(frozen=True, slots=True)
class Value:
    """A value with its place; `over` are the weaker places that set the same key of the same profile."""

    value: object
    where: str
    over: tuple[Setting, ...] = ()

    @property
    def is_default(self) -> bool:
        return self.where.startswith(DEFAULT)


Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class CargoProfile:
    """A cargo profile. `chain` leads from a root (dev or release) to the profile itself.

    `keys` has every key of `keys.SETTINGS`; `build_override` and `packages` only those that somebody sets.
    `incremental`, from outside the profile, overrides it and its packages.
    """

    name: str
    chain: tuple[str, ...]
    keys: Values
    build_override: Values = field(default_factory=dict)
    packages: Mapping[str, Values] = field(default_factory=dict)
    incremental: Value | None = None

    @property
    def folder(self) -> str:
        """The folder below the target directory."""
        return keys.FOLDERS.get(self.name, self.name)

    def of(self, package: str, member: bool = True, host: bool = False) -> dict[str, Value]:
        """Return what a package is compiled with. `host`: as a build script, a procedural macro or for one.

        An override that does not set strip takes it away again: so cargo 1.95 does, and so did rustc get it.
        """
        found = dict(self.keys)
        if host:
            found["opt-level"], found["codegen-units"] = Value(0, HOST), Value(None, HOST)
            _lay_over(found, self.build_override, "build-override")
        if not member and "*" in self.packages:
            _lay_over(found, self.packages["*"], 'package."*"')
        spec = next((spec for spec in self.packages if _matches(spec, package)), "")
        if spec:
            _lay_over(found, self.packages[spec], f"package.{spec}")
        if self.incremental:
            found["incremental"] = self.incremental
        return found


def _lay_over(found: dict[str, Value], override: Values, table: str) -> None:
    if not override:
        return
    if "strip" not in override:
        place = next(iter(override.values())).where
        found["strip"] = Value("none", f"{DEFAULT}: {table} ({place}) does not repeat it", ())
    found.update(override)


def _matches(spec: str, package: str) -> bool:
    """Tell whether a package id specification names a package; its version, if any, is taken to fit."""
    name = spec.rpartition("#")[2] or spec
    return spec != "*" and name.partition("@")[0] == package


def profiles(settings: ConfigLayers) -> tuple[dict[str, CargoProfile], list[Problem]]:
    """Return the cargo profiles by name, and what cargo will refuse about them."""
    names = dict.fromkeys([*keys.BUILT_IN, *settings.keys(("profile",))])
    found: dict[str, CargoProfile] = {}
    problems: list[Problem] = []
    for name in names:
        chain = _chain(settings, name, tuple(names), problems)
        if chain:
            found[name] = _compose(settings, name, chain)
    return found, problems


def _chain(settings: ConfigLayers, name: str, known: tuple[str, ...], problems: list[Problem]) -> tuple[str, ...]:
    """Return the profiles from the root down to `name`; none, and a problem, where cargo would refuse."""
    chain = [name]
    while chain[-1] not in keys.ROOTS:
        here = settings.first(("profile", chain[-1], "inherits"))
        parent = str(here.value) if here else keys.INHERITS.get(chain[-1], "")
        where = here.where if here else _place(settings, chain[-1])
        if not parent:
            fix = 'add inherits = "release" (or "dev") to it'
            problems.append(Problem(f"the cargo profile {chain[-1]} inherits nothing: cargo refuses it", fix, where))
            return ()
        if parent in chain:
            circle = " -> ".join([*chain[chain.index(parent) :], parent])
            problems.append(Problem(f"cargo profiles inherit in a circle: {circle}", "take one inherits out", where))
            return ()
        if parent not in known and parent not in keys.INHERITS:
            problems.append(unknown("cargo profile", parent, known, where))
            return ()
        chain.append(parent)
    return tuple(reversed(chain))


def _place(settings: ConfigLayers, name: str) -> str:
    layers = (layer for layer in settings.layers if name in layer.table(("profile",)))
    return next((layer.where(("profile", name)) for layer in layers), "")


def _compose(settings: ConfigLayers, name: str, chain: tuple[str, ...]) -> CargoProfile:
    root = keys.DEFAULTS[chain[0]]
    composed = {key: _value(settings, chain, (key,)) or Value(root[key], DEFAULT) for key in keys.SETTINGS}
    if name in TESTING:
        panic = composed["panic"]
        composed["panic"] = Value("unwind", UNWIND, () if panic.is_default else (Setting(panic.value, panic.where),))
    incremental = _incremental(settings, composed["incremental"])
    composed["incremental"] = incremental or composed["incremental"]
    return CargoProfile(
        name,
        chain,
        composed,
        build_override=_table(settings, chain, ("build-override",)),
        packages={
            spec: _table(settings, chain, ("package", spec)) for spec in _table_keys(settings, chain, ("package",))
        },
        incremental=incremental,
    )


def _value(settings: ConfigLayers, chain: tuple[str, ...], path: tuple[str, ...]) -> Value | None:
    """Return what the last profile of the chain that sets a key says."""
    for name in reversed(chain):
        found = settings.all(("profile", name, *path))
        if found:
            return Value(found[0].value, found[0].where, tuple(found[1:]))
    return None


def _table(settings: ConfigLayers, chain: tuple[str, ...], path: tuple[str, ...]) -> dict[str, Value]:
    pairs = ((key, _value(settings, chain, (*path, key))) for key in keys.SETTINGS)
    return {key: value for key, value in pairs if value}


def _table_keys(settings: ConfigLayers, chain: tuple[str, ...], path: tuple[str, ...]) -> Iterator[str]:
    yield from dict.fromkeys(key for name in chain for key in settings.keys(("profile", name, *path)))


def _incremental(settings: ConfigLayers, of_profile: Value) -> Value | None:
    """Return what CARGO_INCREMENTAL, or else build.incremental, says: it overrides all profiles.

    Only "1" turns it on: any other text of the variable is off.
    """
    found: list[Setting] = []
    if "CARGO_INCREMENTAL" in settings.environ:
        found.append(Setting(settings.environ["CARGO_INCREMENTAL"] == "1", "CARGO_INCREMENTAL"))
    found += settings.all(("build", "incremental"))
    if not found:
        return None
    rest = (*found[1:], *(() if of_profile.is_default else (Setting(of_profile.value, of_profile.where),)))
    return Value(found[0].value, found[0].where, (*rest, *of_profile.over))


def normal(key: str, value: object) -> str:
    """Return a value in the one form in which equal settings are equal: `lto = true` is fat, `debug = true` is 2."""
    if value is None:
        return "rustc's default"
    if isinstance(value, bool):
        return BOOLEANS.get(key, {}).get(value, str(value).lower())
    return WORDS.get(key, {}).get(str(value), str(value))


BOOLEANS: Mapping[str, Mapping[bool, str]] = {
    "lto": {True: "fat", False: "false"},
    "debug": {True: "2", False: "0"},
    "strip": {True: "symbols", False: "none"},
}
WORDS: Mapping[str, Mapping[str, str]] = {
    "debug": {"none": "0", "limited": "1", "full": "2"},
    "lto": {"true": "fat", "on": "fat", "y": "fat", "yes": "fat", "n": "off", "no": "off"},
}
