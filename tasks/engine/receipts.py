"""What is kept between calls: receipts, the ledger of a target directory, the catalogue; and the lock of a run.

Every file is written whole (temporary file, then rename) behind a header with a seal of the user's own key: a torn,
foreign or older file reads as "nothing known", never as an error. Readable with built-in modules alone, since the
launcher does so on every call. Knows nothing of what the contents mean.
"""

from __future__ import annotations

import marshal
import os
import sys
import zlib
from itertools import islice

from doit_cargo import __version__
from doit_cargo.engine import own_key, secrets
from doit_cargo.engine.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.freshness import Change, Check
from doit_cargo.engine.stamps import signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import FileIO
    from typing import Any, Self

    from doit_cargo.engine.stamps import Stamp

    Key = tuple[str, ...]
    Receipt = dict[str, Any]

STATE_DIRECTORY = ".doit-cargo"
# Held for the moment in which a receipt is withdrawn or renewed.
RECEIPTS_LOCK = "receipts.lock"
# marshal's format belongs to one Python version, ours to one release of the format below.
HEADER = b"doit-cargo state 14, python %d.%d\n" % sys.version_info[:2]
# Variables that change how a run looks or when it happens, but not what it makes.
RESULT_FREE = frozenset({"JOBS", "VERBOSE", "FORCE", "SCCACHE", "WITHOUT_PREFLIGHT", "NOCAPTURE", "REGISTRY", "YES"})


def state_directory(root: str, environ: Mapping[str, str]) -> str:
    """Return where the state of the workspace at `root` is kept: below it, or below $DOIT_CARGO_STATE."""
    elsewhere = environ.get("DOIT_CARGO_STATE")
    if not elsewhere:
        return os.path.join(root, STATE_DIRECTORY)
    return os.path.join(elsewhere, f"{os.path.basename(root)}-{zlib.crc32(os.fsencode(root)):08x}")


def find_root(start: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return (root, manifests passed): the nearest directory upwards that has a state, or an empty string.

    The caller must know each manifest passed on the way as a member: another one may be a workspace of its own.
    """
    directory = start
    passed: list[str] = []
    while True:
        if os.path.isdir(state_directory(directory, environ)):
            return directory, passed
        manifest = os.path.join(directory, "Cargo.toml")
        if os.path.exists(manifest):
            passed.append(manifest)
        parent = os.path.dirname(directory)
        if parent == directory:
            return "", passed
        directory = parent


def normalise(target: str) -> str:
    """Return the doit name of a target: make's `-` and doit's `_` are the same to us."""
    return target.replace("-", "_")


def key_of(target: str, variables: Mapping[str, str]) -> Key:
    """Return the words that name a result: the target and the variables that can change it."""
    kept = sorted((name, value) for name, value in variables.items() if name not in RESULT_FREE)
    return (normalise(target), *(f"{name}={secrets.kept(value)}" for name, value in kept))


def receipt_path(state: str, key: Key) -> str:
    """Return where the receipt of `key` is kept."""
    words = "\0".join(key).encode("utf-8", "surrogateescape")
    return os.path.join(state, "receipts", f"{key[0]}-{zlib.crc32(words):08x}")


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
    from doit_cargo.engine import private

    payload = marshal.dumps(data)  # type: ignore[arg-type]
    os.makedirs(os.path.dirname(path), mode=private.FOLDER_MODE, exist_ok=True)
    temporary = f"{path}.{os.getpid()}.new"
    try:
        with open(temporary, "wb", opener=private.opener) as stream:
            stream.write(HEADER + own_key.seal(HEADER, payload) + payload)
        os.replace(temporary, path)
    except OSError:
        remove(temporary)
        raise
    own_key.tell_trouble()


def remove(path: str) -> None:
    """Delete a file; that it is gone already is fine."""
    if os.path.lexists(path):
        os.unlink(path)


def load_receipt(state: str, key: Key) -> Receipt | None:
    """Return the receipt of the last success of `key`, or None."""
    return _receipt_at(receipt_path(state, key), state, key)


def _receipt_at(path: str, state: str, key: Key) -> Receipt | None:
    """Return a receipt that speaks of this key in this place: a copied checkout brings those of another one."""
    receipt = load(path)
    known = isinstance(receipt, dict) and receipt.get("key") == key and receipt.get("state") == state
    return receipt if known else None  # type: ignore[return-value]


def withdraw(state: str, key: Key) -> None:
    """Take the receipt away before a run, so that no failure can leave a true-looking one; keep it to explain.

    Raises `UserError` where the state cannot be written.
    """
    path = receipt_path(state, key)
    try:
        prepare(state)
        with FileLock(os.path.join(state, RECEIPTS_LOCK)):
            for name in (path, path + ".last"):
                if os.path.isdir(name):
                    _remove_folder(name)
            if os.path.exists(path):
                os.replace(path, path + ".last")
    except OSError as error:
        raise UserError(unwritable(state, error), COULD_NOT_RUN) from None


def _remove_folder(path: str) -> None:
    """Remove a folder that stands where only a file of ours belongs."""
    import shutil

    shutil.rmtree(path)


def last_receipt(state: str, key: Key) -> Receipt | None:
    """Return the receipt that the last run took away, or None: what `why` compares with after a failure."""
    return _receipt_at(receipt_path(state, key) + ".last", state, key)


def prepare(state: str) -> None:
    """Make the state directory, closed to others, invisible to git and to cargo's own file lists. Raises OSError."""
    from doit_cargo.engine import private

    private.folder(state)
    private.folder(os.path.join(state, "receipts"))
    ignore = os.path.join(state, ".gitignore")
    if not os.path.exists(ignore):
        with open(ignore, "w", encoding="utf-8") as stream:
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


def forget(state: str) -> None:
    """Drop all receipts (after a `clean`)."""
    directory = os.path.join(state, "receipts")
    if not os.path.isdir(directory):
        return
    with FileLock(os.path.join(state, RECEIPTS_LOCK)):
        for name in os.listdir(directory):
            remove(os.path.join(directory, name))


def verdict(
    state: str, key: Key, environ: Mapping[str, str], explain: bool = False
) -> tuple[Receipt | None, list[Change]]:
    """Return (receipt or None, changes): an empty list of changes is the proof that nothing needs to run.

    Without `explain` the walk ends at the first difference. After a failed or interrupted run the changes are
    those since the last success, after a first entry that says so.
    """
    read = signature(receipt_path(state, key))
    receipt = load_receipt(state, key)
    if receipt is None:
        last = last_receipt(state, key) if explain else None
        if last is None:
            return None, [Change("run", key[0], "", "no successful run is on record")]
        failed = Change("run", key[0], "", "the last run did not end well; since the last success:")
        return None, [failed, *_changes(last, environ, explain)[0]]
    changes, refreshed = _changes(receipt, environ, explain)
    if refreshed and not changes:
        _renew(state, key, receipt, read)
    return receipt, changes


def _changes(receipt: Receipt, environ: Mapping[str, str], explain: bool) -> tuple[list[Change], bool]:
    """Return what changed since a receipt (all of it to explain, else the first), and if signatures were renewed."""
    import time

    changes: list[Change] = []
    refreshed = False
    if receipt["version"] != __version__:
        changes.append(Change("argument", "doit-cargo version", receipt["version"], __version__))
    for part in receipt.get("parts", ("plan", "build")):
        if changes and not explain:
            break
        check = Check(receipt[part], environ, time.time_ns())
        known = {(change.kind, change.subject) for change in changes}
        new = (change for change in check.changes() if (change.kind, change.subject) not in known)
        changes += islice(new, None if explain else 1)
        refreshed = refreshed or check.refreshed
    return changes, refreshed


def plan_holds(receipt: Receipt, environ: Mapping[str, str]) -> bool:
    """Tell whether everything that shaped the plan of a receipt is as it was."""
    import time

    if receipt["version"] != __version__:
        return False
    return next(Check(receipt["plan"], environ, time.time_ns()).changes(), None) is None


def _renew(state: str, key: Key, receipt: Receipt, read: Stamp | None) -> None:
    """Keep the signatures of a check that found equal contents, so that the next one needs no hashing.

    Only over the very file that was read: a run may have withdrawn it meanwhile, and it must stay so.
    """
    path = receipt_path(state, key)
    lock = FileLock(os.path.join(state, RECEIPTS_LOCK))
    try:
        if lock.take():
            try:
                if signature(path) == read:
                    store(path, receipt)
            finally:
                lock.release()
    except OSError:
        return  # only speed is lost


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
            self.stream = open(self.path, "a+b", buffering=0)  # noqa: SIM115 - `release` closes it
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

        from doit_cargo.engine import guard

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
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            if os.path.isdir(self.path):
                _remove_folder(self.path)
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
            from doit_cargo.engine import guard

            ended = guard.end(words[1], int(words[2]))
            if ended:
                sys.stderr.write(f"ended what a killed doit-cargo run had left: {', '.join(ended)}\n")


_held: list[RunLock] = []


def note_run(run: str) -> None:
    """Let the locks that this process holds tell what it runs: the next holder ends that if we cannot."""
    for lock in _held:
        lock.sign(run=run)
