"""From a log to the root causes that it shows: lines matched in one pass, weighed at its end.

Knows nothing of files, platforms or what is printed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import IO, NamedTuple

from doit_cargo.engine.hints.index import Index, Owner
from doit_cargo.engine.hints.reading import Line, Window, around, candidates, windows
from doit_cargo.engine.hints.rules import HintRule, HintRules, Pattern

MOST = 3
"""How many hints at most: the best ones."""

VAGUE = 7  # from this rank on a hint names a consequence: it is shown where nothing better was found
TRIED = 200  # lines of one hint that are looked at closely; a log that repeats itself has nothing new to tell
KEPT = 20  # matches of one hint that are kept
REMEMBERED = 8192  # lines known to match nothing
SHOWN = 400  # characters of a matched line
BEGINNING = 1 << 18  # bytes of a log in which paths tell its system
DIGITS = b"0123456789"
SYSTEMS = {
    "linux": re.compile(r"(?<![\w.])/(?:home|root|usr|opt|mnt|var|etc)/|linux-(?:gnu|musl)|\.so\b|\bapt(?:-get)?\b"),
    "macos": re.compile(
        r"(?<!\w)/(?:Users|Applications|Library)/|apple-darwin|\.dylib\b|\bxcrun\b|\bXcode\b|/opt/homebrew/"
    ),
    "windows": re.compile(r"\b[A-Za-z]:\\|pc-windows|\.exe\b|\.dll\b|\bLNK\d{4}\b|\.lib\b"),
}

# What tools put before a line: BuildKit's step and seconds, GitHub Actions' and Docker's timestamps, compose's name,
# a quotation mark; cargo -vv and others a label in brackets.
PREFIX = re.compile(
    r"(?:\s*(?:#\d+\s+(?=\d+\.\d)|\d+\.\d{1,3}\s|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*\s|\[?\d\d:\d\d:\d\d[^\s\]]*\]?\s"
    r"|\d+:\d\d\.\d+\s|[A-Za-z][\w.-]*\s+\|\s|>\s?|##\[\w+\]|npm (?:ERR!|error)\s|remote:\s))*\s*"
)
LABEL = re.compile(r"(?:\[[^\]\n]{1,60}\]:?\s+)*")
# A rustc diagnostic quotes source ("12 | panic!(...)"), a failed assertion its two sides, cargo -vv whole commands,
# a test its name: what such lines hold has not happened.
QUOTED = re.compile(
    r"(?:\d+\s*[|]|[|]\s|(?:left|right):\s|Running\s+.|running:\s|Fresh\s|Dirty\s|\+\s+(?:cargo|docker|echo|export)\s"
    r"|test\s.+\s\.\.\.\s|assertion\s.{0,40}failed|//|///|-->\s|:::\s|CARGO_PKG_\w+=)"
)
# Lines that say nothing of success or failure: warnings, and what cargo -vv shows of a build script's output.
WARNING = re.compile(
    r"(?:\[(?P<labelled>[\w-]+) \d+\.\d+[^\]]*\]\s+)?"
    r"(?:(?P<says>warning\b|cargo:{1,2}warning=)(?::\s(?P<crate>[\w-]+)@\d)?)?",
    re.IGNORECASE,
)


class Match(NamedTuple):
    """One place in a log that shows a cause: line numbers and lines as shown, named groups.

    `warns`: the line alone is no failure. `crate` is whose line it is, where that is known.
    """

    lines: tuple[tuple[int, str], ...]
    values: tuple[tuple[str, str], ...]
    warns: bool
    crate: str


class Found(NamedTuple):
    """A root cause that a log shows: the hint, the values of its named groups, the lines that matched."""

    hint: HintRule
    values: Mapping[str, tuple[str, ...]]
    lines: tuple[tuple[int, str], ...]


class LogReading(NamedTuple):
    """What a log tells: at most three root causes, best first; the system that it is of, "" where nothing says so."""

    found: list[Found]
    system: str


def recognise(stream: IO[bytes], knowledge: HintRules) -> LogReading:
    """Read a log once. The log of a success tells nothing."""
    watcher = _Watcher(knowledge)
    beginning = b""
    for window in windows(stream):
        beginning += window.text[window.start : window.end][: BEGINNING - len(beginning)]
        for line in candidates(window, watcher.index):
            watcher.take(window, line)
    if watcher.signs == {"succeeded"}:
        return LogReading([], "")
    found = [_found(hint, watcher) for hint in knowledge.hints if hint.name in watcher.matches]
    best = _best([one for one in found if one])
    shown = "\n".join(text for one in best for _, text in one.lines)
    return LogReading(best, _system(beginning.decode("utf-8", "replace") + "\n" + shown))


def _system(text: str) -> str:
    """Return the system that the paths and names of a text speak of most, or nothing."""
    counts = {name: len(pattern.findall(text)) for name, pattern in SYSTEMS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


class _Watcher:
    """What was seen so far: matches by hint, and signs of success and failure."""

    def __init__(self, knowledge: HintRules) -> None:
        self.index = Index(knowledge)
        self.matches: dict[str, list[Match]] = {}
        self.signs: set[str] = set()
        self.failed_crates: set[str] = set()
        self._tried: dict[str, int] = {}
        self._nothing: dict[bytes, None] = {}

    def take(self, window: Window, line: Line) -> None:
        """Try a line's patterns. Most lines that come again differ in numbers only: "[12/300] ..."."""
        raw = window.text[line.start : line.end]
        lower = raw.lower()
        key = lower.translate(None, DIGITS)
        if key in self._nothing:
            return
        tried = self.index.tried(line.words, lower)
        if not tried or not self._matches(window, line, raw.decode("utf-8", "replace"), tried):
            if len(self._nothing) > REMEMBERED:
                self._nothing.clear()
            self._nothing[key] = None

    def _matches(self, window: Window, line: Line, text: str, tried: list[tuple[Pattern, Owner]]) -> bool:
        bare = text[_end(PREFIX, text) :]
        plain = bare[_end(LABEL, bare) :]
        if QUOTED.match(plain):
            return False
        # The output of a build script, which cargo labels, tells nothing of how the build ended.
        seen = [(owner, pattern.search(text, bare if isinstance(owner, str) else plain)) for pattern, owner in tried]
        hits = [(owner, hit) for owner, hit in seen if hit]
        for owner, hit in hits:
            if isinstance(owner, str):
                self.signs.add(owner)
                self.failed_crates.update(filter(None, hit.groupdict().values()))
            else:
                self._look_around(window, line, owner, hit, bare)
            self._count(owner)
        return bool(hits)

    def _count(self, owner: Owner) -> None:
        """Stop looking for what was seen often enough."""
        name = owner if isinstance(owner, str) else owner.name
        self._tried[name] = self._tried.get(name, 0) + 1
        if self._tried[name] == TRIED:
            self.index.drop(owner)

    def _look_around(self, window: Window, line: Line, hint: HintRule, hit: re.Match[str], bare: str) -> None:
        """Keep a match if what must stand near it does, and what must not does not."""
        shown = [(line.number, _around(hit.string, hit.start()))]
        values = list(hit.groupdict().items())
        if hint.also or hint.unless:
            text, first = around(window, line, hint.near)
            if any(pattern.find(text) for pattern in hint.unless):
                return
            for pattern in hint.also:
                near = pattern.find(text)
                if near is None:
                    return
                values += near.groupdict().items()
                shown.append(_line_of(near, first))
        kept = self.matches.setdefault(hint.name, [])
        if len(kept) < KEPT:
            filled = tuple((name, value.strip()) for name, value in values if value and value.strip())
            warning = WARNING.match(bare)
            crate, warns = _whose(warning) if warning else ("", False)
            kept.append(Match(tuple(shown), filled, warns, crate))


def _whose(warning: re.Match[str]) -> tuple[str, bool]:
    """Return whose line it is, and whether it is one that alone is no failure."""
    crate = warning["crate"] or warning["labelled"] or ""
    return crate, bool(warning["labelled"] or warning["says"])


def _end(pattern: re.Pattern[str], text: str) -> int:
    """Return where the beginning of a text that a pattern takes away ends."""
    found = pattern.match(text)
    return found.end() if found else 0


def _around(text: str, position: int) -> str:
    """Return a line as it is shown: a long one around its match."""
    start = max(0, position - SHOWN // 2) if len(text) > SHOWN else 0
    return text[start : start + SHOWN].strip()


def _line_of(match: re.Match[str], first: int) -> tuple[int, str]:
    """Return number and text of the line on which a match within a text of several lines begins."""
    text, start = match.string, match.string.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.start())
    line = text[start : end if end >= 0 else len(text)]
    return first + text.count("\n", 0, match.start()), _around(line, match.start() - start)


def _found(hint: HintRule, watcher: _Watcher) -> Found | None:
    """Return what a log shows of one hint. A warning explains the failure of its crate's program, not of code."""
    warnings_count = "program_failed" in watcher.signs or "code_failed" not in watcher.signs
    failed = watcher.failed_crates
    matches = [
        match
        for match in watcher.matches[hint.name]
        if not match.warns
        or hint.warnings
        or (warnings_count and (not match.crate or not failed or match.crate in failed))
    ]
    if not matches:
        return None
    values: dict[str, dict[str, None]] = {}
    for match in matches:
        for name, value in match.values:
            values.setdefault(name, {})[value] = None
    lines = sorted({number: text for match in matches for number, text in match.lines}.items())
    return Found(hint, {name: tuple(several)[:4] for name, several in values.items()}, tuple(lines[:5]))


def _best(found: list[Found]) -> list[Found]:
    """Return the best ones: root causes before consequences, one of each category; what says little only alone."""
    hidden = {name for one in found for name in one.hint.hides}
    best: dict[str, Found] = {}
    for one in sorted(found, key=lambda one: (one.hint.rank, one.lines[0][0])):
        if one.hint.name not in hidden:
            best.setdefault(one.hint.category, one)
    telling = [one for one in best.values() if one.hint.rank < VAGUE]
    return telling[:MOST] or list(best.values())[:1]
