"""One difference between what was recorded and what is there now, for the skip and for `why`. Data only."""

from __future__ import annotations

from doit_cargo.engine.base.plain_text import HIDDEN


class Change:
    """One difference between a state and the world: what it is, and both values as text."""

    __slots__ = ("kind", "new", "old", "subject")

    def __init__(self, kind: str, subject: str, old: str = "", new: str = "") -> None:
        self.kind = kind
        self.subject = subject
        self.old = old
        self.new = new

    def __str__(self) -> str:
        difference = difference_of(self.kind, self.old, self.new)
        return f"{self.kind} {self.subject}: {difference}" if difference else f"{self.kind} {self.subject}"


def difference_of(kind: str, old: str, new: str) -> str:
    """Return what it was and what it is; of two values that must not be shown, that they differ."""
    if kind not in ("env", "tool", "argument"):
        return new
    return "changed" if old == new == HIDDEN else f"{old or 'unset'} -> {new or 'unset'}"
