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
from doit.exceptions import InvalidCommand, InvalidDodoFile
from doit_cargo import dodo
from doit_cargo.cli.line import function_of, run_targets
from doit_cargo.cli.table import ALSO_TARGETS, COMMANDS, OPTIONS
from doit_cargo.engine.errors import UserError


class _Command(DoitCmdBase):  # type: ignore[misc]
    """One of our commands, run in the session of the loaded dodo.py."""

    doc_description: ClassVar[str | None] = None
    command: ClassVar[str]

    def _execute(self, pos_args: list[str]) -> int:
        if dodo.current is None:
            raise InvalidCommand(f"`{self.command}` needs a dodo.py with doit_cargo.dodo.targets_of")
        if self.command in ALSO_TARGETS and dodo.current.raw and not pos_args:
            return run_targets(dodo.current, [self.command])
        given = {name.replace("-", "_"): False for name in OPTIONS}
        given |= {name.replace("-", "_"): self.params[name] for name in COMMANDS[self.command].options}
        try:
            return function_of(self.command)(dodo.current, argparse.Namespace(**given, targets=pos_args))
        except UserError as error:
            raise InvalidDodoFile(str(error)) from None

    def execute(self, params: Any, args: list[str]) -> int:
        self.params = params
        return int(super().execute(params, args) or 0)


def _option(name: str) -> dict[str, Any]:
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
Makefile = _command("makefile")
Plan = _command("plan")
Profile = _command("profile")
Why = _command("why")


class TargetHelp(Help):  # type: ignore[misc]
    """`doit help`: the targets by family; with an argument, doit's own help."""

    name = "help"

    def execute(self, params: Any, args: list[str]) -> int:
        if not args and _run_if_ours(self, params, "help"):
            print("\ndoit's own commands: doit --help")
            return 0
        return int(super().execute(params, args) or 0)


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
    try:
        command.loader.setup(params)
        command.loader.load_doit_config()
        command.loader.load_tasks(cmd=command, pos_args=[])
    except InvalidDodoFile:
        if dodo.current is None:
            return False
        raise
    return dodo.current is not None and dodo.current.run(name)
