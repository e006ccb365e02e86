"""A project's own targets: rows of profiles/pack.toml and of tasks/project.py, through the doors like any other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import MAKE, needs_make, small_workspace
from calling import forked_call as call
from conftest import needs_cargo, write
from observing import compiled, observer

pytestmark = needs_cargo

ROWS = """\
[target.notes]
doc = "Copy the notes."
run = ["cp", "notes.txt", "copy.txt"]
inputs = { files = ["notes.txt", "more/**/*.txt", "whole", "later"], env = ["NOTES"] }
outputs = ["copy.txt"]

[target.hello]
doc = "Say hello to $HOME; a shell would read this otherwise."
run = ["echo", "$HOME", "*", "a  b"]

[target.open-line]
doc = "Print a line that has no end."
run = ["printf", "no end"]

[target.clippy-low]
doc = "Lint the package low."
command = "check"
package = "low"
profile = "check"

[target.both]
doc = "Do two things."
after = ["notes", "clippy-low"]
"""
PROJECT = """\
from doit_cargo.api import Target

TARGETS = (Target(name="answer", family="project", doc="Print the answer.", action="project:answer", takes=("MODEL",)),)


def answer(session, values):
    print("42", values.text("MODEL"), session.root.rpartition("/")[2])
    return values.text("MODEL") != "wrong"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    small_workspace(tmp_path / "ws")
    write(tmp_path / "ws/notes.txt", "one\n")
    write(tmp_path / "ws/whole/one.txt", "")
    write(tmp_path / "ws/profiles/pack.toml", ROWS)
    return tmp_path / "ws"


def test_a_row_of_a_toml_file_is_listed_with_its_kind(root: Path) -> None:
    rows = {row["name"]: row for row in json.loads(call(root, "doit-cargo", "list", "--json").out)}
    found = [(name, rows[name]["family"], rows[name]["available"]) for name in ("notes", "hello", "clippy_low", "both")]
    assert found == [(name, "project", True) for name in ("notes", "hello", "clippy_low", "both")]


def test_a_program_runs_once_while_its_inputs_are_the_same(root: Path) -> None:
    first, second = call(root, "doit-cargo", "notes"), call(root, "doit-cargo", "notes")
    assert (first.status, (root / "copy.txt").read_text()) == (0, "one\n")
    assert (second.status, second.out) == (0, "-- notes  up to date: 5 inputs unchanged\n")


def test_our_word_stands_on_a_line_of_its_own(root: Path) -> None:
    said = call(root, "doit-cargo", "open_line")
    assert [line.partition("  ")[0] for line in said.out.splitlines()[-2:]] == ["no end", "ok open_line"]


def test_a_cargo_call_starts_only_with_the_tools_that_its_row_needs(root: Path) -> None:
    write(root / "profiles/pack.toml", ROWS.replace('package = "low"', 'package = "low"\nneeds = ["lowlint>=2"]'))
    said = call(root, "doit-cargo", "clippy_low")
    assert (said.status, said.out) == (2, "")
    assert said.err == (
        "!! clippy_low  clippy_low needs lowlint >=2, which is not on PATH\n  fix: install lowlint and put it on PATH\n"
    )


@pytest.mark.parametrize(
    "change",
    [
        "its row",
        "edit",
        "new file below a pattern",
        "new file below a folder",
        "a folder comes",
        "output gone",
        "variable",
    ],
)
def test_a_program_runs_again_after_a_change(root: Path, change: str) -> None:
    call(root, "doit-cargo", "notes")
    if change == "its row":
        write(root / "profiles/pack.toml", ROWS.replace('["cp", "notes.txt"', '["cp", "-f", "notes.txt"'))
    if change == "edit":
        write(root / "notes.txt", "two\n")
    if change == "new file below a pattern":
        write(root / "more/deep/new.txt", "")
    if change == "new file below a folder":
        write(root / "whole/deep/new.txt", "")
    if change == "a folder comes":
        write(root / "later/new.txt", "")
    if change == "output gone":
        (root / "copy.txt").unlink()
    again = call(root, "doit-cargo", "notes", **({"NOTES": "1"} if change == "variable" else {}))
    assert again.out.splitlines()[-1].startswith("ok notes  "), again
    assert (root / "copy.txt").read_text() == (root / "notes.txt").read_text()


def test_a_file_that_no_pattern_names_is_no_change(root: Path) -> None:
    call(root, "doit-cargo", "notes")
    write(root / "more/other.md", "")
    assert call(root, "doit-cargo", "notes").out.startswith("-- notes  up to date")


GENERATES = """\
[target.generated]
doc = "Generate a folder."
run = ["sh", "tools/generate.sh", "--settings=tools/how.cfg"]
inputs = { files = ["notes.txt"] }
outputs = ["made"]
"""


@pytest.mark.parametrize("name", ["made/deep/notes.txt", "tools/generate.sh", "tools/how.cfg"])
@pytest.mark.parametrize("change", ["edited", "gone"])
def test_what_lies_in_a_folder_of_outputs_counts_and_so_does_a_file_that_the_call_names(
    root: Path, name: str, change: str
) -> None:
    write(root / "tools/generate.sh", "mkdir -p made/deep\ncp notes.txt made/deep\n")
    write(root / "tools/how.cfg", "")
    write(root / "profiles/pack.toml", GENERATES)
    assert [call(root, "doit-cargo", "generated").out.splitlines()[-1][:2] for _ in range(2)] == ["ok", "--"]
    before = (root / name).read_text()
    (root / name).unlink()
    if change == "edited":
        write(root / name, f"{before}# another\n")
    if change == "gone" and name == "tools/generate.sh":
        assert call(root, "doit-cargo", "generated").status == 1
        return
    assert call(root, "doit-cargo", "generated").out.splitlines()[-1].startswith("ok generated")
    assert (root / "made/deep/notes.txt").read_text() == "one\n"


def test_an_argument_is_data(root: Path) -> None:
    said = call(root, "doit-cargo", "hello")
    assert (said.status, said.out.splitlines()[0]) == (0, "$HOME * a  b")
    assert "$HOME * a  b\n" in (root / ".logs/hello.log").read_text()


def test_a_program_that_leaves_less_than_it_promised_has_failed(root: Path) -> None:
    write(root / "profiles/pack.toml", ROWS.replace('["cp", "notes.txt", "copy.txt"]', '["true"]'))
    assert call(root, "doit-cargo", "notes").status == 1
    assert call(root, "doit-cargo", "notes").status == 1


def test_a_cargo_row_has_a_plan_and_a_group_runs_its_parts(root: Path) -> None:
    plan = json.loads(call(root, "doit-cargo", "plan", "clippy-low", "--json").out)
    assert plan["steps"][0]["argv"] == ["cargo", "check", "--package", "low"]
    said = call(root, "doit-cargo", "both")
    assert (said.status, "ok both  notes, clippy_low: all well" in said.out.splitlines()) == (0, True)


def test_the_nearer_row_of_a_name_counts(root: Path) -> None:
    write(root / "profiles/pack.toml", '[target.check]\ndoc = "Mine."\nrun = ["echo", "mine"]\n')
    assert call(root, "doit-cargo", "check").out.splitlines()[0] == "mine"


SEEN_ROWS = """\
[target.sums]
doc = "Count what there is."
run = ["sh", "sums.sh"]
outputs = ["out/sums.txt"]

[target.judges]
doc = "Say whether the notes are well."
run = ["grep", "-q", "one", "notes.txt"]
outputs = []

[target.asks]
doc = "Ask somebody else."
run = ["python3", "asks.py"]
outputs = []

[target.hides]
doc = "Read what nobody sees."
run = ["./hides"]
outputs = []
"""
SUMS = "mkdir -p out\ncat parts/* $MORE > out/sums.txt\nwc -l < out/sums.txt > out/lines.txt\n"
ASKS = """\
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
    asked.connect(("127.0.0.1", 9))
"""


# What it starts is observed, and it alone is not.
HIDES = '#include <stdlib.h>\nint main(void) { return system("true"); }\n'


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    observer()
    root = small_workspace(tmp_path_factory.mktemp("seen") / "ws")
    for name, text in {
        "profiles/pack.toml": SEEN_ROWS,
        "sums.sh": SUMS,
        "asks.py": ASKS,
        "parts/one": "1\n",
        "extra": "3\n",
        "notes.txt": "one\n",
    }.items():
        write(root / name, text)
    return root


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda root: write(root / "parts/one", "2\n"), "file parts/one: changed"),
        (lambda root: write(root / "parts/two", "2\n"), "listing parts: two added"),
        (lambda root: write(root / "sums.sh", SUMS + "true\n"), "file sums.sh: changed"),
        (lambda root: (root / "out/sums.txt").unlink(), "output out/sums.txt: deleted"),
        (lambda root: write(root / "out/lines.txt", "7\n"), "output out/lines.txt: changed"),  # which no row names
        (
            lambda root: write(root / "profiles/pack.toml", SEEN_ROWS.replace('"sums.sh"]', '"sums.sh", "x"]')),
            "file profiles/pack.toml: changed",
        ),
    ],
    ids=["content", "listing", "script", "output", "an output that it does not name", "its own row"],
)
def test_a_program_with_outputs_rests_on_what_it_was_seen_to_read(
    seen: Path, change: Callable[[Path], object], told: str
) -> None:
    call(seen, "doit-cargo", "sums")
    assert call(seen, "doit-cargo", "sums").out.startswith("-- sums  up to date")
    write(seen / "README.md", str(time.time_ns()))
    (seen / "parts/one").touch()
    assert call(seen, "doit-cargo", "sums").out.startswith("-- sums  up to date")
    change(seen)
    done = call(seen, "doit-cargo", "sums")
    assert (done.status, told in done.out, done.out.splitlines()[-1].startswith("ok sums")) == (0, True, True), done.out
    parts = "".join(path.read_text() for path in sorted((seen / "parts").iterdir()))
    assert (seen / "out/sums.txt").read_text() == parts
    assert (seen / "out/lines.txt").read_text() == f"{parts.count(chr(10))}\n"


def test_what_a_program_of_a_row_was_seen_to_rest_on_is_told(seen: Path) -> None:
    call(seen, "doit-cargo", "sums")
    told = [line.split() for line in call(seen, "doit-cargo", "observe", "sums").out.splitlines()]
    assert ["sums", "program", "lists", "parts"] in told
    assert ["sums", "program", "reads", "sums.sh"] in told


def test_a_variable_that_a_program_asks_for_counts_and_its_file(seen: Path) -> None:
    call(seen, "doit-cargo", "sums")
    assert "ok sums" in call(seen, "doit-cargo", "sums", MORE="extra").out
    assert (seen / "out/sums.txt").read_text().endswith("3\n")
    assert call(seen, "doit-cargo", "sums", MORE="extra").out.startswith("-- sums")


def test_a_program_without_outputs_is_judged_by_its_success_alone(seen: Path) -> None:
    assert "ok judges" in call(seen, "doit-cargo", "judges").out
    assert call(seen, "doit-cargo", "judges").out.startswith("-- judges  up to date")
    write(seen / "notes.txt", "two\n")
    assert [call(seen, "doit-cargo", "judges").status for _ in range(2)] == [1, 1]
    write(seen / "notes.txt", "one\n")
    assert "ok judges" in call(seen, "doit-cargo", "judges").out


@pytest.mark.parametrize(
    ("name", "reason"),
    [("asks", "connects to 127.0.0.1:9"), ("hides", "it cannot be observed: it is a static program")],
)
def test_a_program_that_asks_others_or_hides_runs_each_time_and_says_why(seen: Path, name: str, reason: str) -> None:
    compiled(seen, "hides", "-static", source=write(seen / "hides.c", HIDES))
    for _ in range(2):
        done = call(seen, "doit-cargo", name)
        assert (done.status, reason in done.out, f"ok {name}" in done.out) == (0, True, True), done.out
    assert reason in call(seen, "doit-cargo", "why", name).out
    refused = call(seen, "doit-cargo", name, "OBSERVE=strict")
    assert (refused.status, reason in refused.err) == (1, True), refused
    assert "OBSERVE=off" in call(seen, "doit-cargo", "sums", "OBSERVE=off", "FORCE=1").out


@needs_make
def test_the_makefile_passes_own_targets_on(root: Path) -> None:
    call(root, "doit-cargo", "makefile")
    assert "ok notes" in call(root, MAKE, "notes").out


def test_rows_in_python_run_with_their_variables(root: Path) -> None:
    write(root / "tasks/project.py", PROJECT)
    call(root, "doit-cargo", "trust")
    said = call(root, "doit-cargo", "answer", "MODEL=m")
    assert (said.status, said.out) == (0, "42 m ws\n")
    assert call(root, "doit-cargo", "answer", "MODEL=wrong").status == 1
    assert call(root, "doit", "answer", "MODEL=m").out == "42 m ws\n"


TOGETHER = """\
[target.hello]
doc = "Say hello to the other one, and wait for its answer."
run = ["sh", "wait.sh", "hello", "answer"]
lane = "free"

[target.answer]
doc = "Answer."
run = ["sh", "wait.sh", "answer", "hello"]

[target.fails]
doc = "Fail."
run = ["false"]

[target.all]
doc = "Run all of it."
after = ["fails", "hello"]
"""
WAIT = 'touch "$1"; for i in $(seq 600); do [ -e "$2" ] && exit 0; sleep 0.05; done; exit 1\n'


def test_a_free_row_runs_beside_one_of_cargos_lane(root: Path) -> None:
    write(root / "profiles/pack.toml", TOGETHER)
    write(root / "wait.sh", WAIT)
    said = call(root, "doit-cargo", "-n", "2", "hello", "answer")
    assert said.status == 0, said
    assert "beside it  with -n, anything" in call(root, "doit-cargo", "help", "hello").out


@pytest.mark.parametrize(
    ("more", "last"),
    [
        ("", "!! fails  failed"),
        ("keep-going = true\n", "!! all  failed: fails; passed: hello"),
    ],
)
def test_a_group_that_keeps_going_runs_what_is_left(root: Path, more: str, last: str) -> None:
    write(root / "profiles/pack.toml", TOGETHER + more)
    write(root / "wait.sh", WAIT)
    write(root / "answer", "")
    said = call(root, "doit-cargo", "all")
    assert (said.status, (root / "hello").exists()) == (1, bool(more))
    assert said.err.splitlines()[-1].startswith(last)


WRONG = {
    '[target.a]\ndoc = "A."\nrun = ["x"]\nlane = "fre"\n': "profiles/pack.toml:4: unknown lane 'fre'",
    '[target.a]\ndoc = "A."\ncommand = "build"\nlane = "free"\n': "profiles/pack.toml:4: [target.a] is a cargo call",
    '[target.a]\ndoc = "A."\nafter = ["check"]\nlane = "free"\n': "profiles/pack.toml:4: [target.a] has `lane`",
    '[target.a]\ndoc = "A."\nrun = ["x"]\nkeep-going = true\n': "profiles/pack.toml:4: [target.a] has `keep-going`",
    '[target.a]\ndoc = "A."\n': "profiles/pack.toml:1: [target.a] must have `command` (a cargo call)",
    '[target.a]\nrun = ["x"]\n': "profiles/pack.toml:1: [target.a] has no doc",
    '[target.a]\ndoc = "A."\nrun = ["x"]\nflags = ["-v"]\n': "profiles/pack.toml:4: [target.a] has `flags`",
    '[target.a]\ndoc = "A."\ncomand = "build"\n': "profiles/pack.toml:3: unknown key of [target.a] 'comand'",
    '[target.a]\ndoc = "A."\nafter = ["chekc"]\n': "profiles/pack.toml:1: unknown target 'chekc'",
    '[target.a]\ndoc = "A."\ncommand = "build"\npackage = "lwo"\n': "profiles/pack.toml:1: unknown role 'lwo'",
    '[target.a]\ndoc = "A."\ncommand = "build"\nprofile = "relese"\n': "profiles/pack.toml:1: unknown profile 'relese'",
    '[target.a]\ndoc = "A."\nrun = "x"\n': "profiles/pack.toml:3: target.a.run must be a list of strings, not a string",
    '[target.a]\ndoc = "A."\nrun = ["x"]\ntakes = ["MODLE"]\n': "profiles/pack.toml:4: unknown variable 'MODLE'",
    '[target.list]\ndoc = "A."\nrun = ["x"]\n': "profiles/pack.toml:1: 'list' is a command of doit",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_a_wrong_row_is_told_with_its_line(root: Path, text: str) -> None:
    write(root / "profiles/pack.toml", text)
    said = call(root, "doit-cargo", "list")
    assert (said.status, said.err.splitlines()[0][: len(WRONG[text]) + 12]) == (3, f"doit-cargo: {WRONG[text]}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TARGETS = (1,)\n", "tasks/project.py: TARGETS is no tuple of Target"),
        ("x = 1\n", "tasks/project.py: has no TARGETS"),
        ("x = 1\nTARGETS = 1 / 0\n", "tasks/project.py:2: cannot be loaded: division by zero"),
        ("TARGETS = (\n", "tasks/project.py:1: cannot be loaded: '(' was never closed"),
    ],
)
def test_a_wrong_python_file_is_told_with_its_line(root: Path, text: str, message: str) -> None:
    write(root / "tasks/project.py", text)
    said = call(root, "doit-cargo", "list", "--trust")
    assert said.status == 3
    assert message in said.err
    assert "Traceback" not in said.err


def test_an_edit_of_the_rows_is_seen_at_once(root: Path) -> None:
    call(root, "doit-cargo", "list")
    write(root / "profiles/pack.toml", ROWS + '[target.more]\ndoc = "More."\nrun = ["echo", "more"]\n')
    assert call(root, "doit-cargo", "more").out.splitlines()[0] == "more"
