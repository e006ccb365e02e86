"""What cargo read while maturin built a module, as its own files tell afterwards: dep-info and build scripts' output.

maturin keeps cargo's messages to itself, so that the units of a build are not known; the files are found by the names
of the module and of its local packages. What other builds left in the same folder counts too: more than needed is
never a false skip.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from glob import escape, glob
from typing import TYPE_CHECKING, Any

from doit_cargo.actions.python.crates import local_packages
from doit_cargo.engine.base.model import ActionInputs
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.cargo import messages
from doit_cargo.engine.execution import build_places
from doit_cargo.engine.execution.evidence.inputs import is_downloaded
from doit_cargo.engine.plan import declared
from doit_cargo.engine.state import dir_listing, seen

if TYPE_CHECKING:
    from doit_cargo.actions.python.crates import PythonCrate
    from doit_cargo.actions.python.plans import WheelBuild
    from doit_cargo.engine.base.model import Workspace
    from doit_cargo.engine.cargo.messages import ScriptOutput
    from doit_cargo.engine.plan.declared import Declared
    from doit_cargo.session import Session


def late_inputs(session: Session, build: WheelBuild) -> ActionInputs:
    """Return the files, folders and variables that cargo's files name; nothing before the first build."""
    places = build_places.of(build.plan, build.crate.workspace, session.environ)
    kept = os.path.join(places.kept_in, os.path.relpath(build.profile_folder, build.target_directory))
    folder, made = build.profile_folder, (build.crate.library, *build.crate.package.binaries)
    files: dict[str, None] = {}
    for path in [os.path.join(folder, f"{start}{name}.d") for name in made for start in ("lib", "")]:
        if os.path.isfile(path):
            files.update(dict.fromkeys(map(os.path.normpath, messages.read_dep_info(path).files)))
    packages = local_packages(session, build.crate)
    outputs = [*_script_outputs(kept, packages), *_foreign_outputs(kept, packages)]
    missing = [path for _, output in outputs for path in output.paths if not os.path.exists(path)]
    libraries = [path for _, output in outputs for path in output.static_libraries]
    return ActionInputs(
        files=tuple(path for path in [*files, *libraries] if not (places.is_built(path) or os.path.isdir(path))),
        folders=dict.fromkeys(_watched_folders(files, outputs, places), ("watched",)),
        variables=(*_variables(kept, packages), *(name for _, output in outputs for name in output.variables)),
        always_stale_reason=f"a build script watches {missing[0]}, which does not exist: cargo reruns it each time"
        if missing
        else "",
    )


def _watched_folders(files: dict[str, None], outputs: list[tuple[str, ScriptOutput]], places: Workspace) -> list[str]:
    named = [*files, *(path for _, output in outputs for path in output.paths)]
    return [path for path in dict.fromkeys(named) if os.path.isdir(path) and not places.is_built(path)]


def _variables(folder: str, packages: dict[str, str]) -> list[str]:
    """Return the variables that sources of local packages read with `env!` and `option_env!`."""
    names: dict[str, None] = {}
    for package in packages.values():
        stem = escape(os.path.join(folder, "deps", package.replace("-", "_")))
        for path in glob(f"{stem}-*.d") + glob(f"{stem}.d"):
            names.update(dict.fromkeys(messages.read_dep_info(path).variables))
    return list(names)


def _script_outputs(folder: str, packages: dict[str, str]) -> list[tuple[str, ScriptOutput]]:
    """Return (package, what its build script printed) of the newest run of each local package's script."""
    found: list[tuple[str, ScriptOutput]] = []
    for directory, package in packages.items():
        runs = glob(os.path.join(escape(folder), "build", f"{escape(package)}-*", "output"))
        newest = sorted(runs, key=os.path.getmtime)[-1:]
        found += [(package, messages.read_script_output(path, directory)) for path in newest]
    return found


def _foreign_outputs(folder: str, packages: dict[str, str]) -> list[tuple[str, ScriptOutput]]:
    """Return what the scripts of other packages printed, as far as it is of this machine: what was downloaded with
    them never changes.
    """
    own = tuple(f"{package}-" for package in packages.values())
    found: list[tuple[str, ScriptOutput]] = []
    for path in glob(os.path.join(escape(folder), "build", "*", "output")):
        name = os.path.basename(os.path.dirname(path))
        if name.startswith(own):
            continue
        output = messages.read_script_output(path, "")
        paths = tuple(one for one in output.paths if os.path.isabs(one) and not is_downloaded(one))
        found.append((name, output._replace(paths=paths)))
    return found


def packaged(build: WheelBuild) -> Declared:
    """Return what maturin puts into a wheel from anywhere: readme, licences, data, Python sources (its book,
    "Metadata", "Configuration"; Cargo book, "The manifest format").
    """
    crate = build.crate
    project, maturin = _table(crate.project, "project"), _table(_table(crate.project, "tool"), "maturin")
    names = [*_texts(project.get("readme")), *_texts(project.get("license")), *_texts(project.get("license-files"))]
    names += [*_texts(maturin.get("include")), *_texts(maturin.get("data")), *_texts(maturin.get("python-source"))]
    manifest = os.path.dirname(crate.manifest)
    return declared.of(crate.workspace, [*_below(crate.directory, names), *_below(manifest, _of_manifest(crate))])


def modes_of_packed(build: WheelBuild) -> Iterator[list[Any]]:
    """Yield of each file that may be packed whether it can be run, as a row of what was seen: the wheel keeps that."""
    named = packaged(build)
    own = {build.crate.directory: (dir_listing.MODULE, *build.crate.workspace.built_in)}
    with contextlib.suppress(dir_listing.TooLarge):  # which is told where the folder is listed
        for path in declared.Declared(named.files, {**named.folders, **own}).found():
            if not path.endswith(".rs"):
                yield ["stat", path, seen.take("stat", path, (), seen.World({})), []]


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = table.get(key)
    return found if isinstance(found, Mapping) else {}


def _texts(value: object) -> Iterator[str]:
    """Yield the paths of a value: a name, a list of them, or a table that names a file."""
    if isinstance(value, str):
        yield value
    for each in value if isinstance(value, list) else ():
        yield from _texts(each)
    if isinstance(value, Mapping):
        yield from (text for key in ("file", "path") for text in _texts(value.get(key)))


def _below(folder: str, names: Iterable[str]) -> list[str]:
    return [os.path.join(folder, name) for name in names]


def _of_manifest(crate: PythonCrate) -> Iterator[str]:
    """Yield the readme and the licence of a manifest; what it takes from its workspace, by its place there."""
    own = _table(toml.read(crate.manifest), "package")
    shared = _table(_table(toml.read(crate.workspace.manifest), "workspace"), "package")
    for key in ("readme", "license-file"):
        value = own.get(key)
        if isinstance(value, Mapping):
            yield from _below(crate.workspace.root, _texts(shared.get(key)))
        else:
            yield from _texts(value)
