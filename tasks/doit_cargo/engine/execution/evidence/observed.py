"""Units by what they were seen to rest on: which must be built anew, and what of it a receipt has to hold.

The ledger keeps a record for each unit that was seen while it was made (`sightings`). Another cargo may have made the
unit since: then the record still tells where to look, but no longer what was there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from doit_cargo.engine.cargo import units
from doit_cargo.engine.cargo.messages import BuildReport, Script, read_script_output
from doit_cargo.engine.execution.evidence import seen_inputs
from doit_cargo.engine.execution.evidence.inputs import Inputs
from doit_cargo.engine.execution.evidence.invalidation import Ledger
from doit_cargo.engine.execution.evidence.seen_inputs import World
from doit_cargo.engine.state import dir_listing, sights
from doit_cargo.engine.state.fingerprint import settle_all, settled, signature

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    seen_inputs.FILE: "reads",
    seen_inputs.LOOK: "looks for",
    seen_inputs.LEAD: "follows",
    seen_inputs.NAMES: "lists",
    seen_inputs.VARIABLE: "asks for",
    seen_inputs.PROGRAM: "starts",
}


class Stale(NamedTuple):
    """A unit that must be made anew: what of it changed, and how to say so after a path."""

    key: str
    package: str
    subject: str
    text: str


def records(ledger: Ledger) -> dict[str, Any]:
    """Return what each unit was seen to rest on, by key."""
    found: dict[str, Any] = ledger.data["observed"]
    return found


def note_cut_off(ledger: Ledger) -> None:
    """Remember when a run of ours was killed: the units that it made were not kept with what was seen."""
    if ledger.data["open"]:
        ledger.data["cut_off"] = [*ledger.data["cut_off"], (ledger.data["when"], time.time_ns())][-MOST_CUT_OFF:]


def _was_cut_off(key: str, ledger: Ledger) -> bool:
    made = (signature(key) or (0, 0, 0, 0))[3]
    return any(began <= made < ended for began, ended in ledger.data["cut_off"])


def stale(ledger: Ledger, keys: Iterable[str], world: World) -> list[Stale]:
    """Return those of these units that cargo would leave as they are, though something that they rest on changed."""
    found = ((key, records(ledger).get(key)) for key in keys)
    changed = (_changed(key, record, world) for key, record in found if record and record[0] == units.identity(key))
    return [one for one in changed if one]


def _changed(key: str, record: Any, world: World) -> Stale | None:
    _, package, _, items, _ = record
    for item in items:
        how = world.change(*item[:3])
        if how:
            return Stale(key, package, *_told(item, how))
    return None


def _told(item: tuple[str, str, Any, str], how: str) -> tuple[str, str]:
    """Return what changed, and the rest of the sentence."""
    kind, subject, _, by = item
    who = WHO[by]
    if kind == seen_inputs.WALK:
        return "", f"{how}, and {who} takes all variables"
    name = f"variable {subject}" if kind == seen_inputs.VARIABLE else subject
    silently = " without saying so" if by == "script" else ", and cargo does not look at it"
    return name, f"{how}, which {who} {VERBS[kind]}{silently}"


# --- after cargo's run -----------------------------------------------------------------------------------------------


def keys_of_call(inputs: Inputs, report: BuildReport) -> list[str]:
    """Return the keys of all units of a call, of downloaded packages too."""
    found = [place.key for unit in report.units for place in inputs.placed(unit)]
    found += [key for one in inputs.made for key in one.keys]
    found += [units.script_key(script.out_dir) for script in report.scripts]
    return [key for key in dict.fromkeys(found) if key and os.path.exists(key)]


def learn(ledger: Ledger, made: Mapping[str, Any], inputs: Inputs, report: BuildReport) -> None:
    """Keep the records of the units that a run made, without what cargo tracks of them."""
    known = records(ledger)
    known.update(_untracked(made, inputs, report))
    for key in [key for key in known if not os.path.exists(key)]:
        del known[key]


def doubts(ledger: Ledger, keys: Iterable[str], made: Mapping[str, Any], world: World) -> list[Stale]:
    """Return the units of a call that cargo left as they were, though something that they rest on is another now.

    What another cargo made is taken over where what is there now is what it must have seen.
    """
    found = [_doubt(key, ledger, world) for key in keys if key not in made]
    return [one for one in found if one]


def _doubt(key: str, ledger: Ledger, world: World) -> Stale | None:
    record, identity = records(ledger).get(key), units.identity(key)
    if record is None:
        if _was_cut_off(key, ledger):
            return Stale(key, units.package_of(key), "", "was compiled by a run that was killed")
        return None
    if record[0] == identity:
        return _changed(key, record, world)
    moment = (signature(units.fingerprint_file(key)) or (0,))[0]
    items = []
    for item in record[3]:
        how = world.change(*item[:3])
        if how and not seen_inputs.is_older(item[0], item[1], moment):
            return Stale(key, record[1], *_told(item, how))
        items.append((*item[:2], seen_inputs.again(item[1]), item[3]) if how else item)
    records(ledger)[key] = (identity, *record[1:3], tuple(items), record[4])
    return None


# --- what cargo tracks -----------------------------------------------------------------------------------------------


def _untracked(made: Mapping[str, Any], inputs: Inputs, report: BuildReport) -> dict[str, Any]:
    sources = {key: {*one.sources, *inputs.generated} for one in inputs.made for key in one.keys}
    scripts = {units.script_key(script.out_dir): script for script in report.scripts}
    found = {}
    for key, (identity, package, part, items, reasons) in made.items():
        if key in scripts:
            kept = _without_watched(items, scripts[key], report)
        else:
            known = sources.get(key, ())
            kept = [
                item
                for item in items
                if item[1] not in known and not (item[0] == "env" and item[1] in inputs.variables)
            ]
        found[key] = (identity, package, part, tuple(kept), reasons)
    return found


def _without_watched(items: Iterable[Any], script: Script, report: BuildReport) -> list[Any]:
    """Leave out what a build script names to cargo (`rerun-if-changed`, `rerun-if-env-changed`)."""
    directory = next((unit.directory for unit in report.units if unit.package_id == script.package_id), "")
    try:
        output = read_script_output(script.output, directory)
    except OSError:
        return list(items)
    watched = {os.path.normpath(path) for path in output.paths}
    below = tuple(path + os.sep for path in watched)
    return [
        item
        for item in items
        if not (item[0] == seen_inputs.VARIABLE and item[1] in output.variables)
        and not (item[0] in VERBS and (item[1] in watched or (below and item[1].startswith(below))))
    ]


# --- what the receipt holds ------------------------------------------------------------------------------------------


def add_to(state: State, ledger: Ledger, keys: Iterable[str], inputs: Inputs, given: World) -> tuple[str, ...]:
    """Put what these units rest on into the state of a success; return what of them was not seen, and why.

    `given` is the world of the caller, before a profile or cargo's settings change it.
    """
    unseen: dict[str, None] = {}
    absent: dict[str, dict[str, None]] = {}
    for key in keys:
        record = records(ledger).get(key)
        if record is None:
            unseen[f"{units.package_of(key)} {NOT_SEEN}"] = None
            continue
        _, package, _, items, reasons = record
        unseen.update((f"{package}: {reason}", None) for reason in reasons)
        for kind, subject, value, _ in items:
            if kind == seen_inputs.LOOK and value is None and not os.path.islink(subject):
                folder, name = sights.absence(subject)
                absent.setdefault(folder, {})[name] = None
            else:
                _add(state, kind, subject, value, given)
            if kind in (seen_inputs.FILE, seen_inputs.LOOK):
                inputs.own(subject, package)
    state["absent"] = {folder: _still_absent(folder, names) for folder, names in absent.items()}
    return tuple(unseen)


def _still_absent(folder: str, names: Iterable[str]) -> tuple[Any, tuple[str, ...]]:
    """Return the signature of a folder in which these names are not; None if one of them has just come."""
    stamp = settled(signature(folder), time.time_ns())
    there = any(sights.look(os.path.join(folder, name)) is not None for name in names)
    return None if there else stamp, tuple(names)


def _add(state: State, kind: str, subject: str, value: Any, given: World) -> None:
    if kind == seen_inputs.FILE:
        state["files"].setdefault(subject, value)
    elif kind == seen_inputs.LOOK:
        state["looks"][subject] = value
    elif kind == seen_inputs.LEAD:
        state["leads"][subject] = value
    elif kind == seen_inputs.NAMES:
        rule, names = value
        # Another rule may look at the same folder.
        stamps = dir_listing.list_tree(subject, rule)[0] if names is not None else {}
        state["trees"][os.path.join(subject, ".")] = (rule, settle_all(stamps, time.time_ns()), names)
    elif kind == seen_inputs.VARIABLE:
        state["env"][subject] = given.value(subject)
    elif kind == seen_inputs.WALK:
        state["walked"] = True
        state["env"].update(given.walk())
    elif given.program(subject) == value:
        state["path"] = given.environ.get("PATH", "")
        state["which"][subject] = value
