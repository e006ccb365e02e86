"""Which crates become Python packages: members and satellites that maturin builds, and those whose module is PyO3's.

A satellite is a workspace of its own below this one: named by the pack, or found by its pyproject.toml.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError, unknown
from doit_cargo.engine.base.model import Package, Workspace
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.base.variables import ALL
from doit_cargo.engine.cargo import pyo3
from doit_cargo.engine.state.dir_listing import LEFTOVERS, SKIPPED_DIRECTORIES

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.plan.profiles import Library
    from doit_cargo.session import Session

DEEPEST = 4
_FOUND: WeakKeyDictionary[Session, tuple[PythonCrate, ...]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class PythonCrate:
    """A crate that becomes a Python package: where it is, and the workspace that builds it."""

    name: str
    directory: str
    manifest: str
    workspace: Workspace
    project: Mapping[str, Any]

    @property
    def package(self) -> Package:
        return self.workspace.packages[self.name]

    @property
    def distribution(self) -> str:
        """Return its name as wheels are called (PyPA, "Binary distribution format")."""
        name = str(self.project.get("project", {}).get("name") or self.name)
        return re.sub(r"[-_.]+", "_", name).lower()

    @property
    def library(self) -> str:
        """Return the name of the library that rustc makes."""
        libraries = [target.name for target in self.package.cargo_targets if "cdylib" in target.kinds]
        return libraries[0] if libraries else self.name.replace("-", "_")

    @property
    def requires_python(self) -> str:
        return str(self.project.get("project", {}).get("requires-python", ""))


def absence(workspace: Workspace, library: Library) -> str:
    """Return why a checkout has no Python targets, "" if it has."""
    if next(_folders(workspace, library), None) or next(_modules(workspace), None):
        return ""
    return "needs a crate that maturin builds: no pyproject.toml here names it, and no member is a module of PyO3"


def _modules(workspace: Workspace) -> Iterator[Package]:
    """Yield the members that are Python modules without a pyproject.toml of their own."""
    yield from (package for package in workspace.packages.values() if _is_module(package))


def _is_module(package: Package) -> bool:
    kinds = {kind for target in package.cargo_targets for kind in target.kinds}
    return "cdylib" in kinds and pyo3.uses_pyo3(package)


def _folders(workspace: Workspace, library: Library) -> Iterator[str]:
    """Yield the folders with a pyproject.toml for maturin: those of members and of the pack first, then others."""
    named = [package.directory for package in workspace.packages.values()]
    named += [os.path.normpath(os.path.join(workspace.root, path)) for path in library.pack.satellites]
    for folder in dict.fromkeys([*named, *_below(workspace)]):
        if _is_maturins(folder):
            yield folder


def _below(workspace: Workspace) -> Iterator[str]:
    """Yield the folders below the root that hold a pyproject.toml; environments and what tools leave are passed by."""
    for folder, below, files in os.walk(workspace.root):
        depth = folder[len(workspace.root) :].count(os.sep)
        below[:] = [name for name in below if depth < DEEPEST and not _is_passed_by(workspace, folder, name)]
        if "pyproject.toml" in files:
            yield folder


def _is_passed_by(workspace: Workspace, folder: str, name: str) -> bool:
    path = os.path.join(folder, name)
    return (
        name.startswith(".")
        or name in LEFTOVERS | SKIPPED_DIRECTORIES
        or path == workspace.target_directory
        or os.path.exists(os.path.join(path, "CACHEDIR.TAG"))
        or os.path.exists(os.path.join(path, "pyvenv.cfg"))
    )


def _is_maturins(folder: str) -> bool:
    backend = read_project(folder).get("build-system", {})
    return isinstance(backend, Mapping) and str(backend.get("build-backend", "")).partition(".")[0] == "maturin"


def read_project(folder: str) -> Mapping[str, Any]:
    """Return a folder's pyproject.toml; an unreadable one is empty: maturin tells what is wrong with it."""
    return toml.read(os.path.join(folder, "pyproject.toml"))


def chosen(session: Session, values: Values) -> tuple[PythonCrate, ...]:
    """Return the crates that PACKAGE names, by default all. Raises `UserError` for an unknown one."""
    found = {crate.name: crate for crate in all_of(session)}
    wanted = [name for name in values.words("PACKAGE") if name != ALL] or list(found)
    problems = [unknown("Python crate", name, tuple(found), "PACKAGE") for name in wanted if name not in found]
    if problems:
        raise UserError(problems)
    if not found:
        raise UserError(Problem(f"{session.current} {absence(session.workspace, session.library)}"), COULD_NOT_RUN)
    return tuple(found[name] for name in wanted)


def all_of(session: Session) -> tuple[PythonCrate, ...]:
    """Return all Python crates in and below the workspace; worked out once a call."""
    if session not in _FOUND:
        _FOUND[session] = tuple(_all(session))
    return _FOUND[session]


def _all(session: Session) -> Iterator[PythonCrate]:
    members = {package.directory: package for package in session.workspace.packages.values()}
    folders = dict.fromkeys(
        [*_folders(session.workspace, session.library), *(one.directory for one in _modules(session.workspace))]
    )
    for folder in folders:
        project = read_project(folder)
        named = project.get("tool", {}).get("maturin", {}).get("manifest-path", "Cargo.toml")
        manifest = os.path.normpath(os.path.join(folder, str(named)))
        member = members.get(os.path.dirname(manifest))
        if member:
            yield PythonCrate(member.name, folder, manifest, session.workspace, project)
        elif os.path.isfile(manifest):
            yield _satellite(session, folder, manifest, project)


def _satellite(session: Session, folder: str, manifest: str, project: Mapping[str, Any]) -> PythonCrate:
    from doit_cargo.engine.cargo import metadata

    facts = metadata.from_metadata(metadata.read_metadata(os.path.dirname(manifest), session.environ))
    package = next((each for each in facts.packages.values() if os.path.samefile(each.manifest, manifest)), None)
    if package is None:
        fix = "add it to the members, or give it an empty [workspace] table"
        raise UserError(Problem("this manifest belongs to no package that cargo knows", fix, manifest), COULD_NOT_RUN)
    return PythonCrate(package.name, folder, manifest, facts, project)


def local_packages(session: Session, crate: PythonCrate) -> dict[str, str]:
    """Return directory -> name of the crate and of all path dependencies below it, as far as manifests tell."""
    from doit_cargo.engine.cargo.discovery import path_dependencies

    known = {each.directory: each for facts in (session.workspace, crate.workspace) for each in facts.packages.values()}
    found: dict[str, str] = {}
    waiting = [crate.package.directory]
    while waiting:
        directory = waiting.pop()
        if directory in found:
            continue
        package = known.get(directory)
        found[directory] = package.name if package else os.path.basename(directory)
        paths = [each.path for each in package.dependencies if each.kind != "dev"] if package else None
        waiting += [os.path.normpath(path) for path in paths or path_dependencies(directory) if path]
    return found
