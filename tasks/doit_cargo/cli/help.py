"""`doit-cargo help WORD...` and `WORD --help`: all about a target, a command or a variable, with examples from here.

Knows the tables of commands and variables; a target, `explain` explains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from doit_cargo.cli import direct, explain
from doit_cargo.cli.shell import completion
from doit_cargo.engine.base.errors import UserError, unknown
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.variables import BY_NAME
from doit_cargo.targets.commands import COMMANDS, NOTHING, OPTIONS, TARGETS

if TYPE_CHECKING:
    from doit_cargo.session import Session

PREFERRED = ("dev", "build", "check", "test")
SHOWN = 12


def tell(session: Session, words: list[str]) -> None:
    """Print all about each word; raises `UserError` for an unknown one before the first."""
    kinds = [_kind(session, word) for word in words]
    for number, (word, kind) in enumerate(zip(words, kinds, strict=True)):
        print("\n" if number else "", end="")
        if kind == "command":
            explain.tell(word, COMMANDS[word].doc, _of_command(session, word))
        elif kind == "variable":
            row = BY_NAME[word]
            explain.tell(word, f"{row.doc[0].upper()}{row.doc[1:]}.", _of_variable(session, word))
        else:
            explain.explain(session, [word])


def _kind(session: Session, word: str) -> str:
    if word in COMMANDS:
        return "command"
    if word in BY_NAME:
        return "variable"
    if word.isupper():
        raise UserError(unknown("variable", word, tuple(BY_NAME)))
    direct.rows_of(session, [word])
    return "target"


def _of_command(session: Session, name: str) -> Iterator[tuple[str, list[str]]]:
    row = COMMANDS[name]
    options = "".join(f" [--{one}{' ' + OPTIONS[one].metavar if OPTIONS[one].metavar else ''}]" for one in row.options)
    yield "usage", [f"doit-cargo {name} {row.arguments}".rstrip() + options]
    width = max((len(one) for one in row.options), default=0)
    yield "options", [f"--{one:{width}}  {OPTIONS[one].doc}" for one in row.options]
    if row.words == TARGETS:
        yield "example", [f"doit-cargo {name} {_target(session)}"]
    elif row.words != NOTHING:
        found = completion.names(completion.kept(session.start), name)
        yield "example", [f"doit-cargo {name} {word}" for word, _ in list(found)[:1]]
    yield "make", [f"make {name}"] if name in _of_make() else []


def _of_make() -> Iterable[str]:
    from doit_cargo import makefile

    return makefile.COMMANDS


def _target(session: Session) -> str:
    here = [row["name"] for row in session.listing if row["available"] and row["listed"]]
    return next((name for name in PREFERRED if name in here), here[0] if here else "TARGET")


def _of_variable(session: Session, name: str) -> Iterator[tuple[str, list[str]]]:
    takers = [row for row in session.listing if name in row["takes"] and row["available"] and row["listed"]]
    names = [row["name"] for row in takers if not row["rule"]]
    values = [word.partition("=")[2] for word, _ in completion.values(completion.kept(session.start), f"{name}=")]
    example = explain.example_of(session, name)
    caller = next((one for one in PREFERRED if one in names), names[0] if names else "TARGET")
    yield "example", [f"doit-cargo {caller} {name}={example}"]
    yield "here", [shortened(values, SHOWN)] if values else []
    yield "taken by", [shortened(names, SHOWN) or "no target here"]
