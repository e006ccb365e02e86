"""What is kept between calls: receipts, the ledger of a target directory, the catalogue; and the lock of a run.

Every file is written whole (temporary file, then rename) behind a header with a seal of the user's own key: a torn,
foreign or older file reads as "nothing known", never as an error. Readable with built-in modules alone, since the
launcher does so on every call. Knows nothing of what the contents mean.
"""

from __future__ import annotations

import os

from doit_cargo import __version__
from doit_cargo.engine.base import secrets
from doit_cargo.engine.base.errors import COULD_NOT_RUN, UserError
from doit_cargo.engine.base.own_key import blake2b
from doit_cargo.engine.state import store
from doit_cargo.engine.state.fingerprint import digest, settled, signature
from doit_cargo.engine.state.staleness import Change, Check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Literal, NotRequired, TypedDict

    from doit_cargo.engine.state.fingerprint import Stamp
    from doit_cargo.engine.state.lock import FileLock
    from doit_cargo.engine.state.staleness import State

    Key = tuple[str, ...]
    Part = Literal["plan", "build", "tests"]

    class StoredPlan(TypedDict):
        """A plan as plain data (see `plan.serialize`), so that the next run need not make it."""

        target: str
        profile: str
        # The fields of `model.Inputs`.
        inputs: tuple[Any, ...]
        packages: tuple[str, ...]
        features: tuple[str, ...]
        cargo_profile: str
        invocation: tuple[tuple[str, ...], str, dict[str, str], tuple[str, ...], tuple[str, ...]]
        outputs: tuple[str, ...]
        writes: tuple[str, ...]
        needs: dict[str, str]
        log: str
        files: tuple[str, ...]
        folders: tuple[str, ...]
        notes: tuple[str, ...]

    class TestProgram(TypedDict):
        """One process of `cargo test` (see `actions.testing.test_binaries.TestBinary`)."""

        package: str
        kind: str
        name: str
        path: str
        argv: tuple[str, ...]
        cwd: str
        env: Mapping[str, tuple[str | None, str]]
        libraries: tuple[str, ...]
        own_harness: bool

    class Meaning(TypedDict):
        """What cargo makes of texts that may differ and mean the same (see `execution.equivalence`)."""

        root: str
        command: str
        # Variables of which the text itself counts, and files of profiles that somebody reads besides.
        exact: tuple[str, ...]
        read: tuple[str, ...]
        profiles: tuple[str, ...]
        target: str
        toolchain: tuple[str, ...]
        # Cargo's home, and the digest of what its config says.
        home: tuple[str, bytes | None]
        # A manifest or config file -> the digest of what it says.
        tables: dict[str, bytes]

    class Receipt(TypedDict):
        """All that a success depended on, as it was before the run, and what there is to tell of it."""

        key: Key
        # The state directory that it was written for: another place inherits nothing.
        state: str
        version: str
        # Variables that change the argument list and not the result.
        cosmetic_options: tuple[str, ...]
        # None where the plan must be made anew, or holds a secret.
        stored_plan: StoredPlan | None
        plan: State
        build: State
        # Local packages that took part, package -> those that it rests on, and file -> packages that it belongs to.
        packages: tuple[str, ...]
        graph: Mapping[str, tuple[str, ...]]
        owners: Mapping[str, tuple[str, ...]]
        manifests: tuple[str, ...]
        warnings: tuple[str, ...]
        seconds: float
        finished: float
        log: str
        features: tuple[str, ...]
        outputs: tuple[str, ...]
        # Of tests: the programs, what they rest on, what to say of a skip, and which states must hold.
        programs: NotRequired[tuple[TestProgram, ...]]
        tests: NotRequired[State]
        passed: NotRequired[str]
        # What a target printed that is asked for just that.
        answer: NotRequired[str]
        parts: NotRequired[tuple[Part, ...]]
        # Keys of the units of the call, and what of them was not observed.
        observed: NotRequired[tuple[str, ...]]
        unseen: NotRequired[tuple[str, ...]]
        meaning: NotRequired[Meaning | None]

    Alike = Callable[[Receipt, Change, Mapping[str, str]], bool]


# Held for the moment in which a receipt is withdrawn or renewed.
RECEIPTS_LOCK = "receipts.lock"
# The parts of a receipt that rest on what cargo makes of a text, and not on the text.
MEANT = ("plan", "build")
# The names of targets that were up to date, and how many bytes of them are kept.
SKIPS, MOST_SKIPS = "skips", 200_000
# So many results of one target are kept, each of other variables.
MOST_RESULTS = 64
# Variables that name a set.
SETS = ("FEATURES", "PACKAGE")
# Variables that change how a run looks or when it happens, but not what it makes.
RESULT_FREE = frozenset(
    {"JOBS", "VERBOSE", "FORCE", "SCCACHE", "OBSERVE", "WITHOUT_PREFLIGHT", "NOCAPTURE", "REGISTRY", "SHARE", "YES"}
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
    """Return the words that name a result: the target and the variables that can change it; an empty one is none."""
    given = ((name, value) for name, value in variables.items() if value and name not in RESULT_FREE)
    kept = sorted((name, _in_order(name, value)) for name, value in given)
    return (normalise(target), *(f"{name}={secrets.kept(value)}" for name, value in kept))


def _in_order(name: str, value: str) -> str:
    """Return a list of which the order means nothing in one order; where something is taken away it may mean much."""
    words = value.replace(",", " ").split()
    in_any_order = name in SETS and not any(word.startswith("-") for word in words)
    return ",".join(sorted(set(words))) if in_any_order else value


def receipt_path(state: str, key: Key) -> str:
    """Return where the receipt of `key` is kept."""
    words = "\0".join(key).encode("utf-8", "surrogateescape")
    return os.path.join(state, "receipts", f"{key[0]}-{blake2b(words, digest_size=4).hexdigest()}")


def load_receipt(state: str, key: Key) -> Receipt | None:
    """Return the receipt of the last success of `key`, or None."""
    return _receipt_at(receipt_path(state, key), state, key)


def _receipt_at(path: str, state: str, key: Key) -> Receipt | None:
    """Return a receipt that speaks of this key in this place: a copied checkout brings those of another one."""
    receipt = store.load(path)
    known = isinstance(receipt, dict) and receipt.get("key") == key and receipt.get("state") == state
    return receipt if known else None  # type: ignore[return-value]


def keep(receipt: Receipt) -> None:
    """Keep a success, and let go of the oldest results of other variables. Raises OSError.

    The receipt that the run had put aside explains nothing more.
    """
    path = receipt_path(receipt["state"], receipt["key"])
    store.store(path, receipt)
    store.remove(path + ".last")
    store.keep_newest(os.path.dirname(path), f"{receipt['key'][0]}-", MOST_RESULTS)


def _lock(state: str) -> FileLock:
    """Return the lock of the receipts; a plain skip takes none, and loads nothing for one."""
    from doit_cargo.engine.state.lock import FileLock

    return FileLock(os.path.join(state, RECEIPTS_LOCK))


def withdraw(state: str, key: Key) -> None:
    """Take the receipt away before a run, so that no failure can leave a true-looking one; keep it to explain.

    Raises `UserError` where the state cannot be written.
    """
    from doit_cargo.engine.base import atomic

    path = receipt_path(state, key)
    try:
        store.prepare(state)
        with _lock(state):
            for name in (path, path + ".last"):
                if os.path.isdir(name):
                    store.remove_folder(name)
            if os.path.exists(path):
                atomic.put(path, path + ".last")
    except OSError as error:
        raise UserError(store.unwritable(state, error), COULD_NOT_RUN) from None


def last_receipt(state: str, key: Key) -> Receipt | None:
    """Return the receipt that the last run took away, or None: what `why` compares with after a failure."""
    return _receipt_at(receipt_path(state, key) + ".last", state, key)


def every(state: str) -> Iterator[tuple[str, Receipt]]:
    """Yield (path, receipt) of all that is kept, also of those that a run has put aside (PATH.last)."""
    directory = os.path.join(state, "receipts")
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        path = os.path.join(directory, name)
        found = store.load(path)
        if isinstance(found, dict) and found.get("state") == state and "key" in found:
            yield path, found  # type: ignore[misc]


def last_successes(state: str) -> Iterator[Receipt]:
    """Yield the last success of each result; one that failed since has only its withdrawn receipt."""
    found = dict(every(state))
    yield from (one for path, one in found.items() if path.removesuffix(".last") not in found or path[-5:] != ".last")


def forget_target(state: str, target: str) -> None:
    """Drop the receipts of a target, with whatever variables it was called."""
    directory = os.path.join(state, "receipts")
    if not os.path.isdir(directory):
        return
    with _lock(state):
        for name in os.listdir(directory):
            if name.removesuffix(".last").rpartition("-")[0] == target:
                store.remove(os.path.join(directory, name))


def forget(state: str) -> None:
    """Drop all receipts (after a `clean`)."""
    directory = os.path.join(state, "receipts")
    if not os.path.isdir(directory):
        return
    with _lock(state):
        for name in os.listdir(directory):
            store.remove(os.path.join(directory, name))


def verdict(
    state: str, key: Key, environ: Mapping[str, str], explain: bool = False, alike: Alike | None = None
) -> tuple[Receipt | None, list[Change]]:
    """Return (receipt or None, changes): an empty list of changes is the proof that nothing needs to run.

    `alike` tells of a difference whether it means the same. Without `explain` the walk ends at the first one. After a
    failed or interrupted run the changes are those since the last success, after a first entry that says so.
    """
    read = signature(receipt_path(state, key))
    receipt = load_receipt(state, key)
    if receipt is None:
        last = last_receipt(state, key) if explain else None
        if last is None:
            return None, [Change("run", key[0], "", "no successful run is on record")]
        failed = Change("run", key[0], "", "the last run did not end well; since the last success:")
        return None, [failed, *_changes(last, environ, explain, alike)[0]]
    changes, refreshed = _changes(receipt, environ, explain, alike)
    if refreshed and not changes:
        _renew(state, key, receipt, read)
    elif read and not changes:
        store.used(receipt_path(state, key), read[0])
    return receipt, changes


def _changes(
    receipt: Receipt, environ: Mapping[str, str], explain: bool, alike: Alike | None
) -> tuple[list[Change], bool]:
    """Return what changed since a receipt (all of it to explain, else the first), and if signatures were renewed."""
    import time

    changes: list[Change] = []
    refreshed = False
    if receipt["version"] != __version__:
        changes.append(Change("argument", "doit-cargo version", receipt["version"], __version__))
    parts: tuple[Part, ...] = receipt.get("parts", ("plan", "build"))
    for part in parts:
        if changes and not explain:
            break
        check = Check(receipt[part], environ, time.time_ns())
        known = {(change.kind, change.subject) for change in changes}
        found = _differences(check, receipt, alike) if alike and part in MEANT else check.changes()
        new = (change for change in found if (change.kind, change.subject) not in known)
        changes += new if explain else [change for change in (next(new, None),) if change]
        refreshed = refreshed or check.refreshed
    return changes, refreshed


def _differences(check: Check, receipt: Receipt, alike: Alike) -> Iterator[Change]:
    """Yield the changes that are no mere change of text; a file that says the same is known from now on."""
    for change in check.changes():
        if change.kind != "file":
            if not alike(receipt, change, check.environ):
                yield change
            continue
        stamp, content = signature(change.subject), digest(change.subject)
        if not alike(receipt, change, check.environ) or signature(change.subject) != stamp:
            yield change
            continue
        check.state["files"][change.subject] = (settled(stamp, check.now), content)
        check.refreshed = True


def is_of_profiles(receipt: Receipt, change: Change) -> bool:
    """Tell whether a change is one of a folder of profiles: the plan may still be the same."""
    return change.kind in ("file", "listing") and is_in_profiles(receipt, change.subject)


def is_in_profiles(receipt: Receipt, path: str) -> bool:
    """Tell whether a path is a folder of profiles, which need not be there yet, or lies in one."""
    plan = receipt.get("stored_plan")
    places = tuple(plan["folders"]) if plan else ()
    return path in places or path.startswith(tuple(os.path.join(place, "") for place in places))


def renew(state: str, key: Key, old: Receipt, new: Receipt) -> None:
    """Put a receipt in the place of an old one, which no run may have withdrawn or replaced meanwhile."""
    held = _lock(state)
    try:
        if held.take():
            try:
                now = load_receipt(state, key)
                if now and now["finished"] == old["finished"]:
                    store.store(receipt_path(state, key), new)
            finally:
                held.release()
    except OSError:
        return  # only speed is lost


def note_skip(receipt: Receipt) -> None:
    """Remember that a target was up to date: one short line, written as it is. It costs a call some microseconds."""
    import time

    try:
        place = os.open(os.path.join(receipt["state"], SKIPS), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        return
    try:
        if os.fstat(place).st_size < 2 * MOST_SKIPS:
            os.write(place, b"%.0f %s %.2f\n" % (time.time(), os.fsencode(receipt["key"][0]), receipt["seconds"]))
    except OSError:
        pass
    os.close(place)


def plan_holds(receipt: Receipt, environ: Mapping[str, str]) -> bool:
    """Tell whether everything that shaped the plan of a receipt is as it was, and what files alone make programs of."""
    import time

    made = receipt["build"]["trees"] if "build" in receipt else {}
    programs = {path: tree for path, tree in made.items() if tree[0][:1] in (("only",), ("targets",))}
    plan: State = {**receipt["plan"], "trees": {**receipt["plan"]["trees"], **programs}}
    return receipt["version"] == __version__ and next(Check(plan, environ, time.time_ns()).changes(), None) is None


def _renew(state: str, key: Key, receipt: Receipt, read: Stamp | None) -> None:
    """Keep the signatures of a check that found equal contents: the next one needs no hashing. Only over the very file
    that was read: a run may have withdrawn it meanwhile, and it must stay so.
    """
    path = receipt_path(state, key)
    held = _lock(state)
    try:
        if held.take():
            try:
                if signature(path) == read:
                    store.store(path, receipt)
            finally:
                held.release()
    except OSError:
        return  # only speed is lost
