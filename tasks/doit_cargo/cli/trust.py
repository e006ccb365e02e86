"""`doit-cargo trust`: agree to what this checkout runs while one only looks at it, show that, or take it back."""

from __future__ import annotations

import argparse

from doit_cargo.engine.base.errors import COULD_NOT_RUN, DONE, FAILED, Problem, UserError
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import trust as trusting
from doit_cargo.engine.state.store import unwritable
from doit_cargo.session import Session


def trust(session: Session, options: argparse.Namespace) -> int:
    """`trust`: agree to what this checkout runs while one only looks at it."""
    if options.show and options.revoke:
        raise UserError(Problem("--show does not go with --revoke", "leave one of them out"))
    try:
        if options.show:
            return _show(session)
        return _revoke(session) if options.revoke else _agree(session)
    except OSError as error:
        raise UserError(unwritable(error.filename or "the user's state folder", error, ""), COULD_NOT_RUN) from None


def _agree(session: Session) -> int:
    found = trusting.trust(session.start)
    for one in found:
        print(f"trusted  {_line(session, one)}")
    print(f"{trusting.checkout_of(session.start)}: {_count(found)} trusted as they are now")
    return DONE


def _show(session: Session) -> int:
    found = trusting.brought(session.start)
    doubtful = trusting.doubts(found, session.start, {})
    for one in found:
        print(f"{'not yet' if one in doubtful else 'trusted'}  {_line(session, one)}")
    what = f"{_count(found)}, {len(doubtful)} not trusted" if found else "nothing here runs while one only looks"
    print(f"{trusting.checkout_of(session.start)}: {what}")
    return FAILED if doubtful else DONE


def _revoke(session: Session) -> int:
    was = trusting.revoke(session.start)
    print(f"{trusting.checkout_of(session.start)}: {'not trusted any more' if was else 'was not trusted'}")
    return DONE


def _line(session: Session, one: trusting.Brought) -> str:
    path = reporter.relative(one.path, trusting.checkout_of(session.start))
    return f"{path}: {one.why}" if one.why else path


def _count(found: list[trusting.Brought]) -> str:
    count = len({one.path for one in found})
    return f"{count} file{'' if count == 1 else 's'} that would run while one only looks"
