"""Targets of TOML files that run a program: the argument list as written, a log, and a skip while its inputs hold."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from doit_cargo.actions import finished, run_tool
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.launch import Program
from doit_cargo.engine.base.model import ActionInputs
from doit_cargo.engine.console import reporter
from doit_cargo.engine.plan import declared
from doit_cargo.engine.state.dir_listing import MATCHING

if TYPE_CHECKING:
    from doit_cargo.session import Session


def run(session: Session, _: Any) -> bool:
    """Run the program of the target at hand; what it promised to leave must be there afterwards."""
    target = session.current
    program = _program(session)
    cwd = os.path.join(session.root, program.cwd)
    if not os.path.isdir(cwd):
        where = session.target(target).where
        raise UserError(Problem(f"there is no folder {program.cwd!r}", "correct cwd", where), COULD_NOT_RUN)
    outcome = run_tool(session, target, program.argv, cwd=cwd, env=program.env, asks=True)
    missing = [path for path in program.outputs if not os.path.exists(os.path.join(session.root, path))]
    if outcome.ok and missing:
        raise UserError(Problem(f"{target} ended well, but {missing[0]} is not there", "see its log"), code=1)
    return finished(session, target, outcome, os.path.basename(program.argv[0]))


def check(session: Session, _: Any) -> bool:
    """Tell where the tools are that a row needs; had one or a service been missing, this would not have started."""
    from doit_cargo.engine.preflight.preflight import split_need

    target = session.target(session.current)
    found = [session.machine.tool(split_need(need)[0]) for need in target.needs]
    texts = [f"{tool.name} {tool.version}  {tool.path}".replace("  ", " ", 1) for tool in found if tool]
    reporter.done(session.current, "; ".join([*texts, *(f"{name} answers" for name in target.services)]))
    return True


def watch(session: Session, _: Any) -> ActionInputs:
    """Return what the row says that the program rests on, and the program itself."""
    program = _program(session)
    target = session.target(session.current)
    return ActionInputs(
        files=tuple(_literal(session, program.files)),
        folders={
            session.root: (MATCHING, os.pathsep.join(session.workspace.built_in), *program.files),
            **declared.of(session.workspace, _named(program.files)).folders,
        },
        variables=program.variables,
        tools=(program.argv[0], *(need.partition(">")[0].partition("=")[0] for need in target.needs)),
        outputs=tuple(os.path.join(session.root, path) for path in program.outputs),
    )


def _literal(session: Session, patterns: tuple[str, ...]) -> list[str]:
    """Return the files that are named without a pattern: where one is absent it must stay so."""
    paths = [os.path.join(session.root, name) for name in _named(patterns)]
    return [path for path in paths if not os.path.isdir(path)]


def _named(patterns: tuple[str, ...]) -> list[str]:
    return [name for name in patterns if not declared.is_pattern(name)]


def _program(session: Session) -> Program:
    program = session.target(session.current).program
    if program is None:
        raise ValueError(f"{session.current} runs no program")
    return program.at(session.root)
