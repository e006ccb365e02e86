"""The end of a run of several targets: a table, the failures last and short, and what all of it came to.

Knows the ends that a run has seen and the record of runs; nothing of who ran them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from doit_cargo.engine.base.tables import aligned, counted
from doit_cargo.engine.console import screen
from doit_cargo.engine.state import journal

if TYPE_CHECKING:
    from doit_cargo.engine.state.journal import End
    from doit_cargo.session import Session

GROUP = "group"

ROUNDED = 0.1  # seconds: times on record are rounded
UP_TO_DATE, NOT_RUN = "up to date", "not run"


def tell(session: Session, began: float, names: list[str], skipped: Mapping[str, float]) -> None:
    """Print how the targets of a run ended; `skipped` maps those that were up to date to what that has saved."""
    names = [name for name in names if (row := session.known_row(name)) and row["kind"] != GROUP]
    own = (end for end in journal.ends(session.state) if end.time - end.seconds >= began - ROUNDED)
    ends = {end.target: end for end in own if end.target in names and end.target not in skipped}
    if len(names) < 2:
        return
    bad = [end for end in ends.values() if end.is_bad]
    good = [name for name in names if name not in (end.target for end in bad)]
    rows = [_row(name, ends.get(name), skipped) for name in (*good, *(end.target for end in bad))]
    print("\n" + aligned([("", "target", "", "time", ""), *rows]), flush=True)
    for end in bad:
        from doit_cargo.actions.maintenance import failures

        print(screen.bad(f"!! {end.target}") + f"  {end.end} after {journal.took(end.seconds)}")
        print("\n".join(failures.explained(session, end).lines()))
    for line in _sum(began, [end for end in ends.values() if not end.is_bad], skipped, bad):
        print(line, flush=True)


def _row(name: str, end: End | None, skipped: Mapping[str, float]) -> tuple[str, ...]:
    if end is None:
        saved = f"saves {journal.took(skipped[name])}" if name in skipped else ""
        return "  ", name, UP_TO_DATE if name in skipped else NOT_RUN, "", saved
    return "  ", name, end.end, journal.took(end.seconds), end.log


def _sum(began: float, done: list[End], skipped: Mapping[str, float], bad: list[End]) -> list[str]:
    whole = journal.took(time.time() - began)
    saved = f", {journal.took(sum(skipped.values()))} saved" if skipped else ""
    lines = [
        f"done     {counted(len(done), 'target')}; {whole} in all",
        f"skipped  {counted(len(skipped), 'target')}{saved}",
    ]
    for kind in journal.BAD:
        names = [end.target for end in bad if end.end == kind]
        again = "what each needs is said above" if kind == journal.COULD_NOT_RUN else "doit-cargo rerun does it again"
        line = f"{kind:8} {counted(len(names), 'target')}" + (f": {', '.join(names)}; {again}" if names else "")
        if names or kind == journal.FAILED:
            lines.append(screen.bad(line) if names else line)
    return lines
