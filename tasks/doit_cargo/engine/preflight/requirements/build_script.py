"""What a package's own build script does with a crate or a program, as far as its text tells: the sources at hand.

A script is read with the modules that it declares, without what `cfg(feature)` leaves out of it. Knows no package and
runs nothing; what cannot be read may do anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.cargo.config.cfg import holds
from doit_cargo.engine.cargo.config.target_cfg import facts
from doit_cargo.engine.toolchain.platform import host_triple

# Does the script use it: certainly, only if something holds that shows when it runs, or not at all?
YES, MAYBE, NO = "yes", "maybe", "no"

_QUIET = re.compile(r'//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\.[^\']*|[^\'\\])\'', re.DOTALL)
_CFG = re.compile(r"#!?\[\s*cfg\s*\(|\bif\s+cfg!\s*\(")
_MODULE = re.compile(r'(?:#\[\s*path\s*=\s*"([^"]*)"\s*\]\s*)?(?:pub(?:\([^)]*\))?\s+)?\bmod\s+(\w+)\s*;')
_ASKED_AT_RUN_TIME = re.compile(r'"CARGO_FEATURE_(\w+)"')
_OPENING, _CLOSING = "([{", ")]}"


class BuildScript:
    """The build script of the package in `directory`, compiled with these of its features."""

    def __init__(self, directory: str, features: Iterable[str]) -> None:
        self.directory = directory
        self.features = frozenset(features)

    @cached_property
    def _manifest(self) -> dict[str, object]:
        return toml.read(os.path.join(self.directory, "Cargo.toml"))

    @cached_property
    def _text(self) -> str | None:
        """The text that is compiled; "" if there is no script, None if not all of it can be read.

        Build-dependencies without a script stand for sources that are not here.
        """
        package = self._manifest.get("package", {})
        named = package.get("build", True) if isinstance(package, dict) else True
        path = os.path.join(self.directory, named if isinstance(named, str) else "build.rs")
        if named is False or (named is True and not os.path.isfile(path)):
            return None if self._edges() else ""
        known = {*facts(host_triple()), *(f'feature="{name}"' for name in self.features)}
        try:
            text = "\n".join(_with_modules(path, frozenset(known), top=True))
        except OSError:
            return None
        return None if re.search(r"\binclude!\s*\(", _without_quiet(text)) else text

    def uses_crate(self, name: str) -> str:
        """Tell whether the script uses a crate that it is compiled with."""
        text = self._text
        if text is None:
            return MAYBE
        code = _without_quiet(text)
        words = "|".join(re.escape(each.replace("-", "_")) for each in self._names_of(name))
        if not re.search(rf"\b(?:{words})\b", code):
            return NO
        asked = self._first_question(text)
        return YES if asked == len(code) or _first_use(code, words) < asked else MAYBE

    def names(self, program: str) -> bool:
        """Tell whether the script's text has a program's name, in whatever role."""
        word = rf"(?<![a-z0-9]){re.escape(program)}(?![a-z0-9])"
        return self._text is None or bool(re.search(word, self._text, re.IGNORECASE))

    def _first_question(self, text: str) -> int:
        """Return where the script first asks, as it runs, for a feature that is off; the end if it does not."""
        on = {name.upper().replace("-", "_") for name in self.features}
        asked = (match.start() for match in _ASKED_AT_RUN_TIME.finditer(text) if match[1] not in on)
        return next(asked, len(text))

    def _names_of(self, package: str) -> list[str]:
        """Return the names under which the manifest has a package: its own, and those that it is renamed to."""
        renamed = (key for key, value in self._edges() if isinstance(value, dict) and value.get("package") == package)
        return [package, *renamed]

    def _edges(self) -> list[tuple[str, object]]:
        tables = [self._manifest, *_tables(self._manifest.get("target"))]
        return [edge for table in tables for edge in _items(table.get("build-dependencies"))]


def _first_use(code: str, words: str) -> int:
    """Return where a crate, or a name that is imported from it, is first used beyond its import; the end if nowhere."""
    imports = list(re.finditer(rf"\buse\s+(?:::)?(?:{words})\b[^;]*;", code))
    named = {word for one in imports for word in re.findall(r"\w+", one[0])} - {"use", "self", "as", "crate", "super"}
    uses = (one.start() for one in re.finditer(rf"\b(?:{'|'.join([words, *named])})\b", code))
    return next((use for use in uses if not any(one.start() <= use < one.end() for one in imports)), len(code))


def _tables(value: object) -> list[dict[str, object]]:
    return [table for _, table in _items(value) if isinstance(table, dict)]


def _items(value: object) -> list[tuple[str, object]]:
    return list(value.items()) if isinstance(value, dict) else []


def _with_modules(path: str, known: frozenset[str], top: bool = False, depth: int = 0) -> Iterator[str]:
    """Yield the kept text of a file and of the modules that it declares. Raises `OSError` if one is not there."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        text = _kept(stream.read(), known)
    yield text
    folder = os.path.dirname(path)
    inner = folder if top or os.path.basename(path) == "mod.rs" else os.path.splitext(path)[0]
    for named, module in _MODULE.findall(_without_comments(text)):
        places = (
            [os.path.join(folder, named)]
            if named
            else [os.path.join(inner, f"{module}.rs"), os.path.join(inner, module, "mod.rs")]
        )
        found = next(filter(os.path.isfile, places), places[0])
        if depth < 8:
            yield from _with_modules(found, known, depth=depth + 1)


def _kept(text: str, known: frozenset[str]) -> str:
    """Return a source text without the items and blocks whose `cfg` does not hold."""
    code = _without_quiet(text)
    position = 0
    while match := _CFG.search(code, position):
        end = _close(code, match.end() - 1)
        condition = f"cfg({text[match.end() : end]})"
        position = end + 1
        if holds(condition, known):
            continue
        if match[0].startswith("#!"):
            return ""
        until = _end_of_item(code, code.find("]", end) + 1 if match[0].startswith("#") else end + 1)
        text, code = (each[: match.start()] + " " * (until - match.start()) + each[until:] for each in (text, code))
        position = until
    return _without_comments(text)


def _close(code: str, opening: int) -> int:
    """Return the place of the bracket that closes the one at `opening`; the end if none does."""
    depth = 0
    for place in range(opening, len(code)):
        depth += (code[place] in _OPENING) - (code[place] in _CLOSING)
        if not depth:
            return place
    return len(code)


def _end_of_item(code: str, start: int) -> int:
    """Return where the item or statement ends that begins at `start`: after its `;`, its `,` or its block."""
    place = start
    is_use = re.match(r"\s*(?:pub(?:\([^)]*\))?\s+)?use\b", code[start:])
    while place < len(code):
        if code[place] in ";,":
            return place + 1
        if code[place] in _CLOSING:
            return place
        if code[place] in _OPENING:
            is_block = code[place] == "{" and not is_use
            place = _close(code, place)
            if is_block:
                return place + 1
        place += 1
    return len(code)


def _without_quiet(text: str) -> str:
    """Return a text with blanks for its comments and literals; every other character keeps its place."""
    return _QUIET.sub(lambda match: " " * len(match[0]), text)


def _without_comments(text: str) -> str:
    return _QUIET.sub(lambda match: " " * len(match[0]) if match[0].startswith("/") else match[0], text)
