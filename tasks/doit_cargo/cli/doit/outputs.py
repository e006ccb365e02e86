"""Who writes a program: for tasks of the user's own that rest on one.

doit allows one writer to a file, and several targets write the same program. So no task of ours has doit's `targets`;
a task that names such a program in its `file_dep` is made to wait for the target that builds it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from doit_cargo.cli.doit.bridge import is_ours
from doit_cargo.engine.base.errors import UserError
from doit_cargo.session import CARGO, Session
from doit_cargo.targets.listing import Row


def link(session: Session, tasks: Iterable[Any]) -> None:
    """Add to each task of the user's own the targets that build what it rests on."""
    for task in tasks:
        if not is_ours(task):
            for path in map(os.path.abspath, task.file_dep):
                name = writer(session, path, task.task_dep)
                if name and name not in task.task_dep:
                    task.task_dep.append(name)


def writer(session: Session, path: str, preferred: Iterable[str] = ()) -> str:
    """Return the target that builds a program, "" if none does.

    The one that the task names already; else the first of the listing, where the plain ones come first.
    """
    if not path.startswith(session.workspace.target_directory + os.sep):
        return ""
    return next((row["name"] for row in _candidates(session, set(preferred)) if path in of(session, row)), "")


def _candidates(session: Session, preferred: set[str]) -> Iterator[Row]:
    rows = [row for row in session.listing if row["available"] and row["kind"] == CARGO]
    yield from sorted(rows, key=lambda row: (row["name"] not in preferred, bool(row["rule"])))


def of(session: Session, row: Row) -> tuple[str, ...]:
    """Return the programs that a target builds; none of one that cannot be planned here."""
    if row["kind"] != CARGO:
        return ()
    try:
        return session.plan(row["name"]).outputs
    except UserError:
        return ()
