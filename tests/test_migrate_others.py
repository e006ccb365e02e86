"""`doit-cargo migrate` on build files that are no Makefile, each with its own real tool."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from calling import call, environment, posix
from conftest import make_workspace, needs_cargo, write

pytestmark = [needs_cargo, posix]

needs_just = pytest.mark.skipif(not shutil.which("just", path=environment()["PATH"]), reason="just is not on PATH")

JUSTFILE = """\
mode := "release"
program:
    cargo build --profile {{mode}}
piped:
    cargo check | cat
only NAME:
    cargo test {{NAME}}
"""
ALIASES = '[alias]\nfast = "build --release"\nxtask = "run --package xtask --"\n'


def taken(root: Path, file: str) -> dict[str, bool]:
    said = call(root, "doit-cargo", "migrate", file, "--json")
    assert said.status == 0, said.err
    return {row["name"]: row["taken"] for row in json.loads(said.out)}


@needs_just
def test_recipes_of_a_justfile_are_taken_over_or_stay_with_just(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", {"one": {}})
    write(root / "justfile", JUSTFILE)
    assert taken(root, "justfile") == {"program": True, "piped": False, "only": False}
    assert (root / "justfile").read_text() == JUSTFILE
    assert not (root / "GNUmakefile").exists()
    assert call(root, "doit-cargo", "makefile").status == 0
    assert "justfile" not in (root / "Makefile").read_text()  # make cannot read one


def test_an_alias_of_cargo_is_taken_over_unless_it_waits_for_more_words(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", {"one": {}})
    write(root / ".cargo/config.toml", ALIASES)
    assert taken(root, ".cargo/config.toml") == {"fast": True, "xtask": False}
