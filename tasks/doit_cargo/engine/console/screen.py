"""How wide a terminal is now, and text that fits it and stands out on it. What stands out does so in words, too.

Knows nothing of what is said. Whether there is colour, `streams` decides for all of us.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator

from doit_cargo.engine.console.streams import has_colour

NARROWEST, WIDEST = 40, 1000  # columns


def width(fallback: int = 100) -> int:
    """Return how many columns there are at this moment; of what is no terminal, as COLUMNS says."""
    import shutil

    return min(max(shutil.get_terminal_size((fallback, 24)).columns, NARROWEST), WIDEST)


def cut(text: str, room: int) -> str:
    """Return a line that fits: an ellipsis stands for what does not.

    >>> cut("Build the whole workspace.", 12), cut("short", 12)
    ('Build the...', 'short')
    """
    return text if len(text) <= room else text[: room - 3].rstrip() + "..."


def wrapped(text: str, room: int, indent: str = "") -> Iterator[str]:
    """Yield a text in lines that fit, those after the first behind `indent`; a long word stays whole."""
    yield from textwrap.wrap(
        text, max(room, 20), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _styled(text: str, codes: str) -> str:
    return f"\x1b[{codes}m{text}\x1b[0m" if text and has_colour(sys.stdout) else text


def bold(text: str) -> str:
    """Return a heading or a name."""
    return _styled(text, "1")


def dim(text: str) -> str:
    """Return what is there for completeness."""
    return _styled(text, "2")


def good(text: str) -> str:
    """Return what is well."""
    return _styled(text, "32")


def bad(text: str) -> str:
    """Return what has failed."""
    return _styled(text, "1;31")


def notable(text: str) -> str:
    """Return what one should look at."""
    return _styled(text, "33")
