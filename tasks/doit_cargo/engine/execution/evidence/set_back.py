"""Old times for what only looks new: a branch switch there and back, or a file that came and went, costs no build.

To every unit the file or folder is then exactly as fresh as it was before. Knows what the ledger keeps, and decides
nothing about contents.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from doit_cargo.engine.cargo import units
from doit_cargo.engine.state.fingerprint import signature


def one(path: str, mtime: int | None) -> bool:
    """Give a file or folder the time under which cargo built this very content; tell whether that was done."""
    before = signature(path)
    if mtime is None or before is None or before[0] == mtime:
        return False
    try:
        os.utime(path, ns=(os.stat(path).st_atime_ns, mtime))
    except OSError:
        return False
    return True


def folders(directory: str, ledger: Mapping[str, Any], build_directory: str) -> list[str]:
    """Set back the folders of a watched one in which something came and went, and return them: cargo compares them.

    Not where somebody else has run the script meanwhile, who may have seen what is gone again.
    """
    times, package = ledger["folders"].get(directory, ({}, ""))
    keys = list(units.script_runs(build_directory, package)) if package else []
    known = {key: record[0] for key, record in ledger["units"].items()}
    if ledger["open"] or not keys or any(known.get(key) != units.identity(key) for key in keys):
        return []
    late = [path for path in times if (signature(path) or (0,))[0] > ledger["when"]]
    return [path for path in late if one(path, times[path])]
