"""The listing of targets as a person reads it. Knows the keys of a row, and nothing of where rows come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from doit_cargo.engine.base.plain_text import one_line


class Row(TypedDict):
    """A target as the listing keeps it: plain data, so that a call with nothing to do need not make the catalogue."""

    name: str
    make_name: str
    family: str
    doc: str
    available: bool
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
    shows: str
    pool: str
    keep_going: bool
    # What shapes it and is known before any run.
    files: tuple[str, ...]


def show(rows: Sequence[Row]) -> None:
    """Print targets under the names of their families, one line each; those that a rule makes share a line."""
    shown = grouped(rows)
    width = max(len(row["name"]) for row in shown)
    for family in dict.fromkeys(row["family"] for row in rows):
        print(f"{family}:")
        for row in shown:
            if row["family"] == family:
                absent = "" if row["available"] else f"  (not here: {row['reason']})"
                print(one_line(f"  {row['name']:{width}}  {row['doc']}{absent}"))


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
    more = f" and {len(packages) - 6} more" if len(packages) > 6 else ""
    return f"The same for one package: {', '.join(packages[:6])}{more}."
