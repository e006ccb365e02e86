"""Sources that were written while cargo ran, by a build script: what of them rustc has surely read as they are now.

Of a file that moves during a run nobody knows what cargo saw; but where its last write came before each rustc that
read it, by the clock of one file system, that is known.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from doit_cargo.engine.cargo import units
from doit_cargo.engine.execution.evidence.inputs import Made
from doit_cargo.engine.execution.evidence.snapshot import Snapshot
from doit_cargo.engine.state.fingerprint import changed_before, digest, settled, signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.state.fingerprint import Stamp


def take(made: Iterable[Made], before: Snapshot) -> None:
    """Have the snapshot hold, as cargo saw them, the sources that were written before they were read."""
    readers: dict[str, list[Made]] = {}
    for one in made:
        for path in one.sources:
            readers.setdefault(path, []).append(one)
    for path, found in readers.items():
        stamp = before.now(path)
        if stamp is None or changed_before(stamp, before.started) or os.name == "nt":
            continue
        if all(_began_later(one, path, stamp) for one in found):
            content = digest(path)
            if signature(path) == stamp:
                before.ends[path] = (settled(stamp, time.time_ns()), content)
                before.stamps[path] = stamp


def _began_later(one: Made, path: str, stamp: Stamp) -> bool:
    """Tell whether a unit was compiled in this call, by a rustc that began after the last write of a source."""
    began = [units.fingerprint_file(key) for key in one.keys]
    return not one.fresh and bool(began) and all(_is_older(stamp, path, file) for file in began)


def _is_older(stamp: Stamp, path: str, file: str) -> bool:
    try:
        found = os.stat(file)
        # Within one tick of a clock that is finer than seconds, rustc has not even loaded.
        within = stamp[3] % 1_000_000_000 != 0 and stamp[3] == found.st_mtime_ns
        return (stamp[3] < found.st_mtime_ns or within) and os.stat(path).st_dev == found.st_dev
    except OSError:
        return False
