"""The Rust toolchain of a directory: which one rustup takes, what pins it, and the files that stand for it.

Runs no program, rustup least of all, and knows no plan and no message. Its facts are tried with rustup 1.29.
"""

import os

from doit_cargo.engine.base.files import line_of, named_like, read_text
from doit_cargo.engine.base.paths import ancestors, which
from doit_cargo.engine.base.toml.toml import loads, text_at
from doit_cargo.engine.toolchain.platform import host_triple

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Mapping

PIN_FILES = ("rust-toolchain", "rust-toolchain.toml")  # in this order: the one without .toml wins, with a warning


class Toolchain:
    """The Rust toolchain that rustup's proxies run in a directory.

    `where` is what chose it: ``file:line``, a variable, or settings.toml. `directory` is "" and `problem`
    says why if nothing can be chosen. `pinned`: by a file, an override or a variable, not by default. `installed`: to
    its end, or linked; rustup makes the folder first.
    """

    __slots__ = ("directory", "installed", "name", "pinned", "problem", "where")

    def __init__(self, name: str, directory: str, where: str, pinned: bool = True, problem: str = "") -> None:
        self.name = name
        self.directory = directory
        self.where = where
        self.pinned = pinned
        self.problem = problem
        self.installed = bool(directory) and os.path.isfile(self.program("rustc"))

    def program(self, name: str) -> str:
        """Return where the toolchain holds a program, whether or not it is there."""
        return os.path.join(self.directory, "bin", name + (".exe" if os.name == "nt" else ""))


def _home(environ: "Mapping[str, str]") -> str:
    return environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~")


def rustup_home(environ: "Mapping[str, str]") -> str:
    """Return the directory that holds rustup's settings and toolchains."""
    return environ.get("RUSTUP_HOME") or os.path.join(_home(environ), ".rustup")


def cargo_home(environ: "Mapping[str, str]") -> str:
    """Return the directory that holds cargo's own configuration and what `cargo install` made."""
    return environ.get("CARGO_HOME") or os.path.join(_home(environ), ".cargo")


def _settings_files(environ: "Mapping[str, str]") -> tuple[str, str]:
    """Return the user's settings and the fallback (https://rust-lang.github.io/rustup/configuration.html)."""
    fallback = environ.get("RUSTUP_OVERRIDE_UNIX_FALLBACK_SETTINGS") or "/etc/rustup/settings.toml"
    return os.path.join(rustup_home(environ), "settings.toml"), fallback


def pin_candidates(directory: str, environ: "Mapping[str, str]") -> tuple[str, ...]:
    """Return every path, there or not, where a file would choose the toolchain of `directory`."""
    pins = [os.path.join(level, name) for level in ancestors(os.path.realpath(directory)) for name in PIN_FILES]
    return (*pins, *_settings_files(environ))


def active_toolchain(directory: str, environ: "Mapping[str, str]", system: str = "") -> Toolchain:
    """Return the toolchain that rustup takes in `directory`: variable, nearest override or file, default."""
    return _Rustup(environ, system).active(directory)


class _Rustup:
    """What rustup would decide, from its settings and one environment."""

    def __init__(self, environ: "Mapping[str, str]", system: str) -> None:
        self.environ = environ
        self.user_file, fallback_file = _settings_files(environ)
        self.settings = _settings(self.user_file)
        fallback = _settings(fallback_file)
        self.default = text_at(self.settings, "default_toolchain") or text_at(fallback, "default_toolchain")
        self.triple = text_at(self.settings, "default_host_triple") or host_triple(system)

    def active(self, directory: str) -> Toolchain:
        """Return the toolchain of a directory."""
        named = self.environ.get("RUSTUP_TOOLCHAIN", "")
        if named:
            return self._named(named, "RUSTUP_TOOLCHAIN")
        found = next(filter(None, map(self._of_level, ancestors(os.path.realpath(directory)))), None)
        if found is not None:
            return found
        if self.default:
            return self._named(self.default, self.user_file, pinned=False)
        return Toolchain("", "", self.user_file, pinned=False, problem="rustup has no default toolchain")

    def _of_level(self, level: str) -> Toolchain | None:
        """Return what one directory asks for. Tried: `rustup override` beats a file; a deeper level beats both."""
        overrides = self.settings.get("overrides")
        if isinstance(overrides, dict) and text_at(overrides, level):
            return self._named(text_at(overrides, level), line_of(self.user_file, level))
        pins = (os.path.join(level, name) for name in PIN_FILES)
        return next((self._from_file(path) for path in pins if os.path.isfile(path)), None)

    def _from_file(self, path: str) -> Toolchain:
        """Return what a rust-toolchain file asks for; one bare line is the legacy form, without .toml only."""
        text = read_text(path)
        if len(text.splitlines()) == 1 and not path.endswith(".toml") and "[" not in text and text.strip():
            return self._named(text.strip(), f"{path}:1")
        try:
            table = loads(text).get("toolchain")
        except ValueError as error:
            return Toolchain("", "", path, problem=f"it is no TOML: {error}")
        if not isinstance(table, dict):
            return Toolchain("", "", path, problem="it has no [toolchain] table")
        if text_at(table, "path"):
            return Toolchain(text_at(table, "path"), text_at(table, "path"), line_of(path, "path"))
        return self._named(text_at(table, "channel") or self.default, line_of(path, "channel"))

    def _named(self, name: str, where: str, pinned: bool = True) -> Toolchain:
        """Return the toolchain of a channel, a full name or an absolute path."""
        if os.path.isabs(name):
            return Toolchain(name, name, where, pinned)
        store = os.path.join(rustup_home(self.environ), "toolchains")
        full = f"{name}-{self.triple}"
        for known in (full, name):
            if os.path.isdir(os.path.join(store, known)):
                return Toolchain(known, os.path.join(store, known), where, pinned)
        return Toolchain(name, os.path.join(store, full), where, pinned)


def auto_install(environ: "Mapping[str, str]") -> bool:
    """Return whether rustup fetches a missing toolchain by itself (the default since 1.28.1)."""
    if "RUSTUP_AUTO_INSTALL" in environ:
        return environ["RUSTUP_AUTO_INSTALL"] != "0"
    return text_at(_settings(_settings_files(environ)[0]), "auto_install") != "disable"


def _settings(path: str) -> "dict[str, object]":
    try:
        return loads(read_text(path))
    except ValueError:
        return {}


def is_proxy(path: str) -> bool:
    """Return whether a cargo or rustc is rustup's proxy: a link to rustup, or (Windows, old rustup) a copy of it."""
    if os.path.basename(os.path.realpath(path)).startswith("rustup"):
        return True
    rustup = os.path.join(os.path.dirname(path), "rustup.exe" if path.endswith(".exe") else "rustup")
    try:
        return os.path.getsize(rustup) == os.path.getsize(path)
    except OSError:
        return False


def compiler_path(environ: "Mapping[str, str]", system: str = "") -> str:
    """Return the rustc that cargo runs, as far as the environment decides."""
    named = environ.get("RUSTC") or environ.get("CARGO_BUILD_RUSTC") or "rustc"
    return which(named, environ, system)


def toolchain_identity(directory: str, environ: "Mapping[str, str]", system: str = "") -> tuple[str, ...]:
    """Return the files whose change means another toolchain: proxies, settings, the real programs and the driver.

    All of them exist. That an absent pin file must stay absent is for `pin_candidates`.
    """
    proxies = [path for path in (which("cargo", environ, system), compiler_path(environ, system)) if path]
    roots = {os.path.dirname(os.path.dirname(os.path.realpath(path))) for path in proxies if not is_proxy(path)}
    if len(roots) < 2 and any(is_proxy(path) for path in proxies):
        roots.add(active_toolchain(directory, environ, system).directory)
    files = [*proxies, *(os.path.realpath(path) for path in proxies), *_settings_files(environ)]
    for root in sorted(filter(None, roots)):
        files += _toolchain_files(root)
    return tuple(dict.fromkeys(path for path in files if os.path.isfile(path)))


def _toolchain_files(root: str) -> list[str]:
    """Return cargo, rustc and the compiler's driver library below a toolchain's root (or /usr)."""
    ending = ".exe" if os.name == "nt" else ""
    programs = [os.path.join(root, "bin", name + ending) for name in ("rustc", "cargo")]
    drivers = []
    # Windows keeps the driver in bin, Debian in lib/<multiarch>.
    for directory in ("lib", "bin" if ending else "", os.path.join("lib", f"{host_triple().split('-')[0]}-linux-gnu")):
        drivers += named_like(os.path.join(root, directory), ("librustc_driver-", "rustc_driver-")) if directory else []
    return programs + drivers
