"""Files written whole: whatever happens, a reader sees the old content or the new one. Knows nothing of contents."""

from __future__ import annotations

import errno
import os

from doit_cargo.engine.base import private


def write(
    path: str,
    content: str | bytes,
    *,
    closed: bool = False,
    mode: int = 0,
    durable: bool = False,
    makes_folder: bool = True,
) -> None:
    """Write a file, and make the folder that it is in where there is none. Raises OSError, with nothing left behind.

    `closed`: to others, folder and file, as always in our own folders. Else a file that is there keeps its permissions,
    unless `mode` gives others. A link stays, and what it leads to is written. What is no ordinary file is never
    replaced. `durable`: on the disk before it has its name.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileExistsError(errno.EEXIST, "this is no ordinary file, which could be replaced", path)
    if os.path.islink(path):
        path = os.path.realpath(path)
    closed = closed or private.is_ours(path)
    folder = os.path.dirname(path)
    if folder and makes_folder:
        os.makedirs(folder, mode=private.FOLDER_MODE if closed else 0o777, exist_ok=True)
    draft = f"{path}.{os.getpid()}.new"
    try:
        with open(draft, "wb", opener=private.opener if closed else None) as stream:
            stream.write(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        if mode or (not closed and os.path.exists(path)):
            os.chmod(draft, mode or os.stat(path).st_mode & 0o7777)
        os.replace(draft, path)
    except BaseException:
        remove(draft)
        raise


def put(draft: str, path: str) -> None:
    """Give a file that is finished its name, in the place of one that has it. Raises OSError."""
    os.replace(draft, path)


def remove(path: str) -> None:
    """Delete a file; that it is gone already is fine."""
    if os.path.lexists(path):
        os.unlink(path)
