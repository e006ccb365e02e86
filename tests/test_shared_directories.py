"""Target and build directories that several workspaces share: each gets its own program; one run builds at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from calling import Said, call, environment, posix, small_workspace
from conftest import needs_cargo, write

pytestmark = [needs_cargo, posix, pytest.mark.slow]

OLD = 1_000_000_000
# Waits where a test has told it to.
SCRIPT = """\
fn main() {
    println!("cargo:rerun-if-env-changed=HALT");
    let Ok(halt) = std::env::var("HALT") else { return };
    std::fs::write(format!("{halt}.here"), "").unwrap();
    while !std::path::Path::new(&halt).exists() { std::thread::sleep(std::time::Duration::from_millis(20)); }
}
"""
# How two workspaces come to build in one place, and below which folder the programs of each then are.
TARGET = "[build]\ntarget-dir = {there!r}\n"
BUILD = "[build]\nbuild-dir = {there!r}\n"
BY_PROFILE = "[env]\nCARGO_TARGET_DIR = {there!r}\n"
BY_SETTING = "[cargo.config.build]\nbuild-dir = {there!r}\n"
WAYS = {
    "target-dir": (".cargo/config.toml", TARGET, "../there"),
    "build-dir": (".cargo/config.toml", BUILD, "target"),
    "a profile's CARGO_TARGET_DIR": ("profiles/dev.toml", 'extends = "dev"\n' + BY_PROFILE, "../there"),
    "a profile's build-dir": ("profiles/dev.toml", 'extends = "dev"\n' + BY_SETTING, "target"),
}


def worktrees(top: Path, file: str, text: str) -> tuple[Path, Path]:
    """Lay out two worktrees that differ in one old source, and share the directory `there`."""
    one, two = top / "one", top / "two"
    small_workspace(one)
    write(one / "low/build.rs", SCRIPT)
    write(one / "low/src/lib.rs", 'pub const NAME: &str = "one";\n')
    write(one / "app/src/bin/app.rs", 'fn main() { println!("{}", low::NAME); }\n')
    write(one / file, text.format(there=str(top / "there"), other=str(top / "other")))
    shutil.copytree(one, two)
    write(two / "low/src/lib.rs", 'pub const NAME: &str = "two";\n')
    for source in (*one.rglob("*.rs"), *two.rglob("*.rs")):
        os.utime(source, (OLD, OLD))
    return one, two


def dev(root: Path, **variables: str) -> Said:
    return call(root, "doit-cargo", "dev", "WITHOUT_PREFLIGHT=1", **variables)


def printed(root: Path, folder: str) -> str:
    return subprocess.run([root / folder / "debug/app"], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("file", "text", "folder"), WAYS.values(), ids=WAYS)
def test_each_worktree_gets_its_own_program(tmp_path: Path, file: str, text: str, folder: str) -> None:
    one, two = worktrees(tmp_path, file, text)
    for root in (one, two, one):
        said = dev(root)
        assert (said.status, printed(root, folder)) == (0, root.name), said.out + said.err
    assert dev(one).out.startswith("-- dev  up to date")
    assert (tmp_path / "there/.doit-cargo.ledger").is_file()
    assert not (one / "target/.doit-cargo.ledger").exists()


def test_a_program_that_was_damaged_in_place_is_made_again_with_a_build_directory(tmp_path: Path) -> None:
    one, _ = worktrees(tmp_path, ".cargo/config.toml", BUILD)
    dev(one)
    with (one / "target/debug/app").open("r+b") as stream:
        stream.write(b"damaged")
    said = dev(one)
    assert (said.status, printed(one, "target")) == (0, "one"), said.out + said.err
    write(one / "app/src/bin/app.rs", 'fn main() { println!("new {}", low::NAME); }\n')
    os.utime(one / "app/src/bin/app.rs", (OLD, OLD))
    assert (dev(one).status, printed(one, "target")) == (0, "new one")


def start(root: Path, **variables: str) -> subprocess.Popen[str]:
    words = [shutil.which("doit-cargo", path=environment()["PATH"]) or "doit-cargo", "dev", "WITHOUT_PREFLIGHT=1"]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=root, env=environment(**variables), stdout=pipe, stderr=pipe, text=True)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.02)


def told_and_ended(top: Path, one: Path, two: Path) -> tuple[str, list[int]]:
    """Halt a build in one worktree, start one in the other; return what that says, and how both end."""
    with start(one, HALT=str(top / "go")) as first:
        wait_for(top / "go.here")
        with start(two) as second:
            assert second.stderr
            told = second.stderr.readline()
            write(top / "go", "")
            first.communicate(timeout=120)
            second.communicate(timeout=120)
    return told.replace(str(first.pid), "PID"), [first.returncode, second.returncode]


def test_a_second_workspace_waits_and_says_for_whom(tmp_path: Path) -> None:
    one, two = worktrees(tmp_path, ".cargo/config.toml", TARGET)
    there = tmp_path / "there"
    told, statuses = told_and_ended(tmp_path, one, two)
    assert told == f"waiting for another doit-cargo run that builds in {there} (process PID, in {one})\n"
    assert (statuses, printed(two, "../there")) == ([0, 0], "two")
    # Neither has lost what the other has learned.
    dev(one)
    assert (printed(one, "../there"), dev(one).out.startswith("-- dev  up to date")) == ("one", True)


def test_directories_that_are_shared_crosswise_do_not_block(tmp_path: Path) -> None:
    crossed = "[build]\ntarget-dir = {there!r}\nbuild-dir = {other!r}\n"
    one, two = worktrees(tmp_path, ".cargo/config.toml", crossed)
    there, other = str(tmp_path / "there"), str(tmp_path / "other")
    write(two / ".cargo/config.toml", crossed.format(there=other, other=there))
    told, statuses = told_and_ended(tmp_path, one, two)
    assert told.startswith(f"waiting for another doit-cargo run that builds in {tmp_path / 'other'} (process PID")
    assert (statuses, printed(one, "../there"), printed(two, "../other")) == ([0, 0], "one", "two")


def test_cleaning_one_workspace_leaves_the_directory_usable_for_the_other(tmp_path: Path) -> None:
    one, two = worktrees(tmp_path, ".cargo/config.toml", TARGET)
    dev(one)
    assert call(one, "doit-cargo", "clean").status == 0
    assert not (tmp_path / "there").exists()
    assert (dev(two).status, printed(two, "../there")) == (0, "two")
    assert (tmp_path / "there/CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
