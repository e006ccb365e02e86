"""Scripts of a package.json that call cargo, and aliases of a .cargo/config.toml: a line of shell, or of words, each.

npm gives a script to `sh -c` in the folder of its package.json; cargo puts an alias's words in its place, which may be
an alias again (Cargo book, "Configuration", `[alias]`).
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from typing import Any

from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.migrate.recording.box import Box
from doit_cargo.migrate.sources.source import Old, Source, variables_of


def npm(box: Box, path: str) -> Source:
    """Return the scripts of a package.json as a source. Raises `UserError` for a file that is no JSON."""
    with open(os.path.join(box.checkout, path), encoding="utf-8") as stream:
        text = stream.read()
    try:
        scripts: dict[str, str] = json.loads(text).get("scripts", {})
    except ValueError as error:
        raise UserError(Problem(f"is not JSON: {error}", "correct it", path)) from None
    shell, folder = box.shell("/bin/sh"), os.path.dirname(path)

    def call(name: str, given: Mapping[str, str]) -> list[str]:
        words = [f"{key}={value}" for key, value in given.items()]
        place = ["-C", folder] if folder else []
        return ["/usr/bin/env", *place, *words, shell, "-c", scripts.get(name, ":")]

    def unsure(name: str) -> str:
        around = [before + name for before in ("pre", "post") if before + name in scripts]
        return f"npm runs {around[0]} too" if around else ""

    wanted = [name for name, line in scripts.items() if "cargo" in line]
    targets = tuple(Old(name, _line(name, text), scripts[name], unsure(name)) for name in wanted)
    return Source("npm", path, targets, call, variables=variables_of("\n".join(scripts.values())))


def alias(box: Box, path: str) -> Source:
    """Return the aliases of cargo's settings as a source."""
    with open(os.path.join(box.checkout, path), encoding="utf-8") as stream:
        text = stream.read()
    try:
        found = tomllib.loads(text).get("alias", {})
    except tomllib.TOMLDecodeError as error:
        raise UserError(Problem(f"is not TOML: {error}", "correct it", path)) from None
    cargo = os.path.join(box.base, "bin", "cargo")

    def call(name: str, _: Mapping[str, str]) -> list[str]:
        return [cargo, *_words(name, found, ())]

    targets = tuple(Old(name, _line(name, text), "", _open_end(_words(name, found, ()))) for name in found)
    return Source("alias", path, targets, call)


def _words(name: str, aliases: Mapping[str, Any], seen: tuple[str, ...]) -> list[str]:
    """Return what cargo makes of an alias; one that names itself is a subcommand of cargo's."""
    value = aliases.get(name)
    if value is None or name in seen:
        return [name]
    words = value.split() if isinstance(value, str) else [str(word) for word in value]
    return [*_words(words[0], aliases, (*seen, name)), *words[1:]] if words else []


def _open_end(words: list[str]) -> str:
    """Return why an alias is no target by itself: what ends in ``--``, as an xtask does, waits for more words."""
    return f"waits for more words: cargo {' '.join(words)} ..." if words[-1:] == ["--"] else ""


def _line(name: str, text: str) -> int:
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.lstrip(' "').startswith(name)), 0)
