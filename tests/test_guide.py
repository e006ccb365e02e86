"""`guide`: the build guide of a workspace, made from what is declared; what drifts is told, others' texts stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import Said, posix, small_workspace
from calling import forked_call as call
from conftest import needs_cargo, write

pytestmark = [needs_cargo, posix]

PACK = """\
[rules.fast]
conflicts = ["slow"]

[target.greet]
doc = "Say | hello."
run = ["echo", "hello"]
family = "build"
"""
HINT = """\
[hint.moon]
category = "moon"
patterns = ["the moon is full"]
cause = "The moon is full."
fix = { any = "wait until it wanes" }
evidence = ["seen at night"]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = small_workspace(tmp_path / "ws")
    write(root / "profiles/pack.toml", PACK)
    write(root / "profiles/hints.toml", HINT)
    return root


def guide(root: Path, *words: str) -> Said:
    return call(root, "doit-cargo", "guide", *words)


def test_the_guide_tells_targets_features_rules_and_pitfalls_and_is_up_to_date(root: Path) -> None:
    said = guide(root)
    assert (said.status, said.err, said.out.startswith("wrote BUILDING.md: ")) == (0, "", True)
    text = (root / "BUILDING.md").read_text()
    for line in (
        "| `greet` | Say \\| hello. |",
        "| `build_<package>` | ",
        "| `app` | `app` | `fast` |",
        "| `fast` |  | `slow` |  |",
        "| The moon is full. | any: wait until it wanes |",
    ):
        assert line in text
    assert "## Times" not in text
    assert "`build_server`" not in text, "list does not show it either: no pack says which package is the server"
    assert guide(root, "--check") == Said(0, "BUILDING.md is up to date\n", "")


def test_what_drifts_is_told_line_by_line(root: Path) -> None:
    guide(root)
    write(root / "profiles/pack.toml", PACK.replace("hello.", "goodbye."))
    said = guide(root, "--check")
    assert (said.status, said.err) == (1, "")
    assert {"-| `greet` | Say \\| hello. |", "+| `greet` | Say \\| goodbye. |"} <= set(said.out.splitlines())
    assert said.out.endswith("write it anew: doit-cargo guide\n")


@pytest.mark.slow
def test_times_are_written_and_not_compared(root: Path) -> None:
    guide(root)
    assert call(root, "doit-cargo", "dev").status == 0
    assert guide(root, "--check").status == 0
    guide(root)
    assert "| `dev` | cold | " in (root / "BUILDING.md").read_text()
    assert guide(root, "--check").status == 0


def test_of_agents_instructions_only_the_marked_part_is_ours(root: Path) -> None:
    write(root / "AGENTS.md", "# Ours\n")
    said = guide(root, "--agents")
    assert (said.status, (root / "AGENTS.md").read_text()) == (3, "# Ours\n")
    assert "add the lines <!-- build guide: written by doit-cargo guide --> and <!-- end: build guide -->" in said.err
    marks = "<!-- build guide: written by doit-cargo guide -->\n<!-- end: build guide -->"
    write(root / "AGENTS.md", f"# Ours\n\n{marks}\n\nMore.\n")
    assert guide(root, "--agents").status == 0
    text = (root / "AGENTS.md").read_text()
    assert (text.startswith("# Ours\n\n<!--"), text.endswith("-->\n\nMore.\n")) == (True, True)
    assert "Run targets, not cargo itself" in text
    assert guide(root, "--agents", "--check").status == 0
