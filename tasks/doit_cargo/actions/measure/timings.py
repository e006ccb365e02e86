"""Where the time of a build goes: cargo's own timings, as its page and as a table.

Cargo writes ``--timings`` as an HTML page whose data are a JSON list called UNIT_DATA; the JSON form is for nightly
only. What is up to date has no timing, so the build goes into an empty scratch directory, without compiler cache, and
nothing else is touched.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doit_cargo.actions import log_path, planned, shown_log
from doit_cargo.engine.base.errors import FAILED, Problem, UserError
from doit_cargo.engine.base.tables import counted, minute
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

MARK = "UNIT_DATA = "
PAGE = "build-timings.html"
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that the units of one package took, of which `scripts` for its build script."""

    name: str
    version: str
    seconds: float
    scripts: float = 0.0
    units: int = 0


def units_of(page: str) -> list[dict[str, Any]]:
    """Return the units of cargo's page: name, version, mode, target, start and duration in seconds, and more.

    Raises ValueError for a page without them.
    """
    start = page.find(MARK)
    if start < 0:
        raise ValueError("no UNIT_DATA in the page")
    found, _ = json.JSONDecoder().raw_decode(page, start + len(MARK))
    if not isinstance(found, list) or not all(isinstance(unit, dict) and "duration" in unit for unit in found):
        raise ValueError("UNIT_DATA is no list of units")
    return found


def costs(units: Iterable[Mapping[str, Any]]) -> list[Cost]:
    """Return the packages by the time that their units took together, the slowest first."""
    found: dict[tuple[str, str], Cost] = {}
    for unit in units:
        key = str(unit.get("name", "?")), str(unit.get("version", ""))
        seconds = float(unit["duration"])
        script = seconds if "build-script" in str(unit.get("target", "")) else 0.0
        last = found.get(key, Cost(*key, 0.0))
        found[key] = Cost(*key, last.seconds + seconds, last.scripts + script, last.units + 1)
    return sorted(found.values(), key=lambda cost: (-cost.seconds, cost.name))


def check(session: Session, values: Values) -> None:
    """Raise `UserError` for variables that do not fit this workspace."""
    planned.plan_of(session, values, "build")


def build_timings(session: Session, values: Values) -> bool:
    """Build from nothing in scratch, keep cargo's page, and print which packages took longest."""
    plan = planned.plan_of(session, values, "build", ("--timings",))
    planned.require(session, values, plan)
    scratch = planned.scratch_directory(session, "timings")
    planned.empty(scratch)
    reporter.note(session.current, "builds from nothing in a directory of its own, without compiler cache")
    outcome = planned.run_cargo(session, planned.into(plan, scratch, RUSTC_WRAPPER=""))
    log = shown_log(session, session.current)
    if not outcome.ok:
        reporter.ended(session.current, outcome, "", log)
        return False
    page = _page(session)
    os.makedirs(os.path.dirname(page), exist_ok=True)
    shutil.copyfile(os.path.join(scratch, "cargo-timings", "cargo-timing.html"), page)
    planned.empty(scratch)
    units = _read(page)
    _print(session, costs(units), values.number("N") or SHOWN)
    work = sum(float(unit["duration"]) for unit in units)
    what = f"{counted(len(units), 'unit')}, {work:.1f} s of work, {work / max(outcome.seconds, 0.1):.1f} at a time"
    reporter.done(
        session.current, f"{outcome.seconds:.1f} s: {what}; page: {reporter.relative(page, session.root)}; log: {log}"
    )
    return True


def slowest_deps(session: Session, values: Values) -> bool:
    """Print which packages took longest in the last `build_timings`; without one, it is made first."""
    page = _page(session)
    if values.flag("FORCE") or not os.path.isfile(page):
        reporter.note(session.current, "no build was timed yet" if not os.path.isfile(page) else "FORCE=1: timed again")
        return build_timings(session, values)
    date = minute(os.path.getmtime(page))
    found = costs(_read(page))
    _print(session, found, values.number("N") or SHOWN)
    lock = os.path.join(session.root, "Cargo.lock")
    if os.path.isfile(lock) and os.path.getmtime(lock) > os.path.getmtime(page):
        reporter.note(session.current, "Cargo.lock is newer than these timings; FORCE=1 times a build again")
    place = reporter.relative(page, session.root)
    reporter.done(session.current, f"{counted(len(found), 'package')} of the build timed on {date}; page: {place}")
    return True


def _page(session: Session) -> str:
    return os.path.join(os.path.dirname(log_path(session, session.current)), PAGE)


def _read(page: str) -> list[dict[str, Any]]:
    try:
        with open(page, encoding="utf-8", errors="replace") as stream:
            return units_of(stream.read())
    except ValueError as error:
        fix = "remove it and run build_timings; if it comes back, this cargo writes another form: open the page itself"
        raise UserError(Problem(f"cargo's timings cannot be read: {error}", fix, page), FAILED) from None


def _print(session: Session, found: list[Cost], shown: int) -> None:
    total = sum(cost.seconds for cost in found) or 1.0
    members = session.workspace.packages
    print(f"   {'seconds':>8} {'share':>7}  {'build script':>12}  package")
    for cost in found[:shown]:
        own = "  (member)" if cost.name in members else ""
        script = f"{cost.scripts:.1f}" if cost.scripts else "-"
        share = f"{100 * cost.seconds / total:.1f}%"
        print(f"   {cost.seconds:8.1f} {share:>7}  {script:>12}  {cost.name} {cost.version}{own}")
    if len(found) > shown:
        rest = sum(cost.seconds for cost in found[shown:])
        print(f"   {rest:8.1f} {100 * rest / total:6.1f}%  {'':>12}  {len(found) - shown} more (N=number shows more)")
