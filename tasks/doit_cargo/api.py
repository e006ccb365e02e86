"""What a user's own Python may import, and all that promises to stay.

For a dodo.py: `targets_of`, `built_by` and `DOIT_CONFIG`. For tasks/project.py: `Target`, the pools that it can be in,
the `ActionInputs` that its `watch` returns, and how an action tells what it does. Each name is imported when it is
asked for: doit only for a dodo.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doit_cargo.cli.doit.dodo import DOIT_CONFIG, built_by, targets_of
    from doit_cargo.engine.base.model import ALONE, CARGO, FREE, ActionInputs, Target
    from doit_cargo.engine.console.reporter import done, failed, note

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


HOMES = {
    "doit_cargo.cli.doit.dodo": ("DOIT_CONFIG", "built_by", "targets_of"),
    "doit_cargo.engine.base.model": ("ALONE", "CARGO", "FREE", "ActionInputs", "Target"),
    "doit_cargo.engine.console.reporter": ("done", "failed", "note"),
}


def __getattr__(name: str) -> Any:
    """Give a name from where it is at home."""
    import importlib

    for home, names in HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
