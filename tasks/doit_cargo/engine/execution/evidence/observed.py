"""Units by what they were seen to rest on: which must be built anew, and what of it a receipt has to hold.

The ledger keeps a record for each unit that was seen while it was made (`sightings`). Another cargo may have made the
unit since: then the record still tells where to look, but no longer what was there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.cargo import units
from doit_cargo.engine.cargo.messages import BuildReport, Script, read_script_output
from doit_cargo.engine.execution.evidence.inputs import Inputs
from doit_cargo.engine.execution.evidence.invalidation import Ledger
from doit_cargo.engine.execution.observe import receipt
from doit_cargo.engine.state import seen
from doit_cargo.engine.state.fingerprint import signature
from doit_cargo.engine.state.seen import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.execution.evidence.ledger_data import SeenItem, UnitSeen
    from doit_cargo.engine.state.seen import Row
    from doit_cargo.engine.state.staleness import State

MOST_CUT_OFF = 20
NOT_SEEN = "was compiled while nobody observed it"
WHO = {
    "script": "its build script",
    "macro": "a macro in it",
    "linker": "its linker",
    "wrapper": "the wrapper of its compiler",
}
VERBS = {
    "read": "reads",
    "list": "lists",
    "tree": "lists",
    "link": "follows",
    "resolve": "follows",
    "stat": "looks for",
    "variable": "asks for",
    "program": "starts",
}
# What has become of an item, as a sentence goes on.
BECAME = {"new": "is there now", "deleted": "is gone"}


class Stale(NamedTuple):
    """A unit that must be made anew: what of it changed, and how to say so after a path."""

    key: str
    package: str
    subject: str
    text: str


def contents(ledger: Ledger) -> dict[str, list[Any]]:
    """Return the states of the files that units were seen to read."""
    items = (item for record in ledger.data["observed"].values() for item in record[3])
    return {row[1]: row[2] for _, row in items if row[0] == "read" and isinstance(row[2], list) and len(row[2]) == 3}


def note_cut_off(ledger: Ledger) -> None:
    """Remember when a run of ours was killed: the units that it made were not kept with what was seen."""
    if ledger.data["open"]:
        ledger.data["cut_off"] = [*ledger.data["cut_off"], (ledger.data["when"], time.time_ns())][-MOST_CUT_OFF:]


def _was_cut_off(key: str, ledger: Ledger) -> bool:
    made = (signature(key) or (0, 0, 0, 0))[3]
    return any(began <= made < ended for began, ended in ledger.data["cut_off"])


def stale(ledger: Ledger, keys: Iterable[str], world: World) -> list[Stale]:
    """Return those of these units that cargo would leave as they are, though something that they rest on changed."""
    found = ((key, ledger.data["observed"].get(key)) for key in keys)
    changed = (_changed(key, record, world) for key, record in found if record and record[0] == units.identity(key))
    return [one for one in changed if one]


def _changed(key: str, record: UnitSeen, world: World) -> Stale | None:
    _, package, _, items, _ = record
    for by, row in items:
        how = world.difference(row)
        if how:
            return Stale(key, package, *_told(by, row, how, world))
    return None


def _told(by: str, row: Row, how: str, world: World) -> tuple[str, str]:
    """Return what changed, and the rest of the sentence."""
    kind, subject, who = row[0], row[1], WHO[by]
    if kind == "environment":
        return "", f"{how}, and {who} takes all variables"
    silently = " without saying so" if by == "script" else ", and cargo does not look at it"
    became = "holds other files" if kind in ("list", "tree") else BECAME.get(how, how)
    if kind == "program":
        became = f"is {world.program(subject) or 'not on PATH'} now"
    name = f"variable {subject}" if kind == "variable" else subject
    return name, f"{became}, which {who} {VERBS[kind]}{silently}"


def keys_of_call(inputs: Inputs, report: BuildReport) -> list[str]:
    """Return the keys of all units of a call, of downloaded packages too."""
    found = [place.key for unit in report.units for place in inputs.placed(unit)]
    found += [key for one in inputs.made for key in one.keys]
    found += [units.script_key(script.out_dir) for script in report.scripts]
    return [key for key in dict.fromkeys(found) if key and os.path.exists(key)]


def learn(ledger: Ledger, made: Mapping[str, UnitSeen], inputs: Inputs, report: BuildReport) -> None:
    """Keep the records of the units that a run made, without what cargo tracks of them."""
    known = ledger.data["observed"]
    known.update(_untracked(made, inputs, report))
    for key in [key for key in known if not os.path.exists(key)]:
        del known[key]


def doubts(ledger: Ledger, keys: Iterable[str], made: Mapping[str, UnitSeen], world: World) -> list[Stale]:
    """Return the units of a call that cargo left as they were, though something that they rest on is another now.

    What another cargo made is taken over where what is there now is what it must have seen.
    """
    found = [_doubt(key, ledger, world) for key in keys if key not in made]
    return [one for one in found if one]


def _doubt(key: str, ledger: Ledger, world: World) -> Stale | None:
    record, identity = ledger.data["observed"].get(key), units.identity(key)
    if record is None:
        if _was_cut_off(key, ledger):
            return Stale(key, units.package_of(key), "", "was compiled by a run that was killed")
        return None
    if record[0] == identity:
        return _changed(key, record, world)
    moment = (signature(units.fingerprint_file(key)) or (0,))[0]
    items = []
    for by, row in record[3]:
        how = world.difference(row)
        if how and not _is_older(row, moment):
            return Stale(key, record[1], *_told(by, row, how, world))
        items.append((by, _again(row, world) if how else row))
    ledger.data["observed"][key] = (identity, *record[1:3], tuple(items), record[4])
    return None


def _again(row: Row, world: World) -> Row:
    kind, subject, _, own = row
    return [kind, subject, seen.take(kind, subject, own, world), own]


def _is_older(row: Row, moment: int) -> bool:
    """Tell whether what is there now was there before a moment: only of files that can be told."""
    now = signature(row[1])
    return row[0] == "read" and now is not None and now[3] < moment


def _untracked(made: Mapping[str, UnitSeen], inputs: Inputs, report: BuildReport) -> dict[str, UnitSeen]:
    sources = {key: {*one.sources, *inputs.generated} for one in inputs.made for key in one.keys}
    scripts = {units.script_key(script.out_dir): script for script in report.scripts}
    found = {}
    for key, (identity, package, part, items, reasons) in made.items():
        if key in scripts:
            kept = _without_watched(items, scripts[key], report)
        else:
            known = sources.get(key, ())
            kept = [
                (by, row)
                for by, row in items
                if row[1] not in known and not (row[0] == "variable" and row[1] in inputs.variables)
            ]
        found[key] = (identity, package, part, tuple(kept), reasons)
    return found


def _without_watched(items: Iterable[SeenItem], script: Script, report: BuildReport) -> list[SeenItem]:
    """Leave out what a build script names to cargo (`rerun-if-changed`, `rerun-if-env-changed`)."""
    directory = next((unit.directory for unit in report.units if unit.package_id == script.package_id), "")
    try:
        output = read_script_output(script.output, directory)
    except OSError:
        return list(items)
    watched = {os.path.normpath(path) for path in output.paths}
    below = tuple(path + os.sep for path in watched)
    return [
        (by, row)
        for by, row in items
        if not (row[0] == "variable" and row[1] in output.variables)
        and not (row[0] in seen.PATHS and (row[1] in watched or (below and row[1].startswith(below))))
    ]


def add_to(state: State, ledger: Ledger, keys: Iterable[str], inputs: Inputs, given: World) -> tuple[str, ...]:
    """Put what these units rest on into the state of a success; return what of them was not seen, and why.

    `given` is the world of the caller, before a profile or cargo's settings change it.
    """
    unseen: dict[str, None] = {}
    rows: list[Row] = []
    for key in keys:
        record = ledger.data["observed"].get(key)
        if record is None:
            unseen[f"{units.package_of(key)} {NOT_SEEN}"] = None
            continue
        _, package, _, items, reasons = record
        unseen.update((f"{package}: {reason}", None) for reason in reasons)
        for _, row in items:
            rows.append(row)
            if row[0] in ("read", "stat"):
                inputs.own(row[1], package)
    receipt.put(state, rows, given)
    return tuple(unseen)
