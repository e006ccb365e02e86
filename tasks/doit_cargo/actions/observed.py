"""`observe`: what the last success of a target was seen to rest on that nobody declared, and how to declare it.

Reads what is kept of builds and tests; runs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Collection, Iterable, Iterator

from doit_cargo.actions.testing import results
from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.errors import DONE, Problem, UserError
from doit_cargo.engine.base.tables import aligned
from doit_cargo.engine.cargo import units
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import build_places
from doit_cargo.engine.execution.evidence import observed
from doit_cargo.engine.execution.evidence.invalidation import Ledger
from doit_cargo.engine.execution.observe.inputs import LIBC_VARIABLES
from doit_cargo.session import CARGO, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.staleness import State

# What compilers and linkers bring along; a table names how many of it there are.
OF_THE_SYSTEM = ("/usr/", "/lib", "/bin/", "/sbin/", "/etc/")
VERBS = {**observed.VERBS, "environment": "takes"}
# Variables by which compilers of C are set up, whoever starts one.
OF_COMPILERS = frozenset({"AS_SECURE_LOG_FILE", "DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"})
# How cargo hands jobs to what it starts, and what the allocator of rustc and rustdoc asks for.
OF_CARGO = frozenset({"CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS", "MALLOC_CONF", "_RJEM_MALLOC_CONF"})
SCRIPT, MACRO, LINKER, WRAPPER, TEST, PROGRAM = "script", "macro", "linker", "wrapper", "test", "program"
MOST_SHOWN = 12


class Sight(NamedTuple):
    """One thing that was seen: whose it is, who asked (script, macro, linker, wrapper, test), how, and for what."""

    package: str
    by: str
    verb: str
    subject: str


class SeenOfTarget(NamedTuple):
    """What was seen of a target, and what of it was not; `shown` is what a person wants to see."""

    target: str
    sights: list[Sight]
    shown: list[Sight]
    unseen: list[str]


def observe_target(session: Session, options: argparse.Namespace) -> int:
    """`observe`: a table, or JSON, of what a target was seen to rest on, with lines that declare it."""
    if not options.targets:
        raise UserError(Problem("observe needs a target", "for example: doit-cargo observe build"))
    found = [_seen(session, part) for name in options.targets for part in session.parts(name)]
    if options.json:
        told = [_data(session, one) for one in found]
        print(json.dumps(told[0] if len(told) == 1 else told, indent=2))
        return DONE
    for one in found:
        _print(session, one)
    return DONE


def _seen(session: Session, name: str) -> SeenOfTarget:
    row = session.row(name)
    session.variables(row["name"])
    is_action = row["kind"] != CARGO and not row["handler"]
    if is_action and "OBSERVE" not in row["takes"]:
        raise UserError(Problem(f"{row['name']} calls no cargo, and is not observed", "name a build or a test"))
    receipt, _ = session.verdict(row["name"], explain=True)
    receipt = receipt or session.last_receipt(row["name"])
    if receipt is None:
        raise UserError(Problem(f"{row['name']} has not run here", f"doit-cargo {row['name']}"))
    sights, unseen = dict[Sight, None](), dict.fromkeys(receipt.get("unseen", ()))
    if is_action:
        sights.update(_of_program(row["name"], receipt["build"]))
        unseen.update(dict.fromkeys(filter(None, [receipt["build"]["always_stale_reason"]])))
    else:
        _add_units(session, row["name"], receipt, sights, unseen)
    found = sorted(sights, key=lambda one: (one.package, one.by, one.verb == "asks for", one.verb, one.subject))
    noise, known = _of_tools(found), {*receipt["plan"]["files"], *receipt["build"]["files"]}
    shown = [one for one in found if _is_shown(one, noise) and not _is_counted(session, one, known)]
    return SeenOfTarget(row["name"], found, shown, list(unseen))


def _is_counted(session: Session, sight: Sight, known: Collection[str]) -> bool:
    """Tell whether a file counts without being seen: a source that cargo compiles, a test's own program."""
    is_built = sight.by == TEST and session.workspace.is_built(sight.subject)
    is_source = sight.subject in known and sight.subject.endswith(".rs")
    return sight.verb == "reads" and (is_source or is_built)


def _of_program(name: str, state: State) -> Iterator[tuple[Sight, None]]:
    """Yield what a program of a row rests on; of variables those that nobody but it asks for."""
    for row in state["seen"]:
        yield from _sight(name, PROGRAM, row)
    for variable in state["env"]:
        if variable not in state["guarded"]:
            yield Sight(name, PROGRAM, "asks for", variable), None


def _add_units(
    session: Session, name: str, receipt: Receipt, sights: dict[Sight, None], unseen: dict[str, None]
) -> None:
    workspace = build_places.of(session.plan(name), session.workspace, session.environ)
    records = Ledger(workspace.kept_in, workspace.target_directory).data["observed"]
    for key in receipt.get("observed", ()):
        for by, seen in records[key][3] if key in records else ():
            sights.update(_sight(units.package_of(key), by, seen))
    if "tests" in receipt:
        for package, seen, reasons in results.observed(session.state, receipt["packages"]):
            sights.update(_sight(package, TEST, seen))
            unseen.update((f"{package}: {reason}", None) for reason in reasons)


def _sight(package: str, by: str, row: list[Any]) -> Iterator[tuple[Sight, None]]:
    kind, subject, state, _ = row
    verb = "looks at" if kind == "stat" and state != "absent" else VERBS[kind]
    yield Sight(package, by, verb, subject or "all variables"), None


def _of_tools(sights: Iterable[Sight]) -> frozenset[str]:
    """Return the variables that tools ask for by themselves: each linker's, and those of any rustc, of any test."""
    asked: dict[str, dict[str, set[str]]] = {by: {} for by in (LINKER, MACRO, TEST, SCRIPT, WRAPPER, PROGRAM)}
    for one in sights:
        if one.verb == "asks for":
            asked[one.by].setdefault(one.package, set()).add(one.subject)
    linkers = set().union(*asked[LINKER].values())
    every = [set.intersection(*asked[by].values()) for by in (MACRO, TEST) if len(asked[by]) > 1]
    return OF_COMPILERS.union(OF_CARGO, linkers, LIBC_VARIABLES, *every)


def _is_shown(sight: Sight, noise: Collection[str]) -> bool:
    """Tell whether a person wants to see it: no tools of the system, and nothing that is not there."""
    if sight.verb == "asks for":
        return sight.by != LINKER and sight.subject not in noise
    if sight.verb == "starts":
        return sight.by in (SCRIPT, TEST, PROGRAM)
    return sight.verb not in ("looks for", "looks at", "follows") and not sight.subject.startswith(OF_THE_SYSTEM)


def _print(session: Session, found: SeenOfTarget) -> None:
    print(f"{found.target} rests on what nobody declares:" if found.shown else f"{found.target}: all is declared")
    rows = [(f"  {one[0]}", one.by, one.verb, reporter.below(one.subject, session.root)) for one in _fewer(found.shown)]
    if rows:
        print(aligned(rows))
    if len(rows) < len(found.sights):
        print(f"  and {len(found.sights) - len(rows)} more of the system, looked at or not there: --json has all")
    for text in found.unseen:
        print(f"  unseen    {text}")
    for title, lines in _proposals(session, found.shown):
        print(f"\n{title}")
        print("\n".join(f"    {line}" for line in lines))


def _fewer(sights: Iterable[Sight]) -> Iterator[Sight]:
    """Yield the first of each package and asker."""
    counts: dict[tuple[str, str], int] = {}
    for sight in sights:
        counts[sight[:2]] = counts.get(sight[:2], 0) + 1
        if counts[sight[:2]] <= MOST_SHOWN:
            yield sight


def _proposals(session: Session, sights: Iterable[Sight]) -> Iterator[tuple[str, list[str]]]:
    """Yield what declares it: lines for the build scripts of members, and `[inputs]` for what cargo has no word for."""
    scripts: dict[str, list[str]] = {}
    files, variables = dict[str, None](), dict[str, None]()
    for one in sights:
        package = session.workspace.packages.get(one.package)
        if package is None or one.by == TEST or one.verb not in ("reads", "lists", "asks for"):
            continue
        if one.by == SCRIPT:
            kind = "env-changed" if one.verb == "asks for" else "changed"
            subject = os.path.relpath(one.subject, package.directory) if kind == "changed" else one.subject
            place = os.path.relpath(os.path.join(package.directory, "build.rs"), session.root)
            scripts.setdefault(place, []).append(f'println!("cargo::rerun-if-{kind}={subject}");')
        elif one.verb == "asks for":
            variables[one.subject] = None
        elif one.verb == "reads":
            files[reporter.below(one.subject, session.root)] = None
    for place, lines in scripts.items():
        yield f"{place}, so that plain cargo sees it too (with any such line cargo reruns it for these alone):", lines
    if files or variables:
        named = (("files", files), ("env", variables))
        lines = ["[inputs]", *(f"{key} = {json.dumps(list(names))}" for key, names in named if names)]
        yield "a profile, for computers where nothing can be observed:", lines


def _data(session: Session, found: SeenOfTarget) -> dict[str, object]:
    return {
        "target": found.target,
        "seen": [{**one._asdict(), "subject": reporter.below(one.subject, session.root)} for one in found.sights],
        "unseen": found.unseen,
        "proposals": [{"where": where, "lines": lines} for where, lines in _proposals(session, found.shown)],
    }
