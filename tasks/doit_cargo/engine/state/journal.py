"""How runs of targets ended, failures too, and which were skipped: what has happened here, within a budget.

Ends are lines of sealed JSON in one file; skips are short plain lines in another, since a call with nothing to do
writes them (`receipts.note_skip`) and nothing is decided by them. A file that grew too large is replaced by its newer
half; a line that cannot be read is passed over. Nothing that goes wrong here ever fails a run.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from doit_cargo.engine.base import atomic, own_key, private
from doit_cargo.engine.base.errors import Problem
from doit_cargo.engine.base.plain_text import without_passwords
from doit_cargo.engine.state import receipts, store

FILE = "journal.jsonl"
LARGEST = 400_000  # bytes: some fifteen hundred ends
DONE, FAILED, COULD_NOT_RUN, INTERRUPTED = "done", "failed", "could not run", "interrupted"
# Of a failure: nobody means to repeat it; the tests that failed pass now, the others have not run since.
DISMISSED, MENDED = "dismissed", "mended"
CLOCK_TICK = 0.02  # seconds by which a file system's clock may be behind
BAD = (FAILED, COULD_NOT_RUN, INTERRUPTED)

Line = TypeVar("Line")


class End(NamedTuple):
    """How one run of a target ended. `words` are the target and the variables that can change its result.

    `log` is relative to the workspace, "" where none was written; `cause` is what is known of a failure, `fix` what
    mends it. `time` is the Unix time of the end. `narrowed` are the words that run nothing but the tests that failed.
    """

    target: str
    end: str
    time: float
    seconds: float
    words: tuple[str, ...] = ()
    log: str = ""
    cause: str = ""
    fix: str = ""
    narrowed: tuple[str, ...] = ()

    @property
    def is_bad(self) -> bool:
        return self.end in BAD

    @property
    def is_refused(self) -> bool:
        """Tell whether nothing was begun: what the target needs was not there, or nobody agreed."""
        return self.end == COULD_NOT_RUN

    @property
    def again(self) -> tuple[str, ...]:
        """The words that do again what did not end well."""
        return self.narrowed or self.words

    @property
    def command(self) -> str:
        """The line that does it again."""
        return _line(self.again)

    @property
    def whole(self) -> str:
        """The line that did it, all tests included."""
        return _line(self.words)

    @property
    def asking(self) -> str:
        """The line that tells why."""
        return _line(("why", *self.words))


def _line(words: Iterable[str]) -> str:
    import shlex

    return shlex.join(("doit-cargo", *words))


class Skip(NamedTuple):
    """A target that was up to date; `seconds` is what its last success took, and the skip saved."""

    target: str
    time: float
    seconds: float


def append(state: str, end: End) -> None:
    """Add the end of a run; a state that cannot be written remembers nothing."""
    with contextlib.suppress(OSError, ValueError):
        add(os.path.join(state, FILE), end._asdict(), LARGEST)


def add(path: str, entry: dict[str, Any], largest: int) -> None:
    """Add a line of sealed JSON to a file of the state; of one that grew too large the older half goes. Raises OSError.

    A last line that was cut short is ended, so that it takes no other line with it.
    """
    store.prepare(os.path.dirname(path))
    line = json.dumps(own_key.sealed(entry), separators=(",", ":")) + "\n"
    with open(path, "a+b", buffering=0, opener=private.opener) as stream:
        is_cut = stream.seek(0, os.SEEK_END) and stream.seek(-1, os.SEEK_END) >= 0 and stream.read(1) != b"\n"
        stream.write((b"\n" if is_cut else b"") + line.encode())
    halve(path, largest)


def read(path: str, fields: Collection[str], made: Callable[[dict[str, Any]], Line]) -> Iterator[Line]:
    """Yield what is made of the lines of a file, of those keys that are fields; what cannot be read is passed over."""
    for line in _lines(path):
        try:
            entry = own_key.unsealed(json.loads(line)) or {}
            yield made({name: value for name, value in entry.items() if name in fields})
        except (ValueError, TypeError, AttributeError):
            continue


def remember(
    state: str,
    root: str,
    end: str,
    started: float,
    words: tuple[str, ...],
    problem: Problem | None = None,
    narrowed: tuple[str, ...] = (),
) -> None:
    """Add the end of a run that began at `started` and ends now, with the log that it has written and its problem."""
    now = time.time()
    told = {"cause": without_passwords(problem.what), "fix": without_passwords(problem.fix)} if problem else {}
    log = _log_since(state, root, words[0], started)
    append(state, End(words[0], end, round(now, 1), round(now - started, 2), words, log, **told, narrowed=narrowed))


def _log_since(state: str, root: str, name: str, moment: float) -> str:
    """Return the log that a target has written since then, relative to the root, "" for none."""
    for folder in (".logs", ".testlogs", os.path.join(state, "logs")):
        path = os.path.join(root, folder, f"{name.replace('_', '-')}.log")
        with contextlib.suppress(OSError):
            if os.path.getmtime(path) >= moment - CLOCK_TICK:
                return os.path.relpath(path, root)
    return ""


def halve(path: str, largest: int) -> None:
    """Let go of the older half of a file of lines that grew too large. Raises OSError."""
    if os.path.getsize(path) > largest:
        with open(path, encoding="utf-8", errors="replace") as stream:
            lines = stream.readlines()
        atomic.write(path, "".join(lines[len(lines) // 2 :]), closed=True)


def ends(state: str) -> list[End]:
    """Return the ends on record, oldest first."""
    return list(read(os.path.join(state, FILE), End._fields, _end))


def _end(entry: dict[str, Any]) -> End:
    found = End(**entry)
    return found._replace(
        time=float(found.time),
        seconds=float(found.seconds),
        words=tuple(found.words),
        narrowed=tuple(found.narrowed),
    )


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.readlines()
    except OSError:
        return []


def skips(state: str) -> list[Skip]:
    """Return the skips on record, oldest first; and keep the file small, which their writer has no time for."""
    path = os.path.join(state, receipts.SKIPS)
    found = []
    for line in _lines(path):
        words = line.split()
        with contextlib.suppress(ValueError):
            if len(words) == 3:
                found.append(Skip(words[1], float(words[0]), float(words[2])))
    with contextlib.suppress(OSError):
        halve(path, receipts.MOST_SKIPS)
    return found


def last_of_each(found: Iterable[End]) -> dict[tuple[str, ...], End]:
    """Return the latest end of each call, those that ended last at the end.

    A call of nothing but what another one failed in tells how that one stands: mended, it is no failure any more.
    """
    latest: dict[tuple[str, ...], End] = {}
    for end in found:
        failed = next((one for one in latest.values() if one.is_bad and one.narrowed == end.words), None)
        latest.pop(failed.words if failed else end.words, None)
        latest[failed.words if failed else end.words] = _of_part(failed, end) if failed else end
    return latest


def _of_part(failed: End, end: End) -> End:
    """Return how a failure stands after a call of nothing but what failed in it."""
    if end.is_bad:
        return end._replace(words=failed.words, narrowed=end.narrowed or failed.narrowed)
    return end._replace(words=failed.words, end=MENDED)


def failures(state: str) -> list[End]:
    """Return the calls whose last run did not end well, in the order in which they ended."""
    return [end for end in last_of_each(ends(state)).values() if end.is_bad]


def summed(found: Collection[End]) -> str:
    """Return how many of them ended how, such as `2 failed, 1 could not run`."""
    counts = {end: sum(one.end == end for one in found) for end in BAD}
    return ", ".join(f"{count} {end}" for end, count in counts.items() if count)


def since(latest: Mapping[tuple[str, ...], End], key: Iterable[str]) -> str:
    """Return how a target stands whose last success no longer counts; a failure that was dismissed is none."""
    end = latest.get(tuple(key))
    return f"{end.end} since" if end and end.is_bad else "stale"


def dismiss(state: str, found: Iterable[End]) -> None:
    """Let failures be: nobody means to repeat them."""
    for end in found:
        append(state, end._replace(end=DISMISSED, seconds=0.0))


def ago(moment: float) -> str:
    """Return how long ago something was, as people say it."""
    passed = max(0.0, time.time() - moment)
    if passed < 60:
        return "just now"
    if passed < 5400:
        return f"{round(passed / 60)} min ago"
    return f"{round(passed / 3600)} h ago" if passed < 129_600 else f"{round(passed / 86_400)} days ago"


def took(seconds: float) -> str:
    """Return a time as people say it.

    >>> took(0.42), took(38.4), took(245)
    ('0.4 s', '38 s', '4 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
