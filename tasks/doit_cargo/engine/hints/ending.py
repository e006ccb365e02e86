"""The end of a log: whether it speaks of success, and what it says where nothing else does.

Knows only the last lines of a log.
"""

from __future__ import annotations

import re

from doit_cargo.engine.hints.floor import ENDED, LONGEST, SUSPECT, rule
from doit_cargo.engine.hints.reading import bare
from doit_cargo.engine.hints.rules import Found

# What marks an error in a log that no tool says it of, and what a log ends with that tells of success.
MARKED = re.compile(r"\b(?:E0|LNK|CS?|TS|MSB|NU)\d{3,4}: \S|^(?:\S+ ){0,4}(?:ERRO|EROR|FATA|CRIT)\b")
WELL = re.compile(
    r"\b(?:pass(?:ed)?|success(?:ful(?:ly)?)?|succeeded|done|completed?)\W*$|^\W*[\u2705\u2714\U0001f389]",
    re.IGNORECASE,
)
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
    """Return the last line of a log that tells nothing else."""
    said = [line for line in (bare(one).strip() for one in text.splitlines()) if line and not line.startswith("#")]
    own = [line for line in said if not ENDED.search(line)]
    return Found(LAST_WORDS, {"error": ((own or said)[-1][:LONGEST],)}, ()) if said else None
