"""Which variables hold a secret, and how their values are shown. Nothing else is known here; imports nothing."""

from __future__ import annotations

MARKS = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "APIKEY", "PRIVATE_KEY")


def is_secret(name: str) -> bool:
    """Tell whether a variable's name speaks of a secret."""
    upper = name.upper()
    return any(mark in upper for mark in MARKS)


def masked(name: str, value: str) -> str:
    """Return a value as it may be shown and logged."""
    return "***" if is_secret(name) else value
