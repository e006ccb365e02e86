"""From a success on this machine to what is published of it: what it rests on, its files, what of the machine is in it.

Knows receipts and the kinds of cargo calls, and nothing of stores.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.engine.state import fingerprint
from doit_cargo.sharing import documentation, embedded, keys, path_set, result
from doit_cargo.sharing.path_set import NotShared
from doit_cargo.sharing.result import File
from doit_cargo.sharing.roots import Roots

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.state.fingerprint import Kept
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.staleness import State


class Success(NamedTuple):
    """What came of a call. `files` are what it left, with their content then, where that is known; `bound` is what of
    the machine it rests on beside what was read, such as its processor.
    """

    receipt: Receipt
    state: State
    files: Mapping[str, Kept | None]
    bound: Collection[str]
    passed: str = ""


def of_build(plan: Plan, receipt: Receipt, observed: Mapping[str, object]) -> Success:
    """Return the success of a cargo call; `observed` is what the ledger knows of each unit. Raises `NotShared`."""
    state = receipt["build"]
    files: dict[str, Kept | None] = {**state["outputs"], **state["left"]}
    if plan.invocation.argv[1] == "doc":
        files |= dict.fromkeys(documentation.files(state["units"]))
    return Success(receipt, state, files, _kinds(state, observed, receipt))


def _kinds(state: State, observed: Mapping[str, object], receipt: Receipt) -> set[str]:
    """Return what of the machine a result is bound to: build scripts may compile for its processor or GPU."""
    found = set()
    if path_set.scripts_start_programs(observed, receipt.get("observed", ())):
        found.add(keys.CPU)
    if "nvidia-smi" in state["which"]:
        found.add(keys.GPU)
    return found


def require_whole(success: Success) -> None:
    """Raise `NotShared` where not all is known that a success rests on."""
    if success.receipt.get("unseen"):
        raise NotShared(f"{success.receipt['unseen'][0]}, so that nobody knows all that it rests on")


def files_of(success: Success, roots: Roots) -> dict[File, str]:
    """Return the files as they were left: one that somebody has replaced since is none of this result."""
    libraries = embedded.library_names(path_set.known_files(success.state, roots))
    found = {}
    for path, kept in success.files.items():
        embedded.require_libraries(path, libraries)
        embedded.require_debug_information(path)
        found[result.file_of(path, roots)] = path
        if kept and fingerprint.digest(path) != kept[1]:
            raise NotShared(f"{os.path.basename(path)} has changed since it was built")
    return found


def log_of(path: str) -> bytes:
    """Return the log of a call, or nothing."""
    try:
        with open(path, "rb") as stream:
            return stream.read(result.MOST_BYTES)
    except OSError:
        return b""


def told_of(success: Success) -> dict[str, object]:
    """Return what is told of a result."""
    import socket

    receipt = success.receipt
    return {
        "machine": socket.gethostname(),
        "finished": receipt["finished"],
        "seconds": receipt["seconds"],
        "warnings": list(receipt["warnings"]),
        "packages": list(receipt["packages"]),
        "features": list(receipt["features"]),
        "passed": success.passed,
    }
