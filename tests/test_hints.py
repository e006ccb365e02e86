"""`doit-cargo hint`, and what is said by itself after a failure: as a user calls it and reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from calling import Said, environment, linux, posix, small_workspace
from calling import forked_call as call
from conftest import needs_cargo, write
from hint_logs import DATA, first

pytestmark = posix

PROTOC = "error: failed to run custom build command for `x v1.0.0`\n  --- stderr\n  Error: Could not find `protoc`.\n"
CAUSE = (
    "A build script compiles .proto files and finds no protoc, the Protocol Buffers compiler, "
    "on PATH or through PROTOC."
)
OWN = r"""
[hint.licence-server]
rank = 1
patterns = ['cannot reach licence server (?P<server>\S+)']
cause = "The licence server {server} does not answer."
fix = { any = "connect the VPN" }
"""
# A build script that fails as that of a crate with .proto files does.
NO_PROTOC = """\
fn main() {
    println!("cargo:rerun-if-env-changed=PROTOC");
    if std::env::var("PROTOC").is_err() { panic!("Could not find `protoc`. If `protoc` is installed, set PROTOC") }
}
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace without logs, which no test changes."""
    return small_workspace(tmp_path_factory.mktemp("hints") / "workspace")


def piped(log: bytes | str, *words: str, folder: Path = DATA) -> Said:
    """Give a log to `doit-cargo hint` through a pipe."""
    done = subprocess.run(
        [sys.executable, "-m", "doit_cargo.cli.main", "hint", *words, "-"],
        cwd=folder,
        env=environment(),
        input=log.encode() if isinstance(log, str) else log,
        capture_output=True,
        check=False,
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


# --- the command -----------------------------------------------------------------------------------------------------


@linux
def test_a_log_from_anywhere_tells_cause_fix_and_lines(tmp_path: Path) -> None:
    write(tmp_path / "ci.log", "line one\n" + PROTOC)
    said = call(tmp_path, "doit-cargo", "hint", "ci.log")
    told, fix, line = said.out.splitlines()
    assert (said.status, said.err, told) == (0, "", f"protoc-missing: {CAUSE}")
    assert fix.startswith("  fix      ")
    assert "protobuf" in fix
    assert line == "  line 4   Error: Could not find `protoc`."


def test_a_pipe_is_read_outside_any_workspace(tmp_path: Path) -> None:
    said = piped(PROTOC, folder=tmp_path)
    assert (said.status, said.out.splitlines()[0]) == (0, f"protoc-missing: {CAUSE}")


@linux
def test_json_has_all_of_it() -> None:
    (hint,) = json.loads(piped(PROTOC, "--json").out)["hints"]
    assert (hint["name"], hint["category"], hint["cause"]) == ("protoc-missing", "protoc-missing", CAUSE)
    assert hint["lines"] == [{"number": 3, "text": "Error: Could not find `protoc`."}]
    assert set(hint["fixes"]) >= {"macos", "windows"}
    assert "winget" in hint["fixes"]["windows"]
    assert "seed 002:306" in hint["evidence"]


@linux
def test_a_log_of_another_system_gets_that_systems_fix() -> None:
    log = "C:\\agents\\w\\target\\release\\build\\x\\build-script-build.exe\n" + PROTOC
    (hint,) = json.loads(piped(log, "--json").out)["hints"]
    assert hint["system"] == "windows"
    assert hint["fix"].startswith("winget install Google.Protobuf")


@pytest.mark.parametrize(
    "log", [b"", b"   Compiling app v0.1.0\n    Finished `dev` profile\n", b"\x00\xff\xfe" * 999, b"\n" * 9999]
)
def test_nothing_known_is_said_with_exit_code_1(log: bytes) -> None:
    assert piped(log) == Said(1, "no cause that doit-cargo knows in the input\n", "")
    said = piped(log, "--json")
    assert (said.status, json.loads(said.out)) == (1, {"log": "-", "hints": []})


@needs_cargo
def test_without_a_file_it_is_the_latest_builds_log(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")
    write(workspace / ".logs/build.log", PROTOC)
    (workspace / "app/deep").mkdir()
    said = call(workspace / "app/deep", "doit-cargo", "hint")
    assert (said.status, said.out.splitlines()[0]) == (0, f"protoc-missing: {CAUSE}")
    assert call(tmp_path, "doit-cargo", "-w", str(workspace), "hint").out == said.out
    assert call(workspace, "doit", "hint").out == said.out


REFUSED = [
    (["none.log"], "none.log: cannot be read: No such file or directory", "name a log file"),
    (["app"], "app: cannot be read: Is a directory", "name a log file"),
    (["a", "b"], "hint reads one log, not 2", "for example: doit-cargo hint build.log"),
    ([], "there is no .logs/build.log here yet", "name a log: doit-cargo hint FILE, or - for a pipe"),
]


@needs_cargo
@pytest.mark.parametrize(("words", "what", "fix"), REFUSED, ids=["absent", "folder", "two", "no build yet"])
def test_what_cannot_be_read_is_bad_input(workspace: Path, words: list[str], what: str, fix: str) -> None:
    assert call(workspace, "doit-cargo", "hint", *words) == Said(3, "", f"doit-cargo: {what}\n  fix: {fix}\n")


def test_a_name_with_an_equals_sign_is_a_file(tmp_path: Path) -> None:
    write(tmp_path / "a=b.log", PROTOC)
    assert call(tmp_path, "doit-cargo", "hint", "a=b.log").status == 0


# --- long and strange logs -------------------------------------------------------------------------------------------


def test_line_numbers_count_through_a_long_log(tmp_path: Path) -> None:
    """The cause stands beyond several blocks, in the middle of a block and over the border of one."""
    filler = "   Compiling part v1.0.0 (and more of it, so that the line is as long as lines are)\n"
    for lines in (3 * (1 << 20) // len(filler), (1 << 20) // len(filler), 77_777):
        write(tmp_path / "long.log", filler * lines + PROTOC + filler * 2000)
        (hint,) = json.loads(call(tmp_path, "doit-cargo", "hint", "--json", "long.log").out)["hints"]
        assert hint["lines"] == [{"number": lines + 3, "text": "Error: Could not find `protoc`."}]


def test_a_line_of_megabytes_is_read_in_parts() -> None:
    log = b"x " * 3_000_000 + b"error: Could not find `protoc`. If `protoc` is installed " + b"y " * 3_000_000
    (hint,) = json.loads(piped(log, "--json").out)["hints"]
    assert (hint["name"], hint["lines"][0]["number"]) == ("protoc-missing", 1)
    assert len(hint["lines"][0]["text"]) <= 400


def test_what_must_stand_near_is_found_over_the_border_of_a_block() -> None:
    filler = "   Compiling part v1.0.0\n"
    cause = "error: Failed to clone cutlass repository\nCaused by:\n  No such file or directory (os error 2)\n"
    for missing in range(0, 120, 7):
        log = filler * ((1 << 20) // len(filler) - 4) + "\n" * missing + cause
        assert first(log) == "git-missing-clone"


# --- by itself -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose build script needs protoc."""
    root = small_workspace(tmp_path_factory.mktemp("failing") / "workspace")
    write(root / "low/build.rs", NO_PROTOC)
    return root


@needs_cargo
@pytest.mark.slow
def test_a_failure_ends_with_the_cause_and_the_fix(failing: Path) -> None:
    said = call(failing, "doit-cargo", "dev")
    last = [line for line in said.err.splitlines() if line.startswith("!! ")]
    assert said.status == 1
    assert last[0] == "!! dev  failed: cargo ended with status 101; log: .logs/dev.log"
    assert last[1].startswith(f"!! dev  cause: {CAUSE} (.logs/dev.log:")
    assert last[2].startswith("!! dev    fix: ")
    assert len(last) == 3
    number = int(last[1].rpartition(":")[2].rstrip(")"))
    assert "protoc" in (failing / ".logs/dev.log").read_text().splitlines()[number - 1]


@needs_cargo
@pytest.mark.slow
def test_a_mistake_in_ones_own_code_is_left_to_rustc(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")
    write(workspace / "low/src/lib.rs", "fn f() -> u32 { no_space_left_on_device }\n")
    said = call(workspace, "doit-cargo", "dev")
    assert (said.status, "cause:" in said.err, "fix:" in said.err) == (1, False, False)
    assert call(workspace, "doit-cargo", "hint").status == 1


@needs_cargo
@pytest.mark.slow
def test_hints_are_not_loaded_where_nothing_failed(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")
    command = [sys.executable, "-X", "importtime", "-m", "doit_cargo.cli.main", "dev"]
    for _ in ("built", "up to date"):
        done = subprocess.run(command, cwd=workspace, env=environment(), capture_output=True, text=True, check=True)
        assert "engine.state.receipts" in done.stderr
        assert "engine.hints" not in done.stderr


@needs_cargo
@pytest.mark.slow
def test_a_log_that_is_gone_changes_nothing(failing: Path) -> None:
    code = (
        "import os, sys\n"
        "from doit_cargo.engine import hints\n"
        "hints.load = lambda *_: 1 / 0\n"
        "from doit_cargo.cli.main import main\n"
        "os._exit(main(['dev']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=failing, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "!! dev  failed: cargo ended with status 101; log: .logs/dev.log\n" in done.stderr
    assert "!! dev  no hints: division by zero\n" in done.stderr
    assert "Traceback" not in done.stderr


# --- hints of one's own ----------------------------------------------------------------------------------------------


@needs_cargo
def test_ones_own_hints_lie_over_the_shipped_ones(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")
    write(workspace / "profiles/hints.toml", OWN + "[library.asound_of_ours]\napt = 'ours-dev'\n")
    write(workspace / "x.log", PROTOC + "error: cannot reach licence server lic:27000\n")
    said = call(workspace, "doit-cargo", "hint", "x.log")
    assert said.out.splitlines()[:2] == [
        "licence-server: The licence server lic:27000 does not answer.",
        "  fix      connect the VPN",
    ]
    assert f"protoc-missing: {CAUSE}" in said.out
    assert call(workspace, "doit-cargo", "list").status == 0


BROKEN = [
    ("x = [", "profiles/hints.toml:1: is not TOML: Invalid value", "correct that line"),
    (
        "[hint.x]\npatterns = ['a(']\ncause = 'c'\nfix = { any = 'do it' }\n",
        "profiles/hints.toml:2: hint.x.patterns holds 'a(', which is no regular expression: missing ), "
        "unterminated subpattern at position 1",
        r"correct it, or escape what is meant as it stands: \( \[ \. \*",
    ),
    ("[hint.x]\npatterns = ['a b']\nfix.any = 'f'\n", "profiles/hints.toml:1: hint 'x' has no cause", ""),
    (
        OWN.replace("rank = 1", "rank = 11"),
        "profiles/hints.toml:3: hint.licence-server.rank must be a number from 1 to 9, not a number (11)",
        "write it like 3",
    ),
    (
        OWN.replace("{server}", "{host}"),
        "profiles/hints.toml:5: cause names {host}, which no pattern of hint 'licence-server' has as a group",
        "write (?P<host>...) in a pattern",
    ),
]


@needs_cargo
@pytest.mark.parametrize(("text", "what", "fix"), BROKEN, ids=["TOML", "expression", "incomplete", "rank", "group"])
def test_a_broken_file_is_one_message_and_the_shipped_hints_stay(
    tmp_path: Path, text: str, what: str, fix: str
) -> None:
    workspace = small_workspace(tmp_path / "w")
    write(workspace / "profiles/hints.toml", text)
    write(workspace / "x.log", PROTOC)
    said = call(workspace, "doit-cargo", "hint", "x.log")
    assert (said.status, said.out.splitlines()[0]) == (0, f"protoc-missing: {CAUSE}")
    assert said.err.startswith(f"doit-cargo: {what}\n  fix: {fix}")
    assert said.err.count("profiles/hints.toml") == 1


@needs_cargo
@pytest.mark.slow
def test_a_broken_file_does_not_break_a_build(failing: Path) -> None:
    write(failing / "profiles/hints.toml", "x = [")
    said = call(failing, "doit-cargo", "dev")
    assert said.status == 1
    assert "!! dev  no hints of your own: profiles/hints.toml:1: is not TOML: Invalid value\n" in said.err
    assert f"!! dev  cause: {CAUSE}" in said.err
    assert call(failing, "doit-cargo", "dev", PROTOC=os.devnull).status == 0
