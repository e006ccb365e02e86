"""`doit-cargo hint [FILE|-]`: the cause that a failing log shows, and what mends it. Works outside workspaces too."""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from doit_cargo.actions.maintenance import failures
from doit_cargo.engine import hints
from doit_cargo.engine.base.errors import DONE, FAILED, Problem, UserError
from doit_cargo.engine.base.model import Workspace
from doit_cargo.engine.hints import Hint
from doit_cargo.engine.state import journal
from doit_cargo.session import Session

LATEST = os.path.join(".logs", "build.log")


def hint(session: Session, options: argparse.Namespace) -> int:
    """`hint`: tell the cause; 0 if one is known, 1 if none is, 3 if the log cannot be read."""
    failed = None if options.targets else failures.last(session)
    if failed and not failed.log:
        return _of_record(failures.explained(session, failed), options.json)
    name = _log(session, list(options.targets))
    known, problems = hints.load(_workspace(session))
    for problem in problems:
        print(f"doit-cargo: {problem}", file=sys.stderr)
    with _opened(name) as stream:
        found = hints.read(stream, known, own_system=not options.targets)
    if options.json:
        print(json.dumps({"log": name, "hints": [one.to_json() for one in found]}, indent=2))
    else:
        _print(name, found)
        if failed and not found:
            print(f"  {failed.asking} tells what has changed since it went well")
    return DONE if found else FAILED


def _log(session: Session, words: list[str]) -> str:
    """Return the log to read: the one that is named, "-" for standard input, else the latest build's."""
    if len(words) > 1:
        raise UserError(Problem(f"hint reads one log, not {len(words)}", "for example: doit-cargo hint build.log"))
    if words:
        return words[0]
    failed = failures.last(session)
    if failed and os.path.isfile(os.path.join(session.root, failed.log)):
        return os.path.join(session.root, failed.log)
    places = [os.path.join(folder, os.path.basename(LATEST)) for folder in _log_folders(session)]
    found = next((place for place in places if os.path.exists(place)), "")
    if not found:
        raise UserError(Problem(f"there is no {LATEST} here yet", "name a log: doit-cargo hint FILE, or - for a pipe"))
    return found


def _of_record(failed: failures.Explained, as_json: bool) -> int:
    """Tell of a failure that has left no log, such as one before cargo started."""
    if as_json:
        told = {"target": failed.end.target, "cause": failed.cause, "fix": failed.fix}
        print(json.dumps({"log": "", "hints": [told] if failed.cause else []}, indent=2))
    else:
        print(f"{failed.end.target} {failed.end.end} {journal.ago(failed.end.time)}")
        print("\n".join(failed.lines()))
    return DONE if failed.cause else FAILED


def _log_folders(session: Session) -> tuple[str, str]:
    return os.path.join(session.root, os.path.dirname(LATEST)), os.path.join(session.state, "logs")


def _workspace(session: Session) -> Workspace | None:
    """Return the workspace at hand for its own hints; a log may be read anywhere, also where cargo itself is broken."""
    try:
        return session.workspace
    except UserError:
        return None


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        if stat.S_ISCHR(os.stat(name).st_mode):
            raise UserError(Problem("this is a device, which may never end", "name a log file, or - for a pipe", name))
        with open(name, "rb") as stream:
            yield stream
    except OSError as error:
        raise UserError(Problem(f"cannot be read: {error.strerror}", "name a log file", name)) from None


def _print(name: str, found: list[Hint]) -> None:
    if not found:
        print(f"no cause that doit-cargo knows in {'the input' if name == '-' else name}")
    for one in found:
        doubt = "" if one.confidence == "cause" else f" ({one.confidence})"
        print(f"{one.category}{doubt}: {one.cause}")
        print(f"  fix      {one.fix}")
        for number, text in one.lines:
            print(f"  line {number:<3} {text}")
