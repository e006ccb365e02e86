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
from doit_cargo.cli import commands
from doit_cargo.engine.errors import UserError


def _option(name: str, text: str, kind: type = bool, default: Any = False) -> dict[str, Any]:
    return {"name": name, "long": name, "type": kind, "default": default, "help": text}


JSON = _option("json", "print JSON")


class _Command(DoitCmdBase):  # type: ignore[misc]
    """One of our commands, run in the session of the loaded dodo.py."""

    doc_description: ClassVar[str | None] = None
    command: ClassVar[str]

    def _run(self, targets: list[str], **options: Any) -> int:
        if dodo.current is None:
            raise InvalidCommand(f"`{self.command}` needs a dodo.py with doit_cargo.dodo.targets_of")
        defaults = {"json": False, "all": False, "check": False, "force": False, "output": None}
        namespace = argparse.Namespace(**{**defaults, **options}, targets=targets)
        try:
            return commands.COMMANDS[self.command](dodo.current, namespace)
        except UserError as error:
            raise InvalidDodoFile(str(error)) from None


class Why(_Command):
    """`doit why TARGET`."""

    doc_purpose = "tell what makes a target stale"
    doc_usage = "TARGET"
    cmd_options = (JSON,)
    command = "why"

    def _execute(self, pos_args: list[str], json: bool) -> int:
        return self._run(pos_args, json=json)


class Plan(_Command):
    """`doit plan TARGET`."""

    doc_purpose = "show what a target would run"
    doc_usage = "TARGET [VAR=value...]"
    cmd_options = (JSON,)
    command = "plan"

    def _execute(self, pos_args: list[str], json: bool) -> int:
        return self._run(pos_args, json=json)


class Profile(_Command):
    """`doit profile [NAME]`."""

    doc_purpose = "show a composed feature profile and who set each value"
    doc_usage = "[NAME]"
    cmd_options = ()
    command = "profile"

    def _execute(self, pos_args: list[str]) -> int:
        return self._run(pos_args)


class Makefile(_Command):
    """`doit makefile`."""

    doc_purpose = "write the Makefile shim"
    doc_usage = ""
    cmd_options = (
        _option("check", "fail if the file differs from what would be written"),
        _option("force", "write over a Makefile that is not ours"),
        _option("output", "file to write (default: Makefile)", str, ""),
    )
    command = "makefile"

    def _execute(self, check: bool, force: bool, output: str) -> int:
        return self._run([], check=check, force=force, output=output)


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
