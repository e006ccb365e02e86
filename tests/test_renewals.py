"""Signatures that a skip renews: only over the very receipt that it has read, never over what a run has withdrawn."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from calling import call, environment, posix, small_workspace
from conftest import needs_cargo
from doit_cargo.engine.state import receipts

pytestmark = [needs_cargo, posix, pytest.mark.slow]
KEY = ("dev",)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = small_workspace(tmp_path_factory.mktemp("renewals") / "ws")
    assert [call(root, "doit-cargo", "dev").status for _ in range(2)] == [0, 0]
    return root


def receipt_of(root: Path) -> Path:
    return Path(receipts.receipt_path(str(root / ".doit-cargo"), KEY))


def touch(root: Path) -> None:
    os.utime(root / "low/src/lib.rs")


def test_a_skip_renews_the_receipt_only_when_nobody_withdraws_one(root: Path) -> None:
    path = receipt_of(root)
    touch(root)
    before = path.read_bytes()
    with (root / ".doit-cargo/receipts.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said = call(root, "doit-cargo", "dev")
        assert (said.out.startswith("-- dev  up to date"), path.read_bytes() == before) == (True, True)
    call(root, "doit-cargo", "dev")
    assert path.read_bytes() != before


@pytest.mark.parametrize("then", ["gone", "another"])
def test_a_receipt_that_went_while_it_was_checked_is_not_brought_back(
    root: Path, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, path = str(root / ".doit-cargo"), receipt_of(root)
    content, look = path.read_bytes(), receipts._changes
    touch(root)

    def meanwhile(*asked: object) -> object:
        found = look(*asked)  # type: ignore[arg-type]
        receipts.withdraw(state, KEY)
        if then == "another":
            path.write_bytes(b"of another run")
        return found

    monkeypatch.setattr(receipts, "_changes", meanwhile)
    receipt, changes = receipts.verdict(state, KEY, environment())
    assert (receipt is not None, changes) == (True, [])
    assert (path.read_bytes() if path.exists() else None) == (b"of another run" if then == "another" else None)
    path.write_bytes(content)
