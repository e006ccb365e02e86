"""A chain of causes, as cargo, anyhow and rustup show it: where its links stand and what the last one says.

Knows the outer form of chains, nothing of causes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from doit_cargo.engine.hints.reading import bare
from doit_cargo.engine.hints.said import CAUSED, CHAIN, HOLLOW, PANICKED, SUMMARY, LogEvent

ANOTHER = re.compile(r"\W{0,2}(?:error|fatal|warning: build failed)\b|\W{0,3}maturin failed", re.IGNORECASE)
NUMBERED = re.compile(r"\s*\d{1,2}: (?=\S)")
# What the system says, without of what: the link above names that.
SYSTEMS_WORD = re.compile(r"[A-Z][\w ,'.-]{3,60}\(os error \d+\)$")


class Chain(NamedTuple):
    """A chain of causes: the lines where it begins and where its last link does, and the last that names a thing."""

    start: int
    last: int
    before_system: int


def of(events: Sequence[LogEvent]) -> list[Chain]:
    """Return the chains of causes that a log shows."""
    found = []
    for event in events:
        shown = shown_of(event)
        at = links(shown)
        told = " ".join(shown[at[-1] : at[-1] + 2]) if at else ""
        # Whose last link says only that a program failed, its words stand above the chain, none of the links says why.
        says = not (HOLLOW.search(told) or SUMMARY.search(told))
        if at and event.sign != PANICKED and (says or (len(at) > 2 and SUMMARY.search(told))):
            last = event.number + at[-1]
            above = event.number + (at[-2] if len(at) > 1 else 0)
            found.append(Chain(event.number, last, above if SYSTEMS_WORD.match(text_of(shown[at[-1]])) else last))
    return found


def shown_of(event: LogEvent) -> list[str]:
    """Return the lines in which the chain of an error is."""
    return [bare(line) for line in event.lines[:CHAIN]]


def links(shown: Sequence[str]) -> list[int]:
    """Return where the texts of the links stand that belong to the first of some lines, to no later error."""
    others = (at for at in range(1, len(shown)) if ANOTHER.match(shown[at]) and not CAUSED.fullmatch(shown[at - 1]))
    end = next(others, len(shown))
    found: list[int] = []
    for at in range(1, end):
        if CAUSED.fullmatch(shown[at]):
            found += [below for below in range(at + 1, min(at + 4, end)) if shown[below].strip()][:1]
        elif CAUSED.match(shown[at]) or (found and NUMBERED.match(shown[found[-1]]) and NUMBERED.match(shown[at])):
            found.append(at)
    return list(dict.fromkeys(found))


def text_of(line: str) -> str:
    """Return what a link says, without what makes it one."""
    return NUMBERED.sub("", CAUSED.sub("", line)).strip()


def why_of(shown: Sequence[str]) -> tuple[int, str]:
    """Return where the last link of a chain stands and what it says, a bare word of the system with the link above it.

    A link that says only that something has failed counts as little as what calls it. 0 and "" for no chain.
    """
    at = [one for one in links(shown) if not (HOLLOW.search(shown[one]) or SUMMARY.search(text_of(shown[one])))]
    if not at:
        return 0, ""
    text = text_of(shown[at[-1]])
    if SYSTEMS_WORD.match(text) and len(at) > 1:
        text = f"{text_of(shown[at[-2]])}: {text}"
    return at[-1], text
