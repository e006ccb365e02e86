"""doit's door: what a dodo.py needs, `targets_of`, `built_by` and `DOIT_CONFIG`.

A dodo.py of two lines:

    from doit_cargo.api import DOIT_CONFIG, targets_of
    targets = targets_of(".")

Knows doit's loading; everything about a workspace is the session's.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from doit import doit_cmd
from doit.exceptions import InvalidDodoFile

from doit_cargo.cli.doit import bridge
from doit_cargo.cli.doit.proofs import take_charge
from doit_cargo.cli.own_environment import settle
from doit_cargo.engine.base.errors import UserError, as_user_error
from doit_cargo.engine.console import streams
from doit_cargo.engine.state.receipts import normalise
from doit_cargo.session import CARGO, Session

if TYPE_CHECKING:
    pass

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
    gc.disable()  # until something runs: a call with nothing to do has a short life
    streams.ensure()
    streams.quietly_interrupted()
    try:
        settle()
    except UserError as error:
        raise InvalidDodoFile(str(error)) from None
    start = os.environ.get("DOIT_CARGO_WORKSPACE") or workspace
    return Targets(lambda: Session(start, os.environ, _command_line_variables()), sys.argv[1:])


class Targets:
    """The targets of a session as doit tasks: doit calls `create_doit_tasks` on such an object.

    `asked` are words of the command line: a name with `-`, or one that is absent here, is a task only if asked for.
    """

    def __init__(self, make_session: Callable[[], Session], asked: list[str]) -> None:
        self.make_session = make_session
        self.asked = asked
        _loaded.append(self)

    @cached_property
    def session(self) -> Session:
        """The session of this call, made when doit asks for the tasks or a dodo.py for what a target builds."""
        return self.make_session()

    def create_doit_tasks(self) -> Iterator[bridge.TargetTask]:
        """Return the tasks. Short, since doit reads this method's source, token by token, on each call."""
        return self._tasks()

    def _tasks(self) -> Iterator[bridge.TargetTask]:
        global current  # noqa: PLW0603 - doit gives its commands no other way to the loaded dodo.py
        current = session = self.session
        take_charge(session)
        try:
            listing = session.listing
        except (UserError, OSError, RecursionError) as error:
            raise InvalidDodoFile(str(as_user_error(error))) from None
        dashed = {normalise(word): word for word in self.asked if "-" in word}
        for row in listing:
            if row["available"] or row["name"] in map(normalise, self.asked):
                yield bridge.TargetTask(session, row)
            if row["name"] in dashed:
                yield bridge.TargetTask(session, row, dashed[row["name"]])


_loaded: list[Targets] = []


def built_by(*targets: str) -> dict[str, list[str]]:
    """Return what makes a task of one's own wait for targets and depend on the programs that they build.

    To be put into its dict, after `targets_of`: ``{"actions": [...], **built_by("build_cuda_full")}``.
    """
    if not _loaded:
        raise InvalidDodoFile("built_by needs targets = targets_of(...) above it")
    session = _loaded[-1].session
    try:
        rows = [session.row(name) for name in targets]
        calls = [row["name"] for row in rows if row["kind"] == CARGO]
        files = [path for name in calls for path in session.plan(name).outputs]
    except (UserError, OSError, RecursionError) as error:
        raise InvalidDodoFile(str(as_user_error(error))) from None
    return {"file_dep": files, "task_dep": [row["name"] for row in rows]}


def _command_line_variables() -> dict[str, str]:
    """Return doit's VAR=value words. doit can only be asked name by name, which would hide a misspelt one."""
    return dict(getattr(doit_cmd, "_CMDLINE_VARS", None) or {})
