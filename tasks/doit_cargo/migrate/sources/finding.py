"""Which kinds of build file there are, how each is found and read: a row each."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.migrate.sources.source import Source, words_of

if TYPE_CHECKING:
    from doit_cargo.migrate.recording.box import Box
    from doit_cargo.session import Session

# Where each kind is looked for, in this order.
FOUND_AS = {
    "make": ("GNUmakefile", "GNUmakefile.old", "makefile", "Makefile", "Makefile.old"),
    "just": ("justfile", "Justfile", ".justfile"),
    "cargo-make": ("Makefile.toml",),
    "npm": ("package.json",),
    "alias": (".cargo/config.toml", ".cargo/config"),
}


def find(session: Session, given: str) -> str:
    """Return the build file to read, relative to the root. Raises `UserError` where there is none."""
    from doit_cargo import makefile

    if given:
        path = os.path.join(session.start, given)
        path = path if os.path.exists(path) else os.path.join(session.root, given)
        if not os.path.isfile(path):
            raise UserError(Problem("there is no such file", "give the build file to read", given))
        return os.path.relpath(os.path.realpath(path), session.root)
    moved = makefile.moved(session)
    if moved and os.path.isfile(os.path.join(session.root, moved["file"])):
        return str(moved["file"])
    names = [name for kind in FOUND_AS.values() for name in kind if os.path.isfile(os.path.join(session.root, name))]
    found = next((name for name in names if not makefile.is_ours(os.path.join(session.root, name))), "")
    if not found:
        what = "there is no Makefile, justfile, Makefile.toml, package.json or .cargo/config.toml here"
        raise UserError(Problem(what, "name the build file: doit-cargo migrate FILE"))
    return found


def kind_of(path: str) -> str:
    """Return the kind of a build file, by its name: what is none of the others is a Makefile."""
    name = os.path.basename(path).lower()
    if name.endswith(("justfile", ".just")):
        return "just"
    if name.endswith(".toml"):
        return "alias" if name == "config.toml" else "cargo-make"
    if name == "config" and os.path.basename(os.path.dirname(path)) == ".cargo":
        return "alias"
    return "npm" if name.endswith(".json") else "make"


def text_of(root: str, path: str) -> str:
    """Return all that a build file says, with what it includes where that is known by name."""
    from doit_cargo.migrate.sources import makefiles

    if kind_of(path) == "make":
        return makefiles.text_of(root, path)
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as stream:
        return stream.read()


def words_in(root: str, path: str) -> set[str]:
    """Return the words of a build file that may be names of programs, with those of Makefiles in the folders that it
    names."""
    words = words_of(text := text_of(root, path))
    folders = {word.strip("./") for word in re.findall(r"[\w./-]+", text)}
    for folder in sorted(each for each in folders if each and os.path.isdir(os.path.join(root, each))):
        for name in FOUND_AS["make"]:
            if os.path.isfile(os.path.join(root, folder, name)):
                words |= words_of(text_of(root, os.path.join(folder, name)))
    return words


def load(box: Box, path: str) -> Source:
    """Return a build file as a source, with stand-ins in the box for all that its targets start by a path."""
    from doit_cargo.migrate.recording.recordings import watch_programs
    from doit_cargo.migrate.sources import cargo_make, justfiles, makefiles, scripts

    readers = {
        "make": makefiles.source,
        "just": justfiles.source,
        "cargo-make": cargo_make.source,
        "npm": scripts.npm,
        "alias": scripts.alias,
    }
    read = readers[kind_of(path)]
    source = read(box, path)
    # A folder of such a program is none that make would always make.
    return read(box, path) if watch_programs(box, source) else source
