"""What can be said of a failure whose cause no table has: the build script that failed and its own words, or the first
error line. Nothing for a mistake in one's own code: rustc has said it.

Knows the outer form of what cargo, build scripts and compilers print, nothing of causes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from doit_cargo.engine.hints.reading import bare
from doit_cargo.engine.hints.rules import Found, HintRule, HintRules
from doit_cargo.engine.hints.said import (
    CAUSED,
    CHAIN,
    HOLLOW,
    LONGEST,
    SCRIPT,
    TRACEBACK,
    LogEvent,
    exception_of,
    panics,
    quoted_reason,
    why_of_script,
)

RANK = 9
PANICKED = "panicked"
# A dependency's own code: cargo shows its whole path, that of a member relative to the workspace.
DEPENDENCY = re.compile(r"[/\\](?:registry[/\\]src|git[/\\]checkouts|[\w.-]*vendor[\w.-]*)[/\\]")
# Where an old rustc says that an unwrap panicked: in its own library.
STANDARD = re.compile(r"(?:^|[/\\])(?:checkout|rustc|libcore|library)[/\\]")
CODE = re.compile(r"error\[E\d{4}\]: ")
COMPILED = re.compile(r"could not compile \W?([\w-]+)")
LOCATION = re.compile(r"^\s*-->\s")
MACRO = re.compile(r"error: (?:proc[- ]macro(?: derive)?|custom attribute) panicked")
SAYS = re.compile(r"= help: message: (.*)")
# A macro's own error that is none of the code: the system or a server said no.
OUTSIDE = re.compile(
    r"error: (?!cannot find)(.*(?:\(os error \d+\)|communicating with|could not connect|failed to connect).*)"
)
REFUSES = re.compile(r"error: (?!cannot find)(\S.*)")
ANOTHER = re.compile(r"\W{0,2}(?:error|fatal|warning: build failed)\b|\W{0,3}maturin failed", re.IGNORECASE)
# What the system says, without of what: the cause above names that.
SYSTEMS_WORD = re.compile(r"[A-Z][\w ,'.-]{3,60}\(os error \d+\)$")
CMAKE = re.compile(r"CMake Error at \S+ \(\w+\)")
# What a program that fails says last, if it is its own: no step of the one that calls it.
ENDED = re.compile(r"\bexit(?:ed)?(?: with)? (?:exit )?(?:status|code)\b|\bsignal:? \d|non-zero", re.IGNORECASE)
STEP = re.compile(
    r"\[?(?:INFO|DEBUG)\b|raise |return |\s*(?:Running|Compiling|Finished|Building)\s|\$ |\+ |> |-- |File \""
)
NIX = re.compile(r"error: (?:builder for .{1,200} failed|Cannot build )")
NPM = re.compile(r"code (E[A-Z0-9]+)$")
TASK = re.compile(r"Execution failed for task")  # Gradle's, whose next line says why
TAIL = 25  # lines at the end of a log whose errors are not yet overcome
# What sounds like an error and is none: warnings, progress, what is tried again.
NOTICE = re.compile(
    r"\W{0,3}(?:npm )?(?:warn(?:ing)?|note|info|debug|help|hint|trace)\b|\S+:\d+(?::\d+)?: (?:warning|note)\b"
    r"|.*\b(?:retry|tries remaining|0 failed)",
    re.IGNORECASE,
)
TESTS = re.compile(
    r"(?:test result: |error: (?:test|bench|doctest|test run) failed|error: \d+ targets? failed|FAILED \S+::"
    r"|\s*FAIL \[)",
    re.IGNORECASE,
)
# cargo's and rustc's last words over errors that stand above, or in the output of a test.
SUMMARY = re.compile(
    r"(?:error: )?(?:could not compile|aborting due to|test failed|doctest failed|bench failed|\d+ targets? failed"
    r"|test result: |process didn.t exit successfully|build failed|command .{1,80} exited|recipe |test run failed)"
    r"|error: collect2: error|collect2: error|clang: error: linker command|error: linking with"
    r"|thread .{1,60} panicked at|error: (?:process|command) .{1,200}(?:failed|exit)"
    r"|fatal: not a git repository"
    r"|error: failed to (?:build|solve)|\SERROR: process|error: subprocess-exited|error: \d+ dependenc"
    r"|make(?:\[\d+\])?: \*\*\* .{0,300}Error \d+|error: script .{1,60} exited|error beforeBuildCommand",
    re.IGNORECASE,
)
LINK = re.compile(r"linking with .{1,120} failed")
COMMAND = re.compile(r'(?:= note: )?(?:\w+=\S+ )*"')
LINKER = re.compile(
    r"(?:^|[\s/\\(])(?:(?:rust-)?l?ld(?:\.\w+)?|lld-link|mold|wild|link|clang\S*|gcc|cc|zig)(?:\.exe)?: |LNK\d{4}"
    r"|undefined |\bERROR\b|\berror: "
)
OPEN = re.compile(r"undefined (?:symbol|reference)|unresolved external symbol|LNK2019|LNK2001")
PLACE = re.compile(r"\S+\.rs:\d+:\d+")


class Chain(NamedTuple):
    """A chain of causes: the lines where it begins and where its last link does, and the last that names a thing."""

    start: int
    last: int
    before_system: int


def of(events: Sequence[LogEvent]) -> Found | None:
    """Return what the failure says of itself, or nothing where it is a mistake in one's own code or a failing test."""
    script = next((found for event in events if (found := SCRIPT.search(event.lines[0]))), None)
    if script:
        event = next(event for event in events if SCRIPT.search(event.lines[0]))
        return _script(script, event)
    macro = next(filter(None, map(_macro, events)), None) or next(filter(None, map(_refuses, events)), None)
    if macro:
        return macro
    if any(_is_own(event) for event in events):
        return None
    link = next((event for event in events if LINK.search(event.lines[0])), None)
    if link:
        return _link(link)
    failures = [event for event in events if event.sign != PANICKED and not SUMMARY.search(bare(event.lines[0]))]
    panics = [event for event in events if event.sign == PANICKED]
    return next((_first(event) for event in failures), None) or next(filter(None, map(_panic, panics)), None)


def _panic(event: LogEvent) -> Found | None:
    """Return what a program said before it asks for RUST_BACKTRACE, but for a panic in one's own code."""
    said = [bare(line).strip() for line in (*event.before[-12:], *event.lines[:3])]
    start = max((at for at, line in enumerate(said) if "panicked at" in line), default=-1)
    said = said if start >= 0 else said[: len(said) - len(event.lines[1:3])]
    said = said[start:] if start >= 0 else said[:-1]
    place = PLACE.search("\n".join(said))
    text = next((message for _, message in panics(said)), "") if start >= 0 else next(filter(None, reversed(said)), "")
    if not text or (place and not (DEPENDENCY.search(place[0]) or STANDARD.search(place[0]))):
        return None
    return Found(FIRST_ERROR, {"error": (text[:LONGEST],)}, ((event.number, text[:LONGEST]),))


def of_suspects(events: Sequence[LogEvent], failures: Sequence[LogEvent], lines: int) -> Found | None:
    """Return the first line near the end of a log, of so many lines, that sounds like an error, where no tool says so.

    `failures` are the lines that do: a mistake in one's own code or a failing test explains itself.
    """
    if any(map(_is_own, failures)) or any(TESTS.match(bare(event.lines[0])) for event in (*failures, *events)):
        return None
    near = [event for event in events if event.number > lines - TAIL and not NOTICE.match(bare(event.lines[0]))]
    telling = [event for event in near if not HOLLOW.search(event.lines[0])]
    return _first((telling or near)[0])._replace(hint=SUSPECT) if near else None


def is_summary(event: LogEvent) -> bool:
    """Tell whether a line only says that something above has failed."""
    return SUMMARY.search(bare(event.lines[0])) is not None


def chains(events: Sequence[LogEvent]) -> list[Chain]:
    """Return the chains of causes that cargo shows."""
    found = []
    for event in events:
        shown = [bare(line) for line in event.lines[:CHAIN]]
        heads = _links(shown)
        told = " ".join(shown[heads[-1] : heads[-1] + 2]) if heads else ""
        if heads and event.sign != PANICKED and not (HOLLOW.search(told) or SUMMARY.search(told)):
            bare_word = SYSTEMS_WORD.match(CAUSED.sub("", told).strip()) is not None
            last = event.number + heads[-1]
            found.append(
                Chain(event.number, last, event.number + (heads[-2] if len(heads) > 1 else 0) if bare_word else last)
            )
    return found


def _links(shown: Sequence[str]) -> list[int]:
    """Return where the links of the chain of causes are that belongs to the first of some lines, to no later error."""
    others = (at for at in range(1, len(shown)) if ANOTHER.match(shown[at]) and not CAUSED.fullmatch(shown[at - 1]))
    end = next(others, len(shown))
    return [at for at in range(end) if CAUSED.match(shown[at])]


def why_of(found: Found) -> str:
    """Return what a failure says of itself, without what cargo puts around it."""
    text = next((found.values[name][0] for name in ("why", "error") if name in found.values), "")
    return "" if HOLLOW.search(text) else text


def with_kind(found: Found, knowledge: HintRules) -> Found:
    """Return what is known only by its words with the sort of failure that these tell of."""
    if found.hint.rank < RANK and found.hint is not MACRO_PANICKED:
        return found
    texts = [found.values[name][0] for name in ("why", "error") if name in found.values]
    kind = next((kind for text in texts if (kind := knowledge.kind_of(text))), None)
    if kind is None:
        return found
    return found._replace(values={**found.values, "means": (kind.means,), "mend": (kind.fix,)})


def _macro(event: LogEvent) -> Found | None:
    """Return what a procedural macro says that panicked: mostly of a file, a folder or a service that is not there."""
    first = bare(event.lines[0])
    outside = OUTSIDE.match(first) if any("originates in" in line for line in event.lines[1:24]) else None
    if not MACRO.match(first) and not outside:
        return None
    said = (SAYS.search(bare(line)) for line in event.lines[1:12])
    text = outside[1] if outside else next((found[1] for found in said if found), "")
    return Found(MACRO_PANICKED, {"why": (text[:LONGEST],)}, ((event.number, text[:LONGEST]),)) if text else None


def _refuses(event: LogEvent) -> Found | None:
    """Return with what words a dependency keeps itself from being compiled: mostly for its features or the target."""
    says = REFUSES.match(bare(event.lines[0]))
    shown = "\n".join(event.lines[1:8])
    if not says or "compile_error!" not in shown or not DEPENDENCY.search(shown):
        return None
    return Found(CRATE_REFUSES, {"why": (says[1].strip()[:LONGEST],)}, ((event.number, says[0].strip()[:LONGEST]),))


def _is_own(event: LogEvent) -> bool:
    """Tell whether rustc complains of the workspace's own code."""
    if bare(event.lines[0]).startswith("{"):
        return "compiler-message" in event.lines[0]
    places = [line for line in event.lines[1:8] if LOCATION.match(bare(line))]
    if places:
        return not DEPENDENCY.search(places[0])
    return CODE.match(bare(event.lines[0])) is not None and not _foreign_crate(event)


def _foreign_crate(event: LogEvent) -> str:
    """Return the crate of a registry that does not compile: cargo shows where a member of the workspace lies."""
    crate = next((found[1] for line in event.lines if (found := COMPILED.search(line))), "")
    shown = re.compile(rf"Compiling {re.escape(crate)} v(\S+)\s*(\(.*)?$")
    lines = (shown.search(line) for line in (*event.before, *event.lines))
    found = next((one for one in lines if one), None) if crate else None
    return f"{crate} v{found[1]}" if found and not (found[2] or "").startswith(("(/", "(C:", "(D:")) else ""


def _script(found: re.Match[str], event: LogEvent) -> Found:
    number, why = why_of_script(event)
    crate = f"{found['crate']} v{found['version']}"
    values = {"crate": (crate,), "name": (found["crate"],)}
    lines: tuple[tuple[int, str], ...] = ((event.number, bare(event.lines[0]).strip()[:LONGEST]),)
    if why:
        values["why"], lines = (why,), (*lines, (number, why))
    return Found(BUILD_SCRIPT, values, lines)


def _link(event: LogEvent) -> Found | None:
    """Return the linker's first own words: cargo shows its whole command before them."""
    shown = ((at, bare(line).strip()) for at, line in enumerate(event.lines[1:200], event.number + 1))
    said = [(at, text) for at, text in shown if LINKER.search(text) and not COMMAND.match(text)]
    # What lacks ends a link; what is only mixed mostly does not.
    at, text = next((one for one in said if OPEN.search(one[1])), next(iter(said), (0, "")))
    text = text.removeprefix("= note: ")
    return Found(LINK_FAILED, {"why": (text[:LONGEST],)}, ((at, text[:LONGEST]),)) if text else None


def _first(event: LogEvent) -> Found:
    text = bare(event.lines[0]).strip()[:LONGEST]
    crate = _foreign_crate(event) if CODE.match(text) else ""
    if crate:
        return Found(DEPENDENCY_BROKEN, {"crate": (crate,), "error": (text,)}, ((event.number, text),))
    at, text = exception_of(event) if TRACEBACK.match(text) else (event.number, text)
    values = {"error": (text,)}
    lines: tuple[tuple[int, str], ...] = ((at, text),)
    number, why = _cause(event, text)
    if why:
        values["why"], lines = (why[:LONGEST],), (*lines, (number, why[:LONGEST]))
    return Found(FIRST_ERROR, values, lines)


def _cause(event: LogEvent, text: str) -> tuple[int, str]:
    """Return why an error happened: the last cause of its chain, what is on the next line, or was said before it."""
    shown = [bare(line).strip() for line in event.lines[:CHAIN]]
    chain = _links(shown)
    if chain:
        at = chain[-1]
        inline = CAUSED.sub("", shown[at])
        at += 0 if inline or at + 1 == len(shown) else 1
        cause = re.sub(r"^\d+: ", "", inline or shown[at])
        if SYSTEMS_WORD.match(cause) and len(chain) > 1:
            above = " ".join(part for part in shown[chain[-2] : chain[-1]] if part)
            cause = f"{CAUSED.sub('', above)}: {cause}"
        if cause not in text and not SUMMARY.search(cause):
            return event.number + at, cause
    if NIX.match(text):
        at = quoted_reason(shown)
        return (event.number + at, shown[at]) if at else (0, "")
    if npm := NPM.match(text):
        at = next((at for at, line in enumerate(shown) if line.startswith(f"{npm[1].lower()} ")), 0)
        return (event.number + at, shown[at]) if at else (0, "")
    if text.endswith(":") or CMAKE.match(text):
        at = next((at for at in range(1, min(5, len(shown))) if shown[at] and not TASK.match(shown[at])), 0)
        return (event.number + at, shown[at]) if at else (0, "")
    before = [bare(line).strip() for line in event.before[-2:]]
    if (
        (ENDED.search(text) or HOLLOW.search(text))
        and before
        and re.search(r"\w", before[-1])
        and not STEP.match(before[-1])
    ):
        return event.number - 1, before[-1]
    return 0, ""


def rule(name: str, cause: str, fix: str, rank: int = RANK, hides: tuple[str, ...] = ()) -> HintRule:
    """Return a hint that no table has."""
    return HintRule(name, name, rank, (), (), (), 0, hides, False, cause, {"any": fix})


MACRO_PANICKED = rule(
    "macro-panicked", "A procedural macro stopped while it ran. It says: {why}", "{mend|mend what it says}", 7
)
CRATE_REFUSES = rule(
    "crate-refuses",
    "A dependency does not let itself be built like this. It says: {why}",
    "change its features in Cargo.toml, or the target, as it says",
    5,
    ("crate-broken-by-new-rustc",),
)
BUILD_SCRIPT = rule(
    "build-script-failed",
    "The build script of {crate} failed. It says: {why|nothing}",
    "{mend|mend what it says}; `cargo tree -i {name}` shows who pulls it in",
)
DEPENDENCY_BROKEN = rule(
    "crate-broken-by-new-rustc",
    "The code of a dependency, {crate}, does not compile here, not yours: {error}",
    "cargo update -p NAME (of the crate), or the toolchain that the lock was made for; what its build script found "
    "missing may be the cause too",
    6,
)
LINK_FAILED = rule(
    "link-failed", "The link failed. The linker says: {why}", "{mend|mend what it says}; the lines after it tell more"
)
SUSPECT = rule(
    "unknown-error", "Nothing known. It says: {error}{why|}", "{mend|mend what it says}; the lines around it tell more"
)
FIRST_ERROR = rule(
    "first-error", "The first error is: {error}{why|}", "{mend|mend what it says}; the lines after it tell more"
)
