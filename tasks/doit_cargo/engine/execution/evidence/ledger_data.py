"""What the ledger of a build directory keeps: plain data that `marshal` can store, and how it travels with a copy."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired, TypedDict

    from doit_cargo.engine.state.fingerprint import Kept, Stamp
    from doit_cargo.engine.state.seen import Row

    Features = tuple[tuple[str, tuple[str, ...]], ...]
    Variant = tuple[Features, Features]
    """The features of each member that took part, and what was asked of each dependency outside."""

    Untracked = tuple[str, tuple[str, ...]]
    """The value of an input that cargo never looks at, and the packages to rebuild when it changes."""

    UnitRecord = tuple[object, dict[str, bytes | None], dict[str, Kept], dict[str, str]]
    """What a unit was made from: its own identity, source -> content, the files it left, declared input -> value."""

    SeenItem = tuple[str, Row]
    """Who asked (script, macro, linker, wrapper), and for what (see `state.seen`)."""

    UnitSeen = tuple[object, str, str, tuple[SeenItem, ...], tuple[str, ...]]
    """A unit's own identity, its package, what it is, what it was seen to rest on, and why that may not be all."""

    class LedgerData(TypedDict):
        """What cargo has seen in one build directory, in all variants."""

        # Where it was written: a copy lies elsewhere.
        path: str
        # The files that cargo has read, the times under which it did, and where those that are links led.
        files: dict[str, Kept]
        times: dict[str, int]
        links: dict[str, tuple[str, ...]]
        # A folder that a build script watches -> the rule, the names, and the file that makes cargo rerun the script.
        trees: dict[str, tuple[tuple[str, ...], tuple[str, ...] | None, str]]
        # A folder that a build script watches -> the times of it and of those below, and the package.
        folders: dict[str, tuple[dict[str, int], str]]
        untracked: dict[str, Untracked]
        # What rustc made -> signature, content, the file that cargo rewrites with it, and that one's signature.
        artefacts: dict[str, tuple[Stamp, bytes | None, str, Stamp]]
        # A package by name and place below the workspace's root -> the folder that was built from.
        places: dict[str, str]
        units: dict[str, UnitRecord]
        # Unit -> what it was seen to rest on, and when runs were cut off.
        observed: dict[str, UnitSeen]
        cut_off: list[tuple[int, int]]
        # When the last run began or ended, and whether it is still under way.
        when: int
        open: bool
        # What pyo3 was last built for, and the variants of each sort of libraries: what `advice` tells of.
        python: NotRequired[dict[str, str]]
        variants: NotRequired[dict[str, list[Variant]]]


def empty(path: str) -> LedgerData:
    """Return the ledger of a directory of which nothing is known."""
    return {
        "path": path,
        "files": {},
        "times": {},
        "links": {},
        "trees": {},
        "folders": {},
        "untracked": {},
        "artefacts": {},
        "places": {},
        "units": {},
        "observed": {},
        "cut_off": [],
        "when": 0,
        "open": False,
    }


def moved(data: LedgerData, path: str) -> LedgerData:
    """Return a ledger that came with a copied checkout as if it had been written here."""
    old, new = (os.path.dirname(os.path.dirname(place)) + os.sep for place in (data["path"], path))
    if old == new:
        return data
    known = empty(path)
    known["when"], known["open"] = data["when"], data["open"]
    for name, entry in data["files"].items():
        if name.startswith(old):
            known["files"][new + name.removeprefix(old)] = (None, entry[1])
    return known
