"""The Makefile shim under a real GNU make: it passes on what it is given, letter by letter, and runs nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from calling import MAKE, SMALL, Said, linux, needs_make, posix, program, small_workspace, targets
from calling import forked_call as call
from conftest import make_workspace, needs_cargo, write

pytestmark = [needs_make, needs_cargo, posix]

# GNU make's NEWS, all versions up to 3.81: the functions that a make of 2006 has (macOS ships that one).
FUNCTIONS_OF_3_81 = """
    subst patsubst strip findstring filter filter-out sort word words wordlist firstword lastword dir notdir suffix
    basename addsuffix addprefix join wildcard realpath abspath if or and foreach call value eval origin flavor
    shell error warning info
"""

VALUES = {
    "spaces": "a  b ",
    "single quotes": "it's 'quoted'",
    "double quotes": 'say "hi"',
    "semicolon": "a; touch X",
    "and": "a && touch X | touch X > X",
    "shell call": "$(touch X)",
    "make's shell call": "$(shell touch X)",
    "make's eval": "$(eval X:=$(shell touch X))",
    "two dollars": "$$HOME ${HOME} $HOME",
    "dollar at the end": "a$",
    "backquotes": "`touch X`",
    "hash": "a # b",
    "backslashes": "a\\b \\\\ c\\",
    "percent": "50% %d",
    "glob": "* ? [a-z] {a,b} ~",
    "equals sign": "a=b=c",
    "comma and brackets": "a,b (c) ) ,",
    "tab": "a\tb",
    "not ASCII": "größe ✓",
}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of the shim of the small workspace."""
    root = small_workspace(tmp_path_factory.mktemp("written") / "workspace")
    assert call(root, "doit-cargo", "makefile") == Said(0, f"wrote {root}/Makefile\n", "")
    return (root / "Makefile").read_text()


@pytest.fixture
def workspace(tmp_path: Path, shim: str) -> Path:
    """The small workspace with its shim."""
    root = small_workspace(tmp_path / "workspace")
    write(root / "Makefile", shim)
    return root


def goals(shim: str) -> list[str]:
    """Return every target of the shim, in its order."""
    return re.findall(r"^([a-z][\w-]*):", shim, re.MULTILINE)


class FakeDoor:
    """A DOIT_CARGO that notes its arguments, one call a line, and ends with `status`."""

    def __init__(self, workspace: Path, status: int = 0) -> None:
        self.workspace = workspace
        self.notes = workspace / "notes"
        body = f'for word in "$@"; do printf "%s\\037" "$word"; done >> {self.notes}\necho >> {self.notes}\n'
        body += f"env > {workspace}/environment\nexit {status}"
        self.program = program(workspace / "fake-doit-cargo", body)

    def make(self, *words: str, **variables: str) -> Said:
        self.notes.write_text("")
        return call(self.workspace, MAKE, *words, DOIT_CARGO=str(self.program), **variables)

    @property
    def calls(self) -> list[list[str]]:
        return [line.split("\037")[:-1] for line in self.notes.read_text().splitlines()]

    @property
    def environment(self) -> dict[str, str]:
        lines = (self.workspace / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.fixture
def fake(tmp_path: Path, shim: str) -> FakeDoor:
    """The shim and a stand-in for doit-cargo, nothing else."""
    write(tmp_path / "fake/Makefile", shim)
    return FakeDoor(tmp_path / "fake")


# --- what it calls ---------------------------------------------------------------------------------------------------


def test_make_alone_is_help(workspace: Path) -> None:
    assert call(workspace, MAKE) == call(workspace, "doit-cargo", "help")


@pytest.mark.slow
def test_make_builds_with_the_jobs_it_is_given_and_skips_what_is_fresh(workspace: Path) -> None:
    built = call(workspace, MAKE, "build-all", "JOBS=2")
    assert (built.status, (workspace / "target/release/app").exists()) == (0, True)
    assert "\n# cargo build --release --workspace --jobs 2\n" in (workspace / ".logs/build-all.log").read_text()
    skipped = call(workspace, MAKE, "build_all", "JOBS=2")
    assert skipped.out.startswith("-- build_all  up to date: 2 packages, ")
    assert skipped == call(workspace, "doit-cargo", "build-all")


def test_each_target_of_any_platform_is_one_call_and_none_is_a_file(workspace: Path, shim: str, fake: FakeDoor) -> None:
    names = goals(shim)
    for name in names:
        (fake.workspace / name).touch()
    assert fake.make(*names) == Said(0, "", "")
    assert fake.calls == [[name.replace("-", "_")] for name in names]
    every = json.loads(call(workspace, "doit-cargo", "list", "--all", "--json").out)
    listed = {row["name"] for row in every if row["listed"] and not row["rule"]}
    assert sorted(word for (word,) in fake.calls) == sorted({*listed, "features", "list", "profiles"})


def test_an_underscore_is_as_good_as_a_dash_and_no_file_either(workspace: Path, fake: FakeDoor) -> None:
    names = [name for name in targets(workspace) if "_" in name]
    for name in names:
        (fake.workspace / name).touch()
    assert fake.make(*names) == Said(0, "", "")
    assert fake.calls == [[name] for name in names]


def test_a_member_has_its_targets_by_a_rule_with_the_variables_that_they_take(shim: str, fake: FakeDoor) -> None:
    assert not re.search("(build|test)-(app|low)\\b(?!-)", shim)
    assert fake.make("build-low", "test_low", "build_all", JOBS="2", MODEL="x") == Said(0, "", "")
    assert fake.calls == [["build_low", "JOBS=2"], ["test_low", "JOBS=2"], ["build_all", "JOBS=2"]]


@linux
def test_a_target_that_is_absent_here_is_explained_by_doit_cargo(workspace: Path) -> None:
    said, told = call(workspace, MAKE, "build-metal"), call(workspace, "doit-cargo", "build_metal")
    assert (said.status, told.status) == (2, 3)
    assert said.err.startswith(told.err)


def test_a_name_that_nobody_knows_is_told_with_the_nearest(workspace: Path) -> None:
    said, told = call(workspace, MAKE, "biuld"), call(workspace, "doit-cargo", "biuld")
    assert (said.status, told.status) == (2, 3)
    assert said.err.startswith(told.err)


def test_the_environment_of_the_checkout_comes_first(fake: FakeDoor) -> None:
    fake.program.rename(write(fake.workspace / ".venv/bin/doit-cargo", ""))
    assert call(fake.workspace, MAKE, "dev") == Said(0, "", "")
    assert fake.calls == [["dev"]]


INSTALL = "(python3 -m venv .venv && .venv/bin/python -m pip install doit-cargo)"


@pytest.mark.parametrize("words", [(), ("dev",), ("-n", "dev"), ("-j4", "dev", "check"), ("-k", "dev", "any_name")])
def test_without_doit_cargo_one_line_says_how_to_get_it(fake: FakeDoor, words: tuple[str, ...]) -> None:
    said = call(fake.workspace, MAKE, *words, PATH=str(fake.workspace))
    assert (said.status, said.out) == (2, "")
    told = f"doit-cargo is not installed here {INSTALL}"
    assert re.fullmatch(rf"Makefile:\d+: \*\*\* {re.escape(told)}\.  Stop\.\n", said.err)


def test_without_doit_cargo_the_line_is_said_below_another_make_too(fake: FakeDoor) -> None:
    (fake.workspace / "outer.mk").write_text("all:\n\t@$(MAKE) -j2 -C . dev check\n")
    said = call(fake.workspace, MAKE, "-f", "outer.mk", PATH=str(fake.workspace))
    assert (said.status, said.err.count(INSTALL)) == (2, 1)


def test_a_doit_cargo_whose_python_is_gone_is_told_with_how_to_make_it_anew(fake: FakeDoor) -> None:
    write(fake.workspace / ".venv/bin/doit-cargo", f"#!{fake.workspace}/gone\n").chmod(0o755)
    said = call(fake.workspace, MAKE, "dev")
    anew = INSTALL.replace("venv .venv", "venv --clear .venv")
    assert said.status == 2
    assert f".venv/bin/doit-cargo does not start, as after a move {anew}\n" in said.err


def test_several_targets_run_side_by_side(fake: FakeDoor) -> None:
    assert fake.make("-j4", "dev", "check", "JOBS=3").status == 0
    assert sorted(fake.calls) == [["check", "JOBS=3"], ["dev", "JOBS=3"]]


def test_a_failure_is_the_failure_of_make_and_its_status_is_named(fake: FakeDoor) -> None:
    said = FakeDoor(fake.workspace, status=3).make("dev")
    assert (said.status, said.out) == (2, "")
    assert re.fullmatch(r"\S*make: \*\*\* \[(Makefile:\d+: )?dev\] Error 3\n", said.err)


def test_the_shim_needs_no_newer_make_than_3_81(shim: str) -> None:
    text = re.sub(r"(?m)^#.*$|##.*$", "", shim)
    used = set(re.findall(r"\$\(([a-z-]+) ", text))
    assert used
    assert used <= set(re.findall(r"\S+", FUNCTIONS_OF_3_81))
    # Operators and directives that came with 3.82 or later: `define NAME =`, `!=`, `::=`, `undefine`, `private`.
    assert not re.search(r"(?m)^define \w+ *[:+?]?=|^\s*\w+ *(!=|::=|:::=)|^(undefine|private|\.ONESHELL)", text)


# --- what it passes on -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_of_the_command_line_arrives_as_one_argument_and_runs_nothing(fake: FakeDoor, value: str) -> None:
    assert fake.make("dev", f"FEATURES={value}") == Said(0, "", "")
    assert fake.calls == [["dev", f"FEATURES={value}"]]
    assert not (fake.workspace / "X").exists()


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_of_the_environment_arrives_as_one_argument_and_runs_nothing(fake: FakeDoor, value: str) -> None:
    assert fake.make("dev", FEATURES=value) == Said(0, "", "")
    assert fake.calls == [["dev", f"FEATURES={value}"]]
    assert not (fake.workspace / "X").exists()


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_of_a_variable_that_nobody_knows_runs_nothing_either(fake: FakeDoor, value: str) -> None:
    assert fake.make("dev", f"OTHER={value}") == Said(0, "", "")
    assert fake.calls == [["dev", f"OTHER={value}"]]
    assert not (fake.workspace / "X").exists()


def test_a_line_break_is_refused(fake: FakeDoor) -> None:
    said = fake.make("dev", "FEATURES=a\nb")
    assert (said.status, said.out, fake.calls) == (2, "", [])
    assert re.fullmatch(r"Makefile:\d+: \*\*\* FEATURES holds a line break\.  Stop\.\n", said.err)
    assert fake.make("dev", FEATURES="a\n$(touch X)").status == 2
    assert (fake.calls, (fake.workspace / "X").exists()) == ([], False)


def test_the_environment_reaches_only_targets_that_take_the_variable(fake: FakeDoor) -> None:
    variables = {"JOBS": "3", "TARGET": "x86_64-unknown-linux-gnu", "MODEL": "of another program", "OTHER": "1"}
    assert fake.make("dev", "clean", "help", **variables).status == 0
    assert fake.calls == [["dev", "JOBS=3", "TARGET=x86_64-unknown-linux-gnu"], ["clean"], ["help"]]


def test_the_command_line_reaches_every_target_so_that_a_wrong_word_is_told(fake: FakeDoor) -> None:
    assert fake.make("dev", "help", "list", "JOB=2", "MODEL=x").status == 0
    assert fake.calls == [[name, "MODEL=x", "JOB=2"] for name in ("dev", "help", "list")]


def test_words_that_speak_to_make_are_not_passed_on(fake: FakeDoor) -> None:
    assert fake.make("dev", "SHELL=/bin/sh", "MAKEFLAGS=k").status == 0
    assert fake.calls == [["dev"]]


def test_a_make_that_calls_this_one_passes_on_only_what_is_ours(fake: FakeDoor) -> None:
    (fake.workspace / "outer.mk").write_text("all:\n\t@$(MAKE) --no-print-directory -C . dev\n")
    assert fake.make("-f", "outer.mk", "PREFIX=/usr", "JOBS=2") == Said(0, "", "")
    assert fake.calls == [["dev", "JOBS=2"]]


@pytest.mark.parametrize("words", [("JOB=2",), ("FEATURES=$(touch X)",), ("MODEL=a b",), ("FEATURES=it's",)])
def test_what_is_wrong_is_told_as_doit_cargo_tells_it(workspace: Path, words: tuple[str, ...]) -> None:
    told = call(workspace, "doit-cargo", "dev", *words)
    said = call(workspace, MAKE, "dev", *words)
    assert (said.status, said.out, told.status) == (2, told.out, 3)
    assert said.err.startswith(told.err)
    assert re.fullmatch(r"\S*make: \*\*\* \[(Makefile:\d+: )?dev\] Error 3\n", said.err.removeprefix(told.err))
    assert not (workspace / "X").exists()


def test_flags_of_make_do_not_reach_what_it_calls(fake: FakeDoor) -> None:
    assert fake.make("-j2", "-k", "dev", "FEATURES=$(shell touch X)").status == 0
    assert not {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "FEATURES"} & fake.environment.keys()
    assert not (fake.workspace / "X").exists()


@pytest.mark.slow
def test_cargo_does_not_look_for_the_jobserver_of_make(workspace: Path) -> None:
    said = call(workspace, MAKE, "-j2", "dev", "check")
    assert said.status == 0
    assert [line for line in said.err.splitlines() if "warning" in line or "jobserver" in line] == []


# --- how it is written -----------------------------------------------------------------------------------------------


def test_writing_it_again_changes_nothing(workspace: Path) -> None:
    path = workspace / "Makefile"
    before = (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
    assert call(workspace, "doit-cargo", "makefile") == Said(0, f"{path} is up to date\n", "")
    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_the_check_passes_for_what_was_written(workspace: Path) -> None:
    said = call(workspace, "doit-cargo", "makefile", "--check")
    assert said == Said(0, f"{workspace}/Makefile is up to date\n", "")


def test_the_check_passes_for_line_ends_that_git_has_changed(workspace: Path) -> None:
    path = workspace / "Makefile"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert call(workspace, "doit-cargo", "makefile", "--check").status == 0


def test_the_check_fails_with_a_diff_and_writes_nothing(workspace: Path) -> None:
    path = workspace / "Makefile"
    ours = next(line for line in path.read_text().splitlines() if line.startswith("DOIT_CARGO ?= "))
    edited = path.read_text().replace(f"{ours}\n", "DOIT_CARGO = other\n")
    path.write_text(edited)
    said = call(workspace, "doit-cargo", "makefile", "--check")
    assert said == Said(
        1,
        f"--- {path}\n+++ as doit-cargo writes it\n@@ -4,3 +4,3 @@\n \n-DOIT_CARGO = other\n+{ours}\n"
        " .DEFAULT_GOAL := help\n\n",
        "",
    )
    assert path.read_text() == edited


def test_the_check_fails_where_there_is_no_makefile(workspace: Path) -> None:
    (workspace / "Makefile").unlink()
    said = call(workspace, "doit-cargo", "makefile", "--check")
    assert said == Said(1, f"{workspace}/Makefile is not there; doit-cargo makefile writes it\n", "")


def test_a_new_member_changes_no_line(workspace: Path) -> None:
    make_workspace(workspace, {**SMALL, "more": {"features": {"fast": []}}})
    assert call(workspace, "doit-cargo", "makefile", "--check").status == 0


def test_an_older_shim_is_replaced(workspace: Path, shim: str) -> None:
    path = workspace / "Makefile"
    path.write_text("# Written by doit-cargo 0.0: an older one\n")
    assert call(workspace, "doit-cargo", "makefile") == Said(0, f"wrote {path}\n", "")
    assert path.read_text() == shim


def test_a_foreign_makefile_is_never_written_over(workspace: Path) -> None:
    path = workspace / "Makefile"
    path.write_text("all:\n\techo mine\n")
    assert call(workspace, "doit-cargo", "makefile") == Said(
        3,
        "",
        f"doit-cargo: {path}: this Makefile was not written by doit-cargo\n"
        "  fix: doit-cargo migrate takes it over; --output Makefile.doit keeps both; --force replaces it\n",
    )
    assert path.read_text() == "all:\n\techo mine\n"


def test_a_foreign_makefile_stays_beside_another_file(workspace: Path, shim: str) -> None:
    path = workspace / "Makefile"
    path.write_text("all:\n")
    said = call(workspace, "doit-cargo", "makefile", "--output", "Makefile.doit")
    assert said == Said(0, f"wrote {path}.doit; make -f Makefile.doit reads it\n", "")
    assert (path.read_text(), (workspace / "Makefile.doit").read_text()) == ("all:\n", shim)
    assert call(workspace, MAKE, "-f", "Makefile.doit", "version") == call(workspace, "doit-cargo", "version")


def test_force_replaces_a_foreign_makefile(workspace: Path, shim: str) -> None:
    path = workspace / "Makefile"
    path.write_text("all:\n")
    assert call(workspace, "doit-cargo", "makefile", "--force") == Said(0, f"wrote {path}\n", "")
    assert path.read_text() == shim


def test_a_link_to_the_makefile_stays_a_link(workspace: Path, shim: str) -> None:
    path, real = workspace / "Makefile", workspace / "build.mk"
    path.unlink()
    real.write_text("# Written by doit-cargo\n")
    path.symlink_to("build.mk")
    assert call(workspace, "doit-cargo", "makefile").status == 0
    assert (path.is_symlink(), real.read_text()) == (True, shim)


@pytest.mark.parametrize("name", ["GNUmakefile", "makefile"])
def test_another_file_that_make_would_read_first_is_named(workspace: Path, name: str) -> None:
    (workspace / "Makefile").unlink()
    (workspace / name).write_text("all:\n")
    said = call(workspace, "doit-cargo", "makefile")
    assert said.out == f"wrote {workspace}/Makefile; make reads {name} instead, unless it is told: make -f Makefile\n"


def test_a_folder_is_no_file_to_write(workspace: Path) -> None:
    assert call(workspace, "doit-cargo", "makefile", "--output", "app") == Said(
        2,
        "",
        f"doit-cargo: {workspace}/app: cannot read: this is no ordinary file\n"
        "  fix: make it readable, or give another file with --output\n",
    )


def test_a_file_in_no_folder_is_not_written(workspace: Path) -> None:
    assert call(workspace, "doit-cargo", "makefile", "--output", "no/Makefile") == Said(
        2,
        "",
        f"doit-cargo: {workspace}/no/Makefile: cannot write: No such file or directory\n"
        "  fix: free some space, make the folder writable, or give another file with --output\n",
    )


def test_from_a_folder_below_the_shim_goes_to_the_root(workspace: Path) -> None:
    path = workspace / "Makefile"
    path.unlink()
    assert call(workspace / "low/src", "doit-cargo", "makefile") == Said(0, f"wrote {path}\n", "")


def test_the_caller_may_name_another_doit_cargo(workspace: Path) -> None:
    other = program(workspace / "an other", "echo other")
    said = call(workspace, MAKE, "dev", f"DOIT_CARGO='{other}' --flag")
    assert said == Said(0, "other\n", "")
