"""The cross family: builds for other platforms. Rows only; actions/cross.py does the work."""

from __future__ import annotations

from doit_cargo.engine.base.model import Target
from doit_cargo.engine.base.variables import CARGO


def _for_each(name: str, doc: str) -> Target:
    takes = ("TARGETS", *(variable for variable in CARGO if variable != "TARGET"))
    module = "doit_cargo.actions.cross"
    return Target(name=name, family="cross", doc=doc, action=f"{module}:{name}", check=f"{module}:check", takes=takes)


TARGETS: tuple[Target, ...] = (
    _for_each(
        "build_all_platforms",
        "Build {package} {mode} for this computer and every target triple of the pack that is installed.",
    ),
    _for_each(
        "cross_matrix",
        "Type-check the whole workspace for this computer and every target triple of the pack that is installed.",
    ),
)
