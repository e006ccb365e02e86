"""A log as a stream: the few lines of it that hold one of some words, in one pass and bounded memory.

Bytes are searched as they are, since a log may hold any encoding, also several; only found lines are decoded. Knows
no hints, only the words of an index.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from doit_cargo.engine.hints import unwrapping
from doit_cargo.engine.hints.rules import Index

BLOCK = 1 << 20
DENSE = 30  # how often in a slice a word is common
SLICE = 1 << 16  # words are looked up a slice at a time: its words fit in the processor's cache
MARGIN = 1 << 16  # how far the lines around a line reach, in bytes
LONGEST_LINE = 1 << 12  # more of a line is not looked at: patterns may take the square of its length
# As terminals take them, and as `cat -v` shows colours.
ANSI = re.compile(rb"\^\[\[[0-9;]*m|\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>])")
ENTITY = re.compile(rb"&(?:quot|apos|lt|gt|amp|#0?39|#x27|#34);")
ENTITIES = {b"&quot;": b'"', b"&#34;": b'"', b"&lt;": b"<", b"&gt;": b">", b"&amp;": b"&"}  # any other: an apostrophe
MARKS = {codecs.BOM_UTF8: "", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# Letters in lower case, digits, "_" and "-" stay; line ends too; every other byte separates words.
FOLD = bytes(
    ord(chr(byte).lower()) if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "_-\n") else 32
    for byte in range(256)
)

# What tools put before a line: BuildKit's step and seconds, GitHub Actions' and Docker's timestamps, compose's name,
# a quotation mark; cargo -vv and others a label in brackets.
PREFIX = re.compile(
    r"(?:[^\t\n]{1,80}\t[^\t\n]{1,80}\t(?=\d{4}-))?"
    r"(?:\s*(?:#\d+\s+(?=\d+\.\d)|\d+\.\d{1,3}\s|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*\s(?:\|\s)?"
    r"|\[?\d\d:\d\d:\d\d[^\s\]]*\]?\s"
    r"|\d+:\d\d\.\d+\s|[A-Za-z][\w.-]*\s+\|\s|[a-z][\w.-]{2,40}>(?:\s|$)|>\s?|##\[\w+\]|npm (?:ERR!|error)\s|remote:\s"
    r"|\[INFO\] \[std(?:out|err)\] ))*\s*"
)
LABEL = re.compile(r"(?:\[[^\]\n]{1,60}\]:?\s+)*")

# A rustc diagnostic quotes source ("12 | panic!(...)"), a failed assertion its two sides, cargo -vv whole commands,
# a test its name: what such lines hold has not happened.
QUOTED = re.compile(
    r"(?:\d+\s*[|]|[|]\s|(?:left|right):\s|Running\s+.|running:\s|Fresh\s|Dirty\s"
    r"|\+\s+(?:cargo|docker|echo|export|git)\s|\[command\]"
    r"|test\s.+\s\.\.\.\s|E\s{2,}(?!\s|\w*(?:Import|ModuleNotFound|OS)Error)|assertion\s.{0,40}failed|//|///|-->\s|:::\s|CARGO_PKG_\w+=)"
)
# What a program tells of its course is no failure, whatever it goes on without.
TOLD = re.compile(r"\W{0,2}(?:[\dT:.+Z-]+\s+)?(?:DEBUG|TRACE|INFO)\b")
# What is tried again has not failed, unless the log says so at the end.
RETRIED = re.compile(r"\(\d+ tries remaining\)|Retry\(total=[1-9]")
# What counts of the output of a test: the typed error of a library that failed, not text that a test may compare.
HAPPENED = re.compile(
    r"\bOs \{ code: \d+, kind|(?:Driver|Cublas|Cudnn|Nccl|Runtime)Error\(|\bCUDA_ERROR_\w+, \"|dynamically load"
    r"|cannot open shared object|CANNOT LINK EXECUTABLE"
    r"|error while loading shared|symbol lookup error|Library not loaded|ImportError: "
    r"|process didn.t exit successfully|\(os error \d+\)$|Docker daemon"
    r"|error connecting to server: |connection to server at |Server selection timeout"
)
# Lines that say nothing of success or failure: warnings, and what cargo -vv shows of a build script's output.
WARNING = re.compile(
    r"(?:\[(?P<labelled>[\w-]+) \d+\.\d+[^\]]*\]\s+)?"
    r"(?:(?P<says>warning\b|cargo:{1,2}warning=)(?::\s(?P<crate>[\w-]+)@\d)?)?",
    re.IGNORECASE,
)

# A program that ended with a status was there, whatever a sentence with its name sounds like.
RAN = re.compile(
    r"\bexit(?:ed)?(?: with)?(?: an?)?(?: \w+)? (?:status|code)\b|\bsignal:? \d|\bnon-zero\b"
    r"|\breturned \d|\bterminated by",
    re.IGNORECASE,
)
ABSENT = re.compile(
    r"not (?:be )?found|no such file|not installed|os error [23]\b|notfound|(?:cannot|can.t|could not|n.t|unable to)"
    r" find|not recognized|status:? 127\b|code:? 127\b|code:? 9009\b|did not exit successfully",
    re.IGNORECASE,
)
# What is there and does not fit is not missing.
UNFIT = re.compile(
    r"to be present in|\bbut (?:got|found)\b|incompatible|not compatible|(?:version|abi) mismatch"
    r"|too old|wrong elf|invalid elf|not a valid|bad image|version\b.{0,40}(?:required|expected|needed)",
    re.IGNORECASE,
)

_BETWEEN = (b"", b" ", b"\n")

Found = dict[int, tuple[int, set[bytes]]]
"""Start of a line -> its end, and the words that it holds."""


class Window(NamedTuple):
    """A part of a log: the lines from `start` to `end` of `text`, numbered from `number`; around it, more lines."""

    text: bytes
    start: int
    end: int
    number: int


class Line(NamedTuple):
    """A line that holds words that were looked for: where it stands in a window's text, its number from 1."""

    start: int
    end: int
    number: int
    words: frozenset[bytes]


def windows(stream: IO[bytes]) -> Iterator[Window]:
    """Yield a stream as windows of whole lines without colours."""
    before, current, number = b"", b"", 1
    for following in _and_nothing(_unbroken(_whole_lines(_blocks(stream)))):
        if current:
            yield Window(before + current + following[:MARGIN], len(before), len(before) + len(current), number)
        number += current.count(b"\n")
        before, current = (before + current)[-MARGIN:], following


def _unbroken(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same with the lines put together that a console has broken, if the beginning shows that one has."""
    width = None
    for chunk in chunks:
        width = unwrapping.width_of(chunk) if width is None else width
        yield unwrapping.joined(chunk, width) if width else chunk


def _and_nothing(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from chunks
    yield b""


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield what the stream holds, UTF-16 (as PowerShell writes logs) turned into UTF-8."""
    block = stream.read(BLOCK)
    mark = next((mark for mark in MARKS if block.startswith(mark)), b"")
    block = block[len(mark) :]
    encoding = MARKS[mark] if mark else _without_mark(block)
    decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
    while block:
        yield decoder.decode(block).encode("utf-8", "replace") if decoder else block
        block = stream.read(BLOCK)


def _without_mark(start: bytes) -> str:
    """Recognise UTF-16 that carries no mark: every second byte of the beginning is zero."""
    sample = start[:400]
    if len(sample) < 8:
        return ""
    for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if sample[offset::2].count(0) > len(sample) * 0.45:
            return encoding
    return ""


def _whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes, cut after line ends, without colours; a line of megabytes is cut where it must be."""
    rest = b""
    for block in blocks:
        text = rest + block
        end = text.rfind(b"\n") + 1
        if not end and len(text) < 4 * BLOCK:
            rest = text
            continue
        end = end or len(text)
        rest = text[end:]
        yield _plain(text[:end])
    if rest:
        yield _plain(rest)


def _plain(text: bytes) -> bytes:
    """Take colours away, and what a web page made of quotation marks."""
    text = ANSI.sub(b"", text) if b"\x1b" in text or b"^[[" in text else text
    return ENTITY.sub(lambda found: ENTITIES.get(found[0], b"'"), text) if b"&" in text else text


def candidates(window: Window, index: Index) -> Iterator[Line]:
    """Yield the lines of a window that hold any word of the index, whatever the case in the log. In order."""
    number, start = window.number, window.start
    while start < window.end:
        end = window.text.find(b"\n", min(start + SLICE, window.end), window.end) + 1 or window.end
        found = _lines_with_words(window.text, start, end, index)
        counted = start
        for line_start in sorted(found):
            line_end, held = found[line_start]
            number += window.text.count(b"\n", counted, line_start)
            counted = line_start
            yield Line(line_start, line_end, number, frozenset(held))
        number += window.text.count(b"\n", counted, end)
        start = end


def _lines_with_words(text: bytes, start: int, end: int, index: Index) -> Found:
    """Return the lines of a slice of a text that hold words of the index."""
    plain = text[start:end]
    # In a text within a text, as Rust's {:?} and JSON print it, the n of a line end belongs to no word.
    forms = [plain, plain.replace(b"\\n", b"  ")] if b"\\n" in plain else [plain]
    found: Found = {}
    for folded in (form.translate(FOLD) for form in forms):
        words = folded.split()
        present = index.words.intersection(words)
        dense = [word for word in present if folded.count(word) > DENSE]
        if dense:
            there, lower = set(words), plain.lower()
            present -= {word for word in dense if not index.is_possible(word, there, lower)}
        _find(text, start, folded, present, found)
    return found


def _find(text: bytes, offset: int, folded: bytes, words: frozenset[bytes], found: Found) -> None:
    """Add all lines of a slice with any of the words."""
    for word in words:
        position = folded.find(word)
        while position >= 0:
            end = position + len(word)
            if folded[end : end + 1] in _BETWEEN and folded[position - 1 : position] in _BETWEEN:
                line_start, line_end = _bounds(text, position + offset)
                found.setdefault(line_start, (line_end, set()))[1].add(word)
                end = max(end, line_end - offset)
            position = folded.find(word, end)


def _bounds(text: bytes, position: int) -> tuple[int, int]:
    """Return where the line around `position` begins and ends; a progress bar's carriage return ends one as well."""
    earliest = max(0, position - LONGEST_LINE)
    start = max(earliest, text.rfind(b"\n", earliest, position) + 1)
    start = max(start, text.rfind(b"\r", start, position) + 1)
    end = text.find(b"\n", position, position + LONGEST_LINE)
    end = min(position + LONGEST_LINE, len(text)) if end < 0 else end
    return start, end if (cut := text.find(b"\r", position, end)) < 0 else cut


def around(window: Window, line: Line, distance: int) -> tuple[str, int]:
    """Return a line with up to `distance` lines before and after it, long ones cut, and the number of the first."""
    text, start, end = window.text, line.start, line.end
    earliest, latest = max(0, start - MARGIN), min(len(text), end + MARGIN)
    for _ in range(distance):
        if start > earliest:
            start = max(earliest, text.rfind(b"\n", earliest, start - 1) + 1)
    for _ in range(distance + 1):
        after = text.find(b"\n", end, latest)
        end = after + 1 if after >= 0 else latest
    lines = text[start:end].decode("utf-8", "replace").split("\n")
    return "\n".join(map(_cut, lines)), line.number - text.count(b"\n", start, line.start)


def _cut(line: str) -> str:
    """Return what is looked at of a line: of a progress bar's the last that it shows."""
    return line if len(line) <= LONGEST_LINE else line.rstrip("\r").rpartition("\r")[2][:LONGEST_LINE]


def bare(text: str) -> str:
    """Return a line without what tools put before it."""
    found = PREFIX.match(text)
    return text[found.end() if found else 0 :]


def plain(text: str) -> str:
    """Return a bare line without its labels in brackets."""
    found = LABEL.match(text)
    return text[found.end() if found else 0 :]


def is_there(text: str) -> bool:
    """Tell whether a line says of what it names that it ran, or that it does not fit: then it is not missing."""
    return any((RAN.search(text), UNFIT.search(text))) and not ABSENT.search(text)
