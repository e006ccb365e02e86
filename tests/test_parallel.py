"""doit -n: what shares nothing runs at once, cargo jobs in one lane, output whole, signals for all."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from calling import DODO, call, counting_cargo, environment, posix, program, small_workspace
from conftest import make_workspace, needs_cargo, write

pytestmark = [needs_cargo, posix]

# Four targets of a project's own: two in cargo's lane (the default), two that share nothing, one that must be alone.
# Each notes when it begins and ends; `free` ones wait for each other, so that they only end if both run at once.
PROJECT = """\
import time
from pathlib import Path
from doit_cargo.api import ALONE, CARGO, FREE, Target, done, failed

def note(session, text):
    with open(Path(session.root) / "notes", "a") as stream:
        stream.write(text + "\\n")

def act(session, _):
    name = session.current
    note(session, f"{name} begins")
    if name.startswith("free"):
        (Path(session.root) / name).touch()
        other = Path(session.root) / ("free_b" if name == "free_a" else "free_a")
        for _ in range(600):
            if other.exists():
                break
            time.sleep(0.05)
        else:
            failed(name, "was left alone")
            return False
        for number in range(50):
            print(f"{name} says {number}", flush=True)
    time.sleep(0.2)
    note(session, f"{name} ends")
    done(name, "done")
    return True

def row(name, lane):
    return Target(name=name, family="project", doc=f"Do {name}.", action="project:act", pool=lane)

TARGETS = (
    row("one", CARGO), row("two", CARGO), row("free_a", FREE), row("free_b", FREE), row("alone", ALONE),
    Target(name="all_of_them", family="project", doc="All.", after=("one", "two", "free_a", "free_b", "alone")),
)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = small_workspace(tmp_path / "workspace")
    project(root, PROJECT)
    return root


def project(root: Path, text: str) -> None:
    """Write the rows of the project, and agree to them."""
    write(root / "tasks/project.py", text)
    assert call(root, "doit-cargo", "trust").status == 0


def notes(root: Path) -> list[str]:
    return (root / "notes").read_text().splitlines()


def overlap(root: Path, one: str, other: str) -> bool:
    """Tell whether one began before the other ended, and the other way round."""
    found = notes(root)
    return found.index(f"{one} begins") < found.index(f"{other} ends") and found.index(f"{other} begins") < found.index(
        f"{one} ends"
    )


@pytest.mark.parametrize("words", [("doit-cargo", "-n", "3"), ("doit", "-n", "3")], ids=" ".join)
def test_lanes_decide_what_runs_beside_what(root: Path, words: tuple[str, ...]) -> None:
    said = call(root, *words, "one", "two", "free_a", "free_b", "alone")
    assert said.status == 0, said.out + said.err
    assert (overlap(root, "free_a", "free_b"), overlap(root, "one", "two")) == (True, False)
    assert [other for other in ("one", "two", "free_a", "free_b") if overlap(root, "alone", other)] == []


def test_a_free_target_does_not_wait_behind_a_cargo_job_that_waits(root: Path) -> None:
    said = call(root, "doit-cargo", "-n", "2", "one", "two", "free_a", "free_b")
    # With two workers, one and two in them would leave free_a waiting for a place; here it takes the second at once.
    first_two = [line for line in notes(root) if line.endswith("begins")][:2]
    assert sorted(first_two) == ["free_a begins", "one begins"], said.out + said.err


def test_one_worker_is_enough_for_all(root: Path) -> None:
    said = call(root, "doit-cargo", "-n", "1", "one", "two", "alone")
    assert (said.status, len(notes(root))) == (0, 6)


def test_threads_keep_to_the_lanes_too(root: Path) -> None:
    said = call(root, "doit", "-n", "3", "-P", "thread", "one", "two", "free_a", "free_b", "alone")
    assert (said.status, overlap(root, "one", "two"), overlap(root, "free_a", "free_b")) == (0, False, True)


def test_a_group_and_its_parts_are_done_once(root: Path) -> None:
    said = call(root, "doit-cargo", "-n", "3", "all_of_them", "one", "alone")
    assert (said.status, len(notes(root)), "all_of_them  " in said.out) == (0, 10, True)


def test_the_output_of_a_free_target_comes_in_one_block(root: Path) -> None:
    said = call(root, "doit-cargo", "-n", "2", "free_a", "free_b")
    speakers = [line.split()[0] for line in said.out.splitlines() if " says " in line]
    assert speakers in (["free_a"] * 50 + ["free_b"] * 50, ["free_b"] * 50 + ["free_a"] * 50)
    told, _, _ = said.out.partition("\n\n")  # then comes the table
    assert all(re.fullmatch(r"free_[ab] says \d+|ok free_[ab]  done", line) for line in told.splitlines())


@pytest.mark.slow
def test_cargo_targets_do_not_wait_for_each_others_locks(root: Path, tmp_path: Path) -> None:
    path = counting_cargo(tmp_path / "cargo")
    said = call(root, "doit-cargo", "-k", "-n", "3", "check", "dev", "fmt_check", "check_duplicates", PATH=path)
    assert said.status == 1  # the empty sources are not as rustfmt has them
    assert "waiting for another doit-cargo run" not in said.err
    assert "Blocking waiting for file lock" not in said.err
    assert {"ok check", "ok dev", "ok check_duplicates"} <= {line.split("  ")[0] for line in said.out.splitlines()}


# The build ends only if an MCP server is tried meanwhile: a build script waits for what its command leaves.
WAITS = """\
fn main() {{
    for _ in 0..400 {{
        if std::path::Path::new("{go}").exists() {{ return; }}
        std::thread::sleep(std::time::Duration::from_millis(50));
    }}
    panic!("nobody came");
}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("door", ["doit-cargo", "doit"])
def test_an_action_that_shares_nothing_runs_beside_a_build(tmp_path: Path, door: str) -> None:
    root = make_workspace(tmp_path / "ws", {"mistralrs-core": {}, "mistralrs-server": {}})
    write(root / "dodo.py", DODO)
    write(root / "mistralrs-server/build.rs", WAITS.format(go=tmp_path / "go"))
    server = ["-c", f"touch '{tmp_path}/go'; exec '{sys.executable}' '{Path(__file__).parent}/mcp_tiny.py'"]
    source = {"type": "Process", "command": "sh", "args": server}
    write(root / "mcp.json", json.dumps({"servers": [{"name": "tiny", "source": source}]}))
    said = call(root, door, "-n", "2", "dev", "mcp_test", "MCP_CONFIG=mcp.json")
    assert said.status == 0, said.out + said.err
    assert {"ok dev", "ok mcp_test"} <= {line.split("  ")[0] for line in said.out.splitlines()}


@pytest.mark.parametrize("lane", ["cargo", "models"])
def test_one_lane_keeps_its_order(root: Path, lane: str) -> None:
    project(root, PROJECT.replace("CARGO), row", f"{lane!r}), row"))
    said = call(root, "doit-cargo", "-n", "3", "one", "two", "free_a", "free_b")
    assert (said.status, overlap(root, "one", "two"), overlap(root, "one", "free_a")) == (0, False, True)
    assert notes(root).index("one ends") < notes(root).index("two begins")


def test_an_unknown_target_stops_before_any_worker_starts(root: Path) -> None:
    said = call(root, "doit-cargo", "-n", "3", "one", "tow")
    assert (said.status, (root / "notes").exists(), "did you mean 'two'?" in said.err) == (3, False, True)


def test_after_a_failure_nothing_new_begins(root: Path) -> None:
    text = PROJECT.replace(
        "    time.sleep(0.2)\n", "    time.sleep(0.2)\n    if name == 'one':\n        return False\n"
    )
    project(root, text)
    said = call(root, "doit-cargo", "-n", "2", "one", "two", "alone")
    assert (said.status, notes(root)) == (1, ["one begins"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("door", ["doit-cargo", "doit"])
def test_a_signal_ends_all_that_runs(root: Path, tmp_path: Path, door: str, number: int) -> None:
    """A cargo that hangs, in a worker: its process is gone afterwards, nothing is left behind, and soon."""
    folder = tmp_path / "bin"
    hanging = f'case "$1" in check) echo $$ > "{tmp_path}/pid"; exec sleep 300;; esac\nexec "{_real_cargo()}" "$@"'
    program(folder / "cargo", hanging)
    path = f"{folder}{os.pathsep}{environment()['PATH']}"
    assert call(root, "doit-cargo", "list").status == 0
    process = subprocess.Popen(
        [door, "-n", "2", "check", "version"],
        cwd=root,
        env=environment(PATH=path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _wait_for(tmp_path / "pid")
    # Ctrl-C reaches the whole group, SIGTERM the one process that CI knows.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert _has_ended((tmp_path / "pid").read_text().strip())


def _real_cargo() -> str:
    import shutil

    return str(shutil.which("cargo"))


def _has_ended(pid: str) -> bool:
    """Tell whether a process is gone within a moment, or waits only to be fetched by who took it over."""
    for _ in range(100):
        done = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False)
        if not done.stdout.strip() or done.stdout.startswith("Z"):
            return True
        time.sleep(0.05)
    return False


def _wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists() and path.read_text().strip():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not come")
