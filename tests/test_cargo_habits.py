"""Cargo's words on the command line of doit-cargo: understood as variables and targets, or answered with a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import forked_call as call
from calling import small_workspace
from conftest import needs_cargo

pytestmark = needs_cargo


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_workspace(tmp_path_factory.mktemp("habits") / "workspace")


UNDERSTOOD = {
    "check -p app": "check PACKAGE=app",
    "check -papp --package=low": "check PACKAGE=app,low",
    "check --workspace": "check PACKAGE=all",
    "test --release": "test PROFILE=release",
    "check --features fast -F app/fast -p app": "check FEATURES=fast,app/fast PACKAGE=app",
    "check --all-features -vv -j2": "check ALL_FEATURES=1 VERBOSE=1 JOBS=2",
    "check --target x86_64-unknown-linux-gnu": "check TARGET=x86_64-unknown-linux-gnu",
    "fmt --check": "fmt_check",
    "doc --open": "doc_open",
    "clippy --fix": "lint_fix",
    "test -- --nocapture name other": "test NOCAPTURE=1 TEST=name,other",
    "test --lib": "test_quick",
}


@pytest.mark.parametrize("line", UNDERSTOOD)
def test_cargos_words_are_understood_and_it_is_said_how(root: Path, line: str) -> None:
    own = UNDERSTOOD[line]
    before, dashes, behind = line.partition(" -- ")
    said = call(
        root, "doit-cargo", *before.split(), "--dry-run", *(f"--{dashes[3:]} {behind}".split() if dashes else [])
    )
    expected = call(root, "doit-cargo", "plan", *own.split())
    assert (said.status, said.out) == (expected.status, expected.out)
    assert said.err == f".. as: doit-cargo plan {own}\n{expected.err}"


def test_cargos_names_of_targets_are_ours(root: Path) -> None:
    for word, target in (("clippy", "lint"), ("c", "check"), ("b", "dev"), ("tree", "deps_tree")):
        assert call(root, "doit-cargo", "plan", word) == call(root, "doit-cargo", "plan", target)


def test_release_says_nothing_new_where_a_target_is_optimised(root: Path) -> None:
    assert (
        call(root, "doit-cargo", "build", "--release", "--dry-run").out == call(root, "doit-cargo", "plan", "build").out
    )


def test_commands_that_take_variables_take_cargos_words_too(root: Path) -> None:
    argv = json.loads(call(root, "doit-cargo", "plan", "--json", "check", "-p", "low").out)["steps"][0]["argv"]
    assert argv == ["cargo", "check", "--package", "low"]


def test_a_toolchain_is_handed_to_rustup(root: Path) -> None:
    said = call(root, "doit-cargo", "+no-such-one", "check")
    assert (said.status, "toolchain no-such-one is not installed" in said.err) == (2, True), said.err


ANSWERED = {
    "check --offline": "--offline is a word of cargo's that doit-cargo does not take\n  fix: CARGO_NET_OFFLINE=true ",
    "build --bin app": "--bin is a word of cargo's that doit-cargo does not take\n  fix: all programs of a package ",
    "test -- --ignored": "--ignored is an option of the test programs that doit-cargo does not pass on\n  fix: the ",
    "check -p": "-p needs a value\n  fix: for example: PACKAGE=...",
    "run": "run is for the pack mistralrs; this workspace uses base\n  fix: doit-cargo dev builds the programs",
    "install": "install is no target here\n  fix: doit-cargo build, then copy the program",
}


@pytest.mark.parametrize("line", ANSWERED)
def test_what_has_no_counterpart_is_answered_with_what_to_type(root: Path, line: str) -> None:
    said = call(root, "doit-cargo", *line.split())
    assert (said.status, said.out) == (3, "")
    assert said.err.startswith(f"doit-cargo: {ANSWERED[line]}")
