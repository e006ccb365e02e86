"""The three kinds of targets (cargo calls, actions, groups): what runs, what is skipped, which variables go where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import Spec, make_workspace, needs_cargo, write
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.model import ActionInputs, Target
from doit_cargo.session import Session
from doit_cargo.targets import catalogue

pytestmark = needs_cargo

TWO: Spec = {"app": {"dependencies": {"low-level": ""}}, "low-level": {}}
NAME = "tests_of_kinds"


class Family:
    """A family module that lives in a test: rows, and what their actions do, written down."""

    def __init__(self, rows: tuple[Target, ...]) -> None:
        self.__file__ = __file__
        self.TARGETS = rows
        self.ran: list[str] = []
        self.succeeds = True

    def act(self, _: Session, values: object) -> bool:
        self.ran.append(str(values))
        return self.succeeds

    def watch(self, session: Session, _: object) -> ActionInputs:
        return ActionInputs(files=(f"{session.root}/a.txt", f"{session.root}/absent"), variables=("SEEN",))


def action(name: str, **more: object) -> Target:
    fields = {"name": name, "family": NAME, "doc": "x", "action": f"{NAME}:act", **more}
    return Target(**fields)  # type: ignore[arg-type]


ROWS = (
    action("each_time"),
    action("watched", watch=f"{NAME}:watch", takes=("FORCE",)),
    action("modelled", takes=("MODEL",)),
    action("tooled", needs=("no-such-tool", "cargo>=99")),
    action("both", action="", after=("watched", "modelled")),
)


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Family:
    import sys

    made = Family(ROWS)
    monkeypatch.setitem(sys.modules, NAME, made)
    monkeypatch.setitem(sys.modules, f"doit_cargo.targets.{NAME}", made)
    monkeypatch.setattr(catalogue, "FAMILIES", (NAME, "build"))
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_workspace(tmp_path, TWO)
    write(tmp_path / "a.txt", "one")
    return tmp_path


def session(root: Path, environ: Mapping[str, str] | None = None, **raw: str) -> Session:
    import os

    return Session(str(root), {**os.environ, **(environ or {})}, raw)


def run(root: Path, name: str, environ: Mapping[str, str] | None = None, **raw: str) -> int:
    """Run a target the way `doit-cargo` does; return the exit code."""
    from doit_cargo.cli.line import run_targets

    return run_targets(session(root, environ, **raw), [name])


def test_an_action_runs_each_time(family: Family, root: Path) -> None:
    assert [run(root, "each_time"), run(root, "each_time"), len(family.ran)] == [0, 0, 2]


def test_a_watched_action_is_skipped_while_what_it_rests_on_is_the_same(family: Family, root: Path) -> None:
    assert [run(root, "watched"), run(root, "watched"), len(family.ran)] == [0, 0, 1]


@pytest.mark.parametrize("change", ["edit", "new file", "variable", "force", "toolchain variable"])
def test_a_watched_action_runs_again_after_a_change(family: Family, root: Path, change: str) -> None:
    run(root, "watched")
    environ = {"variable": {"SEEN": "1"}, "toolchain variable": {"RUSTFLAGS": "-g"}}.get(change, {})
    if change == "edit":
        write(root / "a.txt", "two")
    if change == "new file":
        write(root / "absent", "")
    run(root, "watched", environ, **({"FORCE": "1"} if change == "force" else {}))
    assert len(family.ran) == 2


def test_a_touched_file_is_no_change(family: Family, root: Path) -> None:
    run(root, "watched")
    (root / "a.txt").touch()
    assert [run(root, "watched"), len(family.ran)] == [0, 1]


def test_a_failed_action_has_no_receipt(family: Family, root: Path) -> None:
    family.succeeds = False
    assert run(root, "watched") == 1
    family.succeeds = True
    assert [run(root, "watched"), len(family.ran)] == [0, 2]


def test_an_edit_during_the_action_makes_it_stale(family: Family, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(*_: object) -> bool:
        family.ran.append("editing")
        write(root / "a.txt", f"edited {len(family.ran)}")
        return True

    monkeypatch.setattr(family, "act", act)
    assert [run(root, "watched"), run(root, "watched"), len(family.ran)] == [0, 0, 2]


def test_a_group_runs_its_parts_and_hands_each_the_variables_that_it_takes(
    family: Family, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "both", MODEL="m") == 0
    assert family.ran == ["Values(by_name={})", "Values(by_name={'MODEL': 'm'})"]
    assert "ok both  watched, modelled: all well" in capfd.readouterr().out.splitlines()
    assert [run(root, "watched"), len(family.ran)] == [0, 2]


def test_a_group_refuses_what_no_part_takes(family: Family, root: Path) -> None:
    with pytest.raises(UserError, match="both takes no PORT"):
        run(root, "both", PORT="1")
    assert family.ran == []


def test_all_missing_tools_of_an_action_are_told_before_it_starts(
    family: Family, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "tooled") == 2
    said = capfd.readouterr().err
    assert "tooled needs no-such-tool, which is not on PATH" in said
    assert "tooled needs cargo >=99, found " in said
    assert family.ran == []


@pytest.mark.usefixtures("family")
def test_each_member_has_a_target_under_its_own_name(root: Path) -> None:
    found = {row["name"]: row["rule"] for row in session(root).listing if row["rule"]}
    assert found == {
        f"{word}_{name}": f"{word}_<package>" for word in ("build", "dev") for name in ("app", "low_level")
    }
    made = session(root).new_plan("dev_low_level")
    assert (made.packages, made.invocation.argv[:4]) == (("low-level",), ("cargo", "build", "--package", "low-level"))
