"""Logs, results on record, set-up, packages, reports: what each prints, and what it says where there is nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from calling import SCRIPTS, Said, environment, posix, program, small_workspace
from calling import forked_call as call
from conftest import needs_cargo, write

pytestmark = [needs_cargo, posix]

ANSWERING = """\
fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("--version") => println!("app 0.1.0"),
        Some("--help") => println!("Usage: app"),
        _ => std::process::exit(9),
    }
}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose release build is fresh; its program answers --version and --help."""
    root = small_workspace(tmp_path_factory.mktemp("built") / "workspace")
    write(root / "app/src/bin/app.rs", ANSWERING)
    write(root / "README.md", "A workspace.\n")
    assert call(root, "doit-cargo", "build").status == 0
    return root


def last(said: Said) -> str:
    return (said.out.splitlines() or [""])[-1]


# --- logs and records ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("LOG=build",), ("LOG=build.log",)])
def test_the_log_of_the_latest_build_is_shown(built: Path, words: tuple[str, ...]) -> None:
    said = call(built, "doit-cargo", "show_log", *words)
    assert (said.status, said.out.startswith("# doit-cargo build\n")) == (0, True)
    assert last(said).startswith("ok show_log  .logs/build.log, written 2")


def test_a_log_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "workspace")
    write(root / ".logs/fmt-check.log", "text\n")
    said = call(root, "doit-cargo", "show_log", "LOG=fmt-chek")
    assert said == Said(
        3, "", "doit-cargo: LOG: unknown log 'fmt-chek'\n  fix: did you mean 'fmt_check'? known: fmt_check\n"
    )
    assert call(root, "doit-cargo", "show_log").status == 3
    assert call(root, "doit-cargo", "show_log", "LOG=../../etc/passwd").status == 3


@pytest.mark.slow
def test_results_on_record_are_told_with_whether_they_hold(built: Path) -> None:
    assert call(built, "doit-cargo", "status").out.split()[:3] == ["up", "to", "date"]
    assert last(call(built, "doit-cargo", "test_status")) == "ok test_status  no result is on record yet"
    source = built / "app/src/lib.rs"
    write(source, "// An edit.\n")
    try:
        lines = call(built, "doit-cargo", "status").out.splitlines()
    finally:
        write(source, "")
    assert [(line.split()[0], line.split()[-1]) for line in lines[:-1]] == [("stale", "build")]


# --- set-up ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_workspace(tmp_path / "workspace")


def test_a_tool_that_is_here_is_told_and_nothing_is_installed(root: Path) -> None:
    said = call(root, "doit-cargo", "setup_ruff")
    assert (said.status, said.out.startswith("ok setup_ruff  ruff ")) == (0, True)


def test_a_missing_tool_is_installed_only_when_told_to(root: Path, tmp_path: Path) -> None:
    """The cargo here notes its arguments; what it installs is a program that tells a version."""
    made = tmp_path / "home/bin/cargo-deny"
    body = f'echo "$@" >> "{tmp_path}/calls"; mkdir -p "{made.parent}"; printf "#!/bin/sh\\necho 1.2.3\\n" > "{made}"'
    program(
        tmp_path / "bin/cargo", f'case "$1" in install) {body}; chmod +x "{made}";; *) exec "{_cargo()}" "$@";; esac'
    )
    path = f"{tmp_path}/bin{os.pathsep}{environment()['PATH']}"
    home = {"PATH": path, "CARGO_HOME": str(tmp_path / "home")}
    said = call(root, "doit-cargo", "setup_deny", **home)
    assert said == Said(
        2,
        "",
        "!! setup_deny  cargo-deny is not installed\n  fix: cargo install --locked cargo-deny   (YES=1 runs it)\n",
    )
    assert not (tmp_path / "calls").exists()
    done = call(root, "doit-cargo", "setup_deny", "YES=1", **home)
    assert (done.status, last(done)) == (0, f"ok setup_deny  cargo-deny 1.2.3: {made}")
    assert (tmp_path / "calls").read_text() == "install --locked cargo-deny\n"


def _cargo() -> str:
    import shutil

    return str(shutil.which("cargo"))


def test_an_installed_tool_that_is_not_on_path_is_told(root: Path) -> None:
    folders = [folder for folder in environment()["PATH"].split(os.pathsep) if not (Path(folder) / "pytest").exists()]
    words = (os.path.join(SCRIPTS, "doit-cargo"), "setup_pytest", "YES=1")
    said = call(root, *words, PATH=os.pathsep.join(folders), PIP_DISABLE_PIP_VERSION_CHECK="1")
    assert (said.status, "Requirement already satisfied: pytest" in said.out) == (1, True)
    assert "the installer ended well, but pytest is not on PATH" in said.err


def test_every_tool_that_a_command_installs_has_its_target() -> None:
    from doit_cargo.targets.setup import TOOLS

    wanted = {"setup_nextest", "setup_ruff", "setup_clang_format", "setup_audit", "setup_deny", "setup_llvm_cov"}
    assert wanted <= set(TOOLS)
    assert "setup_link_exe" not in TOOLS


# --- programs and packages -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_programs_are_asked_for_version_and_usage(built: Path) -> None:
    said = call(built, "doit-cargo", "smoke_test")
    assert said.status == 0, said.err
    told = [line for line in said.out.splitlines() if line[2:].startswith(" verify_binary")]
    assert [line for line in told if "on record" not in line] == [
        ".. verify_binary  app --version: app 0.1.0",
        "ok verify_binary  1 program of this build, each tells a version",
        ".. verify_binary_help  app --help: Usage: app",
        "ok verify_binary_help  1 program, each tells its usage",
    ]


def answers(built: Path, target: str, said: str) -> Said:
    """Try the program with other words for its answers."""
    write(built / "app/src/bin/app.rs", said)
    try:
        return call(built, "doit-cargo", target)
    finally:
        write(built / "app/src/bin/app.rs", ANSWERING)


@pytest.mark.slow
def test_a_program_that_does_not_answer_fails(built: Path) -> None:
    said = answers(built, "verify_binary", ANSWERING.replace("--version", "--wersion"))
    assert said.status == 1
    assert "!! verify_binary  app --version ended with status 9 and said: nothing" in said.err


@pytest.mark.slow
def test_a_program_that_says_the_same_to_any_word_tells_neither_version_nor_usage(built: Path) -> None:
    heedless = 'fn main() { println!("Hello, world!"); }\n'
    said = answers(built, "verify_binary", heedless)
    fix = "no version is in it (clap prints one: #[command(version)])"
    assert (said.status, f"!! verify_binary  app --version said: Hello, world!; {fix}\n" in said.err) == (1, True)
    said = answers(built, "verify_binary_help", heedless)
    fix = "no usage is in it: neither that word nor an option"
    assert (said.status, f"!! verify_binary_help  app --help said: Hello, world!; {fix}\n" in said.err) == (1, True)


@pytest.mark.slow
def test_a_version_that_is_not_that_of_the_package_is_told(built: Path) -> None:
    said = answers(built, "verify_binary", ANSWERING.replace("0.1.0", "2.5"))
    assert said.status == 0, said.err
    assert ".. verify_binary  app: the version of app is 0.1.0" in said.out.splitlines()


@pytest.mark.slow
def test_a_package_is_reproducible_and_is_tried(built: Path) -> None:
    said = call(built, "doit-cargo", "deploy_verify")
    assert said.status == 0, said.err
    assert last(said) == "ok deploy_verify  the package has its checksum, and 1 program that started from it"
    [package] = (built / "target/package").glob("*.tar.gz")
    first = package.read_bytes()
    assert (built / f"target/package/{package.name}.sha256").read_text() == (
        f"{hashlib.sha256(first).hexdigest()}  {package.name}\n"
    )
    with tarfile.open(package) as tar:
        folder = package.name.removesuffix(".tar.gz")
        assert {(entry.name, entry.mode) for entry in tar} == {(f"{folder}/README.md", 0o644), (f"{folder}/app", 0o755)}
    os.utime(built / "README.md")
    assert call(built, "doit-cargo", "deploy_package").status == 0
    assert package.read_bytes() == first


# --- reports ---------------------------------------------------------------------------------------------------------


def test_measures_count_what_stands_in_each_member(root: Path) -> None:
    write(
        root / "low/src/lib.rs", "// TODO: more\npub fn f() -> u8 { Some(1).unwrap() }\n#[test]\nfn t() { unsafe {} }\n"
    )
    rows = {line.split()[0]: line.split()[1:] for line in call(root, "doit-cargo", "quality_metrics").out.splitlines()}
    assert rows["package"] == ["files", "lines", "unsafe", "unwrap", "todo", "allow", "tests"]
    assert rows["low"] == ["1", "4", "1", "1", "1", "0", "1"]
    assert rows["all"] == ["3", "5", "1", "1", "1", "0", "1"]


def test_a_report_hides_secrets_and_shows_the_end_of_the_latest_log(root: Path) -> None:
    write(root / ".logs/check.log", "".join(f"line {number}\n" for number in range(40)))
    said = call(root, "doit-cargo", "diagnose", CARGO_REGISTRY_TOKEN="very secret", RUSTFLAGS="-g")
    assert said.status == 0, said.err
    assert ("very secret" in said.out, "RUSTFLAGS         -g" in said.out) == (False, True)
    assert ("  line 39" in said.out, "  line 20\n" in said.out) == (True, False)
    assert "doit-cargo  " in said.out


def test_make_reaches_the_new_targets(root: Path) -> None:
    assert call(root, "doit-cargo", "makefile").status == 0
    done = subprocess.run(
        ["make", "show-log", "LOG=nothing"], cwd=root, env=environment(), capture_output=True, text=True, check=False
    )
    assert "unknown log 'nothing'" in done.stderr
