"""Everything that one finished cargo call depended on, gathered from what cargo tells and from what it does not.

Facts: docs/design.md, "Freshness". Knows nothing of states or receipts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from doit_cargo.engine import cargo_files, freshness, listings, stamps
from doit_cargo.engine.cargo_files import BuildReport, HardLinks, Script, Unit
from doit_cargo.engine.cargo_places import config_files, discovery_rules
from doit_cargo.engine.model import Plan, Workspace


@dataclass(slots=True)
class Inputs:
    """Everything that one cargo call depended on, by kind. `owners` maps a file or directory to its packages."""

    files: dict[str, None] = field(default_factory=dict)
    seen_by_cargo: dict[str, None] = field(default_factory=dict)
    trees: dict[str, tuple[str, ...]] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    variables: dict[str, None] = field(default_factory=dict)
    outputs: dict[str, None] = field(default_factory=dict)
    units: dict[str, None] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    cuda_packages: dict[str, None] = field(default_factory=dict)
    owners: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lock: str = ""
    always: str = ""
    links: HardLinks = field(default_factory=HardLinks)

    def own(self, path: str, package: str) -> None:
        """Note that a package rests on `path`; several may share a file."""
        known = self.owners.get(path, ())
        if package not in known:
            self.owners[path] = (*known, package)


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
    if unit.is_local and is_documentation(unit, workspace):
        _add_documented(inputs, unit, workspace)
        return
    found = inputs.links.dep_info_files(unit)
    if unit.is_local and not found:
        inputs.always = f"cargo's dep-info of {unit.package} ({unit.name}) was not found"
    for path in found:
        info = cargo_files.read_dep_info(path)
        inputs.variables.update(dict.fromkeys(info.variables))
        if unit.is_local:
            for name in info.files:
                _add_source(inputs, _absolute(name, workspace.root), unit.package, workspace)


def is_documentation(unit: Unit, workspace: Workspace) -> bool:
    """rustdoc leaves pages, and no dep-info."""
    pages = [path for path in unit.files if _below(path, workspace.target_directory) and path.endswith(".html")]
    return bool(pages) and len(pages) == len(unit.files)


def _add_documented(inputs: Inputs, unit: Unit, workspace: Workspace) -> None:
    """Take all files of a package that was documented: so does cargo itself (its fingerprint of rustdoc)."""
    _add_listed(inputs, unit.directory, ("package", workspace.target_directory), unit.package)


def _add_listed(inputs: Inputs, directory: str, rule: tuple[str, ...], package: str) -> None:
    """Take a folder and all files that a rule sees below it; one that holds too much is never up to date."""
    try:
        names = listings.list_tree(directory, rule)[1]
        listings.require_readable(directory, names)
    except listings.TooLarge as error:
        inputs.always = f"{package}: {error.problems[0].what}"
        return
    inputs.trees[directory] = rule
    inputs.own(directory, package)
    for name in names:
        path = os.path.join(directory, name)
        inputs.seen_by_cargo[path] = None
        inputs.own(path, package)


def _add_artefacts(inputs: Inputs, unit: Unit) -> None:
    for path in unit.files:
        inputs.units.update(dict.fromkeys(inputs.links.of(path)))
        target = inputs.outputs if path == unit.executable or is_final(unit, path) else inputs.units
        target[path] = None
        inputs.own(path, unit.package)
    if unit.is_local:
        inputs.units.update(dict.fromkeys(fingerprints(unit, inputs.links)))


def is_final(unit: Unit, path: str) -> bool:
    """A library for others than Rust, put where users look for it."""
    return bool({"cdylib", "staticlib"} & set(unit.kinds)) and os.path.basename(os.path.dirname(path)) != "deps"


def fingerprints(unit: Unit, links: HardLinks) -> Iterator[str]:
    """Yield the fingerprint files of a unit; without them cargo would build it again."""
    for info in links.dep_info_files(unit)[:1]:
        directory, name = os.path.split(info)
        profile = os.path.dirname(directory)
        if os.path.basename(directory) not in ("deps", "examples"):
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
    one, two = stamps.signature(path), stamps.signature(plain)
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
    elif (stamps.signature(path) or (0, 0))[1] > listings.MOST_BYTES:
        inputs.always = f"{package}: {listings.too_large(path, f'{listings.MOST_BYTES >> 30} GiB').problems[0].what}"
    elif os.path.exists(path):
        _add_source(inputs, _absolute(path, workspace.root), package, workspace)
    else:
        inputs.always = f"the build script of {package} watches {path}, which does not exist: cargo reruns it each time"


def _add_tree(inputs: Inputs, directory: str, rule: tuple[str, ...], package: str, package_directory: str) -> None:
    _add_listed(inputs, directory, rule, package)
    if directory in inputs.trees:
        inputs.scripts[directory] = os.path.join(package_directory, "build.rs")


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


def _add_declared(inputs: Inputs, plan: Plan, workspace: Workspace) -> None:
    inputs.files.update((os.path.join(workspace.root, name), None) for name in plan.profile.inputs.files)
    inputs.variables.update(dict.fromkeys(plan.profile.inputs.env))
