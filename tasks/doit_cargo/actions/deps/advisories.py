"""audit and deny: known vulnerabilities, bans, licences and sources, by cargo-audit and cargo-deny.

Advisories come from a git repository on the network. A copy of it will do: cargo-audit's own of an earlier run, or a
folder that the user names.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from doit_cargo.actions import finished, log_path, run_tool, shown_log
from doit_cargo.actions.deps.dependencies import lock_path
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.files import read_text
from doit_cargo.engine.base.model import ActionInputs
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.cargo.lockfile import read
from doit_cargo.engine.console import reporter
from doit_cargo.engine.toolchain.rustup import cargo_home

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.run import Outcome
    from doit_cargo.session import Session

DATABASE = "https://github.com/RustSec/advisory-db"
# What the two tools say where the database cannot be had (cargo-audit 0.22, cargo-deny 0.20).
NO_DATABASE = re.compile(r"couldn't fetch advisory database|failed to fetch advisory database")


def check_database(_: Session, values: Values) -> None:
    """Require that ADVISORY_DB, if given, is a copy of the database."""
    folder = values.text("ADVISORY_DB")
    if folder and not os.path.isdir(os.path.join(folder, "crates")):
        fix = f"give the folder of a clone: git clone --depth 1 {DATABASE}"
        raise UserError(Problem("ADVISORY_DB is no copy of the advisory database", fix, folder))


def audit(session: Session, values: Values) -> bool:
    """`cargo audit` with a fresh database, or with a copy where there is no network."""
    lock = read(lock_path(session))
    count = f"{counted(len(list(lock.packages)), 'package')} checked"
    folder = values.text("ADVISORY_DB")
    if folder:
        return _audited(session, _audit(session, os.path.abspath(folder)), f"{count} against {folder}")
    outcome = _audit(session, "")
    if outcome.status == 0 or not NO_DATABASE.search(read_text(log_path(session, "audit"))):
        return _audited(session, outcome, count)
    kept = os.path.join(cargo_home(session.environ), "advisory-db")
    if not os.path.isdir(os.path.join(kept, "crates")):
        raise _no_database("audit", "ADVISORY_DB=FOLDER uses it")
    fetched = time.strftime("%Y-%m-%d", time.localtime(os.path.getmtime(kept)))
    reporter.note("audit", f"the network is out of reach: the copy of {fetched} is used, {kept}")
    return _audited(session, _audit(session, kept), f"{count} against the copy of {fetched}")


def _audit(session: Session, folder: str) -> Outcome:
    """Run cargo-audit; with a folder, without the network: it could not ask for yanked versions either."""
    offline = ["--no-fetch", "--stale", "--no-yanked", "--db", folder] if folder else []
    return run_tool(session, "audit", ["cargo", "audit", "--file", lock_path(session), *offline])


def _audited(session: Session, outcome: Outcome, what: str) -> bool:
    found = re.findall(r"(\d+) (vulnerabilit\w+|allowed warning\w*) found", read_text(log_path(session, "audit")))
    told = ", ".join(" ".join(one) for one in found)
    if outcome.status == 1 and told:
        reporter.failed("audit", f"{told} found ({what}); log: {shown_log(session, 'audit')}")
        return False
    return finished(session, "audit", outcome, f"{what}; {told or 'nothing known against them'}")


def _no_database(target: str, use: str) -> UserError:
    what = f"{target} has checked nothing: the advisory database cannot be fetched, and there is no copy of it here"
    fix = f"where there is a network: git clone --depth 1 {DATABASE}; then {use}"
    return UserError(Problem(what, fix), COULD_NOT_RUN)


def watch_deny(session: Session, _: Values) -> ActionInputs:
    """Return what the checks without the network rest on."""
    manifests = [package.manifest for package in session.workspace.packages.values()]
    deny = os.path.join(session.root, "deny.toml")
    return ActionInputs(files=(deny, lock_path(session), session.workspace.manifest, *manifests), tools=("cargo-deny",))


def deny(session: Session, _: Values) -> bool:
    """`cargo deny check` of what the lock and the packages themselves tell."""
    outcome = run_tool(session, "deny", ["cargo", "deny", "check", "bans", "licenses", "sources"])
    return finished(session, "deny", outcome, "bans, licences and sources are as deny.toml wants them")


def deny_advisories(session: Session, _: Values) -> bool:
    """`cargo deny check advisories`, which fetches its database."""
    name = "deny_advisories"
    outcome = run_tool(session, name, ["cargo", "deny", "check", "advisories"])
    if not outcome.ok and NO_DATABASE.search(read_text(log_path(session, name))):
        raise _no_database(name, "audit ADVISORY_DB=FOLDER uses it")
    return finished(session, name, outcome, "no advisory against any package")
