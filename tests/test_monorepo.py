"""Shapes and places of real repositories: each is built, skipped, edited, rebuilt and skipped, and then cargo is asked.

Read-only trees are in test_bad_input.py, folders below a workspace and nested workspaces in test_doors.py.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from calling import LOCK, Said, call, counting_cargo, small_workspace
from conftest import make_workspace, needs_cargo, write

pytestmark = [needs_cargo, pytest.mark.slow]

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
FRESH = "-- dev  up to date: "


def turn(folder: Path, edited: Path, **variables: str) -> None:
    """Build, skip, edit, rebuild and skip in a folder; afterwards a plain cargo has nothing to do."""
    first = dev(folder, **variables)
    assert (first.status, first.out.startswith(FRESH)) == (0, False), first
    settled(folder, **variables)
    write(edited, edited.read_text() + "// an edit\n")
    why = call(folder, "doit-cargo", "why", "dev", **variables).out
    assert (edited.name in why, " 1 packages" in why) == (True, False), why
    again = dev(folder, **variables)
    assert (again.status, edited.name in again.out, "Compiling" in again.err) == (0, True, True), again
    settled(folder, **variables)


def dev(folder: Path, **variables: str) -> Said:
    return call(folder, "doit-cargo", "dev", **variables)


def settled(folder: Path, **variables: str) -> None:
    """Check that we skip, and that cargo agrees with that."""
    said = dev(folder, **variables)
    assert (said.status, said.out.startswith(FRESH)) == (0, True), said
    plain = call(folder, "cargo", "build", "--offline", "--verbose", **variables)
    assert plain.status == 0, plain
    assert [line for line in plain.err.splitlines() if line.split()[0] in ("Compiling", "Dirty")] == []
    assert dev(folder, **variables).out.startswith(FRESH)


def git(folder: Path, *words: str) -> None:
    subprocess.run([*GIT, *words], cwd=folder, check=True, capture_output=True)


def committed(root: Path) -> Path:
    """Make a repository of a folder, all in one commit."""
    write(root / ".gitignore", "target\n.doit-cargo\n.logs\n")
    git(root, "init", "--quiet", ".")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    return root


# --- places ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["two words", "größe-日本", "$HOME #1"])
def test_any_name_of_a_folder(tmp_path: Path, name: str) -> None:
    root = small_workspace(tmp_path / name)
    turn(root, root / "low/src/lib.rs")


def test_a_workspace_behind_a_link(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "real")
    (tmp_path / "link").symlink_to(root)
    turn(tmp_path / "link", root / "low/src/lib.rs")
    settled(root)


def test_a_member_behind_a_link(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "ws")
    (root / "low").rename(tmp_path / "low")
    (root / "low").symlink_to(tmp_path / "low")
    turn(root, tmp_path / "low/src/lib.rs")


def test_a_worktree_and_its_main_tree_are_two_workspaces(tmp_path: Path) -> None:
    main = committed(small_workspace(tmp_path / "main"))
    git(main, "worktree", "add", "--quiet", "../other", "-b", "other")
    turn(main, main / "low/src/lib.rs")
    turn(tmp_path / "other", tmp_path / "other/low/src/lib.rs")
    assert dev(main).out.startswith(FRESH)
    git(tmp_path / "other", "checkout", "--quiet", ".")
    assert "low changed (low/src/lib.rs)" in dev(tmp_path / "other").out


def test_a_member_in_a_submodule(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "ws")
    (root / "low").rename(tmp_path / "low")
    committed(tmp_path / "low")
    committed(root)
    git(root, "submodule", "--quiet", "add", str(tmp_path / "low"), "low")
    turn(root, root / "low/src/lib.rs")
    git(root / "low", "checkout", "--quiet", ".")
    assert "low changed (low/src/lib.rs)" in dev(root).out
    settled(root)


# --- target directories ----------------------------------------------------------------------------------------------


def test_a_target_directory_elsewhere(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "ws")
    turn(root, root / "low/src/lib.rs", CARGO_TARGET_DIR=str(tmp_path / "else where"))
    assert not (root / "target").exists()


def test_two_workspaces_that_share_a_target_directory(tmp_path: Path) -> None:
    """Both make debug/app: what the one leaves there is never taken for the other's."""
    shared = str(tmp_path / "target")
    roots = [small_workspace(tmp_path / name) for name in ("one", "two")]
    for root in roots:
        write(root / "app/src/bin/app.rs", f'fn main() {{ println!("{root.name}") }}\n')
    for number in range(2):
        for root in roots:
            said = dev(root, CARGO_TARGET_DIR=shared)
            again = (
                "another workspace builds in the same target or build directory: cargo is made to look at app, low\n"
            )
            assert (said.status, again in said.out) == (0, (root, number) != (roots[0], 0)), said
            assert dev(root, CARGO_TARGET_DIR=shared).out.startswith(FRESH)
            assert call(root, shared + "/debug/app").out == f"{root.name}\n"
    write(roots[0] / "low/src/lib.rs", "// an edit\n")
    assert "low changed" in dev(roots[0], CARGO_TARGET_DIR=shared).out
    settled(roots[0], CARGO_TARGET_DIR=shared)


# --- shapes ----------------------------------------------------------------------------------------------------------


def test_an_excluded_package_is_a_workspace_of_its_own(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "ws", 'exclude = ["tools"]\n')
    write(root / "tools/Cargo.toml", '[package]\nname = "tools"\nversion = "0.1.0"\nedition = "2021"\n')
    write(root / "tools/src/main.rs", "fn main() {}\n")
    turn(root, root / "low/src/lib.rs")
    turn(root / "tools", root / "tools/src/main.rs")
    write(root / "tools/src/main.rs", "fn main() { }\n")
    assert dev(root).out.startswith(FRESH)


def test_a_root_package_with_members(tmp_path: Path) -> None:
    """Without default-members a build is of the root package and what it needs; the other member is not looked at."""
    root = make_workspace(tmp_path / "ws", {"low": {}, "aside": {}})
    package = '[package]\nname = "top"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nlow = { path = "low" }\n'
    write(root / "Cargo.toml", package + (root / "Cargo.toml").read_text())
    write(root / "src/main.rs", "fn main() {}\n")
    assert call(root, "cargo", "generate-lockfile", "--offline").status == 0
    turn(root, root / "low/src/lib.rs")
    write(root / "src/main.rs", "fn main() { }\n")
    assert "top changed (src/main.rs)" in dev(root).out
    write(root / "aside/src/lib.rs", "// an edit\n")
    settled(root)


def test_a_single_package_with_a_path_dependency_that_is_no_member(tmp_path: Path) -> None:
    """A dependency below the root is a member by itself only where the root has a [workspace] table."""
    low = '[package]\nname = "low"\nversion = "0.1.0"\nedition = "2021"\n'
    root = tmp_path / "top"
    write(root / "Cargo.toml", low.replace("low", "top") + '[dependencies]\nlow = { path = "low" }\n')
    write(root / "src/main.rs", "fn main() {}\n")
    write(root / "low/Cargo.toml", low)
    write(root / "low/src/lib.rs", "")
    assert call(root, "cargo", "generate-lockfile", "--offline").status == 0
    turn(root, root / "low/src/lib.rs")


def test_a_path_dependency_outside_the_root(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "ws")
    (root / "low").rename(tmp_path / "low")
    for path, old, new in (
        (root / "Cargo.toml", ', "low"', ""),
        (root / "app/Cargo.toml", '"../low"', '"../../low"'),
    ):
        assert old in path.read_text()
        write(path, path.read_text().replace(old, new))
    write(root / "Cargo.lock", LOCK)
    turn(root, tmp_path / "low/src/lib.rs")


def test_a_thousand_members(tmp_path: Path) -> None:
    """Looked at, built in one call of one member, and skipped: nothing is asked of cargo for that."""
    root = make_workspace(tmp_path / "ws", {f"crate-{number}": {} for number in range(1000)})
    assert call(root, "cargo", "generate-lockfile", "--offline").status == 0
    assert "crate_0, crate_1, " in call(root, "doit-cargo", "list").out
    assert "  run       cargo check --workspace\n" in call(root, "doit-cargo", "plan", "check").out
    counted = counting_cargo(tmp_path / "bin")
    assert call(root, "doit-cargo", "build_crate_7", PATH=counted).status == 0
    write(tmp_path / "bin/calls", "")
    said = call(root, "doit-cargo", "build_crate_7", PATH=counted)
    assert (said.status, said.out.startswith("-- build_crate_7  up to date: 1 package, ")) == (0, True), said
    assert (tmp_path / "bin/calls").read_text() == ""


# --- what people ask first -------------------------------------------------------------------------------------------


def test_the_plan_of_a_group_is_that_of_its_parts(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "ws")
    said = call(root, "doit-cargo", "plan", "ci")
    heads = [line.partition(":")[0] for line in said.out.splitlines() if not line.startswith(" ")]
    assert (said.status, said.err, heads) == (0, "", ["fmt_check", "check", "lint", "test", "check_duplicates"])


def test_init_names_a_program_and_features_that_somebody_wrote(tmp_path: Path) -> None:
    spec = {
        "low": {},
        "app": {"bins": {"app": []}, "dependencies": {"low": "optional = true"}, "features": {"fast": []}},
    }
    root = make_workspace(tmp_path / "ws", spec)
    assert "  doit-cargo build_app\n" in call(root, "doit-cargo", "init").out
    text = (root / "profiles/local.toml").read_text()
    assert "# app has: fast\n" in text
    assert '# features = ["fast"]\n' in text
