"""`doit TARGET`, also with `-n`: doit's own command, with lanes, with groups that go on, and with the nearest name.

A plugin of doit (entry point `doit.COMMAND`, "run"). doit takes it in every project of the environment, so it does what
doit's own does where the dodo.py is not ours. A module of its own, since every call of doit loads it.
"""

from __future__ import annotations

import functools
import gc
from typing import Any

from doit.cmd_run import Run
from doit.exceptions import InvalidCommand, InvalidDodoFile

from doit_cargo.cli.doit import dodo
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.console import streams
from doit_cargo.engine.state.receipts import normalise
from doit_cargo.session import GROUP, Session

INTERRUPTED = 130


class TargetRun(Run):  # type: ignore[misc]
    """`doit run`, as doit has it, for our targets."""

    name = "run"

    @functools.wraps(Run._execute)  # doit asks for the names of the parameters
    def _execute(self, *args: Any, **options: Any) -> int:
        if dodo.current is None:
            return int(super()._execute(*args, **options))
        from doit_cargo.cli.doit import outputs, parallel

        outputs.link(dodo.current, self.task_list)
        if options.get("num_process"):
            gc.enable()  # workers begin as this process is now
        if options.get("single"):
            self._require_no_group()
        streams.Stream.goes_on = True
        options["continue_"] = options.get("continue_") or self._keeps_going()
        try:
            with parallel.in_charge():
                return int(super()._execute(*args, **options))
        except KeyboardInterrupt:
            return INTERRUPTED  # what ran has said so
        except UserError as error:
            from doit_cargo.cli import line

            return line.told(error, as_json=False)
        except InvalidCommand as error:
            if error.not_found is None:
                raise
            raise InvalidDodoFile(self._unknown(str(error.not_found), dodo.current)) from None

    def _require_no_group(self) -> None:
        """Refuse a group without its parts: it would call well what nobody has run."""
        asked = set(self.sel_tasks or ())
        for task in self.task_list:
            if task.name in asked and task.meta and task.meta.get("parts") and task.row["kind"] == GROUP:
                raise InvalidCommand(f"{task.name} is a group, and -s leaves its parts out: nothing would run")

    def _keeps_going(self) -> bool:
        """Tell whether a group is asked for whose parts all run, whatever becomes of one (`ci`)."""
        asked = set(self.sel_tasks or ())
        return any(task.meta and task.meta.get("keep_going") for task in self.task_list if task.name in asked)

    def _unknown(self, name: str, session: Session) -> str:
        """Return the message; known are our targets that are here, and other tasks of the dodo.py.

        Any word of the command line is a task too if it names a target, `run` of `doit run` as well: one that is absent
        here, to say so when it is asked for, or one written with ``-``.
        """
        from doit_cargo.engine.base.errors import unknown

        ours = {row["name"]: row["available"] for row in session.listing}
        names = [task.name for task in self.task_list if not task.name.startswith("_")]
        known = tuple(one for one in names if ours.get(one, normalise(one) not in ours))
        return str(unknown("target", name, known))
