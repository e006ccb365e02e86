"""What a line must hold before a regular expression is worth trying: literal texts and whole words of every match.

Works on the source of an expression and prefers to find too little. Knows nothing of hints or logs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

# The characters of a word; all others separate words. The same as in reading.FOLD.
WORD = re.compile(r"[a-z0-9_-]+")
FEW = 5
_CLASSES = "dDwWsSAZ"  # escapes that stand for more than one character, or for none
_WORDLIKE = "wdSD"
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r"}
Rarity = Callable[[str], tuple[int, ...]]
_QUANTIFIER = re.compile(r"[*+?]\??|\{\d*,?\d*\}\??")


class LiteralRun(NamedTuple):
    """A literal part of an expression, lower case; whether its first and its last word can only be whole words."""

    text: str
    begins_whole: bool
    ends_whole: bool

    def words(self) -> list[str]:
        """Return the words that are whole in every match."""
        return [
            word[0]
            for word in WORD.finditer(self.text)
            if (word.start() or self.begins_whole) and (word.end() < len(self.text) or self.ends_whole)
        ]


@dataclass(slots=True)
class Alternative:
    """One top-level alternative of an expression: its literal parts, and the groups that every match has.

    A group is its source and whether a word may have begun before it and may go on after it.
    """

    runs: list[LiteralRun] = field(default_factory=list)
    groups: list[tuple[str, bool, bool]] = field(default_factory=list)


def bounded(pattern: str) -> str:
    """Return `pattern` so that it begins and ends where words do, if it begins and ends with a part of a word."""
    if len(alternatives(pattern)) > 1:
        return pattern
    before = r"(?<![\w-])" if WORD.match(pattern[:1].lower()) else ""
    after = r"(?![\w-])" if re.search(r"(?<!\\)[\w-]$", pattern) else ""
    return f"{before}{pattern}{after}"


def alternatives(pattern: str) -> list[Alternative]:
    """Return the top-level alternatives of a valid `pattern`, as `bounded` has it."""
    found = _Scanner(pattern, False, False).scan()
    return found if len(found) == 1 else _Scanner(pattern, True, True).scan()


def choices_of(alternative: Alternative, rarity: Rarity) -> list[list[str]]:
    """Return lists of words: what matches an alternative holds one word of each list."""
    inner = [_words_of(_Scanner(*group).scan(), rarity) for group in alternative.groups]
    return [[word] for run in alternative.runs for word in run.words()] + [words for words in inner if words]


def rarest(choices: list[list[list[str]]], rarity: Rarity) -> list[str]:
    """Return words of which every match holds at least one, by the choices of each alternative; empty if no such words
    are known. `rarity` orders words; the least is taken."""
    if not all(choices):
        return []
    return [word for lists in choices for word in min(lists, key=lambda words: max(map(rarity, words)))]


def _words_of(found: list[Alternative], rarity: Rarity) -> list[str]:
    return rarest([choices_of(one, rarity) for one in found], rarity)


class _Scanner:
    """One walk over the source of an expression. `_open` tells that a word of the last part may go on in the next."""

    def __init__(self, pattern: str, begun: bool, goes_on: bool) -> None:
        self.pattern = pattern
        self.position = 0
        self.found = [Alternative()]
        self._run = ""
        self._open = self._begun = begun
        self._goes_on = goes_on

    def scan(self) -> list[Alternative]:
        while self.position < len(self.pattern):
            self._step(self.pattern[self.position])
        self._end_run(self._goes_on)
        return self.found

    def _step(self, letter: str) -> None:
        self.position += 1
        if letter == "|":
            self._end_run(self._goes_on, after=self._begun)
            self.found.append(Alternative())
        elif letter == "(":
            self._group()
        elif letter == "[":
            self._skip_set()
            self._quantifier()
            self._end_run(True)
        elif letter in "?*{":
            self._optional()
        elif letter == ".":
            self._anything()
        elif letter in "+^$":
            self._end_run(letter == "+")
        elif letter == "\\":
            self._escape()
        else:
            self._run += letter

    def _end_run(self, goes_on: bool, *, after: bool | None = None) -> None:
        """Close the literal part. `goes_on`: its last word may; `after`: the next one's first word may have begun."""
        if self._run:
            self.found[-1].runs.append(LiteralRun(self._run.lower(), not self._open, not goes_on))
        self._run, self._open = "", goes_on if after is None else after

    def _quantifier(self) -> str:
        """Step over a quantifier; return it, or nothing."""
        found = _QUANTIFIER.match(self.pattern, self.position)
        self.position = found.end() if found else self.position
        return found[0] if found else ""

    def _optional(self) -> None:
        """The character before this quantifier may be absent, or be there many times."""
        self.position -= 1
        self._quantifier()
        if self._run:
            self._run = self._run[:-1]
            self._end_run(True)
            self._open = True

    def _anything(self) -> None:
        """A dot, or a few, stands for a quotation mark; many may hold the rest of a word."""
        most = re.search(r"\d*(?=\})|[*+]", self._quantifier() or "{1}")
        many = most is not None and (most[0] in "*+" or int(most[0]) > FEW)
        self._end_run(many)

    def _escape(self) -> None:
        letter = self.pattern[self.position]
        self.position += 1
        if letter in "bB":
            self._end_run(False)
        elif letter in _CLASSES or letter.isdigit():
            self._quantifier()
            self._end_run(letter in _WORDLIKE)
        else:
            self._run += _CONTROLS.get(letter, letter)

    def _group(self) -> None:
        start = self.position
        self._skip_group()
        inside = self.pattern[start : self.position - 1]
        quantifier = self._quantifier()
        looks_around = inside.startswith(("?=", "?!", "?<=", "?<!"))
        body = re.sub(r"^\?(?:P<\w+>|:)", "", inside)
        branches = [] if looks_around else _branches(body)
        begun = bool(WORD.search(self._run[-1:].lower())) if self._run else self._open
        self._end_run(any(map(_begins_in_word, branches)), after=any(map(_ends_in_word, branches)))
        if not looks_around and quantifier[:1] not in ("?", "*") and not quantifier.startswith(("{0", "{,")):
            self.found[-1].groups.append((body, begun, self._word_follows()))

    def _word_follows(self) -> bool:
        """Tell whether what comes next may go on with a word; at the end, what comes after the whole may."""
        rest = self.pattern[self.position :]
        if not rest or rest[0] == "|":
            return True
        return bool(re.match(r"[\w\[(-]|\\[wdS]", rest)) and not re.match(r"\(\?[=!<]", rest)

    def _skip_group(self) -> None:
        depth = 1
        while depth:
            letter = self.pattern[self.position]
            self.position += 2 if letter == "\\" else 1
            if letter == "[":
                self._skip_set()
            depth += {"(": 1, ")": -1}.get(letter, 0)

    def _skip_set(self) -> None:
        self.position += self.pattern.startswith("^", self.position)
        self.position += self.pattern.startswith("]", self.position)
        while self.pattern[self.position] != "]":
            self.position += 2 if self.pattern[self.position] == "\\" else 1
        self.position += 1


def _branches(body: str) -> list[str]:
    """Return the branches of a group; one that holds groups itself counts as a whole."""
    return [body] if "(" in body else body.split("|")


def _begins_in_word(branch: str) -> bool:
    """Tell whether a branch may begin within a word; in doubt it may."""
    return not re.match(r"\\[^\w]|\\[sWb]|[^\w\\(.\[-]", branch)


def _ends_in_word(branch: str) -> bool:
    return not re.search(r"\\[^\w]$|\\[sWb]$|[^\w\\)*+?}\].-]$", branch)
