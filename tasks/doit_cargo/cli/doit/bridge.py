"""From our targets to doit's tasks, and doit's console: the one module that knows doit's keys.

Freshness is ours: doit only asks it (`uptodate`), and keeps nothing of our tasks that could go stale.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from doit.action import create_action
from doit.dependency import DatabaseException, JsonDB
from doit.exceptions import InvalidDodoFile, TaskError, TaskFailed, UnmetDependency
from doit.reporter import ConsoleReporter
from doit.task import Task

from doit_cargo.cli import ending
from doit_cargo.cli.direct import has_proof, perform
from doit_cargo.engine.base import atomic, own_key
from doit_cargo.engine.base.errors import COULD_NOT_RUN, DONE, UserError, as_user_error
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import receipts, store
from doit_cargo.engine.state.staleness import Change

if TYPE_CHECKING:
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.session import Session
    from doit_cargo.targets.listing import Row


class Fresh:
    """doit's up-to-date check of one target: what its receipt proves."""

    def __init__(self, session: Session, name: str) -> None:
        self.session = session
        self.name = name
        self.receipt: Receipt | None = None

    def __call__(self, task: Any, values: Any) -> bool:  # noqa: ARG002 - doit's signature
        if self.session.forced:
            return False
        self.receipt, changes = self.session.verdict(self.name)
        return self.receipt is not None and not changes

    def why(self) -> list[Change]:
        """Return all that makes the target stale."""
        return self.session.verdict(self.name, explain=True)[1]

    def __repr__(self) -> str:
        return "; ".join(map(str, self.why())) or "up to date"


@functools.cache
def _attributes() -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what doit gives every task, and which of it each must have for itself.

    Asked once: doit's checks and defaults cost more than all else of a task, and there are hundreds, all alike.
    """
    given = vars(Task("target", [_act], verbosity=2, io={"capture": False}))
    return given, tuple(name for name, value in given.items() if isinstance(value, list | set | dict))


class TargetTask(Task):  # type: ignore[misc]
    """A target as doit's task. `file_dep` are the files that shape it and are known before any run.

    Source files are not among them: cargo finds them, and the receipt holds them. `targets` stays empty, since doit
    allows one writer to a file and several targets write the same program; `outputs` knows who writes what.
    """

    row: Row

    def __init__(self, session: Session, row: Row, basename: str = "") -> None:
        """`row` is the target as `Session.listing` has it; `basename` where doit shall know it by another name."""
        name = row["name"]
        given, own = _attributes()
        self.__dict__.update(given)
        self.__dict__.update((each, given[each].copy()) for each in own)
        self.row = row
        self.name = basename or name
        self.doc = row["doc"]
        self._actions = [(_act, (session, name))]
        self.uptodate: list[Any] = [(Fresh(session, name), [], {})] if has_proof(row) else []
        # With the parts of parts: doit puts those that it comes upon behind all that is waiting already.
        self.task_dep = session.with_parts(list(row["after"]))
        self.meta = {
            "doit_cargo": session,
            "target": name,
            "pool": row["pool"],
            "keep_going": row["keep_going"],
            "parts": row["after"],
        }

    def clean(self, outstream: Any, dryrun: bool) -> None:
        """Run the target `clean`; its action is made only now, one of hundreds."""
        self.clean_actions = [create_action((_clean, (self.meta["doit_cargo"],)), self, "clean")]
        super().clean(outstream, dryrun)

    @property
    def file_dep(self) -> frozenset[str]:
        """The files, as a dodo.py would name them: relative to where doit runs. Worked out once for all alike."""
        session = cast("Session", self.meta["doit_cargo"])
        key = ("file_dep", self.row["kind"], self.row["files"])
        if key not in session.found:
            here = os.getcwd() + os.sep
            session.found[key] = frozenset(path.removeprefix(here) for path in session.files_of(self.row))
        found: frozenset[str] = session.found[key]
        return found

    @file_dep.setter
    def file_dep(self, _: object) -> None:
        """doit begins with an empty set."""


def _act(session: Session, name: str) -> TaskFailed | TaskError | None:
    status = perform(session, name)
    kind = TaskError if status == COULD_NOT_RUN else TaskFailed
    return kind(f"{name} failed", report=False) if status else None


def _clean(session: Session) -> None:
    session.run("clean")


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """doit's console, silent about our own tasks: they speak for themselves."""

    desc = "doit-cargo's own lines; other tasks as on doit's console"

    def initialize(self, tasks: Mapping[str, Any], selected_tasks: list[str]) -> None:
        """Find bad input before anything starts: raised here, doit prints it without traceback and ends with 3."""
        super().initialize(tasks, selected_tasks)
        self.ends: dict[str, str] = {}
        self.saved: dict[str, float] = {}
        self.began = time.time()
        self.selected = [tasks[name].meta["target"] for name in selected_tasks if is_ours(tasks[name])]
        ours = [name for name in selected_tasks if is_ours(tasks[name])]
        self.session = tasks[ours[0]].meta["doit_cargo"] if ours else None
        try:
            if ours:
                tasks[ours[0]].meta["doit_cargo"].prepare([tasks[name].meta["target"] for name in ours])
        except (UserError, OSError, RecursionError, MemoryError) as error:
            known = as_user_error(error)
            if known.code == DONE and len(ours) == len(selected_tasks):
                raise known from None  # SINCE leaves nothing to do; another task of the dodo.py is not to be left out
            raise InvalidDodoFile(str(known)) from None

    def execute_task(self, task: Any) -> None:
        gc.enable()
        if not is_ours(task):
            super().execute_task(task)

    def add_success(self, task: Any) -> None:
        self.ends[task.name] = "passed"
        super().add_success(task)

    def add_failure(self, task: Any, fail: Any) -> None:
        """Sum up a group that lacks a part: which parts did what."""
        if is_ours(task) and isinstance(fail, UnmetDependency):
            reporter.failed(task.name, self._summary(task.meta["parts"]))
            self.ends[task.name] = "failed"
            return
        self.ends[task.name] = "could not run" if isinstance(fail, TaskError) else "failed"
        super().add_failure(task, fail)

    def _summary(self, parts: Iterable[str]) -> str:
        """Return the parts of a group by their ends, the bad ones first."""
        by_end: dict[str, list[str]] = {"failed": [], "could not run": [], "passed": [], "not run": []}
        for part in parts:
            by_end[self.ends.get(part, "not run")].append(part)
        return "; ".join(f"{end}: {', '.join(names)}" for end, names in by_end.items() if names)

    def complete_run(self) -> None:
        """Sum up what several targets, or a group, came to."""
        super().complete_run()
        row = self.session.known_row(self.selected[0]) if self.session else None
        if self.session and (len(self.selected) > 1 or (row and row["kind"] == ending.GROUP)):
            parts = self.session.with_parts(self.selected)
            ending.tell(self.session, self.began, parts, self.saved)

    def skip_uptodate(self, task: Any) -> None:
        self.ends[task.name] = "passed"
        if not is_ours(task):
            super().skip_uptodate(task)
            return
        for check, *_ in task.uptodate:
            if isinstance(check, Fresh) and check.receipt:
                share = self.session.raw.get("SHARE", "") if self.session else ""
                reporter.skipped(check.name, check.receipt, share)
                receipts.note_skip(check.receipt)
                self.saved[check.name] = float(check.receipt["seconds"])

    def skip_ignore(self, task: Any) -> None:
        """Say who has it ignored: doit's mark alone looks like a failure of ours."""
        if is_ours(task):
            reporter.note(
                task.name, f"not run: `doit ignore {task.name}` was said; `doit forget {task.name}` takes it back"
            )
        else:
            super().skip_ignore(task)


def is_ours(task: Any) -> bool:
    """Tell whether a task is one of a session's targets."""
    return bool(task.meta and "doit_cargo" in task.meta)


def _checks(task: Any) -> Iterator[Fresh]:
    yield from (check for check, *_ in task.uptodate if isinstance(check, Fresh) and check.receipt)


class SafeJsonDB(JsonDB):  # type: ignore[misc]
    """doit's own state, for tasks that are not ours: written whole, and empty where it cannot be read.

    doit's JSON store is rewritten in place: two runs at once, or a full disk, leave text that stops every later call.
    """

    def _load(self) -> dict[str, object]:
        try:
            loaded = super()._load()
        except (DatabaseException, OSError, UnicodeDecodeError):
            return {}
        return own_key.unsealed(loaded) or {}

    is_changed = False

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        self.is_changed = True
        super().set(task_id, dependency, value)

    def remove(self, task_id: str) -> None:
        self.is_changed = True
        super().remove(task_id)

    def remove_all(self) -> None:
        self.is_changed = True
        super().remove_all()

    def entries(self) -> Iterator[tuple[str, Any]]:
        """Yield what is kept of each task."""
        yield from self._db.items()

    def dump(self) -> None:
        if not self.is_changed:
            return
        with contextlib.suppress(OSError):
            store.prepare(os.path.dirname(os.path.abspath(self.name)))
            atomic.write(self.name, self.codec.encode(own_key.sealed(self._db)), closed=True)
