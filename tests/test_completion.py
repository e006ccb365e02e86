"""Completion in real shells: what one types in bash, zsh and fish becomes targets, commands, variables and values."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from calling import SCRIPTS, call, environment, posix, small_workspace
from conftest import needs_cargo, write
from doit_cargo.actions.ci.files import EDITORS, SERVICES
from doit_cargo.cli.line import parser
from doit_cargo.engine.base.variables import BY_NAME
from doit_cargo.targets.commands import COMMANDS, GENERAL, OPTIONS, RUNNING, SHELLS

pytestmark = [needs_cargo, posix]

# What a completion may load of ours: nothing that asks cargo, reads TOML or makes the catalogue.
NOT_FOR_A_WORD = (
    "doit_cargo.session",
    "doit_cargo.cache",
    "doit_cargo.targets.catalogue",
    "argparse",
    "doit",
    "typing",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = small_workspace(tmp_path_factory.mktemp("completion") / "workspace")
    assert call(root, "doit-cargo", "makefile").status == 0
    return root


def words(root: Path, *line: str) -> list[str]:
    said = call(root, "doit-cargo", "complete", "--", *line)
    assert (said.status, said.err) == (0, "")
    return [row.split("\t")[0] for row in said.out.splitlines()]


def test_words_are_those_of_this_workspace(root: Path) -> None:
    assert words(root, "doit-cargo", "build_l") == ["build_low_memory", "build_lto_thin", "build_lto_fat", "build_low"]
    assert words(root, "doit-cargo", "build-cuda") == []
    assert words(root, "doit-cargo", "build", "FEAT") == ["FEATURES="]
    assert words(root, "doit-cargo", "build", "FEATURES=f") == ["FEATURES=fast"]
    assert words(root, "doit-cargo", "build", "PACKAGE=app,l") == ["PACKAGE=app,low"]
    assert words(root, "doit-cargo", "check", "PROFILE=lto") == ["PROFILE=lto_fat", "PROFILE=lto_thin"]
    assert words(root, "doit-cargo", "why", "fmt") == ["fmt", "fmt_check"]
    assert words(root, "doit-cargo", "list", "ci") == ["ci", "ci", "ci_fast", "ci_full"]
    assert words(root, "doit-cargo", "features", "") == ["app", "low"]
    assert words(root, "doit-cargo", "completion", "") == list(SHELLS)
    assert "--json" in words(root, "doit-cargo", "plan", "--")
    assert words(root, "make", "build-l") == ["build-low-memory", "build-lto-thin", "build-lto-fat", "build-low"]
    assert words(root, "make", "build", "VERB") == ["VERBOSE="]


def test_every_command_option_and_word_of_the_tables_is_offered(root: Path) -> None:
    assert set(COMMANDS) <= set(words(root, "doit-cargo", ""))
    for name, command in COMMANDS.items():
        assert {f"--{one}" for one in (*command.options, *GENERAL)} == set(words(root, "doit-cargo", name, "--"))
        literal = {word for word in command.offers if not word.startswith("<")}
        assert literal <= set(words(root, "doit-cargo", name, ""))
    for name, option in {**OPTIONS, **GENERAL, **RUNNING}.items():
        literal = {word for word in option.offers if not word.startswith("<")}
        assert literal <= set(words(root, "doit-cargo", "init", f"--{name}", ""))
        assert {f"--{name}={word}" for word in literal} <= set(words(root, "doit-cargo", "init", f"--{name}="))


def test_every_option_that_is_read_is_offered(root: Path) -> None:
    offered = {*words(root, "doit-cargo", "--")}.union(*(words(root, "doit-cargo", name, "--") for name in COMMANDS))
    read = [action.option_strings for action in parser()._actions if action.option_strings]
    assert [names for names in read if not offered & set(names)] == []


def test_every_variable_that_takes_certain_words_has_them_offered(root: Path) -> None:
    takers = {"COVERAGE": "coverage", "SHARE": "build", "OBSERVE": "build", "RUNNER": "test"}
    for name, variable in BY_NAME.items():
        wanted = [f"{name}={word}" for word in variable.offers]
        assert words(root, "doit-cargo", takers.get(name, "build"), f"{name}=")[: len(wanted)] == wanted or not wanted
        assert all(variable.read(word) is not None for word in variable.offers)
    assert words(root, "doit-cargo", "build", "OBSERVE=st") == ["OBSERVE=strace", "OBSERVE=strict"]
    assert words(root, "doit-cargo", "coverage", "COVERAGE=html,lc") == ["COVERAGE=html,lcov"]


def test_words_behind_words_are_offered(root: Path) -> None:
    assert words(root, "doit-cargo", "share", "") == ["why", "check", "key"]
    assert words(root, "doit-cargo", "share", "why", "dev_f") == ["dev_fast"]
    assert (
        words(root, "doit-cargo", "init", "--ci", "")
        == list(SERVICES)
        == words(root, "doit-cargo", "init", "--ci", "git")
    )
    assert words(root, "doit-cargo", "init", "--editor", "") == list(EDITORS)
    assert {"SHARE", "why", "build_app"} <= set(words(root, "doit-cargo", "help", ""))
    assert words(root, "doit-cargo", "hint", "Cargo.t") == ["Cargo.toml"]
    assert words(root, "doit-cargo", "report", "--output", "ap") == ["app/"]
    assert set(words(root, "make", "")) >= {"features", "list", "profiles"}


def test_what_an_older_build_file_still_does_is_offered(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "kept")
    write(root / "profiles/pack.toml", '[migrated]\nkind = "make"\nfile = "Makefile.old"\nkept = ["deploy", "doc-%"]\n')
    assert call(root, "doit-cargo", "list").status == 0
    assert words(root, "doit-cargo", "kept", "") == ["deploy"]
    assert words(root, "make", "deplo")[-1] == "deploy"


def test_a_word_costs_little(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", f"{SCRIPTS}/doit-cargo", "complete", "--", "doit-cargo", "bui"]
    done = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", done.stderr, re.MULTILINE))
    assert "doit_cargo.cli.shell.completion" in loaded
    assert loaded & set(NOT_FOR_A_WORD) == set()
    assert words(tmp_path, "doit-cargo", "build_") == []  # where nothing is kept, nothing is asked


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_asks_us_for_its_words(root: Path, shell: str) -> None:
    said = call(root, "doit-cargo", "completion", shell)
    assert (said.status, "doit-cargo complete -- " in said.out) == (0, True)


def test_an_unknown_shell_names_the_known_ones(root: Path) -> None:
    said = call(root, "doit-cargo", "completion", "bsh")
    assert (said.status, "unknown shell 'bsh'\n  fix: did you mean 'bash'? known: bash, fish, zsh" in said.err) == (
        3,
        True,
    )
    assert call(root, "doit-cargo", "completion").err.startswith("doit-cargo: completion needs the name of one shell\n")


def typed(root: Path, shell: list[str], setup: str, line: str) -> str:
    """Return what a shell on a terminal shows after TAB was pressed twice behind a line."""
    pexpect = pytest.importorskip("pexpect", reason="pexpect types into the shells")
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not here")
    variables = {**environment(), "TERM": "xterm", "PS1": "> ", "ZDOTDIR": str(root)}
    child = pexpect.spawn(shell[0], shell[1:], cwd=str(root), env=variables, dimensions=(24, 200), encoding="utf-8")
    child.sendline(f"{setup}; echo rea''dy")
    child.expect("ready", timeout=60)
    child.send(f"{line}\t\t")
    child.expect(pexpect.TIMEOUT, timeout=3)
    shown = str(child.before)
    child.close(force=True)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x07", "", shown)


BASH = (["bash", "--norc", "--noprofile"], 'eval "$(doit-cargo completion bash)"')
ZSH = (["zsh", "-f"], 'autoload -Uz compinit; compinit -u; eval "$(doit-cargo completion zsh)"')


@pytest.mark.parametrize(("shell", "setup"), [BASH, ZSH], ids=["bash", "zsh"])
def test_tab_completes_targets_variables_and_values(root: Path, shell: list[str], setup: str) -> None:
    assert "build_low_memory" in typed(root, shell, setup, "doit-cargo build_low_m")
    several = typed(root, shell, setup, "doit-cargo build_l")
    assert ("build_lto_thin" in several, "build_low_memory" in several) == (True, True)
    assert "FEATURES=" in typed(root, shell, setup, "doit-cargo build FEAT")
    assert "FEATURES=fast" in typed(root, shell, setup, "doit-cargo build FEATURES=f")
    assert "SHARE=verify" in typed(root, shell, setup, "doit-cargo build SHARE=v")
    assert "--ci github" in typed(root, shell, setup, "doit-cargo init --ci gith")
    assert "build-low-memory" in typed(root, shell, setup, "make build-low-m")


def test_fish_completes_targets_variables_and_values(root: Path) -> None:
    if not shutil.which("fish"):
        pytest.skip("fish is not here")

    def ask(line: str) -> str:
        return call(root, "fish", "-N", "-c", f"doit-cargo completion fish | source; complete -C '{line}'").out

    assert ask("doit-cargo build_low_m").startswith("build_low_memory\tBuild ")
    assert ask("doit-cargo build FEATURES=f").startswith("FEATURES=fast")
    assert ask("doit-cargo build SHARE=v").startswith("SHARE=verify")
    assert ask("doit-cargo init --ci gith").startswith("github")
    assert ask("doit-cargo share c").startswith("check")
    assert ask("make build-low-m").startswith("build-low-memory\t")
