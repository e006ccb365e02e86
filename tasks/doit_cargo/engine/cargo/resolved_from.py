"""What cargo's resolution rests on: manifests, lock, config files, pins, and where sources come from. Asks no cargo."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from doit_cargo.engine.base.model import Workspace
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.cargo import discovery
from doit_cargo.engine.cargo.config import files

# The rule by which the manifests of vendored packages are listed.
VENDORED = ("matching", "", "*/Cargo.toml")


class ResolvedFrom(NamedTuple):
    """`files` count by content, also those that must stay absent; `vendored` are folders whose manifests count;
    `downloads` are folders whose stamps change as sources come.
    """

    files: tuple[str, ...]
    vendored: tuple[str, ...]
    downloads: tuple[str, ...]


def resolved_from(workspace: Workspace, environ: Mapping[str, str]) -> ResolvedFrom:
    """Return all that the answer of ``cargo tree`` or ``cargo metadata`` rests on, but for the toolchain."""
    root = workspace.root
    tables = [(path, table) for path, table in files.read_tables(root, environ) if table]
    patched = [place for path, table in tables for place in _patches(table, os.path.dirname(os.path.dirname(path)))]
    patched += _patches(toml.read(os.path.join(root, "Cargo.toml")), root)
    found = [os.path.join(root, name) for name in ("Cargo.toml", "Cargo.lock")]
    found += _manifests(workspace, patched)
    found += discovery.config_files(root, environ)
    vendored = [place for path, table in tables for place in _sources(table, os.path.dirname(os.path.dirname(path)))]
    return ResolvedFrom(tuple(dict.fromkeys(found)), tuple(vendored), tuple(discovery.download_places(environ)))


def _manifests(workspace: Workspace, patched: list[str]) -> list[str]:
    """Return the manifests of the members, and of all that their paths and patches lead to."""
    known = dict.fromkeys(discovery.manifests(workspace))
    waiting = [*(os.path.dirname(path) for path in known), *patched]
    members = {package.directory for package in workspace.packages.values()}
    seen: set[str] = set()
    while waiting:
        directory = waiting.pop()
        if directory not in seen and directory not in members:
            seen.add(directory)
            known.update(dict.fromkeys(discovery.manifests_of(directory)))
            waiting.extend(discovery.path_dependencies(directory))
    return list(known)


def _patches(table: Mapping[str, Any], base: str) -> Iterator[str]:
    """Yield the folders that ``[patch]``, ``[replace]`` and ``paths`` put in the place of others."""
    replaced = [*_tables(table.get("patch")), table.get("replace")]
    for entry in (entry for one in replaced for entry in _tables(one)):
        if isinstance(entry.get("path"), str):
            yield os.path.normpath(os.path.join(base, entry["path"]))
    paths = table.get("paths")
    yield from (os.path.normpath(os.path.join(base, str(path))) for path in (paths if isinstance(paths, list) else ()))


def _sources(table: Mapping[str, Any], base: str) -> Iterator[str]:
    """Yield the folders of vendored sources (Cargo book, "Source Replacement")."""
    for source in _tables(table.get("source")):
        for key in ("directory", "local-registry"):
            if isinstance(source.get(key), str):
                yield os.path.normpath(os.path.join(base, source[key]))


def _tables(table: object) -> list[Mapping[str, Any]]:
    return [one for one in table.values() if isinstance(one, Mapping)] if isinstance(table, Mapping) else []
