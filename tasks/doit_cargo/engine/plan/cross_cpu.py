"""Cross builds without ``target-cpu=native``: that names the CPU of this computer, whatever is built for.

Cargo's configuration may ask for it for every build (``build.rustflags``), and so it reaches other triples too. What
is said later on rustc's command line wins, and cargo joins lists, so a cross build gets one more flag. Reads cargo's
config files and the environment; changes neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from doit_cargo.engine.cargo.config.files import read_tables
from doit_cargo.engine.toolchain.triples import default_cpu, plain

NATIVE = re.compile(r"target-cpu[= \x1f]native\b")
FLAGS = "rustflags"


class Portable:
    """What a cross build sets instead: cargo configuration (key, value), variables, and where `native` stood."""

    def __init__(self) -> None:
        self.config: list[tuple[str, Any]] = []
        self.env: dict[str, str] = {}
        self.places: list[str] = []


def portable(root: str, environ: Mapping[str, str], triple: str) -> Portable:
    """Return what keeps ``target-cpu=native`` out of a build for `triple`; nothing where it would not be in it."""
    found, cpu = Portable(), f"target-cpu={default_cpu(triple)}"
    own = f"CARGO_TARGET_{plain(triple).upper().replace('-', '_')}_RUSTFLAGS"
    for name in ("CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", own):
        if NATIVE.search(environ.get(name, "")):
            found.env[name] = NATIVE.sub(cpu, environ[name])
            found.places.append(name)
    for path, table in read_tables(root, environ):
        for key, flags in _flags(table, plain(triple)):
            text = " ".join(flags) if isinstance(flags, list) else str(flags)
            if NATIVE.search(text):
                # Lists of files and command line are joined, the command line's last; a text replaces a text.
                found.config.append((key, ["-C", cpu] if isinstance(flags, list) else NATIVE.sub(cpu, text)))
                found.places.append(path)
    return found


def _flags(table: Mapping[str, Any], triple: str) -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, flags) of a config file that can reach a triple; a cfg that does not match is harmless."""
    if FLAGS in _table(table.get("build")):
        yield f"build.{FLAGS}", table["build"][FLAGS]
    for name, settings in _table(table.get("target")).items():
        if (name == triple or name.startswith("cfg(")) and FLAGS in _table(settings):
            quoted = "'" + name + "'"
            yield f"target.{quoted}.{FLAGS}", settings[FLAGS]


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
