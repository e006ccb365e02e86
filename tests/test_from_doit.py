"""doit's own words, for targets: what they rest on, why they would run, and tasks of one's own that rest on them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from calling import DODO, calls_of, counting_cargo, posix, small_workspace
from calling import forked_call as call
from conftest import needs_cargo, write

pytestmark = [needs_cargo, posix]

OWN = """
from doit_cargo.api import built_by


def task_pack():
    return {
        "actions": ["cp %(dependencies)s app.packed"],
        "file_dep": ["target/debug/app"],
        "targets": ["app.packed"],
    }


def task_named():
    return {"actions": ["echo ran"], **built_by("dev")}


def task_chosen():
    return {"actions": ["true"], "file_dep": ["target/debug/app"], "task_dep": ["dev_app"]}


def task_foreign():
    return {"actions": ["true"], "file_dep": ["Cargo.toml"]}


def task_broken():
    return {"actions": ["false"]}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with tasks of the user's own, whose debug build is fresh. For tests that change nothing in it."""
    root = workspace_in(tmp_path_factory.mktemp("built"))
    assert call(root, "doit", "dev").status == 0
    return root


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return workspace_in(tmp_path)


def workspace_in(folder: Path) -> Path:
    root = small_workspace(folder / "workspace")
    write(root / "dodo.py", DODO + OWN)
    return root


def sections(text: str) -> dict[str, list[str]]:
    """Return the lists of `doit info` by their names."""
    found = re.findall(r"^(\w+) +: \n((?: - .*\n)+)", text, re.MULTILINE)
    return {name: [line.removeprefix(" - ") for line in lines.splitlines()] for name, lines in found}


# --- what a target rests on ------------------------------------------------------------------------------------------


def test_info_tells_file_dependencies_outputs_and_that_a_target_is_fresh(built: Path) -> None:
    said = call(built, "doit", "info", "dev")
    assert (said.status, said.err) == (0, "")
    assert "\nstatus     : up-to-date\n" in said.out
    found = sections(said.out)
    assert {"Cargo.lock", "Cargo.toml", "app/Cargo.toml", "low/Cargo.toml"} <= set(found["file_dep"])
    assert [Path(name).name for name in found["file_dep"] if "profiles" in name] == ["dev.toml", "pack.toml"]
    assert found["outputs"] == ["target/debug/app"]
    assert "object at" not in said.out


def test_info_tells_why_a_target_is_stale(workspace: Path) -> None:
    assert call(workspace, "doit", "dev").status == 0
    write(workspace / "low/src/lib.rs", "pub fn changed() {}\n")
    said = call(workspace, "doit", "info", "dev")
    assert said.status == 1
    reason = f"    - file {workspace}/low/src/lib.rs: changed\n"
    assert f"\nstatus     : run\n * What makes it run:\n{reason}\nfile_dep" in said.out


@pytest.mark.parametrize(("name", "why"), [("version", "It runs each time"), ("ci", "It is as fresh as its parts")])
def test_info_of_a_target_without_a_proof_says_so(built: Path, name: str, why: str) -> None:
    said = call(built, "doit", "info", name)
    assert (said.status, f"\nstatus     : run\n * {why}.\n" in said.out) == (1, True)


def test_info_of_a_task_of_one_s_own_is_doit_s_and_names_the_target_that_it_waits_for(built: Path) -> None:
    assert sections(call(built, "doit", "info", "pack").out) == {
        "file_dep": ["target/debug/app"],
        "task_dep": ["dev"],
        "targets": ["app.packed"],
    }


def test_list_deps_shows_the_same_files_as_info(built: Path) -> None:
    listed = call(built, "doit", "list", "--deps", "dev").out.splitlines()[1:]
    shown = sorted(line.removeprefix(" -  ") for line in listed if line)
    assert shown == sections(call(built, "doit", "info", "dev").out)["file_dep"]


def test_a_changed_config_file_of_cargo_is_a_file_dependency_once_it_is_there(workspace: Path) -> None:
    assert ".cargo/config.toml" not in sections(call(workspace, "doit", "info", "dev").out)["file_dep"]
    write(workspace / ".cargo/config.toml", "[build]\njobs = 1\n")
    assert ".cargo/config.toml" in sections(call(workspace, "doit", "info", "dev").out)["file_dep"]


def test_a_task_that_makes_a_manifest_runs_before_the_target(workspace: Path) -> None:
    own = 'def task_generate():\n    return {"actions": ["true"], "targets": ["low/Cargo.toml"]}\n'
    write(workspace / "dodo.py", DODO + own)
    said = call(workspace, "doit", "check")
    assert said.out.startswith(".  generate\n.. check  no successful run is on record\n")


# --- tasks that rest on what a target builds -------------------------------------------------------------------------


def test_a_task_that_rests_on_a_program_has_it_built_first(workspace: Path, tmp_path: Path) -> None:
    path = counting_cargo(tmp_path / "bin")
    first = call(workspace, "doit", "pack", PATH=path)
    assert (first.status, re.findall(r"^(..) (\w+)", first.out, re.MULTILINE)) == (
        0,
        [("..", "dev"), ("ok", "dev"), (". ", "pack")],
    )
    packed = (workspace / "app.packed").read_bytes()
    again = call(workspace, "doit", "pack", PATH=path)
    assert re.findall(r"^(..) +(\w+)", again.out, re.MULTILINE) == [("--", "dev"), ("--", "pack")]
    write(workspace / "low/src/lib.rs", "pub fn low() {}\n")
    write(workspace / "app/src/bin/app.rs", 'fn main() { println!("another"); }\n')
    assert call(workspace, "doit", "pack", PATH=path).status == 0
    assert (workspace / "app.packed").read_bytes() != packed
    assert calls_of(tmp_path / "bin").count("build") == 2


def test_the_target_that_a_task_names_itself_is_the_one_that_builds(built: Path) -> None:
    assert sections(call(built, "doit", "info", "chosen").out)["task_dep"] == ["dev_app"]
    assert "task_dep" not in sections(call(built, "doit", "info", "foreign").out)


def test_built_by_gives_files_and_target(built: Path) -> None:
    found = sections(call(built, "doit", "info", "named").out)
    assert found == {"file_dep": [f"{built}/target/debug/app"], "task_dep": ["dev"]}
    said = call(built, "doit", "named")
    assert (said.status, said.out.splitlines()[0][:7]) == (0, "-- dev ")


@pytest.mark.parametrize(
    ("above", "name", "what"),
    [
        ("", "dev", "built_by needs targets = targets_of(...) above it"),
        ("targets = targets_of('.')", "biuld", "unknown target 'biuld'"),
    ],
)
def test_built_by_says_what_is_wrong(workspace: Path, above: str, name: str, what: str) -> None:
    text = f"from doit_cargo.api import DOIT_CONFIG, built_by, targets_of\n{above}\ndef task_own():\n"
    write(workspace / "dodo.py", f"{text}    return {{'actions': [], **built_by({name!r})}}\n")
    said = call(workspace, "doit", "own")
    assert (said.status, what in said.err, "Traceback" in said.err) == (3, True, False)


# --- doit's commands -------------------------------------------------------------------------------------------------


def test_forget_makes_a_target_run_and_no_other(workspace: Path) -> None:
    assert call(workspace, "doit", "dev", "check").status == 0
    said = call(workspace, "doit", "forget", "dev")
    assert (said.status, said.out) == (0, "forgetting dev\n")
    again = call(workspace, "doit", "dev", "check")
    assert again.out.startswith(".. dev  no successful run is on record\n")
    assert "\n-- check  up to date" in again.out
    assert call(workspace, "doit", "forget", "--all").status == 0
    assert "no successful run is on record" in call(workspace, "doit", "why", "check").out


def test_ignore_keeps_a_target_from_running_through_both_doors_until_it_is_forgotten(workspace: Path) -> None:
    assert call(workspace, "doit", "ignore", "dev").out == "ignoring dev\n"
    for door in ("doit", "doit-cargo"):
        said = call(workspace, door, "dev")
        assert (said.status, said.out.startswith(".. dev  not run: `doit ignore dev` was said")) == (0, True)
    assert call(workspace, "doit", "list", "--status", "dev").out.startswith("I dev ")
    assert call(workspace, "doit", "forget", "dev").status == 0
    assert call(workspace, "doit", "list", "--status", "dev").out.startswith("R dev ")


def test_reset_dep_blesses_no_target(workspace: Path) -> None:
    said = call(workspace, "doit", "reset-dep", "dev", "foreign")
    assert (said.status, said.out) == (0, "skip dev (only a run proves it: doit dev)\nprocessed foreign\n")
    assert call(workspace, "doit", "info", "dev").status == 1
    assert "dev" not in call(workspace, "doit", "reset-dep").out.split()


def test_dumpdb_shows_what_doit_keeps_of_one_s_own_tasks(workspace: Path) -> None:
    assert call(workspace, "doit", "foreign").status == 0
    said = call(workspace, "doit", "dumpdb")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("foreign -> {")
    assert "'deps:': ['Cargo.toml']" in said.out


def test_s_runs_a_task_without_what_it_waits_for_and_refuses_an_empty_group(workspace: Path) -> None:
    assert call(workspace, "doit", "run", "-s", "foreign").out == ".  foreign\n"
    alone = call(workspace, "doit", "run", "-s", "pack")
    assert (alone.status, alone.out.startswith(".  pack\n"), "cannot stat" in alone.err) == (1, True, True)
    group = call(workspace, "doit", "run", "-s", "ci")
    assert (group.status, group.err) == (3, "ERROR: ci is a group, and -s leaves its parts out: nothing would run\n")


@pytest.mark.parametrize("options", [("--continue",), ("-n", "2", "--continue"), ("-n", "2", "-P", "thread", "-c")])
def test_continue_goes_on_after_a_failure_also_with_several_at_once(built: Path, options: tuple[str, ...]) -> None:
    said = call(built, "doit", "run", *options, "broken", "dev", "named")
    assert said.status == 1
    assert "-- dev  up to date" in said.out
    assert "named" in said.out


def test_tabcompletion_knows_the_targets(built: Path) -> None:
    said = call(built, "doit", "tabcompletion", "--hardcode-tasks")
    assert said.status == 0
    assert {"build", "dev", "pack"} <= set(re.findall(r"\w+", said.out))


def test_a_command_of_others_sees_the_graph(built: Path) -> None:
    script = """
import sys
from doit.cmd_base import DoitCmdBase
from doit.doit_cmd import DoitMain

class Graph(DoitCmdBase):
    doc_purpose, doc_usage, doc_description = "draw", "", None
    cmd_options = ()
    def _execute(self):
        for task in sorted(self.task_list):
            if task.name in ("dev", "named", "ci"):
                print(task.name, sorted(task.task_dep), "Cargo.toml" in task.file_dep)

class Main(DoitMain):
    DOIT_CMDS = (*DoitMain.DOIT_CMDS, Graph)

sys.argv[0] = "doit"
sys.exit(Main().run(["graph"]))
"""
    said = call(built, sys.executable, "-c", script)
    parts = "['check', 'check_duplicates', 'fmt_check', 'lint', 'test']"
    assert (said.status, said.out) == (0, f"ci {parts} False\ndev [] True\nnamed ['dev'] False\n")
