"""From a failing log to its cause: which of the known troubles (data/hints.toml) a log shows, root causes first.

A log is read once, in blocks, whatever its size. The words of a block are looked up first; only where all words of a
pattern stand near each other does the pattern itself run, on text without colours, line prefixes and quoting. Knows
nothing of targets or cargo plans; the table is read when the first log is scanned.
"""

from __future__ import annotations

import codecs
import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from doit_cargo.engine.toolchain.platform import operating_system

MOST = 3
# Below this rank a row names what follows from something else: shown only where nothing else is known.
ROOT_RANK = 50
BLOCK = 1 << 17
MARGIN = 4096  # what a block sees on either side of its own part
BEFORE, AFTER = 1000, 1400  # the text around a key word in which a pattern is tried
TRIES = 3000  # windows a pattern may look at in vain; the end of the log is always looked at
SEEN = 50_000  # lines remembered, to look at repeated ones once
TAIL = 1 << 18
LONGEST_LINE = 320

# Lower case, one blank for all that is in no word; the length stays, so positions in it are positions in the log.
CANON = bytes(
    code if 97 <= code <= 122 or code in (10, 95) else code + 32 if 65 <= code <= 90 else 32 for code in range(256)
)
COMMON = frozenset(
    b"a an and any are at be by can cannot could did do does error errors failed fatal file files find for found from "
    b"have in is it not no of on or or run rust s such t that the this to version was while with build cargo library "
    b"directory command os exit code note warning required requires crate package target".split()
)
ANSI = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]")
PREFIX = re.compile(
    rb"^(?:[ \t]*(?:"
    rb"#\d+[ ]+|\d+\.\d+[ ]+(?![ ]*\|)|=>[ ]|>[ ]?|\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-][\d:]+)?[ ]|\d\d:\d\d:\d\d(?:[.,]\d+)?[ ]"
    rb"|##\[\w+\]|\[[A-Za-z0-9_.:/+ -]{1,40}\][ ]|[A-Za-z][\w.-]{0,40}[ ]*\|[ ]|\d{1,3}>[ ]?"
    rb"))+",
    re.MULTILINE,
)
GUTTER = re.compile(rb"[ \t]*\d*[ \t]*\|(?![ \t]*error)")
WARNING = re.compile(rb"[ \t]*(?:cargo::?)?warning\b", re.IGNORECASE)
MACROS = {
    "<q>": r"(?:\\*(?:['\"`´]|\xe2\x80[\x98\x99\x9c\x9d]|\xc2[\xab\xbb]|&quot;|&#39;))*",
    "<any>": r"[^\n]{0,300}?",
    "<path>": r"(?:[a-z]:)?[\w./\\@+~%{}()-]+",
}
MACRO = re.compile(r"(?<!\?P)<(?:q|any|path)>")

# Marks in the canonical text that say where in the course of a build a line stands.
MARKS = (
    (b"finished ", "finished"),
    (b"running ", "tests"),
    (b"test result  ", "result"),
    (b"could not compile", "failed"),
    (b"custom build command", "failed"),
    (b"panicked at", "failed"),
    (b"error  linking with", "failed"),
    (b"error  failed to", "failed"),
    (b"build failed", "failed"),
    (b"process didn t exit successfully", "failed"),
)
FINISHED = re.compile(
    rb"finished [`']?[\w-]+[`']?(?: profile)? \[|finished (?:dev|release|test|bench)\b", re.IGNORECASE
)
TESTS = re.compile(rb"running \d+ tests?\s", re.IGNORECASE)
BUILD_SCRIPT = frozenset({b"panicked", b"stderr", b"custom"})


@dataclass(frozen=True, slots=True)
class Hint:
    """One cause that a log shows. `fix` is for the platform of the log, `fixes` holds those of all platforms."""

    id: str
    category: str
    cause: str
    fix: str
    lines: tuple[str, ...]
    fixes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression, the words that its text must have, and the one of them to look for first."""

    text: str
    words: frozenset[bytes]
    key: bytes


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of data/hints.toml. `near` must and `unless` must not stand around a match."""

    id: str
    category: str
    rank: int
    patterns: tuple[Pattern, ...]
    cause: str
    fix: Mapping[str, str]
    near: str = ""
    unless: str = ""
    lookup: str = ""
    runtime: bool = False
    warnings: bool = False
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class _Hit:
    rule: Rule
    position: int
    names: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]
    weak: bool


# --- the table -------------------------------------------------------------------------------------------------------


@functools.cache
def table() -> tuple[tuple[Rule, ...], dict[str, Any]]:
    """Return the rows of data/hints.toml, and its packages and names."""
    import tomllib

    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "data", "hints.toml")
    with open(path, "rb") as stream:
        document = tomllib.load(stream)
    rows = document.pop("hint")
    return tuple(_rule(row) for row in rows), document


def _rule(row: Mapping[str, Any]) -> Rule:
    texts = row["patterns"]
    values = {**row, "patterns": tuple(Pattern(text, *_words(text)) for text in texts)}
    return Rule(**values)


@functools.cache
def expression(text: str) -> re.Pattern[bytes]:
    """Return a pattern compiled: it is in lower case, a blank stands for any white space, <q> for quotes of any kind."""
    written = MACRO.sub(lambda found: MACROS[found[0]], text)
    spaced = re.sub(r"(?<!\\)(?<!\[) (?![^\[\]]*\])", r"\\s+", written)
    return re.compile(spaced.encode("utf-8"), re.MULTILINE)


LITERAL = re.compile(
    r"""(?P<escape>\\.) | (?P<set>\[\^?\]?[^\]]*\]) | (?P<open>\() | (?P<close>\)) | (?P<macro><(?:q|any|path)>)
    | (?P<repeat>[?*]|\{0?,?\d*,?\d*\}) | (?P<plus>\+) | (?P<plain>.)""",
    re.VERBOSE | re.DOTALL,
)


def _words(text: str) -> tuple[frozenset[bytes], bytes]:
    """Return the words that every match has, and the rarest of them.

    A word counts if it is sure to stand alone: literal text outside groups, with no open end beside it.
    """
    letters = _certain_text(text)
    words = frozenset(word for word in letters.split() if b"\0" not in word)
    key = max(words, key=lambda word: (word not in COMMON, len(word), word), default=b"")
    return words, key


def _certain_text(text: str) -> bytes:
    """Return the literal text of a pattern in canonical form, with a NUL for each part that may be anything."""
    result: list[str] = []
    depth = 0
    for found in LITERAL.finditer(text):
        kind, piece = found.lastgroup, found[0]
        if kind in ("open", "close"):
            depth += 1 if kind == "open" else -1
            result.append("\0")
        elif depth:
            continue
        elif kind == "repeat" and result:
            result[-1] = " " if result[-1] == " " else "\0"
        elif kind != "plus":
            result.append(_certain_piece(str(kind), piece))
    return "".join(result).encode("ascii", "replace").translate(CANON[:0] + bytes([0]) + CANON[1:])


def _certain_piece(kind: str, piece: str) -> str:
    if kind == "escape":
        return " " if piece[1] in "snrtb" else "\0" if piece[1] in "wdSDWB" else piece[1]
    if kind == "macro":
        return " " if piece == "<q>" else "\0"
    if kind == "set" or piece in "^$":
        return "\0" if kind == "set" else " "
    return "\0" if piece == "." else piece


# --- reading ---------------------------------------------------------------------------------------------------------


def scan(lines: Iterable[str | bytes], system: str = "") -> list[Hint]:
    """Return the causes that a log shows, best first, at most three. Takes the lines as they come, with any endings."""
    return _hints(_Scanner().read(_blocks_of_lines(lines)), system)


def scan_stream(stream: IO[bytes], system: str = "") -> list[Hint]:
    """Return the causes that an open log shows: one pass in bounded memory."""
    return _hints(_Scanner().read(_blocks_of_stream(stream)), system)


def scan_file(path: str, system: str = "") -> list[Hint]:
    """Return the causes that a log file shows. Raises `OSError`."""
    with open(path, "rb") as stream:
        return scan_stream(stream, system)


def _blocks_of_lines(lines: Iterable[str | bytes]) -> Iterator[bytes]:
    """Yield the lines in blocks; a line without an ending gets one."""
    parts: list[bytes] = []
    size = 0
    for line in lines:
        data = line.encode("utf-8", "replace") if isinstance(line, str) else line
        parts.append(data if data.endswith((b"\n", b"\r")) else data + b"\n")
        size += len(data)
        if size >= BLOCK:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)


def _blocks_of_stream(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the log in blocks, as UTF-8 where it is UTF-16 (what `>` of Windows PowerShell writes)."""
    first = stream.read(BLOCK)
    decoder = _utf16(first)
    data = first
    while data:
        yield decoder.decode(data).encode("utf-8", "replace") if decoder else data
        data = stream.read(BLOCK)


def _utf16(start: bytes) -> codecs.IncrementalDecoder | None:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return codecs.getincrementaldecoder("utf-16")("replace")
    if start[1:200:2].count(0) > 60:
        return codecs.getincrementaldecoder("utf-16-le")("replace")
    return None


def _plain(block: bytes) -> bytes:
    """Return a block without colours, each line ended by a line feed."""
    if b"\x1b" in block:
        block = ANSI.sub(b"", block)
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return block


# --- matching --------------------------------------------------------------------------------------------------------


class _Scanner:
    """One pass over a log: the hits so far, and where in the course of a build it stands."""

    def __init__(self) -> None:
        self.rules, _ = table()
        self.hits: dict[tuple[str, tuple[tuple[str, str], ...]], _Hit] = {}
        self.systems = {"windows": 0, "macos": 0, "linux": 0}
        self._seen: set[bytes] = set()
        self._repeats = True
        self._tries: dict[str, int] = {}
        self._in_tests = False
        self._failed = False
        self._build_script = False
        self._offset = 0

    def read(self, blocks: Iterable[bytes]) -> _Scanner:
        """Read a log to its end."""
        carried, started = b"", 0
        for block in blocks:
            text = carried + _plain(block)
            end = max(len(text) - MARGIN, started)
            self._block(text, started, end)
            keep = max(0, end - MARGIN)
            self._offset += keep
            carried, started = text[keep:], end - keep
        self._tries.clear()
        self._block(carried + b"\n", started, len(carried) + 1)
        if not self._build_script:
            self.hits = {key: hit for key, hit in self.hits.items() if not hit.weak}
        return self

    def _block(self, text: bytes, start: int, end: int) -> None:
        canon = text.translate(CANON)
        words = self._new_words(canon)
        self._build_script = self._build_script or not BUILD_SCRIPT.isdisjoint(words)
        found: list[tuple[int, _Hit]] = []
        for rule in self.rules:
            for pattern in rule.patterns:
                if pattern.words <= words:
                    found += self._hits_of(rule, pattern, text, canon, range(start, end))
        if found or self.hits or b"test" in words or b"tests" in words:
            self._follow(found, _marks(text, canon, start, end))
        elif not self._failed:
            self._failed = any(kind == "failed" for _, kind in _marks(text, canon, start, end))
        if found:
            self._note_system(text)

    def _new_words(self, canon: bytes) -> set[bytes]:
        """Return the words of the lines that no earlier block had. Numbers count as blanks."""
        if not self._repeats:
            return set(canon.split())
        lines = set(canon.split(b"\n"))
        new = lines - self._seen
        if len(self._seen) < SEEN:
            self._seen |= new
        else:
            self._repeats = len(new) * 2 < len(lines)
        return set(b" ".join(new).split())

    def _hits_of(
        self, rule: Rule, pattern: Pattern, text: bytes, canon: bytes, part: range
    ) -> Iterator[tuple[int, _Hit]]:
        position = canon.find(pattern.key, part.start, part.stop)
        while position >= 0 and self._tries.get(pattern.text, 0) < TRIES:
            first, last = max(0, position - BEFORE), position + AFTER
            around = canon[first:last]
            if all(word in around for word in pattern.words):
                self._tries[pattern.text] = self._tries.get(pattern.text, 0) + 1
                hit = _match(rule, pattern, text, position)
                if hit:
                    yield position, hit
                    position += AFTER // 2
            position = canon.find(pattern.key, position + len(pattern.key), part.stop)

    def _follow(self, found: list[tuple[int, _Hit]], marks: list[tuple[int, str]]) -> None:
        """Take hits and marks in their order: what a finished build or a test printed is no cause of a failure."""
        events: list[tuple[int, int, str | _Hit]] = [(at, 0, mark) for at, mark in marks]
        events += [(at, 1, hit) for at, hit in found]
        for at, _, event in sorted(events, key=lambda event: event[:2]):
            if isinstance(event, str):
                self._mark(event)
            elif event.rule.runtime or not self._in_tests:
                self._keep(event, self._offset + at)

    def _mark(self, mark: str) -> None:
        if mark in ("tests", "result"):
            self._in_tests = mark == "tests"
        elif mark == "failed":
            self._failed = self._failed or not self._in_tests
        elif not self._failed:
            self.hits.clear()
            self._tries.clear()

    def _keep(self, hit: _Hit, position: int) -> None:
        key = (hit.rule.id, hit.names)
        others = sum(1 for rule, _ in self.hits if rule == hit.rule.id)
        previous = self.hits.get(key)
        if (previous is None and others < MOST) or (previous and previous.weak and not hit.weak):
            self.hits[key] = _Hit(hit.rule, position, hit.names, hit.lines, hit.weak)

    def _note_system(self, text: bytes) -> None:
        self.systems["windows"] += len(re.findall(rb"[A-Za-z]:\\\\?\w|\.exe\b|\bLNK\d|msvc", text))
        self.systems["macos"] += len(
            re.findall(rb"/Users/|apple-darwin|/opt/homebrew|Xcode|xcrun|for architecture|\.dylib", text)
        )
        self.systems["linux"] += len(re.findall(rb"/home/|/usr/|linux-gnu|/root/|\.so\b", text))


def _marks(text: bytes, canon: bytes, start: int, end: int) -> list[tuple[int, str]]:
    """Return (position, mark) of what says where a build stands. Of each kind of failure the first is enough."""
    found = []
    for needle, kind in MARKS:
        position = canon.find(needle, start, end)
        while position >= 0:
            if _is_mark(kind, text, position):
                found.append((position, kind))
                if kind == "failed":
                    break
            position = canon.find(needle, position + len(needle), end)
    return found


def _is_mark(kind: str, text: bytes, position: int) -> bool:
    if kind == "finished":
        return FINISHED.match(text, position) is not None
    return kind != "tests" or TESTS.match(text, position) is not None


def _match(rule: Rule, pattern: Pattern, text: bytes, position: int) -> _Hit | None:
    """Try a pattern around a position. Source lines that a compiler shows do not count."""
    window = _window(text, position, BEFORE, AFTER)
    lower = window.lower()
    regex = expression(pattern.text)
    for found in regex.finditer(lower):
        line = window[window.rfind(b"\n", 0, found.start()) + 1 : found.end()]
        if GUTTER.match(line):
            continue
        if not _surroundings_fit(rule, text, position):
            return None
        names = {name: _text(window[slice(*found.span(name))]) for name, value in found.groupdict().items() if value}
        weak = WARNING.match(line) is not None and not rule.warnings
        return _Hit(rule, position, tuple(sorted(names.items())), _lines(window, found.start(), found.end()), weak)
    return None


def _surroundings_fit(rule: Rule, text: bytes, position: int) -> bool:
    if not rule.near and not rule.unless:
        return True
    around = _window(text, position, MARGIN, MARGIN).lower()
    if rule.near and not expression(rule.near).search(around):
        return False
    return not (rule.unless and expression(rule.unless).search(around))


def _window(text: bytes, position: int, before: int, after: int) -> bytes:
    """Return the text around a position in whole lines, as far as they are not endless, without prefixes."""
    first = max(0, position - before)
    start = text.find(b"\n", first, position) + 1 if first else 0
    end = text.rfind(b"\n", position, position + after)
    end = text.find(b"\n", position, position + 2 * after) if end < 0 else end
    return PREFIX.sub(b"", text[start or first : end if end >= 0 else position + after])


def _lines(window: bytes, start: int, end: int) -> tuple[str, ...]:
    """Return the lines that a match covers, at most four, each cut to a readable length around the match."""
    begin = window.rfind(b"\n", 0, start) + 1
    stop = window.find(b"\n", end)
    lines = window[begin : stop if stop >= 0 else len(window)].split(b"\n")
    if len(lines) == 1 and len(lines[0]) > LONGEST_LINE:
        lines = [window[max(begin, start - 40) : max(begin, start - 40) + LONGEST_LINE]]
    return tuple(_text(line)[:LONGEST_LINE].strip() for line in lines[:4] if line.strip())


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


# --- ranking ---------------------------------------------------------------------------------------------------------


def _hints(scanner: _Scanner, system: str) -> list[Hint]:
    """Return the best hits as hints: higher rank first, then the earlier; one for each place and each category."""
    hits = sorted(scanner.hits.values(), key=lambda hit: (-hit.rule.rank, hit.position))
    if hits and hits[0].rule.rank >= ROOT_RANK:
        hits = [hit for hit in hits if hit.rule.rank >= ROOT_RANK]
    chosen: list[_Hit] = []
    for hit in hits:
        said = any(set(hit.lines) & set(other.lines) or _same_cause(hit, other) for other in chosen)
        if not said:
            chosen.append(hit)
    platform = system or _system_of(scanner.systems)
    return [_hint(hit, platform) for hit in chosen[:MOST]]


def _same_cause(hit: _Hit, other: _Hit) -> bool:
    """Return whether two hits say the same: of one category, unless both name different things."""
    return hit.rule.category == other.rule.category and (
        hit.rule.id != other.rule.id or dict(hit.names).get("name") == dict(other.names).get("name")
    )


def _system_of(counts: Mapping[str, int]) -> str:
    """Return the system that a log comes from, this one if the log does not tell."""
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else operating_system()


def _hint(hit: _Hit, system: str) -> Hint:
    names = dict(hit.names)
    fixes = _fixes(hit.rule, names)
    fix = fixes.get(system) or next(iter(fixes.values()), "")
    return Hint(hit.rule.id, hit.rule.category, _filled(hit.rule.cause, names), fix, hit.lines, fixes)


def _fixes(rule: Rule, names: Mapping[str, str]) -> dict[str, str]:
    """Return system -> what to do there."""
    fix = {key: _filled(text, names) for key, text in rule.fix.items()}
    if rule.lookup:
        fix = {**fix, **_package_fixes(rule.lookup, names.get("name", ""))}
    linux = fix.get("linux", "")
    if not linux and "apt" in fix:
        linux = fix["apt"] + (f"  (Fedora: {fix['dnf']})" if "dnf" in fix else "")
    found = {"linux": linux, "macos": fix.get("macos", ""), "windows": fix.get("windows", "")}
    return {name: text for name, value in found.items() if (text := value or fix.get("any", ""))}


def _package_fixes(kind: str, name: str) -> dict[str, str]:
    """Return how to install what a linker, pkg-config or compiler calls `name`."""
    _, document = table()
    names = document["names"][kind]
    short = re.sub(r"[\d.]+$|-[\d.]+$", "", name)
    package = document["packages"].get(names.get(name) or names.get(name.lower()) or names.get(short) or "")
    if not package:
        return {}
    forms = {"apt": "sudo apt install {}", "dnf": "sudo dnf install {}", "macos": "brew install {}", "windows": "{}"}
    return {key: form.format(package[key]) for key, form in forms.items() if key in package}


def _filled(text: str, names: Mapping[str, str]) -> str:
    """Return a text with {name} replaced by what the log says, and {name|words} by the words where it says nothing."""
    return re.sub(r"\{(\w+)(?:\|([^}]*))?\}", lambda found: names.get(found[1]) or found[2] or found[1], text)
