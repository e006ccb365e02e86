"""What is kept goes with what it describes, and what is of use does not grow old."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, cast

import pytest
from calling import Said, call, posix, small_workspace
from conftest import needs_cargo, write
from doit_cargo.engine.state import store

pytestmark = [needs_cargo, posix]

WITH, WITHOUT = "mod extra;\npub use extra::number;\n", "pub fn number() -> u32 {\n    3\n}\n"
DAY = 86_400
LONG_AGO = 1_500_000_000


def said(root: Path, target: str) -> Said:
    done = call(root, "doit-cargo", target, "WITHOUT_PREFLIGHT=1")
    assert done.status == 0, done.out + done.err
    return done


def extra(root: Path, number: int) -> None:
    """Write the module, with a time that is older than any build."""
    path = write(root / "low/src/extra.rs", f"pub fn number() -> u32 {{\n    {number}\n}}\n")
    os.utime(path, (LONG_AGO, LONG_AGO))


def known_files(root: Path) -> set[str]:
    data = cast("dict[str, Any]", store.load(str(root / "target/.doit-cargo.ledger")))
    return {os.path.basename(path) for path in data["files"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = small_workspace(tmp_path / "workspace")
    write(made / "app/src/bin/app.rs", 'fn main() {\n    println!("{}", low::number());\n}\n')
    write(made / "low/src/lib.rs", WITH)
    extra(made, 1)
    said(made, "dev")
    return made


def test_a_file_that_is_gone_is_forgotten_with_the_last_unit_that_was_made_from_it(root: Path) -> None:
    said(root, "build")
    assert "extra.rs" in known_files(root)
    (root / "low/src/extra.rs").unlink()
    write(root / "low/src/lib.rs", WITHOUT)
    said(root, "dev")
    assert "extra.rs" in known_files(root)  # the release build was made from it
    write(root / "low/src/lib.rs", WITH)
    extra(root, 2)
    said(root, "build")
    assert call(root, str(root / "target/release/app")).out == "2\n"
    (root / "low/src/extra.rs").unlink()
    write(root / "low/src/lib.rs", WITHOUT)
    said(root, "build")
    assert "extra.rs" not in known_files(root)


def test_a_receipt_that_is_of_use_is_as_old_as_its_last_use(root: Path) -> None:
    assert said(root, "dev").out.startswith("-- ")
    (receipt,) = (root / ".doit-cargo/receipts").glob("dev-*")
    now = time.time()
    for age, is_renewed in ((3 * DAY, True), (DAY / 2, False)):
        os.utime(receipt, (now - age, now - age))
        assert said(root, "dev").out.startswith("-- ")
        assert (receipt.stat().st_mtime > now - 60) == is_renewed
