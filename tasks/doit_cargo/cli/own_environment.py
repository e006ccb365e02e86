"""The environment of this process, made fit for what it will start. Both entry points begin with it."""

from __future__ import annotations

import os

from doit_cargo.engine.base import own_key


def settle() -> None:
    """Take out of the environment what no child shall have: the key, and folders of PATH that a checkout fills.

    With `.` on PATH a checkout would choose which cargo and which rustc are asked, even only to look at it. Raises
    `UserError` for a weak key.
    """
    own_key.adopt()
    folders = os.environ.get("PATH", "").split(os.pathsep)
    kept = [folder for folder in folders if os.path.isabs(folder)]
    if kept and len(kept) != len(folders):
        os.environ["PATH"] = os.pathsep.join(kept)
