"""Everything that one finished cargo call depended on, gathered from what cargo tells and from what it does not.

Facts: docs/design.md, "Freshness". Knows nothing of states or receipts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from doit_cargo.engine import cargo_files, freshness, listings, stamps, units
from doit_cargo.engine.cargo_files import BuildReport, HardLinks, Script, Unit
from doit_cargo.engine.cargo_places import config_files, discovery_rules
from doit_cargo.engine.model import Plan, Workspace
from doit_cargo.engine.units import Placed


class Made(NamedTuple):
    """What a local unit of the call lies in, was made from, and is known again by.

    `marks` are files, or a folder of pages, whose content tells one making from another. `fresh` is cargo's word.
    """

    package: str
    keys: tuple[str, ...]
    sources: tuple[str, ...]
    marks: tuple[str, ...]
    fresh: bool
    dep_infos: tuple[str, ...] = ()


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
    made: list[Made] = field(default_factory=list)
    generated: dict[str, None] = field(default_factory=dict)
    links: HardLinks = field(default_factory=HardLinks)
    _placed: dict[Unit, list[Placed]] = field(default_factory=dict)

    def placed(self, unit: Unit) -> list[Placed]:
        """Return where a unit lies in the target directory; found once a call."""
        if unit not in self._placed:
            self._placed[unit] = units.placed(unit, self.links)
        return self._placed[unit]

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
        _add_unit(inputs, unit, workspace, extra=plan.invocation.argv[1] == "clippy")
    for script in report.scripts:
        _add_script(inputs, script, _directory_of(script, report), workspace)
    for directory, package in _package_directories(workspace, report).items():
        _add_discovery(inputs, directory, package, plan)
    for name in freshness.guarded_names(environ):
        inputs.variables[name] = None
    _add_declared(inputs, plan, workspace)
    return inputs


def _add_unit(inputs: Inputs, unit: Unit, workspace: Workspace, extra: bool) -> None:
    _add_artefacts(inputs, unit)
    if "cuda" in unit.features and "custom-build" in unit.kinds:
        inputs.cuda_packages[unit.package] = None
    if not unit.is_local:
        for path in inputs.links.dep_info_files(unit):
            inputs.variables.update(dict.fromkeys(cargo_files.read_dep_info(path).variables))
    elif is_documentation(unit, workspace):
        _add_documented(inputs, unit, workspace)
    else:
        _add_local(inputs, unit, workspace, (unit.manifest,) if extra else ())


def _add_local(inputs: Inputs, unit: Unit, workspace: Workspace, more: tuple[str, ...]) -> None:
    """Take what rustc has read; `more` is what clippy reads besides (`rust-version`) and cargo does not compare."""
    placed = inputs.placed(unit)
    found = dict.fromkeys([place.dep_info for place in placed] or inputs.links.dep_info_files(unit))
    if not found:
        inputs.always = f"cargo's dep-info of {unit.package} ({unit.name}) was not found"
    sources = dict.fromkeys(more)
    for path in found:
        info = cargo_files.read_dep_info(path)
        inputs.variables.update(dict.fromkeys(info.variables))
        for name in info.files:
            source = _absolute(name, workspace.root)
            _add_source(inputs, source, unit.package, workspace)
            (inputs.generated if _below(source, workspace.target_directory) else sources)[source] = None
    keys = tuple(place.key for place in placed)
    marks = _marks(unit, placed)
    inputs.made.append(Made(unit.package, keys, tuple(sources), marks, unit.fresh, tuple(found)))


def _marks(unit: Unit, placed: list[Placed]) -> tuple[str, ...]:
    """Return the files whose content tells one making of a unit from another."""
    if unit.executable or "custom-build" in unit.kinds:
        own = [os.path.splitext(place.dep_info)[0] for place in placed]
        return tuple(path for path in own if os.path.exists(path)) or unit.files[:1]
    return tuple(path for path in unit.files if path.endswith(".rmeta")) or unit.files


def is_documentation(unit: Unit, workspace: Workspace) -> bool:
    """rustdoc leaves pages, and no dep-info."""
    pages = [path for path in unit.files if _below(path, workspace.target_directory) and path.endswith(".html")]
    return bool(pages) and len(pages) == len(unit.files)


def _add_documented(inputs: Inputs, unit: Unit, workspace: Workspace) -> None:
    """Take all files of a package that was documented: so does cargo itself (its fingerprint of rustdoc)."""
    rule = ("package", workspace.target_directory)
    inputs.trees[unit.directory] = rule
    inputs.own(unit.directory, unit.package)
    paths = [os.path.join(unit.directory, name) for name in listings.list_tree(unit.directory, rule)[1]]
    for path in paths:
        inputs.seen_by_cargo[path] = None
        inputs.own(path, unit.package)
    pages = tuple(dict.fromkeys(os.path.dirname(path) for path in unit.files))
    for folder in pages:
        names = listings.list_tree(folder, ("watched",))[1]
        inputs.units.update((os.path.join(folder, name), None) for name in names)
    keys = units.documentation_keys(unit, workspace.target_directory)
    inputs.made.append(Made(unit.package, keys, _without_lock(paths), pages, unit.fresh))


def _without_lock(paths: Iterable[str]) -> tuple[str, ...]:
    """Leave out Cargo.lock, which cargo itself writes: what it says counts, and that cargo compares."""
    return tuple(path for path in paths if os.path.basename(path) != "Cargo.lock")


def _add_artefacts(inputs: Inputs, unit: Unit) -> None:
    for path in unit.files:
        inputs.units.update(dict.fromkeys(inputs.links.of(path)))
        target = inputs.outputs if path == unit.executable or is_final(unit, path) else inputs.units
        target[path] = None
        inputs.own(path, unit.package)
    if unit.is_local:
        witnesses = [units.witness(place.key) for place in inputs.placed(unit)]
        inputs.units.update(dict.fromkeys(witnesses))


def is_final(unit: Unit, path: str) -> bool:
    """A library for others than Rust, put where users look for it."""
    return bool({"cdylib", "staticlib"} & set(unit.kinds)) and os.path.basename(os.path.dirname(path)) != "deps"


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
        if _below(library, workspace.target_directory):
            inputs.generated[library] = None
        else:
            inputs.files[library] = None
            inputs.libraries[library] = script.package
            inputs.own(library, script.package)
    if not script.package_id.startswith("path+"):
        _add_foreign_watch(inputs, output.paths, directory)
        return
    if any("cuda" in name.lower() or "nvcc" in name.lower() for name in output.variables):
        inputs.cuda_packages.setdefault(script.package)
    sources: list[str] = []
    if output.watches_package:
        sources += _add_tree(inputs, directory, ("package", workspace.target_directory), script.package, directory)
    for path in output.paths:
        sources += _add_watched(inputs, path, script.package, directory, workspace)
    key = units.script_key(script.out_dir)
    made = tuple(path for path in inputs.generated if _below(path, script.out_dir))
    inputs.units.update(dict.fromkeys(made))
    marks = (script.output, *made)
    inputs.made.append(Made(script.package, (key,) if key else (), _without_lock(sources), marks, fresh=True))


def _add_foreign_watch(inputs: Inputs, paths: Iterable[str], package_directory: str) -> None:
    """A registry package may watch files of this machine (a header, a library); its own never change."""
    for path in paths:
        if os.path.isfile(path) and not _below(path, package_directory):
            inputs.seen_by_cargo[path] = None


def _add_watched(inputs: Inputs, path: str, package: str, directory: str, workspace: Workspace) -> list[str]:
    """Take what a build script watches, and return the files."""
    if os.path.isdir(path):
        return _add_tree(inputs, path, ("watched",), package, directory)
    if os.path.exists(path):
        plain = _absolute(path, workspace.root)
        _add_source(inputs, plain, package, workspace)
        return [] if _below(plain, workspace.target_directory) else [plain]
    inputs.always = f"the build script of {package} watches {path}, which does not exist: cargo reruns it each time"
    return []


def _add_tree(inputs: Inputs, directory: str, rule: tuple[str, ...], package: str, package_directory: str) -> list[str]:
    inputs.trees[directory] = rule
    inputs.scripts[directory] = os.path.join(package_directory, "build.rs")
    inputs.own(directory, package)
    paths = [os.path.join(directory, name) for name in listings.list_tree(directory, rule)[1]]
    for path in paths:
        inputs.seen_by_cargo[path] = None
        inputs.own(path, package)
    return paths


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
