"""What a pack names beside rules: feature sets, its programs, how they start and with which models, services, what is
shared and what features require. Data only.
"""

from __future__ import annotations

from collections.abc import Mapping

from doit_cargo.engine.base import NamedTuple


class Launch(NamedTuple):
    """How the program of a package is started (``[serve.PACKAGE]`` of a pack).

    `binary` is its name; the others are arguments, in which ``{port}``, ``{config}``, ``{model}``, ``{folder}`` and
    ``{file}`` are filled in: `serve` makes it an HTTP server, `talk` an interactive program, `mcp` names an MCP
    configuration, `plain` a model by name or folder, `gguf` a model as a GGUF file.
    """

    binary: str
    serve: tuple[str, ...] = ()
    talk: tuple[str, ...] = ()
    mcp: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    gguf: tuple[str, ...] = ()


class Service(NamedTuple):
    """Something that must run before a target can (``[services.NAME]`` of a pack).

    It is looked for at what the environment `variable` names, else at `default`: HOST:PORT or a URL, several with
    commas; with a `path` an HTTP server must answer it. `get` is written as in `tools.Row`, `start` is what to type.
    """

    name: str
    doc: str = ""
    variable: str = ""
    default: str = ""
    path: str = ""
    get: str = ""
    start: str = ""
    where: str = ""


class ModelSource(NamedTuple):
    """A model that a pack recommends (``[models.NAME]``), on the Hugging Face hub.

    `file` is "" for a whole repository; `size` is in bytes and `sha256` in hexadecimal, of that file, where known.
    """

    name: str
    repo: str
    doc: str = ""
    file: str = ""
    revision: str = ""
    size: int = 0
    sha256: str = ""


class OwnProgram(NamedTuple):
    """What the row of a TOML file runs: an argument list, where, and what it rests on.

    `cwd` and the patterns of `files` and `outputs` are relative to the workspace's root; without `files` and
    `variables` it is observed, if it has `outputs`, be they none. `env` is set for it. Words may say ``{root}`` for the
    folder of the workspace.
    """

    argv: tuple[str, ...]
    cwd: str = ""
    env: Mapping[str, str] = {}
    files: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def is_declared(self) -> bool:
        """True if it names what it rests on; else that is observed."""
        return bool(self.files or self.variables)

    def at(self, root: str) -> OwnProgram:
        """Return the program with the folder of a workspace in the place of ``{root}``."""
        env = {name: value.replace("{root}", root) for name, value in self.env.items()}
        return self._replace(argv=tuple(word.replace("{root}", root) for word in self.argv), env=env)


class FeatureSet(NamedTuple):
    """Features that belong together (``[feature-sets.NAME]`` of a pack), in the place of a profile's own."""

    name: str
    features: tuple[str, ...] = ()
    default_features: bool = True
    all_features: bool = False
    package: str = "all"
    where: str = ""

    @property
    def words(self) -> str:
        """The set as it stands in a sentence."""
        base = "all features" if self.all_features else "the defaults" if self.default_features else "no defaults"
        return ", ".join([base, *self.features])


class Share(NamedTuple):
    """Where results are shared, and which (``[share]`` of a pack). `write` is "never" or "ci"; `targets` are patterns.

    Results signed by none of `keys` are none, where there are keys; `ignore` are variables that change no result.
    """

    store: str = ""
    write: str = "never"
    keys: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    where: str = ""


class Rule(NamedTuple):
    """What a feature requires, excludes and runs on (``[rules.NAME]`` of a pack)."""

    feature: str
    requires: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    where: str = ""
