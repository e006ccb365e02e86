"""Colours where they are wanted and nowhere else, words that say the same without them, lines as wide as the window."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from calling import environment, posix, program, small_workspace
from calling import forked_call as call
from conftest import needs_cargo

pytestmark = [needs_cargo, posix]

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = small_workspace(tmp_path_factory.mktemp("colours") / "workspace")
    assert call(root, "doit-cargo", "check").status == 0
    assert call(root, "doit-cargo", "check").status == 0
    return root


def spawned(root: Path, *words: str, columns: int = 80, variables: Mapping[str, str] | None = None) -> Any:
    pexpect = pytest.importorskip("pexpect", reason="pexpect is the terminal")
    environ = {**environment(), "TERM": "xterm", "DOIT_CARGO_PICK": "0", **(variables or {})}
    return pexpect.spawn(
        "doit-cargo", list(words), cwd=str(root), env=environ, dimensions=(24, columns), encoding="utf-8", timeout=120
    )


def shown(root: Path, *words: str, columns: int = 80, variables: Mapping[str, str] | None = None) -> str:
    """Return what a call shows on a terminal of that width."""
    import pexpect

    child = spawned(root, *words, columns=columns, variables=variables)
    child.expect(pexpect.EOF)
    child.close()
    return str(child.before).replace("\r\n", "\n")


CASES = {
    "a pipe": ((), {}, False),
    "a pipe with FORCE_COLOR": ((), {"FORCE_COLOR": "1"}, True),
    "a pipe with FORCE_COLOR=0": ((), {"FORCE_COLOR": "0"}, False),
    "a pipe with --color=always": (("--color=always",), {}, True),
    "--color=always against NO_COLOR": (("--color=always",), {"NO_COLOR": "1"}, True),
    "NO_COLOR against FORCE_COLOR": ((), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
}


@pytest.mark.parametrize("case", CASES)
def test_colours_come_as_they_are_asked_for(root: Path, case: str) -> None:
    options, variables, coloured = CASES[case]
    plain = call(root, "doit-cargo", "check").out
    said = call(root, "doit-cargo", *options, "check", **variables).out
    assert (bool(ESCAPE.search(said)), ESCAPE.sub("", said)) == (coloured, plain)
    assert plain.startswith("-- check  up to date: ")


@pytest.mark.parametrize(
    ("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], ids=str
)
def test_a_terminal_has_colours_unless_it_or_the_user_wants_none(
    root: Path, variables: dict[str, str], coloured: bool
) -> None:
    assert bool(ESCAPE.search(shown(root, "check", variables=variables))) == coloured
    assert bool(ESCAPE.search(shown(root, "check", "--color", "never", variables=variables))) is False


def test_a_wrong_word_for_colours_is_told(root: Path) -> None:
    said = call(root, "doit-cargo", "--color=sometimes", "check")
    assert (said.status, "invalid choice: 'sometimes'" in said.err) == (3, True)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_lists_and_the_first_screen_fit_the_window(root: Path, columns: int) -> None:
    for words in ((), ("list",), ("help", "build")):
        assert "\\x1b" not in shown(root, *words, columns=columns)
        lines = ESCAPE.sub("", shown(root, *words, columns=columns)).splitlines()
        assert [line for line in lines if len(line) > columns] == []
    assert len(shown(root, columns=columns).splitlines()) <= 20


@pytest.mark.slow
def test_a_progress_bar_follows_a_window_that_becomes_narrower(root: Path, tmp_path: Path) -> None:
    bar = "    Building [=====>                    ] 1/9: " + "a_long_name, " * 5
    real = shutil.which("cargo", path=environment()["PATH"])
    script = (
        'case "$*" in check*) i=0; while [ $i -lt 40 ]; do '
        f'printf \'{bar}\\r\' >&2; sleep 0.1; i=$((i+1)); done;; esac\nexec "{real}" "$@"'
    )
    program(tmp_path / "cargo", script)
    path = f"{tmp_path}:{environment()['PATH']}"
    child = spawned(root, "check", "FORCE=1", "PACKAGE=low", columns=120, variables={"PATH": path})
    child.expect_exact(bar.rstrip())
    child.setwinsize(24, 50)
    child.expect_exact(bar[:49] + "\x1b[K\r")
    child.expect_exact(bar[:49] + "\x1b[K\r")
    assert "a_long_name, a_long" not in child.after
    child.close(force=True)


@pytest.mark.slow
def test_ctrl_c_leaves_a_clean_line_and_is_remembered(root: Path, tmp_path: Path) -> None:
    import pexpect

    real = shutil.which("cargo", path=environment()["PATH"])
    program(tmp_path / "cargo", f'case "$*" in check*) echo begun >&2; sleep 60;; esac\nexec "{real}" "$@"')
    child = spawned(root, "check", "FORCE=1", variables={"PATH": f"{tmp_path}:{environment()['PATH']}"})
    child.expect("begun")
    child.sendcontrol("c")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, "Traceback" in child.before) == (130, False)
    line = child.before.rpartition("\r\x1b[K")[2]  # the ^C of the terminal is wiped
    assert re.fullmatch(r"!! check  interrupted after [\d.]+ s; log: .logs/check.log\r\n", ESCAPE.sub("", line)), line
    assert "last run  interrupted just now" in call(root, "doit-cargo", "why", "check").out
