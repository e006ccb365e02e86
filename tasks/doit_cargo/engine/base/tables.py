"""Tables for a terminal, and what often stands in them: counts and sizes in words. Knows no target."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from doit_cargo.engine.base.plain_text import one_line


def aligned(rows: Iterable[Sequence[str]], gap: str = "  ") -> str:
    """Return rows of cells as lines of aligned columns, without spaces at the ends.

    >>> print(aligned([("name", "size"), ("a", "10 kB")]))
    name  size
    a     10 kB
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = (gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def counted(number: int, one: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "model"), counted(2, "model")
    ('1 model', '2 models')
    """
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def minute(moment: float) -> str:
    """Return a moment (Unix time) as a person writes it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def size_of(count: int) -> str:
    """Return a number of bytes as a person reads it.

    >>> size_of(99), size_of(2500), size_of(150_000), size_of(1_500_000), size_of(4_683_074_240)
    ('99 bytes', '2.5 kB', '0.1 MB', '1.5 MB', '4.68 GB')
    """
    if count < 1000:
        return f"{count} bytes"
    if count >= 1e9:
        return f"{count / 1e9:.2f} GB"
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
