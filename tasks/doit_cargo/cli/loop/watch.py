"""`doit-cargo watch TARGET...`: run again on each edit of something that the targets rest on, and on nothing else.

Files of the workspace are watched by watchfiles, those elsewhere (a linker, a path dependency's neighbour) looked at
twice a second: their folders are those of the whole system. Whether a change means anything, the receipts say. What
changes while a run is under way waits as one change. After a failure there is no receipt: then any file of a member
wakes it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from doit_cargo.actions import LOGS, TEST_LOGS, require_package
from doit_cargo.cli.commands import wanted
from doit_cargo.engine.base.errors import DONE, UserError
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import journal, receipts
from doit_cargo.engine.state.fingerprint import signature
from doit_cargo.engine.state.store import STATE_DIRECTORY
from doit_cargo.session import CARGO, Session

if TYPE_CHECKING:
    from doit_cargo.engine.state.fingerprint import Stamp
    from doit_cargo.engine.state.receipts import Receipt

CLEAR = "\x1b[H\x1b[2J\x1b[3J"
INTERRUPTED = 130
MILLISECONDS = 200  # in which the files of one save arrive


def watch(session: Session, options: argparse.Namespace) -> int:
    """`watch`: run targets, and again whenever something that they rest on has changed."""
    require_package("watch", "watchfiles", "watch")
    names = wanted(options, "watch")
    session.variables(*(session.row(name)["name"] for name in names))  # no edit mends what was typed
    elsewhere = _Elsewhere(session, names)
    batches = _changes(session, elsewhere)
    next(batches)  # from now on nothing is missed, also of what is edited during the first run
    status = _run(session, names)
    elsewhere.renew()
    try:
        for changed in filter(None, batches):
            again = Session(session.start, session.environ, session.raw)
            if status != INTERRUPTED and _is_woken(again, names, changed):
                _clear()
                status = _run(again, names)
                elsewhere.renew()
            if status == INTERRUPTED:
                break
    except KeyboardInterrupt:
        status = INTERRUPTED
    print()
    return status


def _run(session: Session, names: list[str]) -> int:
    """Run the targets, and say what is waited for."""
    from doit_cargo.cli.line import run_targets, told

    try:
        status = run_targets(session, names)
    except UserError as error:
        status = told(error, as_json=False)
    if status != INTERRUPTED:
        files = {path for receipt in _receipts(session, names) for path in _files(receipt)}
        rests = f"one of {counted(len(files), 'file')}" if status == DONE and files else "any file of the workspace"
        reporter.note("watch", f"waits for a change of {rests}; Ctrl-C ends it")
    return status


def _clear() -> None:
    if sys.stdout.isatty():
        print(CLEAR, end="", flush=True)


def _parts(session: Session, names: list[str]) -> list[str]:
    return [part for name in names for part in session.parts(name)]


def _receipts(session: Session, names: list[str]) -> Iterator[Receipt]:
    for part in _parts(session, names):
        receipt = receipts.load_receipt(session.state, session.key(part))
        if receipt:
            yield receipt


def _files(receipt: Receipt) -> Iterator[str]:
    """Yield the files that a success rests on, and the folders whose lists it does."""
    for part in receipt.get("parts", ("plan", "build")):
        state = receipt[part]
        yield from state["files"]
        yield from state["trees"]


def _is_woken(session: Session, names: list[str], changed: Iterable[str]) -> bool:
    """Tell whether a change means something to a target: its receipt holds no more, or its last run has failed."""
    bad = {end.words for end in journal.failures(session.state)}
    for part in _parts(session, names):
        row = session.row(part)
        if session.key(part) in bad:
            return any(_is_of_a_member(session, path) for path in changed)
        if row["kind"] == CARGO or row["watch"]:
            receipt, changes = session.verdict(part)
            if receipt is None or changes:
                return True
    return False


def _is_of_a_member(session: Session, path: str) -> bool:
    folders = (session.root, *(package.directory for package in session.workspace.packages.values()))
    return path.startswith(tuple(folder + os.sep for folder in folders))


class _Elsewhere:
    """What targets rest on outside of the watched folders, as it was when they last ran."""

    def __init__(self, session: Session, names: list[str]) -> None:
        self._session, self._names = session, names
        self.folders = _outermost([session.root, *(one.directory for one in session.workspace.packages.values())])
        self._known: dict[str, Stamp | None] = {}
        self._is_new = False
        self.renew()

    def renew(self) -> None:
        """Take what the latest successes rest on."""
        inside = tuple(folder + os.sep for folder in self.folders)
        files = {path for receipt in _receipts(self._session, self._names) for path in _files(receipt)}
        self._known = {path: signature(path) for path in files if not path.startswith(inside)}
        self._is_new = True

    def changed(self) -> list[str]:
        """Return what is another file than before, once; after a run all: one may have changed before."""
        now = {path: signature(path) for path in self._known}
        found = [path for path, stamp in now.items() if self._is_new or stamp != self._known[path]]
        self._known, self._is_new = now, False
        return found


def _outermost(folders: Iterable[str]) -> list[str]:
    found: list[str] = []
    for folder in sorted(set(folders)):
        if not folder.startswith(tuple(one + os.sep for one in found)):
            found.append(folder)
    return found


def _changes(session: Session, elsewhere: _Elsewhere) -> Iterator[list[str]]:
    """Yield the changed paths of each batch, also none after a while; what changes meanwhile is in the next."""
    import watchfiles

    left_out = (STATE_DIRECTORY, LOGS, TEST_LOGS, ".git", ".venv", "__pycache__")

    def means_something(_: object, path: str) -> bool:
        return not session.workspace.is_built(path) and not set(path.split(os.sep)) & set(left_out)

    batches = watchfiles.watch(
        *elsewhere.folders,
        watch_filter=means_something,
        debounce=MILLISECONDS,
        step=50,
        rust_timeout=500,
        yield_on_timeout=True,
    )
    for batch in batches:
        yield sorted({path for _, path in batch}) + elsewhere.changed()
