"""The environment family: what this computer has, lacks and has wrong for the workspace at hand. Rows only."""

from __future__ import annotations

from doit_cargo.engine.base.model import CARGO as CARGO_LANE
from doit_cargo.engine.base.model import FREE, Target
from doit_cargo.engine.base.variables import CARGO
from doit_cargo.targets.relevance import CUDA, PYO3

CHOICE = tuple(name for name in CARGO if name in ("FEATURES", "PACKAGE", "PROFILE", "TARGET"))


def _action(
    name: str, doc: str, takes: tuple[str, ...] = (), platforms: tuple[str, ...] = (), relevance: str = ""
) -> Target:
    action = f"doit_cargo.actions.environment:{'check' if name.startswith('check_') else name}"
    # What is asked with the choices of a build asks cargo, too.
    pool = CARGO_LANE if takes else FREE
    return Target(
        name=name,
        family="environment",
        doc=doc,
        action=action,
        takes=takes,
        platforms=platforms,
        pool=pool,
        relevance=relevance,
    )


TARGETS: tuple[Target, ...] = (
    _action(
        "check_env",
        "Check everything that the build needs: Rust, linker, and what its crates ask of the system.",
        takes=CHOICE,
    ),
    _action(
        "check_cuda_env",
        "Check nvcc, its host compiler, the architecture, GPU and driver, cuDNN and NCCL against each other.",
        takes=CHOICE,
        relevance=CUDA,
    ),
    _action(
        "check_cuda_paths",
        "Check where the CUDA toolkit and cuDNN are and whether the variables agree.",
        relevance=CUDA,
    ),
    _action(
        "check_msvc",
        "Check Visual C++: the tool set that vswhere finds, its link.exe and cl.exe, and whether nvcc takes it.",
        platforms=("windows",),
    ),
    _action(
        "check_python", "Check the Python that PyO3 takes against the versions that this PyO3 knows.", relevance=PYO3
    ),
    _action("check_linker", "Check the linker that rustc takes, and whether a faster one is here."),
    _action(
        "setup_deps",
        "Print the one line that installs the system packages which the build lacks; YES=1 runs it.",
        takes=(*CHOICE, "YES"),
    ),
)
