"""doit's door: what a dodo.py needs, `targets_of` and `DOIT_CONFIG`.

A dodo.py of two lines:

    from doit_cargo.dodo import DOIT_CONFIG, targets_of
    targets = targets_of(".")

Knows doit's loading; everything about a workspace is the session's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from doit import doit_cmd
from doit.exceptions import InvalidDodoFile
from doit_cargo.engine import bridge
from doit_cargo.engine.errors import UserError
from doit_cargo.engine.receipts import normalise
from doit_cargo.session import Session

current: Session | None = None
"""The session of the dodo.py that doit has loaded, for doit's commands (`doit why`, `doit clean`)."""

DOIT_CONFIG = {
    "backend": "doit-cargo",
    "default_tasks": ["help"],
    "dep_file": ".doit-cargo/doit.json",
    "reporter": bridge.Reporter,
}


def targets_of(workspace: str = ".") -> Targets:
    """Return the targets of a workspace, for doit to find in a dodo.py.

    `workspace` is relative to the folder of dodo.py; the environment variable DOIT_CARGO_WORKSPACE names another one.
    A function, since doit would take the class itself for a task creator.
    """
    return Targets(os.environ.get("DOIT_CARGO_WORKSPACE") or workspace)


class Targets:
    """The targets of a workspace as doit tasks: doit calls `create_doit_tasks` on such an object.

    `raw` and `asked` are the variables and names of the command line, where they are not doit's.
    """

    def __init__(self, workspace: str, raw: Mapping[str, str] | None = None, asked: list[str] | None = None) -> None:
        self.workspace = workspace
        self.raw = raw
        self.asked = asked

    def create_doit_tasks(self) -> Iterator[dict[str, Any]]:
        global current  # noqa: PLW0603 - doit gives its commands no other way to the loaded dodo.py
        raw = _command_line_variables() if self.raw is None else self.raw
        current = session = Session(self.workspace, os.environ, raw)
        try:
            listing = session.listing
        except UserError as error:
            raise InvalidDodoFile(str(error)) from None
        asked = sys.argv[1:] if self.asked is None else self.asked
        dashed = {normalise(word): word for word in asked if "-" in word}
        for row in listing:
            if row["available"] or row["name"] in map(normalise, asked):
                yield _task(session, row)
            if row["name"] in dashed:
                yield _task(session, row, dashed[row["name"]])


def _task(session: Session, row: Mapping[str, Any], basename: str = "") -> dict[str, Any]:
    return bridge.task(session, row["name"], row["doc"], row["after"], row["action"], basename)


def _command_line_variables() -> dict[str, str]:
    """Return doit's VAR=value words. doit can only be asked name by name, which would hide a misspelt one."""
    return dict(getattr(doit_cmd, "_CMDLINE_VARS", None) or {})
