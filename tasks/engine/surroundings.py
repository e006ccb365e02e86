"""What a call takes out of its environment before it does anything: the key, and folders of PATH that a checkout fills.

Imports nothing that costs start-up time.
"""

from __future__ import annotations

import os

from doit_cargo.engine import own_key


def settle() -> None:
    """Settle the environment of this process and of all that it starts. Raises `UserError` for a weak key."""
    own_key.adopt()
    path = os.environ.get("PATH", "")
    folders = path.split(os.pathsep)
    kept = [folder for folder in folders if os.path.isabs(folder)]
    if len(kept) != len(folders) and kept:
        # `.` on PATH would let a checkout choose which cargo and which rustc we ask, even only to look at it.
        os.environ["PATH"] = os.pathsep.join(kept)
