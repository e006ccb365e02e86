"""SINCE=COMMIT: only the members that changes since then can affect are built, checked, linted and tested."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from calling import Said, environment
from calling import forked_call as call
from conftest import make_workspace, needs_cargo, write

pytestmark = [needs_cargo, pytest.mark.skipif(shutil.which("git") is None, reason="git is not on PATH")]


def git(root: Path, *words: str) -> None:
    own = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *own, *words], cwd=root, env=environment(), check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """app -> low, tested -> low for its tests alone, and alone beside them; committed."""
    spec = {
        "low": {},
        "app": {"dependencies": {"low": ""}},
        "alone": {},
        "tested": {"dev-dependencies": {"low": ""}},
    }
    root = make_workspace(tmp_path / "ws", spec)
    write(root / "notes.md", "notes\n")
    call(root, "cargo", "metadata", "--format-version", "1", "--offline")
    write(root / ".gitignore", "target\n.doit-cargo\n.logs\n.testlogs\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def packages(root: Path, *words: str) -> list[str]:
    return list(json.loads(call(root, "doit-cargo", "plan", "--json", "check", *words).out)["packages"])


def test_an_edit_concerns_its_member_and_those_that_rest_on_it(root: Path) -> None:
    write(root / "low/src/lib.rs", "pub fn edited() {}\n")
    assert packages(root, "SINCE=HEAD") == ["low", "app", "tested"]
    git(root, "commit", "-qam", "second")
    write(root / "alone/src/new.rs", "")  # git does not know it yet
    assert packages(root, "SINCE=HEAD") == ["alone"]
    assert packages(root, "SINCE=HEAD~1") == ["low", "app", "alone", "tested"]
    said = call(root, "doit-cargo", "check", "SINCE=HEAD~1", "--explain")
    assert said.out == (
        "since HEAD~1: 4 affected\n"
        "  low     low/src/lib.rs changed\n"
        "  app     rests on low\n"
        "  alone   alone/src/new.rs changed\n"
        "  tested  rests on low\n"
    )


def test_what_git_tells_nothing_of_is_affected(root: Path) -> None:
    write(root / "elsewhere/far/Cargo.toml", '[package]\nname = "far"\n[dependencies]\ndeep = { path = "../deep" }\n')
    write(root / "elsewhere/deep/Cargo.toml", '[package]\nname = "deep"\n')
    for package in ("far", "deep"):
        write(root / "elsewhere" / package / "src/lib.rs", "")
    write(root / ".gitignore", (root / ".gitignore").read_text() + "elsewhere\n")
    manifest = (root / "alone/Cargo.toml").read_text().replace("[dependencies]\n", "")
    write(root / "alone/Cargo.toml", manifest + '[dependencies]\nfar = { path = "../elsewhere/far" }\n')
    write(
        root / "Cargo.toml",
        (root / "Cargo.toml").read_text().replace("[workspace]", '[workspace]\nexclude = ["elsewhere"]'),
    )
    call(root, "cargo", "metadata", "--format-version", "1", "--offline")
    git(root, "add", ".")
    git(root, "commit", "-qm", "second")
    said = call(root, "doit-cargo", "check", "SINCE=HEAD", "--explain")
    assert said.out.splitlines()[:2] == [
        "since HEAD: 1 affected",
        "  alone  rests on elsewhere/far, of which git tells nothing",
    ]
    git(root, "add", "-f", "elsewhere/far")
    git(root, "commit", "-qm", "third")
    said = call(root, "doit-cargo", "check", "SINCE=HEAD", "--explain")
    assert said.out.splitlines()[1:2] == ["  alone  rests on elsewhere/deep, of which git tells nothing"]
    git(root, "add", "-f", "elsewhere")
    git(root, "commit", "-qm", "fourth")
    assert "nothing to do" in call(root, "doit-cargo", "check", "SINCE=HEAD").err


@pytest.mark.parametrize("word", ["--skip-worktree", "--assume-unchanged"])
def test_a_file_that_git_was_told_not_to_look_at_counts_as_changed(root: Path, word: str) -> None:
    git(root, "update-index", word, "alone/src/lib.rs")
    assert packages(root, "SINCE=HEAD") == ["alone"]
    git(root, "update-index", "--no-skip-worktree", "alone/src/lib.rs")
    git(root, "update-index", "--no-assume-unchanged", "alone/src/lib.rs")
    git(root, "update-index", "--skip-worktree", "notes.md")
    (root / "notes.md").unlink()  # as in a sparse checkout
    assert "nothing to do" in call(root, "doit-cargo", "check", "SINCE=HEAD").err


def test_where_nothing_is_affected_nothing_runs_and_that_is_a_success(root: Path) -> None:
    said = call(root, "doit-cargo", "check", "SINCE=main")
    assert said == Said(0, "", "doit-cargo: nothing to do: no member is affected since main\n")
    write(root / "dodo.py", "from doit_cargo.api import DOIT_CONFIG, targets_of\n\ntargets = targets_of()\n")
    git(root, "add", "dodo.py")
    git(root, "commit", "-qm", "doit")
    assert call(root, "doit", "check", "SINCE=HEAD") == Said(0, "", said.err.replace("main", "HEAD"))
    assert not (root / "target").exists()


@pytest.mark.slow
def test_a_file_outside_of_members_concerns_all_until_builds_show_who_reads_it(root: Path) -> None:
    write(root / "notes.md", "other notes\n")
    assert packages(root, "SINCE=main") == ["low", "app", "alone", "tested"]
    write(root / "alone/src/lib.rs", 'pub const NOTES: &str = include_str!("../../notes.md");\n')
    git(root, "commit", "-qam", "second")
    assert call(root, "doit-cargo", "check").status == 0
    write(root / "notes.md", "more notes\n")
    assert packages(root, "SINCE=main") == ["alone"]
    write(root / "plan.md", "nobody reads this\n")
    out = call(root, "doit-cargo", "check", "SINCE=main", "--explain").out
    assert out.endswith("  alone  notes.md changed\n  nothing on record reads plan.md\n")


@pytest.mark.slow
def test_what_a_test_has_read_or_a_check_of_the_group_concerns_it(root: Path) -> None:
    reads = '#[test]\nfn t() {\n    assert!(std::fs::read_to_string("../notes.md").unwrap().contains("notes"));\n}\n'
    write(root / "alone/tests/it.rs", reads)
    write(root / "rustfmt.toml", "max_width = 100\n")
    call(root, "cargo", "fmt")
    git(root, "add", ".")
    git(root, "commit", "-qm", "second")
    write(root / "notes.md", "other notes\n")
    assert call(root, "doit-cargo", "check").status == 0
    assert len(affected(root, "test")) == 4, "of `test` nothing is on record: what it reads, nobody knows"
    assert call(root, "doit-cargo", "test", "fmt_check").status == 0
    assert affected(root, "test") == ["alone  notes.md changed"]
    assert affected(root, "check") == []
    write(root / "rustfmt.toml", "hard_tabs = true\n")
    assert len(affected(root, "fmt_check", "check")) == 4
    assert call(root, "doit-cargo", "check", "fmt_check", "SINCE=HEAD").status == 1
    assert call(root, "doit-cargo", "fmt_check", "SINCE=HEAD").err.startswith("doit-cargo: fmt_check takes no SINCE\n")


@pytest.mark.slow
def test_a_record_of_a_part_or_of_other_sources_says_nothing_of_the_whole(root: Path) -> None:
    write(root / "notes.md", "other notes\n")
    assert call(root, "doit-cargo", "check", "PACKAGE=low").status == 0
    assert len(affected(root, "check")) == 4, "only low was checked"
    assert call(root, "doit-cargo", "check", "FEATURES=").status == 0
    assert affected(root, "check") == []
    write(root / "app/src/lib.rs", 'pub const NOTES: &str = include_str!("../../notes.md");\n')
    git(root, "add", "app")
    git(root, "commit", "-qm", "app reads the notes, and nothing was checked since")
    assert len(affected(root, "check")) == 4, "what app reads now, no record tells"
    assert len(affected(root, "check", "ALL_FEATURES=1")) == 4


def affected(root: Path, *targets: str) -> list[str]:
    out = call(root, "doit-cargo", *targets, "SINCE=HEAD", "--explain").out
    return [line.strip() for line in out.splitlines()[1:] if "nothing on record reads" not in line]


def test_what_shapes_every_build_concerns_all(root: Path) -> None:
    write(root / "rust-toolchain.toml", '[toolchain]\nchannel = "stable"\n')
    assert len(packages(root, "SINCE=main")) == 4


@pytest.mark.slow
def test_only_what_is_affected_is_compiled(root: Path) -> None:
    write(root / "alone/src/lib.rs", "pub fn edited() {}\n")
    said = call(root, "doit-cargo", "check", "SINCE=main")
    assert (said.status, "compiled 1 of 1 package (alone)" in said.out) == (0, True)
    assert call(root, "doit-cargo", "check", "SINCE=main").out.startswith("-- check  up to date: 1 package, ")


WRONG = {
    "SINCE=nowhere": "doit-cargo: SINCE=nowhere: fatal: Not a valid object name nowhere\n  fix: name a commit ",
    "SINCE=--help": "doit-cargo: SINCE=--help is no name of a commit\n  fix: for example: SINCE=origin/main\n",
    "SINCE=main PACKAGE=low": "doit-cargo: SINCE and PACKAGE both choose packages\n  fix: leave one of them out\n",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_commit_is_told(root: Path, words: str) -> None:
    write(root / "low/src/lib.rs", "pub fn edited() {}\n")
    said = call(root, "doit-cargo", "check", *words.split())
    assert (said.status, said.out, said.err.startswith(WRONG[words])) == (3, "", True), said
