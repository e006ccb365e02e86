"""What cargo read while maturin built a module, as its own files tell afterwards: dep-info and build scripts' output.

maturin keeps cargo's messages to itself, so that the units of a build are not known; the files are found by the names
of the module and of its local packages. What other builds left in the same folder counts too: more than needed is
never a false skip.
"""

from __future__ import annotations

import os
from glob import escape, glob
from typing import TYPE_CHECKING

from doit_cargo.actions.python.crates import local_packages
from doit_cargo.engine import build_places, cargo_files
from doit_cargo.engine.model import Watched

if TYPE_CHECKING:
    from doit_cargo.actions.python.plans import Build
    from doit_cargo.engine.cargo_files import ScriptOutput
    from doit_cargo.engine.model import Workspace
    from doit_cargo.session import Session


def late_inputs(session: Session, build: Build) -> Watched:
    """Return the files, folders and variables that cargo's files name; nothing before the first build."""
    places = build_places.of(build.plan, build.crate.workspace, session.environ)
    kept = os.path.join(places.kept_in, os.path.relpath(build.profile_folder, build.target_directory))
    folder, made = build.profile_folder, (build.crate.library, *build.crate.package.binaries)
    files: dict[str, None] = {}
    for path in [os.path.join(folder, f"{start}{name}.d") for name in made for start in ("lib", "")]:
        if os.path.isfile(path):
            files.update(dict.fromkeys(map(os.path.normpath, cargo_files.read_dep_info(path).files)))
    packages = local_packages(session, build.crate)
    outputs = _script_outputs(kept, packages)
    missing = [path for _, output in outputs for path in output.paths if not os.path.exists(path)]
    libraries = [path for _, output in outputs for path in output.static_libraries]
    return Watched(
        files=tuple(path for path in [*files, *libraries] if not (places.is_built(path) or os.path.isdir(path))),
        folders=dict.fromkeys(_watched_folders(files, outputs, places), ("watched",)),
        variables=(*_variables(kept, packages), *(name for _, output in outputs for name in output.variables)),
        always=f"a build script watches {missing[0]}, which does not exist: cargo reruns it each time"
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
            names.update(dict.fromkeys(cargo_files.read_dep_info(path).variables))
    return list(names)


def _script_outputs(folder: str, packages: dict[str, str]) -> list[tuple[str, ScriptOutput]]:
    """Return (package, what its build script printed) of the newest run of each local package's script."""
    found: list[tuple[str, ScriptOutput]] = []
    for directory, package in packages.items():
        runs = glob(os.path.join(escape(folder), "build", f"{escape(package)}-*", "output"))
        newest = sorted(runs, key=os.path.getmtime)[-1:]
        found += [(package, cargo_files.read_script_output(path, directory)) for path in newest]
    return found
