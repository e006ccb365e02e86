"""`doit-cargo migrate` on build files that are no Makefile, each with its own real tool."""

from __future__ import annotations

import json
import os
from pathlib import Path

from calling import environment, needs, posix, program
from calling import forked_call as call
from conftest import make_workspace, needs_cargo, write

pytestmark = [needs_cargo, posix]


JUSTFILE = """\
set dotenv-load
mode := "release"
program:
    cargo build --profile {{mode}}
piped:
    cargo check | cat
only NAME:
    cargo test {{NAME}}
"""
SCRIPTS = {"fast": "cargo build --release", "tested": "cargo test", "pretested": "cargo fmt", "web": "vite"}
# A file that extends another, and tasks that a recording does not show whole.
TASKS = """\
extend = "more.toml"
[config]
skip_core_tasks = true
default_to_workspace = false
[tasks.program]
command = "cargo"
args = ["build", "--release"]
[tasks.both]
dependencies = ["program", "checked"]
[tasks.on-ci]
condition = { env_set = ["CI"] }
command = "cargo"
args = ["test"]
[tasks.at-times]
run_task = [{ name = "program", condition = { env_set = ["CI"] } }, { name = "checked" }]
[tasks.together]
run_task = { name = ["program", "checked"], parallel = true }
[tasks.follows]
env = { WHERE = { source = "CI", default_value = "here" } }
command = "cargo"
args = ["test", "--features", "${WHERE}"]
[tasks.scripted]
script = "cargo check"
[tasks.here]
command = "cargo"
args = ["build", "--target", "${CARGO_MAKE_RUST_TARGET_TRIPLE}"]
[tasks.each]
workspace = true
command = "cargo"
args = ["build"]
[tasks.with-words]
command = "cargo"
args = ["test", "${@}"]
[tasks.below]
cwd = "one"
install_crate = false
command = "cargo"
args = ["check", "--target-dir", "${CARGO_MAKE_WORKING_DIRECTORY}/out"]
[tasks.installs]
install_crate = "cargo-hack"
command = "cargo"
args = ["hack", "check"]
"""
MORE = """\
[tasks.checked]
env = { LEVEL = "2" }
command = "cargo"
args = ["clippy", "--workspace"]
"""
ALIASES = '[alias]\nfast = "build --release"\nxtask = "run --package xtask --"\n'


ANEW = """\
jobs := num_cpus()
export HOW := lowercase("FAST")
kind := if os() == "windows" { "cold" } else { HOW }
counted:
    cargo build -j {{ jobs }}
here: plain
    cargo check --target-dir "{{ justfile_directory() }}/out"
plain:
    cargo test
chosen:
    cargo build --features {{ kind }}
[no-cd]
where-called:
    cargo check
[parallel]
together: plain
    cargo check
random:
    cargo test -j`echo $RANDOM`
of-a-module: tools::lint
    cargo check
mod tools
"""


def taken(root: Path, file: str) -> dict[str, bool]:
    said = call(root, "doit-cargo", "migrate", file, "--json")
    assert said.status == 0, said.err
    return {row["name"]: row["taken"] for row in json.loads(said.out)}


@needs("just")
def test_recipes_of_a_justfile_are_taken_over_or_stay_with_just(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", {"one": {}})
    write(root / "justfile", JUSTFILE)
    assert taken(root, "justfile") == {"program": True, "piped": False, "only": False}
    write(root / ".env", "FROM_A_PERSON=no-row-may-hold-this\n")
    assert taken(root, "justfile") == {"program": False, "piped": False, "only": False}
    assert "no-row-may-hold-this" not in (root / "profiles/pack.toml").read_text()
    assert (root / "justfile").read_text() == JUSTFILE
    assert not (root / "GNUmakefile").exists()
    assert call(root, "doit-cargo", "makefile").status == 0
    assert "justfile" not in (root / "Makefile").read_text()  # make cannot read one


def test_an_alias_of_cargo_is_taken_over_and_of_an_xtask_what_its_help_lists(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", {"one": {}})
    write(root / ".cargo/config.toml", ALIASES)
    assert taken(root, ".cargo/config.toml") == {"fast": True, "xtask": False}
    says = 'printf "Usage: xtask COMMAND\\n\\nCommands:\\n  ci    check all\\n        of it\\n  help  this\\n"'
    program(root / "target/debug/xtask", f"touch {tmp_path}/ran\n[ $# = 1 ] && [ $1 = --help ] && {says}")
    assert taken(root, ".cargo/config.toml") == {"fast": True, "xtask": False, "xtask-ci": True}
    assert 'run = ["cargo", "run", "--package", "xtask", "--", "ci"]' in (root / "profiles/pack.toml").read_text()
    assert not (tmp_path / "ran").exists()


@needs("npm")
def test_a_script_of_npm_is_taken_over_as_npm_itself_runs_it(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", {"one": {}})
    write(root / "package.json", json.dumps({"name": "web", "scripts": SCRIPTS}))
    assert taken(root, "package.json") == {"fast": True, "tested": False, "pretested": True}
    program(tmp_path / "bin/cargo", 'echo "cargo $*"')
    said = call(root, "npm", "run", "--silent", "fast", PATH=f"{tmp_path / 'bin'}{os.pathsep}{environment()['PATH']}")
    assert said.out == "cargo build --release\n", said


@needs("just")
def test_what_just_finds_out_itself_is_frozen_in_no_row(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", {"one": {}})
    write(root / "justfile", ANEW)
    write(root / "tools.just", "lint:\n    cargo clippy -j{{ num_cpus() }}\n")
    assert taken(root, "justfile") == {
        "counted": False,
        "here": True,
        "plain": True,
        "chosen": False,
        "where-called": False,
        "together": False,
        "random": False,
        "of-a-module": False,
    }
    pack = (root / "profiles/pack.toml").read_text()
    assert ('command = "test"' in pack, '"{root}/out"' in pack, str(root) in pack) == (True, True, False)


@needs("cargo-make")
def test_tasks_of_cargo_make_are_taken_over_with_those_that_it_extends(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", {"one": {}})
    write(root / "Makefile.toml", TASKS)
    write(root / "more.toml", MORE)
    assert taken(root, "Makefile.toml") == {
        "checked": True,
        "program": True,
        "both": True,
        "on-ci": False,
        "at-times": False,
        "together": False,
        "follows": False,
        "scripted": False,
        "here": False,
        "each": False,
        "with-words": True,
        "below": True,
        "installs": False,
    }
    assert '"{root}/out"' in (root / "profiles/pack.toml").read_text()
    said = call(root, "doit-cargo", "makefile", "--compare", "Makefile.toml")
    assert (said.status, " 0 differs, 0 unknown" in said.out) == (0, True), said.out
