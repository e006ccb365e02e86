"""watch TARGET: an edit of what the target rests on runs it again, anything else does not; Ctrl-C ends it cleanly."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from calling import bare_python, call, environment, posix, small_workspace
from conftest import needs_cargo, write

pytestmark = [pytest.mark.slow, needs_cargo, posix]

WAITS = "waits for a change of"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_workspace(tmp_path_factory.mktemp("watch") / "workspace")


@pytest.fixture
def watched(root: Path) -> Any:
    """A watch of `check` on a terminal that has run once and waits."""
    pexpect = pytest.importorskip("pexpect", reason="pexpect is the terminal")
    if importlib.util.find_spec("watchfiles") is None:
        pytest.skip("watchfiles is not installed")
    write(root / "low/src/lib.rs", "pub fn first() {}\n")
    variables = {**environment(), "TERM": "xterm"}
    child = pexpect.spawn("doit-cargo", ["watch", "check"], cwd=str(root), env=variables, encoding="utf-8", timeout=120)
    child.expect(WAITS)
    child.expect("Ctrl-C ends it")
    yield child
    child.close(force=True)


def test_an_edit_of_an_input_runs_it_again_and_nothing_else_does(root: Path, watched: Any) -> None:
    import pexpect

    write(root / "low/notes.txt", "nobody reads this\n")
    write(root / "low/src/lib.rs", "pub fn first() {}\n")  # written anew, but the same
    assert watched.expect([pexpect.TIMEOUT, "check"], timeout=4) == 0
    write(root / "low/src/lib.rs", "pub fn second() {}\n")
    watched.expect("low changed")
    watched.expect("ok")
    watched.expect(WAITS)


def test_a_file_of_another_folder_that_counts_wakes_it_also_in_a_later_call(
    root: Path, tmp_path: Path, watched: Any
) -> None:
    text = write(tmp_path / "far/text.txt", "one")
    write(root / "low/src/lib.rs", f'pub const TEXT: &str = include_str!("{text}");\n')
    watched.expect("ok")
    watched.expect(WAITS)
    watched.close(force=True)
    again = type(watched)(
        "doit-cargo", ["watch", "check"], cwd=str(root), env=watched.env, encoding="utf-8", timeout=60
    )
    again.expect("up to date")
    again.expect(WAITS)
    write(text, "two")
    again.expect("far/text.txt")
    again.expect(WAITS)
    again.close(force=True)


def test_a_failure_is_mended_by_the_next_edit(root: Path, watched: Any) -> None:
    write(root / "low/src/lib.rs", "pub fn broken() -> u32 {}\n")
    watched.expect("mismatched types")
    watched.expect("any file of the workspace")
    write(root / "low/src/lib.rs", "pub fn mended() {}\n")
    watched.expect("compiled 2 of 2 packages")
    watched.expect(WAITS)


def test_ctrl_c_ends_it_with_a_clean_line(watched: Any) -> None:
    import pexpect

    watched.sendcontrol("c")
    watched.expect(pexpect.EOF)
    watched.close()
    assert (watched.exitstatus, "Traceback" in watched.before, watched.before.endswith("\r\n")) == (130, False, True)


def test_without_watchfiles_the_extra_is_named(root: Path, tmp_path: Path) -> None:
    python = bare_python(tmp_path / "bare")
    hidden = write(tmp_path / "hide/watchfiles.py", "raise ImportError\n").parent
    code = (
        "import sys, importlib.util as u; find = u.find_spec; "
        "u.find_spec = lambda name, *more: None if name == 'watchfiles' else find(name, *more); "
        "from doit_cargo.cli.main import main; sys.exit(main(['watch', 'check']))"
    )
    said = call(root, str(python), "-c", code, PYTHONPATH=str(hidden))
    told = (
        'doit-cargo: watch needs the Python package watchfiles, which is not installed\n  fix: pip install "doit-cargo'
    )
    assert (said.status, said.err.startswith(told)) == (2, True), said


def test_a_watch_needs_a_target(root: Path) -> None:
    said = call(root, "doit-cargo", "watch")
    assert (said.status, "watch needs a target\n  fix: for example: doit-cargo watch build" in said.err) == (3, True)
