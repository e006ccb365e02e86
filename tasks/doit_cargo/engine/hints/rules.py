"""What is known of failures: the tables of data/hints.toml, and of a user's own hints.toml over it.

Knows nothing of logs, and takes the tables as right: check.py checks them.
"""

from __future__ import annotations

import fnmatch
import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, NamedTuple

from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.hints.literals import alternatives, bounded, choices_of, rarest
from doit_cargo.engine.toolchain import debian
from doit_cargo.engine.toolchain.platform import INSTALL

SYSTEMS = ("linux", "macos", "windows")
FIXES = ("tool", *INSTALL, *SYSTEMS, "any")
RANKS = range(1, 10)
NEAR = 40

# Words of every log: a pattern is found by another of its words if it has one.
COMMON_WORDS = """
--edition a all allow an and any are artifacts as at be been bin build but by can cargo cc check checking clang
clean command compile compiled compiler compiling config core could crate crates data debug dep-info dependency deps
did do does done downloaded downloading embed-bitcode error exit failure feature features file files finished for
from gcc git has have help home if in index info input into is it its json lib libc library line link linking list
local make manifest may metadata name names new no not note ok on only or out output package packages passed path
process profile python registry release root run running rust rustc rustup set should so some source src stable std
stdout such system target test tests that the this to toolchain try type unit unused up use used user value variable
version via warning warnings was when which will with you your
"""


class Pattern:
    """A regular expression for one line, compiled when a line holds the literals that it needs.

    `words`: one of them is in every line that can match; empty if the expression has no such word. `literal` and
    one word of each of `needs` are in every line that can match, lower case.
    """

    __slots__ = ("_compiled", "_literals", "literal", "needs", "source", "words")

    def __init__(self, source: str) -> None:
        self.source = source
        self._compiled: re.Pattern[str] | None = None
        found = alternatives(source)
        choices = [choices_of(one, _commonness) for one in found]
        self.words = tuple(dict.fromkeys(word.encode() for word in rarest(choices, _commonness)))
        self._literals = tuple(tuple(run.text.encode() for run in one.runs) for one in found)
        # What rules most lines out, where there is only one alternative.
        self.literal = max(self._literals[0], key=len, default=b"") if len(self._literals) == 1 else b""
        self.needs = tuple(frozenset(map(str.encode, words)) for words in choices[0]) if len(found) == 1 else ()

    def may_match(self, lower: bytes) -> bool:
        """Tell whether a line (lower case) holds all literals of one alternative."""
        return any(all(literal in lower for literal in literals) for literals in self._literals)

    def search(self, text: str, plain: str) -> re.Match[str] | None:
        """Search a line; an expression that is bound to the beginning sees the line without what tools put before."""
        return self._expression().search(plain if self.source.startswith("^") else text)

    def find(self, lines: str) -> re.Match[str] | None:
        """Search several lines."""
        return self._expression().search(lines)

    def _expression(self) -> re.Pattern[str]:
        if self._compiled is None:
            self._compiled = re.compile(bounded(self.source), re.IGNORECASE | re.MULTILINE)
        return self._compiled


@cache
def _pattern(source: str) -> Pattern:
    """Return an expression, taken apart once: there are two thousand, which takes a fifth of a second."""
    return Pattern(source)


def _commonness(word: str) -> tuple[bool, int]:
    return word in _common() or word.isdigit() or len(word) < 2, -len(word)


@cache
def _common() -> frozenset[str]:
    return frozenset(COMMON_WORDS.split())


@dataclass(frozen=True, slots=True, eq=False)
class Grammar:
    """How tools word one kind of fact: a library that the linker lacks, a program that is not installed.

    The group `subject` of each pattern names what it is about. Whose hint that is, the hints say (`of`).
    """

    name: str
    subject: str
    patterns: tuple[Pattern, ...]

    def subject_of(self, found: re.Match[str]) -> str:
        """Return what a match is about, a file without its folder, what cmake's X_NAME_EXECUTABLE-NOTFOUND wants."""
        text = (found[self.subject] or "").strip()
        if re.fullmatch(r"-?\d{3,10}", text):
            return how_it_ended(int(text) % (1 << 32))
        text = re.sub(r"(?<=\w)\\n$", "", text)  # the end of a line within a text, as Rust's {:?} prints it
        if self.name in WITHOUT_FOLDER:
            text = re.split(r"[/\\]", text)[-1]
            text = re.sub(r"(?:_(?:EXECUTABLE|COMPILER|PROGRAM|COMMAND))?-NOTFOUND$", "-NOTFOUND", text)
            text = text.removesuffix("-NOTFOUND").split("_")[-1].lower() if text.endswith("-NOTFOUND") else text
            text = re.sub(r"\.exe$", "", text, flags=re.IGNORECASE)
        return text


# What a sentence has in the place of a program's name.
PROSE = """
a an and any are but command compiler executable file for from has in interpreter is it library linker manager may
module not of on one or package path please process program script shell support that the this to tool toolchain was
which with you your
"""


@cache
def _prose() -> frozenset[str]:
    return frozenset(("", *PROSE.split()))


def how_it_ended(status: int) -> str:
    """Return a bad exit status as the tables name it: ``SIGSEGV`` also for a shell's 139, ``0xc0000135``, ``127``."""
    number = -status if status < 0 else status - 128 if 128 < status < 160 else 0
    if status >= NTSTATUS:
        return f"{status:#x}"
    names = [one.name for one in signal.Signals if one == number] if number else []
    return names[0].lower() if names else str(status) if status else ""


NTSTATUS = 0xC0000000  # from here on an exit status of Windows is an error of its kernel
# What compilers put around the name of a function on Windows and macOS.
DECORATION = re.compile(r"^(?:__imp_+|_(?=\w))|@\d+$")
# How linkers word a missing symbol, and whose symbols can be meant.
LINKERS = {"unresolved external": "windows", "referenced from": "framework"}
# A version, and what bears such an ending, is not run.
NO_PROGRAM = re.compile(
    r"^v?\d+\.\d|\.(?:lock|toml|json|ya?ml|proto|md|cfg|ini|conf|html?|css|tsx?|wasm|zip|t?gz|xz|crate|whl|pem)$"
)
WITHOUT_FOLDER = ("program", "linker", "shared", "library")


@dataclass(frozen=True, slots=True, eq=False)
class HintRule:
    """One root cause.

    Any of `patterns` matches a line, or a fact of a grammar whose subject fits a glob of `of` (grammar -> globs) is
    told by it; each of `also` must match within `near` lines of it, none of `unless` may.
    `rank` orders: 1 fells everything else, 9 is a mere consequence. `hides` names hints that this one explains.
    `warnings`: a line that is only a warning counts too. `fix` maps a package manager, a system, "tool" or "any" to
    what mends it; `cause` and `fix` may hold {group} or {group|default}.
    """

    name: str
    category: str
    rank: int
    patterns: tuple[Pattern, ...]
    also: tuple[Pattern, ...]
    unless: tuple[Pattern, ...]
    near: int
    hides: tuple[str, ...]
    warnings: bool
    cause: str
    fix: Mapping[str, str]
    evidence: tuple[str, ...] = ()
    of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class FailureKind(NamedTuple):
    """A sort of failure by the words of its line: what it `means`, and what mends such a thing."""

    patterns: tuple[Pattern, ...]
    means: str
    fix: str


class Found(NamedTuple):
    """A root cause that a log shows: the hint, the values of its named groups, the lines that matched."""

    hint: HintRule
    values: Mapping[str, tuple[str, ...]]
    lines: tuple[tuple[int, str], ...]


class ToolVerdict(NamedTuple):
    """What a tool says at its end: whether it went well."""

    name: str
    good: bool


Owner = HintRule | Grammar | ToolVerdict | str
"""Whose a pattern is: a hint's, a grammar's, a tool's verdict, or the name of a sign."""


@dataclass(frozen=True)
class HintRules:
    """All hints, the packages of libraries (name -> package manager -> packages), signs of failure, and verdicts."""

    hints: tuple[HintRule, ...]
    libraries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    signs: Mapping[str, tuple[Pattern, ...]] = field(default_factory=dict)
    verdicts: Mapping[ToolVerdict, tuple[Pattern, ...]] = field(default_factory=dict)
    grammars: tuple[Grammar, ...] = ()
    since: Mapping[str, str] = field(default_factory=dict)
    symbols: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    kinds: tuple[FailureKind, ...] = ()

    def kind_of(self, text: str) -> FailureKind | None:
        """Return what sort of failure a line tells of."""
        return next((kind for kind in self.kinds if any(pattern.find(text) for pattern in kind.patterns)), None)

    def owner(self, grammar: str, subject: str, line: str = "") -> HintRule | None:
        """Return the hint that tells of a subject of a line: of those whose glob fits, the one with most letters."""
        if grammar == "item" and subject.lower() not in self.since:
            return None
        if grammar == "program" and (subject.lower() in _prose() or NO_PROGRAM.search(subject)):
            return None
        fitting = [entry for entry in self._owners.get(grammar, ()) if entry[1].match(subject.lower())]
        weight, _, best = max(fitting, key=lambda entry: entry[0], default=(0, None, None))
        kind, _ = self.library_of(subject, line) if grammar == "symbol" and not weight else ("", "")
        return self.owner("symbol", f"@{kind}") if kind else best

    def library_of(self, symbol: str, line: str) -> tuple[str, str]:
        """Return the kind of library that has a native symbol, and its name, as the linker of a line can have it."""
        kind = next((kind for words, kind in LINKERS.items() if words in line.lower()), "")
        bare = DECORATION.sub("", symbol) if kind else symbol
        names = {kind: bare, "library": bare}
        fitting = [entry for entry in self._libraries if entry[2] in names and entry[1].match(names[entry[2]])]
        return max(fitting, key=lambda entry: entry[0])[2:] if fitting else ("", "")

    @cached_property
    def _libraries(self) -> list[tuple[int, re.Pattern[str], str, str]]:
        return [
            (len(glob), re.compile(fnmatch.translate(glob)), kind, name)
            for kind, table in self.symbols.items()
            for name, globs in table.items()
            for glob in globs
        ]

    def packages(self, name: str, manager: str) -> str:
        """Return what a package manager calls a library: what a table says, else what Debian's lists of files do."""
        table = self.library(name)
        if manager != "apt" or "apt" in table:
            return str(table.get(manager, ""))
        return next(filter(None, map(debian.package_of, (name, *table.get("names", ())))), "")

    def library(self, name: str) -> Mapping[str, Any]:
        """Return the packages of a library by what a log calls it: a .pc file, -lNAME, a header, a file to load."""
        stem = re.sub(r"^lib(?=\w+\.(?:so|dylib|a))|\.(?:so|dylib|pc|a|dll)\b.*$", "", name.rpartition("/")[2])
        found = (self.libraries.get(one) for one in (name, name.rpartition("/")[2], stem, f"lib{stem}"))
        return next((one for one in found if one), {})

    @cached_property
    def _owners(self) -> dict[str, list[tuple[int, re.Pattern[str], HintRule]]]:
        found: dict[str, list[tuple[int, re.Pattern[str], HintRule]]] = {}
        for hint in self.hints:
            for grammar, globs in hint.of.items():
                rows = ((len(glob.replace("*", "")), re.compile(fnmatch.translate(glob)), hint) for glob in globs)
                found.setdefault(grammar, []).extend(rows)
        return found

    @cached_property
    def by_word(self) -> dict[bytes, list[tuple[Pattern, Owner]]]:
        """Return each word to look for in a log with the patterns that it may belong to, and whose these are."""
        found: dict[bytes, list[tuple[Pattern, Owner]]] = {}
        for pattern, owner in self._patterns():
            for word in pattern.words:
                found.setdefault(word, []).append((pattern, owner))
        return found

    @cached_property
    def words(self) -> frozenset[bytes]:
        return frozenset(self.by_word)

    def _patterns(self) -> Iterator[tuple[Pattern, Owner]]:
        for hint in self.hints:
            yield from ((pattern, hint) for pattern in hint.patterns)
        for grammar in self.grammars:
            yield from ((pattern, grammar) for pattern in grammar.patterns)
        for verdict, patterns in self.verdicts.items():
            yield from ((pattern, verdict) for pattern in patterns)
        for sign, patterns in self.signs.items():
            yield from ((pattern, sign) for pattern in patterns)


class Index:
    """Patterns by the words to look for in a log. `words` are those that still lead somewhere."""

    def __init__(self, knowledge: HintRules) -> None:
        self._by_word = {word: list(entries) for word, entries in knowledge.by_word.items()}
        self.words = frozenset(self._by_word)

    def tried(self, words: frozenset[bytes], lower: bytes) -> list[tuple[Pattern, Owner]]:
        """Return the patterns that may match a line (lower case) with these words."""
        entries = {entry: None for word in words for entry in self._by_word.get(word, ()) if entry[0].literal in lower}
        return [entry for entry in entries if entry[0].may_match(lower)]

    def is_possible(self, word: bytes, words: set[bytes], lower: bytes) -> bool:
        """Tell whether any pattern of a word may match within a text (lower case) with these words.

        Cheaper than a look at each line where a common word such as "cannot" stands on most of them.
        """
        literals = {
            entry[0].literal
            for entry in self._by_word.get(word, ())
            if not any(map(words.isdisjoint, entry[0].needs))  # a look-up, where the literal is a search of the text
        }
        return any(literal in lower for literal in literals)

    def drop(self, owner: Owner) -> None:
        """Look no longer for what is known well enough."""
        for word, entries in self._by_word.items():
            self._by_word[word] = [entry for entry in entries if entry[1] != owner]
        self.words = frozenset(word for word, entries in self._by_word.items() if entries)


@cache
def shipped() -> Mapping[str, Any]:
    """Return what ships with doit-cargo, as its file has it."""
    with open(os.path.join(data_directory(), "hints.toml"), "rb") as stream:
        return toml.load(stream)


@cache
def known() -> HintRules:
    """Return what ships with doit-cargo, ready for logs."""
    return build(shipped())


def build(values: Mapping[str, Any], own: Mapping[str, Any] | None = None) -> HintRules:
    """Return the knowledge of the shipped tables, with a user's checked tables over them."""
    hints = {**values["hint"], **(own or {}).get("hint", {})}
    libraries = {**values["library"], **(own or {}).get("library", {})}
    return HintRules(
        tuple(_hint(name, table) for name, table in hints.items()),
        {
            alias: {**table, "names": (name, *table.get("names", ()))}
            for name, table in libraries.items()
            for alias in (name, *table.get("names", ()))
        },
        {name: tuple(map(_pattern, sources)) for name, sources in values["signs"].items()},
        {
            ToolVerdict(tool, word == "good"): tuple(map(_pattern, sources))
            for tool, words in values["verdict"].items()
            for word, sources in words.items()
        },
        tuple(
            Grammar(name, table["subject"], tuple(map(_pattern, table["patterns"])))
            for name, table in values["grammar"].items()
        ),
        {item: release for release, items in values["since"].items() for item in items},
        values["symbols"],
        tuple(
            FailureKind(tuple(map(_pattern, table["patterns"])), table["means"], table["fix"])
            for table in values["kind"].values()
        ),
    )


def data_directory() -> str:
    """Return the folder of the knowledge that ships with doit-cargo."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data")


def _hint(name: str, table: Mapping[str, Any]) -> HintRule:
    return HintRule(
        name=name,
        category=table.get("category", name),
        rank=table.get("rank", 5),
        patterns=tuple(map(_pattern, table.get("patterns", ()))),
        also=tuple(map(_pattern, table.get("also", ()))),
        unless=tuple(map(_pattern, table.get("unless", ()))),
        near=table.get("near", NEAR),
        hides=tuple(table.get("hides", ())),
        warnings=table.get("warnings", False),
        cause=table["cause"],
        fix=table["fix"],
        evidence=tuple(table.get("evidence", ())),
        of={grammar: tuple(globs) for grammar, globs in table.get("of", {}).items()},
    )
