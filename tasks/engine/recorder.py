"""From a finished cargo call to the state that proves the next skip.

Gathers every input of the call (facts: docs/design.md, "Freshness"): what cargo's own files tell, and what they do
not: manifests, member globs, auto-discovered files, config files, toolchain files, watched directories. Knows
nothing of receipts' format or of the terminal.
"""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from doit_cargo.engine import cargo_files, freshness
from doit_cargo.engine.cargo_files import BuildReport, HardLinks, Script, Unit
from doit_cargo.engine.ledger import Ledger, Snapshot, read_settled
from doit_cargo.engine.model import Plan, Workspace

Listings = Mapping[tuple[str, tuple[str, ...]], tuple[str, ...]]
"""(directory, rule) -> names."""

DISCOVERED = ("src/bin", "tests", "examples", "benches")
TESTING_COMMANDS = frozenset({"test", "bench", "clippy", "nextest", "llvm-cov"})


@dataclass(slots=True)
class Inputs:
    """Everything that one cargo call depended on, by kind. `owners` maps a file or directory to its package."""

    files: dict[str, None] = field(default_factory=dict)
    seen_by_cargo: dict[str, None] = field(default_factory=dict)
    trees: dict[str, tuple[str, ...]] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    variables: dict[str, None] = field(default_factory=dict)
    outputs: dict[str, None] = field(default_factory=dict)
    units: dict[str, None] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    cuda_packages: dict[str, None] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    lock: str = ""
    always: str = ""
    links: HardLinks = field(default_factory=HardLinks)

    def own(self, path: str, package: str) -> None:
        self.owners.setdefault(path, package)


def plan_state(
    plan: Plan,
    workspace: Workspace,
    pins: Iterable[str],
    identity: Iterable[str],
    programs: Iterable[str],
    variables: Iterable[str],
    environ: Mapping[str, str],
) -> dict[str, Any]:
    """Return the state of what shaped the plan: profiles, manifests, toolchain and tools; no source file.

    `pins` are the files by which a toolchain is chosen, `identity` those that stand for toolchain and tools, and
    `variables` choose tools.
    """
    started = time.time_ns()
    files = [*plan.files, *manifests(workspace), *pins]
    files += [os.path.join(workspace.root, "Cargo.toml")]
    state = empty_state(environ, programs)
    state["files"] = {path: read_settled_or_hash(path, started) for path in dict.fromkeys(files)}
    state["tools"] = stamps_of(identity)
    names = [name for name in plan.profile.env if plan.profile.env[name].value is not None]
    state["env"] = {
        name: freshness.public_value(name, environ.get(name)) for name in (*state["guarded"], *names, *variables)
    }
    for directory, rule in member_globs(workspace.root).items():
        stamps, found = freshness.list_tree(directory, rule)
        state["trees"][directory] = (rule, freshness.settle_all(stamps, started), found)
    for directory in plan.folders:
        add_folder(state, directory, started)
    return state


def add_folder(state: dict[str, Any], directory: str, now: int) -> None:
    """Put all files of a folder into a state; a folder that is not there must stay absent."""
    if not os.path.isdir(directory):
        state["files"][directory] = (None, None)
        return
    stamps, names = freshness.list_tree(directory, ("watched",))
    state["trees"][directory] = (("watched",), freshness.settle_all(stamps, now), names)
    for name in names:
        path = os.path.join(directory, name)
        state["files"][path] = read_settled_or_hash(path, now)


def read_settled_or_hash(path: str, now: int) -> tuple[Any, bytes | None]:
    """Return (signature or None, digest) as of now."""
    stamp = freshness.signature(path)
    return (None, None) if stamp is None else (freshness.settled(stamp, now), freshness.digest(path))


def stamps_of(paths: Iterable[str]) -> dict[str, tuple[int, int, int]]:
    """Return (mtime_ns, size, inode) of files that are there."""
    return {path: stamp[:3] for path in paths if (stamp := freshness.signature(path))}


def empty_state(environ: Mapping[str, str], programs: Iterable[str]) -> dict[str, Any]:
    """Return a state that knows the environment and nothing else."""
    path = environ.get("PATH", "")
    return {
        "env": {},
        "guarded": freshness.guarded_names(environ),
        "path": path,
        "which": {program: freshness.which(program, path) for program in programs},
        "files": {},
        "trees": {},
        "outputs": {},
        "units": {},
        "tools": {},
        "always": "",
    }


def gather(plan: Plan, workspace: Workspace, report: BuildReport, environ: Mapping[str, str]) -> Inputs:
    """Collect the inputs of a call that has just ended."""
    inputs = Inputs()
    inputs.lock = os.path.join(workspace.root, "Cargo.lock")
    for path in config_files(workspace.root, environ):
        inputs.files[path] = None
    for unit in report.units:
        _add_unit(inputs, unit, workspace)
    for script in report.scripts:
        _add_script(inputs, script, _directory_of(script, report), workspace)
    for directory, package in _package_directories(workspace, report).items():
        _add_discovery(inputs, directory, package, plan)
    for name in freshness.guarded_names(environ):
        inputs.variables[name] = None
    _add_declared(inputs, plan, workspace)
    return inputs


def _add_unit(inputs: Inputs, unit: Unit, workspace: Workspace) -> None:
    _add_artefacts(inputs, unit)
    if "cuda" in unit.features and "custom-build" in unit.kinds:
        inputs.cuda_packages[unit.package] = None
    found = inputs.links.dep_info_files(unit)
    if unit.is_local and not found:
        inputs.always = f"cargo's dep-info of {unit.package} ({unit.name}) was not found"
    for path in found:
        info = cargo_files.read_dep_info(path)
        inputs.variables.update(dict.fromkeys(info.variables))
        if unit.is_local:
            for name in info.files:
                _add_source(inputs, _absolute(name, workspace.root), unit.package, workspace)


def _add_artefacts(inputs: Inputs, unit: Unit) -> None:
    for path in unit.files:
        inputs.units.update(dict.fromkeys(inputs.links.of(path)))
        target = inputs.outputs if path == unit.executable or _is_final(unit, path) else inputs.units
        target[path] = None
        inputs.own(path, unit.package)
    if unit.is_local:
        inputs.units.update(dict.fromkeys(_fingerprints(unit, inputs.links)))


def _is_final(unit: Unit, path: str) -> bool:
    """A library for others than Rust, put where users look for it."""
    return bool({"cdylib", "staticlib"} & set(unit.kinds)) and os.path.basename(os.path.dirname(path)) != "deps"


def _fingerprints(unit: Unit, links: HardLinks) -> Iterator[str]:
    """Yield the fingerprint files of a unit; without them cargo would build it again."""
    for info in links.dep_info_files(unit)[:1]:
        directory, name = os.path.split(info)
        profile = os.path.dirname(directory)
        if os.path.basename(directory) != "deps":
            profile = os.path.dirname(profile)
        mark = os.path.splitext(name)[0].rpartition("-")[2]
        place = os.path.join(profile, ".fingerprint", f"{unit.package}-{mark}")
        if os.path.isdir(place):
            yield os.path.join(place, "invoked.timestamp")


def _add_source(inputs: Inputs, path: str, package: str, workspace: Workspace) -> None:
    if _below(path, workspace.target_directory):
        inputs.units[path] = None
        return
    inputs.seen_by_cargo[path] = None
    inputs.own(path, package)


def _below(path: str, directory: str) -> bool:
    return path.startswith(directory + os.sep)


def _absolute(name: str, root: str) -> str:
    """Return an absolute path, without `..` where that leads to the same file."""
    path = os.path.join(root, name)
    if ".." not in path:
        return path
    plain = os.path.normpath(path)
    one, two = freshness.signature(path), freshness.signature(plain)
    return plain if one and two and one[2] == two[2] else path


def _directory_of(script: Script, report: BuildReport) -> str:
    return next((unit.directory for unit in report.units if unit.package_id == script.package_id), "")


def _add_script(inputs: Inputs, script: Script, directory: str, workspace: Workspace) -> None:
    try:
        output = cargo_files.read_script_output(script.output, directory)
    except OSError:
        inputs.always = f"the output of {script.package}'s build script was not found"
        return
    inputs.units[script.output] = None
    inputs.variables.update(dict.fromkeys(output.variables))
    for library in output.static_libraries:
        if not _below(library, workspace.target_directory):
            inputs.files[library] = None
            inputs.libraries[library] = script.package
            inputs.own(library, script.package)
    if not script.package_id.startswith("path+"):
        _add_foreign_watch(inputs, output.paths, directory)
        return
    if any("cuda" in name.lower() or "nvcc" in name.lower() for name in output.variables):
        inputs.cuda_packages.setdefault(script.package)
    if output.watches_package:
        _add_tree(inputs, directory, ("package", workspace.target_directory), script.package, directory)
    for path in output.paths:
        _add_watched(inputs, path, script.package, directory, workspace)


def _add_foreign_watch(inputs: Inputs, paths: Iterable[str], package_directory: str) -> None:
    """A registry package may watch files of this machine (a header, a library); its own never change."""
    for path in paths:
        if os.path.isfile(path) and not _below(path, package_directory):
            inputs.seen_by_cargo[path] = None


def _add_watched(inputs: Inputs, path: str, package: str, directory: str, workspace: Workspace) -> None:
    if os.path.isdir(path):
        _add_tree(inputs, path, ("watched",), package, directory)
    elif os.path.exists(path):
        _add_source(inputs, _absolute(path, workspace.root), package, workspace)
    else:
        inputs.always = f"the build script of {package} watches {path}, which does not exist: cargo reruns it each time"


def _add_tree(inputs: Inputs, directory: str, rule: tuple[str, ...], package: str, package_directory: str) -> None:
    inputs.trees[directory] = rule
    inputs.scripts[directory] = os.path.join(package_directory, "build.rs")
    inputs.own(directory, package)
    _, names = freshness.list_tree(directory, rule)
    for name in names:
        path = os.path.join(directory, name)
        inputs.seen_by_cargo[path] = None
        inputs.own(path, package)


def _package_directories(workspace: Workspace, report: BuildReport) -> dict[str, str]:
    """Return directory -> package of the members and of every local package of the build."""
    found = {package.directory: name for name, package in workspace.packages.items()}
    found.update((unit.directory, unit.package) for unit in report.units if unit.is_local)
    return found


def _add_discovery(inputs: Inputs, directory: str, package: str, plan: Plan) -> None:
    manifest = os.path.join(directory, "Cargo.toml")
    inputs.files[manifest] = None
    inputs.own(manifest, package)
    for path, rule in discovery_rules(directory, plan).items():
        if path not in inputs.trees:
            inputs.trees[path] = rule
            inputs.own(path, package)


def discovery_rules(directory: str, plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return where the mere appearance of a file makes a cargo target that this plan would build."""
    argv = plan.invocation.argv
    return _discovery_rules(directory, argv[1] in TESTING_COMMANDS or "--all-targets" in argv)


def _discovery_rules(directory: str, everything: bool) -> dict[str, tuple[str, ...]]:
    """Return directory -> rule (Cargo book, "Target auto-discovery")."""
    places: dict[str, tuple[str, ...]] = {
        ".": ("only", "build.rs", "src"),
        "src": ("only", "lib.rs", "main.rs", "bin"),
        "src/bin": ("targets",),
    }
    if everything:
        places["."] += ("tests", "examples", "benches")
        places.update(dict.fromkeys(DISCOVERED[1:], ("targets",)))
    paths = ((os.path.normpath(os.path.join(directory, place)), rule) for place, rule in places.items())
    return {path: rule for path, rule in paths if os.path.isdir(path)}


def listings(workspace: Workspace, plan: Plan) -> Listings:
    """Return the listings of the members' watched places as they are now, to compare with after the call."""
    found = {}
    for package in workspace.packages.values():
        places = list(discovery_rules(package.directory, plan).items())
        if package.has_build_script:
            places.append((package.directory, ("package", workspace.target_directory)))
        for path, rule in places:
            found[path, rule] = freshness.list_tree(path, rule)[1]
    return found


def _add_declared(inputs: Inputs, plan: Plan, workspace: Workspace) -> None:
    inputs.files.update((os.path.join(workspace.root, name), None) for name in plan.profile.inputs.files)
    inputs.variables.update(dict.fromkeys(plan.profile.inputs.env))


def manifests(workspace: Workspace) -> list[str]:
    """Return the manifests of the members, and of path dependencies outside the workspace as far as they are named."""
    found = [package.manifest for package in workspace.packages.values()]
    found += [
        os.path.join(dependency.path, "Cargo.toml")
        for package in workspace.packages.values()
        for dependency in package.dependencies
        if dependency.path
    ]
    return list(dict.fromkeys(found))


def path_dependencies(directory: str) -> list[str]:
    """Return the directories that a manifest outside the workspace names; none for one that cannot be read."""
    try:
        with open(os.path.join(directory, "Cargo.toml"), "rb") as stream:
            manifest = tomllib.load(stream)
    except (OSError, tomllib.TOMLDecodeError):
        return []
    tables = [manifest, *manifest.get("target", {}).values()]
    found = [
        dependency["path"]
        for table in tables
        for key in ("dependencies", "build-dependencies")
        for dependency in table.get(key, {}).values()
        if isinstance(dependency, dict) and "path" in dependency
    ]
    return [os.path.normpath(os.path.join(directory, path)) for path in found]


def member_globs(root: str) -> dict[str, tuple[str, ...]]:
    """Return {root: rule} for the `members` patterns; none for a manifest that cannot be read."""
    try:
        with open(os.path.join(root, "Cargo.toml"), "rb") as stream:
            members = tomllib.load(stream).get("workspace", {}).get("members", [])
    except (OSError, tomllib.TOMLDecodeError):
        return {}
    globs = [pattern for pattern in members if any(mark in pattern for mark in "*?[")]
    return {root: ("globs", *globs)} if globs else {}


def discovery_state(workspace: Workspace) -> dict[str, Any]:
    """Return the trees whose change gives cargo other members or other cargo targets."""
    now = time.time_ns()
    places = dict(member_globs(workspace.root))
    for package in workspace.packages.values():
        places.update(_discovery_rules(package.directory, everything=True))
    found = {}
    for directory, rule in places.items():
        stamps, names = freshness.list_tree(directory, rule)
        found[directory] = (rule, freshness.settle_all(stamps, now), names)
    return found


def config_files(root: str, environ: Mapping[str, str]) -> list[str]:
    """Return cargo's config files, existing or not, from `root` upwards and in CARGO_HOME, with what they include."""
    places = [os.path.join(directory, ".cargo") for directory in ancestors(root)]
    places.append(environ.get("CARGO_HOME") or os.path.join(os.path.expanduser("~"), ".cargo"))
    found = [os.path.join(place, name) for place in dict.fromkeys(places) for name in ("config", "config.toml")]
    return list(dict.fromkeys(path for name in found for path in (name, *_included(name, 0))))


def _included(path: str, depth: int) -> Iterator[str]:
    """Yield what `include` of a config file names (Cargo book, "Configuration", include)."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
        includes = tomllib.loads(content.decode()).get("include", []) if b"include" in content else []
    except (OSError, ValueError):
        return
    for entry in [includes] if isinstance(includes, str | dict) else includes:
        name = os.path.join(os.path.dirname(path), entry["path"] if isinstance(entry, dict) else entry)
        yield name
        if depth < 8:
            yield from _included(name, depth + 1)


def ancestors(directory: str) -> Iterator[str]:
    """Yield `directory` and each of its parents."""
    while True:
        yield directory
        parent = os.path.dirname(directory)
        if parent == directory:
            return
        directory = parent


def build_state(
    inputs: Inputs,
    report: BuildReport,
    ledger: Ledger,
    before: Snapshot,
    listed: Listings,
    environ: Mapping[str, str],
) -> dict[str, Any]:
    """Return the state of a successful call, and teach the ledger what cargo has seen.

    `listed` are the directory listings from before the call: one that differs now is not trusted.
    """
    before.files[inputs.lock] = _lock(inputs.lock, report, before)
    learn(inputs, report, ledger, before, listed)
    state = empty_state(environ, ())
    state["env"] = {name: freshness.public_value(name, environ.get(name)) for name in inputs.variables}
    files = dict.fromkeys([inputs.lock, *inputs.files, *inputs.seen_by_cargo])
    state["files"] = {path: before.files.get(path) or read_settled(path, before.started) for path in files}
    state["trees"] = {path: _tree(path, rule, before, listed) for path, rule in inputs.trees.items()}
    now = time.time_ns()
    state["outputs"] = {path: _output(path, ledger, now) for path in inputs.outputs}
    state["units"] = stamps_of(inputs.units)
    state["always"] = inputs.always
    return state


def _lock(path: str, report: BuildReport, before: Snapshot) -> tuple[Any, bytes | None]:
    """Return the state of Cargo.lock. Cargo itself may write it, always before the first unit."""
    stamp = freshness.signature(path)
    if stamp and before.started < stamp[3] < report.first_unit_ns:
        return freshness.settled(stamp, time.time_ns()), freshness.digest(path)
    return read_settled(path, before.started)


def learn(inputs: Inputs, report: BuildReport, ledger: Ledger, before: Snapshot, listed: Listings) -> None:
    """Teach the ledger what this call read and made; also of a failed call, as far as it came."""
    ledger.learn_files(inputs.seen_by_cargo, before)
    for directory, script in inputs.scripts.items():
        rule = inputs.trees[directory]
        names = (
            before.trees.get((directory, rule))
            or listed.get((directory, rule))
            or freshness.list_tree(directory, rule)[1]
        )
        ledger.learn_tree(directory, rule, names, script)
    for unit in report.units:
        if unit.is_local:
            _learn_artefacts(unit, ledger, inputs.links)


def _learn_artefacts(unit: Unit, ledger: Ledger, links: HardLinks) -> None:
    witness = next(_fingerprints(unit, links), "")
    if not witness:
        return
    for path in unit.files:
        if os.path.basename(os.path.dirname(path)) == "deps":
            ledger.learn_artefact(path, None, witness)
        elif "custom-build" not in unit.kinds:
            final = path == unit.executable or _is_final(unit, path)
            content = (ledger.known_content(path) or freshness.digest(path)) if final else None
            for twin in links.of(path):
                ledger.learn_artefact(twin, content, witness)


def _tree(path: str, rule: tuple[str, ...], before: Snapshot, listed: Listings) -> tuple[Any, Any, Any]:
    """Return the state of a tree; its names are None if they changed while cargo ran."""
    stamps, names = freshness.list_tree(path, rule)
    known = listed.get((path, rule), before.trees.get((path, rule)))
    if known is None:
        same = all(stamp and freshness.changed_before(stamp, before.started) for stamp in stamps.values())
    else:  # cargo itself may have written the lock, which belongs to the files of a package
        same = set(names) ^ set(known) <= {"Cargo.lock"}
    return rule, freshness.settle_all(stamps, time.time_ns()), names if same else None


def _output(path: str, ledger: Ledger, now: int) -> tuple[Any, bytes | None]:
    stamp = freshness.signature(path)
    if stamp is None:
        return None, None
    return freshness.settled(stamp, now), ledger.known_content(path) or freshness.digest(path)
