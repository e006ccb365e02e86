"""`doit-cargo init`: the files to begin with, and with `--from-makefile` the rows that reproduce an old Makefile."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable

from doit_cargo.engine.base.errors import DONE
from doit_cargo.migrate import makefiles, rows, start
from doit_cargo.session import Session


def init(session: Session, options: argparse.Namespace) -> int:
    """Write what is not there yet, tell each file, and what to type next."""
    path = options.from_makefile
    made = rows.rows_of(makefiles.read(path, session.environ), session) if path else None
    ask = None if options.yes or not sys.stdin.isatty() else _ask
    _tell(start.write(session, list(start.steps(session, ask))))
    if made is not None:
        _tell(_carry_over(session, made, path))
    renewed = Session(session.start, session.environ, session.raw)  # it sees the files that were written
    _tell(start.write(renewed, [start.makefile(renewed, options.force)]))
    _tell(start.next_words(renewed))
    return DONE


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _ask(question: str) -> bool:
    return input(f"{question} [Y/n] ").strip().lower() in ("", "y", "yes")


def _carry_over(session: Session, made: rows.Rows, path: str) -> list[str]:
    """Add the rows of a Makefile to profiles/pack.toml, each once, and write the profiles that they name."""
    pack = os.path.join(session.root, "profiles", "pack.toml")
    with open(pack, encoding="utf-8") as stream:
        old = stream.read()
    new = [table for table in made.tables if table and table.splitlines()[-1] not in old and not _is_there(table, old)]
    told = [f"{path}: {len(made.same)} targets are here already: {', '.join(made.same)}"] if made.same else []
    if new:
        start.write_file(pack, old.rstrip("\n") + "\n\n" + "\n\n".join(new) + "\n")
    for name, text in made.profiles.items():
        file = os.path.join(session.root, "profiles", f"{name}.toml")
        if not os.path.exists(file):
            start.write_file(file, text)
    told.append(f"{path}: {len(new)} targets are carried over into profiles/pack.toml")
    told.append(f"{'':{len(path)}}  `doit-cargo makefile --compare {path}` proves it")
    return told


def _is_there(table: str, text: str) -> bool:
    heads = [line for line in table.splitlines() if line.startswith("[target.")]
    return bool(heads) and all(head in text for head in heads)
