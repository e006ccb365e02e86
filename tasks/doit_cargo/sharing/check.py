"""Whether a store answers, how fast, and whether it keeps what is written: asked with a blob of nothing but a name."""

from __future__ import annotations

import io
import os
import time
from typing import NamedTuple, TypeGuard

from doit_cargo.engine.base import own_key
from doit_cargo.sharing import action, settings, values
from doit_cargo.sharing.carriers import Carrier, CarrierError, open_store
from doit_cargo.sharing.carriers.folder import Folder
from doit_cargo.sharing.patience import Patience
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
            return f"{self.store}: {self.trouble}" + ("" if self.answers else f" ({self.seconds:.1f} s)")
        return f"{self.store}: answers in {self.seconds * 1000:.0f} ms; {self.writes}"


def of(address: str, found: ShareSettings) -> Said:
    """Ask a store for something that it does not have, and have it keep a few bytes where we may write."""
    started = time.monotonic()
    store = settings.shown(address)
    carrier: Carrier | None = None
    try:
        carrier = open_store(address, settings.access(address, found))
        if _is_absent(carrier):
            if why := carrier.absence():
                raise CarrierError(f"is not there, and cannot be made: {why}")
            if found.writes != address:
                return Said(store, True, time.monotonic() - started, "", "is not there; who publishes first makes it")
        asked = carrier
        Patience(5).ask(lambda: asked.entry(action.make(["check"], {}, {}).digest))
        seconds = time.monotonic() - started
        return Said(store, True, seconds, _write(carrier) if found.writes == address else "read only, as configured")
    except CarrierError as error:
        return Said(store, False, time.monotonic() - started, "", str(error))
    finally:
        if carrier:
            carrier.close()


def of_secret() -> list[str]:
    """Return what it costs that machines have no secret in common."""
    if own_key.given_secret(values.SECRET):
        return []
    cost = "what rests on a variable whose value may be secret is not shared; a build script with a shell rests on all"
    return [f"{values.SECRET} is not set: {cost} that [share] ignore does not name"]


def _is_absent(carrier: Carrier) -> TypeGuard[Folder]:
    return isinstance(carrier, Folder) and not os.path.isdir(carrier.root)


def _write(carrier: Carrier) -> str:
    blob, kept = Digest.of(PROBE), io.BytesIO()
    try:
        carrier.keep(blob, io.BytesIO(PROBE))
        return "keeps what is written" if carrier.fetch(blob, kept) else "does not keep what is written"
    except CarrierError as error:
        return f"does not let us write: it {error}"
