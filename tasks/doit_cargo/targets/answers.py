"""Words that are no target here though many people type them, and what to type instead. Knows words alone."""

from __future__ import annotations

from collections.abc import Iterable

from doit_cargo.engine.base.errors import Problem, nearest, unknown
from doit_cargo.targets.commands import COMMANDS

BY_HAND = "doit-cargo dev builds the programs, in target/debug: start the one you want"
ANSWERS = {
    "run": BY_HAND,
    "r": BY_HAND,
    "install": "doit-cargo build, then copy the program; cargo install --path . installs one",
    "add": "cargo add: doit-cargo changes no manifest",
    "remove": "cargo remove: doit-cargo changes no manifest",
    "new": "cargo new: doit-cargo begins in a workspace",
    "publish": "cargo publish: doit-cargo publishes nothing",
}


def no_target(name: str, known: Iterable[str]) -> Problem:
    """Return the problem of a word that is no target; cargo's own words have an answer."""
    if name in ANSWERS:
        return Problem(f"{name} is no target here", ANSWERS[name])
    targets = [*known]
    guess = nearest(name, [*COMMANDS, *targets])
    if guess in COMMANDS and guess not in targets:
        return Problem(f"unknown target {name!r}", f"did you mean the command: doit-cargo {guess}?")
    return unknown("target", name, targets)


def profiles_of(names: Iterable[str]) -> str:
    """Return where feature profiles went: their command had the name of the target that measures a program."""
    return f"feature profiles: doit-cargo profiles {' '.join(names)}"
