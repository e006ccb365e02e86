"""The folder we stand in and those on the way up, and whether one can be written to. Reads nothing of them."""

from __future__ import annotations

import os

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def ancestors(directory: str) -> Iterator[str]:
    """Yield a directory, made absolute, and each of its parents up to the root."""
    here = os.path.abspath(directory)
    while True:
        yield here
        above = os.path.dirname(here)
        if above == here:
            return
        here = above


def can_write_below(directory: str) -> bool:
    """Tell whether a folder can be written to, or made."""
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    return os.access(directory, os.W_OK)


def current_folder() -> str:
    """Return the folder that we were called in. Raises `UserError` if it is gone."""
    try:
        return os.getcwd()
    except OSError:
        what = "the folder that this was called in is gone"
        raise UserError(
            Problem(what, "change to one that exists (`cd .` if it was made anew)"), COULD_NOT_RUN
        ) from None
