"""Lines that a console has broken at its width, put together again, as PowerShell writes errors into files.

Knows nothing of what lines say. A joined line is followed by as many empty ones: the numbers of all others stay.
"""

from __future__ import annotations

import re
from itertools import pairwise

WIDEST = 240
NARROWEST = 16
SAMPLE = 1 << 16  # bytes of a log's beginning that tell whether and at what width it is broken
ENOUGH = 4  # how many broken lines make a console
# Where a line may be cut within a word or a path, and where one begins that goes on with none.
CUT = re.compile(r"[\w\\/.,:;'`\"(@#-]$")
BEGINS = re.compile(r"[\w\\/.,:;'`\"()@#-](?!-> )")
MARKER = re.compile(r"(?:error(?:\[E\d+\])?|warning|note|help): |Caused by:|thread '")


def width_of(text: bytes) -> int:
    """Return at what width a console has broken the lines of a log's beginning, or 0."""
    lines = _lines(text[:SAMPLE].rpartition(b"\n")[0])
    width = max(map(len, lines), default=0)
    if not NARROWEST <= width <= WIDEST:
        return 0
    # A line that goes on and goes on no more: rows of a table all have one width.
    goes_on = [_goes_on(line, following, width) for line, following in pairwise(lines)]
    broken = sum(here and not there for here, there in pairwise((*goes_on, False)))
    return width if broken >= max(ENOUGH, len(lines) // 50) else 0


def joined(text: bytes, width: int) -> bytes:
    """Return a text with its broken lines put together."""
    lines = text.decode("utf-8", "replace").split("\n")
    kept: list[str] = []
    waiting, goes_on = 0, False
    for line, following in zip(lines, (*lines[1:], ""), strict=True):
        if goes_on:
            kept[-1] += line.rstrip("\r")
            waiting += 1
        else:
            kept.append(line)
        goes_on = _goes_on(line.rstrip("\r"), following.rstrip("\r"), width)
        if goes_on:
            kept[-1] = kept[-1].rstrip("\r")
        else:
            kept += [""] * waiting
            waiting = 0
    return "\n".join(kept).encode()


def _lines(text: bytes) -> list[str]:
    return [line.rstrip("\r") for line in text.decode("utf-8", "replace").split("\n")]


def _goes_on(line: str, following: str, width: int) -> bool:
    """Tell whether a line is cut: it fills the width within a word, or its last blank leaves the next word no room."""
    if not line.strip() or not following or MARKER.match(following):
        return False
    if len(line) == width:
        return CUT.search(line) is not None and BEGINS.match(following) is not None
    word = following.split(" ", 1)[0]
    return line.endswith(" ") and bool(word) and len(line) + len(word) > width
