"""The listing of targets as a person reads it. Knows the keys of a row, and nothing of where rows come from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from doit_cargo.engine.base.errors import UserError, unknown
from doit_cargo.engine.base.plain_text import one_line, phrase, shortened
from doit_cargo.engine.console import screen
from doit_cargo.targets.wording import Words, worded

if TYPE_CHECKING:
    from doit_cargo.targets.catalogue import Entry

PROGRAM = "doit_cargo.cli.planning:program_of"


class Row(TypedDict):
    """A target as the listing keeps it: plain data, so that a call with nothing to do need not make the catalogue."""

    name: str
    make_name: str
    family: str
    doc: str
    available: bool
    # Whether it means something in this workspace, be it on another machine.
    listed: bool
    # Why it is not here.
    reason: str
    # "cargo", "action" or "group", and how it runs.
    kind: str
    after: tuple[str, ...]
    action: str
    watch: str
    check: str
    needs: tuple[str, ...]
    services: tuple[str, ...]
    takes: tuple[str, ...]
    # The pattern of a rule that made it, such as `build-<package>`.
    rule: str
    handler: str
    sharer: str
    shows: str
    pool: str
    keep_going: bool
    # Whether results of it are shared with other machines.
    shares: bool
    # What shapes it and is known before any run.
    files: tuple[str, ...]


def row_of(entry: Entry) -> Row:
    """Return a target as the listing has it."""
    target = entry.target
    return {
        "name": target.name,
        "make_name": target.make_name,
        "family": phrase(target.family),
        "doc": phrase(worded(target.doc, entry.words or Words())),
        "available": entry.available,
        "listed": entry.listed,
        "reason": entry.reason.removeprefix(f"{target.name} "),
        "kind": target.kind,
        "after": target.after,
        "action": target.action,
        "watch": target.watch,
        "check": target.check,
        "needs": target.needs,
        "services": target.services,
        "takes": target.takes,
        "rule": target.rule,
        "handler": target.handler,
        "sharer": target.sharer or target.handler,
        "shows": target.shows or (PROGRAM if target.program else f"{target.handler}:plans" if target.handler else ""),
        "pool": target.pool,
        "keep_going": target.keep_going,
        "shares": False,
        "files": entry.files,
    }


def of_family(rows: Sequence[Row], words: Sequence[str]) -> list[Row]:
    """Return the rows of some families, by the family's name, a target's, or the word that names begin with.

    Raises `UserError` for a word that is none of these.
    """
    found = {row["name"]: row for word in words for row in _of_word(rows, word)}
    return [row for row in rows if row["name"] in found]


def _of_word(rows: Sequence[Row], word: str) -> list[Row]:
    plain = word.replace("-", "_").rstrip("_")
    found = [row for row in rows if row["family"] == plain]
    found = found or [row for row in rows if row["name"] == plain or row["name"].startswith(f"{plain}_")]
    if not found:
        families = tuple(dict.fromkeys(row["family"] for row in rows))
        raise UserError(unknown("family", word, families, shown=len(families)))
    return found


def show(rows: Sequence[Row], whole: bool = False) -> None:
    """Print targets under the names of their families, one line each; those that a rule makes share a line.

    A terminal's width breaks lines at a word. `whole` spells rules out.
    """
    shown = list(rows) if whole else grouped(rows)
    width = max((len(row["name"]) for row in shown), default=0)
    room = screen.width() if sys.stdout.isatty() else 0
    for family in dict.fromkeys(row["family"] for row in rows):
        print(screen.bold(f"{family}:"))
        for row in shown:
            if row["family"] == family:
                absent = "" if row["listed"] and row["available"] else f"  (not here: {row['reason']})"
                line = one_line(f"  {row['name']:{width}}  {row['doc']}{absent}")
                indent = " " * min(width + 4, room // 2)
                print("\n".join(screen.wrapped(line, room - 1, indent)) if room else line)


def grouped(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each target that no rule made, then one for each rule."""
    return [*(row for row in rows if not row["rule"]), *_rules(rows)]


def _rules(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each rule: its pattern, and for which packages it stands."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["rule"]:
            found.setdefault(row["rule"], []).append(row)
    return [{**made[0], "name": rule, "doc": _rule_text(rule, made)} for rule, made in found.items()]


def _rule_text(rule: str, made: list[Row]) -> str:
    prefix, _, what = rule.rstrip(">").partition("<")
    if what != "package":
        names = ", ".join(row["name"].removeprefix(prefix) for row in made)
        return f"{made[0]['doc'].partition(' ')[0]} one {what}: {names}."
    packages = [row["name"].removeprefix(prefix) for row in made]
    return f"As {prefix.rstrip('_')}, for one package: {shortened(packages, 6)}."
