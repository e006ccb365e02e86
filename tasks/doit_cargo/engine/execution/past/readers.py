"""Who has read a file, as far as results on record tell: builds, checks, lints, and tests one by one.

Knows nothing of workspaces: a package is a name, and "" stands for a result of which no package is known.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.cargo.units import package_of
from doit_cargo.engine.execution import equivalence
from doit_cargo.engine.execution.evidence.invalidation import Ledger
from doit_cargo.engine.state import dir_listing, receipts, store

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Workspace
    from doit_cargo.engine.state.change import Change
    from doit_cargo.engine.state.dir_listing import ListingRule
    from doit_cargo.engine.state.receipts import Key, Receipt
    from doit_cargo.engine.state.staleness import State

# What a program of a package's tests has read, among the receipts: a success a row (`actions.testing.results`).
TESTED = "tested"


class Readers:
    """Who has read which file; whoever counts a whole folder has read all that lies in it."""

    def __init__(self) -> None:
        self._files: dict[str, dict[str, None]] = {}
        self._folders: dict[str, dict[str, None]] = {}

    def of(self, path: str) -> list[str]:
        """Return the packages of which a result rests on a file."""
        found = dict(self._files.get(path, {}))
        folder = os.path.dirname(path)
        while folder != os.path.dirname(folder):
            found.update(self._folders.get(folder, {}))
            folder = os.path.dirname(folder)
        return list(found)

    def add(self, receipt: Receipt, by_unit: Mapping[str, dict[str, None]]) -> None:
        """Add what a result rests on; what its tests have read is kept test by test (`add_rows`)."""
        owners, everybody = receipt["owners"], receipt["packages"] or ("",)
        for part in receipt.get("parts", ("plan", "build")):
            state: State = receipt[part]
            for path in (*state["files"], *_absent(state)):
                self._put(self._files, path, owners.get(path, everybody))
            for folder, (rule, _, names) in state["trees"].items():
                for path in _listed(folder, rule, names):
                    self._put(self._files, path, owners.get(folder, everybody))
            for row in state["seen"] if part != "tests" else ():
                self.add_rows([row], by_unit.get(row[1], everybody))

    def add_rows(self, rows: Iterable[Any], packages: Iterable[str]) -> None:
        """Add what was seen (rows of `engine.state.seen`)."""
        for kind, subject, *_ in rows:
            self._put(self._folders if kind in ("list", "tree") else self._files, subject, packages)

    @staticmethod
    def _put(place: dict[str, dict[str, None]], path: str, packages: Iterable[str]) -> None:
        place.setdefault(path, {}).update(dict.fromkeys(packages))


def _listed(folder: str, rule: ListingRule, names: Iterable[str] | None) -> Iterator[str]:
    """Yield what a rule sees in a folder: the files of then, and those that it would see now."""
    try:
        now = dir_listing.list_tree(folder, rule)[1]
    except UserError:
        now = ()  # too large: whatever rests on it runs each time
    yield from (os.path.join(folder, name) for name in {*(names or ()), *now})


def _absent(state: State) -> Iterator[str]:
    for folder, (_, names) in state["absent"].items():
        yield from (os.path.join(folder, name) for name in names)


class Record(NamedTuple):
    """What is on record of calls, by the keys of their results."""

    state: str
    keys: Collection[Key]
    workspace: Workspace
    environ: Mapping[str, str]

    def readers_of(self, changed: Collection[str]) -> Callable[[str], list[str]] | None:
        """Return who reads a file; None where it cannot be told: of one of the calls no success is on record, not all
        was seen, or it does not hold any more for another reason than these changed files, and may read more now.
        """
        found, tests = Readers(), False
        by_unit = self._by_unit()
        for key in self.keys:
            receipt, changes = receipts.verdict(self.state, key, self.environ, True, equivalence.is_same)
            if receipt is None or receipt.get("unseen") or not all(_is_one_of(change, changed) for change in changes):
                return None
            found.add(receipt, by_unit)
            tests = tests or "tests" in receipt
        for package, kept in _tests(self.state) if tests else ():
            if kept["reasons"]:
                return None
            found.add_rows(kept["seen"], (package,))
        return found.of if self.keys else None

    def _by_unit(self) -> dict[str, dict[str, None]]:
        """Return what units were seen to read -> their packages."""
        by_unit: dict[str, dict[str, None]] = {}
        ledger = Ledger(self.workspace.kept_in, self.workspace.target_directory)
        for key, record in ledger.data["observed"].items():
            for _, row in record[3]:
                by_unit.setdefault(row[1], {})[package_of(key)] = None
        return by_unit


def _is_one_of(change: Change, changed: Collection[str]) -> bool:
    """Tell whether a change is of these files, or of what is made and not read."""
    return change.kind in ("output", "artefact") or (change.kind == "file" and change.subject in changed)


def _tests(state: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (package, success) of all test programs."""
    folder = os.path.join(state, "receipts")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        data = store.load(os.path.join(folder, name)) if name.startswith(f"{TESTED}-") else None
        if isinstance(data, dict) and "rows" in data:
            package = name.removeprefix(f"{TESTED}-").rpartition("-")[0]
            yield from ((package, row["rest"]) for row in data["rows"])
