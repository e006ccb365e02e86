"""What an edit will cost, before it is built: from what the units of the workspace took before, with its error."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from calling import forked_call as call
from conftest import make_workspace, needs_cargo, write
from doit_cargo.engine.base.model import Invocation
from doit_cargo.engine.execution.past import estimate, unit_times

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
    assert re.search(
        r"^  rebuilds  low, app; 1 package skipped\n  takes     (?:a second or two|a few seconds|about)",
        said,
        re.MULTILINE,
    ), said
    found = why(root)
    assert (found["rebuilds"], 0 < float(str(found["seconds"])) < 60) == (["low", "app"], True)


def test_the_error_of_the_estimates_is_told_after_some_builds(root: Path) -> None:
    for number in range(3):
        write(root / "low/src/lib.rs", f"pub fn again_{number}() {{}}\n")
        assert call(root, "doit-cargo", "check").status == 0
    write(root / "low/src/lib.rs", "pub fn last() {}\n")
    said = call(root, "doit-cargo", "why", "check").out
    assert re.search(r"\(estimates here were off by \d+ % in the last [3-8] builds\)\n", said), said


@pytest.mark.parametrize(
    ("seconds", "error", "builds", "told"),
    [
        (1.2, 0.0, 1, "a second or two, most of it low"),
        (4.0, 60.0, 4, "a few seconds, most of it low (estimates here were off by 60 % in the last 4 builds)"),
        (4.0, 20.0, 4, "about 4.0 s, 3.0 s of it low (estimates here were off by 20 % in the last 4 builds)"),
        (40.0, 60.0, 4, "about 40 s, 3.0 s of it low (estimates here were off by 60 % in the last 4 builds)"),
    ],
)
def test_seconds_are_told_of_a_short_build_only_where_they_were_right(
    seconds: float, error: float, builds: int, told: str
) -> None:
    assert str(estimate.Estimate(seconds, seconds, "low", 3.0, error, builds)) == told


def test_a_package_without_a_record_gets_no_estimate(root: Path) -> None:
    (root / ".doit-cargo/unit-times").write_bytes(b"torn")
    write(root / "low/src/lib.rs", "pub fn nobody_knows() {}\n")
    assert why(root)["seconds"] == 0.0
    assert "takes" not in call(root, "doit-cargo", "why", "check").out
    assert call(root, "doit-cargo", "check").status == 0


def test_a_call_that_also_compiled_what_is_not_ours_tells_nothing_of_what_calls_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_times, "_span", lambda key: (key, "lib", 0.0, 1.0))
    plan: Any = SimpleNamespace(invocation=Invocation(("cargo", "check"), ""), cargo_profile="dev")
    request: Any = SimpleNamespace(state=str(tmp_path))
    made: Any = SimpleNamespace(fresh=False, keys=("low",))
    for others_are_fresh in (True, False):
        units = [SimpleNamespace(fresh=True, is_local=True), SimpleNamespace(fresh=others_are_fresh, is_local=False)]
        outcome: Any = SimpleNamespace(seconds=600.0, report=SimpleNamespace(units=units))
        estimate.learn(request, plan, outcome, [made], 5.0)
    known = unit_times.read(str(tmp_path), "check dev")
    assert (known["rest"], known["told"], known["again"]) == ([599.0], [(5.0, 600.0)], {"low": {"lib": (1.0, 1.0)}})
