"""Programs that are run to be measured: built, given their arguments from ARGS and MODEL, run under a profiler.

Knows the two command lines of mistral.rs's programs that name a model (``plain -m``, ``gguf -m -f``).
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from doit_cargo.actions import explain, log_path, planned, run_tool, shown_log
from doit_cargo.engine.base.errors import COULD_NOT_RUN, FAILED, Problem, UserError, unknown
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import store
from doit_cargo.engine.toolchain import version_cache

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.run import Outcome
    from doit_cargo.session import Session

FOLDER = "profile"
TAKES_A_MODEL = re.compile(r"^\s+(plain|gguf)\b", re.MULTILINE)


def check(session: Session, values: Values, profilers: tuple[str, ...]) -> None:
    """Raise `UserError` for variables that do not fit, and where nothing says what the program shall do."""
    wanted = values.text("PROFILER")
    if wanted and wanted not in profilers:
        raise UserError(unknown("profiler", wanted, profilers, "PROFILER"))
    planned.require_program(planned.plan_of(session, values, "build"), values.text("BIN"))
    arguments(session, values)


def choose(session: Session, values: Values, profilers: Mapping[str, str], what: str) -> str:
    """Return the profiler that PROFILER names, or the first that is here; `profilers` maps each to its tool.

    Raises `UserError` with how to get one.
    """
    wanted = values.text("PROFILER")
    candidates = {name: tool for name, tool in profilers.items() if not wanted or name == wanted}
    found = next((name for name, tool in candidates.items() if session.machine.tool(tool)), "")
    if not found:
        raise UserError(_no_tool(session, what, list(candidates.values())), COULD_NOT_RUN)
    return found


def _no_tool(session: Session, what: str, names: list[str]) -> Problem:
    """Return the problem of a machine that has none of these tools, and how to get each."""
    from doit_cargo.engine.toolchain.tools import how_to_get

    ways = "; ".join(f"{name}: {how_to_get(name, session.machine.package_manager)}" for name in names)
    return Problem(f"{session.current} needs {what}, and {' or '.join(names)} is not on PATH", ways)


def build(session: Session, values: Values) -> str:
    """Build the row's profile, up to date or not, and return the program that BIN names."""
    plan = planned.plan_of(session, values, "build")
    planned.require(session, values, plan)
    outcome = planned.run_cargo(session, plan, log_path(session, f"{session.current}-build"))
    if not outcome.ok:
        log = shown_log(session, f"{session.current}-build")
        raise UserError(Problem("the program could not be built", f"see the log: {log}"), FAILED)
    return planned.require_program(plan, values.text("BIN"))


def empty_file(session: Session, name: str) -> str:
    """Return where a profiler shall write, with nothing of an earlier run there, whatever ending it added."""
    folder = os.path.join(os.path.dirname(log_path(session, session.current)), FOLDER)
    os.makedirs(folder, exist_ok=True)
    file = os.path.join(folder, name)
    for old in glob.glob(glob.escape(file) + "*"):
        store.remove(old)
    return file


def watch(
    session: Session, values: Values, profiler: str, words: tuple[str, ...], program: str, seconds: float
) -> Outcome:
    """Run a program under a profiler, whose own arguments are `words`, until it ends or its time is over."""
    seconds = float(values.text("SECONDS") or seconds)
    reporter.note(session.current, f"{profiler} watches {os.path.basename(program)} for at most {seconds:g} s")
    argv = (*words, program, *arguments(session, values))
    outcome = run_tool(session, session.current, argv, seconds=seconds, watched=program)
    if not outcome.expired:
        explain(session, session.current, outcome)
    return outcome


def arguments(session: Session, values: Values) -> tuple[str, ...]:
    """Return what the program is to do: ARGS, or the model of MODEL. Raises `UserError` where neither is given."""
    if values.words("ARGS"):
        return (*values.words("ARGS"), *model_arguments(values.text("MODEL")))
    if values.text("MODEL"):
        return model_arguments(values.text("MODEL"))
    fix = f"MODEL=name (plain -m name), MODEL=path/to/file.gguf, or ARGS='...': {session.current} ARGS=--version"
    old = "; feature profiles: doit-cargo profiles" if session.current == "profile" else ""
    raise UserError(Problem(f"{session.current} must know what the program shall do", fix + old))


def model_arguments(model: str) -> tuple[str, ...]:
    """Return how mistral.rs's programs are told a model.

    >>> model_arguments("org/name"), model_arguments("models/a.gguf"), model_arguments("")
    (('plain', '-m', 'org/name'), ('gguf', '-m', 'models', '-f', 'a.gguf'), ())
    """
    if model.endswith(".gguf"):
        return ("gguf", "-m", os.path.dirname(model) or ".", "-f", os.path.basename(model))
    return ("plain", "-m", model) if model else ()


def ask(session: Session, directory: str, *argv: str) -> str:
    """Return what a program prints, "" if it fails or takes longer than a few seconds."""
    return version_cache.ask(argv, session.environ, directory)
