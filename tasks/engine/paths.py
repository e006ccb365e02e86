"""Folders on the way up. Reads nothing of them."""

from __future__ import annotations

import os

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
