"""`plan` shows what will run for every target: cargo calls, actions, benches, own rows, each part of a group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from calling import forked_call as call
from conftest import make_workspace, needs_cargo, write

pytestmark = needs_cargo

PACK = """\
[target.docs]
doc = "Build the book."
run = ["git", "help", "--dest-dir", "out"]
cwd = "book"
outputs = ["book/out"]

[target.site]
doc = "All of it."
after = ["docs", "check", "bench", "clean", "test"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_workspace(tmp_path_factory.mktemp("plans"), {"app": {}, "low": {}})
    write(root / "profiles/pack.toml", PACK)
    write(root / "book/index.md", "")
    write(root / "app/benches/speed.rs", "fn main() {}\n")
    return root


def plans(site: Path, *words: str) -> dict[str, Any]:
    said = call(site, "doit-cargo", "plan", *words, "--json")
    assert said.status == 0, said
    found = json.loads(said.out)
    return {one["target"]: one for one in (found if isinstance(found, list) else [found])}


def calls(plan: dict[str, Any]) -> list[list[str]]:
    return [step["argv"] for step in plan["steps"]]


def test_each_part_of_a_group_is_shown(site: Path) -> None:
    found = plans(site, "site")
    assert list(found) == ["docs", "check", "bench", "clean", "test"]
    assert calls(found["docs"]) == [["git", "help", "--dest-dir", "out"]]
    assert (found["docs"]["steps"][0]["cwd"], found["docs"]["outputs"]) == (f"{site}/book", [f"{site}/book/out"])
    bench = ["cargo", "bench", "--profile", "bench", "--workspace", "--bench", "speed"]
    assert calls(found["bench"]) == [[*bench, "--no-run"], bench]
    assert (calls(found["clean"]), "decided as it runs" in found["clean"]["notes"][0]) == ([], True)
    assert calls(found["test"]) == [["cargo", "test", "--workspace"]]


def test_what_a_variable_changes_is_shown(site: Path) -> None:
    assert calls(plans(site, "test_low")["test_low"]) == [["cargo", "test", "--package", "low"]]
    assert calls(plans(site, "test_low", "WHOLE=1")["test_low"]) == [["cargo", "test", "--workspace"]]


def test_every_target_has_a_plan_or_says_why_not(site: Path) -> None:
    listed = json.loads(call(site, "doit-cargo", "list", "--json").out)
    for row in listed:
        if row["available"] and row["family"] in ("deps", "check", "size", "settings", "bench"):
            said = call(site, "doit-cargo", "plan", row["name"])
            assert (said.status, "Traceback" in said.err) == (0, False), (row["name"], said)
            assert "  run  " in said.out or "decided as it runs" in said.out, said
    assert call(site, "doit-cargo", "plan", "biuld").status == 3


def test_programs_of_one_name_in_one_place_are_said(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", {"one": {"bins": {"m": []}}, "two": {"bins": {"m": []}}, "low": {}})
    found = plans(root, "build_all")["build_all"]
    assert len([path for path in found["outputs"] if path.endswith("/m")]) == 1
    assert any(note.startswith("2 packages make a program named m (one, two) in one place") for note in found["notes"])
    assert plans(root, "build_one")["build_one"]["notes"] == []


@pytest.mark.parametrize("words", [("test_nextest",), ("test", "RUNNER=nextest")], ids=" ".join)
def test_who_runs_the_tests_is_shown(site: Path, words: tuple[str, ...]) -> None:
    found = plans(site, *words)[words[0]]
    assert (calls(found), found["needs"]) == ([["cargo", "test", "--workspace"]], {"cargo-nextest": ""})
    assert any("cargo-nextest runs what has not passed before" in note for note in found["notes"])
