"""Durations of builds from the history, as a Markdown table; and a build from nothing that proves itself.

Knows the history's words for how much a build had to do.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from doit_cargo.actions import file_to_write, planned, shown_log
from doit_cargo.actions.measure import programs
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.tables import counted, size_of
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import history

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.history import Build
    from doit_cargo.session import Session

OUTPUT = "BUILD_PERFORMANCE.md"
BEGIN, END = "<!-- build times: written by doit-cargo build_perf_docs -->", "<!-- end: build times -->"
KINDS = (history.COLD, history.CACHED, history.INCREMENTAL, history.NOTHING)
HEADING = """\
# Build performance

Times of the builds on record, in seconds: the median, and how many. *Cold*: everything was compiled. *Cached*:
everything, with a compiler cache. *Incremental*: a part. *Nothing*: cargo found all of it fresh; a target that is
skipped is not on record, since nothing ran.

"""


def build_perf_docs(session: Session, values: Values) -> bool:
    """Write the table of durations into a Markdown file, between its marks if the file is there already."""
    builds = history.read(session.state)
    if not builds:
        fix = "every build that runs adds a line: doit-cargo build"
        raise UserError(Problem("no build is on record here yet", fix), COULD_NOT_RUN)
    path = output_path(session, values)
    atomic.write(path, document(_old(path), table(builds)))
    reporter.done(session.current, f"{counted(len(builds), 'build')}: {reporter.relative(path, session.root)}")
    return True


def check_docs(session: Session, values: Values) -> None:
    """Raise `UserError` for a file that is not ours to write."""
    path = output_path(session, values)
    if os.path.isdir(path):
        raise UserError(Problem("OUTPUT is a folder", "name a file, such as docs/builds.md", path))
    old = _old(path)
    if old and (BEGIN not in old or END not in old):
        fix = f"name another file with OUTPUT, or put these two lines where the table shall stand: {BEGIN} and {END}"
        raise UserError(Problem("this file is there and has no place for the table", fix, path))


def output_path(session: Session, values: Values) -> str:
    """Return the file to write, from the folder of the call."""
    asked = values.text("OUTPUT")
    return file_to_write(session, asked, start=session.start) if asked else os.path.join(session.root, OUTPUT)


def _old(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def document(old: str, block: str) -> str:
    """Return a document with the block between its marks; a new one where there is none."""
    whole = f"{BEGIN}\n\n{block}\n\n{END}"
    if not old:
        return f"{HEADING}{whole}\n"
    return re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: whole, old, count=1, flags=re.DOTALL)


def table(builds: Iterable[Build]) -> str:
    """Return the Markdown table: a row for each target, platform and feature set, a column for each kind of build."""
    groups: dict[tuple[str, str, str, str], dict[str, list[Build]]] = {}
    for build in builds:
        key = (build.target, f"{build.platform}, {build.cores} cores", build.cargo_profile, ", ".join(build.features))
        groups.setdefault(key, {}).setdefault(build.work, []).append(build)
    lines = ["| Target | Machine | Cargo profile | Features | Cold | Cached | Incremental | Nothing | Last |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for key, kinds in sorted(groups.items()):
        last = max(build.time for found in kinds.values() for build in found)
        cells = [*key, *(_cell(kinds.get(kind, [])) for kind in KINDS), time.strftime("%Y-%m-%d", time.localtime(last))]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _cell(builds: list[Build]) -> str:
    if not builds:
        return "-"
    return f"{statistics.median(build.seconds for build in builds):.1f} ({len(builds)})"


def check_build(session: Session, values: Values) -> None:
    """Raise `UserError` for variables that do not fit this workspace."""
    planned.plan_of(session, values, "build")


def verify_build(session: Session, values: Values) -> bool:
    """Build from nothing in scratch; each program must be there, start, and tell its version or its help."""
    plan = planned.plan_of(session, values, "build")
    planned.require(session, values, plan)
    scratch = planned.scratch_directory(session, "verify")
    planned.empty(scratch)
    reporter.note(session.current, "builds from nothing in a directory of its own; what other targets made stays")
    outcome = planned.run_cargo(session, planned.into(plan, scratch))
    log = shown_log(session, session.current)
    if not outcome.ok:
        reporter.ended(session.current, outcome, "", log)
        return False
    problems = [problem for path in _moved(session, plan, scratch) if (problem := _look_at(session, path))]
    planned.empty(scratch)
    for problem in problems:
        reporter.failed(session.current, problem)
    if not problems:
        compiled = f"{counted(len(outcome.report.units), 'unit')} compiled"
        reporter.done(
            session.current,
            f"{outcome.seconds:.1f} s: {compiled}, {counted(len(plan.outputs), 'program')} started; log: {log}",
        )
    return not problems


def _moved(session: Session, plan: Plan, scratch: str) -> list[str]:
    """Return where the programs of a plan are after a build into another target directory."""
    target = session.workspace.target_directory
    return [os.path.join(scratch, os.path.relpath(path, target)) for path in plan.outputs]


def _look_at(session: Session, path: str) -> str:
    """Return what is wrong with a program that was just built, "" if nothing is."""
    name = os.path.basename(path)
    if not os.path.isfile(path):
        return f"cargo ended well, but {name} is not there"
    said = programs.ask(session, session.root, path, "--version") or programs.ask(session, session.root, path, "--help")
    if not said:
        return f"{name} ({size_of(os.path.getsize(path))}) answers neither --version nor --help"
    print(f"   {name:32} {size_of(os.path.getsize(path)):>9}  {said.splitlines()[0][:60]}")
    return ""
