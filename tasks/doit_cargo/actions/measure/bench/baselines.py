"""Measurements of benchmarks that are kept under a name, one JSON file each, in the state directory.

``last`` is always the latest one. The programs that measured are kept beside them, by their contents, so that a later
comparison can let them measure again. Knows no benchmark and no cargo.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from doit_cargo.actions.measure.bench.results import Results, Times
from doit_cargo.engine.base import atomic, own_key
from doit_cargo.engine.base.errors import Problem, UserError, unknown
from doit_cargo.engine.base.tables import minute
from doit_cargo.engine.state import fingerprint, store

FOLDER, PROGRAMS = "bench", "programs"
LAST = "last"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was measured, when and with what; `setting` must be equal for a comparison to mean much. `programs` are the
    digests of the benchmarks' programs.
    """

    results: Results
    setting: dict[str, str] = field(default_factory=dict)
    time: float = 0.0
    quick: bool = False
    programs: dict[str, str] = field(default_factory=dict)

    @property
    def date(self) -> str:
        return minute(self.time)


def names(state: str) -> tuple[str, ...]:
    """Return the names of all that is kept."""
    folder = os.path.join(state, FOLDER)
    found = os.listdir(folder) if os.path.isdir(folder) else []
    return tuple(sorted(name.removesuffix(".json") for name in found if name.endswith(".json")))


def _path(state: str, name: str) -> str:
    return os.path.join(state, FOLDER, f"{name}.json")


def save(state: str, name: str, baseline: Baseline) -> None:
    """Keep a measurement under a name. Raises OSError."""
    store.prepare(state)
    data = {
        "format": FORMAT,
        "time": baseline.time,
        "quick": baseline.quick,
        "setting": baseline.setting,
        "programs": baseline.programs,
        "results": {name: [times.low, times.middle, times.high] for name, times in baseline.results.items()},
    }
    atomic.write(_path(state, name), json.dumps(own_key.sealed(data), indent=1) + "\n")


def keep_programs(state: str, baseline: Baseline, programs: Mapping[str, str]) -> Baseline:
    """Keep copies of the programs that measured; return the measurement with their digests. Raises OSError.

    What no measurement names any more is removed.
    """
    import shutil

    store.prepare(state)
    folder = os.path.join(state, FOLDER, PROGRAMS)
    os.makedirs(folder, exist_ok=True)
    digests = {name: digest for name, path in programs.items() if (digest := digest_of(path))}
    for name, digest in digests.items():
        place = os.path.join(folder, digest)
        if digest_of(place) != digest:
            shutil.copy(programs[name], place)
    known = {digest for name in names(state) for digest in _programs(state, name)} | set(digests.values())
    for left in set(os.listdir(folder)) - known:
        os.unlink(os.path.join(folder, left))
    return replace(baseline, programs=digests)


def digest_of(path: str) -> str:
    """Return the digest of a program's content, "" where there is none."""
    found = fingerprint.digest(path) if os.path.isfile(path) else None
    return found.hex() if isinstance(found, bytes) else str(found or "")


def program_of(state: str, digest: str) -> str:
    """Return where a kept program is; "" unless its content is what the sealed measurement says."""
    path = os.path.join(state, FOLDER, PROGRAMS, digest)
    return path if digest and digest_of(path) == digest else ""


def _programs(state: str, name: str) -> list[str]:
    try:
        return list(load(state, name).programs.values())
    except UserError:
        return []


def load(state: str, name: str) -> Baseline:
    """Return what is kept under a name. Raises `UserError` for an unknown name, with the nearest, or a broken file."""
    path = _path(state, name)
    if not os.path.isfile(path):
        raise UserError(_missing(state, name))
    try:
        with open(path, encoding="utf-8") as stream:
            return _baseline(own_key.unsealed(json.load(stream)) or {})
    except (ValueError, KeyError, TypeError, AttributeError):
        fix = f"remove it, or measure again: doit-cargo bench BASELINE={name}"
        raise UserError(Problem("this is no measurement of benchmarks that was made here", fix, path)) from None


def _missing(state: str, name: str) -> Problem:
    if not names(state):
        return Problem("no benchmark has been measured here yet", "keep a measurement: doit-cargo bench BASELINE=main")
    return unknown("baseline", name, names(state), "BASELINE")


def _baseline(data: dict[str, Any]) -> Baseline:
    if data["format"] != FORMAT:
        raise ValueError(data["format"])
    results = {str(name): Times(*map(float, times)) for name, times in data["results"].items()}
    setting = {str(name): str(value) for name, value in data["setting"].items()}
    programs = {str(name): str(digest) for name, digest in data.get("programs", {}).items()}
    return Baseline(results, setting, float(data["time"]), bool(data["quick"]), programs)
