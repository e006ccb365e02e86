"""Three doors, one house: what `doit X`, `doit-cargo X` and `make X` do and say is the same."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from calling import (
    DODO,
    MAKE,
    Said,
    call,
    calls_of,
    counting_cargo,
    environment,
    linux,
    needs_make,
    posix,
    small_workspace,
)
from conftest import needs_cargo, write

pytestmark = [needs_cargo, posix]

SECONDS = re.compile(r"\d+\.\d+ ?s\b|\d+\.\d+s\b")
DOORS = ["doit", "doit-cargo", pytest.param("make", marks=needs_make)]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return small_workspace(tmp_path / "workspace")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose debug build is fresh. For tests that change nothing in it."""
    root = small_workspace(tmp_path_factory.mktemp("built") / "workspace")
    assert call(root, "doit-cargo", "makefile").status == 0
    assert call(root, "doit-cargo", "dev").status == 0
    return root


def through(door: str, folder: Path, *words: str) -> Said:
    """Call a target through one of the doors."""
    return call(folder, MAKE if door == "make" else door, *words)


def listing(folder: Path, *words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(call(folder, "doit-cargo", "list", "--json", *words).out)
    return rows


def plan(folder: Path, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call(folder, "doit-cargo", "plan", "--json", *words).out)
    return found


def timeless(said: Said) -> Said:
    """Return what was said without how long it took."""
    return Said(said.status, SECONDS.sub("_ s", said.out), SECONDS.sub("_ s", said.err))


# --- the same through each door --------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["doit", pytest.param("make", marks=needs_make)])
@pytest.mark.parametrize("word", ["version", "info", "profiles", "dev"])
def test_a_word_says_the_same_as_through_doit_cargo(built: Path, door: str, word: str) -> None:
    expected = call(built, "doit-cargo", word)
    assert (expected.status, len(expected.out) > 10) == (0, True)
    assert through(door, built, word) == expected


@pytest.mark.parametrize(
    "words",
    [("why", "dev"), ("why", "--json", "check"), ("plan", "dev", "JOBS=3"), ("profiles", "release"), ("makefile",)],
)
def test_a_command_says_the_same_through_doit(built: Path, words: tuple[str, ...]) -> None:
    expected = call(built, "doit-cargo", *words)
    assert (expected.status, len(expected.out) > 10) == (0, True)
    assert call(built, "doit", *words) == expected


def test_help_is_the_same_and_doit_adds_where_its_own_is(built: Path) -> None:
    expected = call(built, "doit-cargo", "help")
    assert expected.status == 0
    assert call(built, "doit-cargo") == expected
    assert call(built, "doit") == expected
    assert call(built, "doit", "help") == Said(0, expected.out + "\ndoit's own commands: doit --help\n", "")


@needs_make
def test_list_shows_the_same_targets_with_the_same_words(built: Path) -> None:
    expected = call(built, "doit-cargo", "list")
    assert call(built, MAKE, "list") == expected
    assert call(built, "doit", "list") == expected


def test_list_of_doit_shows_other_tasks_too_and_keeps_its_options(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "workspace")
    own = 'def task_mine():\n    """Mine."""\n    return {\'actions\': []}\n'
    write(root / "dodo.py", DODO + own)
    plain, quiet = call(root, "doit", "list"), call(root, "doit", "list", "-q")
    assert plain.out.endswith("other tasks:\n  mine  Mine.\n")
    assert plain.out.startswith(call(root, "doit-cargo", "list").out)
    assert {"mine", "build", "build_app"} <= set(quiet.out.split())
    assert call(root, "doit", "list", "mine").out.split() == ["mine", "Mine."]


@pytest.mark.slow
@pytest.mark.parametrize("word", ["dev", "check"])
def test_a_run_makes_the_same_and_says_the_same(tmp_path: Path, word: str) -> None:
    said, logs = {}, {}
    for door in ("doit", "doit-cargo", "make"):
        root = small_workspace(tmp_path / door / "workspace")
        assert call(root, "doit-cargo", "makefile").status == 0
        first, second = through(door, root, word), through(door, root, word)
        said[door] = [Said(s.status, s.out, s.err.replace(str(root), "")) for s in map(timeless, (first, second))]
        logs[door] = (root / f".logs/{word}.log").read_text().splitlines()[2:3]
    assert said["doit"] == said["doit-cargo"] == said["make"]
    assert logs["doit"] == logs["doit-cargo"] == logs["make"]
    assert said["doit"][0].out.startswith(
        f".. {word}  no successful run is on record\nok {word}  _ s: compiled 2 of 2 packages (low, app)"
    )
    assert said["doit"][1].out.startswith(f"-- {word}  up to date: 2 packages, ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("doit", "clean"), ("doit", "run", "clean"), ("doit-cargo", "clean"), ("make", "clean")]
)
def test_clean_removes_what_cargo_built_and_what_we_remember(workspace: Path, words: tuple[str, str]) -> None:
    assert call(workspace, "doit-cargo", "makefile").status == 0
    assert call(workspace, "doit-cargo", "dev").status == 0
    said = call(workspace, *words)
    assert said.status == 0
    assert re.search(r"^\.\. clean  target is gone, and all receipts$", said.out, re.MULTILINE)
    assert not (workspace / "target").exists()
    assert call(workspace, "doit-cargo", "dev").out.startswith(".. dev  no successful run is on record\nok dev  ")


# --- doit's own words ------------------------------------------------------------------------------------------------


def test_help_with_a_word_is_doit_s_own(built: Path) -> None:
    said = call(built, "doit", "help", "forget")
    assert (said.status, said.out.splitlines()[:2]) == (
        0,
        ["PURPOSE", "    clear successful run status from internal DB"],
    )


def test_info_of_a_task_is_doit_s_own_and_says_whether_it_would_run(built: Path) -> None:
    fresh, stale = call(built, "doit", "info", "dev"), call(built, "doit", "info", "build")
    assert (fresh.status, stale.status) == (0, 1)
    assert "\nstatus     : up-to-date\n" in fresh.out
    assert " * What makes it run:\n    - " in stale.out
    assert "no successful run is on record" in stale.out


def test_clean_of_a_target_says_what_it_removes(workspace: Path) -> None:
    assert call(workspace, "doit-cargo", "dev").status == 0
    said = call(workspace, "doit", "clean", "dev")
    assert (said.status, (workspace / "target").exists()) == (0, False)
    assert said.out.endswith(".. clean  target is gone, and all receipts\n")


def test_the_other_commands_of_doit_work(built: Path) -> None:
    for words in (
        ("list", "--all", "--status"),
        ("help", "--", "help"),
        ("forget",),
        ("list", "dev"),
    ):
        said = call(built, "doit", *words)
        assert (words, said.status, said.err) == (words, 0, "")


FOREIGN = """\
def task_greet():
    return {"actions": ["echo hello"], "doc": "say hello", "targets": ["never"], "clean": ["echo cleaned"]}
"""


def test_in_a_foreign_dodo_py_doit_s_own_commands_are_unchanged(tmp_path: Path) -> None:
    write(tmp_path / "with/dodo.py", FOREIGN)
    write(tmp_path / "without/dodo.py", FOREIGN)
    # Without our plugins, which are entry points of the distribution: this doit sees none.
    bare = """
import importlib.metadata, sys
importlib.metadata.entry_points = lambda **_: []
sys.argv[0] = "doit"
from doit.doit_cmd import DoitMain
sys.exit(DoitMain().run(sys.argv[1:]))
"""
    for words in (("list",), ("info", "greet"), ("clean",), ("clean", "greet"), ("greet",), (), ("help", "list")):
        ours = call(tmp_path / "with", "doit", *words)
        theirs = call(tmp_path / "without", sys.executable, "-c", bare, *words)
        assert (words, ours.status, ours.err) == (words, theirs.status, theirs.err)
        # The one difference: the backend that we add to the choices of --backend.
        assert ours.out.replace("dbm, doit-cargo, json", "dbm, json") == theirs.out
    said = call(tmp_path / "with", "doit", "help")
    assert said.out.startswith("doit ")
    assert "doit list" in said.out


@pytest.mark.parametrize("word", ["why", "plan", "makefile", "profiles"])
def test_in_a_foreign_dodo_py_our_commands_say_what_they_need(tmp_path: Path, word: str) -> None:
    write(tmp_path / "dodo.py", FOREIGN)
    said = call(tmp_path, "doit", word)
    assert (said.status, said.out) == (3, "")
    assert said.err.strip() == f"ERROR: `{word}` needs a dodo.py with doit_cargo.api.targets_of"


def test_a_task_of_the_user_s_own_stands_beside_ours(workspace: Path) -> None:
    write(workspace / "dodo.py", DODO + FOREIGN)
    said = call(workspace, "doit", "greet", "version")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(".  greet\n")
    assert said.out.endswith(call(workspace, "doit-cargo", "version").out)


# --- where -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["dev", "why", "plan", "list", "info"])
def test_w_names_the_workspace_or_a_folder_below_it(built: Path, tmp_path: Path, word: str) -> None:
    words = (word, "dev") if word in ("why", "plan") else (word,)
    expected = call(built, "doit-cargo", *words)
    assert expected.status == 0
    assert call(tmp_path, "doit-cargo", "-w", str(built), *words) == expected
    assert call(tmp_path, "doit-cargo", *words, "-w", str(built / "low/src")) == expected
    assert call(built.parent, "doit-cargo", *words, "--workspace=workspace") == expected


def test_w_counts_more_than_the_workspace_at_hand(built: Path, workspace: Path) -> None:
    for words in (("why", "dev"), ("dev",)):
        said = call(built, "doit-cargo", *words, "-w", str(workspace))
        assert (said.status, "up to date" in said.out) == (0, False)
    assert (workspace / "target/debug/app").exists()


@pytest.mark.parametrize("word", ["dev", "list", "info"])
def test_a_folder_below_the_workspace_leads_to_it(built: Path, word: str) -> None:
    assert call(built / "app/src", "doit-cargo", word) == call(built, "doit-cargo", word)


def satellite(root: Path) -> Path:
    """Write a workspace with a lock of its own inside another one."""
    inner = small_workspace(root / "tools/inner")
    manifest = root / "Cargo.toml"
    manifest.write_text(manifest.read_text() + 'exclude = ["tools"]\n')
    return inner


@pytest.mark.slow
def test_a_workspace_nested_in_another_is_its_own(workspace: Path) -> None:
    inner = satellite(workspace)
    assert call(workspace, "doit-cargo", "dev").status == 0
    said = call(inner / "app", "doit-cargo", "dev")
    assert (said.status, said.out.splitlines()[0]) == (0, ".. dev  no successful run is on record")
    assert (inner / "target/debug/app").exists()
    write(inner / "low/src/lib.rs", "pub fn f() {}\n")
    assert call(workspace / "app", "doit-cargo", "dev").out.startswith("-- dev  up to date: ")
    assert call(inner / "app", "doit-cargo", "dev").out.startswith(
        ".. dev  low changed (low/src/lib.rs); that rebuilds app\n"
    )


def test_a_nested_workspace_that_was_never_built_is_not_taken_for_the_outer_one(built: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    shutil.copytree(built, outer, ignore=shutil.ignore_patterns(".doit-cargo", "target"))
    inner = satellite(outer)
    assert call(outer, "doit-cargo", "dev").status == 0
    assert call(inner, "doit-cargo", "info").out.splitlines()[0] == f"workspace         {inner}"


def test_the_state_may_be_elsewhere(workspace: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = call(workspace, "doit-cargo", "dev", DOIT_CARGO_STATE=str(state))
    second = call(workspace / "low", "doit-cargo", "dev", DOIT_CARGO_STATE=str(state))
    assert (first.status, second.status) == (0, 0)
    assert second.out.startswith("-- dev  up to date: ")
    assert not (workspace / ".doit-cargo").exists()
    assert len(list(state.iterdir())) == 1


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_a_checkout_that_was_copied_or_moved_with_its_state_is_another_one(tmp_path: Path, how: str) -> None:
    first, second = small_workspace(tmp_path / "first"), tmp_path / "second"
    assert call(first, "doit-cargo", "dev").status == 0
    if how == "copied":
        shutil.copytree(first, second, copy_function=shutil.copy2)
    else:
        first.rename(second)
    write(second / "app/src/lib.rs", "this does not compile\n")
    said = call(second, "doit-cargo", "dev")
    assert said.status == 1
    assert str(second / "app") in said.err
    assert call(second, "doit-cargo", "info").out.splitlines()[0] == f"workspace         {second}"


# --- several targets -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_two_targets_in_one_call_run_in_the_order_given(workspace: Path, door: str) -> None:
    assert call(workspace, "doit-cargo", "makefile").status == 0
    name = "check_server" if door == "doit" else "check-server"
    said = through(door, workspace, name, "dev", "version")
    marks = [line.split("  ")[0] for line in said.out.splitlines()]
    assert (said.status, marks[:4]) == (0, [".. check_server", "ok check_server", ".. dev", "ok dev"])
    assert call(workspace, "doit-cargo", "version").out in said.out


def test_of_several_targets_only_the_stale_one_runs(workspace: Path, tmp_path: Path) -> None:
    path = counting_cargo(tmp_path / "bin")
    assert call(workspace, "doit-cargo", "dev", PATH=path).status == 0
    said = call(workspace, "doit-cargo", "dev", "check", PATH=path)
    marks = [line.split("  ")[0] for line in said.out.splitlines()]
    assert (said.status, marks[:4]) == (0, ["-- dev", ".. check", "ok check", ""])
    assert marks[-3:] == ["done", "skipped", "failed"]
    calls = calls_of(tmp_path / "bin")
    assert (calls.count("build"), calls.count("check")) == (1, 1)


# --- for machines ----------------------------------------------------------------------------------------------------


@linux
def test_list_json_tells_all_targets_with_why_one_is_absent(built: Path) -> None:
    rows = listing(built)
    assert all(
        list(row) == ["name", "make_name", "family", "doc", "available", "listed", "reason", "kind", "rule"]
        for row in rows
    )
    by_name = {row["name"]: row for row in rows}
    assert by_name["dev_fast"] == {
        "name": "dev_fast",
        "make_name": "dev-fast",
        "family": "build",
        "doc": "Build the whole workspace in debug mode for small edits: incremental, without the compiler cache.",
        "available": True,
        "listed": True,
        "reason": "",
        "kind": "cargo",
        "rule": "",
    }
    assert (by_name["build_metal"]["available"], by_name["build_metal"]["reason"]) == (
        False,
        "builds only on macos; this is linux",
    )
    assert (by_name["build_cuda"]["available"], by_name["build_cuda"]["reason"]) == (
        False,
        "none of the selected packages (app, low) has the feature 'cuda', asked for by profiles/base/cuda.toml:3",
    )
    shown = call(built, "doit-cargo", "list").out
    written = [row["name"] for row in rows if row["available"] and row["listed"] and not row["rule"]]
    assert sorted(written) == sorted(re.findall(r"^  (\w+) ", shown, re.MULTILINE))
    assert re.findall(r"^  (build_<package>) +(.*)", shown, re.MULTILINE) == [
        ("build_<package>", "As build, for one package: app, low.")
    ]
    every = call(built, "doit-cargo", "list", "--all").out
    assert sorted(row["name"] for row in rows if not row["rule"]) == sorted(
        re.findall(r"^  (\w+) ", every, re.MULTILINE)
    )
    assert f"(not here: {by_name['build_metal']['reason']})\n" in every


def test_plan_json_tells_what_a_target_would_run_and_runs_nothing(workspace: Path, tmp_path: Path) -> None:
    path = counting_cargo(tmp_path / "bin")
    words = ("plan", "--json", "build-low-memory", "FEATURES=fast", "PACKAGE=app")
    said = call(workspace, "doit-cargo", *words, PATH=path)
    found = json.loads(said.out)
    assert (said.status, set(calls_of(tmp_path / "bin"))) == (0, {"metadata"})
    assert not (workspace / "target").exists()
    assert not (workspace / ".logs").exists()
    step = found["steps"][0]
    assert list(found) == [
        *("target", "profile", "packages", "features", "cargo_profile", "steps", "outputs", "needs", "log", "notes")
    ]
    assert list(step) == ["argv", "env", "unset", "path_prepend", "cwd"]
    assert {
        key: found[key] for key in ("target", "profile", "packages", "features", "cargo_profile", "needs", "log")
    } == {
        "target": "build_low_memory",
        "profile": "low_memory",
        "packages": ["app"],
        "features": ["fast"],
        "cargo_profile": "low-memory",
        "needs": {},
        "log": f"{workspace}/.logs/build-low-memory.log",
    }
    assert step["argv"][:4] == ["cargo", "build", "--profile", "low-memory"]
    assert (step["cwd"], found["outputs"]) == (str(workspace), [f"{workspace}/target/low-memory/app"])


def test_what_plan_tells_is_what_runs(workspace: Path, tmp_path: Path) -> None:
    path = counting_cargo(tmp_path / "bin")
    words = ("dev", "FEATURES=fast", "JOBS=1")
    argv = plan(workspace, *words)["steps"][0]["argv"]
    assert call(workspace, "doit-cargo", *words, PATH=path).status == 0
    assert " ".join(argv[1:]) == "build --features fast --jobs 1"
    ran = [line for line in (tmp_path / "bin/calls").read_text().splitlines() if line.startswith("build")]
    assert ran == [" ".join([*argv[1:], "--message-format=json-diagnostic-rendered-ansi"])]


def test_several_plans_are_a_list(built: Path) -> None:
    assert [one["target"] for one in json.loads(call(built, "doit-cargo", "plan", "--json", "dev", "check").out)] == [
        "dev",
        "check",
    ]


def test_why_json_tells_roots_and_what_they_rebuild(workspace: Path, tmp_path: Path) -> None:
    path = counting_cargo(tmp_path / "bin")
    assert call(workspace, "doit-cargo", "dev", PATH=path).status == 0
    write(tmp_path / "bin/calls", "")
    fresh = json.loads(call(workspace, "doit-cargo", "why", "dev", "--json", PATH=path).out)
    assert fresh == {
        "target": "dev",
        "fresh": True,
        "changes": [],
        "changed": [],
        "rebuilds": [],
        "skipped": 2,
        "always": False,
        "unobserved": [],
        "seconds": 0.0,
        "takes": "",
    }
    write(workspace / "low/src/lib.rs", "pub fn f() {}\n")
    stale = json.loads(call(workspace, "doit-cargo", "why", "dev", "--json", PATH=path).out)
    change = {"kind": "file", "subject": "low/src/lib.rs", "package": "low"}
    assert [{key: found[key] for key in change} for found in stale.pop("changes")] == [change]
    assert stale.pop("seconds") > 0
    assert stale.pop("takes").startswith(("a second or two", "a few seconds", "about "))
    assert stale == {
        "target": "dev",
        "fresh": False,
        "changed": ["low"],
        "rebuilds": ["low", "app"],
        "skipped": 0,
        "always": False,
        "unobserved": [],
    }
    assert set(calls_of(tmp_path / "bin")) <= {"metadata"}
    always = json.loads(call(workspace, "doit-cargo", "why", "version", "--json").out)
    assert (always["fresh"], always["always"]) == (False, True)


# --- logs ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_target_has_its_log_and_build_log_is_the_latest_build(workspace: Path) -> None:
    logs = workspace / ".logs"
    assert call(workspace, "doit-cargo", "dev").status == 0
    assert (logs / "build.log").read_text() == (logs / "dev.log").read_text()
    assert call(workspace, "doit-cargo", "check").status == 0
    assert (logs / "build.log").read_text() == (logs / "dev.log").read_text()
    dev = (logs / "dev.log").read_text()
    assert call(workspace, "doit-cargo", "build-server").status == 0
    assert (logs / "build.log").read_text() == (logs / "build-server.log").read_text()
    assert call(workspace, "doit-cargo", "build").status == 0
    build = (logs / "build.log").read_text()
    assert build.startswith("# doit-cargo build\n")
    write(workspace / "app/src/bin/app.rs", "fn main() { wrong }\n")
    assert call(workspace, "doit-cargo", "dev-fast").status == 1
    assert (logs / "build.log").read_text() == (logs / "dev-fast.log").read_text()
    assert (logs / "dev.log").read_text() == dev
    assert sorted(path.name for path in logs.iterdir() if not path.name.startswith(".")) == [
        *("build-server.log", "build.log", "check.log", "dev-fast.log", "dev.log")
    ]
    assert (logs / ".gitignore").read_text() == "*\n"


@pytest.mark.slow
def test_a_failed_build_ends_with_one_and_names_its_log(workspace: Path) -> None:
    write(workspace / "app/src/lib.rs", 'pub fn f() -> u32 { "no" }\n')
    said = call(workspace, "doit-cargo", "dev")
    assert (said.status, said.out) == (1, ".. dev  no successful run is on record\n")
    assert said.err.splitlines()[-1] == "!! dev  failed: cargo ended with status 101; log: .logs/dev.log"
    assert "error[E0308]: mismatched types" in said.err
    assert "error[E0308]: mismatched types" in (workspace / ".logs/dev.log").read_text()
    assert call(workspace, "doit", "dev").status == 1
    write(workspace / "app/src/lib.rs", "")
    assert call(workspace, "doit-cargo", "dev").status == 0


@pytest.mark.slow
def test_after_a_failure_the_targets_that_follow_do_not_run(workspace: Path) -> None:
    write(workspace / "app/src/lib.rs", "wrong\n")
    said = call(workspace, "doit-cargo", "dev", "version")
    assert (said.status, "    version  not run\n" in said.out) == (1, True), said.out
    assert said.out.endswith("skipped  0 targets\nfailed   1 target: dev; doit-cargo rerun does it again\n")


class Terminal:
    """A program that runs in a terminal of its own, `columns` wide."""

    def __init__(self, folder: Path, *words: str, columns: int = 90, **variables: str) -> None:
        control, terminal = pty.openpty()
        subprocess.run([shutil.which("stty") or "stty", "cols", str(columns), "rows", "30"], stdin=terminal, check=True)
        program = shutil.which(words[0], path=environment()["PATH"]) or words[0]
        environ = {**environment(), "TERM": "xterm-256color", **variables}
        process = subprocess.Popen(
            [program, *words[1:]], cwd=folder, env=environ, stdin=terminal, stdout=terminal, stderr=terminal
        )
        os.close(terminal)
        self.text = self._read(control)
        self.status = process.wait()

    @staticmethod
    def _read(control: int) -> str:
        chunks = []
        try:
            while chunk := os.read(control, 65536):
                chunks.append(chunk)
        except OSError:
            pass  # Linux says EIO where the last process has closed the terminal
        finally:
            os.close(control)
        return b"".join(chunks).decode()


WARNS = "pub fn f() { let unused = 1; }\n"


@pytest.mark.slow
def test_a_terminal_gets_colours_and_a_progress_bar_and_the_log_is_plain(workspace: Path) -> None:
    write(workspace / "app/src/lib.rs", WARNS)
    terminal = Terminal(workspace, "doit-cargo", "dev")
    log = (workspace / ".logs/dev.log").read_text()
    assert terminal.status == 0
    assert re.search(r"\x1b\[[0-9;]*m.*Compiling", terminal.text)
    assert re.search(r"Building\S* \[[=> ]*\] \d/\d", re.sub(r"\x1b\[[0-9;]*m", "", terminal.text))
    assert re.search(r"\x1b\[[0-9;]*m\S*warning", terminal.text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", log)
    assert "Building [" not in log
    assert [line.split("(")[0].rstrip() for line in log.splitlines() if "Compiling" in line] == [
        "   Compiling low v0.1.0",
        "   Compiling app v0.1.0",
    ]
    assert "warning: unused variable: `unused`\n" in log


@pytest.mark.slow
def test_no_color_is_obeyed_in_a_terminal(workspace: Path) -> None:
    write(workspace / "app/src/lib.rs", WARNS)
    terminal = Terminal(workspace, "doit-cargo", "dev", NO_COLOR="1", CARGO_TERM_PROGRESS_WHEN="never")
    assert (terminal.status, re.findall(r"\x1b\[[0-9;]*[1-9][0-9;]*m", terminal.text)) == (0, [])
    assert "warning: unused variable: `unused`" in terminal.text


@pytest.mark.slow
def test_no_terminal_gets_no_control_sequences(workspace: Path) -> None:
    write(workspace / "app/src/lib.rs", WARNS)
    said = call(workspace, "doit-cargo", "dev")
    again = call(workspace, "doit-cargo", "dev")
    assert "\x1b" not in said.out + said.err + again.out + again.err
    assert "warning: unused variable: `unused`\n" in said.err
    assert "warning: unused variable: `unused`\n" in again.err


@pytest.mark.slow
def test_secrets_are_in_no_log_and_in_no_state(workspace: Path) -> None:
    write(workspace / "profiles/dev.toml", '[env]\nAPI_TOKEN = "hush-1"\nDB_PASSWORD = "hush-2"\n')
    write(workspace / "app/build.rs", 'fn main() { println!("cargo::rerun-if-env-changed=MY_SECRET"); }\n')
    said = call(workspace, "doit-cargo", "dev", MY_SECRET="hush-3", CARGO_REGISTRY_TOKEN="hush-4")
    assert said.status == 0
    why = call(workspace, "doit-cargo", "why", "dev", MY_SECRET="hush-5", CARGO_REGISTRY_TOKEN="hush-6")
    assert re.search(r"^  env +MY_SECRET: changed$", why.out, re.MULTILINE)
    log = (workspace / ".logs/dev.log").read_text()
    assert "# API_TOKEN=***\n# DB_PASSWORD=***\n" in log
    assert "hush" not in log + said.out + said.err + why.out + why.err
    kept = [path.read_bytes() for path in (workspace / ".doit-cargo").rglob("*") if path.is_file()]
    assert len(kept) > 4
    assert [content for content in kept if re.search(rb"hush-[3-6]", content)] == []
