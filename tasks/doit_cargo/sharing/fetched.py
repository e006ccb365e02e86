"""A result on its way in: its files beside their places, checked, and put there all at once, with a receipt.

The receipt says what is proven: the inputs are those of the result, and the outputs are its own. It says nothing of
what cargo keeps between builds, so that the next edit has cargo compile what it has not compiled here.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo import __version__
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.tables import size_of
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import build_places
from doit_cargo.engine.execution.evidence import recorder
from doit_cargo.engine.execution.execute import stored
from doit_cargo.engine.state import receipts
from doit_cargo.sharing import action, savings
from doit_cargo.sharing.carriers import Carrier, WrongContentError
from doit_cargo.sharing.result import MOST_BYTES, File, SharedResult, UnsoundError
from doit_cargo.sharing.roots import umask

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.staleness import State


# How the receipt of tests begins to tell what has passed.
PASSED = "passed before: "


class Fetched(NamedTuple):
    """A result whose files lie beside their places. `state` is what it rests on, as it is here."""

    answer: SharedResult
    drafts: Mapping[str, str]
    log: bytes
    state: State

    @classmethod
    def download(cls, carrier: Carrier, answer: SharedResult, places: Mapping[File, str], state: State) -> Fetched:
        """Fetch all files of a result. Raises `CarrierError`, `UnsoundError` or OSError, with nothing left behind."""
        drafts: dict[str, str] = {}
        try:
            for one, path in places.items():
                drafts[path] = _draft(carrier, one, path)
            log = action.small(carrier, answer.log) if answer.log.size <= MOST_BYTES else b""
            return cls(answer, drafts, log or b"", state)
        except WrongContentError as error:
            _remove(drafts)
            raise UnsoundError(str(error)) from None
        except BaseException:
            _remove(drafts)
            raise

    def discard(self) -> None:
        """Remove what has not got its place."""
        _remove(self.drafts)


def _draft(carrier: Carrier, one: File, path: str) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix=".fetched-", dir=os.path.dirname(path))
    try:
        with open(descriptor, "wb") as stream:
            if not carrier.fetch(one.digest, stream):
                raise UnsoundError("is there no more, or not whole")
        os.chmod(draft, (0o777 if one.is_executable else 0o666) & ~umask())
    except BaseException:
        atomic.remove(draft)
        raise
    return draft


def _remove(drafts: Mapping[str, str]) -> None:
    for draft in drafts.values():
        with contextlib.suppress(OSError):
            atomic.remove(draft)


def take(found: Fetched, request: BuildRequest, plan: Plan, state: State) -> str:
    """Put a result into its place and keep its receipt; return what is told of it. Raises OSError or `UserError`."""
    places = build_places.of(plan, request.workspace, request.environ)
    with build_places.held(places.built_in):
        receipts.withdraw(request.state, request.key)
        for path, draft in found.drafts.items():
            atomic.put(draft, path)
        with contextlib.suppress(OSError):
            atomic.write(plan.log, found.log)
        receipt = _receipt(found, request, plan, state)
        receipts.keep(receipt)
    reporter.repeat(receipt["warnings"])
    size = sum(map(os.path.getsize, found.drafts))
    savings.remember(request.state, request.target, float(found.answer.told["seconds"]), size)
    return _text(found, size)


def _receipt(found: Fetched, request: BuildRequest, plan: Plan, state: State) -> Receipt:
    told, now = found.answer.told, time.time_ns()
    build = found.state
    written = {path: recorder.read_settled_or_hash(path, now) for path in found.drafts}
    # Of a program it counts whether it can be run, of a page, a wheel or what a plan leaves elsewhere only its content.
    left = {path for path in written if path in plan.writes or not os.access(path, os.X_OK)}
    build["outputs"] = {path: kept for path, kept in written.items() if path not in left}
    build["left"] = {path: kept for path, kept in written.items() if path in left}
    receipt: Receipt = {
        "key": request.key,
        "state": request.state,
        "cosmetic_options": request.cosmetic_options,
        "stored_plan": stored(plan),
        "version": __version__,
        "plan": state,
        "build": build,
        "meaning": None,
        "packages": tuple(map(str, told["packages"])),
        "graph": {},
        # Empty: the ledger would take what belongs to a package as seen by the cargo of this target directory.
        "owners": {},
        "observed": (),
        "unseen": (),
        "manifests": tuple(package.manifest for package in request.workspace.packages.values()),
        "warnings": tuple(map(str, told["warnings"])),
        "seconds": float(told["seconds"]),
        "finished": time.time(),
        "log": plan.log,
        "features": plan.features,
        "outputs": tuple(build["outputs"]),
    }
    if told["passed"]:
        receipt["passed"] = str(told["passed"])
    return receipt


def _text(found: Fetched, size: int) -> str:
    told, count = found.answer.told, len(found.drafts)
    ago = savings.time_of(max(time.time() - float(told["finished"]), 0))
    done = "passed on" if told["passed"] else "built by"
    files = f"{count} file{'' if count == 1 else 's'} {size_of(size)}" if count else "it passes"
    came = str(told["passed"]).removeprefix(PASSED) or files
    return f"fetched, {done} {told['machine']} {ago} ago in {savings.time_of(float(told['seconds']))}; {came}"
