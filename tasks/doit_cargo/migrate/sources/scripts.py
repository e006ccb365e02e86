"""Scripts of a package.json that call cargo, and aliases of a .cargo/config.toml: a line of shell, or of words, each.

npm gives a script to `sh -c` in the folder of its package.json; cargo puts an alias's words in its place, which may be
an alias again (Cargo book, "Configuration", `[alias]`).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.migrate.recording.box import Box
from doit_cargo.migrate.sources.source import Old, Source, variables_of

HEADING = re.compile(r"^((?:sub)?commands:|tasks:)[ \t]*\n", re.IGNORECASE | re.MULTILINE)


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
    open_ends = [name for name in found if _open_end(_words(name, found, ()))]
    notes = []
    for name in open_ends:
        told = _subcommands(box, _words(name, found, ()))
        found |= {f"{name}-{word}": [name, word] for word in told if f"{name}-{word}" not in found}
        notes += [f"build it, then migrate again: `cargo {name} --help` lists what {name} does"] if not told else []
    cargo = os.path.join(box.base, "bin", "cargo")

    def call(name: str, _: Mapping[str, str]) -> list[str]:
        return [cargo, *_words(name, found, ())]

    targets = tuple(Old(name, _line(name, text), "cargo ", _open_end(_words(name, found, ()))) for name in found)
    return Source("alias", path, targets, call, notes=tuple(notes))


def _subcommands(box: Box, words: list[str]) -> list[str]:
    """Return what a program of the workspace that is built says in its --help that it can do.

    It is run where it can reach nothing, from a copy: the folder that it is built into is no part of the box.
    """
    options = dict(itertools.pairwise(words))
    name = next((options[each] for each in ("--bin", "--package", "-p") if each in options), "")
    built = os.path.join(box.checkout, "target", "release" if "--release" in words else "debug", name)
    if words[:1] not in (["run"], ["r"]) or not name or not os.path.isfile(built) or not box.is_contained:
        return []
    copy = shutil.copy2(built, os.path.join(box.base, f"built-{os.path.basename(name)}"))
    outcome = box.run([copy, "--help"], box.environment())
    return list(_listed(f"{outcome.out}\n{outcome.err}"))


def _listed(text: str) -> Iterator[str]:
    """Yield the first words below a heading "Commands:", those that are the least indented."""
    _, heading, rest = re.split(HEADING, text, maxsplit=1) if re.search(HEADING, text) else ("", "", "")
    block = re.match(r"(?:[ \t]+\S.*\n|\n(?=[ \t]))*", rest + "\n" if heading else "")
    found = re.findall(r"^([ \t]+)([a-z][\w-]*)(?=[ \t,]|$)", block[0] if block else "", re.MULTILINE)
    least = min((len(indent) for indent, _ in found), default=0)
    yield from (word for indent, word in found if len(indent) == least and word != "help")


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
