"""Why a failure happened, by what stands around the line that tells of it: the chain of causes below it, what it
called, or what was said before it.

Knows the outer form of what tools print, nothing of causes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from doit_cargo.engine.hints.reading import bare
from doit_cargo.engine.hints.said import (
    CAUSED,
    CHAIN,
    HOLLOW,
    PANICKED,
    SUMMARY,
    WHY,
    LogEvent,
    panics,
    quoted_reason,
    readable,
)

CMAKE = re.compile(r"CMake Error at \S+ \(\w+\)")
NIX = re.compile(r"error: (?:builder for .{1,200} failed|Cannot build )")
NPM = re.compile(r"code (E[A-Z0-9]+)$")
TASK = re.compile(r"Execution failed for task")  # Gradle's, whose next line says why
# What a program that fails says last, if it is its own: no step of the one that calls it.
ENDED = re.compile(r"\bexit(?:ed)?(?: with)? (?:exit )?(?:status|code)\b|\bsignal:? \d|non-zero", re.IGNORECASE)
STEP = re.compile(
    r"\[?(?:INFO|DEBUG)\b|raise |return |\s*(?:Running|Compiling|Finished|Building)\s|\$ |\+ |> |-- |File \""
    r"|full command|= note: (?:\"|some arguments)|\s*\^"
)
# What sounds like an error and is none: warnings, progress, what is tried again or does not count.
NOTICE = re.compile(
    r"\W{0,3}(?:npm )?(?:warn(?:ing)?|note|info|debug|help|hint|trace)\b|\S+:\d+(?::\d+)?: (?:warning|note)\b"
    r"|\S+ : warning [A-Z]+\d+: |.*\b(?:retry|tries remaining|0 failed)|.*\(ignored\)",
    re.IGNORECASE,
)
BEFORE = 8  # lines before an error that says nothing, in which what it called has said why
FEW_LINES = 3  # a warning's own lines, above an error
AFTER = 30  # lines after it, where it shows what that has printed
NO_WORDS = re.compile(
    r"\b(?:error|fatal|failed|failure|exception|panic|abort(?:ed)?|stderr|code)\b|[\W\d]|_", re.IGNORECASE
)
UNFIT = re.compile(r"mismatch|incompatible|not found|cannot |could not |failed|invalid|unsupported", re.IGNORECASE)
PLACE = re.compile(r"\S+\.rs:\d+:\d+")
ANOTHER = re.compile(r"\W{0,2}(?:error|fatal|warning: build failed)\b|\W{0,3}maturin failed", re.IGNORECASE)
# What stands between a chain's words and is none of them: another job's progress, bytes that no encoding explains.
OTHERS_WORD = re.compile(r"\s*(?:Compiling|Checking|Downloaded|Fresh) \S+ v\d|(?!.*os error).*\ufffd")
NUMBERED = re.compile(r"\s*\d{1,2}: (?=\S)")
# What the system says, without of what: the link above names that.
SYSTEMS_WORD = re.compile(r"[A-Z][\w ,'.-]{3,60}\(os error \d+\)$")


def says_little(text: str) -> bool:
    """Tell whether a line only says that something has failed."""
    return is_empty(text) or any((ENDED.search(text), HOLLOW.search(text), SUMMARY.match(text)))


def is_empty(text: str) -> bool:
    """Tell whether a line has no word but "error" and the like."""
    return len(NO_WORDS.sub("", text)) < 3


def reason_of(event: LogEvent, text: str) -> tuple[int, str]:
    """Return where the log says why an error happened, and what: 0 and "" for nowhere."""
    shown = [bare(line).strip() for line in event.lines[: AFTER + 10]]
    at, why = _below(shown, text)
    if at:
        return event.number + at, readable(why)
    before = [bare(line).strip() for line in event.before[-BEFORE:]]
    first = event.number - len(before)
    if not says_little(text):
        at, why = _warned(before)
        return (first + at, readable(why)) if why else (0, "")
    found = next(((first + at, before[at]) for at in reversed(range(len(before))) if _tells(before[at])), None)
    found = found or next(((event.number + at, shown[at]) for at in _called(shown) if _tells(shown[at])), None)
    if found is None and before and re.search(r"\w", before[-1]) and not (STEP.match(before[-1]) or _adds(before[-1])):
        found = event.number - 1, before[-1]
    return (found[0], readable(found[1])) if found else (0, "")


def _warned(before: Sequence[str]) -> tuple[int, str]:
    """Return the warning above an error of the same program, which went on as long as it could; it may go on a line.

    0 and "" for none.
    """
    for at in range(len(before) - 1, max(len(before) - 1 - FEW_LINES, -1), -1):
        if NOTICE.match(before[at]):
            return (at, before[at]) if UNFIT.search(before[at]) else (0, "")
        if not before[at] or STEP.match(before[at]) or OTHERS_WORD.match(before[at]):
            break
    return 0, ""


def _below(shown: Sequence[str], text: str) -> tuple[int, str]:
    """Return the last link of the chain below a line, or what its own form has there."""
    at, why = _last_link(shown)
    if at and why not in text:
        return at, why
    if NIX.match(text):
        at = quoted_reason(shown)
    elif npm := NPM.match(text):
        at = next((at for at, line in enumerate(shown) if line.startswith(f"{npm[1].lower()} ")), 0)
    elif text.endswith(":") or CMAKE.match(text):
        at = next((at for at in range(1, min(5, len(shown))) if shown[at] and not TASK.match(shown[at])), 0)
    else:
        return 0, ""
    return (at, shown[at]) if at else (0, "")


def _called(shown: Sequence[str]) -> Iterable[int]:
    """Return where the output of what failed may stand below a line: to the next error of the same caller."""
    end = next((at for at in range(1, len(shown)) if shown[at].startswith(("error: ", "Error: "))), len(shown))
    return range(1, min(end, AFTER))


def _tells(line: str) -> bool:
    return WHY.search(line) is not None and not (STEP.match(line) or NOTICE.match(line) or says_little(line))


def _adds(line: str) -> bool:
    return NOTICE.match(line) is not None


def panic_of(event: LogEvent) -> tuple[int, str, str]:
    """Return where and with what words a program stopped, and the place in its code that it names.

    A panic that only says that something was not as expected is told by what the program said before it.
    """
    before = event.before[-12:]
    first = event.number - len(before)
    said = [bare(line).strip() for line in (*before, *event.lines[:3])]
    start = max((at for at, line in enumerate(said) if "panicked at" in line), default=-1)
    if start < 0:
        said = said[: len(before)]
        at = next((at for at in reversed(range(len(said))) if said[at]), -1)
        return (first + at, said[at], _place(said[:-1])) if at >= 0 else (0, "", "")
    at, text = next(panics(said[start:]), (0, ""))
    if HOLLOW.search(text):
        told = (at for at in range(start - 1, max(start - BEFORE, -1), -1) if _tells(said[at]))
        above = next(told, -1)
        return (first + above, said[above], "") if above >= 0 else (first + start + at, text, _place(said[start:]))
    return event.number, text, _place(said[start:])


def _place(said: Sequence[str]) -> str:
    found = PLACE.search("\n".join(said))
    return found[0] if found else ""


class Chain(NamedTuple):
    """A chain of causes: the lines where it begins and where its last link does, and the last that names a thing."""

    start: int
    last: int
    before_system: int


def chains(events: Sequence[LogEvent]) -> list[Chain]:
    """Return the chains of causes that a log shows."""
    found = []
    for event in events:
        shown = _shown(event)
        at = _links(shown)
        told = " ".join(shown[at[-1] : at[-1] + 2]) if at else ""
        # Whose last link says only that a program failed, its words stand above the chain, none of the links says why.
        says = not (HOLLOW.search(told) or SUMMARY.search(told))
        if at and event.sign != PANICKED and (says or (len(at) > 2 and SUMMARY.search(told))):
            last = event.number + at[-1]
            above = event.number + (at[-2] if len(at) > 1 else 0)
            found.append(Chain(event.number, last, above if SYSTEMS_WORD.match(_text_of(shown[at[-1]])) else last))
    return found


def _shown(event: LogEvent) -> list[str]:
    """Return the lines in which the chain of an error is."""
    return [bare(line) for line in event.lines[:CHAIN]]


def _links(shown: Sequence[str]) -> list[int]:
    """Return where the texts of the links stand that belong to the first of some lines, to no later error."""
    others = (at for at in range(1, len(shown)) if ANOTHER.match(shown[at]) and not CAUSED.fullmatch(shown[at - 1]))
    end = next(others, len(shown))
    found: list[int] = []
    for at in range(1, end):
        if CAUSED.fullmatch(shown[at]):
            near = range(at + 1, min(at + 5, end))
            found += [one for one in near if shown[one].strip() and not OTHERS_WORD.match(shown[one])][:1]
        elif CAUSED.match(shown[at]) or (found and NUMBERED.match(shown[found[-1]]) and NUMBERED.match(shown[at])):
            found.append(at)
    return list(dict.fromkeys(found))


def _text_of(line: str) -> str:
    """Return what a link says, without what makes it one."""
    return NUMBERED.sub("", CAUSED.sub("", line)).strip()


def _last_link(shown: Sequence[str]) -> tuple[int, str]:
    """Return where the last link of a chain stands and what it says, a bare word of the system with the link above it.

    A link that says only that something has failed counts as little as what calls it. 0 and "" for no chain.
    """
    at = [one for one in _links(shown) if not (HOLLOW.search(shown[one]) or SUMMARY.search(_text_of(shown[one])))]
    if not at:
        return 0, ""
    text = _text_of(shown[at[-1]])
    if SYSTEMS_WORD.match(text) and len(at) > 1:
        text = f"{_text_of(shown[at[-2]])}: {text}"
    return at[-1], text
