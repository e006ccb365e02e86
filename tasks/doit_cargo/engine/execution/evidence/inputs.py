"""Everything that one finished cargo call depended on, gathered from what cargo tells and from what it does not.

Facts: docs/design.md, "Freshness". Knows nothing of states or receipts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import pairwise

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.cargo import messages, units
from doit_cargo.engine.cargo.config import named_files
from doit_cargo.engine.cargo.discovery import config_files, discovery_rules, included, manifests_of
from doit_cargo.engine.cargo.messages import BuildReport, HardLinks, Script, Unit
from doit_cargo.engine.cargo.units import Placed
from doit_cargo.engine.plan import declared
from doit_cargo.engine.state import dir_listing, fingerprint


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


# Where cargo keeps sources from registries and git below its home (Cargo book, "Cargo home").
DOWNLOADED = (os.sep + os.path.join("registry", "src", ""), os.sep + os.path.join("git", "checkouts", ""))


class Inputs:
    """Everything that one cargo call depended on, by kind. `owners` maps a file or directory to its packages, `unseen`
    a file that cargo does not look at to the packages that it goes into.
    """

    def __init__(self, links: HardLinks) -> None:
        self.files: dict[str, None] = {}
        self.seen_by_cargo: dict[str, None] = {}
        self.trees: dict[str, tuple[str, ...]] = {}
        self.scripts: dict[str, str] = {}
        self.variables: dict[str, None] = {}
        self.outputs: dict[str, None] = {}
        self.units: dict[str, None] = {}
        self.unseen: dict[str, tuple[str, ...]] = {}
        self.cuda_packages: dict[str, None] = {}
        self.owners: dict[str, tuple[str, ...]] = {}
        self.lock = ""
        self.always_stale_reason = ""
        self.made: list[Made] = []
        self.generated: dict[str, None] = {}
        self.links = links
        self.given: dict[str, tuple[str, ...]] = {}
        self._placed: dict[Unit, list[Placed]] = {}

    def placed(self, unit: Unit) -> list[Placed]:
        """Return where a unit lies in the target directory; found once a call."""
        if unit not in self._placed:
            self._placed[unit] = units.placed(unit, self.links)
        return self._placed[unit]

    def ask(self, names: Iterable[str], unit: Unit) -> None:
        """Note variables that a unit's sources name, but for those that cargo and its build script set for it."""
        given = self.given.get(unit.package_id, ())
        self.variables.update((name, None) for name in names if name not in given and name not in messages.SET_BY_CARGO)

    def own(self, path: str, package: str) -> None:
        """Note that a package rests on `path`; several may share a file."""
        known = self.owners.get(path, ())
        if package not in known:
            self.owners[path] = (*known, package)


class Early:
    """What can be collected while cargo still runs: of the units that it leaves as they are."""

    def __init__(self, plan: Plan, workspace: Workspace) -> None:
        self.inputs = Inputs(links=HardLinks(*workspace.built_in))
        self.plan, self.workspace = plan, workspace
        self.taken: set[int] = set()
        self._next = 0

    def take(self, report: BuildReport) -> bool:
        """Take the units that cargo has told of since the last time; tell whether more like these may come."""
        told, self._next = range(self._next, len(report.units)), len(report.units)
        self.inputs.given = {script.package_id: script.given for script in list(report.scripts)}
        for number in told:
            unit = report.units[number]
            # Pages of several packages share folders.
            if unit.fresh and unit.is_local and not is_documentation(unit, self.workspace):
                try:
                    self.add(number, unit)
                except OSError:  # whoever is at fault: it is asked again, and told, when cargo has ended
                    self.taken.discard(number)
        return all(report.units[number].fresh for number in told)

    def add(self, number: int, unit: Unit) -> None:
        """Take one unit, unless it was taken before."""
        if number not in self.taken:
            self.taken.add(number)
            _add_unit(self.inputs, unit, self.workspace, extra=self.plan.invocation.argv[1] == "clippy")


def gather(
    plan: Plan, workspace: Workspace, report: BuildReport, environ: Mapping[str, str], early: Early, state: str
) -> Inputs:
    """Collect the inputs of a call that has just ended: `early` is what was collected before its end; what lies in
    `state` is our own, such as what stands in for rustdoc to hear how cargo would start it.
    """
    inputs = early.inputs
    inputs.links = HardLinks(*workspace.built_in)  # cargo may have made and moved some since
    inputs.lock = os.path.join(workspace.root, "Cargo.lock")
    for path in config_files(workspace.root, {**environ, **plan.invocation.env}):
        inputs.files[path] = None
    inputs.given = {script.package_id: script.given for script in report.scripts}
    for number, unit in enumerate(report.units):
        early.add(number, unit)
        _add_artefacts(inputs, unit)
    for script in report.scripts:
        _add_script(inputs, script, _directory_of(script, report), workspace)
    members = {package.directory: (package.manifest,) for package in workspace.packages.values()}
    for directory, package in _package_directories(workspace, report).items():
        _add_discovery(inputs, directory, package, plan, members.get(directory) or manifests_of(directory))
    settings = [value for flag, value in pairwise(plan.invocation.argv) if flag == "--config"]
    for path in named_files.of_settings(workspace.root, {**environ, **plan.invocation.env}, settings):
        if not _below(path, state):
            _add_unseen(inputs, path, report.packages, workspace)
    _add_declared(inputs, plan, workspace)
    return inputs


def _add_unit(inputs: Inputs, unit: Unit, workspace: Workspace, extra: bool) -> None:
    if not (unit.is_local or is_downloaded(unit.manifest)):
        inputs.files[unit.manifest] = None  # of a vendored package: cargo reads it on each call
    if "cuda" in unit.features and "custom-build" in unit.kinds:
        inputs.cuda_packages[unit.package] = None
    if not unit.is_local:
        for path in inputs.links.dep_info_files(unit):
            inputs.ask(messages.read_dep_info(path).variables, unit)
    elif is_documentation(unit, workspace):
        _add_documented(inputs, unit, workspace)
    else:
        _add_local(inputs, unit, workspace, (unit.manifest,) if extra else ())


def _add_local(inputs: Inputs, unit: Unit, workspace: Workspace, more: tuple[str, ...]) -> None:
    """Take what rustc has read; `more` is what clippy reads besides (`rust-version`) and cargo does not compare."""
    placed = inputs.placed(unit)
    found = dict.fromkeys([place.dep_info for place in placed] or inputs.links.dep_info_files(unit))
    there = [path for path in found if os.path.exists(path)]
    if not found or len(there) < len(found):
        inputs.always_stale_reason = f"cargo's dep-info of {unit.package} ({unit.name}) was not found"
    sources = dict.fromkeys(more)
    for path in there:
        info = messages.read_dep_info(path)
        inputs.ask(info.variables, unit)
        for name in info.files:
            source = _absolute(name, workspace.root)
            _add_source(inputs, source, unit.package, workspace)
            (inputs.generated if units.is_made(source, workspace.built_in) else sources)[source] = None
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
    paths = _add_listed(inputs, unit.directory, ("package", *workspace.built_in), unit.package)
    for path in included([path for path in paths if path.endswith(".rs")]):
        if not _below(path, unit.directory):
            _add_unseen(inputs, path, (unit.package,), workspace)
    pages = tuple(dict.fromkeys(os.path.dirname(path) for path in unit.files))
    # The style sheets and scripts of all pages: each call of rustdoc writes them, and cargo never looks for them.
    shared = os.path.join(os.path.dirname(pages[0]), "static.files")
    pages = (*pages, shared) if os.path.isdir(shared) else pages
    for folder in pages:
        names = dir_listing.list_tree(folder, ("watched",))[1]
        inputs.units.update((os.path.join(folder, name), None) for name in names)
    keys = units.documentation_keys(unit, workspace.kept_in)
    inputs.made.append(Made(unit.package, keys, _without_lock(paths), pages, unit.fresh))


def _without_lock(paths: Iterable[str]) -> tuple[str, ...]:
    """Leave out Cargo.lock, which cargo itself writes: what it says counts, and that cargo compares."""
    return tuple(path for path in paths if os.path.basename(path) != "Cargo.lock")


def _add_listed(inputs: Inputs, directory: str, rule: tuple[str, ...], package: str) -> list[str]:
    """Take a folder and all files that a rule sees below it, and return them; one that holds too much is never up to
    date.
    """
    try:
        names = dir_listing.list_tree(directory, rule)[1]
        dir_listing.require_readable(directory, names)
    except dir_listing.TooLarge as error:
        inputs.always_stale_reason = f"{package}: {error.problems[0].what}"
        return []
    inputs.trees[directory] = rule
    inputs.own(directory, package)
    paths = [os.path.join(directory, name) for name in names]
    for path in paths:
        inputs.seen_by_cargo[path] = None
        inputs.own(path, package)
    return paths


def _add_artefacts(inputs: Inputs, unit: Unit) -> None:
    for path in unit.files:
        inputs.units.update(dict.fromkeys(inputs.links.of(path)))
        target = inputs.outputs if path == unit.executable or is_final(unit, path) else inputs.units
        target[path] = None
        inputs.own(path, unit.package)
    if unit.is_local:
        compared = [units.fingerprint_file(place.key) for place in inputs.placed(unit)]
        inputs.units.update(dict.fromkeys(compared))


def is_final(unit: Unit, path: str) -> bool:
    """A library for others than Rust, put where users look for it."""
    return bool({"cdylib", "staticlib"} & set(unit.kinds)) and os.path.basename(os.path.dirname(path)) != "deps"


def _add_source(inputs: Inputs, path: str, package: str, workspace: Workspace) -> None:
    if units.is_made(path, workspace.built_in):
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
    one, two = fingerprint.signature(path), fingerprint.signature(plain)
    return plain if one and two and one[2] == two[2] else path


def _directory_of(script: Script, report: BuildReport) -> str:
    return next((unit.directory for unit in report.units if unit.package_id == script.package_id), "")


def _add_script(inputs: Inputs, script: Script, directory: str, workspace: Workspace) -> None:
    try:
        output = messages.read_script_output(script.output, directory)
    except OSError:
        inputs.always_stale_reason = f"the output of {script.package}'s build script was not found"
        return
    inputs.units[script.output] = None
    inputs.variables.update(dict.fromkeys(output.variables))
    made_here = [path for path in output.static_libraries if units.is_made(path, workspace.built_in)]
    inputs.generated.update(dict.fromkeys(made_here))
    named = named_files.in_words(output.link_arguments, (workspace.root,))
    for path in (*output.static_libraries, *named):
        _add_unseen(inputs, path, (script.package,), workspace)
    if not script.package_id.startswith("path+"):
        _add_foreign_watch(inputs, output.paths, script.package, directory, workspace)
        return
    if any("cuda" in name.lower() or "nvcc" in name.lower() for name in output.variables):
        inputs.cuda_packages.setdefault(script.package)
    sources: list[str] = []
    if output.watches_package:
        rule = ("package", *workspace.built_in)
        sources += _add_tree(inputs, directory, rule, script.package, _script_in(directory))
    for path in output.paths:
        sources += _add_watched(inputs, path, script.package, directory, workspace)
    key = units.script_key(script.out_dir)
    made = tuple(path for path in inputs.generated if _below(path, script.out_dir))
    inputs.units.update(dict.fromkeys(made))
    marks = (script.output, *made)
    inputs.made.append(Made(script.package, (key,) if key else (), _without_lock(sources), marks, fresh=True))


def _add_unseen(inputs: Inputs, path: str, packages: tuple[str, ...], workspace: Workspace) -> None:
    """Take a file that goes into these packages without cargo's looking at it."""
    if units.is_made(path, workspace.built_in):
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


def _add_watched(inputs: Inputs, path: str, package: str, directory: str, workspace: Workspace) -> list[str]:
    """Take what a build script watches, and return the files."""
    if os.path.isdir(path):
        return _add_tree(inputs, path, ("watched",), package, _script_in(directory))
    if (fingerprint.signature(path) or (0, 0))[1] > dir_listing.MOST_BYTES:
        inputs.always_stale_reason = (
            f"{package}: {dir_listing.too_large(path, f'{dir_listing.MOST_BYTES >> 30} GiB').problems[0].what}"
        )
        return []
    if os.path.exists(path):
        plain = _absolute(path, workspace.root)
        _add_source(inputs, plain, package, workspace)
        return [] if units.is_made(plain, workspace.built_in) else [plain]
    inputs.always_stale_reason = (
        f"the build script of {package} watches {path}, which does not exist: cargo reruns it each time"
    )
    return []


def _script_in(directory: str) -> str:
    return os.path.join(directory, "build.rs")


def _add_tree(inputs: Inputs, directory: str, rule: tuple[str, ...], package: str, script: str) -> list[str]:
    """Take all files of a directory; `script` is what makes cargo run the package's build script when it is touched."""
    paths = _add_listed(inputs, directory, rule, package)
    if directory in inputs.trees:
        inputs.scripts[directory] = script
    return paths


def _package_directories(workspace: Workspace, report: BuildReport) -> dict[str, str]:
    """Return directory -> package of the members and of every local package of the build."""
    found = {package.directory: name for name, package in workspace.packages.items()}
    found.update((unit.directory, unit.package) for unit in report.units if unit.is_local)
    return found


def _add_discovery(inputs: Inputs, directory: str, package: str, plan: Plan, manifests: Iterable[str]) -> None:
    for manifest in manifests:
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
