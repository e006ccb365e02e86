"""The same commands as words of doit: `doit why build`, `doit plan`, `doit makefile`, `doit help`, `doit info`.

Plugins of doit (entry points `doit.COMMAND`). doit offers them in every project of the environment, so each does
what doit's own command does where the dodo.py is not ours. Knows doit's command classes; the work is in `commands`.
"""

from __future__ import annotations

import argparse
import functools
import os
import pprint
from collections.abc import Iterable
from typing import Any, ClassVar

from doit.cmd_base import DoitCmdBase
from doit.cmd_clean import Clean
from doit.cmd_dumpdb import DumpDB
from doit.cmd_help import Help
from doit.cmd_info import Info
from doit.cmd_list import List
from doit.cmd_resetdep import ResetDep
from doit.dependency import JSONCodec
from doit.exceptions import InvalidCommand, InvalidDodoFile

from doit_cargo.cli.doit import dodo, outputs
from doit_cargo.cli.doit.bridge import SafeJsonDB, is_ours
from doit_cargo.cli.line import function_of, told
from doit_cargo.engine.base.errors import UserError, as_user_error
from doit_cargo.session import GROUP, Session
from doit_cargo.targets import listing
from doit_cargo.targets.commands import COMMANDS, OPTIONS, SHARED_WITH_DOIT


class _Command(DoitCmdBase):  # type: ignore[misc]
    """One of our commands, run in the session of the loaded dodo.py."""

    doc_description: ClassVar[str | None] = None
    command: ClassVar[str]

    def _execute(self, pos_args: list[str]) -> int:
        if dodo.current is None:
            raise InvalidCommand(f"`{self.command}` needs a dodo.py with doit_cargo.api.targets_of")
        given = {name.replace("-", "_"): False for name in OPTIONS}
        given |= {name.replace("-", "_"): self.params[name] for name in COMMANDS[self.command].options}
        try:
            return function_of(self.command)(dodo.current, argparse.Namespace(**given, targets=pos_args))
        except (UserError, OSError, RecursionError, MemoryError) as error:
            if given.get("json"):
                return told(as_user_error(error), as_json=True)
            raise InvalidDodoFile(str(as_user_error(error))) from None

    def execute(self, params: Any, args: list[str]) -> int:
        self.params = params
        return int(super().execute(params, args) or 0)


def _option(name: str) -> dict[str, object]:
    """Return doit's form of an option."""
    row = OPTIONS[name]
    kind, default = (str, "") if row.metavar else (bool, False)
    return {"name": name, "long": name, "type": kind, "default": default, "help": row.doc}


def _command(name: str) -> type[_Command]:
    """Return doit's class of a command, made from its row; its text becomes doit's own help."""
    row = COMMANDS[name]
    fields = {
        "__doc__": f"`doit {name}`: {row.doc}",
        "doc_purpose": row.doc[:1].lower() + row.doc[1:].rstrip("."),
        "doc_usage": row.arguments,
        "cmd_options": tuple(_option(option) for option in row.options),
        "command": name,
        "name": name,
    }
    return type(name.title().replace("-", ""), (_Command,), fields)


Doctor = _command("doctor")
Features = _command("features")
Init = _command("init")
Hint = _command("hint")
Makefile = _command("makefile")
Migrate = _command("migrate")
Plan = _command("plan")
Profiles = _command("profiles")
Rerun = _command("rerun")
Why = _command("why")


class TargetHelp(Help):  # type: ignore[misc]
    """`doit help`: the targets by family; `doit help TARGET`: all about one; else doit's own help."""

    name = "help"

    def execute(self, params: Any, args: list[str]) -> int:
        if not args and _run_if_ours(self, params, "help"):
            print("\ndoit's own commands: doit --help")
            return 0
        is_command = bool(args) and args[0] in (*self.cmds, "task")
        is_both = is_command and args[0] in SHARED_WITH_DOIT
        if args and (not is_command or is_both) and self._explained(params, args) and not is_command:
            return 0
        return int(super().execute(params, args) or 0)

    def _explained(self, params: Any, args: list[str]) -> bool:
        """Tell all about targets of ours; a word that no task has is told with the nearest."""
        from doit_cargo.cli import explain

        session = _loaded(self, params)
        others = {task.name for task in self.task_list}
        if session is None or (args[0] in others and not explain.exists(session, args[0])):
            return False
        try:
            explain.explain(session, args)
        except UserError as error:
            raise InvalidDodoFile(str(error)) from None
        return True


class TargetList(List):  # type: ignore[misc]
    """`doit list`: the targets by family, then other tasks; with options or tasks, doit's own list."""

    name = "list"

    def execute(self, params: Any, args: list[str]) -> int:
        options = ("quiet", "subtasks", "status", "private", "list_deps", "template")
        plain = not args and not any(params[name] for name in options) and params["sort"] == "name"
        session = _loaded(self, params) if plain else None
        if session is None:
            return int(super().execute(params, args) or 0)
        listing.show([row for row in session.listing if row["available"] and row["listed"]])
        others = [task for task in self.task_list if not is_ours(task)]
        shown = sorted(
            (task.name, task.doc) for task in others if not task.subtask_of and not task.name.startswith("_")
        )
        if shown:
            width = max(len(name) for name, _ in shown)
            print("other tasks:")
            print("\n".join(f"  {name:{width}}  {doc}".rstrip() for name, doc in shown))
        return 0


class TargetInfo(Info):  # type: ignore[misc]
    """`doit info`: what is known of the workspace; with a target, what it rests on, builds, and why it would run."""

    name = "info"

    def execute(self, params: Any, args: list[str]) -> int:
        if not args and _run_if_ours(self, params, "info"):
            return 0
        try:
            return int(super().execute(params, args) or 0)
        except KeyError as error:
            raise InvalidCommand(f"there is no task {error}; doit list shows all") from None

    @functools.wraps(Info._execute)  # doit asks for the names of the parameters
    def _execute(self, pos_args: list[str], hide_status: bool = False) -> int:
        session = dodo.current
        if session is not None:
            outputs.link(session, self.task_list)
        task = next((task for task in self.task_list if pos_args == [task.name]), None)
        if session is None or task is None or not is_ours(task):
            return int(super()._execute(pos_args, hide_status))
        is_stale, status = (False, "") if hide_status else self._status(task)
        lists = {
            "file_dep": sorted(task.file_dep),
            "task_dep": task.task_dep,
            "outputs": [os.path.relpath(path) for path in outputs.of(session, task.row)],
        }
        shown = [f"\n{name:11s}: \n{_listed(values)}" for name, values in lists.items() if values]
        self.outstream.write("".join([f"\n{task.name}\n\n{task.doc}\n", status, *shown]))
        return int(is_stale)

    def _status(self, task: Any) -> tuple[bool, str]:
        """Return whether a target would run, and in doit's form the status and why."""
        found = self.dep_manager.get_status(task, {}, get_log=True)
        text = f"\n{'status':11s}: {found.status}\n"
        if found.status == "up-to-date":
            return False, text
        why = [str(change) for check, *_ in task.uptodate for change in check.why()]
        if why:
            return True, text + " * What makes it run:\n" + "".join(f"    - {reason}\n" for reason in why)
        is_group = task.row["kind"] == GROUP
        return True, text + f" * {'It is as fresh as its parts' if is_group else 'It runs each time'}.\n"


def _listed(values: Iterable[str]) -> str:
    return "".join(f" - {value}\n" for value in values)


class TargetResetDep(ResetDep):  # type: ignore[misc]
    """`doit reset-dep`, for tasks that are not ours: what proves a target is a run, and nothing else."""

    @functools.wraps(ResetDep._execute)
    def _execute(self, pos_args: list[str] | None = None) -> None:
        asked = [task.name for task in self.task_list if is_ours(task) and task.name in (pos_args or ())]
        for name in asked:
            self.outstream.write(f"skip {name} (only a run proves it: doit {name})\n")
        others = [name for name in pos_args or () if name not in asked]
        if others or not pos_args:
            self.task_list: list[Any] = [task for task in self.task_list if not is_ours(task)]
            super()._execute(others or None)


class TargetDumpDB(DumpDB):  # type: ignore[misc]
    """`doit dumpdb`: also of the state that doit keeps for a dodo.py of ours, which is JSON with a seal."""

    name = "dumpdb"

    def execute(self, opt_values: Any, pos_args: list[str]) -> Any:
        own = str(dodo.DOIT_CONFIG["dep_file"])
        given = opt_values["dep_file"]
        if not os.path.isfile(own) or (os.path.exists(given) and given != own):
            return super().execute(opt_values, pos_args)
        for name, values in sorted(SafeJsonDB(own, JSONCodec()).entries()):
            print(f"{name} -> {pprint.pformat(values, indent=4, width=100)}")
        return 0


class TargetClean(Clean):  # type: ignore[misc]
    """`doit clean`: the target `clean`; with options or tasks, doit's own command."""

    name = "clean"

    def execute(self, params: Any, args: list[str]) -> int:
        plain = not args and not any(params[name] for name in ("dryrun", "cleandep", "cleanall", "cleanforget"))
        if plain and _run_if_ours(self, params, "clean"):
            return 0
        return int(super().execute(params, args) or 0)


def _run_if_ours(command: Any, params: Any, name: str) -> bool:
    """Run one of our targets if the dodo.py at hand is ours; tell whether it was."""
    session = _loaded(command, params)
    return session is not None and session.run(name)


def _loaded(command: Any, params: Any) -> Session | None:
    """Load the dodo.py at hand; return its session if it is ours. The command then has the tasks as `task_list`."""
    try:
        command.loader.setup(params)
        command.loader.load_doit_config()
        command.task_list = command.loader.load_tasks(cmd=command, pos_args=[])
    except InvalidDodoFile:
        if dodo.current is None:
            return None
        raise
    return dodo.current
