"""What was found out about a workspace, kept on disk as long as nothing that it rests on has changed.

Two findings: cargo's facts (instead of `cargo metadata`) and the listing of targets (instead of reading every
profile). Both are states as `engine.freshness` knows them, with a value beside. Losing one costs only time.
"""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from doit_cargo import __version__
from doit_cargo.engine import freshness, receipts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.profiles import Library

Finding = dict[str, Any]
"""{"basis": what must be equal, "state": what must still hold, "value": what was found}"""


def _recall(path: str, basis: object, environ: Mapping[str, str]) -> Finding | None:
    finding = receipts.load(path)
    if not isinstance(finding, dict) or finding.get("basis") != basis:
        return None
    changes = freshness.Check(finding["state"], environ, time.time_ns()).changes()
    return finding if next(changes, None) is None else None


def _keep(state_directory: str, name: str, finding: Finding) -> None:
    with contextlib.suppress(OSError):
        receipts.prepare(state_directory)
        receipts.store(os.path.join(state_directory, name), finding)


def facts(start: str, environ: Mapping[str, str]) -> tuple[dict[str, Any], int]:
    """Return cargo's facts of the workspace that holds `start`, and a number that tells one set from another."""
    root, passed = receipts.find_root(start, environ)
    if root:
        path = os.path.join(receipts.state_directory(root, environ), "workspace")
        finding = _recall(path, (__version__, root), environ)
        if finding and all(manifest in finding["state"]["files"] for manifest in passed):
            return finding["value"], finding["mark"]
    return _ask_cargo(start, environ)


def _ask_cargo(start: str, environ: Mapping[str, str]) -> tuple[dict[str, Any], int]:
    from doit_cargo.engine import cargo_places, ledger, recorder, toolchain, workspace

    started = time.time_ns()
    found = workspace.read_metadata(start, environ)
    known = workspace.from_metadata(found)
    state = recorder.empty_state(environ, ("cargo",))
    files = [
        os.path.join(known.root, "Cargo.toml"),
        *cargo_places.manifests(known),
        *cargo_places.config_files(known.root, environ),
        *toolchain.pin_candidates(known.root, environ),
    ]
    state["tools"] = recorder.stamps_of(toolchain.toolchain_identity(known.root, environ))
    state["files"] = {path: ledger.read_settled(path, started) for path in dict.fromkeys(files)}
    state["env"] = {name: freshness.public_value(name, environ[name]) for name in state["guarded"]}
    state["trees"] = recorder.discovery_state(known)
    mark = zlib.crc32(repr(found).encode("utf-8", "surrogateescape"))
    finding = {"basis": (__version__, known.root), "state": state, "value": found, "mark": mark}
    _keep(receipts.state_directory(known.root, environ), "workspace", finding)
    return found, mark


def listing(
    state_directory: str,
    root: str,
    basis: object,
    environ: Mapping[str, str],
    library: Callable[[], Library],
    compute: Callable[[], tuple[dict[str, Any], ...]],
) -> tuple[dict[str, Any], ...]:
    """Return the rows of all targets, from disk while profiles, workspace (`basis`) and tools are the same."""
    path = os.path.join(state_directory, "catalogue")
    basis = (__version__, state_directory, basis)
    finding = _recall(path, basis, environ)
    if finding:
        return tuple(finding["value"])
    state = _library_state(library(), root, environ)
    rows = compute()
    _keep(state_directory, "catalogue", {"basis": basis, "state": state, "value": rows})
    return rows


def forget_listing(state_directory: str) -> bool:
    """Have the listing made anew by the next call; return whether there was one."""
    path = os.path.join(state_directory, "catalogue")
    if not os.path.exists(path):
        return False
    with contextlib.suppress(OSError):
        os.unlink(path)
        return True
    return False


def _library_state(library: Library, root: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the state of the rows and of all profile folders; a folder that is not there must stay absent."""
    from doit_cargo import catalogue, own_rows
    from doit_cargo.engine import recorder

    now = time.time_ns()
    state = recorder.empty_state(environ, ("nvcc", "python3"))
    for directory in library.directories:
        recorder.add_folder(state, directory, now)
    for path in (*catalogue.row_files(), own_rows.path_in(root)):
        state["files"][path] = recorder.read_settled_or_hash(path, now)
    return state
