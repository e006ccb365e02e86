"""What the environment targets do: each makes a diagnosis, prints it, and fails if something needed is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doit_cargo.actions import finished, run_tool
from doit_cargo.diagnosis import Diagnosis, cuda, cuda_paths, linker, msvc, of_targets, print_diagnosis, python
from doit_cargo.engine.console import reporter
from doit_cargo.engine.toolchain.platform import install_arguments

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session


def _told(found: Diagnosis) -> bool:
    print_diagnosis(found)
    return found.ok


def check_env(session: Session, _: Any) -> bool:
    """What the default build needs, and what else is here."""
    return _told(of_targets(session, []))


def check_cuda_env(session: Session, _: Any) -> bool:
    """CUDA as the workspace's CUDA build needs it, or by itself. No GPU is no fault."""
    return _told(cuda(session))


def check_cuda_paths(session: Session, _: Any) -> bool:
    """Where CUDA and cuDNN are, and whether the variables say the same."""
    return _told(cuda_paths(session))


def check_msvc(session: Session, _: Any) -> bool:
    """Visual C++."""
    return _told(msvc(session))


def check_python(session: Session, _: Any) -> bool:
    """The Python of PyO3."""
    return _told(python(session))


def check_linker(session: Session, _: Any) -> bool:
    """The linker, and a faster one."""
    return _told(linker(session))


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
