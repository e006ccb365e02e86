"""The first screen: this workspace by its own names, what one does here all day and how it stands, what to type next.

At most twenty lines of a terminal. What stands where is read from receipts and from the record of runs; nothing is
built, asked or looked for to show it.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from doit_cargo import makefile
from doit_cargo.engine.base.plain_text import one_line
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.console import reporter, screen
from doit_cargo.engine.execution import causes
from doit_cargo.engine.state import journal
from doit_cargo.engine.state.receipts import key_of

if TYPE_CHECKING:
    from doit_cargo.engine.state.change import Change
    from doit_cargo.engine.state.journal import End
    from doit_cargo.session import Session
    from doit_cargo.targets.listing import Row

# What one does all day, in this order; the last that are here make room for those before them.
DAILY = ("dev", "build", "run_server", "check", "test", "lint", "fmt", "ci", "doc", "clean")
MOST = 8
FRESH, STALE, NEVER, EACH_TIME = "fresh", "stale: ", "never run", "runs each time"
SHORTEST_DOC = 12


def help(session: Session, _: Any) -> bool:  # noqa: A001 - the name of the target
    """Print the screen."""
    room = screen.width(fallback=80)
    for line in _lines(session, room - 1):
        print(line)
    return True


def _lines(session: Session, room: int) -> Iterator[str]:
    workspace = session.workspace
    names = sorted(workspace.packages)
    versions = sorted({package.version for package in workspace.packages.values()})
    one_version = f" {versions[0]}" if len(versions) == 1 else ""
    own = next((one.name for one in workspace.packages.values() if one.manifest == workspace.manifest), "")
    name = own or os.path.basename(workspace.root)
    title = f"{one_line(name)}{one_version}: {counted(len(names), 'package')}"
    yield f"{screen.bold(title)}  {screen.dim(screen.cut(', '.join(names), max(room - len(title) - 2, 10)))}"
    yield ""
    yield from _daily(session, room)
    yield ""
    yield from _failed(session, room)
    yield from _more(session, room)


def _daily(session: Session, room: int) -> Iterator[str]:
    """Yield a line for each of the things that one does here: its name, what it is, how it stands."""
    here = {row["name"]: row for row in session.listing if row["available"] and row["listed"]}
    rows = [here[name] for name in DAILY if name in here][:MOST]
    ends = journal.last_of_each(journal.ends(session.state))
    states = {row["name"]: _state(session, row, ends) for row in rows}
    names = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        state = screen.cut(states[row["name"]], max(room - names - SHORTEST_DOC - 6, 10))
        left = room - names - len(state) - 6
        doc = screen.cut(_brief(row["doc"]), left)
        yield f"  {screen.bold(row['name'])}{' ' * (names - len(row['name']))}  {doc:{left}}  {_coloured(state)}"


def _brief(doc: str) -> str:
    """Return what a text begins with.

    >>> _brief("Build rg in release mode, as the workspace configures it.")
    'Build rg in release mode'
    """
    return re.split(r"[,:;]| whose | where ", doc.rstrip("."))[0]


def _coloured(state: str) -> str:
    if state == FRESH:
        return screen.good(state)
    if state.startswith(STALE):
        return screen.notable(state)
    return screen.bad(state) if _is_bad(state) else screen.dim(state)


def _is_bad(state: str) -> bool:
    """Tell whether a run did not end well, of the target itself or, with its name, of a part."""
    _, _, after_name = state.partition(" ")
    return state.startswith(journal.BAD) or (not state.startswith(STALE) and after_name.startswith(journal.BAD))


def _state(session: Session, row: Row, ends: dict[tuple[str, ...], End]) -> str:
    """Return how a target stands; a group as the worst of its parts."""
    if row["kind"] == "group":
        return _of_parts({part: _state(session, session.row(part), ends) for part in row["after"]})
    last = ends.get(key_of(row["name"], {}))
    if last and last.is_bad:
        return f"{last.end} {journal.ago(last.time)}"
    if row["kind"] != "cargo" and not row["watch"]:
        return EACH_TIME
    receipt, changes = session.verdict(row["name"])
    if receipt is None:
        return _without_result(last)
    return f"{STALE}{_cause(causes.with_makers(changes, receipt)[0], session.root)}" if changes else FRESH


def _without_result(last: End | None) -> str:
    """Return how a target stands that has run, but of which no result counts."""
    if last is None:
        return NEVER
    if last.end == journal.MENDED:
        return f"{STALE}what failed passes now"
    return f"{last.end} {journal.ago(last.time)}" if last.end == journal.DONE else f"{STALE}has failed"


def _of_parts(states: dict[str, str]) -> str:
    """Return how a group stands: as the part that stands worst; it did not fail itself, nor need it ever have run."""
    worst = {part: state for part, state in states.items() if not state.startswith((FRESH, EACH_TIME))}
    for part, state in worst.items():
        if _is_bad(state):
            return f"{part} {state}" if state.startswith(journal.BAD) else state
    if not worst or all(state.startswith(NEVER) for state in states.values()):
        return NEVER if worst else FRESH
    return "{1} ({0})".format(*next(iter(worst.items())))


def _cause(change: Change, root: str) -> str:
    """Return what changed first, as short as it can be told."""
    if change.kind == "run":
        return f"{change.subject} {change.new}"
    place = reporter.relative(change.subject, root)
    return place if change.kind in ("file", "listing", "output", "artefact") else f"{change.kind} {place}"


def _failed(session: Session, room: int) -> Iterator[str]:
    failures = journal.failures(session.state)
    if failures:
        again = f"  doit-cargo rerun does it again; {failures[-1].asking} tells why"
        for kind in journal.BAD:
            if names := ", ".join(" ".join(end.words) for end in reversed(failures) if end.end == kind):
                head = "failed last" if kind == journal.FAILED else kind  # what could not run is no failure
                yield f"{screen.bad(head)}: {screen.cut(names, room - len(head) - 2)}"
        yield from screen.wrapped(again, room, "  ")


def _more(session: Session, room: int) -> Iterator[str]:
    """Yield what to type for more, with names from here."""
    tests = [row["name"] for row in session.listing if row["rule"] == "test_<package>"]
    name = min(tests, key=len, default="")
    pairs = [
        (f"doit-cargo {name or 'test'}", "one package; also build_, dev_" if name else ""),
        ("doit-cargo list [FAMILY]", ""),
        ("doit-cargo why dev", "why it is stale, what it rebuilds"),
        ("doit-cargo help WORD", "of a target, command or variable"),
    ]
    if still := makefile.kept(session):
        others = f", with {len(still.names) - 1} more: doit-cargo kept" if still.names[1:] else ""
        pairs.insert(1, (f"{still.call} {still.names[0]}", f"kept in {still.file}{others}"))
    width = max(len(call) for call, _ in pairs)
    for call, text in pairs:
        said = text or _families(session, room - width - 2)
        yield from screen.wrapped(f"{call:{width}}  {said}", room, " " * (width + 2))


def _families(session: Session, room: int) -> str:
    """Return what there is, by as many names of families as there is room for."""
    found = ", ".join(dict.fromkeys(row["family"] for row in session.listing if row["available"] and row["listed"]))
    return textwrap.shorten(f"all there is: {found}", room, placeholder=" ...")
