"""Cargo calls of targets that measure: the plan of the row at hand, checked and run, in the workspace or in scratch.

Knows no tool and no result.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from doit_cargo.actions import log_path
from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.model import Plan
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import build_places
from doit_cargo.engine.state import lock

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.run import Outcome
    from doit_cargo.session import Session


def plan_of(session: Session, values: Values, command: str, flags: Sequence[str] = (), **fields: object) -> Plan:
    """Return the cargo call that the row at hand stands for: its packages and profile, with this subcommand.

    `fields` replace fields of the row. Raises `UserError` for bad variables, `Absent` for what is not here.
    """
    from doit_cargo.engine.plan import plan

    row = session.targets[session.current]
    call = row._replace(command=command, action="", flags=tuple(flags), **fields)  # type: ignore[arg-type]
    return plan.make(call, values, session.workspace, session.library, session.machine)


def require(session: Session, values: Values, plan: Plan) -> None:
    """Say the notes of a plan and check that this machine can run it. Raises `UserError` with all that is missing."""
    from doit_cargo.engine.preflight import preflight

    for note in plan.notes:
        reporter.note(plan.target, note)
    if not values.flag("WITHOUT_PREFLIGHT"):
        preflight.require(plan, session.machine, session.root, session.known(plan, plan.target))


def run_cargo(session: Session, plan: Plan, log: str = "") -> Outcome:
    """Run a cargo build to its end; in the workspace's own target directory no other target runs meanwhile."""
    from doit_cargo.engine.execution import run

    scratch = "CARGO_TARGET_DIR" in plan.invocation.env
    with ExitStack() as locks:
        if not scratch:
            locks.enter_context(lock.RunLock(session.state))
            locks.enter_context(build_places.held(session.workspace.built_in))
        place = log or log_path(session, plan.target)
        outcome = run.run(plan.invocation, session.environ, place, f"doit-cargo {plan.target}")
    session.interrupted = session.interrupted or outcome.interrupted
    return outcome


def scratch_directory(session: Session, name: str) -> str:
    """Return a target directory of our own, below the workspace's: `clean` removes it too."""
    return os.path.join(session.workspace.target_directory, "doit-cargo", name)


def empty(directory: str) -> None:
    """Remove a scratch directory. Raises OSError if something else holds it."""
    if os.path.isdir(directory):
        shutil.rmtree(directory)


def into(plan: Plan, directory: str, **env: str) -> Plan:
    """Return a plan that builds into another target directory, with its programs there."""
    call = plan.invocation
    # A build directory that is set apart would bring what was built before.
    env = {**call.env, **env, "CARGO_TARGET_DIR": directory, "CARGO_BUILD_BUILD_DIR": directory}
    return plan._replace(invocation=call._replace(env=env))


def owners(session: Session, plan: Plan) -> list[tuple[str, str]]:
    """Return (package, binary) for each program that a build of this plan leaves."""
    wanted = {os.path.splitext(os.path.basename(path))[0] for path in plan.outputs}
    return [
        (name, binary)
        for name in plan.packages
        for binary in session.workspace.packages[name].binaries
        if binary in wanted
    ]


def require_program(plan: Plan, wanted: str) -> str:
    """Return the program of a build that BIN names: else the one called like its package, else the first.

    Raises `UserError` for a name that this build does not make, and where it makes none.
    """
    from doit_cargo.engine.base.errors import unknown

    programs = {os.path.splitext(os.path.basename(path))[0]: path for path in plan.outputs}
    if not programs:
        fix = "name another package with PACKAGE"
        raise UserError(Problem(f"{', '.join(plan.packages)} makes no program", fix))
    if wanted and wanted not in programs:
        raise UserError(unknown("program", wanted, tuple(programs), "BIN"))
    named = next((name for name in programs if name in plan.packages), next(iter(programs)))
    return programs[wanted or named]
