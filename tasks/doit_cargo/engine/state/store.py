"""What is kept between calls, one file each: written whole behind a header with a seal of the user's own key.

A torn, foreign or older file reads as "nothing known", never as an error. Readable with built-in modules alone, since
the launcher does so on every call. Knows nothing of what the contents mean.
"""

from __future__ import annotations

import marshal
import os
import sys

from doit_cargo.engine.base import own_key
from doit_cargo.engine.base.errors import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

A_DAY = 86_400_000_000_000  # nanoseconds
STATE_DIRECTORY = ".doit-cargo"
# marshal's format belongs to one Python version, ours to one release of the format below.
HEADER = b"doit-cargo state 19, python %d.%d\n" % sys.version_info[:2]


def state_directory(root: str, environ: Mapping[str, str]) -> str:
    """Return where the state of the workspace at `root` is kept: below it, or below $DOIT_CARGO_STATE."""
    elsewhere = environ.get("DOIT_CARGO_STATE")
    if not elsewhere:
        return os.path.join(root, STATE_DIRECTORY)
    import zlib

    return os.path.join(elsewhere, f"{os.path.basename(root)}-{zlib.crc32(os.fsencode(root)):08x}")


def load(path: str) -> object:
    """Return what `store` wrote, or None for anything else."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
        if not content.startswith(HEADER):
            return None
        head = len(HEADER) + own_key.SEAL_SIZE
        payload = content[head:]
        if own_key.seal(HEADER, payload) != content[len(HEADER) : head]:
            return None
        return marshal.loads(payload)  # noqa: S302 - it sees only bytes that this user's own key has sealed
    except (OSError, ValueError, EOFError, TypeError):
        return None


def store(path: str, data: object) -> None:
    """Write `data` so that a reader sees the old content or the new one, whatever happens. Raises OSError."""
    from doit_cargo.engine.base import atomic

    payload = marshal.dumps(data)  # type: ignore[arg-type]
    atomic.write(path, HEADER + own_key.seal(HEADER, payload) + payload, closed=True)
    own_key.tell_trouble()


def remove(path: str) -> None:
    """Delete a file; that it is gone already is fine."""
    from doit_cargo.engine.base import atomic

    atomic.remove(path)


def used(path: str, since_ns: int) -> None:
    """Have a file count as young that is of use: `keep_newest` goes by times. Once a day is enough."""
    import time

    if time.time_ns() - since_ns > A_DAY:
        try:
            os.utime(path)
        except OSError:
            return  # only its age is lost


def keep_newest(folder: str, beginning: str, most: int) -> None:
    """Remove the oldest of the files whose names begin so, where there are more; losing one costs only time."""
    try:
        found = [entry for entry in os.scandir(folder) if entry.name.startswith(beginning) and entry.is_file()]
        if len(found) > most:
            for entry in sorted(found, key=lambda one: one.stat().st_mtime_ns)[:-most]:
                remove(entry.path)
    except OSError:
        return


def remove_folder(path: str) -> None:
    """Remove a folder that stands where only a file of ours belongs."""
    import shutil

    shutil.rmtree(path)


def prepare(state: str) -> None:
    """Make the state directory, closed to others, invisible to git and to cargo's own file lists. Raises OSError."""
    from doit_cargo.engine.base import private

    private.folder(state)
    private.folder(os.path.join(state, "receipts"))
    ignore = os.path.join(state, ".gitignore")
    if not os.path.exists(ignore):
        with open(ignore, "w", encoding="utf-8", opener=private.opener) as stream:
            stream.write("*\n")


ELSEWHERE = ", or set DOIT_CARGO_STATE to a folder that is"


def unwritable(place: str, error: OSError, otherwise: str = ELSEWHERE) -> Problem:
    """Return the problem of a directory that we must write to and cannot."""
    folder = os.path.dirname(place) if os.path.isfile(os.path.dirname(place)) else place
    if os.path.isfile(folder) and isinstance(error, (FileExistsError, NotADirectoryError)):
        return Problem("this is a file, and a folder is needed there", "move it away or remove it", folder)
    return Problem(
        f"cannot write to {place}: {error.strerror or error}",
        f"free some space or make it writable{otherwise}",
    )
