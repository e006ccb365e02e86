"""doit's dependency manager, for targets: what is up to date a receipt says, and forgetting forgets the receipt.

doit's own commands (`run`, `list --status`, `info`, `forget`, and those of others) all ask this manager. Knows doit's
methods of it; what a receipt proves is the session's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from doit.dependency import Dependency, DependencyStatus
from doit.globals import Globals

from doit_cargo.cli.doit.bridge import Fresh, is_ours
from doit_cargo.engine.state import receipts
from doit_cargo.session import Session


class Proofs(Dependency):  # type: ignore[misc]
    """doit's manager, which leaves our tasks to their receipts. It is never made: one of doit's becomes one."""

    session: Session

    def get_status(self, task: Any, tasks_dict: Mapping[str, Any], get_log: bool = False) -> Any:
        """Tell whether a task is up to date. Of ours no file is looked at but those that the receipt names, once."""
        if not is_ours(task):
            return super().get_status(task, tasks_dict, get_log)
        status = DependencyStatus(get_log)
        task.dep_changed = []
        checks = [check for check, *_ in task.uptodate if isinstance(check, Fresh)]
        if not checks:
            status.set_reason("has_no_dependencies", True)
        for check in checks:
            if not check(task, {}):
                status.add_reason("uptodate_false", (check, [], {}))
        return status

    def save_success(self, task: Any, result_hash: Any = None) -> None:
        """Keep what doit needs of a task; of ours nothing, the run itself has kept its receipt."""
        if not is_ours(task):
            super().save_success(task, result_hash)

    def forget(self, name: str) -> None:
        """Forget a task, for `doit forget`: of a target also its receipts, so that it runs."""
        self.backend.remove(name)
        row = self.session.known_row(receipts.normalise(name))
        if row:
            receipts.forget_target(self.session.state, row["name"])

    def forget_all(self) -> None:
        """Forget all tasks."""
        self.backend.remove_all()
        receipts.forget(self.session.state)


def take_charge(session: Session) -> None:
    """Let the manager of the command that loads tasks ask receipts; doit makes it before it loads them."""
    manager = Globals.dep_manager
    if type(manager) is Dependency:
        manager.__class__ = Proofs
    if isinstance(manager, Proofs):
        manager.session = session
        manager.remove, manager.remove_all = manager.forget, manager.forget_all
