"""What can be said of a failure whose cause no table has: the build script that failed and its own words, or the first
error line. Nothing for a mistake in one's own code: rustc has said it.

Knows the outer form of what cargo, build scripts and compilers print, nothing of causes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from doit_cargo.engine.hints.reading import bare
from doit_cargo.engine.hints.rules import Found, HintRule

RANK = 9
PANICKED = "panicked"
LONGEST = 300
SCRIPT = re.compile(
    r"failed to run custom build command for \W?(?P<crate>[\w-]+) v(?P<version>[\w.+-]+)(?: \((?P<place>[^)]*)\))?"
)
# A dependency's own code: cargo shows its whole path, that of a member relative to the workspace.
DEPENDENCY = re.compile(r"[/\\](?:registry[/\\]src|git[/\\]checkouts|[\w.-]*vendor[\w.-]*)[/\\]")
CODE = re.compile(r"error\[E\d{4}\]: ")
COMPILED = re.compile(r"could not compile \W?([\w-]+)")
LOCATION = re.compile(r"^\s*-->\s")
# cargo's and rustc's last words over errors that stand above, or in the output of a test.
SUMMARY = re.compile(
    r"(?:error: )?(?:could not compile|aborting due to|test failed|doctest failed|bench failed|\d+ targets? failed"
    r"|test result: |process didn.t exit successfully|build failed|command .{1,80} exited|recipe |test run failed)"
    r"|error: collect2: error|collect2: error|clang: error: linker command|error: linking with"
    r"|thread .{1,60} panicked at",
    re.IGNORECASE,
)
LINK = re.compile(r"linking with .{1,120} failed")
COMMAND = re.compile(r'(?:= note: )?(?:\w+=\S+ )*"')
LINKER = re.compile(
    r"(?:^|[\s/\\(])(?:(?:rust-)?l?ld(?:\.\w+)?|lld-link|mold|wild|link|clang\S*|gcc|cc|zig)(?:\.exe)?: |LNK\d{4}"
    r"|undefined "
)
# The end of what a build script has said.
END = re.compile(r"^(?:warning: build failed|error: |\s{0,4}(?:Compiling|Building|Finished|Checking) )")
# Lines of a build script's output that tell cargo something, or what is asked of a compiler.
TALK = re.compile(
    r"^(?:cargo:|[\w.-]+ = (?:Some|None)|running:?\s|note: |warning: |help: |stack backtrace|\s+\d+: |\s+at /"
    r"|--- std|-- |[A-Z_]+_[A-Za-z_0-9-]+ = |exit status: |OPT_LEVEL|TARGET|HOST|CC_|CFLAGS|\s*$)"
)
WHY = re.compile(
    r"(?:^|\W)(?:error(?:\[\w+\])?:? |fatal:? |fatal error|cannot |could not |couldn.t |can.t |unable to |failed to "
    r"|not found|no such file|undefined |unsupported |missing |is required|requires |must |invalid |denied|refused)",
    re.IGNORECASE,
)
PANIC = re.compile(r"panicked at (?:'(?P<old>.*?)'?(?:, \S+:\d+:\d+)?$|\S+:\d+:\d+:?$|(?P<rest>.*))")
PLACE = re.compile(r"\S+\.rs:\d+:\d+")
# Panics that only say that something above has failed.
HOLLOW = re.compile(
    r"explicit panic|build script failed|did not execute successfully|command .{0,40}failed"
    r"|^failed to (?:build|compile)\W?$|assertion failed|nvcc error while",
    re.IGNORECASE,
)


class LogEvent(NamedTuple):
    """A line that tells of a failure: its number, the lines before it, itself and the lines after it."""

    sign: str
    number: int
    before: tuple[str, ...]
    lines: tuple[str, ...]


def of(events: Sequence[LogEvent]) -> Found | None:
    """Return what the failure says of itself, or nothing where it is a mistake in one's own code or a failing test."""
    script = next((found for event in events if (found := SCRIPT.search(event.lines[0]))), None)
    if script:
        event = next(event for event in events if SCRIPT.search(event.lines[0]))
        return _script(script, event)
    if any(_is_own(event) for event in events):
        return None
    link = next((event for event in events if LINK.search(event.lines[0])), None)
    if link:
        return _link(link)
    failures = [event for event in events if event.sign != PANICKED and not SUMMARY.search(bare(event.lines[0]))]
    panics = [event for event in events if event.sign == PANICKED]
    return next((_first(event) for event in failures), None) or next(map(_panic, panics), None)


def _panic(event: LogEvent) -> Found | None:
    """Return what a program said before it asks for RUST_BACKTRACE, but for a panic in one's own code."""
    said = [bare(line).strip() for line in (*event.before[-12:], event.lines[0])]
    start = max((at for at, line in enumerate(said) if "panicked at" in line), default=-1)
    said = said[start:] if start >= 0 else said[:-1]
    place = PLACE.search("\n".join(said))
    text = next((message for _, message in _panics(said)), "") if start >= 0 else next(filter(None, reversed(said)), "")
    if not text or (place and not DEPENDENCY.search(place[0])):
        return None
    return Found(FIRST_ERROR, {"error": (text[:LONGEST],)}, ((event.number, text[:LONGEST]),))


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
    number, why = _why(event)
    crate = f"{found['crate']} v{found['version']}"
    values = {"crate": (crate,), "name": (found["crate"],)}
    lines: tuple[tuple[int, str], ...] = ((event.number, bare(event.lines[0]).strip()[:LONGEST]),)
    if why:
        values["why"], lines = (why,), (*lines, (number, why))
    return Found(BUILD_SCRIPT, values, lines)


def _why(event: LogEvent) -> tuple[int, str]:
    """Return the line of a build script's output that says why it failed: where, and what; 0 and "" for none."""
    said = list(_said(event))
    errors = [bare(line).strip() for _, line in said]
    start = next((at for at, text in enumerate(errors) if text.startswith("--- stderr")), -1)
    panic = next(((at, text) for at, text in _panics(errors) if not HOLLOW.search(text)), None)
    ours = [at for at, text in enumerate(errors) if not TALK.match(text) and "panicked at" not in text]
    plain = [at for at in ours if at > start]
    telling = [at for at in plain if WHY.search(errors[at])]
    if panic and (not telling or panic[0] <= telling[0] or "Err` value" not in panic[1]):
        return said[panic[0]][0], panic[1][:LONGEST]
    at = next(iter(telling or plain), None)
    return (said[at][0], errors[at][:LONGEST]) if at is not None else (0, "")


def _said(event: LogEvent) -> Iterator[tuple[int, str]]:
    """Yield (number, line) of what cargo shows of the script, to its end."""
    for number, line in enumerate(event.lines[1:], event.number + 1):
        if END.match(bare(line)):
            return
        yield number, line


def _panics(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield where each panic's message stands, and the message: behind the place, since Rust 1.73 below it."""
    for at, line in enumerate(lines):
        found = PANIC.search(line)
        if found and (found["old"] or found["rest"]):
            yield at, (found["old"] or found["rest"])
        elif found:
            below = next((other for other in range(at + 1, len(lines)) if lines[other]), None)
            if below is not None:
                yield below, lines[below]


def _link(event: LogEvent) -> Found | None:
    """Return the linker's first own words: cargo shows its whole command before them."""
    said = ((at, bare(line).strip()) for at, line in enumerate(event.lines[1:200], event.number + 1))
    at, text = next(((at, text) for at, text in said if LINKER.search(text) and not COMMAND.match(text)), (0, ""))
    text = text.removeprefix("= note: ")
    return Found(LINK_FAILED, {"why": (text[:LONGEST],)}, ((at, text[:LONGEST]),)) if text else None


def _first(event: LogEvent) -> Found:
    text = bare(event.lines[0]).strip()[:LONGEST]
    crate = _foreign_crate(event) if CODE.match(text) else ""
    if crate:
        return Found(DEPENDENCY_BROKEN, {"crate": (crate,), "error": (text,)}, ((event.number, text),))
    values = {"error": (text,)}
    lines: tuple[tuple[int, str], ...] = ((event.number, text),)
    chain = [at for at, line in enumerate(event.lines[:40]) if bare(line).strip() == "Caused by:"]
    if chain and chain[-1] + 1 < len(event.lines):
        at = chain[-1] + 1
        values["why"] = (re.sub(r"^\d+: ", "", bare(event.lines[at]).strip())[:LONGEST],)
        lines = (*lines, (event.number + at, values["why"][0]))
    return Found(FIRST_ERROR, values, lines)


def last_words(text: str) -> Found | None:
    """Return the last line of a log that tells nothing else."""
    said = [line for line in (bare(one).strip() for one in text.splitlines()) if line and not line.startswith("#")]
    return Found(LAST_WORDS, {"error": (said[-1][:LONGEST],)}, ()) if said else None


def _rule(name: str, cause: str, fix: str, rank: int = RANK) -> HintRule:
    return HintRule(name, name, rank, (), (), (), 0, (), False, cause, {"any": fix})


BUILD_SCRIPT = _rule(
    "build-script-failed",
    "The build script of {crate} failed. It says: {why|nothing}",
    "mend what it says; `cargo tree -i {name}` shows who pulls it in",
)
DEPENDENCY_BROKEN = _rule(
    "crate-broken-by-new-rustc",
    "The code of a dependency, {crate}, does not compile here, not yours: {error}",
    "cargo update -p NAME (of the crate), or the toolchain that the lock was made for; what its build script found "
    "missing may be the cause too",
    6,
)
LINK_FAILED = _rule(
    "link-failed", "The link failed. The linker says: {why}", "mend what it says; the lines after it tell more"
)
LAST_WORDS = _rule("last-words", "Nothing known. The last it said: {error}", "its output has more")
FIRST_ERROR = _rule(
    "first-error", "The first error is: {error}{why|}", "mend what it says; the lines after it tell more"
)
