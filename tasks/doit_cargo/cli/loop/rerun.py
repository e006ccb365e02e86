"""`doit-cargo rerun`: what did not end well is run again, each target with the variables that it had.

Of a target that runs tests only those that failed.
"""

from __future__ import annotations

import argparse

from doit_cargo.actions.maintenance import failures
from doit_cargo.engine.base.errors import DONE, Problem, UserError
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import journal, receipts
from doit_cargo.session import Session


def rerun(session: Session, options: argparse.Namespace) -> int:
    """`rerun`: run the targets whose last run failed, could not start or was interrupted, in that order."""
    asked = session.with_parts([receipts.normalise(name) for name in options.targets])
    failed = journal.failures(session.state)
    for name in map(receipts.normalise, options.targets):
        if all(end.target != name for end in failed):
            session.row(name)  # a word that nobody knows is no target of which nothing has failed
    found = [end for end in failed if not asked or end.target in asked]
    if not found:
        print("nothing on record has failed" + (f" of {', '.join(options.targets)}" if options.targets else ""))
        return DONE
    if options.dismiss:
        journal.dismiss(session.state, found)
        print("\n".join(f"forgotten: {end.whole}" for end in found))
        return DONE
    lost = [end for end in found if not failures.can_be_repeated(end)]
    if lost:
        fix = "type it with its variables: what may be secret is not kept"
        raise UserError([Problem(f"{end.target} cannot be repeated from the record", fix) for end in lost])
    return max([_again(session, end) for end in found])


def _again(session: Session, end: journal.End) -> int:
    """Run one of them in a session of its own; whatever comes of it, the next one has its turn."""
    from doit_cargo.cli.line import run_targets, told

    print(f".. {end.command}", flush=True)
    if end.is_refused and end.cause:
        reporter.note(end.target, f"could not run before: {end.cause}")
    variables = dict(word.split("=", 1) for word in end.again[1:])
    try:
        status = run_targets(Session(session.start, session.environ, variables), [end.target])
    except UserError as error:
        reporter.note(end.target, "cannot run any more:")
        return told(error, as_json=False)
    now = next((one for one in journal.failures(session.state) if one.words == end.words), None)
    if now and end.is_refused and now.is_refused and (now.fix or now.cause) == (end.fix or end.cause):
        forget = f"doit-cargo rerun --dismiss {end.target}"
        reporter.note(end.target, f"cannot run for the same reason as before; {forget} forgets it")
    if end.narrowed and status == DONE:
        reporter.note(end.target, f"what failed passes now; the rest runs with {end.whole}")
    return status
