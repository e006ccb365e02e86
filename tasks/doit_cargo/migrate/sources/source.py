"""A build file as the recordings need it: its targets, what may be set in it, and how a target of it is called.

Data and the little that all kinds share; each kind of build file has a module that makes a `Source`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

# Variables that every environment has: of the person and the machine, not of the build file.
OF_A_PERSON = frozenset(
    {"HOME", "USER", "LOGNAME", "PWD", "OLDPWD", "PATH", "SHELL", "TERM", "LANG", "TMPDIR", "HOSTNAME", "UID"}
)
# What looks like a variable and is a function of make's.
OF_MAKE = frozenset(
    {"shell", "patsubst", "wildcard", "foreach", "if", "or", "and", "filter", "subst", "eval", "call", "info", "error"}
    | {"strip", "word", "words", "sort", "dir", "notdir", "basename", "suffix", "addprefix", "addsuffix", "warning"}
    | {"firstword", "lastword", "findstring", "join", "realpath", "abspath", "value", "origin", "flavor", "file"}
    | {"MAKE", "MAKEFLAGS", "MFLAGS", "CURDIR", "MAKEFILE_LIST", "MAKECMDGOALS", "MAKELEVEL", "MAKEFILES"}
)
MENTIONED = re.compile(r"\$\$?[({]([A-Za-z_]\w*)|\$\$?([A-Za-z_]\w+)|\b(?:un)?(?:ifn?def)\s+([A-Za-z_]\w*)")
ASSIGNED = re.compile(r"^[ \t]*(?:export |override |private )*([A-Za-z_]\w*)[ \t]*(?:[:?+!]|::|:::)?=", re.MULTILINE)
WORDS = re.compile(r"[A-Za-z0-9_.+-]+")


@dataclass(frozen=True, slots=True)
class Old:
    """A target of a build file. `line` is where it stands, 0 if unknown; `text` is all that decides what it does,
    as written; `unsure` says why a recording does not show all of it; `parts` are what is done once, however many
    targets of one call want it. `leads` are what it may begin with, each a list of targets that the old file can do
    by themselves: the shortest first. `decided` are the files about which make decides by their age, if nothing else
    makes it unsure; `fronts` are what is done first, after which the old file may do all the rest."""

    name: str
    line: int = 0
    text: str = ""
    unsure: str = ""
    parts: tuple[str, ...] = ()
    leads: tuple[tuple[str, ...], ...] = ()
    decided: tuple[str, ...] = ()
    fronts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A build file. `call` makes the argument list that runs a target with variables set; `patterns` are names with a
    ``%``; `default` is what runs without a name; `variables` maps what may be set to values that it is compared with.
    """

    kind: str
    file: str
    targets: tuple[Old, ...]
    call: Callable[[str, Mapping[str, str]], list[str]]
    default: str = ""
    patterns: tuple[str, ...] = ()
    variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    listens: bool = False
    """Whether what runs the file takes all that is said itself, through pipes."""
    gives_environment: bool = False
    """Whether the shim can run a target of ours with the environment that the file gives to its own."""
    sets: tuple[str, ...] = ()
    """Variables that have the file's value, or none, for what it starts, whatever the environment says."""
    absent: tuple[str, ...] = ()
    """Files that were not there to be read: once one is, all is the old file's, since it may say anything."""
    asks_for: tuple[str, ...] = ()
    """Files that may be there or not, such as an `.env`: in the other world it is the other way round."""
    makes: tuple[str, ...] = ()
    """Files that, once they are there, may be left as they are: the targets that are not said to be none."""
    gone: tuple[str, ...] = ()
    """Files of ours that the old side must not see."""
    aside: Mapping[str, str] = field(default_factory=dict)
    """The text of a file that is, or will be, moved out of the way of the shim, by the name that the old side sees."""


def variables_of(text: str) -> dict[str, tuple[str, ...]]:
    """Return what a text reads or sets, each with the words that stand beside it in a comparison."""
    names = [next(filter(None, groups)) for groups in MENTIONED.findall(text)] + ASSIGNED.findall(text)
    wanted = dict.fromkeys(name for name in names if name not in OF_A_PERSON | OF_MAKE)
    return {name: tuple(_compared_with(name, text)) for name in wanted}


def _compared_with(name: str, text: str) -> Iterator[str]:
    """Yield the words on lines that compare a variable: ``ifeq ($(CI),true)``, ``[ "$$CI" = true ]``."""
    seen = {"0", "1"}
    for line in text.splitlines():
        if re.search(rf"\b{name}\b", line) and re.search(r"ifn?eq|==?\s|!=|filter|findstring|case ", line):
            for word in re.findall(r"[,=\s\"']([A-Za-z0-9_.-]+)(?=[\s\"',);\]]|$)", line):
                if word not in seen and word != name and not word.startswith("-") and len(seen) < 8:
                    seen.add(word)
                    yield word
    yield "1"


def words_of(text: str) -> set[str]:
    """Return the words of a text that may be names of programs."""
    return {os.path.basename(word) for word in WORDS.findall(text)}


def programs_in(root: str, text: str) -> tuple[str, ...]:
    """Return the files of a checkout that a text may start: those that can be run and whose name is in it."""
    words = words_of(text)
    found = []
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in ("target", ".git", "node_modules", ".doit-cargo", ".venv")]
        paths = (os.path.join(folder, name) for name in files if name in words)
        found += [
            os.path.relpath(path, root) for path in paths if os.access(path, os.X_OK) and not os.path.islink(path)
        ]
    return tuple(sorted(found))
