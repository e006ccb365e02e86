"""How one file is known again: by its signature, and by its content where that differs.

A signature is (mtime_ns, size, inode, ctime_ns); the ctime moves with every write, also where a tool sets the
mtime back, so an equal signature proves equal content. Where it differs the content decides: a touch costs a
hash, not a build. A signature of None is not trusted (the file was too young when it was recorded).

Knows of files alone, and imports nothing that costs start-up time.
"""

from __future__ import annotations

import os

from doit_cargo.engine.base import own_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    Stamp = tuple[int, int, int, int]
    Stamps = dict[str, Stamp | None]
    # What is kept of a file: its signature and its content; None, None of one that is not there.
    Kept = tuple[Stamp | None, bytes | None]
    # What is kept of a file that cargo or a toolchain made: mtime, size, inode.
    Mark = tuple[int, int, int]

# A file changed within one tick of the clock that stamps it may change again unseen (git calls it "racily clean").
TICK_NS = 50_000_000
COARSE_TICK_NS = 2_000_000_000
# stat.S_IFMT and what it tells; the module itself would cost the launcher an import.
KIND, REGULAR, DIRECTORY = 0o170000, 0o100000, 0o040000
BLOCK = 1 << 18
UNKNOWN = b"changed while it was read"


def signature(path: str) -> Stamp | None:
    """Return (mtime_ns, size, inode, ctime_ns) of what `path` leads to, or None if there is nothing."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns)


def settled(stamp: Stamp | None, now_ns: int) -> Stamp | None:
    """Return `stamp` if a later write must show in it, else None.

    Windows reports a creation time as ctime, so that nothing but the content proves anything there.
    """
    if stamp is None or os.name == "nt":
        return None
    return stamp if changed_before(stamp, now_ns) else None


def changed_before(stamp: Stamp, moment_ns: int) -> bool:
    """Tell whether the last write that `stamp` shows was surely before `moment_ns`."""
    changed = stamp[0] if os.name == "nt" else stamp[3]
    tick = COARSE_TICK_NS if changed % 1_000_000_000 == 0 else TICK_NS
    return changed + tick < moment_ns


def digest(path: str) -> bytes | None:
    """Return the BLAKE2b of a file, b"directory", or None where there is nothing to read.

    A pipe, socket or device is never read, since that may last for ever: of it cargo knows the time, and so do we.
    """
    try:
        found = os.stat(path)
        kind = found.st_mode & KIND
        if kind == DIRECTORY:
            return b"directory"
        if kind != REGULAR:
            return b"no file, of %d" % found.st_mtime_ns
        with open(path, "rb") as stream:
            made = own_key.blake2b(digest_size=16)
            while block := stream.read(BLOCK):
                made.update(block)
            return made.digest()
    except (OSError, ValueError):
        return None


def is_runnable(path: str, mode: int) -> bool:
    """Tell whether a program has its executable bit; libraries, pages and Windows need none."""
    return bool(mode & 0o111) or os.name == "nt" or path.endswith((".a", ".so", ".dylib", ".rlib", ".lib", ".html"))


def settle_all(stamps: Stamps, now_ns: int) -> Stamps:
    """Return `stamps` with those that are too young replaced by None."""
    return {path: settled(stamp, now_ns) for path, stamp in stamps.items()}
