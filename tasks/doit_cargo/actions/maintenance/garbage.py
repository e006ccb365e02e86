"""`doit-cargo gc`: what of the build directory no target's last success rests on, and its removal.

A receipt names the units of its success, so what is needed is on record; all else is given back, what was used longest
ago first. A target that is up to date stays so: that is looked at again at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.engine.base.errors import COULD_NOT_RUN, DONE, Problem, UserError
from doit_cargo.engine.base.files import bytes_below
from doit_cargo.engine.base.tables import aligned, counted, minute, size_of
from doit_cargo.engine.cargo import garbage, units
from doit_cargo.engine.cargo.garbage import UnitFiles
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import build_places
from doit_cargo.engine.execution.evidence.invalidation import Ledger
from doit_cargo.engine.state import lock, receipts
from doit_cargo.session import Session
from doit_cargo.targets import handlers

if TYPE_CHECKING:
    from doit_cargo.engine.state.receipts import Receipt

UNITS = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "": 1.0}
# Of these families some other program calls cargo, and keeps its messages to itself.
UNTOLD = ("python",)


class Holder(NamedTuple):
    """A target's last success: whether it still holds, when it was, and the units that it rests on."""

    key: tuple[str, ...]
    is_fresh: bool
    finished: float
    marks: frozenset[str]

    @property
    def name(self) -> str:
        return " ".join(self.key)


class BuildDirectory(NamedTuple):
    """What lies in the build directory: units, and the results that rest on them."""

    kept: list[UnitFiles]
    results: list[Holder]
    incremental: list[UnitFiles]

    def bytes_of(self, marks: frozenset[str]) -> int:
        return garbage.size(path for unit in self.kept if unit.mark in marks for path in unit.paths)


def gc(session: Session, options: argparse.Namespace) -> int:
    """`gc`: remove what no target's last success rests on; with --dry-run only say what that is."""
    most = _size(options.max_size) if options.max_size else None
    if not os.path.isdir(session.workspace.kept_in):
        raise UserError(
            Problem(f"there is no {session.workspace.kept_in} yet", "doit-cargo build makes it"), COULD_NOT_RUN
        )
    with lock.RunLock(session.state), build_places.held(session.workspace.built_in):
        _require_alone(session)
        found = look(session)
        before = bytes_below(*session.workspace.built_in)
        chosen, given_up = _chosen(found, before, most)
        if not options.dry_run:
            _remove(session, chosen)
            _require_fresh(session, found, given_up)
        size = garbage.freed(path for one in chosen for path in one.paths) if options.dry_run else 0
        after = before - size if options.dry_run else bytes_below(*session.workspace.built_in)
    told = _told(session, found, chosen, given_up, (before, after))
    if options.json:
        print(json.dumps({**told, "dry_run": options.dry_run}, indent=2))
    else:
        _print(session, told, options.dry_run, most)
    return DONE


def _size(text: str) -> float:
    """Return the bytes of a size such as 20G, 500M or 1.5GB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not found:
        raise UserError(Problem(f"{text!r} is no size", "for example: doit-cargo gc --max-size 20G"))
    return float(found[1]) * UNITS[found[2].upper()]


def look(session: Session) -> BuildDirectory:
    """Return what lies in the build directory, and which results rest on it; a result is looked at as `status` does."""
    kept = garbage.kept(session.workspace.kept_in)
    results = [_result(session, receipt, kept) for receipt in receipts.last_successes(session.state)]
    faster = [one for profile in dict.fromkeys(unit.profile for unit in kept) for one in garbage.incremental(profile)]
    return BuildDirectory(kept, results, faster)


def _result(session: Session, receipt: Receipt, kept: list[UnitFiles]) -> Holder:
    now, changes = session.verdict_of(receipt["key"])
    marks = frozenset(filter(None, map(garbage.mark_of, _paths(receipt))))
    if "observed" not in receipt:
        marks |= _untold(session, receipt["key"], kept)
    return Holder(receipt["key"], now is not None and not changes, receipt["finished"], marks)


def _paths(receipt: Receipt) -> Iterator[str]:
    """Yield all paths of a receipt that may be a unit's."""
    yield from (os.path.dirname(key) for key in receipt.get("observed", ()))
    yield from receipt["outputs"]
    for state in (receipt["plan"], receipt["build"], receipt.get("tests")):
        if state:
            for part in (state["units"], state["outputs"], state["left"], state["files"]):
                yield from part
            yield from (str(entry[1]) for entry in state["seen"] if len(entry) > 1)


def _untold(session: Session, key: tuple[str, ...], kept: list[UnitFiles]) -> frozenset[str]:
    """Return the units that a success may rest on whose cargo told us nothing: all of its cargo profile."""
    row = session.known_row(key[0])
    if row is None or row["family"] not in UNTOLD:
        return frozenset()
    folders = _profile_folders(session, key, row["shows"])
    return frozenset(unit.mark for unit in kept if not folders or os.path.basename(unit.profile) in folders)


def _profile_folders(session: Session, key: tuple[str, ...], shows: str) -> set[str]:
    """Return the names of the folders in which such a target builds; nothing where that cannot be told."""
    raw = dict(word.split("=", 1) for word in key[1:])
    again = session.with_variables(raw)
    again.current = key[0]
    try:
        plans = handlers.call(shows, again, again.values_for(key[0])) if shows else []
    except UserError:
        return set()
    names = [plan.cargo_profile for plan in plans] if isinstance(plans, list) else []
    return {units.profile_folder(name) for name in names if name}


def _require_alone(session: Session) -> None:
    """Refuse where other workspaces build in the same directory: what their results rest on is not known here."""
    ledger = Ledger(session.workspace.kept_in, session.workspace.target_directory)
    own = {package.directory for package in session.workspace.packages.values()}
    others = sorted(place for place in ledger.data["places"].values() if place not in own and os.path.isdir(place))
    if others:
        what = f"{others[0]} is built in {session.workspace.kept_in} too, and what its targets need is not known here"
        fix = (
            "give each workspace a target directory of its own (CARGO_TARGET_DIR), or remove it as a whole: cargo clean"
        )
        raise UserError(Problem(what, fix), COULD_NOT_RUN)


def _chosen(found: BuildDirectory, size: int, most: float | None) -> tuple[list[UnitFiles], list[Holder]]:
    """Return what goes, and the results that are given up for it.

    Without a limit all that no result needs goes; with one, no more than must, what was used longest ago first, then
    what only stale results rest on, the oldest first, then what makes the next compilation faster. What a fresh one
    rests on never goes.
    """
    needed = frozenset().union(*(result.marks for result in found.results))
    unneeded = _unneeded(found, needed)
    if most is None:
        return unneeded, []
    chosen, left = _until(unneeded, size - most)
    given_up: list[Holder] = []
    for result in sorted((one for one in found.results if not one.is_fresh), key=lambda one: one.finished):
        if left <= 0:
            break
        given_up.append(result)
        needed = frozenset().union(*(one.marks for one in found.results if one not in given_up))
        chosen = _unneeded(found, needed)
        left = size - most - garbage.freed(path for one in chosen for path in one.paths)
    if left > 0:
        chosen += _until(_faster(found, {one.paths for one in chosen}), left)[0]
    return chosen, given_up


def _faster(found: BuildDirectory, gone: set[tuple[str, ...]]) -> list[UnitFiles]:
    """Return what makes only the next compilation of a crate faster, the oldest first."""
    return sorted((one for one in found.incremental if one.paths not in gone), key=lambda one: one.used)


def _unneeded(found: BuildDirectory, needed: frozenset[str]) -> list[UnitFiles]:
    """Return what none of the needed units is, the longest unused first."""
    unneeded = [unit for unit in found.kept if unit.mark not in needed]
    for profile in dict.fromkeys(unit.profile for unit in found.kept):
        unneeded += garbage.unneeded_incremental(profile, set(needed))
    return sorted(unneeded, key=lambda one: one.used)


def _until(unneeded: Iterable[UnitFiles], wanted: float) -> tuple[list[UnitFiles], float]:
    """Return the first of them that free so many bytes, and what is still wanted."""
    chosen: list[UnitFiles] = []
    for one in unneeded:
        if wanted <= 0:
            break
        chosen.append(one)
        wanted -= garbage.freed(one.paths)
    return chosen, wanted


def _remove(session: Session, chosen: list[UnitFiles]) -> None:
    try:
        garbage.remove(chosen)
    except OSError as error:
        problem = Problem(f"cannot remove {error.filename}: {error.strerror}", "close what uses it and try again")
        raise UserError(problem, COULD_NOT_RUN) from None
    session.has_run()


def _require_fresh(session: Session, found: BuildDirectory, given_up: list[Holder]) -> None:
    """Look again at what was up to date: that it still is, is the promise."""
    for result in found.results:
        if not result.is_fresh or result in given_up:
            continue
        receipt, changes = session.verdict_of(result.key)
        if receipt is None or changes:
            what = f"{result.name} was up to date before, and is not any more: {changes[0].subject}"
            raise UserError(Problem(what, "please report this with the folder .doit-cargo/"), COULD_NOT_RUN)


def _told(
    session: Session, found: BuildDirectory, chosen: list[UnitFiles], given_up: list[Holder], sizes: tuple[int, int]
) -> dict[str, object]:
    shown = [one for one in found.results if session.known_row(one.key[0])]
    incremental = garbage.size(path for one in found.incremental for path in one.paths)
    profiles: dict[str, list[UnitFiles]] = {}
    for one in chosen:
        profiles.setdefault(os.path.relpath(one.profile, session.workspace.kept_in), []).append(one)
    return {
        "directory": session.workspace.kept_in,
        "before": sizes[0],
        "after": sizes[1],
        "incremental": incremental,
        "holds": [_held(found, one, given_up) for one in sorted(shown, key=lambda one: -one.finished)],
        "removed": [{"profile": name, **_removed(some)} for name, some in sorted(profiles.items())],
    }


def _held(found: BuildDirectory, result: Holder, given_up: list[Holder]) -> dict[str, object]:
    others = frozenset().union(*(one.marks for one in found.results if one.key != result.key))
    return {
        "target": result.name,
        "fresh": result.is_fresh,
        "given_up": result in given_up,
        "bytes": found.bytes_of(result.marks),
        "alone": found.bytes_of(result.marks - others),
    }


def _removed(some: list[UnitFiles]) -> Mapping[str, object]:
    return {
        "units": sum(bool(one.mark) for one in some),
        "incremental": sum(not one.mark for one in some),
        "last_used": round(max(one.used for one in some) / 1e9),
    }


def _print(session: Session, told: Mapping[str, object], dry: bool, most: float | None) -> None:

    rows = [("target", "state", "holds", "holds alone")]
    for one in _rows(told["holds"]):
        state = "up to date" if one["fresh"] else "given up" if one["given_up"] else "stale"
        rows.append((str(one["target"]), state, size_of(_int(one["bytes"])), size_of(_int(one["alone"]))))
    rows.append(("(incremental)", "", size_of(_int(told["incremental"])), ""))
    print(aligned(rows))
    for one in _rows(told["removed"]):
        last = minute(_int(one["last_used"]))
        what = f"{counted(_int(one['units']), 'unit')}, {counted(_int(one['incremental']), 'incremental folder')}"
        reporter.note("gc", f"{'would remove' if dry else 'removed'} of {one['profile']}: {what}; last used {last}")
    before, after = _int(told["before"]), _int(told["after"])
    place = reporter.relative(str(told["directory"]), session.root)
    end = f"{place}: {size_of(before)}, {'would be' if dry else 'now'} {size_of(after)}"
    if most is not None and after > most:
        end += (
            f"; {size_of(int(most))} is out of reach: fresh targets rest on units, and pages and programs are not ours"
        )
    reporter.done("gc", end if before != after else f"{place}: {size_of(before)}, nothing to remove")


def _rows(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
