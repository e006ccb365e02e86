"""What is known of a run that did not end well: its cause, its log, what mends it, the line that does it again.

Reads the record of runs and logs; what a log shows, the hints know.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.plain_text import one_line
from doit_cargo.engine.base.secrets import shown_digest
from doit_cargo.engine.state import journal

if TYPE_CHECKING:
    from doit_cargo.engine.state.journal import End
    from doit_cargo.session import Session

ERROR = re.compile(r"^(?:error(?:\[\w+\])?: .*|.*: error: .*|thread '.*' panicked at .*|Diff in .*|test .* FAILED)$")
LARGEST_LOG = 50_000_000  # bytes: of more only a hint by name would be read


class Explained(NamedTuple):
    """A failure in words: `cause` and `fix` are empty where nothing is known."""

    end: End
    cause: str
    fix: str

    def lines(self) -> Iterator[str]:
        """Yield what is told of it, one aligned line a fact."""
        pairs = (("cause", self.cause), ("fix", self.fix), ("log", self.end.log), ("again", self.end.command))
        yield from (f"   {name:6} {one_line(text)}" for name, text in pairs if text)


def explained(session: Session, end: End) -> Explained:
    """Return what is known: what was told then, else what the log shows, if that is still the log of this run."""
    if end.cause:
        return Explained(end, end.cause, end.fix)
    path = os.path.join(session.root, end.log)
    if not end.log or not os.path.isfile(path) or os.path.getsize(path) > LARGEST_LOG:
        return Explained(end, "", "")
    if os.path.getmtime(path) > end.time + 1:
        return Explained(end._replace(log=""), "", "")
    return Explained(end, *_of_log(session, path))


def _of_log(session: Session, path: str) -> tuple[str, str]:
    from doit_cargo.engine import hints

    try:
        workspace = session.workspace
    except UserError:
        workspace = None
    with open(path, "rb") as stream:
        found = hints.read(stream, hints.load(workspace)[0])
    return (found[0].cause, found[0].fix) if found else (_first_error(path), "")


def _first_error(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return next((line.strip() for line in stream if ERROR.match(line.strip())), "")


def last(session: Session) -> End | None:
    """Return the latest run on record if it did not end well and nothing has mended it since."""
    found = journal.failures(session.state)
    return found[-1] if found else None


def of_target(session: Session, name: str) -> End | None:
    """Return the failure of a target as it is called now, if its last run did not end well."""
    words = session.key(name)
    return next((end for end in journal.failures(session.state) if end.words == words), None)


def can_be_repeated(end: End) -> bool:
    """Tell whether the words on record are those that were typed: what may be secret is not kept."""
    values = [word.partition("=")[2] for word in end.words[1:]]
    return all(shown_digest(value) == value for value in values)
