"""What a failing tool says, as its log shows it: the output of a build script, a panic, a traceback, quoted lines.

Knows the outer form of what tools print, nothing of causes and nothing of what is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from doit_cargo.engine.hints.reading import bare

LONGEST = 300
SCRIPT = re.compile(
    r"failed to run custom build command for \W?(?P<crate>[\w-]+) v(?P<version>[\w.+-]+)(?: \((?P<place>[^)]*)\))?"
)
CAUSED = re.compile(r"\s*(?:info: |error: )?caused by:\s*", re.IGNORECASE)
TRACEBACK = re.compile(r"Traceback \(most recent call last\)")
EXCEPTION = re.compile(r"(?!File )(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:: |$)")
LED = re.compile(r"direct cause of the following|another exception occurred")
CHAIN = 40  # lines in which a chain of causes is looked for
FEW = 100  # lines in which a compiler's complaint is
HANDED_ON = re.compile(r"(?:cargo:{1,2}warning=|warning: [\w-]+@\d[^:]*: )(.*)")
COMPLAINT = re.compile(r"\berror\b|fatal|unimplemented|undefined|not found", re.IGNORECASE)
RUNS = re.compile(r"(?:running command|running|executing|exec|run)[:\s\x22]{1,3}(\S.*)", re.IGNORECASE)
NOT_THERE = re.compile(r"os error 2\b|no such file|code: 2, kind: NotFound|program not found", re.IGNORECASE)
# The end of what a build script has said.
END = re.compile(r"^(?:warning: build failed|error: |\s{0,4}(?:(?:Compiling|Checking) \S+ v\d|Finished |Building \[))")
CLOSES = re.compile(r"error: |warning: build failed|Finished ")
# Lines of a build script's output that tell cargo something, or what is asked of a compiler.
TALK = re.compile(
    r"^(?:cargo:|[\w.-]+ = (?:Some|None)|running:?\s|note: |warning: |help: |stack backtrace|\s+\d+: |\s+at /"
    r"|--- std|Caused by:|process didn.t exit successfully"
    r"|-- |[A-Z_]+_[A-Za-z_0-9-]+ = |exit status: |OPT_LEVEL|TARGET|HOST|CC_|CFLAGS|\s*$)"
)
WHY = re.compile(
    r"(?:^|\W)(?:error(?:\[\w+\])?:? |fatal:? |fatal error|cannot |could not |couldn.t |can.t |unable to |failed to "
    r"|not found|no such |undefined |unsupported |missing |is required|requires |must |invalid\b|denied|refused"
    r"|will not fit|overflowed|too (?:large|big|long|many|old|new)\b|mismatch|incompatible|out of (?:memory|range)"
    r"|(?:is|are|was) not (?:available|supported|allowed|permitted|defined|installed|compatible)"
    r"|timed out|exceed|expired|\bplease (?:set|install|provide|specify|define)\b|provide an? "
    r"|\*\*\* [^\[])",
    re.IGNORECASE,
)
PANIC = re.compile(r"panicked at (?:'(?P<old>.*?)'?(?:, \S+:\d+:\d+)?$|\S+:\d+:\d+:?$|(?P<rest>.*))")
# Panics that only say that something above has failed.
HOLLOW = re.compile(
    r"explicit panic|build script failed|did not execute successfully|command .{0,40}failed(?! with error: \S)"
    r"|^failed to (?:build|compile)\W?$|assertion failed|nvcc error while|^build failed$"
    r"|errors? encountered\b|exited with an error:|aborting\.$|\b\d+ unresolved externals|recipe for target|\*\*\* \["
    r"|^\W*maturin failed|\bld returned \d+ exit status|\bfailed to run \W?[/\w][^\s`'\x22]*\W*$",
    re.IGNORECASE,
)

# cargo's and rustc's last words over errors that stand above, or in the output of a test.
SUMMARY = re.compile(
    r"(?:error: )?(?:could not compile|aborting due to|test failed|doctest failed|bench failed|\d+ targets? failed"
    r"|test result: |process didn.t exit successfully|build failed|command .{1,80} exited|recipe |test run failed)"
    r"|error: collect2: error|collect2: error|clang: error: linker command|error: linking with"
    r"|thread .{1,60} panicked at|error: (?:process|command) .{1,200}(?:failed|exit)"
    r"|fatal: not a git repository"
    r"|(?:=> )?ERROR \[[^\]]*\] (?:RUN|COPY|ADD|FROM)\b"
    r"|error: failed to (?:build|solve)|\S{1,20}ERROR: process|error: subprocess-exited|error: \d+ dependenc"
    r"|make(?:\[\d+\])?: \*\*\* .{0,300}Error \d+|error: script .{1,60} exited|\W{0,8}error beforeBuildCommand",
    re.IGNORECASE,
)
PROGRAM = re.compile(r"^(?:= note: )?(?:/\S+/|[A-Za-z]:\\\S+\\)(?=[\w.+-]{1,40}: )")  # the folders of who says it
PANICKED = "panicked"  # the sign of a line that tells of a panic


class LogEvent(NamedTuple):
    """A line that tells of a failure: its number, the lines before it, itself and the lines after it."""

    sign: str
    number: int
    before: tuple[str, ...]
    lines: tuple[str, ...]


def readable(text: str) -> str:
    """Return a line as it is told: a program without its folders, and not without end."""
    return PROGRAM.sub("", text)[:LONGEST]


def end_of_script(event: LogEvent) -> int:
    """Return the last line of what cargo shows of a build script; other jobs may speak in between."""
    after = (at for at, line in enumerate(event.lines[1:], 1) if CLOSES.match(bare(line)))
    return event.number + next(after, len(event.lines)) - 1


def why_of_script(event: LogEvent) -> tuple[int, str]:
    """Return the line of a build script's output that says why it failed: where, and what; 0 and "" for none."""
    said = list(_said(event))
    errors = [bare(line).strip() for _, line in said]
    start = next((at for at, text in enumerate(errors) if text.startswith("--- stderr")), -1)
    panic = next(((at, text) for at, text in panics(errors) if not HOLLOW.search(text)), None)
    if panic and NOT_THERE.search(panic[1]):
        panic = panic[0], panic[1] + _after(errors[: panic[0]])
    ours = [at for at, text in enumerate(errors) if not TALK.match(text) and "panicked at" not in text]
    plain = [at for at in ours if at > start]
    telling = [at for at in plain if WHY.search(errors[at])]
    above = max((at for at in plain if panic and at < panic[0]), default=-1)
    demanded = panic and above in telling and not WHY.search(panic[1])
    if panic and not demanded and (not telling or panic[0] <= telling[0] or "Err` value" not in panic[1]):
        return said[panic[0]][0], panic[1][:LONGEST]
    at = above if demanded else next(iter(telling or plain), None)
    if at is None or HOLLOW.search(errors[at]):
        compiler = _compiler(event)
        if compiler:
            return compiler
    if at is None:
        return 0, ""
    return said[at][0], (errors[at] + _deeper(errors[at + 1 : at + CHAIN]))[:LONGEST]


def _deeper(lines: Sequence[str]) -> str:
    """Return the last cause of the chain that follows an error in a build script's output, in brackets, or nothing."""
    start = next((at for at, line in enumerate(lines[:3]) if CAUSED.match(line)), None)
    if start is None:
        return ""
    chain = [line for line in lines[start:] if re.match(r"\d+: ", line)] or [
        line for line in lines[start + 1 :] if line
    ]
    return f" ({re.sub(r'^[0-9]+: ', '', chain[-1])})" if chain else ""


def _after(lines: Sequence[str]) -> str:
    """Return what a build script says that it runs, before it says that something is not there."""
    runs = [found[1] for line in lines if (found := RUNS.match(line))]
    return f" (after: {runs[-1][:80]})" if runs else ""


def _compiler(event: LogEvent) -> tuple[int, str] | None:
    """Return the first complaint of a C compiler, which cargo hands on as a warning of the crate."""
    lines = (*event.before[-FEW:], *event.lines[:FEW])
    start = event.number - len(event.before[-FEW:])
    told = ((start + at, HANDED_ON.match(bare(line).strip())) for at, line in enumerate(lines))
    return next(((at, found[1][:LONGEST]) for at, found in told if found and COMPLAINT.search(found[1])), None)


def _said(event: LogEvent) -> Iterator[tuple[int, str]]:
    """Yield (number, line) of what cargo shows of the script, to its end."""
    for number, line in enumerate(event.lines[1:], event.number + 1):
        if END.match(bare(line)):
            return
        yield number, line


def panics(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield where each panic's message stands, and the message: behind the place, since Rust 1.73 below it."""
    for at, line in enumerate(lines):
        found = PANIC.search(line)
        if found and (found["old"] or found["rest"]):
            yield at, (found["old"] or found["rest"])
        elif found:
            below = next((other for other in range(at + 1, len(lines)) if lines[other]), None)
            if below is not None:
                yield below, lines[below]


def exception_of(event: LogEvent) -> tuple[int, str]:
    """Return the exception that a Python traceback ends with; of several that led to each other, the last."""
    shown = [bare(line).strip() for line in event.lines]
    starts = [at for at, line in enumerate(shown) if at == 0 or (TRACEBACK.match(line) and LED.search(shown[at - 2]))]
    for start in reversed(starts):
        at = next((at for at in range(start + 1, len(shown)) if EXCEPTION.match(shown[at])), 0)
        if at:
            return event.number + at, shown[at][:LONGEST]
    return event.number, shown[0]


def quoted_reason(shown: Sequence[str]) -> int:
    """Return where the last lines of a builder's log say why it failed, as nix quotes them; 0 for nowhere."""
    end = next((at for at, line in enumerate(shown) if line.startswith("For full logs")), 0)
    quoted = [at for at in range(2, end) if shown[at]]
    return next((at for at in quoted if WHY.search(shown[at])), quoted[-1] if quoted else 0)
