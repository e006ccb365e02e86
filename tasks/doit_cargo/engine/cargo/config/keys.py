"""What cargo knows: the keys of a cargo profile with the values they take, and the tables and keys of a config file.

Facts only. Sources: Cargo book, "Profiles" and "Configuration" (cargo 1.95), and cargo's own checks.
"""

from __future__ import annotations

from collections.abc import Mapping

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


# Tables of a config file with their keys; "*" = any, as in [alias] and [env].
CONFIG_TABLES: Mapping[str, tuple[str, ...]] = {
    "alias": ("*",),
    "build": (
        *(
            "artifact-dir",
            "build-dir",
            "dep-info-basedir",
            "incremental",
            "jobs",
            "pipelining",
            "rustc",
            "rustc-wrapper",
        ),
        *("rustc-workspace-wrapper", "rustdoc", "rustdocflags", "rustflags", "target", "target-dir", "warnings"),
        *("analysis", "fingerprint", "sbom"),
    ),
    "cache": ("auto-clean-frequency", "auto-clean", "global-clean"),
    "cargo-new": ("vcs", "name", "email"),
    "credential-alias": ("*",),
    "doc": ("browser", "extern-map"),
    "env": ("*",),
    "future-incompat-report": ("frequency",),
    "host": ("*",),
    "http": ("*",),
    "include": ("*",),
    "install": ("root",),
    "net": ("retry", "git-fetch-with-cli", "offline", "ssh"),
    "patch": ("*",),
    "paths": ("*",),
    "profile": ("*",),
    "registries": ("*",),
    "registry": ("*",),
    "resolver": ("feature-unification", "incompatible-rust-versions", "lockfile-path"),
    "source": ("*",),
    "target": ("*",),
    "target-applies-to-host": ("*",),
    "term": ("quiet", "verbose", "color", "hyperlinks", "unicode", "progress"),
    "unstable": ("*",),
}

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
