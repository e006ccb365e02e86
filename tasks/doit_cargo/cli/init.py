"""`doit-cargo init`: the files to begin with, and with `--from-makefile` a migration."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from doit_cargo.engine.base.errors import DONE
from doit_cargo.migrate import command, start
from doit_cargo.migrate.sources import finding
from doit_cargo.session import Session


def init(session: Session, options: argparse.Namespace) -> int:
    """Write what is not there yet, tell each file, and what to type next."""
    if options.ci or options.editor:
        return _others(session, options)
    path = options.from_makefile
    if path:
        finding.find(session, path)  # before anything is written
    ask = None if options.yes or not sys.stdin.isatty() else _ask
    _tell(start.write(session, list(start.steps(session, ask))))
    renewed = Session(session.start, session.environ, session.raw)  # it sees the files that were written
    if path:
        return command.migrate(renewed, argparse.Namespace(targets=[path], yes=options.yes, json=False))
    _tell(start.write(renewed, [start.makefile(renewed, options.force)]))
    _tell(start.next_words(renewed))
    return DONE


def _others(session: Session, options: argparse.Namespace) -> int:
    """Write the files of a build service or an editor."""
    from doit_cargo.actions.ci import files

    if options.ci:
        _tell(files.service(session, options.ci, options.force))
    if options.editor:
        _tell(files.editor(session, options.editor, options.force))
    return DONE


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _ask(question: str) -> bool:
    return input(f"{question} [Y/n] ").strip().lower() in ("", "y", "yes")
