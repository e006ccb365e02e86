"""From a log to the root causes that it shows: lines matched in one pass, weighed at its end.

Knows nothing of files, platforms or what is printed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import IO, NamedTuple

from doit_cargo.engine.hints import ending, floor, reading, systems
from doit_cargo.engine.hints.reading import Line, Window, around, candidates, windows
from doit_cargo.engine.hints.reasons import Chain, chains
from doit_cargo.engine.hints.rules import Found, Grammar, HintRule, HintRules, Index, Owner, Pattern, ToolVerdict
from doit_cargo.engine.hints.said import PANICKED, LogEvent
from doit_cargo.engine.hints.systems import LogSystem

MOST = 3
"""How many hints at most: the best ones."""

PRECISE = 4  # up to this rank a hint names one thing, of which the system's own word ("os error 2") is no other cause
LIKELY = 5  # from this rank on something else may be behind it
VAGUE = 7  # from this rank on a hint names a consequence: it is shown where nothing better was found
TRIED = 200  # lines of one hint that are looked at closely; a log that repeats itself has nothing new to tell
KEPT = 20  # matches of one hint that are kept
EVENTS = 40  # lines that tell of a failure whose surroundings are kept for the floor
FOLLOWING = 300  # lines around each of them
REMEMBERED = 8192  # lines known to match nothing
SHOWN = 400  # characters of a matched line
ENDING = 1 << 12  # bytes of its end whose last line is shown where nothing is known
# Tools that only say that what they called has failed.
CALLERS = {"docker", "github", "make", "npm", "gradle", "msbuild"}
AGAIN = 1 << 14  # bytes of its end that are read once more where the same was seen often
BEGINNING = 1 << 16  # bytes of a log in which paths tell its system
DIGITS = b"0123456789"


class Match(NamedTuple):
    """One place in a log that shows a cause: line numbers and lines as shown, named groups.

    `warns`: the line alone is no failure. `crate` is whose line it is, where that is known.
    """

    lines: tuple[tuple[int, str], ...]
    values: tuple[tuple[str, str], ...]
    warns: bool
    crate: str


class LogReading(NamedTuple):
    """What a log tells: at most three root causes, best first; of what system it is."""

    found: list[Found]
    place: LogSystem


def recognise(stream: IO[bytes], knowledge: HintRules, ended: str = "") -> LogReading:
    """Read a log once. The log of a success tells nothing; `ended` says that it is none, and how the program ended."""
    watcher = _Watcher(knowledge)
    if ended:
        watcher.bad.add("ended")
    beginning = last = b""
    lines = 0
    window = None
    for window in windows(stream):
        last = window.text[max(window.start, window.end - ENDING) : window.end]
        lines = window.number + window.text.count(b"\n", window.start, window.end)
        beginning += window.text[window.start : window.end][: BEGINNING - len(beginning)]
        for line in candidates(window, watcher.index):
            watcher.take(window, line)
    if window and watcher.had_enough:
        watcher.look_again(window)
    end_of_log = last.decode("utf-8", "replace")
    watcher.go_on()
    if watcher.went_well() or (not watcher.failed() and ending.ends_well(end_of_log)):
        return LogReading([], LogSystem())
    found = [one for hint in knowledge.hints if hint.name in watcher.matches if (one := _found(hint, watcher))]
    end = knowledge.owner("ended", ended)
    if end and all(one.hint.category != end.category for one in found):
        found.append(Found(end, {"ended": (ended,)}, ()))
    ground = floor.of(ending.last(watcher.events))
    told_in = chains(watcher.events)
    early = [one for one in found if _is_early(one, told_in)]
    found = [
        _says_where(one) if one in early else one
        for one in found
        if not (one in early and ground and one.hint.rank < VAGUE and _is_other(one, ground, knowledge))
    ]
    aside = [one for one in found if not ending.rests_on(one, watcher.events)]
    told = [one for one in found if one not in aside]
    best = _best([*told, *([ground] if ground else [])])
    best = _with_aside(best, aside)
    if not best and not watcher.good:
        suspects = [_event("suspect", *one) for one in watcher.suspects]
        suspect = floor.of_suspects(suspects, watcher.events, lines) or ending.marked(end_of_log, lines)
        best = [suspect] if suspect else []
    if not best and watcher.bad and watcher.bad <= CALLERS:
        best = [words] if (words := ending.last_words(end_of_log)) else []
    best = [floor.with_kind(one, knowledge) for one in best]
    if ended and not (best or watcher.events):
        best = [words] if (words := ending.last_words(end_of_log)) else []
    shown = "\n".join(text for one in best for _, text in one.lines)
    return LogReading(best, systems.of(beginning.decode("utf-8", "replace") + "\n" + shown))


class _Watcher:
    """What was seen since the last good verdict: matches by hint, signs of failure; and whose bad verdicts stand.

    `last`: the last signs are kept, not the first.
    """

    def __init__(self, knowledge: HintRules, last: bool = False) -> None:
        self._knowledge = knowledge
        self._last = last
        self.index = Index(knowledge)
        self.matches: dict[str, list[Match]] = {}
        self.signs: set[str] = set()
        self.events: list[LogEvent] = []
        self.suspects: list[tuple[Window, Line]] = []
        self.captured = False
        self.good = False
        self.bad: set[str] = set()
        self.failed_crates: set[str] = set()
        self.had_enough = False
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
        bare = reading.bare(text)
        plain = reading.plain(bare)
        if reading.QUOTED.match(plain) or reading.TOLD.match(bare):
            return False
        # The output of a build script, which cargo labels, tells nothing of how the build ended.
        seen = [
            (owner, pattern.search(text, plain if isinstance(owner, HintRule | Grammar) else bare))
            for pattern, owner in tried
        ]
        hits = [(owner, hit) for owner, hit in seen if hit]
        for owner, hit in hits:
            if isinstance(owner, ToolVerdict):
                self._note_verdict(owner)
            elif isinstance(owner, str):
                self._note_sign(owner, hit, window, line)
            elif not self.captured or reading.HAPPENED.search(plain):
                self._take_fact(owner, hit, window, line, bare)
            self._count(owner)
        return bool(hits)

    def _take_fact(self, owner: HintRule | Grammar, hit: re.Match[str], window: Window, line: Line, bare: str) -> None:
        if not isinstance(owner, Grammar):
            self._look_around(window, line, owner, hit, bare)
            return
        subject = owner.subject_of(hit)
        told = self._knowledge.owner(owner.name, subject, hit.string)
        if told:
            values = [(owner.subject, subject), ("since", self._knowledge.since.get(subject.lower(), ""))]
            if owner.name == "symbol":
                values.append(("library", self._knowledge.library_of(subject, hit.string)[1]))
            self._look_around(window, line, told, hit, bare, values)

    def _note_sign(self, sign: str, hit: re.Match[str], window: Window, line: Line) -> None:
        """Take what tells of failure, or of output that a test has printed and that has not happened here."""
        if sign in ("captured", "told"):
            self.captured = sign == "captured"
            return
        if sign not in ("panicked", "suspect"):
            self.signs.add(sign)
        self.failed_crates.update(filter(None, hit.groupdict().values()))
        if not self.captured:
            self._keep(sign, window, line)

    def _note_verdict(self, verdict: ToolVerdict) -> None:
        """Take how a tool ended. A bad end stands; else what stands before a good one has kept nothing from it."""
        if not verdict.good:
            self.bad |= set() if self.captured else {verdict.name}
        elif self.bad:
            self.events = [event for event in self.events if event.sign != PANICKED]
        else:
            self.good = True
            for seen in (self.signs, self.matches, self.events, self.suspects, self.failed_crates):
                seen.clear()

    def went_well(self) -> bool:
        """Tell whether the last that a tool said is that it went well."""
        return self.good and not (self.bad or self.signs or self.events)

    def failed(self) -> bool:
        """Tell whether a tool said that it did not go well."""
        return bool(self.bad) or "code_failed" in self.signs or "program_failed" in self.signs

    def _keep(self, sign: str, window: Window, line: Line) -> None:
        """Keep a line that tells of a failure, with its surroundings: the first ones; where the last suspects are."""
        if sign == "suspect":
            near = (one for one in self.suspects if one[1].number > line.number - floor.TAIL)
            self.suspects = [*near, (window, line)]
        elif self._last:
            self.events = [*self.events[1 - EVENTS :], _event(sign, window, line)]
        elif len(self.events) < EVENTS:
            self.events.append(_event(sign, window, line))
            if len(self.events) == EVENTS:
                self.had_enough = True
                self.index.drop("suspect")  # so much that tools say needs no guess

    def _count(self, owner: Owner) -> None:
        """Stop looking for what was seen often enough."""
        if isinstance(owner, ToolVerdict):
            return
        name = owner if isinstance(owner, str) else owner.name
        self._tried[name] = self._tried.get(name, 0) + 1
        if self._tried[name] == TRIED and name not in ("captured", "told", "suspect"):
            self.had_enough = True
            self.index.drop(owner)

    def go_on(self) -> None:
        """Forget errors after which the program went on."""
        overcome = {event.number for event in self.events if ending.overcome(event)}
        self.events = [event for event in self.events if event.number not in overcome]
        self.suspects = [suspect for suspect in self.suspects if suspect[1].number not in overcome]
        self.good |= bool(overcome) and not (self.events or self.suspects or self.bad)

    def look_again(self, window: Window) -> None:
        """Look at the end of a log alone: what was seen often enough before says nothing of how it ended."""
        start = window.text.rfind(b"\n", 0, max(window.start, window.end - AGAIN)) + 1
        start = max(start, window.start)
        number = window.number + window.text.count(b"\n", window.start, start)
        end = _Watcher(self._knowledge, last=True)
        for line in candidates(part := window._replace(start=start, number=number), end.index):
            end.take(part, line)
        self.events = [*(event for event in self.events if event.number < number), *end.events]
        self.matches |= end.matches

    def _look_around(
        self,
        window: Window,
        line: Line,
        hint: HintRule,
        hit: re.Match[str],
        bare: str,
        subject: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Keep a match if what must stand near it does, and what must not does not."""
        if hint.name.endswith("-missing") and reading.is_there(hit.string):
            return
        shown = [(line.number, _around(hit.string, hit.start()))]
        values = [*{**hit.groupdict(), **dict(subject)}.items()]
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
            warning = reading.WARNING.match(bare)
            crate, warns = _whose(warning) if warning else ("", False)
            kept.append(Match(tuple(shown), filled, warns, crate))


def _event(sign: str, window: Window, line: Line) -> LogEvent:
    """Return a line with its surroundings."""
    text, first = around(window, line, FOLLOWING)
    lines = [one.rstrip("\r").rpartition("\r")[2] for one in text.split("\n")]
    at = line.number - first
    return LogEvent(sign, line.number, tuple(lines[:at]), tuple(lines[at:]))


def _whose(warning: re.Match[str]) -> tuple[str, bool]:
    """Return whose line it is, and whether it is one that alone is no failure."""
    crate = warning["crate"] or warning["labelled"] or ""
    return crate, bool(warning["labelled"] or warning["says"])


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
    went_on = not (watcher.signs or watcher.bad)
    matches = [
        match
        for match in watcher.matches[hint.name]
        if not (went_on and reading.RETRIED.search(match.lines[0][1]))
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


def _is_early(found: Found, links: Sequence[Chain]) -> bool:
    """Tell whether only the beginning of a chain of causes tells it: that says where, the last link says why."""
    numbers = [number for number, _ in found.lines]
    for one in links:
        last = one.before_system if found.hint.rank < PRECISE else one.last
        if numbers and all(one.start <= number < last for number in numbers):
            return True
    return False


def _is_other(early: Found, ground: Found, knowledge: HintRules) -> bool:
    """Tell whether what the beginning of a chain tells is another matter than what its last link says."""
    why = floor.why_of(ground)
    if early.hint.rank >= PRECISE or not why:
        return early.hint.rank >= PRECISE
    return knowledge.kind_of(early.lines[-1][1]) is not knowledge.kind_of(why)


def _best(found: list[Found]) -> list[Found]:
    """Return the best ones: root causes before consequences, one of each category; what says little only alone."""
    hidden = {name for one in found for name in one.hint.hides}
    best: dict[str, Found] = {}
    for one in sorted(found, key=lambda one: (one.hint.rank, one.lines[0][0] if one.lines else 0)):
        if one.hint.name not in hidden:
            best.setdefault(one.hint.category, one)
    telling = [one for one in best.values() if one.hint.rank < VAGUE]
    vague = [one for one in best.values() if one.hint.rank < floor.RANK]
    ground = [one for one in best.values() if one.hint.rank == floor.RANK]
    first = [_with_words(one, ground) for one in vague[:1]]
    told = {number for one in first for number, _ in one.lines}
    script = (one for one in ground if one.hint is floor.BUILD_SCRIPT or one.lines[-1][0] not in told)
    return telling[:MOST] or [*first, *script]


def _says_where(found: Found) -> Found:
    return found._replace(hint=replace(found.hint, rank=VAGUE + 1))


def _with_aside(best: list[Found], aside: list[Found]) -> list[Found]:
    """Return the same, and what matches elsewhere in the log than at its last errors: it may be the cause."""
    if any(one.hint.rank < VAGUE for one in best):
        return best
    told = _best([one._replace(hint=replace(one.hint, rank=max(one.hint.rank, LIKELY))) for one in aside])
    return [*best, *told][:MOST]


def _with_words(vague: Found, ground: Sequence[Found]) -> Found:
    """Return what only says where, with the line in which the failure says why."""
    told = {number for number, _ in vague.lines}
    telling = (one for one in ground if one.hint is floor.BUILD_SCRIPT or one.lines[-1][0] not in told)
    says = next((one for one in telling if floor.why_of(one)), None)
    if says is None:
        return vague
    lines = dict((*vague.lines, says.lines[-1]))
    return vague._replace(values={**vague.values, "says": (floor.why_of(says),)}, lines=tuple(sorted(lines.items())))
