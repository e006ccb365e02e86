"""What a killed doit-cargo leaves running, ended; as a program: the guard that waits beside one for its death.

All that a run starts carries a random mark in its environment. Only what has the mark, in the session of the run, is
ever ended: no other program can be hit, however numbers are used again. Linux alone tells environments (/proc).

As a program it loads none of our other modules: it must be there in a few milliseconds.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # without its enumerations
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "DOIT_CARGO_RUN"
SECONDS_TO_END = 1.0
BEGIN, END = b"+", b"-"


def stat_of(pid: int | str) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on: state, parent, group, session ...; empty if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return stream.read().decode("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []


def ancestors(pid: int) -> Iterator[int]:
    """Yield the processes that started a process, nearest first."""
    while (fields := stat_of(pid)) and (pid := int(fields[1])):
        yield pid


def name_of(pid: int) -> str:
    """Return the short name of a process."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return "ended"


def left(mark: str, session: int) -> list[int]:
    """Return the live processes of a run."""
    entry = f"{MARK}={mark}".encode()
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    return [number for number in numbers if _belongs(number, entry, session)]


def _belongs(pid: int, entry: bytes, session: int) -> bool:
    fields = stat_of(pid)
    if not fields or fields[0] in "ZX" or int(fields[3]) != session:
        return False
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            return entry in stream.read().split(b"\0")
    except OSError:
        return False


def end(mark: str, session: int) -> list[str]:
    """End what is left of a run: asked first, killed a second later. Return what it was, as "name (process 7)"."""
    told: dict[int, str] = {}
    deadline = time.monotonic() + SECONDS_TO_END
    while (pids := left(mark, session)) and time.monotonic() < deadline:
        new = [pid for pid in pids if pid not in told]
        told.update((pid, f"{name_of(pid)} (process {pid})") for pid in new)
        _send(new, signal.SIGTERM)
        _send(new, signal.SIGCONT)  # one that is stopped would not hear it
        time.sleep(0.02)
    while pids := left(mark, session):
        _send(pids, signal.SIGKILL)
        time.sleep(0.01)
    return list(told.values())


def _send(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue  # it has ended meanwhile


def main() -> None:
    """Wait for the end of standard input, which the guarded process holds open; then end what it was running."""
    mark, session = sys.argv[1:]
    said = b""
    while more := os.read(0, 4096):
        said += more
    if said.count(BEGIN) > said.count(END):
        end(mark, int(session))
