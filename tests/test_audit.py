"""--audit: what is up to date is built once more elsewhere; another program names what was not known."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from calling import Said, call
from conftest import needs_cargo, write

pytestmark = [
    pytest.mark.slow,
    needs_cargo,
    pytest.mark.skipif(sys.platform != "linux", reason="what a build reads is observed on Linux"),
]

# A build script that reads a file and tells cargo of another one only.
SCRIPT = """\
fn main() {
    let word = std::fs::read_to_string("word.txt").unwrap();
    println!("cargo::rustc-env=WORD={}", word.trim());
    println!("cargo::rerun-if-changed=build.rs");
}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("a-name-with-room-for-a-scratch-directory") / "finder"
    write(root / "Cargo.toml", '[package]\nname = "finder"\nversion = "1.2.0"\nedition = "2021"\n')
    write(root / "build.rs", SCRIPT)
    write(root / "src/main.rs", 'fn main() { println!("{}", env!("WORD")) }\n')
    return root


@pytest.fixture
def built(root: Path) -> Path:
    """The program is built without being observed, so that nobody knows of word.txt; and is up to date."""
    write(root / "word.txt", "one\n")
    assert build(root, "FORCE=1").status == 0
    assert build(root).out.startswith("-- dev  up to date")
    return root


def build(root: Path, *words: str) -> Said:
    return call(root, "doit-cargo", "dev", "OBSERVE=off", *words)


def test_a_right_skip_is_confirmed_and_leaves_nothing_behind(built: Path) -> None:
    before = sorted(path.name for path in built.iterdir())
    said = build(built, "--audit")
    assert (said.status, said.out.splitlines()[-1]) == (
        0,
        "ok dev  the skip is right: 1 program built from nothing, the same byte by byte",
    ), said
    assert sorted(path.name for path in built.iterdir()) == before
    assert build(built).out.startswith("-- dev  up to date")


def test_a_wrong_skip_fails_and_names_the_file_that_nobody_knew(built: Path) -> None:
    write(built / "word.txt", "two\n")
    assert build(built).out.startswith("-- dev  up to date")  # as wrong as cargo itself
    said = build(built, "--audit")
    told = [line for line in said.err.splitlines() if line.startswith("!!")]
    assert (said.status, told) == (
        1,
        [
            "!! dev  the skip was wrong: built from nothing, target/debug/finder is another program",
            "!! dev    this build read word.txt, which no receipt knows",
            "!! dev    fix: name it under [inputs] of a profile; doit-cargo dev FORCE=1 builds it anew",
        ],
    ), said


def test_one_skip_in_so_many_is_looked_at_again_if_the_user_says_so(built: Path) -> None:
    said = call(built, "doit-cargo", "dev", "OBSERVE=off", DOIT_CARGO_AUDIT="1")
    assert (said.status, "ok dev  the skip is right" in said.out) == (0, True)
    assert "ok dev" not in call(built, "doit-cargo", "dev", "OBSERVE=off", DOIT_CARGO_AUDIT="no").out
    said = call(built, "doit-cargo", "dev", "OBSERVE=off", DOIT_CARGO_AUDIT="many")
    assert (said.status, said.err) == (
        3,
        "doit-cargo: DOIT_CARGO_AUDIT: 'many' is no number of skips\n"
        "  fix: one in so many is looked at: DOIT_CARGO_AUDIT=50, or off\n",
    )


def test_what_would_not_be_skipped_has_nothing_to_audit(built: Path) -> None:
    write(built / "src/main.rs", 'fn main() { println!("edited {}", env!("WORD")) }\n')
    said = build(built, "--audit")
    assert said == Said(0, ".. dev  would not be skipped now, so there is nothing to audit (doit-cargo why dev)\n", "")
    write(built / "src/main.rs", 'fn main() { println!("{}", env!("WORD")) }\n')
    assert "--audit is for targets that build programs" in call(built, "doit-cargo", "fmt_check", "--audit").out
