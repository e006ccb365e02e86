"""How long a store may keep a build waiting: one deadline for all answers of a call, and then peace for five minutes.

The deadline is kept by a thread that is left behind: neither a server that trickles nor a resolver of names that is
silent lets itself be interrupted. It counts while this process gets its turns: on a machine that is too busy, or was
asleep, a store is not sick.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from doit_cargo.engine.base import atomic
from doit_cargo.sharing.carriers import CarrierError

SECONDS = 0.8
TURN = 0.02
PEACE = 300.0
FILE = "share.json"
T = TypeVar("T")


class Patience:
    """What is left of the time that a call gives to a store."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.left = seconds

    def ask(self, question: Callable[[], T]) -> T:
        """Return the answer to a question. Raises `CarrierError` where it takes too long."""
        box: list[Any] = []
        thread = threading.Thread(target=_answer, args=(question, box), daemon=True)
        thread.start()
        self._wait(thread)
        while not box and self.left > 0:
            self._wait(thread)
        if not box:
            raise CarrierError("does not answer")
        if isinstance(box[0], BaseException):
            raise box[0]
        found: T = box[0]
        return found

    def _wait(self, thread: threading.Thread) -> None:
        """Wait for a turn. One that takes longer than it should is no fault of the store: we did not run either."""
        started = time.monotonic()
        thread.join(TURN)
        self.left -= min(time.monotonic() - started, TURN)


def _answer(question: Callable[[], Any], box: list[Any]) -> None:
    try:
        box.append(question())
    except BaseException as error:  # noqa: BLE001 - raised again by whoever asked
        box.append(error)


def is_left_alone(state: str, address: str) -> bool:
    """Tell whether a store has failed within the last minutes."""
    return bool(_read(state).get(address, 0) > time.time())


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
