"""lint, lint_fix and doc: warnings are errors, what changed is linted, and no uncommitted work is lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from calling import DODO, Said, small_workspace
from calling import forked_call as call
from conftest import needs_cargo, write

pytestmark = [pytest.mark.slow, needs_cargo]

CLEAN = "/// Adds.\npub fn add(a: u32, b: u32, c: u32) -> u32 {\n    a + b + c\n}\n"
FIXABLE = "pub fn f() -> u32 {\n    return 1;\n}\n"
FIXED = "pub fn f() -> u32 {\n    1\n}\n"


@pytest.fixture(scope="module")
def linted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that lint has passed once, and doc."""
    root = small_workspace(tmp_path_factory.mktemp("linted") / "workspace")
    write(root / "low/src/lib.rs", CLEAN)
    write(root / "app/examples/shown.rs", "fn main() {}\n")
    assert call(root, "doit-cargo", "lint", "doc").status == 0
    return root


@pytest.fixture
def root(linted: Path) -> Path:
    """The same, fresh; a clippy.toml of a test before is gone."""
    write(linted / "low/src/lib.rs", CLEAN)
    (linted / "clippy.toml").unlink(missing_ok=True)
    assert call(linted, "doit-cargo", "lint", "doc").status == 0
    return linted


def last(said: Said) -> str:
    return (said.out.splitlines() or [""])[-1]


def test_what_was_linted_is_skipped_examples_included(root: Path) -> None:
    assert last(call(root, "doit-cargo", "lint")).startswith("-- lint  up to date: 2 packages, ")


def test_a_warning_fails_and_is_told_again_until_it_is_gone(root: Path) -> None:
    write(root / "low/src/lib.rs", FIXABLE)
    for _ in range(2):
        said = call(root, "doit-cargo", "lint")
        assert (said.status, "unneeded `return` statement" in said.err) == (1, True)
    write(root / "low/src/lib.rs", FIXED)
    assert call(root, "doit-cargo", "lint").status == 0


def test_an_edit_of_a_leaf_lints_it_and_what_rests_on_it(root: Path) -> None:
    write(root / "app/src/lib.rs", "pub fn g() {}\n")
    assert "compiled 1 of 2 packages (app)" in last(call(root, "doit-cargo", "lint"))


def test_a_clippy_toml_counts_as_soon_as_it_appears(root: Path) -> None:
    write(root / "clippy.toml", "too-many-arguments-threshold = 2\n")
    said = call(root, "doit-cargo", "lint")
    assert (said.status, "this function has too many arguments (3/2)" in said.err) == (1, True)
    write(root / "clippy.toml", "too-many-arguments-threshold = 9\n")
    assert call(root, "doit-cargo", "lint").status == 0
    assert last(call(root, "doit-cargo", "lint")).startswith("-- lint")


def test_documentation_is_built_again_after_an_edit_or_a_loss(root: Path) -> None:
    page = root / "target/doc/low/index.html"
    assert last(call(root, "doit-cargo", "doc")).startswith("-- doc  up to date: ")
    write(root / "low/src/lib.rs", "//! Of a new text.\n" + CLEAN)
    assert last(call(root, "doit-cargo", "doc")).startswith("ok doc")
    assert "Of a new text." in page.read_text()
    page.unlink()
    assert (call(root, "doit-cargo", "doc").status, page.exists()) == (0, True)


def test_documentation_is_opened_in_the_browser_that_there_is(root: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    browser = write(tmp_path / "browser", f'#!/bin/sh\necho "$1" > "{seen}"\n')
    browser.chmod(0o755)
    said = call(root, "doit-cargo", "doc_open", "PACKAGE=low", BROWSER=f"{browser} %s")
    address = f"file://{root}/target/doc/low/index.html"
    assert (said.status, last(said), seen.read_text()) == (0, f"ok doc_open  {address}", f"{address}\n")
    assert call(root, "doit-cargo", "doc_open", "PACKAGE=lo").status == 3


# --- corrections -----------------------------------------------------------------------------------------------------


def git(root: Path, *words: str) -> None:
    settings = ("-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *settings, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def fixable(tmp_path: Path) -> Path:
    """A workspace in git, with what clippy and ruff can correct."""
    root = small_workspace(tmp_path / "workspace")
    write(root / "low/src/lib.rs", FIXABLE)
    write(root / "tool.py", "import os\n\nprint(1)\n")
    write(root / ".gitignore", "/target\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "all")
    return root


def test_a_clean_tree_is_corrected_and_the_changes_are_named(fixable: Path) -> None:
    said = call(fixable, "doit-cargo", "lint_fix")
    assert said.status == 0, said.err
    assert (fixable / "low/src/lib.rs").read_text() == FIXED
    assert (fixable / "tool.py").read_text().strip() == "print(1)"
    assert (fixable / "dodo.py").read_text() == DODO
    assert [line for line in said.out.splitlines() if "corrected " in line] == [
        ".. lint_fix  corrected low/src/lib.rs",
        ".. lint_fix  corrected tool.py",
    ]
    assert last(said) == "ok lint_fix  2 files corrected; what is left: doit-cargo lint"


def test_uncommitted_work_is_refused_or_kept(fixable: Path) -> None:
    write(fixable / "new.py", "import os\n")
    mine = FIXABLE + "// Mine.\n"
    write(fixable / "low/src/lib.rs", mine)
    said = call(fixable, "doit-cargo", "lint_fix")
    assert said == Said(
        2,
        "",
        "!! lint_fix  lint_fix changes sources; 2 files not committed yet: "
        "low/src/lib.rs, new.py\n"
        "  fix: commit or stash them, or YES=1: copies are kept then\n",
    )
    assert (fixable / "low/src/lib.rs").read_text() == mine
    done = call(fixable, "doit-cargo", "lint_fix", "YES=1")
    assert done.status == 0, done.err
    [kept] = (fixable / ".doit-cargo/before-lint-fix").iterdir()
    assert ((kept / "low/src/lib.rs").read_text(), (kept / "new.py").read_text()) == (mine, "import os\n")
    assert last(done).endswith(f"; as they were: .doit-cargo/before-lint-fix/{kept.name}")


def test_without_git_copies_of_all_sources_are_kept(fixable: Path) -> None:
    import shutil

    shutil.rmtree(fixable / ".git")
    said = call(fixable, "doit-cargo", "lint_fix", GIT_CEILING_DIRECTORIES=str(fixable.parent))
    assert (said.status, "git does not have them" in said.err) == (2, True)
    done = call(fixable, "doit-cargo", "lint_fix", "YES=1", GIT_CEILING_DIRECTORIES=str(fixable.parent))
    assert done.status == 0, done.err
    [kept] = (fixable / ".doit-cargo/before-lint-fix").iterdir()
    assert (kept / "low/src/lib.rs").read_text() == FIXABLE


def test_python_is_linted_by_ruff(fixable: Path) -> None:
    said = call(fixable, "doit-cargo", "lint_python")
    assert (said.status, "F401" in said.out) == (1, True)
    write(fixable / "tool.py", "print(1)\n")
    assert last(call(fixable, "doit-cargo", "lint_python")).startswith("ok lint_python")
