"""`doit-cargo why`: what makes a target stale, roots first, and what that rebuilds."""

from __future__ import annotations

import argparse
import json

from doit_cargo.actions.maintenance import failures
from doit_cargo.cli.commands import wanted
from doit_cargo.engine.base.errors import DONE
from doit_cargo.engine.base.plain_text import one_line
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import causes
from doit_cargo.engine.state import journal, receipts
from doit_cargo.engine.state.change import difference_of
from doit_cargo.session import CARGO, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.execution.causes import JsonChange, Why
    from doit_cargo.engine.execution.past.estimate import Estimate
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.staleness import Change
    from doit_cargo.targets.listing import Row

MOST_UNOBSERVED = 6


def why_target(session: Session, options: argparse.Namespace) -> int:
    """`why`: what makes a target stale, roots first; or that it is fresh."""
    names = [session.row(name)["name"] for name in wanted(options, "why")]
    session.prepare(names)
    found = [_why(session, part) for name in names for part in session.parts(name)]
    texts = [one.pop("says", None) for one in found]
    if options.json:
        print(json.dumps(found[0] if len(found) == 1 else found, indent=2))
        return DONE
    for one, text in zip(found, texts, strict=True):
        if text:
            print("\n".join(text))
        else:
            _print_why(one)
        _print_failure(session, one["target"])
    return DONE


def _print_failure(session: Session, name: str) -> None:
    """Say that the last run did not end well, and why."""
    end = failures.of_target(session, name)
    if end:
        print(f"  last run  {end.end} {journal.ago(end.time)}")
        print("\n".join(f" {line}" for line in failures.explained(session, end).lines()))


def _why(session: Session, name: str) -> Why:
    row = session.row(name)
    session.variables(row["name"])
    if row["handler"]:
        import importlib

        explained: Why = importlib.import_module(row["handler"]).explain(session, row["name"])
        return explained
    if row["kind"] != CARGO and not row["watch"]:
        return {
            "target": row["name"],
            "fresh": False,
            "changes": [],
            "changed": [],
            "rebuilds": [],
            "skipped": 0,
            "always": True,
            "unobserved": [],
        }
    receipt, changes = session.verdict(row["name"], explain=True)
    basis = receipt or session.last_receipt(row["name"])
    if receipt is None and basis:  # what the failed run itself has left behind explains nothing
        first, rest = changes[:1], reporter.split_consequences(changes[1:])[0]
        changes = first + rest
    given: list[str] = []
    if basis:
        changes, given = causes.named(changes, basis, session.root)
    changed = reporter.roots_of([*reporter.changed_packages(changes, basis), *given], basis) if basis else []
    rebuilds = reporter.rebuilds(changed, basis) if basis else []
    # What a package of another version takes is not on record.
    expected = None if given else _expected(session, row, rebuilds, basis)
    return {
        "target": row["name"],
        "fresh": receipt is not None and not changes,
        "changes": [_change(change, basis, session.root) for change in _roots_first(changes, basis, changed)],
        "changed": changed,
        "rebuilds": rebuilds,
        "skipped": len(basis["packages"]) - len(rebuilds) if basis else 0,
        "always": False,
        "unobserved": [*basis.get("unseen", ())] if basis else [],
        "seconds": round(expected.seconds, 1) if expected else 0.0,
        "takes": str(expected or ""),
    }


def _expected(session: Session, row: Row, rebuilds: list[str], basis: Receipt | None) -> Estimate | None:
    """Return what building these packages anew will take, as far as that is on record."""
    from doit_cargo.engine.execution.past import estimate
    from doit_cargo.engine.toolchain.platform import usable_cores

    if basis is None or not rebuilds or row["kind"] != CARGO:
        return None
    return estimate.of_edit(session.state, session.plan(row["name"]), rebuilds, basis, usable_cores())


def _roots_first(changes: list[Change], basis: Receipt | None, changed: list[str]) -> list[Change]:
    """Changes that concern everything first, then those of packages in the order in which others rest on them, and
    profiles last, since they may make no other plan.
    """
    if basis is None:
        return changes
    places = {name: position for position, name in enumerate(changed)}

    def place(change: Change) -> int:
        nowhere = len(places) if receipts.is_of_profiles(basis, change) else -1
        return min((places[name] for name in reporter.owners(change, basis)), default=nowhere)

    return sorted(changes, key=place)


def _change(change: Change, basis: Receipt | None, root: str) -> JsonChange:
    return {
        "kind": change.kind,
        "subject": reporter.below(change.subject, root),
        "old": change.old,
        "new": change.new,
        "package": ", ".join(reporter.owners(change, basis)) if basis else "",
    }


def _print_why(why: Why) -> None:
    if why["always"]:
        print(f"{why['target']} runs each time that it is asked for")
        return
    if why["fresh"]:
        print(f"{why['target']} is up to date")
        _print_unobserved(why)
        return
    print(f"{why['target']} is stale:")
    causes = [change for change in why["changes"] if change["kind"] not in ("artefact", "output")]
    for change in causes or why["changes"]:
        text = difference_of(change["kind"], change["old"], change["new"])
        package = f"  ({change['package']})" if change["package"] else ""
        print(f"  {change['kind']:9} {one_line(change['subject'])}: {one_line(text)}{package}")
    if causes and len(causes) < len(why["changes"]):
        print(f"  and {counted(len(why['changes']) - len(causes), 'file')} that cargo makes, gone or changed")
    if why["changed"]:
        others = [name for name in why["rebuilds"] if name not in why["changed"]]
        skipped = f"; {counted(why['skipped'], 'package')} skipped" if why["skipped"] else ""
        print(f"  rebuilds  {reporter.listed(why['changed'] + others)}{skipped}")
    if why.get("takes"):
        print(f"  takes     {why['takes']}")
    _print_unobserved(why)


def _print_unobserved(why: Why) -> None:
    """Say of what only cargo's own records and the declared inputs tell."""
    packages: dict[str, list[str]] = {}
    for text in why.get("unobserved", []):
        package, _, reason = text.partition(": ")
        packages.setdefault(reason, []).append(package)
    found = [": ".join(filter(None, (reporter.listed(names), reason))) for reason, names in packages.items()]
    for text in found[:MOST_UNOBSERVED]:
        print(f"  unseen    {one_line(text)}")
    if len(found) > MOST_UNOBSERVED:
        print(f"  unseen    and {len(found) - MOST_UNOBSERVED} more")
