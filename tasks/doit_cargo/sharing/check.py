"""Whether a store answers, how fast, and whether it keeps what is written: asked with a blob of nothing but a name."""

from __future__ import annotations

import io
import os
import time
from typing import NamedTuple

from doit_cargo.engine.base import own_key
from doit_cargo.sharing import action, settings, values
from doit_cargo.sharing.carriers import Carrier, CarrierError
from doit_cargo.sharing.carriers.folder import Folder
from doit_cargo.sharing.patience import OF_A_PERSON, Patience
from doit_cargo.sharing.patient import Store
from doit_cargo.sharing.settings import ShareSettings
from doit_cargo.sharing.wire import Digest

PROBE = b"doit-cargo share check"


class Said(NamedTuple):
    """What a store did."""

    store: str
    answers: bool
    seconds: float
    writes: str
    trouble: str = ""

    def __str__(self) -> str:
        if self.trouble:
            return f"{self.store}: {self.trouble}" + ("" if self.answers else f" (waited {self.seconds:.1f} s)")
        return f"{self.store}: answers in {self.seconds * 1000:.0f} ms; {self.writes}"


def of(address: str, found: ShareSettings) -> Said:
    """Ask a store for something that it does not have, and have it keep a few bytes where we may write."""
    name, patience = settings.shown(address), Patience(OF_A_PERSON)
    writes = found.writes == address
    store: Store | None = None
    try:
        store = Store(address, settings.access(address, found), patience)
        if absent := _absence(store, writes):
            return Said(name, True, patience.waited, "", absent)
        started = time.monotonic()
        store.quick.entry(action.make(["check"], {}, {}).digest)
        seconds = time.monotonic() - started
        return Said(name, True, seconds, _write(store.slow) if writes else "read only, as configured")
    except CarrierError as error:
        return Said(name, False, patience.waited, "", str(error))
    finally:
        if store:
            store.close()


def of_secret() -> list[str]:
    """Return what it costs that machines have no secret in common."""
    if own_key.given_secret(values.SECRET):
        return []
    cost = "what rests on a variable whose value may be secret is not shared; a build script with a shell rests on all"
    return [f"{values.SECRET} is not set: {cost} that [share] ignore does not name"]


def _absence(store: Store, writes: bool) -> str:
    """Return what is said of a folder that is not there yet. Raises `CarrierError` where it cannot be made either."""
    carrier = store.carrier
    if not isinstance(carrier, Folder) or store.wait(store.patience.ask, lambda _: os.path.isdir(carrier.root)):
        return ""
    if why := store.wait(store.patience.ask, lambda _: carrier.absence()):
        raise CarrierError(f"is not there, and cannot be made: {why}")
    return "" if writes else "is not there; who publishes first makes it"


def _write(carrier: Carrier) -> str:
    blob, kept = Digest.of(PROBE), io.BytesIO()
    try:
        carrier.keep(blob, io.BytesIO(PROBE))
        return "keeps what is written" if carrier.fetch(blob, kept) else "does not keep what is written"
    except CarrierError as error:
        return f"does not let us write: it {error}"
