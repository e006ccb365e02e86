"""Bare `doit-cargo` on a terminal where fzf is: the first screen, and below it a target to pick.

Leaving it with Escape is no failure; without fzf nothing changes.
"""

from __future__ import annotations

import os
import sys

from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.process import processes
from doit_cargo.session import Session

OFF = "DOIT_CARGO_PICK"
OPTIONS = ("--height=40%", "--layout=reverse", "--no-multi", "--prompt=doit-cargo ", "--nth=1", "--delimiter=  +")


def picked(session: Session) -> list[str]:
    """Return the target that was picked, nothing where none was or nobody can be asked."""
    program = which("fzf", session.environ)
    asks = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get(OFF) != "0"
    if not program or not asks:
        return []
    rows = [row for row in session.listing if row["available"] and row["listed"] and row["name"] != "help"]
    width = max((len(row["name"]) for row in rows), default=0)
    lines = "".join(f"{row['name']:{width}}  {row['doc']}\n" for row in rows)
    return processes.chosen([program, *OPTIONS], session.environ, lines).split()[:1]
