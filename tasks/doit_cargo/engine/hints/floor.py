"""What can be said of a failure whose cause no table has: the build script that failed and its own words, or the first
error line. Nothing for a mistake in one's own code: rustc has said it.

Knows the outer form of what cargo, build scripts and compilers print, nothing of causes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from doit_cargo.engine.hints.reading import bare
from doit_cargo.engine.hints.reasons import NOTICE, is_empty, panic_of, reason_of, says_little
from doit_cargo.engine.hints.rules import Found, HintRule, HintRules
from doit_cargo.engine.hints.said import (
    HOLLOW,
    LONGEST,
    PANICKED,
    SCRIPT,
    SUMMARY,
    TRACEBACK,
    LogEvent,
    exception_of,
    readable,
    why_of_script,
)

RANK = 9
# A dependency's own code: cargo shows its whole path, that of a member relative to the workspace.
# What is shown of one in an excerpt: its folder, named as the registry's are.
DEPENDENCY = re.compile(
    r"[/\\](?:registry[/\\]src|git[/\\]checkouts|[\w.-]*vendor[\w.-]*)[/\\]|(?:^|\s)[\w-]+-\d+\.\d+\.\d+[\w.+-]*[/\\]"
)
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
# A macro's own error that is none of the code either: a folder or a file with which it was to be expanded is not there.
LACKS = re.compile(
    r"error: (?!couldn.t read)(.*(?:['`\x22][^'`\x22]*[/\\][^'`\x22]*['`\x22].{0,40}(?:does not|doesn.t) exist"
    r"|(?:director(?:y|ies)|folder|file|path)\b.{0,200}(?:does not exist|doesn.t exist|not found)).*)",
    re.IGNORECASE,
)
DERIVES = re.compile(r"#\[derive\(|originates in (?:the derive macro|the attribute macro)")
REFUSES = re.compile(r"error: (?!cannot find)(\S.*)")
TAIL = 25  # lines at the end of a log whose errors are not yet overcome
TESTS = re.compile(
    r"(?:test result: |error: (?:test|bench|doctest|test run) failed|error: \d+ targets? failed|FAILED \S+::"
    r"|\s*FAIL \[)",
    re.IGNORECASE,
)
LINK = re.compile(r"linking with .{1,120} failed")
COMMAND = re.compile(r'(?:= note: )?(?:\w+=\S+ )*"')
LINKER = re.compile(
    r"(?:^|[\s/\\(])(?:(?:rust-)?l?ld(?:\.\w+)?|lld-link|mold|wild|link|clang\S*|gcc|cc|zig)(?:\.exe)?: |LNK\d{4}"
    r"|undefined |\bERROR\b|\berror: "
)
OPEN = re.compile(r"undefined (?:symbol|reference)|unresolved external symbol|LNK2019|LNK2001")


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
    told = [_first(event) for event in failures]
    telling = (one for one in told if "why" in one.values or not says_little(one.values["error"][0]))
    return next(telling, None) or next(filter(None, map(_panic, panics)), None) or next(iter(told), None)


def _panic(event: LogEvent) -> Found | None:
    """Return what a program said before it asks for RUST_BACKTRACE, but for a panic in one's own code."""
    number, text, place = panic_of(event)
    if not text or (place and not (DEPENDENCY.search(place) or STANDARD.search(place))):
        return None
    return Found(FIRST_ERROR, {"error": (text[:LONGEST],)}, ((number, text[:LONGEST]),))


def of_suspects(events: Sequence[LogEvent], failures: Sequence[LogEvent], lines: int) -> Found | None:
    """Return the first line near the end of a log, of so many lines, that sounds like an error, where no tool says so.

    `failures` are the lines that do: a mistake in one's own code or a failing test explains itself.
    """
    if any(map(_is_own, failures)) or any(TESTS.match(bare(event.lines[0])) for event in (*failures, *events)):
        return None
    near = [event for event in events if event.number > lines - TAIL and not _does_not_count(event)]
    telling = [event for event in near if not says_little(bare(event.lines[0]))]
    return _first((telling or near)[0])._replace(hint=SUSPECT) if near else None


def _does_not_count(event: LogEvent) -> bool:
    """Tell whether a line only warns, or make says below it that it goes on."""
    return any(
        NOTICE.match(bare(line)) for line in (event.lines[0], *(one for one in event.lines[1:3] if "(ignored)" in one))
    )


def is_summary(event: LogEvent) -> bool:
    """Tell whether a line only says that something above has failed."""
    return SUMMARY.search(bare(event.lines[0])) is not None


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
    block = itertools.takewhile(str.strip, event.lines[:24])
    lacks = LACKS.match(first) if any(map(DERIVES.search, block)) else None
    outside = outside or lacks
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
    text = readable(text.removeprefix("= note: "))
    return Found(LINK_FAILED, {"why": (text,)}, ((at, text),)) if text else None


def _first(event: LogEvent) -> Found:
    if is_empty(bare(event.lines[0])) and "".join(event.lines[1:2]).strip():
        event = event._replace(number=event.number + 1, lines=event.lines[1:])
    text = readable(bare(event.lines[0]).strip())
    crate = _foreign_crate(event) if CODE.match(text) else ""
    if crate:
        return Found(DEPENDENCY_BROKEN, {"crate": (crate,), "error": (text,)}, ((event.number, text),))
    at, text = exception_of(event) if TRACEBACK.match(text) else (event.number, text)
    number, why = reason_of(event, text)
    if why and (is_empty(text) or SUMMARY.match(text)):
        at, text, why = number, why, ""
    values = {"error": (text,)}
    lines: tuple[tuple[int, str], ...] = ((at, text),)
    if why:
        values["why"], lines = (why,), (*lines, (number, why))
    return Found(FIRST_ERROR, values, lines)


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
