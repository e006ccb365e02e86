"""What cargo knows: the keys of a cargo profile with the values they take, and the tables and keys of a config file.

Facts only. Sources: Cargo book, "Profiles" and "Configuration" (cargo 1.95), and cargo's own checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

# The keys that have an effect on stable cargo, in the order in which the book has them.
SETTINGS = (
    "opt-level",
    "debug",
    "split-debuginfo",
    "strip",
    "debug-assertions",
    "overflow-checks",
    "lto",
    "panic",
    "incremental",
    "codegen-units",
    "rpath",
)
UNSTABLE = ("codegen-backend", "rustflags", "trim-paths", "hint-mostly-unused", "dir-name")
TABLES = ("build-override", "package")
PROFILE_KEYS = (*SETTINGS, "inherits", *TABLES, *UNSTABLE)
# Cargo refuses these in [profile.X.package.Y] and [profile.X.build-override].
NOT_IN_OVERRIDES = ("lto", "panic", "rpath", "inherits", *TABLES)

BOOLEAN = (True, False)
# What a key may hold; a key that is not here takes any text. Text forms of booleans are cargo's own.
ALLOWED: Mapping[str, tuple[object, ...]] = {
    "opt-level": (0, 1, 2, 3, "0", "1", "2", "3", "s", "z"),
    "debug": (*BOOLEAN, 0, 1, 2, "none", "line-directives-only", "line-tables-only", "limited", "full"),
    "split-debuginfo": ("off", "packed", "unpacked"),
    "strip": (*BOOLEAN, "none", "debuginfo", "symbols"),
    "debug-assertions": BOOLEAN,
    "overflow-checks": BOOLEAN,
    "lto": (*BOOLEAN, "thin", "fat", "off", "n", "no", "on", "y", "yes", "true"),
    "panic": ("unwind", "abort"),
    "incremental": BOOLEAN,
    "rpath": BOOLEAN,
}


BUILT_IN = ("dev", "release", "test", "bench")
ROOTS = ("dev", "release")
INHERITS = {"test": "dev", "bench": "release", "doc": "dev"}
FOLDERS = {"dev": "debug", "test": "debug", "bench": "release"}
# None = cargo passes nothing, and rustc decides: 256 codegen units with incremental compilation, 16 without.
COMMON: Mapping[str, object] = {
    "split-debuginfo": None,
    "strip": "none",
    "lto": False,
    "panic": "unwind",
    "codegen-units": None,
    "rpath": False,
}
DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "dev": {
        **COMMON,
        "opt-level": 0,
        "debug": True,
        "debug-assertions": True,
        "overflow-checks": True,
        "incremental": True,
    },
    "release": {
        **COMMON,
        "opt-level": 3,
        "debug": False,
        "debug-assertions": False,
        "overflow-checks": False,
        "incremental": False,
    },
}


# What a config file may hold: the keys of a table, each with the table below it. "*" is any key, as in [alias], [env].
Known = Mapping[str, "Known | None"]
ANYTHING: Known = {"*": None}


def _keys(*names: str, **tables: Known) -> Known:
    return {**dict.fromkeys(names), **{name.replace("_", "-"): table for name, table in tables.items()}}


_IN_OVERRIDES = _keys(*(key for key in PROFILE_KEYS if key not in NOT_IN_OVERRIDES), trim_paths=ANYTHING)
PROFILE: Known = {
    **_keys(*PROFILE_KEYS, trim_paths=ANYTHING),
    "build-override": _IN_OVERRIDES,
    "package": {"*": _IN_OVERRIDES},
}
_LISTS_OF_FLAGS = ("rustflags", "rustdocflags")
_BUILD = (
    *("artifact-dir", "build-dir", "dep-info-basedir", "incremental", "jobs", "pipelining", "rustc", "rustc-wrapper"),
    *("rustc-workspace-wrapper", "rustdoc", "target", "target-dir", "warnings", *_LISTS_OF_FLAGS),
    *("analysis", "fingerprint", "sbom"),
)
_HTTP = (
    *("cainfo", "check-revoke", "debug", "low-speed-limit", "multiplexing", "proxy", "proxy-cainfo", "timeout"),
    "user-agent",
)
_REGISTRY = ("credential-provider", "index", "protocol", "secret-key", "secret-key-subject", "token")
_SOURCE = ("branch", "directory", "git", "local-registry", "registry", "replace-with", "rev", "tag")
CONFIG_TABLES: Known = {
    "alias": ANYTHING,
    "build": _keys(*_BUILD, analysis=ANYTHING),
    "cache": _keys("auto-clean-frequency", auto_clean=ANYTHING, global_clean=ANYTHING),
    "cargo-new": _keys("vcs", "name", "email"),
    "credential-alias": ANYTHING,
    "doc": _keys("browser", extern_map=ANYTHING),
    "env": ANYTHING,
    "future-incompat-report": _keys("frequency"),
    "host": ANYTHING,
    "http": _keys(*_HTTP, ssl_version=_keys("min", "max")),
    "include": ANYTHING,
    "install": _keys("root"),
    "net": _keys("retry", "git-fetch-with-cli", "offline", ssh=_keys("known-hosts")),
    "patch": ANYTHING,
    "paths": ANYTHING,
    "profile": {"*": PROFILE},
    "publish": _keys("timeout"),
    "registries": {"*": _keys(*_REGISTRY)},
    "registry": _keys("default", "global-credential-providers", *_REGISTRY),
    "resolver": _keys("feature-unification", "incompatible-rust-versions", "lockfile-path"),
    "source": {"*": _keys(*_SOURCE)},
    # Any table beside the keys is what `links` of a package names, and stands for its build script.
    "target": {"*": ANYTHING},
    "target-applies-to-host": ANYTHING,
    "term": _keys(
        "quiet", "verbose", "color", "hyperlinks", "unicode", progress=_keys("when", "width", "term-integration")
    ),
    "unstable": ANYTHING,
}


class UnknownKey(NamedTuple):
    """A key that cargo does not know, by its path, and what is known in its place."""

    path: tuple[str, ...]
    known: tuple[str, ...]


def unknown_keys(table: Mapping[str, object], known: Known = CONFIG_TABLES, *above: str) -> Iterator[UnknownKey]:
    """Yield the keys of a table, and of those below it, that cargo does not know."""
    for key, value in table.items():
        if key not in known and "*" not in known:
            yield UnknownKey((*above, key), tuple(known))
        elif isinstance(value, Mapping) and (below := known.get(key, known.get("*"))):
            yield from unknown_keys(value, below, *above, key)


# Variables that cargo reads for itself. In the table [env] of a config file they are too late: cargo reads them before
# that, and only rustc and build scripts get to see [env]. Each with what to write instead.
READ_BY_CARGO: Mapping[str, str] = {
    "CARGO_BUILD_JOBS": "build.jobs",
    "CARGO_BUILD_RUSTFLAGS": "build.rustflags",
    "CARGO_BUILD_TARGET": "build.target",
    "CARGO_ENCODED_RUSTFLAGS": "build.rustflags",
    "CARGO_INCREMENTAL": "build.incremental, or incremental of a cargo profile",
    "CARGO_TARGET_DIR": "build.target-dir",
    "RUSTC": "build.rustc",
    "RUSTC_WORKSPACE_WRAPPER": "build.rustc-workspace-wrapper",
    "RUSTC_WRAPPER": "build.rustc-wrapper",
    "RUSTDOC": "build.rustdoc",
    "RUSTDOCFLAGS": "build.rustdocflags",
    "RUSTFLAGS": "build.rustflags",
}

# Commands that an alias cannot replace (cargo --list): cargo ignores the alias.
COMMANDS = frozenset(
    (
        *("add", "bench", "build", "check", "clean", "config", "doc", "fetch", "fix", "generate-lockfile"),
        *("help", "info", "init", "install", "locate-project", "login", "logout", "metadata", "new", "owner"),
        *("package", "pkgid", "publish", "remove", "report", "run", "rustc", "rustdoc", "search", "test"),
        *("tree", "uninstall", "update", "vendor", "version", "yank"),
    )
)
