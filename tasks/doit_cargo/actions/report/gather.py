"""What the report tells, as plain rows: results, builds, sizes, crates, tests. Reads records and runs nothing.

A number that nobody has recorded is not there: the page then says what leaves a record.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from doit_cargo.actions.report import graph
from doit_cargo.engine.base.tables import minute, size_of
from doit_cargo.engine.cargo import units
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import causes, history
from doit_cargo.engine.state import journal, receipts, store
from doit_cargo.engine.state.change import difference_of
from doit_cargo.engine.state.fingerprint import signature
from doit_cargo.sharing import savings

if TYPE_CHECKING:
    from doit_cargo.engine.execution.history import Build
    from doit_cargo.engine.state.journal import End
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.session import Session

MOST_ROWS = 200
SLOWEST = 20
TESTED = "tested-"


class Test(NamedTuple):
    """A run of a test program that is on record. `cases` are (name, outcome, seconds)."""

    package: str
    when: float
    passed: int
    ignored: int
    seconds: float
    cases: tuple[tuple[str, str, float | None], ...]
    flaky: tuple[str, ...]


def now(session: Session) -> list[dict[str, Any]]:
    """Return each result on record, with the first cause for which it would run."""
    found = [one for one in receipts.last_successes(session.state) if session.known_row(one["key"][0])]
    ends = journal.last_of_each(journal.ends(session.state))
    return [_result(session, one, ends) for one in sorted(found, key=lambda one: -one["finished"])]


def _result(session: Session, one: Receipt, ends: Mapping[tuple[str, ...], End]) -> dict[str, Any]:
    receipt, changes = session.verdict_of(one["key"])
    state = journal.since(ends, one["key"]) if receipt is None else "stale" if changes else "up to date"
    cause = "the last run did not end well" if receipt is None else ""
    if receipt and changes:
        first = causes.with_makers(changes, receipt)[0]
        said = difference_of(first.kind, first.old, first.new)
        cause = f"{first.kind} {reporter.below(first.subject, session.root)}: {said}"
    words = {"target": " ".join(one["key"]), "name": one["key"][0], "state": state, "cause": cause}
    return {**words, "when": minute(one["finished"]), "seconds": one["seconds"]}


def failures(session: Session) -> list[dict[str, Any]]:
    """Return the calls whose last run did not end well, the latest first."""
    found = sorted(journal.failures(session.state), key=lambda end: -end.time)
    return [
        {"target": " ".join(end.words), "end": end.end, "when": minute(end.time), "cause": end.cause, "log": end.log}
        for end in found
    ]


def skips(session: Session) -> list[dict[str, Any]]:
    """Return how often each target was skipped, and the minutes that its runs would have taken again."""
    seconds: dict[str, list[float]] = {}
    for skip in journal.skips(session.state):
        seconds.setdefault(skip.target, []).append(skip.seconds)
    rows = [{"target": name, "skips": len(some), "minutes": sum(some) / 60} for name, some in seconds.items()]
    return sorted(rows, key=lambda row: -float(row["minutes"]))


def fetched(session: Session) -> list[dict[str, Any]]:
    """Return how often results of each target came from other machines, and what building them took there."""
    return [{**one, "size": size_of(one["bytes"])} for one in savings.by_target(session.state)]


def builds(found: list[Build]) -> dict[str, Any]:
    """Return builds: points to draw by kind of work, medians, and the latest as rows."""
    kinds: dict[str, list[Build]] = {}
    for build in found:
        kinds.setdefault(build.work, []).append(build)
    points = {kind: [[one.time for one in some], [one.seconds for one in some]] for kind, some in kinds.items()}
    rows = [
        {
            "when": minute(one.time),
            "commit": one.commit,
            "target": one.target,
            "work": one.work,
            "profile": one.profile,
            "seconds": one.seconds,
            "compiled": f"{one.compiled} of {one.units}",
        }
        for one in reversed(found[-MOST_ROWS:])
    ]
    return {"count": len(found), "points": points, "rows": rows, "medians": _medians(found), "saved": _saved(found)}


def _kind(build: Build) -> tuple[object, ...]:
    return (build.target, build.profile, build.features, build.triple)


def _medians(found: Iterable[Build]) -> list[dict[str, Any]]:
    seconds: dict[tuple[str, str], list[float]] = {}
    for build in found:
        seconds.setdefault((build.target, build.work), []).append(build.seconds)
    return [
        {"target": target, "work": work, "builds": len(all_of), "median": statistics.median(all_of), "last": all_of[-1]}
        for (target, work), all_of in sorted(seconds.items())
    ]


def _saved(found: list[Build]) -> list[dict[str, Any]]:
    """Return what was saved against the median of a cold build of the same kind, by kind of work."""
    cold: dict[tuple[object, ...], list[float]] = {}
    for build in found:
        if build.work == history.COLD:
            cold.setdefault(_kind(build), []).append(build.seconds)
    saved: dict[str, list[float]] = {}
    for build in found:
        if build.work != history.COLD and _kind(build) in cold:
            saved.setdefault(build.work, []).append(statistics.median(cold[_kind(build)]) - build.seconds)
    return [{"work": work, "builds": len(some), "minutes": sum(some) / 60} for work, some in sorted(saved.items())]


def sizes(session: Session, builds: Iterable[Build]) -> list[dict[str, Any]]:
    """Return each program of one kind with its sizes over time."""
    allowed = history.allowed_growth(session.workspace.settings)
    found: dict[tuple[object, ...], list[tuple[float, int]]] = {}
    for build in builds:
        for path, key in build.programs.items():
            found.setdefault(key, []).append((build.time, (build.sizes or {})[path]))
    return [_size(key, points, allowed) for key, points in sorted(found.items(), key=str)]


def _size(key: tuple[object, ...], points: list[tuple[float, int]], allowed: float) -> dict[str, Any]:
    first, last = points[0][1], points[-1][1]
    before = points[-2][1] if points[1:] else last
    percent = 100.0 * (last - before) / before if before else 0.0
    return {
        "program": str(key[0]),
        "profile": str(key[1]),
        "first": size_of(first),
        "last": size_of(last),
        "percent": percent,
        "over": percent > allowed,
        "allowed": allowed,
        "points": [[moment for moment, _ in points], [size / 1e6 for _, size in points]],
    }


def crates(session: Session) -> dict[str, Any]:
    """Return what each crate of the latest build took, and what an edit of it rebuilds."""
    cargo = [one for one in receipts.last_successes(session.state) if one.get("observed") and "programs" not in one]
    if not cargo:
        return {"target": "", "rows": [], "svg": ""}
    receipt, seconds = max(
        ((one, unit_seconds(one.get("observed", ()))) for one in cargo),
        key=lambda pair: (bool(pair[1]), bool(pair[0]["outputs"]), len(pair[0]["packages"]), pair[0]["finished"]),
    )
    rows = [_crate(name, seconds, receipt) for name in {**dict.fromkeys(receipt["packages"]), **seconds}]
    rows.sort(key=lambda row: -row["seconds"])
    nodes = {name: f"{seconds.get(name, 0):.1f} s" for name in receipt["graph"]}
    edges = tuple((one, other) for one, others in receipt["graph"].items() for other in others)
    picture = graph.svg(graph.Diagram(nodes, edges), "What each crate rests on, and the seconds that it took")
    local = sorted((row for row in rows if row["local"]), key=lambda row: -row["cost"])
    return {"target": " ".join(receipt["key"]), "rows": rows, "edits": local, "svg": picture}


def unit_seconds(keys: Iterable[str]) -> dict[str, float]:
    """Return package -> the seconds that its units took, as the times of cargo's own files tell: it sets one to the
    moment at which rustc began, and writes the other at the end. Of what came from elsewhere nothing is known.
    """
    found: dict[str, float] = {}
    for key in keys:
        began, ended = signature(units.fingerprint_file(key)), signature(key)
        if began and ended and units.compiled_here(key):
            name = units.package_of(key)
            found[name] = found.get(name, 0.0) + max(0, ended[0] - began[0]) / 1e9
    return found


def _crate(name: str, seconds: Mapping[str, float], receipt: Receipt) -> dict[str, Any]:
    rebuilt = reporter.rebuilds([name], receipt) if name in receipt["graph"] else []
    return {
        "name": name,
        "local": name in receipt["packages"],
        "seconds": seconds.get(name, 0.0),
        "rebuilds": rebuilt,
        "of": len(receipt["packages"]),
        "cost": sum(seconds.get(one, 0.0) for one in rebuilt),
    }


def tests(session: Session) -> dict[str, Any]:
    """Return the test runs on record by package, the slowest tests and the flaky ones."""
    found = sorted(_tests(session.state), key=lambda one: (one.package, -one.when))
    latest = {(one.package, tuple(name for name, _, _ in one.cases)): one for one in reversed(found)}.values()
    cases = [(one.package, name, seconds) for one in latest for name, _, seconds in one.cases if seconds is not None]
    cases.sort(key=lambda case: -case[2])
    flaky = sorted({(one.package, name) for one in found for name in one.flaky})
    return {"runs": _runs(found), "slowest": cases[:SLOWEST], "flaky": flaky}


def _runs(found: Iterable[Test]) -> list[dict[str, Any]]:
    """Return a row for each package and minute."""
    together: dict[tuple[str, str], list[Test]] = {}
    for one in found:
        together.setdefault((one.package, minute(one.when)), []).append(one)
    return [
        {
            "package": package,
            "when": when,
            "passed": sum(one.passed for one in some),
            "ignored": sum(one.ignored for one in some),
            "seconds": sum(one.seconds for one in some),
        }
        for (package, when), some in together.items()
    ]


def _tests(state: str) -> Iterable[Test]:
    folder = os.path.join(state, "receipts")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        data = store.load(os.path.join(folder, name)) if name.startswith(TESTED) else None
        for row in data["rows"] if isinstance(data, dict) else ():
            passed, _, ignored, seconds, cases, flaky = row["result"]
            package = name.removeprefix(TESTED).rpartition("-")[0]
            told = tuple((case[0], case[1], case[2]) for case in cases)
            yield Test(package, row["rest"]["finished"], passed, ignored, seconds, told, tuple(flaky))
