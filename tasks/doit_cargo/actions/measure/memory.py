"""How much memory a program needs: heaptrack, valgrind's massif or GNU time, whichever is there.

Knows the three command lines and how each tells its peak.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doit_cargo.actions import log_path
from doit_cargo.actions.measure import programs
from doit_cargo.engine.base.files import read_text
from doit_cargo.engine.base.tables import size_of
from doit_cargo.engine.console import reporter
from doit_cargo.engine.toolchain import version_cache

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

SECONDS = 120.0  # valgrind makes a program some twenty times slower
UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True, slots=True)
class MemoryTool:
    """A tool that runs a program: its name for PROFILER, its program, its arguments, and how its peak is read."""

    name: str
    tool: str
    argv: Callable[[str], tuple[str, ...]]
    peak: Callable[[Session, str, str], str]
    look: str


def _heaptrack_peak(session: Session, file: str, _: str) -> str:
    """Return what heaptrack_print calls the peak. Heaptrack adds the ending of its compression."""
    found = sorted(glob.glob(glob.escape(file) + ".*"))
    said = version_cache.ask(["heaptrack_print", found[-1]], session.environ) if found else ""
    match = re.search(r"peak heap memory consumption: ([\d.]+)([KMG]?)", said)
    peak = int(float(match[1]) * UNITS[match[2]]) if match else 0  # 0 is what it reads where the end was not written
    return f"peak of the heap {size_of(peak)}" if peak else ""


def massif_peak(text: str) -> int:
    """Return the largest heap of a massif file, in bytes, what the allocator adds counted in; 0 for none."""
    heaps = map(int, re.findall(r"^mem_heap_B=(\d+)", text, re.MULTILINE))
    extras = map(int, re.findall(r"^mem_heap_extra_B=(\d+)", text, re.MULTILINE))
    return max((heap + extra for heap, extra in zip(heaps, extras, strict=False)), default=0)


def _massif(_: Session, file: str, __: str) -> str:
    peak = massif_peak(read_text(file))
    return f"peak of the heap {size_of(peak)}" if peak else ""


def _resident(_: Session, __: str, log: str) -> str:
    match = re.search(r"Maximum resident set size \(kbytes\): (\d+)", log)
    return f"peak of the resident memory {size_of(int(match[1]) * 1024)}" if match else ""


TOOLS = {
    tool.name: tool
    for tool in (
        MemoryTool(
            "heaptrack",
            "heaptrack",
            lambda file: ("heaptrack", "-o", file),
            _heaptrack_peak,
            "heaptrack --analyze {file}.*",
        ),
        MemoryTool(
            "massif",
            "valgrind",
            lambda file: ("valgrind", "--tool=massif", f"--massif-out-file={file}"),
            _massif,
            "ms_print {file}",
        ),
        MemoryTool("time", "gnu-time", lambda _: ("time", "-v"), _resident, "the log"),
    )
}


def check(session: Session, values: Values) -> None:
    """Raise `UserError` for variables that do not fit, and where nothing says what the program shall do."""
    programs.check(session, values, tuple(TOOLS))


def profile_memory(session: Session, values: Values) -> bool:
    """Run the program under a memory profiler and tell its peak."""
    tools = {name: tool.tool for name, tool in TOOLS.items()}
    tool = TOOLS[programs.choose(session, values, tools, "a memory profiler")]
    program = programs.build(session, values)
    file = programs.empty_file(session, f"{tool.name}.out")
    outcome = programs.watch(session, values, tool.name, tool.argv(file), program, SECONDS)
    log = log_path(session, session.current)
    peak = tool.peak(session, file, read_text(log))
    place = reporter.relative(log, session.root)
    if not peak or (outcome.status and not outcome.expired):
        lacks = "" if peak else " and tells no peak"
        reporter.failed(session.current, f"{tool.name} ended with status {outcome.status}{lacks}; log: {place}")
        return False
    look = tool.look.format(file=reporter.relative(file, session.root))
    reporter.done(session.current, f"{outcome.seconds:.1f} s: {peak}; look: {look}; log: {place}")
    return True
