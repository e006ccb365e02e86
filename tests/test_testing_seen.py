"""`doit-cargo test` decides by what the last pass was seen to read, list, ask, start and connect to."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from calling import call, small_workspace
from conftest import needs_cargo, write
from observing import observer
from trying import Trial

pytestmark = [pytest.mark.slow, needs_cargo]

TEST = """\
#[test]
fn looks() {{
    std::fs::write(format!("{{}}/{name}", std::env::var("TRACE").unwrap()), "").unwrap();
    {look}
}}
"""
# What a test does, by its name.
LOOKS = {
    "reads": 'let _ = std::fs::read_to_string(["data/re", "ad.txt"].concat());',
    "lists": 'let _ = std::fs::read_dir("data/list").unwrap().count();',
    "finds": 'let _ = std::path::Path::new("data/maybe").exists();',
    "sizes": 'let _ = std::fs::metadata("data/size.txt").unwrap().len();',
    "follows": 'let _ = std::fs::read_to_string("data/link/x.txt");',
    "asks": 'let _ = std::env::var(["AS", "KED"].concat());',
    "walks": "let _ = std::env::vars().count();",
    "starts": 'std::process::Command::new("data/run.sh").output().unwrap();',
    "shells": 'std::process::Command::new("sh").args(["-c", "cat data/shell.txt"]).output().unwrap();',
    "climbs": 'let _ = std::fs::read_to_string("../../.env");',
    "serves": 'let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap(); '
    "std::net::TcpStream::connect(l.local_addr().unwrap()).unwrap();",
    "links": 'let _ = std::fs::hard_link("data/linked.txt", "data/name"); let _ = std::fs::remove_file("data/name");',
    "writes": 'let _ = std::fs::write("data/out/x", "").and_then(|_| std::fs::remove_file("data/out/x"));',
    "creates": 'let p = "data/made"; if std::fs::create_dir(p).is_ok() { std::fs::canonicalize(p).unwrap(); '
    "std::fs::remove_dir(p).unwrap(); }",
    "fails": 'let _ = std::fs::write("data/nowhere/x", "");',
    "makes": 'let p = std::env::temp_dir().join(format!("seen{}", std::process::id())); '
    'std::fs::write(&p, "x").unwrap(); std::fs::read(&p).unwrap(); std::fs::remove_file(&p).unwrap();',
}
FILES = {
    "Cargo.toml": '[workspace]\nresolver = "2"\nmembers = ["crates/*"]\n'
    "[profile.dev]\ndebug = false\nincremental = false\n",
    "crates/sees/Cargo.toml": '[package]\nname = "sees"\nversion = "0.1.0"\nedition = "2021"\n',
    "crates/sees/src/main.rs": "fn main() {}\n",
    "crates/sees/data/read.txt": "1",
    "crates/sees/data/size.txt": "1",
    "crates/sees/data/shell.txt": "1",
    "crates/sees/data/list/a": "1",
    "crates/sees/data/linked.txt": "1",
    "crates/sees/data/out/keep": "1",
    "crates/sees/data/run.sh": "#!/bin/sh\nexit 0\n",
    "one/x.txt": "1",
    "two/x.txt": "2",
    **{f"crates/sees/tests/{name}.rs": TEST.format(name=name, look=look) for name, look in LOOKS.items()},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    observer()
    folder = tmp_path_factory.mktemp("seen")
    trial = Trial(folder / "ws", folder / "trace")
    trial.trace.mkdir()
    for name, text in FILES.items():
        write(trial.root / name, text)
    (trial.root / "crates/sees/data/run.sh").chmod(0o755)
    (trial.root / "crates/sees/data/link").symlink_to(trial.root / "one")
    assert trial.test().ran == set(LOOKS)
    return trial


@pytest.fixture
def trial(built: Trial) -> Iterator[Trial]:
    """The shared workspace, with all its tests passed."""
    yield built
    built.variables.clear()


def relink(trial: Trial) -> None:
    (trial.root / "crates/sees/data/link").unlink()
    (trial.root / "crates/sees/data/link").symlink_to(trial.root / "two")


def put(name: str, text: str = "changed") -> Callable[[Trial], None]:
    return lambda trial: trial.write(name, text)


def given(name: str) -> Callable[[Trial], None]:
    return lambda trial: trial.variables.update({name: "1"})


@pytest.mark.parametrize(
    ("change", "ran"),
    [
        (put("crates/sees/data/read.txt"), {"reads"}),
        (put("crates/sees/data/list/b"), {"lists"}),
        (put("crates/sees/data/list/b", "again"), set()),
        (put("crates/sees/data/maybe"), {"finds"}),
        (put("crates/sees/data/size.txt", "22"), {"sizes"}),
        (put("crates/sees/data/size.txt", "33"), {"sizes"}),  # who looks may compare times
        (put("crates/sees/data/shell.txt"), {"shells"}),
        (put("crates/sees/data/unread.txt"), set()),
        (put(".env"), {"climbs"}),
        (put("crates/sees/data/linked.txt"), {"links"}),
        (lambda trial: shutil.rmtree(trial.root / "crates/sees/data/out"), {"writes"}),
        (put("crates/sees/data/made/x"), {"creates"}),
        (put("crates/sees/data/nowhere/y"), {"fails"}),
        (relink, {"follows"}),
        (lambda trial: (trial.root / "crates/sees/data/run.sh").chmod(0o700), {"starts"}),
        (lambda trial: (trial.root / "crates/sees/data/read.txt").touch(), set()),
        (given("ASKED"), {"asks", "walks", "starts", "shells"}),
        (given("SHLVL"), set()),
    ],
)
def test_what_a_test_saw_decides(trial: Trial, change: Callable[[Trial], object], ran: set[str]) -> None:
    assert trial.test().ran == set()
    change(trial)
    assert trial.test().ran == ran
    trial.test()


def test_values_that_nobody_shall_read_are_kept_as_digests(trial: Trial) -> None:
    trial.variables["ASKED"] = "a-secret-that-nobody-wrote-down"
    trial.test()
    kept = b"".join(path.read_bytes() for path in (trial.root / ".doit-cargo").rglob("*") if path.is_file())
    assert b"ASKED" in kept
    assert b"a-secret-that-nobody-wrote-down" not in kept


def test_an_ignored_variable_is_no_input(trial: Trial) -> None:
    trial.write("profiles/test.toml", 'extends = "test"\n[inputs]\nignore = ["BUILD_*", "crates/sees/data/read.txt"]\n')
    trial.test()
    trial.variables["BUILD_ID"] = "7"
    trial.write("crates/sees/data/read.txt", "ignored")
    try:
        assert trial.test().ran == set()
    finally:
        (trial.root / "profiles/test.toml").unlink()
        trial.test()


def test_what_differs_in_each_run_is_told_once(trial: Trial) -> None:
    said = []
    for number in range(4):
        trial.variables["RUN_NUMBER"] = str(number)
        said.append("because of RUN_NUMBER" in trial.test().said.out)
    assert said.count(True) == 1


@pytest.fixture
def still(trial: Trial, tmp_path: Path) -> Iterator[Path]:
    """A static program that one more test, `blind`, starts."""
    source, made = write(tmp_path / "still.c", "int main(void) { return 0; }\n"), tmp_path / "still"
    if not shutil.which("cc") or subprocess.run(["cc", "-static", "-o", made, source], check=False).returncode:
        pytest.skip("no static program can be linked here")
    look = f'std::process::Command::new("{made}").output().unwrap();'
    trial.write("crates/sees/tests/blind.rs", TEST.format(name="blind", look=look))
    yield made
    (trial.root / "crates/sees/tests/blind.rs").unlink()
    (trial.root / "profiles/test.toml").unlink(missing_ok=True)
    trial.test()


def test_a_program_that_cannot_be_observed_is_named_and_never_skipped(trial: Trial, still: Path) -> None:
    first = trial.test()
    assert f".. test  sees runs each time: starts {still}, which cannot be observed" in first.said.out, first.text
    assert trial.test().ran == {"blind"}
    assert any(f"starts {still}, which cannot be observed" in row["new"] for row in trial.why()["changes"])
    trial.write("profiles/test.toml", 'extends = "test"\n[inputs]\ncomplete = ["sees"]\n')
    trial.test()
    assert trial.test().ran == set()
    trial.write("crates/sees/data/unread.txt", "counts here")
    assert trial.test().ran == {"blind"}


def test_strict_fails_tests_of_which_not_all_is_seen(trial: Trial, still: Path) -> None:
    refused = trial.test("OBSERVE=strict")
    says = f"!! test  OBSERVE=strict: sees runs each time: starts {still}, which cannot be observed: it is a static"
    assert (refused.status, says in refused.text) == (1, True), refused.text
    assert trial.test("OBSERVE=strict").status == 1
    (trial.root / "crates/sees/tests/blind.rs").unlink()
    assert trial.test("OBSERVE=strict").status == 0
    assert trial.test("OBSERVE=strict").said.out.startswith("-- test  passed before")
    write(trial.root / "crates/sees/tests/blind.rs", "")


def test_strace_sees_static_programs_and_takes_each_program_to_ask_for_all_variables(trial: Trial, still: Path) -> None:
    observer("strace")
    assert trial.test("OBSERVE=strace").ran == {"blind"}
    assert trial.test("OBSERVE=strace").ran == set()
    assert trial.test().ran == set()  # what was seen counts, however it was
    trial.write("crates/sees/data/read.txt", "by strace")
    assert trial.test("OBSERVE=strace").ran == {"reads"}
    trial.variables["ANYTHING"] = "1"
    assert {"blind", "reads"} <= trial.test().ran
    still.touch()
    trial.variables.clear()
    assert trial.test().ran == set()


def test_without_observing_what_was_seen_counts_until_a_test_runs_unseen(trial: Trial) -> None:
    assert trial.test("OBSERVE=off").ran == set()
    trial.write("crates/sees/data/read.txt", "by nobody")
    assert trial.test("OBSERVE=off").ran == {"reads"}
    assert trial.test("OBSERVE=off").ran == {"reads"}
    assert [row["new"] for row in trial.why()["changes"]] == ["nothing is observed: OBSERVE=off"]
    assert trial.test("OBSERVE=strict").ran == {"reads"}
    assert trial.test().ran == set()


def test_an_unknown_package_under_complete_is_an_error_with_the_nearest_name(trial: Trial) -> None:
    trial.write("profiles/test.toml", 'extends = "test"\n[inputs]\ncomplete = ["sess"]\n')
    try:
        wrong = trial.test()
    finally:
        (trial.root / "profiles/test.toml").unlink()
    assert (wrong.status, "fix: did you mean 'sees'?" in wrong.said.err) == (3, True), wrong.text


def test_where_nothing_can_be_observed_nothing_is_skipped_and_that_is_said(trial: Trial, tmp_path: Path) -> None:
    trial.variables.update(XDG_CACHE_HOME=str(tmp_path), CC=str(tmp_path / "no-compiler"))
    trial.test("FORCE=1")
    again = trial.test()
    assert again.ran == set(LOOKS)
    assert any("nothing is observed here: there is no C compiler" in row["new"] for row in trial.why()["changes"])


def test_a_test_runs_once_where_cargo_is_called_twice(tmp_path: Path) -> None:
    """As it is for units of another variant, made from what was there when that was built last."""
    observer()
    root = small_workspace(tmp_path / "ws")
    write(root / "low/unsaid.txt", "one")
    script = 'fn main() { println!("cargo:rerun-if-changed=build.rs"); std::fs::read("unsaid.txt").unwrap(); }\n'
    write(root / "low/build.rs", script)
    write(root / "low/src/lib.rs", "#[test]\nfn passes() {}\n")
    manifest = (root / "Cargo.toml").read_text()
    for more, text in (("", "one"), ("[profile.dev]\nopt-level = 1\n", "one"), ("", "two")):
        write(root / "Cargo.toml", f"{manifest}{more}")
        write(root / "low/unsaid.txt", text)
        said = call(root, "doit-cargo", "test", "PACKAGE=low", "FORCE=1")
        assert said.status == 0, said.out + said.err
        assert re.search(r" 1 passed, 0 failed", said.out), said.out
    assert "low/unsaid.txt changed, which its build script reads without saying so" in said.out
