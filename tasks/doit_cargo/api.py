"""What a user's own Python may import, and all that promises to stay.

For a dodo.py: `targets_of`, `built_by` and `DOIT_CONFIG`. For tasks/project.py: `Target`, the pools that it can be in,
the `ActionInputs` that its `watch` returns, and how an action tells what it does. doit is imported only for the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doit_cargo.engine.base.model import ALONE, CARGO, FREE, ActionInputs, Target
from doit_cargo.engine.console.reporter import done, failed, note

if TYPE_CHECKING:
    from doit_cargo.cli.doit.dodo import DOIT_CONFIG, built_by, targets_of

__all__ = [
    "ALONE",
    "CARGO",
    "DOIT_CONFIG",
    "FREE",
    "ActionInputs",
    "Target",
    "built_by",
    "done",
    "failed",
    "note",
    "targets_of",
]


def __getattr__(name: str) -> Any:
    """Give a dodo.py what it needs, which brings doit."""
    if name not in ("DOIT_CONFIG", "built_by", "targets_of"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from doit_cargo.cli.doit import dodo

    return getattr(dodo, name)
