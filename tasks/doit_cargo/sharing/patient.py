"""A store that is never waited for too long: each question and each transfer goes through the patience of a call.

Nothing else opens a store for a build, so that what is told as waited is all that sharing has waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from doit_cargo.sharing.carriers import Access, BlobSource, BlobTarget, Carrier, CarrierError, open_store
from doit_cargo.sharing.patience import GivenUpError, Patience, TransferMeter
from doit_cargo.sharing.wire import Digest

T = TypeVar("T")


class Wait(Protocol):
    """How something is waited for: `Patience.ask` or `Patience.follow`."""

    def __call__(self, work: Callable[[TransferMeter], T], size: int = 0, /) -> T: ...


class Store:
    """An open store. What `quick` is asked for has the time of the call; `slow` may take what it needs, and no pause.

    Both speak over one connection: once it was given up, what it was asked may still run in it, and nothing else may.
    """

    def __init__(self, address: str, access: Access, patience: Patience) -> None:
        self.patience = patience
        self.carrier = open_store(address, access)
        self.quick: Carrier = _Patient(self, patience.ask)
        self.slow: Carrier = _Patient(self, patience.follow)
        self._why = ""

    def wait(self, wait: Wait, work: Callable[[TransferMeter], T], size: int = 0) -> T:
        """Return what comes of some work with the carrier. Raises `CarrierError`."""
        if self._why:
            raise CarrierError(self._why)
        try:
            return wait(work, size)
        except GivenUpError as error:
            self._why = str(error)
            raise

    def close(self) -> None:
        self.carrier.close()


class _Patient:
    """A carrier as one waits for it."""

    def __init__(self, store: Store, wait: Wait) -> None:
        self._store, self._wait = store, wait

    def _do(self, work: Callable[[Carrier, TransferMeter], T], size: int = 0) -> T:
        return self._store.wait(self._wait, lambda meter: work(self._store.carrier, meter), size)

    def entry(self, action: Digest) -> bytes | None:
        return self._do(lambda it, _: it.entry(action))

    def keep_entry(self, action: Digest, content: bytes) -> None:
        self._do(lambda it, _: it.keep_entry(action, content), len(content))

    def fetch(self, blob: Digest, target: BlobTarget) -> bool:
        return self._do(lambda it, meter: it.fetch(blob, meter.writing(target)))

    def missing(self, blobs: Iterable[Digest]) -> list[Digest]:
        return self._do(lambda it, meter: it.missing(meter.each(blobs)))

    def keep(self, blob: Digest, source: BlobSource) -> None:
        self._do(lambda it, meter: it.keep(blob, meter.reading(source)), blob.size)

    def close(self) -> None:
        self._store.close()
