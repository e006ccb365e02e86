"""Where cargo's settings come from, strongest first: --config, the environment, config files, the workspace manifest.

Knows Cargo's order (Cargo book, "Configuration") and nothing of what a setting means. A value is a `Setting` that
knows its place. Reads files; runs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from doit_cargo.engine.base.model import Setting
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.base.toml.locations import TomlFile
from doit_cargo.engine.cargo.config.files import walk
from doit_cargo.engine.cargo.discovery import CONFIG_NAMES, config_folders

ARGUMENT, ENVIRONMENT, CONFIG, MANIFEST = "argument", "environment", "config", "manifest"

Path = tuple[str, ...]


class ConfigLayer:
    """One source of settings. `ours` = a file inside the workspace, which its maintainers can change for everybody."""

    def __init__(self, kind: str, label: str, file: TomlFile | None = None, ours: bool = False) -> None:
        self.kind = kind
        self.label = label
        self.file = file
        self.ours = ours
        self.values: Mapping[str, Any] = file.values if file else {}

    def where(self, path: Path) -> str:
        return self.file.where(*path) if self.file else self.label

    def table(self, path: Path) -> Mapping[str, Any]:
        """Return a table, empty where there is none."""
        found: Any = self.values
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def get(self, path: Path) -> Setting | None:
        """Return the value at a path with its place."""
        above = self.table(path[:-1])
        return Setting(above[path[-1]], self.where(path)) if path[-1] in above else None


class Arguments(ConfigLayer):
    """What a feature profile passes with --config: dotted keys, each with the file and line of the profile."""

    def __init__(self, settings: Mapping[str, Setting]) -> None:
        super().__init__(ARGUMENT, "--config")
        self.places = {_path(key): setting.where for key, setting in settings.items()}
        tree: dict[str, Any] = {}
        for key, setting in settings.items():
            *above, last = _path(key)
            table = tree
            for name in above:
                table = table.setdefault(name, {})
            table[last] = setting.value
        self.values = tree

    def where(self, path: Path) -> str:
        return f"--config of {self.places.get(path, 'the profile')}"


def _path(key: str) -> Path:
    """Return the parts of a key as TOML reads it, of which some may be quoted and hold dots."""
    found, path = toml.loads(f"{key} = 0"), []
    while isinstance(found, dict):
        ((name, found),) = found.items()
        path.append(name)
    return tuple(path)


class Environment(ConfigLayer):
    """`CARGO_PROFILE_RELEASE_LTO` and the like. Only single keys can be asked: names do not tell their tables."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(ENVIRONMENT, "the environment")
        self.environ = environ

    def get(self, path: Path) -> Setting | None:
        # Cargo asks no variable for `profile.NAME.package.SPEC.KEY`: seen with 1.95, whatever the book says.
        if path[0] == "profile" and "package" in path[2:3]:
            return None
        name = variable(path)
        return Setting(plain(self.environ[name]), name) if name in self.environ else None


def variable(path: Path) -> str:
    """Return the name of the variable that cargo reads for a key (Cargo book, "Environment variables").

    >>> variable(("profile", "release-fast", "codegen-units"))
    'CARGO_PROFILE_RELEASE_FAST_CODEGEN_UNITS'
    """
    return "CARGO_" + "_".join(path).upper().replace("-", "_").replace(".", "_")


def plain(text: str) -> object:
    """Return a variable's text as cargo takes it where several kinds are allowed: a boolean, a number, else text."""
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isascii() and text.lstrip("-").isdigit() else text


def config_layers(root: str, environ: Mapping[str, str], texts: Mapping[str, str]) -> list[ConfigLayer]:
    """Return the config files that cargo reads in `root`, the strongest first. Raises `UserError` for one that is no
    TOML. `texts` stand for what is on disk, by path.

    The deepest folder comes first and CARGO_HOME last; what a file includes comes after it, the last include first.
    """
    layers: dict[str, ConfigLayer] = {}

    def read(path: str) -> Mapping[str, Any]:
        file = _file(path, shown(path, root), texts)
        layers[path] = ConfigLayer(CONFIG, file.label, file, ours=inside(path, root))
        return file.values

    return [layers[path] for path, _ in walk(root, environ, read)]


def shadowed(root: str, environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (taken, ignored) for each folder that holds both `config` and `config.toml`."""
    pairs = [[os.path.join(folder, name) for name in CONFIG_NAMES] for folder in config_folders(root, environ)]
    return [(old, new) for old, new in pairs if os.path.isfile(old) and os.path.isfile(new)]


def _file(path: str, label: str, texts: Mapping[str, str]) -> TomlFile:
    return TomlFile(path, label, texts[path]) if path in texts else TomlFile.read(path, label)


def inside(path: str, root: str) -> bool:
    """Tell whether a file lies in the workspace."""
    return os.path.realpath(path).startswith(os.path.realpath(root) + os.sep)


def shown(path: str, root: str) -> str:
    """Return a path as messages name it: from the workspace root where it lies below, with `/`."""
    return os.path.relpath(path, root).replace(os.sep, "/") if path.startswith(root + os.sep) else path


class ConfigLayers:
    """All layers of one call of cargo in a workspace, the strongest first."""

    def __init__(
        self,
        root: str,
        environ: Mapping[str, str],
        arguments: Mapping[str, Setting] | None = None,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.environ = environ
        self.environment = Environment(environ)
        self.configs = config_layers(root, environ, texts or {})
        manifest = _file(os.path.join(root, "Cargo.toml"), "Cargo.toml", texts or {})
        self.manifest = ConfigLayer(MANIFEST, "Cargo.toml", manifest, ours=True)
        self.manifest.values = {"profile": manifest.values.get("profile", {})}
        self.layers: list[ConfigLayer] = [Arguments(arguments or {}), self.environment, *self.configs, self.manifest]

    def all(self, path: Path) -> list[Setting]:
        """Return every value that is set for a key, the one that counts first."""
        return [found for layer in self.layers if (found := layer.get(path)) is not None]

    def first(self, path: Path) -> Setting | None:
        return next(iter(self.all(path)), None)

    def keys(self, path: Path) -> list[str]:
        """Return the keys of a table, as all layers together have them; the weakest first, as people read them."""
        return list(dict.fromkeys(key for layer in reversed(self.layers) for key in layer.table(path)))

    def joined(self, path: Path) -> list[Setting]:
        """Return the values of a list that cargo joins over all layers, such as build.rustflags, the weakest first."""
        return list(reversed(self.all(path)))
