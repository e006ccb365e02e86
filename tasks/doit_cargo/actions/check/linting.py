"""lint_python and lint_fix: ruff over the Python code, and what clippy and ruff can correct by themselves.

lint_fix changes sources, so it never begins on work that could be lost: with uncommitted changes only by YES=1, and
then a copy of every file that git does not have is kept first.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from doit_cargo.actions import ask, finished, run_tool
from doit_cargo.actions.check.formatting import files_of
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.model import Invocation, Plan
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.process.processes import GIT
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import build_places
from doit_cargo.engine.state import fingerprint, lock
from doit_cargo.engine.toolchain.tools import how_to_get

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

BACKUPS = "before-lint-fix"
SHOWN = 5


def lint_python(session: Session, _: Values) -> bool:
    """`ruff check` of all Python files that git does not ignore."""
    files = files_of(session)["python"]
    if not files:
        reporter.done("lint_python", "there is no Python code here")
        return True
    outcome = run_tool(session, "lint_python", [*_ruff(session), *files])
    return finished(session, "lint_python", outcome, f"{len(files)} Python files without a finding")


def _ruff(session: Session) -> list[str]:
    tool = session.machine.tool("ruff")
    # doit reads DOIT_CONFIG of a dodo.py: its import looks unused, and a correction would remove it.
    kept = ("--extend-per-file-ignores", "dodo.py:F401")
    return [tool.path if tool else "ruff", "check", "--no-cache", "--force-exclude", *kept]


def lint_fix(session: Session, values: Values) -> bool:
    """`clippy --fix` and `ruff check --fix`, on a clean git tree or after keeping what git does not have."""
    uncommitted = _uncommitted(session)
    if uncommitted != [] and not values.flag("YES"):
        raise _refusal(uncommitted)
    sources = [name for files in files_of(session).values() for name in files]
    kept = _keep(session, uncommitted if uncommitted is not None else sources)
    before = {name: _stamp(session, name) for name in sources}
    with lock.RunLock(session.state), build_places.held(session.workspace.built_in):
        done = _fix_rust(session, values)
    done = _fix_python(session) and done
    changed = [name for name, stamp in before.items() if _stamp(session, name) != stamp]
    for name in changed:
        reporter.note("lint_fix", f"corrected {name}")
    kept_text = f"; as they were: {reporter.relative(kept, session.root)}" if kept else ""
    if done:
        reporter.done(
            "lint_fix", f"{counted(len(changed), 'file')} corrected; what is left: doit-cargo lint{kept_text}"
        )
    return done


def _uncommitted(session: Session) -> list[str] | None:
    """Return the files with changes that git does not have; None outside of a git tree."""
    answer = ask(session, [*GIT, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", "."])
    if answer.status:
        return None
    top = ask(session, [*GIT, "rev-parse", "--show-toplevel"]).out.strip()
    names = [entry[3:] for entry in answer.out.split("\0") if len(entry) > 3]
    return [os.path.relpath(os.path.join(top, name), os.path.realpath(session.root)) for name in names]


def _refusal(uncommitted: list[str] | None) -> UserError:
    if uncommitted is None:
        what, fix = "lint_fix changes sources, and git does not have them", "YES=1: copies are kept then"
        return UserError(Problem(what, fix), COULD_NOT_RUN)
    what = f"lint_fix changes sources; {counted(len(uncommitted), 'file')} not committed yet: "
    fix = "commit or stash them, or YES=1: copies are kept then"
    return UserError(Problem(what + shortened(uncommitted, SHOWN), fix), COULD_NOT_RUN)


def _keep(session: Session, names: Iterable[str]) -> str:
    """Copy the files that git does not have; return the folder, or "" if there was none to copy."""
    folder = os.path.join(session.state, BACKUPS, time.strftime("%Y%m%d-%H%M%S"))
    found = [name for name in names if os.path.isfile(os.path.join(session.root, name))]
    for name in found:
        copy = os.path.join(folder, name.replace("..", "up"))
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copy2(os.path.join(session.root, name), copy)
    return folder if found else ""


def _stamp(session: Session, name: str) -> object:
    return fingerprint.signature(os.path.join(session.root, name))


def show_fix(session: Session, values: Values) -> list[Plan]:
    """Return the calls of lint_fix."""
    rust = _rust_plan(session, values)
    files = files_of(session)["python"]
    python = rust._replace(invocation=Invocation((*_ruff(session), "--fix", "--exit-zero", *files), session.root))
    return [rust, python] if files and session.machine.tool("ruff") else [rust]


def _rust_plan(session: Session, values: Values) -> Plan:
    from doit_cargo.engine.plan import plan

    flags = ("--all-targets", "--fix", "--allow-dirty", "--allow-staged", "--allow-no-vcs")
    target = session.targets["lint"]._replace(name="lint_fix", flags=flags, passthrough_args=())
    return plan.make(target, values, session.workspace, session.library, session.machine)


def _fix_rust(session: Session, values: Values) -> bool:
    from doit_cargo.engine.preflight import preflight

    made = _rust_plan(session, values)
    for note in made.notes:
        reporter.note("lint_fix", note)
    preflight.require(made, session.machine, session.root, session.known(made, "lint_fix"))
    call = made.invocation
    outcome = run_tool(session, "lint_fix", call.argv, env=call.env, unset=call.unset)
    return outcome.ok or finished(session, "lint_fix", outcome, "")


def _fix_python(session: Session) -> bool:
    files = files_of(session)["python"]
    if not files:
        return True
    if session.machine.tool("ruff") is None:
        command = how_to_get("ruff", session.machine.package_manager)
        reporter.note("lint_fix", f"{len(files)} Python files skipped: ruff is not installed, get it with: {command}")
        return True
    outcome = run_tool(session, "lint_fix", [*_ruff(session), "--fix", "--exit-zero", *files])
    return outcome.ok or finished(session, "lint_fix", outcome, "")
