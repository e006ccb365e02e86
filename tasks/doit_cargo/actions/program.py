"""Targets of TOML files that run a program: the argument list as written, a log, and a skip while its inputs hold."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from doit_cargo.actions import LOGS, TEST_LOGS, finished, log_path, run_tool
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.launch import OwnProgram
from doit_cargo.engine.base.model import ActionInputs
from doit_cargo.engine.base.variables import STRICT
from doit_cargo.engine.cargo.config import named_files
from doit_cargo.engine.console import reporter
from doit_cargo.engine.plan import declared
from doit_cargo.engine.state import dir_listing

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.observe.observer import Observation
    from doit_cargo.engine.execution.run import Outcome
    from doit_cargo.session import Session


# In `session.found`: what the program was seen to rest on.
SEEN = "what a program was seen to rest on"


def run(session: Session, values: Values) -> bool:
    """Run the program of the target at hand; what it promised to leave must be there afterwards."""
    target = session.current
    program = _program(session)
    cwd = os.path.join(session.root, program.cwd)
    if not os.path.isdir(cwd):
        where = session.targets[target].where
        raise UserError(Problem(f"there is no folder {program.cwd!r}", "correct cwd", where), COULD_NOT_RUN)
    if program.is_declared or not session.targets[target].watch:
        outcome = run_tool(session, target, program.argv, cwd=cwd, env=program.env, asks=True)
    else:
        outcome = _observed(session, values, program, cwd)
    missing = [path for path in program.outputs if not os.path.exists(os.path.join(session.root, path))]
    if outcome.ok and missing:
        raise UserError(Problem(f"{target} ended well, but {missing[0]} is not there", "see its log"), code=1)
    return finished(session, target, outcome, os.path.basename(program.argv[0]))


def check(session: Session, _: Any) -> bool:
    """Tell where the tools are that a row needs; had one or a service been missing, this would not have started."""
    from doit_cargo.engine.toolchain.versions import split_need

    target = session.targets[session.current]
    found = [session.machine.tool(split_need(need)[0]) for need in target.needs]
    texts = [f"{tool.name} {tool.version}  {tool.path}".replace("  ", " ", 1) for tool in found if tool]
    reporter.done(session.current, "; ".join([*texts, *(f"{name} answers" for name in target.services)]))
    return True


def _observed(session: Session, values: Values, program: OwnProgram, cwd: str) -> Outcome:
    """Run a program of whose inputs the row says nothing, and keep what it was seen to rest on."""
    with observing(session, values, program.env, repeats=False) as observation:
        outcome = run_tool(
            session, session.current, program.argv, cwd=cwd, env=program.env, asks=True, observation=observation
        )
    if outcome.ok:
        tell_unseen(session, values)
    return outcome


@contextlib.contextmanager
def observing(
    session: Session, values: Values, env: Mapping[str, str], dropped: Sequence[str] = (), *, repeats: bool = True
) -> Iterator[Observation | None]:
    """Observe what the target at hand runs within the block by the given observation, and keep it in `session.found`.

    `env` is what the target gives to it; `dropped` and `repeats` are as for `inputs`.
    """
    from doit_cargo.actions.testing.observing import TestWatch
    from doit_cargo.engine.execution.observe.inputs import Scope
    from doit_cargo.engine.state.seen import World

    target = session.current
    own = [session.state, *(os.path.join(session.root, name) for name in (LOGS, TEST_LOGS))]
    os.makedirs(os.path.dirname(log_path(session, target)), exist_ok=True)  # no change of the root meanwhile
    with TestWatch.of(session.environ, (), values.text("OBSERVE")).look() as look:
        yield look.observation
        scope = Scope((*own, *dropped), World({**session.environ, **env}))
        session.found[SEEN, target] = look.of_run(scope, repeats=repeats)


def tell_unseen(session: Session, values: Values) -> None:
    """Say why the target at hand runs each time, if it does. Raises `UserError` where all must be seen."""
    reasons = session.found[SEEN, session.current].reasons
    if reasons:
        reporter.note(session.current, f"runs each time: {reasons[0]}")
        if values.text("OBSERVE") == STRICT:
            raise UserError(Problem(f"OBSERVE=strict: {'; '.join(reasons)}", "leave OBSERVE=strict out"), code=1)


def watch(session: Session, _: Any) -> ActionInputs:
    """Return what the row says that the program rests on, or what it was seen to, and the program itself."""
    program = _program(session)
    target = session.targets[session.current]
    seen = session.found.get((SEEN, session.current))
    rule = (dir_listing.MATCHING, os.pathsep.join(session.workspace.built_in), *program.files)
    matching = {session.root: rule} if program.files else {}
    outputs = [os.path.join(session.root, path) for path in program.outputs]
    named = _script(session, program, outputs) if program.is_declared else ()
    left, too_large = _with_contents(outputs)
    found = ActionInputs(
        files=(*_literal(session, program.files), *named, *session.library.pack.files),  # the row itself
        folders={**matching, **declared.of(session.workspace, _named(program.files)).folders},
        variables=program.variables,
        tools=(program.argv[0], *(need.partition(">")[0].partition("=")[0] for need in target.needs)),
        outputs=tuple(dict.fromkeys([*left, *(seen.left if seen else ())])),
        always_stale_reason=too_large,
    )
    return with_seen(session, found)


def _script(session: Session, program: OwnProgram, outputs: Sequence[str]) -> list[str]:
    """Return the files that the call itself names, such as an interpreter's script, but for what it makes."""
    named = named_files.in_words(program.argv[1:], (os.path.join(session.root, program.cwd),))
    made = tuple(os.path.join(os.path.normpath(path), "") for path in outputs)
    return [path for path in named if not os.path.join(path, "").startswith(made)]


def _with_contents(outputs: Sequence[str]) -> tuple[list[str], str]:
    """Return outputs with all that lies in those that are folders, or why that is too much to be compared."""
    found: list[str] = []
    for path in outputs:
        found.append(path)
        try:
            names = dir_listing.list_tree(path, declared.EVERYTHING)[1] if os.path.isdir(path) else ()
        except dir_listing.TooLarge as error:
            return found, error.problems[0].what
        found += (os.path.join(path, name) for name in names)
    return found, ""


def with_seen(session: Session, found: ActionInputs) -> ActionInputs:
    """Add what the target at hand was seen to rest on, or why that is not all."""
    seen = session.found.get((SEEN, session.current))
    if seen is None:
        return found
    return found._replace(
        seen=tuple(seen.rows), always_stale_reason=next(iter(seen.reasons), found.always_stale_reason)
    )


def _literal(session: Session, patterns: tuple[str, ...]) -> list[str]:
    """Return the files that are named without a pattern: where one is absent it must stay so."""
    paths = [os.path.join(session.root, name) for name in _named(patterns)]
    return [path for path in paths if not os.path.isdir(path)]


def _named(patterns: tuple[str, ...]) -> list[str]:
    return [name for name in patterns if not declared.is_pattern(name)]


def _program(session: Session) -> OwnProgram:
    program = session.targets[session.current].program
    if program is None:
        raise ValueError(f"{session.current} runs no program")
    return program.at(session.root)
