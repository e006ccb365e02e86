"""A snapshot of what cargo keeps between builds, put into the empty target directory of another machine.

With the files goes the ledger, which knows from which contents each unit was made. So the next build sets the times of
equal sources back to those under which cargo has read them, and cargo finds its units fresh; what is not proven it
builds anew, as after any restored target directory. Compiled libraries hold paths, so that a snapshot fits only under
the same paths, and the processor's features only on the same processor.
"""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import socket
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.plain_text import one_line
from doit_cargo.engine.base.process.processes import environment_of
from doit_cargo.engine.base.tables import counted, size_of
from doit_cargo.engine.cargo import units
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import build_places
from doit_cargo.engine.execution.evidence import ledger_data
from doit_cargo.engine.execution.evidence.invalidation import Ledger
from doit_cargo.engine.execution.same_plan import plan_state_of
from doit_cargo.engine.state import lock, receipts, store
from doit_cargo.sharing import action, embedded, keys, machine, result, savings, settings, values, wire
from doit_cargo.sharing.carriers import Carrier
from doit_cargo.sharing.path_set import NotShared
from doit_cargo.sharing.patient import Store
from doit_cargo.sharing.result import File, SharedResult, UnsoundError
from doit_cargo.sharing.roots import Roots
from doit_cargo.sharing.wire import Digest

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Workspace
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.state.seen import Row
    from doit_cargo.sharing.action import Action
    from doit_cargo.sharing.share import Sharing

# What cargo keeps of a profile; programs it links into their places by itself.
PARTS = (units.FINGERPRINTS, "build", "deps", "examples")
INDEX = "snapshot"
MOST_INDEX = 1 << 28


class SnapshotRow(NamedTuple):
    """A file of a snapshot: its path below the build directory, and the time under which cargo knows it."""

    path: str
    blob: Digest
    is_executable: bool
    mtime: int


def run(sharing: Sharing, request: BuildRequest) -> None:
    """Publish a snapshot of what a target was built from where SHARE=write says so, else fetch the newest one."""
    workspace = build_places.of(request.plan, request.workspace, request.environ)
    with lock.RunLock(request.state), build_places.held(workspace.built_in):
        if request.variables.text("SHARE") == settings.WRITE:
            sharing.asked(
                sharing.settings.writes, lambda it: _publish(it, sharing, request, workspace), "not published"
            )
            return
        for address in sharing.settings.reads:
            if sharing.asked(address, lambda it: _take(it, sharing, request, workspace), "not fetched"):
                return


def _key(sharing: Sharing, request: BuildRequest) -> Action:
    """Return the key of the newest snapshot: that of the call, its places, and the processor."""
    roots = keys.roots_of(request, request.plan)
    first = sharing.first(request.plan, plan_state_of(request, request.plan), roots)
    return action.make([INDEX, first.digest.hash], machine.platform_of(), {**roots.folders, "cpu": machine.cpu()})


# --- publishing ------------------------------------------------------------------------------------------------------


def _publish(opened: Store, sharing: Sharing, request: BuildRequest, workspace: Workspace) -> None:
    receipt = receipts.load_receipt(request.state, request.key)
    profiles = sorted({units.profile_of_key(key) for key in receipt.get("observed", ())} if receipt else ())
    if receipt is None or not profiles:
        raise NotShared(f"it was not built here, or not observed: doit-cargo {request.target}")
    directory = workspace.kept_in
    found = _rows(directory, profiles)
    environ = environment_of(request.plan.invocation, request.environ)
    index = pack(found, _with_values(Ledger(directory).data, lambda name, kept: values.published(name, kept, environ)))
    secret = values.secret_values(request.environ)
    embedded.scan((os.path.join(directory, row.path) for row in found), (), Roots({}), secret)
    values.require_no_secret(zlib.decompress(index), secret, "what is known of its units")
    told = {
        "machine": socket.gethostname(),
        "finished": receipt["finished"],
        "seconds": receipt["seconds"],
        "passed": "",
    }
    key = _key(sharing, request)
    blobs = {Digest.of(index): index, Digest.of(b""): b""}
    told |= {"warnings": [], "packages": [], "features": []}
    answer = SharedResult(key.digest.hash, (File(INDEX, Digest.of(index), False),), Digest.of(b""), told)
    content = result.pack(answer, settings.signing_key())
    carrier = opened.slow
    sent = _upload(carrier, directory, found)
    action.keep_blobs(carrier, {**key.blobs, **blobs, Digest.of(content): content})
    carrier.keep_entry(key.digest, result.entry_of(answer, content))
    size = sum(row.blob.size for row in found)
    reporter.done(
        request.target, f"snapshot of {counted(len(found), 'file')}, {size_of(size)}; {size_of(sent)} of it are new"
    )


def _rows(directory: str, profiles: Iterable[str]) -> list[SnapshotRow]:
    """Return the files of some profile folders. Raises `NotShared` where they are laid out in another way."""
    found = []
    for profile in profiles:
        if not os.path.isdir(os.path.join(profile, units.FINGERPRINTS)):
            raise NotShared(f"{profile} is laid out in a way that is not known here")
        found += [_row(path, directory) for path in _files(profile)]
    return found


def _files(profile: str) -> Iterator[str]:
    for part in PARTS:
        for folder, _, names in os.walk(os.path.join(profile, part)):
            yield from (os.path.join(folder, name) for name in sorted(names))


def _row(path: str, directory: str) -> SnapshotRow:
    if os.path.islink(path):
        raise NotShared(f"{path} is a link")
    one = result.file_of(path, Roots({}))
    return SnapshotRow(os.path.relpath(path, directory), one.digest, one.is_executable, os.stat(path).st_mtime_ns)


def pack(found: Iterable[SnapshotRow], ledger: Mapping[str, object]) -> bytes:
    """Return what says how the files lie and what they were made from."""
    return zlib.compress(
        repr({"rows": [(*row.blob, *row[2:], row.path) for row in found], "ledger": dict(ledger)}).encode(), 1
    )


def _upload(carrier: Carrier, directory: str, found: Iterable[SnapshotRow]) -> int:
    """Keep all files that the store does not have; return their size. Raises `CarrierError` or OSError."""
    paths = {row.blob: row.path for row in found}
    missing = carrier.missing(paths)
    for blob in missing:
        with open(os.path.join(directory, paths[blob]), "rb") as stream:
            carrier.keep(blob, stream)
    return sum(blob.size for blob in missing)


# --- fetching --------------------------------------------------------------------------------------------------------


def _take(opened: Store, sharing: Sharing, request: BuildRequest, workspace: Workspace) -> bool:
    """Tell whether a snapshot was there; then it is in its place."""
    directory = workspace.kept_in
    _require_empty(directory)
    key = _key(sharing, request)
    content = opened.quick.entry(key.digest)
    answer = result.of_entry(opened.quick, content, key.digest, sharing.settings.keys) if content else None
    if answer is None:
        reporter.note(request.target, "nobody has published a snapshot for this call, these paths and this processor")
        return False
    index = action.small(opened.slow, answer.files[0].digest, MOST_INDEX) if len(answer.files) == 1 else None
    if index is None:
        raise UnsoundError("is there no more, or not whole")
    found, ledger = unpack(index)
    environ = environment_of(request.plan.invocation, request.environ)
    try:
        ledger = _with_values(ledger, lambda name, shared: values.taken(name, shared, environ))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UnsoundError("is none that can be read") from None
    _put(opened.slow, directory, found, ledger)
    ago = savings.time_of(max(time.time() - float(answer.told["finished"]), 0))
    size = size_of(sum(row.blob.size for row in found))
    text = f"warm: {counted(len(found), 'file')}, {size}, built by {answer.told['machine']} {ago} ago"
    reporter.done(request.target, f"{one_line(text)}; the next build compiles what differs from that")
    return True


def unpack(content: bytes) -> tuple[list[SnapshotRow], ledger_data.LedgerData]:
    """Return what `pack` was given: literals and nothing else. Raises `UnsoundError`."""
    try:
        data = ast.literal_eval(zlib.decompressobj().decompress(content, MOST_INDEX).decode())
        found = [
            SnapshotRow(str(path), Digest(name, size), flag is True, int(time))
            for name, size, flag, time, path in data["rows"]
        ]
        ledger: ledger_data.LedgerData = {**ledger_data.empty(""), **data["ledger"]}
        is_sound = all(_is_sound(row) for row in found)
    except (ValueError, SyntaxError, TypeError, KeyError, zlib.error, MemoryError, RecursionError):
        raise UnsoundError("is none that can be read") from None
    if not is_sound:
        raise UnsoundError("would write elsewhere")
    return found, ledger


def _with_values(ledger: ledger_data.LedgerData, turn: Callable[[str, str], str]) -> ledger_data.LedgerData:
    """Return a ledger with the kept values of all variables turned: a machine's own digests mean nothing elsewhere."""
    known: dict[int, Row] = {}

    def of(row: Row) -> Row:
        if id(row) not in known:
            kind, subject, state, own = row
            if kind == "variable":
                state = [kept and turn(subject, kept) for kept in state]
            elif kind == "environment":
                state = {name: kept and turn(name, kept) for name, kept in state.items()}
            known[id(row)] = [kind, subject, state, own]
        return known[id(row)]

    records = {
        key: (*record[:3], tuple((by, of(row)) for by, row in record[3]), *record[4:])
        for key, record in ledger["observed"].items()
    }
    return {**ledger, "observed": records}


def _is_sound(row: SnapshotRow) -> bool:
    words = row.path.split("/")
    inside = any(part in words[1:3] for part in PARTS) and not {"", ".", ".."} & set(words)
    return (
        inside
        and "\0" not in row.path
        and bool(row.path.encode())
        and wire.read_digest(wire.digest(row.blob)) == row.blob
        and 0 <= row.mtime < 1 << 62
    )


def _require_empty(directory: str) -> None:
    """Raise `NotShared` where something was built here already: cargo would not know which is whose."""
    if next(units.profiles(directory), None) or Ledger(directory).data["units"]:
        raise NotShared(f"{directory} holds a build already: doit-cargo clean, or go on with what is there")


def _put(carrier: Carrier, directory: str, found: Iterable[SnapshotRow], ledger: ledger_data.LedgerData) -> None:
    """Fetch all files, and put them into their places once all are whole. Raises `CarrierError`, OSError."""
    os.makedirs(directory, exist_ok=True)
    draft = tempfile.mkdtemp(prefix=".fetched-", dir=directory)
    try:
        folders = dict.fromkeys(_fetch(carrier, draft, row) for row in found)
        for folder in folders:
            os.makedirs(os.path.dirname(os.path.join(directory, folder)), exist_ok=True)
            atomic.put(os.path.join(draft, folder), os.path.join(directory, folder))
        place = Ledger(directory).path
        ledger["path"], ledger["open"] = place, False
        store.store(place, ledger)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(draft)


def _fetch(carrier: Carrier, draft: str, row: SnapshotRow) -> str:
    """Fetch a file; return the folder of cargo's in which it is."""
    path = os.path.join(draft, row.path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        if not carrier.fetch(row.blob, stream):
            raise UnsoundError("is there no more, or not whole")
    os.chmod(path, 0o755 if row.is_executable else 0o644)
    os.utime(path, ns=(row.mtime, row.mtime))
    if os.path.basename(path) == "output":  # of a build script, which may have left nothing else
        os.makedirs(os.path.join(os.path.dirname(path), "out"), exist_ok=True)
    words = row.path.split("/")
    return os.path.join(*words[: next(place for place, word in enumerate(words) if word in PARTS) + 1])
