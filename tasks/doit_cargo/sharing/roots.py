"""Paths that mean the same in two checkouts: below a named folder a path is written as ``${ws}/src/lib.rs``.

Knows names and folders, and nothing of files. Absolute paths never begin with ``$``: the two cannot be mixed up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

WORKSPACE, TARGET, CARGO_HOME, RUSTUP_HOME, OURS = "ws", "target", "cargo_home", "rustup_home", "doit_cargo"
REPOSITORY = "repo"
# What a checkout below one of these has in common with a file there says nothing of the two.
OF_SYSTEM = ("/", "/usr", "/usr/local", "/opt", "/var")
NAMED = re.compile(r"\$\{(\w+)\}(?=/|$)")


def umask() -> int:
    """Return which rights a new file does not get here."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def repository(root: str) -> str:
    """Return the folder of the repository that a workspace is a part of, "" where it is the whole or there is none."""
    folder = root
    while not os.path.lexists(os.path.join(folder, ".git")):
        if folder == (folder := os.path.dirname(folder)):
            return ""
    return "" if folder == root else folder


class Roots:
    """The named folders of a checkout on this machine, and the rights that files get in them."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self.folders = {name: os.path.normpath(path) for name, path in folders.items() if path}
        self.umask = umask()
        self._deepest = sorted(self.folders.items(), key=lambda one: -len(one[1]))

    def symbolic(self, path: str) -> str:
        """Return a path by the deepest named folder that holds it; one outside of all as it is."""
        for name, folder in self._deepest:
            if path == folder or path.startswith(folder + os.sep):
                return f"${{{name}}}{path[len(folder) :]}"
        return path

    def folders_of_tools(self, path: str) -> tuple[str, ...]:
        """Return where PATH leads: the folders above each ``bin`` that do not hold the checkout."""
        root, found = os.path.join(self.folders[WORKSPACE], ""), []
        for place in filter(os.path.isabs, path.split(os.pathsep)):
            above, name = os.path.split(os.path.normpath(place))
            is_apart = name in ("bin", "sbin") and not root.startswith(os.path.join(above, ""))
            found.append(os.path.join(above if is_apart else place, ""))
        return tuple(found)

    def from_workspace(self, path: str, tools: tuple[str, ...]) -> str:
        """Return a path beside the checkout by the way that leads there from it; "" for one of the system, of tools, of
        a user's settings, or in a named folder.
        """
        root = self.folders[WORKSPACE]
        if self.symbolic(path) != path or not os.path.isabs(path) or path.startswith(tools):
            return ""
        common = os.path.commonpath([root, os.path.normpath(path)])
        below = os.path.relpath(path, common)
        if common in OF_SYSTEM or below.startswith("."):
            return ""
        return os.path.join(root, os.path.relpath(path, root))

    def absolute(self, path: str) -> str:
        """Return the path here that a symbolic one means. Raises `ValueError` for a folder that has no name here."""
        found = NAMED.match(path)
        if not found:
            return path
        if found[1] not in self.folders:
            raise ValueError(f"no folder is called {found[1]}")
        return self.folders[found[1]] + path[found.end() :]

    def text(self, value: str) -> str:
        """Return a text with the named folders in it written by their names, and what looks like a name as another."""
        value = value.replace("$", "$$")
        for name, folder in self._deepest:
            value = re.sub(rf"(?<![\w.-]){re.escape(folder)}(?=[/\s\"':;,)\]]|$)", f"${{{name}}}", value)
        return value
