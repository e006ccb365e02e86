"""What sharing has saved here: results fetched, and how long each took whoever built it."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from doit_cargo.engine.base import atomic

FILE = "shared.json"
MOST = 1000


def remember(state: str, target: str, seconds: float, size: int) -> None:
    """Note a result that was fetched; losing one costs only the count."""
    kept = [*read(state), {"target": target, "seconds": seconds, "bytes": size, "when": time.time()}][-MOST:]
    try:
        atomic.write(os.path.join(state, FILE), json.dumps(kept))
    except OSError:
        return


def read(state: str) -> list[dict[str, Any]]:
    """Return what was noted, the oldest first."""
    try:
        with open(os.path.join(state, FILE), encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) and all(isinstance(one, dict) for one in found) else []


def by_target(state: str) -> list[dict[str, Any]]:
    """Return what was fetched of each target: how often, bytes, and the minutes that building it took elsewhere."""
    found: dict[str, dict[str, Any]] = {}
    for one in read(state):
        row = found.setdefault(
            str(one["target"]), {"target": str(one["target"]), "count": 0, "bytes": 0, "minutes": 0.0}
        )
        row["count"] += 1
        row["bytes"] += int(one["bytes"])
        row["minutes"] += float(one["seconds"]) / 60
    return sorted(found.values(), key=lambda row: -float(row["minutes"]))


def time_of(seconds: float) -> str:
    """Return a time as a person reads it.

    >>> time_of(0.4), time_of(75), time_of(2280), time_of(7300), time_of(200000)
    ('0.4 s', '75 s', '38 min', '2 h', '2 d')
    """
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    for unit, size, most in (("min", 60, 100), ("h", 3600, 36)):
        if seconds < size * most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
