"""The same commands as words of doit: `doit why build`, `doit plan`, `doit makefile`, `doit help`, `doit info`.

Plugins of doit (entry points `doit.COMMAND`). doit offers them in every project of the environment, so each does
what doit's own command does where the dodo.py is not ours. Knows doit's command classes; the work is in `commands`.
"""

from __future__ import annotations

import argparse
from typing import Any, ClassVar

from doit.cmd_base import DoitCmdBase
from doit.cmd_clean import Clean
from doit.cmd_help import Help
from doit.cmd_info import Info
from doit.cmd_list import List
from doit.exceptions import InvalidCommand, InvalidDodoFile

from doit_cargo.cli.doit import dodo
from doit_cargo.cli.line import function_of, run_targets, told
from doit_cargo.engine.base.errors import UserError, as_user_error
from doit_cargo.session import Session
from doit_cargo.targets import listing
from doit_cargo.targets.commands import ALSO_TARGETS, COMMANDS, OPTIONS, SHARED_WITH_DOIT


class _Command(DoitCmdBase):  # type: ignore[misc]
    """One of our commands, run in the session of the loaded dodo.py."""

    doc_description: ClassVar[str | None] = None
    command: ClassVar[str]

    def _execute(self, pos_args: list[str]) -> int:
        if dodo.current is None:
            raise InvalidCommand(f"`{self.command}` needs a dodo.py with doit_cargo.api.targets_of")
        if self.command in ALSO_TARGETS and dodo.current.raw and not pos_args:
            return run_targets(dodo.current, [self.command])
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
Profile = _command("profile")
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
        listing.show([row for row in session.listing if row["available"]])
        others = [task for task in self.task_list if not (task.meta and "doit_cargo" in task.meta)]
        shown = sorted(
            (task.name, task.doc) for task in others if not task.subtask_of and not task.name.startswith("_")
        )
        if shown:
            width = max(len(name) for name, _ in shown)
            print("other tasks:")
            print("\n".join(f"  {name:{width}}  {doc}".rstrip() for name, doc in shown))
        return 0


class TargetInfo(Info):  # type: ignore[misc]
    """`doit info`: what is known of the workspace; with a task, doit's own answer."""

    name = "info"

    def execute(self, params: Any, args: list[str]) -> int:
        if not args and _run_if_ours(self, params, "info"):
            return 0
        try:
            return int(super().execute(params, args) or 0)
        except KeyError as error:
            raise InvalidCommand(f"there is no task {error}; doit list shows all") from None


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
