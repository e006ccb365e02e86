"""Everything that one finished cargo call depended on, gathered from what cargo tells and from what it does not.

Facts: docs/design.md, "Freshness". Knows nothing of states or receipts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from doit_cargo.engine import cargo_files, declared, freshness, listings, named_files, stamps
from doit_cargo.engine.cargo_files import BuildReport, HardLinks, Script, Unit
from doit_cargo.engine.cargo_places import config_files, discovery_rules
from doit_cargo.engine.model import Plan, Workspace

# Where cargo keeps sources from registries and git below its home (Cargo book, "Cargo home").
DOWNLOADED = (os.sep + os.path.join("registry", "src", ""), os.sep + os.path.join("git", "checkouts", ""))


@dataclass(slots=True)
class Inputs:
    """Everything that one cargo call depended on, by kind. `owners` maps a file or directory to its packages, `unseen`
    a file that cargo does not look at to the packages that it goes into.
    """

    files: dict[str, None] = field(default_factory=dict)
    seen_by_cargo: dict[str, None] = field(default_factory=dict)
    trees: dict[str, tuple[str, ...]] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    variables: dict[str, None] = field(default_factory=dict)
    outputs: dict[str, None] = field(default_factory=dict)
    units: dict[str, None] = field(default_factory=dict)
    unseen: dict[str, tuple[str, ...]] = field(default_factory=dict)
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
    inputs = Inputs(links=HardLinks(*workspace.built_in))
    inputs.lock = os.path.join(workspace.root, "Cargo.lock")
    for path in config_files(workspace.root, {**environ, **plan.invocation.env}):
        inputs.files[path] = None
    for unit in report.units:
        _add_unit(inputs, unit, workspace)
    for script in report.scripts:
        _add_script(inputs, script, _directory_of(script, report), workspace)
    for directory, package in _package_directories(workspace, report).items():
        _add_discovery(inputs, directory, package, plan)
    for name in freshness.guarded_names(environ):
        inputs.variables[name] = None
    settings = [value for flag, value in pairwise(plan.invocation.argv) if flag == "--config"]
    for path in named_files.of_settings(workspace.root, {**environ, **plan.invocation.env}, settings):
        _add_unseen(inputs, path, report.packages, workspace)
    _add_declared(inputs, plan, workspace)
    return inputs


def _add_unit(inputs: Inputs, unit: Unit, workspace: Workspace) -> None:
    _add_artefacts(inputs, unit)
    if not (unit.is_local or is_downloaded(unit.manifest)):
        inputs.files[unit.manifest] = None  # of a vendored package: cargo reads it on each call
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
    rule = ("package", *workspace.built_in)
    inputs.trees[unit.directory] = rule
    inputs.own(unit.directory, unit.package)
    paths = [os.path.join(unit.directory, name) for name in listings.list_tree(unit.directory, rule)[1]]
    for path in paths:
        inputs.seen_by_cargo[path] = None
        inputs.own(path, unit.package)
    for path in cargo_files.included([path for path in paths if path.endswith(".rs")]):
        if not _below(path, unit.directory):
            _add_unseen(inputs, path, (unit.package,), workspace)


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
    if workspace.is_built(path):
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
    named = named_files.in_words(output.link_arguments, (workspace.root,))
    for path in (*output.static_libraries, *named):
        _add_unseen(inputs, path, (script.package,), workspace)
    if not script.package_id.startswith("path+"):
        _add_foreign_watch(inputs, output.paths, script.package, directory, workspace)
        return
    if any("cuda" in name.lower() or "nvcc" in name.lower() for name in output.variables):
        inputs.cuda_packages.setdefault(script.package)
    if output.watches_package:
        rule = ("package", *workspace.built_in)
        _add_tree(inputs, directory, rule, script.package, _script_in(directory))
    for path in output.paths:
        _add_watched(inputs, path, script.package, directory, workspace)


def _add_unseen(inputs: Inputs, path: str, packages: tuple[str, ...], workspace: Workspace) -> None:
    """Take a file that goes into these packages without cargo's looking at it."""
    if workspace.is_built(path):
        return
    inputs.files[path] = None
    inputs.unseen[path] = tuple(dict.fromkeys([*inputs.unseen.get(path, ()), *packages]))
    for package in packages:
        inputs.own(path, package)


def _add_foreign_watch(
    inputs: Inputs, paths: Iterable[str], package: str, package_directory: str, workspace: Workspace
) -> None:
    """A package from elsewhere may watch what is on this machine; what cargo has downloaded never changes."""
    downloaded = is_downloaded(package_directory)
    for path in paths:
        if downloaded and _below(path, package_directory) and os.path.exists(path):
            continue
        if os.path.isdir(path):
            _add_tree(inputs, path, ("watched",), package, path)
        else:
            _add_watched(inputs, path, package, package_directory, workspace)


def is_downloaded(path: str) -> bool:
    """Tell whether a path lies where cargo keeps what it has downloaded."""
    return any(place in path for place in DOWNLOADED)


def _add_watched(inputs: Inputs, path: str, package: str, directory: str, workspace: Workspace) -> None:
    if os.path.isdir(path):
        _add_tree(inputs, path, ("watched",), package, _script_in(directory))
    elif os.path.exists(path):
        _add_source(inputs, _absolute(path, workspace.root), package, workspace)
    else:
        inputs.always = f"the build script of {package} watches {path}, which does not exist: cargo reruns it each time"


def _script_in(directory: str) -> str:
    return os.path.join(directory, "build.rs")


def _add_tree(inputs: Inputs, directory: str, rule: tuple[str, ...], package: str, script: str) -> None:
    """Take all files of a directory; `script` is what makes cargo run the package's build script when it is touched."""
    inputs.trees[directory] = rule
    inputs.scripts[directory] = script
    inputs.own(directory, package)
    _, names = listings.list_tree(directory, rule)
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


def _add_declared(inputs: Inputs, plan: Plan, workspace: Workspace) -> None:
    found = declared.of(workspace, plan.profile.inputs.files)
    inputs.trees.update(found.folders)
    inputs.files.update(dict.fromkeys([*found.files, *found.found()]))
    inputs.variables.update(dict.fromkeys(plan.profile.inputs.env))
