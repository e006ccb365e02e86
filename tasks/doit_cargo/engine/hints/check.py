"""Is a hints.toml right? Everything that is wrong with it, each with file:line.

Knows the form of the file, nothing of logs. The user's file is checked when it is read, the shipped one by a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from doit_cargo.engine.base.errors import Problem, unknown
from doit_cargo.engine.base.toml.locations import TomlFile
from doit_cargo.engine.hints.fixes import PLACE
from doit_cargo.engine.hints.rules import FIXES, RANKS
from doit_cargo.engine.plan.profiles.files import check
from doit_cargo.engine.plan.profiles.kinds import ANY, FLAG, LIST, TEXT, Kind, Section
from doit_cargo.engine.toolchain.platform import INSTALL
from doit_cargo.engine.toolchain.tools import ROWS


def _expressions(value: list[str], key: str, where: str) -> list[Problem]:
    problems = []
    for source in value:
        try:
            re.compile(source)
        except re.error as error:
            what = f"{key} holds {source!r}, which is no regular expression: {error}"
            problems.append(Problem(what, "correct it, or escape what is meant as it stands: \\( \\[ \\. \\*", where))
    return problems


def _tool(value: str, _key: str, where: str) -> list[Problem]:
    return [] if value in ROWS or PLACE.fullmatch(value) else [unknown("tool", value, tuple(ROWS), where)]


# What the grammars name, or is made of that, and a hint with `of` may say.
SUBJECTS = frozenset(("cross", "program", "linker", "library", "symbol", "header", "module", "ended", "item", "since"))

EXPRESSIONS = Kind("a list of regular expressions", "['cannot find -lfoo']", LIST.accepts, _expressions)
RANK = Kind("a number from 1 to 9", "3", lambda value: type(value) is int and value in RANKS)
NEAR = Kind("a number of lines", "40", lambda value: type(value) is int and 0 <= value <= 400)
TOOL = Kind("a string", '"protoc"', TEXT.accepts, _tool)

# What the table `fix` means as a whole.
FIX = TEXT.means(
    "What mends it. `tool` = a name of the [tools](profiles.md), `library` = a group that names libraries, "
    "a package manager = its packages, a system or `any` = words.",
    'fix = { apt = "cmake", windows = "winget install Kitware.CMake" }',
)
HINT: Section = {
    "category": TEXT.means(
        "What the cause is about: of several hints of one category only the best is shown. Default: the name.",
        'category = "disk-full"',
    ),
    "rank": RANK.means(
        "1 fells everything else, 2 to 4 name one cause, 5 and 6 are broader, 7 to 9 a consequence. Default: 5.",
        "rank = 2",
    ),
    "patterns": EXPRESSIONS.means(
        "Regular expressions for one line; any of them is enough.", "patterns = ['cannot find -lfoo']"
    ),
    "of": {
        ANY: LIST.means(
            "What it owns of the facts of a grammar (program, linker, library, import_library, symbol, lookup, shared, "
            "header, module, item, ended), as globs: of several hints the one with most letters tells.",
            'of = { library = ["foo*"], header = ["foo.h"] }',
        )
    },
    "also": EXPRESSIONS.means("Each must match as well, within `near` lines.", "also = ['os error 2']"),
    "unless": EXPRESSIONS.means("None may match within `near` lines.", "unless = ['timed out']"),
    "near": NEAR.means("How many lines before and after. Default: 40.", "near = 8"),
    "hides": LIST.means("Hints that are a consequence of this one.", 'hides = ["cmake-failed"]'),
    "warnings": FLAG.means("Whether a line that is only a warning counts in any case.", "warnings = true"),
    "cause": TEXT.means("What happened, in one or two sentences.", 'cause = "There is no {program}."'),
    "fix": {key: TOOL if key == "tool" else TEXT for key in (*FIXES, "library")},
    "evidence": LIST.means("Where it was seen.", 'evidence = ["rust-lang/cargo#5237"]'),
}
LIBRARY: Section = {"names": LIST, **dict.fromkeys(INSTALL, TEXT)}
FILE: Section = {"hint": {ANY: HINT}, "library": {ANY: LIBRARY}}
SORT: Section = {"patterns": EXPRESSIONS, "means": TEXT, "fix": TEXT}
GRAMMAR: Section = {"subject": TEXT, "patterns": EXPRESSIONS}
SHIPPED: Section = {
    **FILE,
    "signs": {ANY: EXPRESSIONS},
    "verdict": {ANY: {"good": EXPRESSIONS, "bad": EXPRESSIONS}},
    "grammar": {ANY: GRAMMAR},
    "kind": {ANY: SORT},
    "since": {ANY: LIST},
    "symbols": {ANY: {ANY: LIST}},
}


def problems_of(file: TomlFile, known: frozenset[str], form: Section = FILE) -> list[Problem]:
    """Return everything that is wrong with a file. `known` are the names of hints that it may hide or replace."""
    problems = list(check(file, form, file.values, ()))
    hints = file.values.get("hint", {})
    if problems or not isinstance(hints, dict):
        return problems
    names = known | hints.keys()
    return [problem for name, table in hints.items() for problem in _incomplete(file, name, table, names)]


def _incomplete(file: TomlFile, name: str, table: Mapping[str, Any], names: frozenset[str]) -> Iterator[Problem]:
    where = file.where("hint", name)
    for key in ("patterns", "cause", "fix"):
        if not (table.get(key) or (key == "patterns" and table.get("of"))):
            yield Problem(f"hint {name!r} has no {key}", "docs/hints.md shows a whole one", where)
    for other in table.get("hides", ()):
        if other not in names:
            yield unknown("hint", other, tuple(names), file.where("hint", name, "hides"))
    groups = _groups(table)
    for key, text in (("cause", table.get("cause", "")), *table.get("fix", {}).items()):
        for place in PLACE.finditer(text):
            if place[1] not in groups:
                what = f"{key} names {{{place[1]}}}, which no pattern of hint {name!r} has as a group"
                yield Problem(what, f"write (?P<{place[1]}>...) in a pattern", file.where("hint", name, key))


def _groups(table: Mapping[str, Any]) -> frozenset[str]:
    groups = {
        group
        for key in ("patterns", "also")
        for source in table.get(key, ())
        for group in re.compile(source).groupindex
    }
    return (SUBJECTS if table.get("of") else frozenset()) | groups | ({"toolkits"} if "arch" in groups else set())
