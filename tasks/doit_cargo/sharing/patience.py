"""How long a store may keep a build waiting: so long for all answers of a call, a pause within a transfer, then peace.

Whatever is asked runs in a thread that is left behind when it takes too long: neither a server that trickles, nor a
folder that hangs, nor a silent resolver of names lets itself be interrupted. What was waited is counted in turns of
this process and told, so that no other clock is needed: on a machine that is too busy, or was asleep, a store is not
sick.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from doit_cargo.engine.base import atomic
from doit_cargo.sharing.carriers import BlobSource, BlobTarget, CarrierError

# For all answers of a call together, and where a person has asked for them.
SECONDS, OF_A_PERSON = 0.8, 5.0
# A transfer may pause so long, and after that must have moved so much a second.
IDLE_SECONDS, LEAST_RATE = 3.0, 16_000
# Who has got a file may read it once more, so fast, before it says that it is kept.
READ_AGAIN_RATE = 50_000_000
TURN = 0.02
PEACE = 300.0
FILE = "share.json"
T = TypeVar("T")


class GivenUpError(CarrierError):
    """A store that took too long; what it was asked may still run."""


class TransferMeter:
    """The pauses that a transfer has earned by what it moved, in seconds."""

    def __init__(self) -> None:
        self.earned = 0.0
        self.bytes = 0

    def writing(self, target: BlobTarget) -> BlobTarget:
        """Return a file that counts what is written to it."""
        return _CountedTarget(self, target)

    def reading(self, source: BlobSource) -> BlobSource:
        """Return a file that counts what is read from it."""
        return _CountedSource(self, source)

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Yield what is asked for one by one: each answer earns a whole pause."""
        for item in items:
            self.earned += IDLE_SECONDS
            yield item

    def moved(self, count: int) -> None:
        self.bytes += count
        self.earned += count / LEAST_RATE


class _CountedTarget:
    def __init__(self, meter: TransferMeter, target: BlobTarget) -> None:
        self.meter, self.target = meter, target

    def write(self, chunk: bytes, /) -> int:
        self.meter.moved(len(chunk))
        return self.target.write(chunk)


class _CountedSource:
    def __init__(self, meter: TransferMeter, source: BlobSource) -> None:
        self.meter, self.source = meter, source

    def read(self, size: int = -1, /) -> bytes:
        chunk = self.source.read(size)
        self.meter.moved(len(chunk))
        return chunk


class Patience:
    """What is left of the time that a call gives to a store, and what it has waited in all."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.left = seconds
        self.waited = 0.0

    def ask(self, question: Callable[[TransferMeter], T], size: int = 0) -> T:
        """Return the answer to a question, of whatever size. Raises `GivenUpError` where no time is left."""
        del size
        box = _started(question, TransferMeter())
        while not box:
            self.left -= self._turn(box)
            if not box and self.left <= 0:
                raise GivenUpError("does not answer")
        return box.opened()

    def follow(self, transfer: Callable[[TransferMeter], T], size: int = 0) -> T:
        """Do what takes its time, for a file of a size. Raises `GivenUpError` where it stands still, or trickles."""
        meter, whole = TransferMeter(), IDLE_SECONDS + size / READ_AGAIN_RATE
        box = _started(transfer, meter)
        left, known, paused, before = whole, 0.0, 0.0, 0
        while not box:
            passed, earned = self._turn(box), meter.earned
            left, known, paused = min(left - passed + earned - known, whole), earned, paused + passed
            if left == whole:
                paused, before = 0.0, meter.bytes
            if not box and left <= 0:
                rate = (meter.bytes - before) / paused / 1000
                raise GivenUpError(f"sends only {rate:.1f} kB a second" if rate else "does not answer")
        return box.opened()

    def _turn(self, box: _Box[T]) -> float:
        """Wait for a turn; return what of it counts. A longer one is no fault of the store: we did not run either."""
        started = time.monotonic()
        box.ended.wait(TURN)
        passed = min(time.monotonic() - started, TURN)
        self.waited += passed
        return passed


class _Box(Generic[T]):
    """What comes of work in a thread: nothing yet, an answer, or what it raised."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.answers: list[T] = []
        self.raised: BaseException | None = None

    def __bool__(self) -> bool:
        return self.ended.is_set()

    def opened(self) -> T:
        """Return the answer, or raise what was raised."""
        if self.raised is not None:
            raise self.raised
        return self.answers[0]


def _started(work: Callable[[TransferMeter], T], meter: TransferMeter) -> _Box[T]:
    box = _Box[T]()
    threading.Thread(target=_do, args=(work, meter, box), daemon=True).start()
    return box


def _do(work: Callable[[TransferMeter], T], meter: TransferMeter, box: _Box[T]) -> None:
    try:
        box.answers.append(work(meter))
    except BaseException as error:  # noqa: BLE001 - raised again by whoever asked
        box.raised = error
    finally:
        box.ended.set()


def is_left_alone(state: str, address: str) -> bool:
    """Tell whether a store has failed within the last minutes. A moment far ahead was written under another clock."""
    return 0 < _read(state).get(address, 0) - time.time() <= PEACE


def leave_alone(state: str, address: str) -> None:
    """Ask a store nothing for a while."""
    try:
        atomic.write(os.path.join(state, FILE), json.dumps({**_read(state), address: time.time() + PEACE}))
    except OSError:
        return


def _read(state: str) -> dict[str, float]:
    try:
        with open(os.path.join(state, FILE), encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return {}
    known = isinstance(found, dict) and all(isinstance(until, float) for until in found.values())
    return found if known else {}
