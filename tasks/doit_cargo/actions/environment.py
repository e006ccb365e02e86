"""What the environment targets do: each makes a diagnosis, prints it, and fails if something needed is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from doit_cargo.actions import finished, run_tool
from doit_cargo.diagnosis import Diagnosis, cuda, cuda_paths, linker, msvc, of_targets, print_diagnosis, python
from doit_cargo.engine.console import reporter
from doit_cargo.engine.toolchain.platform import install_arguments

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session


DIAGNOSES: dict[str, Callable[[Session], Diagnosis]] = {
    "check_env": lambda session: of_targets(session, []),
    "check_cuda_env": cuda,
    "check_cuda_paths": cuda_paths,
    "check_msvc": msvc,
    "check_python": python,
    "check_linker": linker,
}


def check(session: Session, _: Any) -> bool:
    """Print the diagnosis of the target at hand. No GPU is no fault."""
    found = DIAGNOSES[session.current](session)
    print_diagnosis(found)
    return found.ok


def setup_deps(session: Session, values: Values) -> bool:
    """Print the install line of this system for all that the build lacks; with YES=1 run it."""
    found = of_targets(session, [])
    elsewhere = [row for row in found.bad if not row.packages]
    if not found.packages and not elsewhere:
        reporter.note("setup_deps", "nothing is missing")
        return True
    if found.install:
        print(found.install)
    for row in elsewhere:
        reporter.note("setup_deps", f"no package of this system: {row.what}; {row.fix}")
    if not found.packages or not values.flag("YES"):
        return True
    argv = install_arguments(session.machine.package_manager, found.packages)
    outcome = run_tool(session, "setup_deps", argv)
    return finished(session, "setup_deps", outcome, f"installed {' '.join(found.packages)}")
