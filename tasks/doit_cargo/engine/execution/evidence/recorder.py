"""From a finished cargo call to the state that proves the next skip, and what the ledger learns of it.

Knows nothing of receipts' format or of the terminal.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.cargo import units
from doit_cargo.engine.cargo.discovery import (
    all_discovery_rules,
    discovery_rules,
    manifests,
    member_globs,
    path_dependencies,
)
from doit_cargo.engine.cargo.messages import BuildReport, Unit
from doit_cargo.engine.execution.evidence import proven
from doit_cargo.engine.execution.evidence.inputs import Inputs, is_final
from doit_cargo.engine.execution.evidence.invalidation import Ledger
from doit_cargo.engine.execution.evidence.snapshot import Snapshot, read_settled
from doit_cargo.engine.plan import declared
from doit_cargo.engine.state import dir_listing, fingerprint, staleness

if TYPE_CHECKING:
    from doit_cargo.engine.state.dir_listing import Tree
    from doit_cargo.engine.state.fingerprint import Kept, Mark
    from doit_cargo.engine.state.staleness import State


def plan_state(
    plan: Plan,
    workspace: Workspace,
    pins: Iterable[str],
    identity: Iterable[str],
    programs: Iterable[str],
    variables: Iterable[str],
    environ: Mapping[str, str],
) -> State:
    """Return the state of what shaped the plan: profiles, manifests, toolchain and tools; no source file.

    `pins` are the files by which a toolchain is chosen, `identity` those that stand for toolchain and tools, and
    `variables` choose tools.
    """
    started = time.time_ns()
    files = [*plan.files, *manifests(workspace), *pins]
    files += [os.path.join(workspace.root, "Cargo.toml")]
    state = staleness.empty(environ, programs)
    state["files"] = {path: read_settled_or_hash(path, started) for path in dict.fromkeys(files)}
    state["tools"] = stamps_of(identity)
    names = [name for name in plan.profile.env if plan.profile.env[name].value is not None]
    state["env"] = {
        name: staleness.public_value(name, environ.get(name)) for name in (*state["guarded"], *names, *variables)
    }
    for directory, rule in member_globs(workspace.root).items():
        state["trees"][directory] = dir_listing.tree_of(directory, rule, started)
    for directory in plan.folders:
        add_folder(state, directory, started)
    return state


def add_folder(state: State, directory: str, now: int, rule: tuple[str, ...] = ("watched",)) -> None:
    """Put all files of a folder into a state; one that is not there must stay absent. Raises `TooLarge`."""
    if not os.path.isdir(directory):
        state["files"][directory] = (None, None)
        return
    tree = dir_listing.tree_of(directory, rule, now)
    dir_listing.require_readable(directory, tree[2] or ())
    state["trees"][directory] = tree
    for name in tree[2] or ():
        path = os.path.join(directory, name)
        state["files"][path] = read_settled_or_hash(path, now)


def read_settled_or_hash(path: str, now: int) -> Kept:
    """Return (signature or None, digest) as of now."""
    stamp = fingerprint.signature(path)
    return (None, None) if stamp is None else (fingerprint.settled(stamp, now), fingerprint.digest(path))


def stamps_of(paths: Iterable[str]) -> dict[str, Mark]:
    """Return (mtime_ns, size, inode) of files that are there."""
    return {path: stamp[:3] for path in paths if (stamp := fingerprint.signature(path))}


def discovery_trees(workspace: Workspace) -> dict[str, Tree]:
    """Return the trees whose change gives cargo other members or other cargo targets."""
    now = time.time_ns()
    places = dict(member_globs(workspace.root))
    for package in workspace.packages.values():
        places.update(all_discovery_rules(package.directory, everything=True))
    return {directory: dir_listing.tree_of(directory, rule, now) for directory, rule in places.items()}


def list_members(workspace: Workspace, plan: Plan, before: Snapshot) -> None:
    """List the places of the members in which files count by appearing, and what the profile declares, to compare with
    after the call.
    """
    for directory, rule in declared.of(workspace, plan.profile.inputs.files).folders.items():
        before.record_tree(directory, rule)
    for package in workspace.packages.values():
        for path, rule in discovery_rules(package.directory, plan).items():
            before.record_tree(path, rule)
        if package.has_build_script:
            before.record_tree(package.directory, ("package", *workspace.built_in))


def build_state(
    inputs: Inputs,
    report: BuildReport,
    ledger: Ledger,
    before: Snapshot,
    environ: Mapping[str, str],
) -> State:
    """Return the state of a successful call, and teach the ledger what cargo has seen."""
    before.files[inputs.lock] = _lock(inputs.lock, report, before)
    learn(inputs, report, ledger, before)
    state = staleness.empty(environ, ())
    state["env"] = {name: staleness.public_value(name, environ.get(name)) for name in inputs.variables}
    files = dict.fromkeys([inputs.lock, *inputs.files, *inputs.seen_by_cargo])
    state["files"] = {path: before.as_cargo_saw(path) for path in files}
    state["trees"] = {path: _tree(path, rule, before) for path, rule in inputs.trees.items()}
    now = time.time_ns()
    state["outputs"] = {path: _output(path, ledger, now) for path in sorted(inputs.outputs)}
    state["units"] = stamps_of(inputs.units)
    state["always_stale_reason"] = inputs.always_stale_reason
    return state


def _lock(path: str, report: BuildReport, before: Snapshot) -> Kept:
    """Return the state of Cargo.lock. Cargo itself may write it, always before the first unit."""
    stamp = fingerprint.signature(path)
    if stamp and before.started < stamp[3] < report.first_unit_ns:
        return fingerprint.settled(stamp, time.time_ns()), fingerprint.digest(path)
    return read_settled(path, before.started)


def learn(inputs: Inputs, report: BuildReport, ledger: Ledger, before: Snapshot) -> None:
    """Teach the ledger what this call read and made; also of a failed call, as far as it came."""
    ledger.learn_files(inputs.seen_by_cargo, before)
    for directory, script in inputs.scripts.items():
        rule = inputs.trees[directory]
        seen = before.tree_as_cargo_saw(directory, rule)
        ledger.learn_tree(directory, rule, seen.names, script)
        owners = inputs.owners.get(directory, ())
        if seen.names is not None and rule == ("watched",) and len(owners) == 1:
            times = {path: stamp[0] for path, stamp in seen.stamps.items() if stamp}
            ledger.learn_folders(directory, times, owners[0])
    for unit in report.units:
        if unit.is_local:
            _learn_artefacts(unit, ledger, inputs)
    proven.learn(inputs.made, ledger, before)


def _learn_artefacts(unit: Unit, ledger: Ledger, inputs: Inputs) -> None:
    fingerprint_file = next((units.fingerprint_file(place.key) for place in inputs.placed(unit)), "")
    if not fingerprint_file:
        return
    links = inputs.links
    for path in unit.files:
        if os.path.basename(os.path.dirname(path)) == "deps":
            # Of a test program the content counts, of a library only that nobody has written it since.
            content = (ledger.known_content(path) or fingerprint.digest(path)) if path == unit.executable else None
            ledger.learn_artefact(path, content, fingerprint_file)
        elif "custom-build" not in unit.kinds:
            final = path == unit.executable or is_final(unit, path)
            content = (ledger.known_content(path) or fingerprint.digest(path)) if final else None
            for twin in links.of(path):
                ledger.learn_artefact(twin, content, fingerprint_file)


def _tree(path: str, rule: tuple[str, ...], before: Snapshot) -> Tree:
    """Return the state of a tree; its names are None if it moved while cargo ran."""
    names, found_stamps = before.tree_as_cargo_saw(path, rule)
    return rule, fingerprint.settle_all(found_stamps, time.time_ns()), names


def _output(path: str, ledger: Ledger, now: int) -> Kept:
    stamp = fingerprint.signature(path)
    if stamp is None:
        return None, None
    return fingerprint.settled(stamp, now), ledger.known_content(path) or fingerprint.digest(path)


def graph(report: BuildReport, workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """Return package -> local packages that it rests on, as far as they took part; outside the workspace too."""
    by_directory = {unit.directory: unit.package for unit in report.units if unit.is_local}
    graph = {}
    for directory, name in by_directory.items():
        member = workspace.packages.get(name)
        paths = [one.path for one in member.dependencies] if member else path_dependencies(directory)
        found = (by_directory.get(os.path.normpath(path)) for path in paths if path)
        graph[name] = tuple(dict.fromkeys(other for other in found if other and other != name))
    return graph
