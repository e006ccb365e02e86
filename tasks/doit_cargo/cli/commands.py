"""The commands around targets: what exists, what would run, what a profile sets, the Makefile shim.

Each command is one function (session, options) -> exit code, named by its row in `table`; the doit commands of the
same names call them too.
"""

from __future__ import annotations

import argparse
import json
import os

from doit_cargo import makefile as shim
from doit_cargo.engine.base.errors import DONE, FAILED, Problem, UserError
from doit_cargo.engine.base.plain_text import phrase
from doit_cargo.engine.state.receipts import normalise
from doit_cargo.session import Session
from doit_cargo.targets import listing


def list_targets(session: Session, options: argparse.Namespace) -> int:
    """`list`: the targets of this workspace by family."""
    rows = [row for row in session.listing if options.all or options.json or (row["available"] and row["listed"])]
    if options.targets:
        rows = listing.of_family(rows, options.targets)
    if options.json:
        keys = ("name", "make_name", "family", "doc", "available", "listed", "reason", "kind", "rule")
        print(json.dumps([{key: value for key, value in row.items() if key in keys} for row in rows], indent=2))
        return DONE
    listing.show(rows, whole=bool(options.targets))
    still = None if options.targets else shim.kept(session)
    if still:
        print(still.text)
    return DONE


def wanted(options: argparse.Namespace, command: str) -> list[str]:
    """Return the targets that a command was given, at least one."""
    if not options.targets:
        raise UserError(Problem(f"{command} needs a target", f"for example: doit-cargo {command} build"))
    return list(options.targets)


def show_profiles(session: Session, options: argparse.Namespace) -> int:
    """`profiles`: all of them; or a composed profile as TOML, each value with the file and line that set it."""
    from doit_cargo.engine.plan.profiles.text import to_toml

    if not options.targets:
        print("\n".join(f"{name:15} {phrase(session.library.compose(name).doc)}" for name in session.library.names()))
        return DONE
    for name in options.targets:
        if not session.library.has(normalise(name)):
            raise UserError(session.library.unknown(name))
        print(to_toml(session.library.compose(normalise(name))), end="")
    return DONE


def makefile(session: Session, options: argparse.Namespace) -> int:
    """`makefile`: write the shim, or check that the file on disk is the one that would be written."""
    if options.compare:
        return _compare(session, options)
    path = os.path.join(session.root, options.output or shim.file_name(session))
    text = shim.render(session.listing, shim.moved(session))
    if not options.check:
        print(shim.write(path, text, options.force))
        return DONE
    difference = shim.difference(path, text)
    print(difference or f"{path} is up to date")
    return FAILED if difference else DONE


def _compare(session: Session, options: argparse.Namespace) -> int:
    """Print what became of each target of an old build file; fail if something that it did is lost or unknown."""
    from doit_cargo.migrate import command

    given = [name for name in ("check", "force", "output") if getattr(options, name)]
    if given:
        raise UserError(Problem(f"--{given[0]} does not go with --compare", "leave one of them out"))
    return command.compare(session, options.compare, options.yes, options.json)
