"""The words of a row in one workspace: `{package}` and `{mode}` of its text as what they are here.

Knows names and how many there are; which packages and which cargo profile a target means, the catalogue has found out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

MODES = {"release": "in release mode", "dev": "in debug mode", "test": "in debug mode", "bench": "in release mode"}


class Words(NamedTuple):
    """What stands for `{package}` and `{mode}`: as the reference has it, where no workspace is at hand."""

    package: str = "the main package"
    mode: str = "in release mode"


def mode_of(cargo_profile: str) -> str:
    """Return a cargo profile as people call it.

    >>> mode_of("dev"), mode_of("dist")
    ('in debug mode', 'with the cargo profile dist')
    """
    return MODES.get(cargo_profile, f"with the cargo profile {cargo_profile}")


def packages_of(names: Iterable[str], everything: int) -> str:
    """Return packages as a sentence has them; `everything` is how many the workspace has.

    Of several no names, so that a new member changes no text of a committed file.

    >>> packages_of(["rg"], 9), packages_of("ab", 2), packages_of("ab", 9)
    ('rg', 'the whole workspace', 'the default packages')
    """
    found = list(names)
    if len(found) == 1:
        return found[0]
    return "the whole workspace" if len(found) == everything else "the default packages"


def worded(doc: str, words: Words) -> str:
    """Return the text of a row with its words in their places."""
    return doc.replace("{package}", words.package).replace("{mode}", words.mode)
