"""How the new side of a migration is recorded: doit-cargo itself, through the shim where there is one, in the same box.

It may ask the real cargo and the toolchain its questions, which the old side may not: it is our own program.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from doit_cargo.engine.base import own_key
from doit_cargo.migrate.sources.source import Source, programs_in, words_of

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Workspace
    from doit_cargo.migrate.recording.box import Box

TRIPLE = re.compile(r"\b[a-z0-9_]+-[a-z0-9]+-[a-z0-9]+(?:-[a-z0-9]+)?\b")
SHIM = "GNUmakefile"
# Found out anew in each run of the box, though it is the same: what the workspace and its targets are.
CACHES = (".doit-cargo/workspace", ".doit-cargo/catalogue")
# Whether this machine could build is not the question, and the recorded cargo builds nothing to be observed. The shim
# passes these on from the environment.
QUIET = {"WITHOUT_PREFLIGHT": "1", "OBSERVE": "off"}


def program() -> str:
    """Return doit-cargo as words of a shell that hold whatever PATH is."""
    return f"{sys.executable} -m doit_cargo.cli.main"


def argv(box: Box, source: Source, name: str, row: str, given: Mapping[str, str], takes: Collection[str]) -> list[str]:
    """Return what runs a target on the new side; `takes` are the variables that its row takes."""
    words = [f"{key}={value}" for key, value in given.items()]
    if source.kind != "make":
        return [*program().split(), row, *words, *(f"{key}={QUIET[key]}" for key in QUIET if key in takes)]
    from doit_cargo.migrate.sources.makefiles import program as make

    shell = os.path.join(box.base, "kinds", "line")
    return [make(), "-f", SHIM, f"SHELL={shell}", f"DOIT_CARGO={program()}", *words, *([name] if name else [])]


def environment(box: Box, source: Source) -> dict[str, str]:
    """Return what the new side begins with: that of the old one, and where the toolchain is."""
    home = os.path.expanduser("~")
    places = {"RUSTUP_HOME": os.path.join(home, ".rustup"), "CARGO_HOME": os.path.join(home, ".cargo")}
    found = {name: box.environ.get(name, path) for name, path in places.items()}
    # What one run leaves to the next is sealed with the key of this box: HOME, where the user's is, is empty each time.
    return {**box.environment(), **source.env, **found, **QUIET, own_key.VARIABLE: os.path.basename(box.base)}


def programs(workspace: Workspace, text: str) -> tuple[str, ...]:
    """Return what is laid into the copy as recorders: the scripts that a text names, and what a build would leave."""
    binaries = [name for package in workspace.packages.values() for name in package.binaries]
    folders = [
        ("debug" if name in ("dev", "test") else "release" if name == "bench" else name)
        for name in workspace.cargo_profiles
    ]
    triples = ["", *sorted(set(TRIPLE.findall(text)) & words_of(text))]
    if len(binaries) * len(triples) > 400:
        triples = [""]
    target = os.path.relpath(workspace.target_directory, workspace.root)
    built = [
        os.path.normpath(os.path.join(target, triple, folder, name))
        for triple in triples
        for folder in dict.fromkeys(folders)
        for name in binaries
    ]
    return (*programs_in(workspace.root, text), *built)
