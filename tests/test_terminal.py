"""Programs on a terminal: by a script on a pseudo-terminal, and by hand on a real one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from calling import Said, call, environment, linux
from conftest import needs_cargo, write
from serving import DEV, TOOL, running, started, until

pexpect = pytest.importorskip("pexpect")
pytestmark = [pytest.mark.slow, needs_cargo, linux]
TUI = ("test_tui_auto", "PACKAGE=mistralrs-tui", DEV)


def play(model: Path, script: str, *words: str) -> Said:
    """Let the terminal front-end play a script."""
    write(model / "own.script", script)
    return call(model, "doit-cargo", *(words or TUI), "SCRIPT=own.script")


def transcript(model: Path) -> str:
    return (model / ".testlogs/tui-test.log").read_text()


def test_the_server_talks_by_the_built_in_script(model: Path) -> None:
    said = call(model, "doit-cargo", "test_tui_auto", "MODEL=a/b", DEV)
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines()[-1].endswith("5 steps of the script went well; transcript: .testlogs/tui-test.log")
    assert transcript(model).splitlines()[:3] == [
        "Model a/b. \\help lists the commands.",
        "> \\help",
        "\\help         this text",
    ]


GOOD = """\
# by hand: mistralrs-tui
timeout 20
expect mistralrs>
send help
match models\\s+the models in
send what
expect unknown command 'what'
key up
key ctrl-u
send quit
expect bye
exit 0
"""


def test_a_script_drives_the_program_of_a_package_on_a_terminal(model: Path) -> None:
    said = play(model, GOOD)
    assert (said.status, said.err) == (0, "")
    assert "11 steps of the script went well" in said.out
    # Line-drawing characters and a prompt: the program knows that it is on a terminal. The log is plain text.
    lines = transcript(model).splitlines()
    assert lines[0].startswith("┌─ mistralrs ─")
    assert "mistralrs> help" in lines
    assert "\x1b" not in transcript(model)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("expect mistralrs>\ntimeout 1\nexpect no such text\n", "own.script:3: 'no such text' did not come within 1 s"),
        ("send quit\nexpect no such text\n", "own.script:2: the program ended (status 0) before 'no such text' came"),
        ("send quit\nexit 3\n", "own.script:2: the program ended with status 0, not 3"),
        ("timeout 1\nexpect mistralrs>\nexit 0\n", "own.script:3: the program did not end within 1 s"),
    ],
    ids=["no text", "ended early", "another status", "does not end"],
)
def test_a_program_that_does_not_play_along_fails_with_the_line_and_what_it_shows(
    model: Path, script: str, problem: str
) -> None:
    said = play(model, script)
    assert said.status == 1
    assert said.err.splitlines()[-1].startswith("     ")
    assert [line for line in said.err.splitlines() if line.startswith("!!")] == [
        f"!! test_tui_auto  {problem}; transcript: .testlogs/tui-test.log"
    ]
    assert running("target/debug/mistralrs-tui") == []


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("expct >\nkey ctrl-1\n", "own.script:1: unknown step 'expct'\n  fix: did you mean 'expect'? known: "),
        ("key entr\n", "own.script:1: unknown key 'entr'\n  fix: did you mean 'enter'? known: "),
        ("expect\n", "own.script:1: expect needs a text\n  fix: for example: expect >\n"),
        ("timeout soon\n", "own.script:1: timeout soon is not a time in seconds\n  fix: for example: timeout 10\n"),
        ("exit well\n", "own.script:1: exit well is not a status (0 to 255)\n  fix: for example: exit 0\n"),
        ("match [\n", "own.script:1: '[' is not a regular expression: "),
        ("# nothing\n", "own.script: the script has no step\n  fix: for example: expect >\n"),
    ],
)
def test_a_wrong_script_is_told_before_anything_starts(model: Path, script: str, message: str) -> None:
    said = play(model, script)
    assert (said.status, said.out) == (3, "")
    assert said.err.startswith(f"doit-cargo: {message}")


def test_all_that_is_wrong_with_a_script_is_told_at_once(model: Path) -> None:
    said = play(model, "expct >\nkey x\nexit\n")
    assert [line[:24] for line in said.err.splitlines() if "fix" not in line] == [
        f"doit-cargo: own.script:{number}" for number in (1, 2, 3)
    ]


def test_a_script_that_is_not_there_is_told(model: Path) -> None:
    said = call(model, "doit-cargo", *TUI, "SCRIPT=none.script")
    assert (said.status, said.out) == (3, "")
    assert said.err.endswith(
        "none.script: cannot read the script: No such file or directory\n  fix: SCRIPT= names another file\n"
    )


def test_a_package_without_a_script_of_its_own_needs_one(model: Path) -> None:
    said = call(model, "doit-cargo", *TUI)
    assert said == Said(
        3,
        "",
        "doit-cargo: SCRIPT: test_tui_auto has no script for mistralrs-tui\n"
        "  fix: SCRIPT=FILE with lines such as: expect text, send text, exit 0\n",
    )


def test_a_script_that_is_interrupted_leaves_no_program(model: Path) -> None:
    write(model / "long.script", "expect mistralrs>\ntimeout 60\nexpect never\n")
    with started(model, *TUI, "SCRIPT=long.script") as process:
        assert until(lambda: running("target/debug/mistralrs-tui"))
        process.terminate()
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, running("target/debug/mistralrs-tui")) == (130, [])
    assert out.splitlines()[-1] == "!! test_tui_auto  interrupted; what was started is stopped"


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if len(sys.argv) < 3:
    subprocess.Popen([sys.executable, __file__, sys.argv[1], "child"])
    print("ready", flush=True)
time.sleep(120)
"""


def test_what_a_program_leaves_in_its_group_is_ended_with_it(tmp_path: Path) -> None:
    from doit_cargo.actions.serving.program import ServerCall
    from doit_cargo.actions.serving.script import parse
    from doit_cargo.actions.serving.terminal import _play
    from doit_cargo.engine.base.variables import NONE

    mark = str(tmp_path)
    made = ServerCall((sys.executable, str(write(tmp_path / "stubborn.py", STUBBORN)), mark), {})
    with open(tmp_path / "log", "w", encoding="utf-8") as stream:
        assert _play(made, parse("expect ready", "x"), dict(os.environ), mark, stream, NONE) == ""
    assert until(lambda: running(f"stubborn.py\0{mark}") == [], 5)


def test_the_test_by_hand_needs_a_terminal(model: Path) -> None:
    assert call(model, "doit-cargo", "test_tui", "MODEL=a/b", DEV) == Said(
        2,
        "",
        "doit-cargo: test_tui hands the terminal over, and this is none\n"
        "  fix: doit-cargo test_tui_auto types a script into a terminal of its own\n",
    )


def by_hand(model: Path, *words: str) -> Any:
    return pexpect.spawn(TOOL, list(words), cwd=model, env=environment(), encoding="utf-8", timeout=30)


def test_the_test_by_hand_hands_the_terminal_over(model: Path) -> None:
    child = by_hand(model, "test_tui", "PACKAGE=mistralrs-tui", DEV)
    child.expect_exact("mistralrs> ")
    child.send("help\r")
    child.expect_exact("this text")
    child.send("quit\r")
    child.expect_exact("ok test_tui  the program ended after")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_ctrl_c_ends_the_program_and_says_so(model: Path) -> None:
    child = by_hand(model, "run", "MODEL=a/by-hand", DEV)
    child.expect_exact("> ")
    child.send("Hello!\r")
    child.expect_exact("I am a toy model")
    child.expect_exact("> ")
    child.sendintr()
    child.expect_exact("!! run  interrupted after")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, running("a/by-hand")) == (130, [])


def test_windows_has_no_pseudo_terminal_and_is_told(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from doit_cargo.actions.serving import terminal
    from doit_cargo.engine.base.errors import UserError
    from doit_cargo.engine.base.variables import NONE
    from doit_cargo.session import Session

    session = Session(str(model), dict(os.environ), {})
    session.current = "test_tui_auto"
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(UserError, match="test_tui_auto needs a pseudo-terminal, which Windows has not") as caught:
        terminal.require_script(session, NONE)
    monkeypatch.undo()
    assert (caught.value.code, sys.platform) == (2, "linux")
