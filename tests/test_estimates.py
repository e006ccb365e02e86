"""What an edit will cost, before it is built: from what the units of the workspace took before, with its error."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from calling import call
from conftest import make_workspace, needs_cargo, write

pytestmark = [pytest.mark.slow, needs_cargo]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """app -> low, and alone beside them: built, then built again after an edit of low."""
    spec = {"low": {}, "app": {"dependencies": {"low": ""}}, "alone": {}}
    root = make_workspace(tmp_path_factory.mktemp("estimates") / "ws", spec)
    for text in ("pub fn one() {}\n", "pub fn two() {}\n", "pub fn three() {}\n"):
        write(root / "low/src/lib.rs", text)
        assert call(root, "doit-cargo", "check").status == 0
    return root


def why(root: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(call(root, "doit-cargo", "why", "check", "--json").out)
    return found


def test_why_says_what_an_edit_will_cost_from_times_on_record(root: Path) -> None:
    write(root / "low/src/lib.rs", "pub fn edited() {}\n")
    said = call(root, "doit-cargo", "why", "check").out
    assert re.search(r"^  rebuilds  low, app; 1 package skipped\n  takes     about [\d.]+ s", said, re.MULTILINE), said
    found = why(root)
    assert (found["rebuilds"], 0 < float(str(found["seconds"])) < 60) == (["low", "app"], True)


def test_the_error_of_the_estimates_is_told_after_some_builds(root: Path) -> None:
    for number in range(3):
        write(root / "low/src/lib.rs", f"pub fn again_{number}() {{}}\n")
        assert call(root, "doit-cargo", "check").status == 0
    write(root / "low/src/lib.rs", "pub fn last() {}\n")
    said = call(root, "doit-cargo", "why", "check").out
    assert re.search(r"\(estimates here were off by \d+ % in the last [3-8] builds\)\n", said), said


def test_a_package_without_a_record_gets_no_estimate(root: Path) -> None:
    (root / ".doit-cargo/unit-times").write_bytes(b"torn")
    write(root / "low/src/lib.rs", "pub fn nobody_knows() {}\n")
    assert why(root)["seconds"] == 0.0
    assert "takes" not in call(root, "doit-cargo", "why", "check").out
    assert call(root, "doit-cargo", "check").status == 0
