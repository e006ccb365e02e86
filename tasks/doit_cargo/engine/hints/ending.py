"""The end of a log decides: the errors on which its last failure rests, a success, its last words.

Knows the outer form of errors, nothing of causes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from doit_cargo.engine.hints import floor
from doit_cargo.engine.hints.floor import SUSPECT, rule
from doit_cargo.engine.hints.reading import bare
from doit_cargo.engine.hints.reasons import ENDED
from doit_cargo.engine.hints.rules import Found
from doit_cargo.engine.hints.said import FEW, LONGEST, SCRIPT, SUMMARY, LogEvent, end_of_script

# What marks an error in a log that no tool says it of, and what a log ends with that tells of success.
MARKED = re.compile(r"\b(?:E0|LNK|CS?|TS|MSB|NU)\d{3,4}: \S|^(?:\S+ ){0,4}(?:ERRO|EROR|FATA|CRIT)\b")
WELL = re.compile(
    r"\b(?:pass(?:ed)?|success(?:ful(?:ly)?)?|succeeded|done|completed?)\W*$|^\W*[\u2705\u2714\U0001f389]",
    re.IGNORECASE,
)
BEFORE = 25  # lines before an error in which a tool has said why
AFTER = 60  # lines after it at most: its location, its notes, its chain of causes
ENOUGH = 3  # so many lines of a program's ordinary course after an error, and it went on
LOGGED = re.compile(r"\W{0,2}\d{4}-\d\d-\d\d\S*\s.{0,40}\bERROR\b")
GOES_ON = re.compile(r"\W{0,2}\d{4}-\d\d-\d\d\S*\s.{0,40}\b(?:INFO|DEBUG|TRACE)\b")
QUIET = 400  # so many lines without an error, and what stood before them was overcome
LAST_WORDS = rule("last-words", "Nothing known. The last it said: {error}", "its output has more")


def ends_well(text: str) -> bool:
    """Tell whether the last words of a log are those of a success."""
    said = [line for line in map(str.strip, text.splitlines()) if line]
    return bool(said) and WELL.search(said[-1]) is not None


def marked(text: str, lines: int) -> Found | None:
    """Return the first line of the end of a log, of so many lines, that bears the code or the mark of an error."""
    said = text.split("\n")
    at = next((at for at, line in enumerate(said) if MARKED.search(bare(line))), None)
    if at is None:
        return None
    shown = bare(said[at]).strip()[:LONGEST]
    return Found(SUSPECT, {"error": (shown,)}, ((lines - len(said) + 1 + at, shown),))


def last_words(text: str) -> Found | None:
    """Return the last line of a log that tells nothing else; nothing if that only says that something has failed."""
    said = [line for line in (bare(one).strip() for one in text.splitlines()) if line and not line.startswith("#")]
    own = [line for line in said if not ENDED.search(line)]
    last = (own or said or [""])[-1][:LONGEST]
    return Found(LAST_WORDS, {"error": (last,)}, ()) if last and not SUMMARY.match(last) else None


def rests_on(found: Found, events: Sequence[LogEvent]) -> bool:
    """Tell whether a cause stands at the last errors of a log; one without lines is of its end."""
    if not found.lines or not events:
        return True
    blocks = [_block(event) for event in last(events)]
    return any(start <= number <= end for number, _ in found.lines for start, end in blocks)


def overcome(event: LogEvent) -> bool:
    """Tell whether a program went on after an error that it only put into its log."""
    if not LOGGED.match(event.lines[0]):
        return False
    return sum(GOES_ON.match(line) is not None for line in event.lines[1:]) >= ENOUGH


def last(events: Sequence[LogEvent]) -> list[LogEvent]:
    """Return the errors at the end of a log: from the last ones back to where it had none for long. In order."""
    kept: list[LogEvent] = []
    for event in sorted(events, key=lambda event: -event.number):
        if kept and kept[-1].number - event.number > QUIET and not all(map(floor.is_summary, kept)):
            break
        kept.append(event)
    return kept[::-1]


def _block(event: LogEvent) -> tuple[int, int]:
    """Return the first and the last line that belong to an error."""
    if SCRIPT.search(event.lines[0]):
        return event.number - FEW, end_of_script(event)
    if floor.LINK.search(event.lines[0]):
        return event.number - BEFORE, event.number + 300
    return event.number - BEFORE, event.number + AFTER
