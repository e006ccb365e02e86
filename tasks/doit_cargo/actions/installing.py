"""setup_*: install one tool by the command that the table of tools has for this system, after asking."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from doit_cargo.actions import confirmed, finished, run_tool
from doit_cargo.engine.base.errors import COULD_NOT_RUN, FAILED, Problem, UserError
from doit_cargo.engine.console import reporter
from doit_cargo.engine.plan import mirror
from doit_cargo.engine.toolchain.tools import how_to_get
from doit_cargo.targets import setup as rows

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

# How each installer is told that the question has been asked.
ASSUME_YES = {"apt": "-y", "apt-get": "-y", "dnf": "-y", "zypper": "-y", "pacman": "--noconfirm"}
INSTALLERS = ("pip", "cargo", "rustup", "apt", "apt-get", "dnf", "zypper", "pacman", "apk", "brew", "winget")


def setup(session: Session, values: Values) -> bool:
    """Install the tool of the target at hand, unless it is here."""
    target = session.current
    tool = rows.TOOLS[target]
    found = session.machine.tool(tool)
    if found:
        reporter.done(target, f"{tool} {found.version} is here: {found.path}")
        return True
    command = how_to_get(tool, session.machine.package_manager)
    call = _call(command, values)
    if not call:
        raise UserError(Problem(f"{tool} cannot be installed from here", command), COULD_NOT_RUN)
    if not confirmed(values, f"Run `{command}`?"):
        raise UserError(Problem(f"{tool} is not installed", f"{command}   (YES=1 runs it)"), COULD_NOT_RUN)
    return install(session, tool, call)


def _call(command: str, values: Values) -> list[str]:
    """Return the argument list of an install command, nothing for a sentence or a pipeline."""
    words = shlex.split(command)
    program = next((word for word in words if word != "sudo"), "")
    if program not in INSTALLERS or "|" in words:
        return []
    if program == "pip":
        return [sys.executable, "-m", *words]
    if program == "cargo":
        return [*words, *mirror.arguments(values)]
    return [*words, *([ASSUME_YES[program]] if program in ASSUME_YES else [])]


def install(session: Session, tool: str, call: Sequence[str], specifier: str = "") -> bool:
    """Run an installer for the target at hand and tell where the tool is now.

    Raises `UserError` where it is not on PATH in a version that fits.
    """
    # Not in the workspace: its pinned toolchain and its config.toml are not meant for tools.
    outcome = run_tool(session, session.current, call, cwd=os.path.expanduser("~"))
    session.machine.forget(tool)
    if not outcome.ok:
        return finished(session, session.current, outcome, "")
    found = session.machine.tool(tool)
    if found is None or not session.machine.has(tool, specifier):
        what = f"the installer ended well, but {tool} is not on PATH"
        raise UserError(Problem(what, "put the folder that it named on PATH"), FAILED)
    reporter.done(session.current, f"{tool} {found.version}: {found.path}")
    return True
