"""What is kept between calls: receipts, the ledger of a target directory, the catalogue; and the lock of a run.

Every file is written whole (temporary file, then rename) behind a header with a seal of the user's own key: a torn,
foreign or older file reads as "nothing known", never as an error. Readable with built-in modules alone, since the
launcher does so on every call. Knows nothing of what the contents mean.
"""

from __future__ import annotations

import os
import zlib
from itertools import islice

from doit_cargo import __version__
from doit_cargo.engine.base import secrets
from doit_cargo.engine.base.errors import COULD_NOT_RUN, UserError
from doit_cargo.engine.state import lock, store
from doit_cargo.engine.state.fingerprint import signature
from doit_cargo.engine.state.staleness import Change, Check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from doit_cargo.engine.state.fingerprint import Stamp

    Key = tuple[str, ...]
    Receipt = dict[str, Any]

# Held for the moment in which a receipt is withdrawn or renewed.
RECEIPTS_LOCK = "receipts.lock"
# Variables that change how a run looks or when it happens, but not what it makes.
RESULT_FREE = frozenset(
    {"JOBS", "VERBOSE", "FORCE", "SCCACHE", "OBSERVE", "WITHOUT_PREFLIGHT", "NOCAPTURE", "REGISTRY", "YES"}
)


def find_root(start: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return (root, manifests passed): the nearest directory upwards that has a state, or an empty string.

    The caller must know each manifest passed on the way as a member: another one may be a workspace of its own.
    """
    directory = start
    passed: list[str] = []
    while True:
        if os.path.isdir(store.state_directory(directory, environ)):
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


def load_receipt(state: str, key: Key) -> Receipt | None:
    """Return the receipt of the last success of `key`, or None."""
    return _receipt_at(receipt_path(state, key), state, key)


def _receipt_at(path: str, state: str, key: Key) -> Receipt | None:
    """Return a receipt that speaks of this key in this place: a copied checkout brings those of another one."""
    receipt = store.load(path)
    known = isinstance(receipt, dict) and receipt.get("key") == key and receipt.get("state") == state
    return receipt if known else None  # type: ignore[return-value]


def withdraw(state: str, key: Key) -> None:
    """Take the receipt away before a run, so that no failure can leave a true-looking one; keep it to explain.

    Raises `UserError` where the state cannot be written.
    """
    path = receipt_path(state, key)
    try:
        store.prepare(state)
        with lock.FileLock(os.path.join(state, RECEIPTS_LOCK)):
            for name in (path, path + ".last"):
                if os.path.isdir(name):
                    store.remove_folder(name)
            if os.path.exists(path):
                os.replace(path, path + ".last")
    except OSError as error:
        raise UserError(store.unwritable(state, error), COULD_NOT_RUN) from None


def last_receipt(state: str, key: Key) -> Receipt | None:
    """Return the receipt that the last run took away, or None: what `why` compares with after a failure."""
    return _receipt_at(receipt_path(state, key) + ".last", state, key)


def forget(state: str) -> None:
    """Drop all receipts (after a `clean`)."""
    directory = os.path.join(state, "receipts")
    if not os.path.isdir(directory):
        return
    with lock.FileLock(os.path.join(state, RECEIPTS_LOCK)):
        for name in os.listdir(directory):
            store.remove(os.path.join(directory, name))


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
    held = lock.FileLock(os.path.join(state, RECEIPTS_LOCK))
    try:
        if held.take():
            try:
                if signature(path) == read:
                    store.store(path, receipt)
            finally:
                held.release()
    except OSError:
        return  # only speed is lost
