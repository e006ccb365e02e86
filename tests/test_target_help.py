"""help TARGET in both doors: what a target runs, takes, needs, rests on and leaves, and what may run beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import Said, small_workspace
from calling import forked_call as call
from conftest import needs_cargo

pytestmark = needs_cargo


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_workspace(tmp_path_factory.mktemp("help") / "workspace")


@pytest.mark.parametrize("door", ["doit-cargo", "doit"])
def test_a_cargo_target_tells_its_call_variables_and_outputs(root: Path, door: str) -> None:
    said = call(root, door, "help", "build")
    lines = said.out.splitlines()
    assert (said.status, said.err) == (0, "")
    assert lines[0].startswith("build  Build the whole workspace in release mode")
    heads = [line[2:12].strip() for line in lines[1:] if line[2:12].strip()]
    assert heads == [
        "make",
        "runs",
        "profile",
        "packages",
        "needs",
        "inputs",
        "outputs",
        "variables",
        "log",
        "beside it",
    ]
    assert "  runs       cargo build --release" in lines
    assert "  outputs    target/release/app" in lines
    assert any(line.startswith("  variables  JOBS=4 ") for line in lines)
    assert not (root / "target").exists()


def test_a_group_tells_its_parts(root: Path) -> None:
    said = call(root, "doit-cargo", "help", "ci-fast")
    assert "  parts      fmt_check: Check that all code is formatted, and name the files that are not." in said.out
    assert "  runs       all parts, whatever becomes of one" in said.out


def test_several_targets_are_told_one_after_the_other(root: Path) -> None:
    said = call(root, "doit-cargo", "help", "fmt", "version")
    assert [line.split()[0] for line in said.out.splitlines() if line[:1].strip()] == ["fmt", "version"]
    assert "  beside it  with -n, nothing: it changes what others use" in said.out


def test_a_word_that_is_also_doits_tells_both(root: Path) -> None:
    out = call(root, "doit", "help", "clean").out
    assert out.startswith("clean  Remove what cargo built")
    assert "doit clean [TASK ...]" in out
    assert call(root, "doit", "help", "why").out.startswith("PURPOSE")


def test_an_unknown_target_is_told_before_anything_is_printed(root: Path) -> None:
    said = call(root, "doit-cargo", "help", "build", "chek")
    assert (said.status, said.out, "did you mean 'check'?" in said.err) == (3, "", True)


def test_every_target_can_be_explained(root: Path) -> None:
    names = [line.split()[0] for line in call(root, "doit", "list", "-q").out.splitlines()]
    said = call(root, "doit-cargo", "help", *names)
    assert said.status == 0, said.err
    assert len([line for line in said.out.splitlines() if line[:1].strip()]) == len(names)
    assert said.err == ""


def test_help_runs_nothing(root: Path) -> None:
    assert call(root, "doit-cargo", "help", "dev") == call(root, "doit-cargo", "help", "dev")
    assert not (root / ".logs").exists()
    assert isinstance(call(root, "doit-cargo", "help"), Said)


def test_a_target_for_several_triples_tells_of_each(root: Path) -> None:
    lines = call(root, "doit-cargo", "help", "cross_matrix").out.splitlines()
    assert "  log        .logs/cross-matrix-TRIPLE.log" in lines
    assert "  inputs     each triple is skipped by itself, while nothing changed for it" in lines


def test_a_command_and_a_variable_are_explained_with_examples_from_here(root: Path) -> None:
    assert call(root, "doit-cargo", "help", "why").out == (
        "why  What makes a target stale, roots first; or that it is fresh.\n"
        "  usage      doit-cargo why TARGET... [VAR=value...] [--json]\n"
        "  options    --json  print JSON\n"
        "  example    doit-cargo why dev\n"
    )
    said = call(root, "doit-cargo", "help", "FEATURES").out.splitlines()
    assert said[:3] == [
        "FEATURES  Features to add to those of the profile; -NAME removes one.",
        "  example    doit-cargo dev FEATURES=fast",
        "  here       fast",
    ]
    wrong = call(root, "doit-cargo", "help", "FEATUERS")
    assert (wrong.status, "unknown variable 'FEATUERS'\n  fix: did you mean 'FEATURES'?" in wrong.err) == (3, True)


def test_help_behind_a_word_is_the_help_of_that_word(root: Path) -> None:
    for word in ("list", "build", "check-server"):
        assert call(root, "doit-cargo", word, "--help") == call(root, "doit-cargo", "help", word)
    assert call(root, "doit-cargo", "--help").out.startswith("usage: doit-cargo ")


@pytest.mark.parametrize("columns", ["60", "100"])
def test_help_fits_the_window(root: Path, columns: str) -> None:
    for word in ("build", "test", "list", "FEATURES", "ci"):
        said = call(root, "doit-cargo", "help", word, COLUMNS=columns)
        assert [line for line in said.out.splitlines() if len(line) >= int(columns)] == []
