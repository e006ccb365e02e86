"""Locks: one run at a time in a workspace, and what a waiting run tells of the one that it waits for.

The operating system drops a lock with its process. Knows nothing of what it guards.
"""

from __future__ import annotations

import os
import sys

from doit_cargo.engine.base import private
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.state.store import remove_folder, unwritable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO
    from typing import Self


class FileLock:
    """A lock of the operating system on one file: it goes with its process, so a killed run blocks nobody.

    Written on `fcntl` and `msvcrt`: the filelock library costs 40 ms of imports, a quarter of what we may add to a
    build. Raises OSError where the file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.stream: FileIO

    def __enter__(self) -> Self:
        if not self.take():
            self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self) -> bool:
        """Take the lock if nobody has it. A file that went while it was opened is no lock: others have the new one."""
        while True:
            self.stream = open(self.path, "a+b", buffering=0, opener=private.opener)  # noqa: SIM115 - `release` closes it
            if not self._try():
                self.stream.close()
                return False
            if self._is_there():
                return True
            self.stream.close()

    def wait(self) -> None:
        """Take the lock as soon as its holder ends."""
        import time

        while not self.take():
            time.sleep(0.05)

    def release(self) -> None:
        if os.name == "nt":
            import msvcrt

            self.stream.seek(4096)
            msvcrt.locking(self.stream.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
        self.stream.close()

    def holder(self) -> str:
        """Return what the holder has signed with."""
        return self.said()[0] or "just started"

    def said(self) -> list[str]:
        """Return the lines of the last holder: who it is, and what it is running."""
        try:
            with open(self.path, "rb") as stream:
                return stream.read(2000).decode("utf-8", "replace").splitlines() or [""]
        except OSError:
            return [""]

    def sign(self, more: str = "", run: str = "") -> None:
        """Say in the file who holds it and what it runs ("run MARK SESSION", see `guard`). A courtesy: the lock holds
        without it.
        """
        import contextlib

        with contextlib.suppress(OSError):
            self.stream.seek(0)
            self.stream.truncate()
            self.stream.write(f"process {os.getpid()}{more}\n{run}".rstrip().encode("utf-8", "surrogateescape"))

    def refuse_ancestor(self) -> None:
        """Raise `UserError` if the holder waits, by way of what it runs, for this very process."""
        import time

        from doit_cargo.engine.base.process import guard

        holder = self.holder()
        if holder.partition(",")[0] not in {f"process {pid}" for pid in guard.ancestors(os.getpid())}:
            return
        time.sleep(0.05)  # between two holders the name of the first is still there
        if holder == self.holder():
            what = f"this call waits for its own caller: {holder} runs it, and holds the lock of this workspace"
            fix = "a test, build script or target must not call doit-cargo in the workspace that it belongs to"
            raise UserError(Problem(what, fix), COULD_NOT_RUN)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self.stream.fileno()), os.stat(self.path))
        except OSError:
            return False

    def _try(self) -> bool:
        try:
            if os.name == "nt":
                import msvcrt

                self.stream.seek(4096)
                msvcrt.locking(self.stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            else:
                import fcntl

                fcntl.flock(self.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


class RunLock(FileLock):
    """One run at a time in a workspace; a second one waits and says for whom.

    It guards the state of the workspace; what is built, `build_places.held` guards, always after this one.
    """

    def __init__(self, state: str, own: str = "") -> None:
        """`own` is the name of a target that shares nothing with others: only its own runs wait for each other."""
        super().__init__(os.path.join(state, f"lock-{own}" if own else "lock"))

    def __enter__(self) -> Self:
        try:
            os.makedirs(os.path.dirname(self.path), mode=private.FOLDER_MODE, exist_ok=True)
            if os.path.isdir(self.path):
                remove_folder(self.path)
            if not self.take():
                self.refuse_ancestor()
                sys.stderr.write(f"waiting for another doit-cargo run in this workspace ({self.holder()})\n")
                sys.stderr.flush()
                self.wait()
        except OSError as error:
            raise UserError(unwritable(self.path, error), COULD_NOT_RUN) from None
        self._end_leftovers()
        self.sign()
        _held.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _held.remove(self)
        self.release()

    def _end_leftovers(self) -> None:
        """End what a holder left running that was killed together with its guard."""
        words = self.said()[-1].split()
        if len(words) == 3 and words[0] == "run" and words[2].isdigit():
            from doit_cargo.engine.base.process import guard

            ended = guard.end(words[1], int(words[2]))
            if ended:
                sys.stderr.write(f"ended what a killed doit-cargo run had left: {', '.join(ended)}\n")


_held: list[RunLock] = []


def note_run(run: str) -> None:
    """Let the locks that this process holds tell what it runs: the next holder ends that if we cannot."""
    for lock in _held:
        lock.sign(run=run)
