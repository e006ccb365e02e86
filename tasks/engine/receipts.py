"""What is kept between calls: receipts, the ledger of a target directory, the catalogue; and the lock of a run.

Every file is written whole (temporary file, then rename) behind a header with a checksum: a torn, foreign or
older file reads as "nothing known", never as an error. Readable with built-in modules alone, since the launcher
does so on every call. Knows nothing of what the contents mean.
"""

from __future__ import annotations

import marshal
import os
import sys
import zlib
from itertools import islice

from doit_cargo import __version__
from doit_cargo.engine.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.freshness import Change, Check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import FileIO
    from typing import Any

    Key = tuple[str, ...]
    Receipt = dict[str, Any]

STATE_DIRECTORY = ".doit-cargo"
# marshal's format belongs to one Python version, ours to one release of the format below.
HEADER = b"doit-cargo state 13, python %d.%d\n" % sys.version_info[:2]
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
    return (normalise(target), *(f"{name}={value}" for name, value in kept))


def receipt_path(state: str, key: Key) -> str:
    """Return where the receipt of `key` is kept."""
    words = "\0".join(key).encode("utf-8", "surrogateescape")
    return os.path.join(state, "receipts", f"{key[0]}-{zlib.crc32(words):08x}")


def load(path: str) -> object:
    """Return what `store` wrote, or None for anything else."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
        head = len(HEADER) + 4
        if not content.startswith(HEADER) or len(content) < head:
            return None
        payload = content[head:]
        if zlib.crc32(payload) != int.from_bytes(content[head - 4 : head], "big"):
            return None
        return marshal.loads(payload)  # noqa: S302 - checksummed, and it builds plain data only
    except (OSError, ValueError, EOFError, TypeError):
        return None


def store(path: str, data: object) -> None:
    """Write `data` so that a reader sees the old content or the new one, whatever happens. Raises OSError."""
    payload = marshal.dumps(data)  # type: ignore[arg-type]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}.new"
    try:
        with open(temporary, "wb") as stream:
            stream.write(HEADER + zlib.crc32(payload).to_bytes(4, "big") + payload)
        os.replace(temporary, path)
    except OSError:
        remove(temporary)
        raise


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
    """Make the state directory, invisible to git and to cargo's own file lists. Raises OSError."""
    os.makedirs(os.path.join(state, "receipts"), exist_ok=True)
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
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        remove(os.path.join(directory, name))


def verdict(
    state: str, key: Key, environ: Mapping[str, str], explain: bool = False
) -> tuple[Receipt | None, list[Change]]:
    """Return (receipt or None, changes): an empty list of changes is the proof that nothing needs to run.

    Without `explain` the walk ends at the first difference. After a failed or interrupted run the changes are
    those since the last success, after a first entry that says so.
    """
    receipt = load_receipt(state, key)
    if receipt is None:
        last = last_receipt(state, key) if explain else None
        if last is None:
            return None, [Change("run", key[0], "", "no successful run is on record")]
        failed = Change("run", key[0], "", "the last run did not end well; since the last success:")
        return None, [failed, *_changes(last, environ, explain)[0]]
    changes, refreshed = _changes(receipt, environ, explain)
    if refreshed and not changes:
        _renew(state, key, receipt)
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


def _renew(state: str, key: Key, receipt: Receipt) -> None:
    """Keep the signatures of a check that found equal contents, so that the next one needs no hashing."""
    try:
        store(receipt_path(state, key), receipt)
    except OSError:
        return  # only speed is lost


class RunLock:
    """One run at a time in a workspace; a second one waits and says for whom.

    The operating system drops the lock with the process, so a killed run blocks nobody. Written on `fcntl` and
    `msvcrt`: the filelock library costs 40 ms of imports, a quarter of what we may add to a build.
    """

    def __init__(self, state: str, own: str = "") -> None:
        """`own` is the name of a target that shares nothing with others: only its own runs wait for each other."""
        self.path = os.path.join(state, f"lock-{own}" if own else "lock")
        self.stream: FileIO

    def __enter__(self) -> RunLock:
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            if os.path.isdir(self.path):
                _remove_folder(self.path)
            self.stream = open(self.path, "a+b", buffering=0)
        except OSError as error:
            raise UserError(unwritable(self.path, error), COULD_NOT_RUN) from None
        if not self._try():
            self._refuse_ancestor()
            sys.stderr.write(f"waiting for another doit-cargo run in this workspace ({self._holder()})\n")
            sys.stderr.flush()
            self._wait()
        self._end_leftovers()
        self.sign()
        _held.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _held.remove(self)
        if os.name == "nt":
            import msvcrt

            self.stream.seek(4096)
            msvcrt.locking(self.stream.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
        self.stream.close()

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

    def _wait(self) -> None:
        import time

        while not self._try():
            time.sleep(0.05)

    def _holder(self) -> str:
        return self._said()[0] or "just started"

    def _said(self) -> list[str]:
        """Return the lines of the last holder: who it is, and what it is running."""
        try:
            with open(self.path, "rb") as stream:
                return stream.read(200).decode("utf-8", "replace").splitlines() or [""]
        except OSError:
            return [""]

    def sign(self, run: str = "") -> None:
        """Write down who holds the lock and what it runs ("run MARK SESSION", see `guard`)."""
        try:
            self.stream.seek(0)
            self.stream.truncate()
            self.stream.write(f"process {os.getpid()}\n{run}".rstrip().encode())
        except OSError:
            pass  # a courtesy; the lock holds without it

    def _end_leftovers(self) -> None:
        """End what a holder left running that was killed together with its guard."""
        words = self._said()[-1].split()
        if len(words) == 3 and words[0] == "run" and words[2].isdigit():
            from doit_cargo.engine import guard

            ended = guard.end(words[1], int(words[2]))
            if ended:
                sys.stderr.write(f"ended what a killed doit-cargo run had left: {', '.join(ended)}\n")

    def _refuse_ancestor(self) -> None:
        """Raise `UserError` if the holder waits, by way of what it runs, for this very process."""
        import time

        from doit_cargo.engine import guard

        holder = self._holder()
        if holder not in {f"process {pid}" for pid in guard.ancestors(os.getpid())}:
            return
        time.sleep(0.05)  # between two holders the name of the first is still there
        if holder == self._holder():
            what = f"this call waits for its own caller: {holder} runs it, and holds the lock of this workspace"
            fix = "a test, build script or target must not call doit-cargo in the workspace that it belongs to"
            raise UserError(Problem(what, fix), COULD_NOT_RUN)


_held: list[RunLock] = []


def note_run(run: str) -> None:
    """Let the locks that this process holds tell what it runs: the next holder ends that if we cannot."""
    for lock in _held:
        lock.sign(run)
