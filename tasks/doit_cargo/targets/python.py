"""The python family: wheels through maturin. Rows only; actions/python/ does the work."""

from __future__ import annotations

from doit_cargo.engine.base.model import Target
from doit_cargo.engine.base.variables import CARGO

_MODULE = "doit_cargo.actions.python"
_TAKES = (*(name for name in CARGO if name not in ("TARGET", "OBSERVE")), "PYTHON")  # maturin is a static program


def _action(name: str, doc: str, module: str, takes: tuple[str, ...] = _TAKES, after: tuple[str, ...] = ()) -> Target:
    return Target(
        name=name,
        family="python",
        doc=doc,
        action=f"{_MODULE}.{module}:{name}",
        watch=f"{_MODULE}.{module}:watch_{name}",
        shows=f"{_MODULE}.wheel:show" if module == "wheel" else "",
        sharer=f"{_MODULE}.sharing" if module == "wheel" else "",
        check=f"{_MODULE}.use:check_install" if name == "install_python" else f"{_MODULE}.plans:check",
        absence=f"{_MODULE}.crates:absence",
        needs=("maturin>=1.5",) if module == "wheel" else (),
        after=after,
        takes=takes,
    )


TARGETS: tuple[Target, ...] = (
    _action(
        "build_python",
        "Build the wheel of each Python crate into target/wheels, with the features that this computer can build.",
        "wheel",
    ),
    Target(
        name="wheel",
        family="python",
        doc="Make the wheel distribution: the same as build_python.",
        after=("build_python",),
    ),
    _action(
        "install_python",
        "Install the wheel into the active virtual environment, or into the one that PYTHON names.",
        "use",
        takes=(*_TAKES, "YES"),
        after=("build_python",),
    ),
    _action(
        "test_python",
        "Test the wheel: installed into a fresh virtual environment, imported, and its Python tests run with pytest.",
        "use",
        takes=(*_TAKES, "OBSERVE"),
        after=("build_python",),
    ),
)
