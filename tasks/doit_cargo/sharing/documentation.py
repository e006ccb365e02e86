"""The pages of `cargo doc` as a result: a folder that several calls fill, so that it travels only whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from doit_cargo.sharing.path_set import NotShared

STATIC = "static.files"
# What rustdoc keeps beside the folders of crates.
COMMON = frozenset({STATIC, "src", "search.desc", "search.index", "trait.impl", "type.impl"})


def files(pages: Iterable[str]) -> list[str]:
    """Return all files of the folder that holds these pages. Raises `NotShared` where it holds those of other crates.

    Of the pages of a call only those that are its own are known; what rustdoc merges (its search) names all crates.
    """
    known = list(pages)
    require_alone(known)
    return sorted(_below(_root(known)))


def require_alone(pages: Iterable[str]) -> None:
    """Raise `NotShared` where the folder of these pages holds crates that are not among them."""
    known = list(pages)
    root = _root(known)
    crates = {path[len(root) + 1 :].partition(os.sep)[0] for path in known if path.startswith(root + os.sep)}
    there = {entry.name for entry in os.scandir(root) if entry.is_dir()} if os.path.isdir(root) else set()
    others = sorted(there - crates - COMMON)
    if others:
        raise NotShared(f"{root} holds the pages of {others[0]} too")


def _root(pages: Iterable[str]) -> str:
    mark = os.sep + STATIC + os.sep
    root = next((path.partition(mark)[0] for path in pages if mark in path), "")
    if not root:
        raise NotShared("its pages lack what rustdoc puts beside them")
    return root


def _below(root: str) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        yield from (os.path.join(folder, name) for name in names if not name.startswith("."))
