"""`doit-cargo kept [NAME...]`: what an older build file still does after `migrate`, shown and called.

What that is is the file's own business: nothing of it is checked, skipped or remembered.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from doit_cargo import makefile
from doit_cargo.engine.base.errors import COULD_NOT_RUN, DONE, FAILED, Problem, UserError, unknown
from doit_cargo.engine.base.process import processes
from doit_cargo.session import Session


def kept(session: Session, options: argparse.Namespace) -> int:
    """`kept`: show the names; with names, call them one after the other until one fails."""
    found = makefile.kept(session)
    if found is None:
        fix = "doit-cargo migrate takes over what an older build file does, and keeps the rest"
        raise UserError(Problem("nothing is kept here: no older build file does anything", fix))
    if not options.targets:
        print(found.text)
        return DONE
    for name in options.targets:
        if not found.has(name):
            raise UserError(unknown("kept name", name, found.names))
    failed = any(_call(session, [*found.call.split(), name]) for name in options.targets)
    return FAILED if failed else DONE


def _call(session: Session, words: Sequence[str]) -> int:
    """Call the file's own tool in the root of the workspace; return its exit status."""
    print(f".. {' '.join(words)}", flush=True)
    try:
        return processes.shown(words, session.environ, session.root, asks=True)
    except OSError as error:
        what = f"cannot start {words[0]}: {error.strerror}"
        raise UserError(Problem(what, f"install {words[0]}"), COULD_NOT_RUN) from None
