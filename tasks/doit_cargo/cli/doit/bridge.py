"""From our targets to doit's task dicts, and doit's console: the one module that knows doit's keys.

Freshness is ours: doit only asks it (`uptodate`), and keeps nothing of our tasks that could go stale.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from doit.dependency import DatabaseException, JsonDB
from doit.exceptions import InvalidDodoFile, TaskError, TaskFailed, UnmetDependency
from doit.reporter import ConsoleReporter

from doit_cargo.cli.direct import has_proof, perform
from doit_cargo.engine.base import atomic, own_key
from doit_cargo.engine.base.errors import COULD_NOT_RUN, UserError, as_user_error
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import store
from doit_cargo.engine.state.staleness import Change

if TYPE_CHECKING:
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.targets.listing import Row


class Runner(Protocol):
    """What a task needs of the session that it belongs to."""

    interrupted: bool

    @property
    def forced(self) -> bool: ...

    def prepare(self, names: list[str]) -> None: ...

    def with_parts(self, names: list[str]) -> list[str]: ...

    def verdict(self, name: str, explain: bool = False) -> tuple[Receipt | None, list[Change]]: ...

    def run(self, name: str) -> bool: ...

    def has_run(self) -> None: ...

    def is_one_of_several(self) -> None: ...


class Fresh:
    """doit's up-to-date check of one target. Its `repr` is what `doit info` prints of a stale one."""

    def __init__(self, runner: Runner, name: str) -> None:
        self.runner = runner
        self.name = name
        self.receipt: Receipt | None = None

    def __call__(self, task: Any, values: Any) -> bool:  # noqa: ARG002 - doit's signature
        if self.runner.forced:
            return False
        self.receipt, changes = self.runner.verdict(self.name)
        return self.receipt is not None and not changes

    def __repr__(self) -> str:
        _, changes = self.runner.verdict(self.name, explain=True)
        return "; ".join(str(change) for change in changes) or "up to date"


def task(runner: Runner, row: Row, basename: str = "") -> dict[str, object]:
    """Return doit's dict of a target; `basename` where doit shall know it under another name (`build-all`).

    `row` is the target as `Session.listing` has it.
    """
    name = row["name"]
    return {
        "basename": basename or name,
        "doc": row["doc"],
        "actions": [(_act, (runner, name))],
        "uptodate": [Fresh(runner, name)] if has_proof(row) else [],
        # With the parts of parts: doit puts those that it comes upon behind all that is waiting already.
        "task_dep": runner.with_parts(list(row["after"])),
        "verbosity": 2,
        "io": {"capture": False},
        "meta": {
            "doit_cargo": runner,
            "target": name,
            "pool": row["pool"],
            "keep_going": row["keep_going"],
            "parts": row["after"],
        },
        "clean": [(_clean, (runner,))],
    }


def _act(runner: Runner, name: str) -> TaskFailed | TaskError | None:
    status = perform(runner, name)
    kind = TaskError if status == COULD_NOT_RUN else TaskFailed
    return kind(f"{name} failed", report=False) if status else None


def _clean(runner: Runner) -> None:
    runner.run("clean")


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """doit's console, silent about our own tasks: they speak for themselves."""

    desc = "doit-cargo's own lines; other tasks as on doit's console"

    def initialize(self, tasks: Mapping[str, Any], selected_tasks: list[str]) -> None:
        """Find bad input before anything starts: raised here, doit prints it without traceback and ends with 3."""
        super().initialize(tasks, selected_tasks)
        self.ends: dict[str, str] = {}
        ours = [name for name in selected_tasks if _is_ours(tasks[name])]
        try:
            if ours:
                tasks[ours[0]].meta["doit_cargo"].prepare([tasks[name].meta["target"] for name in ours])
        except (UserError, OSError, RecursionError, MemoryError) as error:
            raise InvalidDodoFile(str(as_user_error(error))) from None

    def execute_task(self, task: Any) -> None:
        if not _is_ours(task):
            super().execute_task(task)

    def add_success(self, task: Any) -> None:
        self.ends[task.name] = "passed"
        super().add_success(task)

    def add_failure(self, task: Any, fail: Any) -> None:
        """Sum up a group that lacks a part: which parts did what."""
        if _is_ours(task) and isinstance(fail, UnmetDependency):
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

    def skip_uptodate(self, task: Any) -> None:
        self.ends[task.name] = "passed"
        if not _is_ours(task):
            super().skip_uptodate(task)
            return
        for check, *_ in task.uptodate:
            if isinstance(check, Fresh) and check.receipt:
                reporter.skipped(check.name, check.receipt)

    def skip_ignore(self, task: Any) -> None:
        """Say who has it ignored: doit's mark alone looks like a failure of ours."""
        if _is_ours(task):
            reporter.note(
                task.name, f"not run: `doit ignore {task.name}` was said; `doit forget {task.name}` takes it back"
            )
        else:
            super().skip_ignore(task)


def _is_ours(task: Any) -> bool:
    return bool(task.meta and "doit_cargo" in task.meta)


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

    def dump(self) -> None:
        with contextlib.suppress(OSError):
            store.prepare(os.path.dirname(os.path.abspath(self.name)))
            atomic.write(self.name, self.codec.encode(own_key.sealed(self._db)), closed=True)
