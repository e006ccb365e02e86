"""Documentation that no crate of the workspace makes any more: cargo leaves it, and the index of all still names it.

Knows where rustdoc writes, and nothing of what makes pages stale.
"""

from __future__ import annotations

import os
import re

from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.cargo import units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.state.receipts import Receipt

# What all crates of a folder share, by the names of rustdoc since 1.40.
INDEX = re.compile(r"(crates|src-files|source-files|search-index[\w.-]*)\.js|search\.index")
OF_NO_CRATE = ("src", "static.files", "search.index", "search.desc", "trait.impl", "type.impl", "implementors")


def without_source(plan: Plan, previous: Receipt | None, workspace: Workspace) -> list[str]:
    """Return the folders of pages that the last success of this call wrote, and that none of its crates writes now."""
    if plan.invocation.argv[1] != "doc" or not previous:
        return []
    found = {_folder(path, workspace.target_directory) for path in previous["build"]["units"]}
    return sorted(
        path for path in found if path and os.path.basename(path) not in (*_documented(workspace), *OF_NO_CRATE)
    )


def _documented(workspace: Workspace) -> set[str]:
    targets = [one for package in workspace.packages.values() for one in package.cargo_targets]
    return {one.name.replace("-", "_") for one in targets if one.documented}


def _folder(path: str, target_directory: str) -> str:
    """Return the folder of a page's crate: below `doc`, which may be below a triple."""
    parts = os.path.relpath(path, target_directory).split(os.sep)
    place = parts.index("doc") if "doc" in parts[:2] else len(parts)
    return os.path.join(target_directory, *parts[: place + 2]) if len(parts) > place + 2 else ""


def remove(folders: list[str], workspace: Workspace) -> None:
    """Remove the pages of crates that are gone, and the index, which all crates that are left shall write anew.

    The index stays where pages of other crates lie, which nobody writes now. Raises OSError.
    """
    for folder in folders:
        units.remove(folder)
        units.remove(os.path.join(os.path.dirname(folder), "src", os.path.basename(folder)))
    for place in {os.path.dirname(folder) for folder in folders}:
        if not os.path.isdir(place):
            continue
        left = {entry.name for entry in os.scandir(place) if entry.is_dir()}
        if left <= _documented(workspace).union(OF_NO_CRATE):
            for name in filter(INDEX.fullmatch, os.listdir(place)):
                units.remove(os.path.join(place, name))
