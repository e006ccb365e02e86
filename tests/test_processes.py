"""What doit-cargo does with the processes that it starts: the terminal, signals, its own death, what they leave behind.

On a small workspace whose targets are little programs; on terminals of pexpect, with a shell's job control.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calling import call, environment, linux, small_workspace
from conftest import needs_cargo, write
from serving import TOOL, running, started, until

pexpect = pytest.importorskip("pexpect")
Shell = Any  # pexpect has no types
pytestmark = [pytest.mark.slow, needs_cargo, linux]
PROMPT = "ready> "

PACK = """\
[target.ask]
doc = "Asks on the terminal, as ssh does."
run = ["sh", "-c", "printf 'name? ' >/dev/tty; stty -echo </dev/tty; read x </dev/tty; echo got $x"]
[target.reads]
doc = "Reads its standard input."
run = ["sh", "-c", "read x || x=nothing; echo got $x"]
[target.sleeps]
doc = "Starts another program."
run = ["sh", "-c", "sleep 600 & echo begun; wait"]
[target.leaves]
doc = "Leaves a program behind that holds its output."
run = ["sh", "-c", "sleep 600 & echo done"]
[target.lingers]
doc = "Leaves a program behind that goes on writing."
run = ["sh", "-c", "(sleep 0.3; echo soon; sleep 5; echo late) & echo done"]
[target.long]
doc = "Prints one long line."
run = ["sh", "-c", "head -c 24000000 /dev/zero | tr '\\\\0' x"]
"""
BUILD_SCRIPT = """\
fn main() {
    println!("cargo:rerun-if-env-changed=AGAIN");
    let done = std::process::Command::new("doit-cargo").args(["check", "FORCE=1"]).output().unwrap();
    eprintln!("{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0));
}
"""
SLEEPING = 'fn main() { std::process::Command::new("sleep").arg("600").status().unwrap(); }'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = small_workspace(tmp_path_factory.mktemp("processes") / "ws")
    write(made / "profiles/pack.toml", PACK)
    return made


@pytest.fixture
def shell(root: Path) -> Iterator[Shell]:
    """An interactive shell on a terminal, in the workspace."""
    env = environment(PS1=PROMPT)
    child = pexpect.spawn("bash", ["--norc", "--noediting", "-i"], cwd=root, env=env, encoding="utf-8", timeout=30)
    child.expect_exact(PROMPT)
    yield child
    child.close(force=True)


def status(shell: Shell) -> int:
    shell.expect_exact(PROMPT)
    shell.sendline("echo status=$?")
    shell.expect(r"status=(\d+)\r")
    found = int(shell.match[1])
    shell.expect_exact(PROMPT)
    return found


# --- the terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["ask", "reads"])
def test_a_program_that_reads_the_terminal_gets_it(shell: Shell, target: str) -> None:
    shell.sendline(f"doit-cargo {target}")
    if target == "ask":
        shell.expect_exact("name? ")
    shell.sendline("joe")
    shell.expect_exact("got joe")
    assert status(shell) == 0
    shell.sendline("stty -a | grep -ow -e '-*echo'")
    shell.expect(r"\r\n(-?echo)\r")
    assert shell.match[1] == "echo"


def test_without_a_terminal_a_program_reads_nothing(root: Path) -> None:
    said = call(root, "doit-cargo", "reads")
    assert (said.status, "got nothing" in said.out) == (0, True)


def test_ctrl_z_stops_all_and_fg_resumes_all(shell: Shell, root: Path) -> None:
    shell.sendline("doit-cargo sleeps")
    shell.expect_exact("begun\r\n")
    shell.send("\x1a")
    shell.expect_exact("Stopped")
    shell.expect_exact(PROMPT)
    stopped = mine(root)
    assert [state_of(pid) for pid in stopped] == ["T", "T"]
    shell.sendline("fg")
    assert until(lambda: [state_of(pid) for pid in stopped] == ["S", "S"])
    shell.sendintr()
    shell.expect_exact("interrupted after")
    assert status(shell) == 130
    assert until(lambda: all(state_of(pid) in ("", "Z") for pid in stopped))


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_ctrl_z_and_ctrl_c_reach_a_program_that_has_the_terminal(shell: Shell) -> None:
    shell.sendline("doit-cargo ask")
    shell.expect_exact("name? ")
    assert reads(shell)
    shell.send("\x1a")
    shell.expect_exact("Stopped")
    shell.expect_exact(PROMPT)
    shell.sendline("fg")
    assert reads(shell)
    shell.sendintr()
    shell.expect_exact("interrupted after")
    assert status(shell) == 130


def test_a_background_job_that_wants_the_terminal_is_stopped_as_the_shell_knows_it(shell: Shell) -> None:
    shell.sendline("doit-cargo ask &")
    shell.expect_exact("name? ")
    assert until(lambda: shell.sendline("jobs") and shell.expect(["Stopped", pexpect.TIMEOUT], timeout=1) == 0)
    shell.sendline("fg")
    assert reads(shell)
    shell.sendline("ann")
    shell.expect_exact("got ann")


def reads(shell: Shell) -> bool:
    """Wait until the program has the terminal again: it has turned the echo off, as the shell never does."""
    return until(lambda: not shell.getecho(), 30)


# --- our own death ---------------------------------------------------------------------------------------------------


def mine(root: Path) -> list[int]:
    """Return the processes of our runs in this workspace."""
    found = []
    for pid in running("DOIT_CARGO_RUN="):
        try:
            found += [pid] if os.readlink(f"/proc/{pid}/cwd") == str(root) else []
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_no_signal_leaves_anything_running(root: Path, number: int) -> None:
    with started(root, "sleeps") as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        assert until(lambda: len(mine(root)) == 2), "a process that is just being replaced shows no environment"
        process.send_signal(number)
        assert until(lambda: not mine(root), 10)
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in out) == (-9 if number == signal.SIGKILL else 130, False)


def test_what_a_killed_run_and_its_guard_left_is_ended_by_the_next(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "ws")
    gate = write(root / "low/build.rs", SLEEPING)
    with started(root, "check") as process:
        assert until(lambda: (root / ".doit-cargo/lock").exists() and len(mine(root / "low")) == 2)
        mark = (root / ".doit-cargo/lock").read_text().split()[-2]
        for pid in running(mark):
            if b"import guard" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        assert mine(root / "low"), "nobody has ended it yet"
        gate.unlink()
        said = call(root, "doit-cargo", "check")
        assert (said.status, mine(root / "low")) == (0, [])
    assert said.err.startswith("ended what a killed doit-cargo run had left: ")


# --- what is left behind, and who waits for whom ---------------------------------------------------------------------


def test_a_program_that_was_left_behind_is_named_and_not_waited_for(root: Path) -> None:
    said = call(root, "doit-cargo", "leaves")
    left = mine(root)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert (said.status, len(left)) == (0, 1)
    text = f"left behind by it and not waited for: sleep (process {left[0]}) still holds its output\n"
    assert (said.err, "done\n" in said.out) == (text, True)
    assert text in (root / ".logs/leaves.log").read_text()


def test_what_is_left_behind_may_say_a_little_more_and_is_read_no_longer(root: Path) -> None:
    said = call(root, "doit-cargo", "lingers")
    assert (said.status, "done\nsoon\n" in said.out, "late" in said.out) == (0, True, False)
    assert "still holds its output" in said.err


def test_a_build_script_that_calls_doit_cargo_in_its_own_workspace_is_told_at_once(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "ws")
    write(root / "low/build.rs", BUILD_SCRIPT)
    said = call(root, "doit-cargo", "check")
    assert said.status == 1
    assert "this call waits for its own caller: process " in said.err
    assert "left: Some(2)" in said.err


def test_a_line_without_an_end_costs_no_more_than_its_length(root: Path) -> None:
    said = call(root, "doit-cargo", "long")
    assert (said.status, said.out.count("x") >= 24_000_000) == (0, True)
    assert (root / ".logs/long.log").stat().st_size > 24_000_000


# --- streams ---------------------------------------------------------------------------------------------------------

FULL = "cannot write to standard output: No space left on device"
STREAMS = {
    "list >&-": (0, ""),
    "list >&- 2>&- <&-": (0, ""),
    "list > /dev/full": (2, f"doit-cargo: {FULL}\n"),
    "list | true": (141, ""),
    "reads >&- 2>&- <&-": (0, ""),
    "reads > /dev/full 2>&1": (0, ""),
    "reads 2>/dev/null | true": (0, ""),
    "nope > /dev/full 2>&1": (3, ""),
}


@pytest.mark.parametrize("door", ["doit-cargo", "doit"])
@pytest.mark.parametrize("words", STREAMS)
def test_closed_full_and_unread_streams_end_in_the_right_status(root: Path, door: str, words: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {door} {words}"],
        cwd=root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == STREAMS[words]


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    script = f'mkdir "{tmp_path}/gone"; cd "{tmp_path}/gone"; rmdir "{tmp_path}/gone"; exec "{TOOL}" build'
    done = subprocess.run(["bash", "-c", script], env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "doit-cargo: the folder that this was called in is gone",
    )
