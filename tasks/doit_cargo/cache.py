"""What was found out about a workspace, kept on disk as long as nothing that it rests on has changed.

Three findings: cargo's facts (instead of `cargo metadata`), the listing of targets (instead of reading every
profile) and what the crates of a plan need (instead of `cargo tree`). All are states as `engine.state.staleness` knows
them, with a value beside. Losing one costs only time.
"""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from doit_cargo import __version__
from doit_cargo.engine.base import NamedTuple, secrets
from doit_cargo.engine.cargo import FORMAT
from doit_cargo.engine.state import receipts, staleness, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired, TypedDict

    from doit_cargo.engine.base.model import Plan, Workspace
    from doit_cargo.engine.cargo.facts import Facts, PackageFacts
    from doit_cargo.engine.plan.profiles import Library
    from doit_cargo.engine.preflight.requirements.requirement import Inference
    from doit_cargo.engine.state.staleness import State
    from doit_cargo.engine.toolchain import Machine
    from doit_cargo.targets.listing import Row

    class CachedFacts(TypedDict):
        """What was found, what must be equal for it to count, and what must still hold."""

        basis: tuple[object, ...]
        state: State
        value: Any
        mark: NotRequired[int]


# So many plans' needs are kept.
MOST_NEEDS = 128


def _recall(path: str, basis: tuple[object, ...], environ: Mapping[str, str]) -> CachedFacts | None:
    finding = cast("CachedFacts | None", store.load(path))
    if not finding or finding["basis"] != basis:
        return None
    changes = staleness.Check(finding["state"], environ, time.time_ns()).changes()
    return finding if next(changes, None) is None else None


def _keep(state_directory: str, name: str, finding: CachedFacts) -> None:
    with contextlib.suppress(OSError):
        store.prepare(state_directory)
        store.store(os.path.join(state_directory, name), finding)


class Remembered(NamedTuple):
    """What cargo says of a workspace, a number that tells one answer from another, and the files it rests on."""

    value: Facts
    mark: int
    files: tuple[str, ...]


def _facts_of(finding: CachedFacts) -> Remembered:
    there = (path for path, (_, content) in finding["state"]["files"].items() if content is not None)
    return Remembered(finding["value"], finding["mark"], tuple(there))


def facts(start: str, environ: Mapping[str, str]) -> Remembered:
    """Return cargo's facts of the workspace that holds `start`.

    Raises `UserError` where asking cargo would run a program of the checkout that nobody has agreed to.
    """
    from doit_cargo.engine.state import trust

    trust.require_programs(start, environ)
    root, passed = receipts.find_root(start, environ)
    if root:
        path = os.path.join(store.state_directory(root, environ), "workspace")
        finding = _recall(path, (__version__, FORMAT, root), environ)
        if finding and all(manifest in finding["state"]["files"] for manifest in passed):
            return _facts_of(finding)
    return _ask_cargo(start, environ)


def _ask_cargo(start: str, environ: Mapping[str, str]) -> Remembered:
    from doit_cargo.engine import toolchain
    from doit_cargo.engine.cargo import discovery, metadata
    from doit_cargo.engine.execution.evidence import recorder, snapshot

    started = time.time_ns()
    found = metadata.read_metadata(start, environ)
    known = metadata.from_metadata(found)
    state = staleness.empty(environ, ("cargo",))
    files = [
        os.path.join(known.root, "Cargo.toml"),
        *discovery.manifests(known),
        *discovery.config_files(known.root, environ),
        *toolchain.pin_candidates(known.root, environ),
    ]
    state["tools"] = recorder.stamps_of(toolchain.toolchain_identity(known.root, environ))
    state["files"] = {path: snapshot.read_settled(path, started) for path in dict.fromkeys(files)}
    state["env"] = {name: staleness.public_value(name, environ[name]) for name in state["guarded"]}
    state["trees"] = recorder.discovery_trees(known)
    mark = zlib.crc32(repr(found).encode("utf-8", "surrogateescape"))
    finding: CachedFacts = {"basis": (__version__, FORMAT, known.root), "state": state, "value": found, "mark": mark}
    if not found["borrowed"]:  # once the pinned toolchain is here, it is asked itself
        _keep(store.state_directory(known.root, environ), "workspace", finding)
    return _facts_of(finding)


def listing(
    state_directory: str,
    root: str,
    basis: object,
    environ: Mapping[str, str],
    library: Callable[[], Library],
    compute: Callable[[], tuple[Row, ...]],
) -> tuple[Row, ...]:
    """Return the rows of all targets, from disk while profiles, workspace (`basis`) and tools are the same."""
    path = os.path.join(state_directory, "catalogue")
    from doit_cargo.engine.state import trust

    basis = (__version__, state_directory, basis, trust.is_python_trusted(root, environ))
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


def _library_state(library: Library, root: str, environ: Mapping[str, str]) -> State:
    """Return the state of the rows and of all profile folders; a folder that is not there must stay absent."""
    from doit_cargo.engine.execution.evidence import recorder
    from doit_cargo.targets import catalogue, project_targets

    now = time.time_ns()
    state = staleness.empty(environ, ("nvcc", "python3"))
    for directory in library.directories:
        recorder.add_folder(state, directory, now)
    wanted = [os.path.join(root, name) for name in catalogue.root_files()]
    for path in (*catalogue.row_files(), project_targets.path_in(root), *wanted):
        state["files"][path] = recorder.read_settled_or_hash(path, now)
    return state


def needs(
    state_directory: str,
    plan: Plan,
    workspace: Workspace,
    machine: Machine,
    overlays: tuple[str, ...],
    fetch: Callable[[], None] | None = None,
) -> Inference:
    """Return what the crates of a plan need, from disk while lock, manifests and cargo's settings are the same.

    `machine` sees the plan's environment; the user's own sysdeps.toml is the first of `overlays` that is there. See
    `preflight.inference.infer` for `fetch`.
    """
    from doit_cargo.engine.preflight.requirements import calls, requirement

    if not calls.compiles(plan):
        return requirement.NOTHING
    environ = machine.environ
    triple = calls.triple_of(plan, environ, workspace, machine.platform)
    chosen = secrets.kept_words(calls.selection(plan))
    tests = calls.with_tests(plan.invocation.argv)
    insists = "--locked" in plan.invocation.argv
    basis = (__version__, requirement.SHAPE, plan.invocation.cwd, chosen, tests, triple, insists, overlays)
    name = f"needs-{zlib.crc32(repr(basis).encode('utf-8', 'surrogateescape')):08x}"
    finding = _recall(os.path.join(state_directory, name), basis, environ)
    kept = requirement.from_data(finding["value"]) if finding else None
    if kept and (kept.basis == requirement.CARGO or fetch is None):
        return kept
    from doit_cargo.engine.execution.evidence import recorder
    from doit_cargo.engine.preflight.requirements import inference, rules

    state = _needs_state(workspace, environ, (*overlays, rules.shipped_path()))
    overlay = next(filter(os.path.isfile, overlays), "")
    label = os.path.relpath(overlay, workspace.root).replace(os.sep, "/") if overlay else ""
    known = rules.load(overlay, label)
    found = inference.infer(plan, plan.invocation.cwd or workspace.root, environ, known, triple, fetch)
    if not found.problem:
        lock = os.path.join(workspace.root, "Cargo.lock")
        state["files"][lock] = recorder.read_settled_or_hash(lock, time.time_ns())
        _keep(state_directory, name, {"basis": basis, "state": state, "value": requirement.to_data(found)})
        store.keep_newest(state_directory, "needs-", MOST_NEEDS)
    return found


def dependencies(
    state_directory: str,
    workspace: Workspace,
    environ: Mapping[str, str],
    ask: Callable[[], tuple[dict[str, PackageFacts], str]],
) -> tuple[dict[str, PackageFacts], str]:
    """Return what `ask` gets from cargo of the packages outside the workspace, and why not all are known; from disk
    while all that this rests on is the same.
    """
    basis = (__version__, FORMAT, workspace.root)
    finding = _recall(os.path.join(state_directory, "dependencies"), basis, environ)
    if finding:
        return cast("tuple[dict[str, PackageFacts], str]", finding["value"])
    state = _needs_state(workspace, environ, ())
    found = ask()
    _keep(state_directory, "dependencies", {"basis": basis, "state": state, "value": found})
    return found


def _needs_state(workspace: Workspace, environ: Mapping[str, str], knowledge: tuple[str, ...]) -> State:
    """Return the state of all that cargo's resolution rests on, and of where sources are downloaded to."""
    from doit_cargo.engine import toolchain
    from doit_cargo.engine.cargo import resolved_from
    from doit_cargo.engine.execution.evidence import recorder
    from doit_cargo.engine.state import dir_listing, fingerprint

    now = time.time_ns()
    rests = resolved_from.resolved_from(workspace, environ)
    state = staleness.empty(environ, ("cargo",))
    files = [*knowledge, *rests.files, *toolchain.pin_candidates(workspace.root, environ)]
    for place in rests.vendored:
        stamps, names = dir_listing.list_tree(place, resolved_from.VENDORED)
        state["trees"][place] = (resolved_from.VENDORED, fingerprint.settle_all(stamps, now), names)
        files += [os.path.join(place, name) for name in names]
    state["files"] = {path: recorder.read_settled_or_hash(path, now) for path in dict.fromkeys(files)}
    state["env"] = {name: staleness.public_value(name, environ[name]) for name in state["guarded"]}
    state["tools"] = recorder.stamps_of(toolchain.toolchain_identity(workspace.root, environ))
    for place in rests.downloads:
        if os.path.isdir(place):
            state["tools"] |= recorder.stamps_of([place])
        else:
            state["files"][place] = (None, None)
    return state
