"""The first screen, and which targets are shown: by this workspace's own names, how each stands, what means nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from calling import environment, posix, program, small_workspace
from calling import forked_call as call
from conftest import make_workspace, needs_cargo, write

pytestmark = needs_cargo

ONE = '[package]\nname = "finder"\nversion = "1.2.0"\nedition = "2021"\n'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of one package; its binary is built in debug mode."""
    root = tmp_path_factory.mktemp("first") / "finder"
    write(root / "Cargo.toml", ONE)
    write(root / "src/main.rs", "fn main() {}\n")
    assert call(root, "doit-cargo", "dev").status == 0
    call(root, "doit-cargo", "dev")
    return root


def states(text: str) -> dict[str, str]:
    """Return the targets of the screen with the state that each has there."""
    rows = [line.split("  ") for line in text.splitlines() if line.startswith("  ")]
    return {row[1].strip(): row[-1].strip() for row in rows}


@pytest.mark.parametrize("columns", ["80", "60"])
def test_bare_is_one_screen_of_eight_things_by_the_names_of_the_workspace(root: Path, columns: str) -> None:
    said = call(root, "doit-cargo", COLUMNS=columns)
    lines = said.out.splitlines()
    assert (said.status, said.err, len(lines) <= 20) == (0, "", True)
    assert max(map(len, lines)) < int(columns)
    assert lines[0] == "finder 1.2.0: 1 package  finder"
    assert list(states(said.out)) == ["dev", "build", "check", "test", "lint", "fmt", "ci", "doc"]
    assert "  dev    Build finder in debug mode " in said.out
    advice = said.out.partition("\n\n")[2].partition("\n\n")[2]
    assert [" ".join(line.split()) for line in advice.splitlines() if "list" not in line] == [
        "doit-cargo test_finder one package; also build_, dev_",
        "doit-cargo why dev why it is stale, what it rebuilds",
        "doit-cargo help WORD of a target, command or variable",
    ]


@posix
def test_a_list_breaks_its_lines_at_the_width_of_a_terminal(root: Path) -> None:
    pexpect = pytest.importorskip("pexpect", reason="pexpect is the terminal")

    def listed(columns: int) -> list[str]:
        variables = {**environment(), "TERM": "xterm"}
        child = pexpect.spawn(
            "doit-cargo", ["list"], cwd=str(root), env=variables, dimensions=(24, columns), encoding="utf-8", timeout=60
        )
        child.expect(pexpect.EOF)
        return re.sub(r"\x1b\[[0-9;]*m", "", str(child.before)).splitlines()

    piped = call(root, "doit-cargo", "list").out
    assert (max(map(len, listed(60))) < 60, len(listed(60)) > len(listed(200))) == (True, True)
    assert " ".join(" ".join(listed(60)).split()) == " ".join(piped.split())


@posix
def test_each_thing_says_how_it_stands(root: Path) -> None:
    assert (states(call(root, "doit-cargo").out)["dev"], states(call(root, "doit-cargo").out)["build"]) == (
        "fresh",
        "never run",
    )
    write(root / "src/main.rs", "fn main() { broken }\n")
    assert states(call(root, "doit-cargo").out)["dev"] == "stale: src/main.rs"
    assert call(root, "doit-cargo", "dev").status == 1
    said = call(root, "doit-cargo").out
    assert states(said)["dev"] == "failed just now"
    assert "failed last: dev\n" in said
    write(root / "src/main.rs", "fn main() {}\n")
    assert call(root, "doit-cargo", "dev").status == 0
    assert "failed" not in call(root, "doit-cargo").out


def test_a_list_names_the_package_and_how_it_is_built(root: Path) -> None:
    out = call(root, "doit-cargo", "list", "build").out
    assert "  build_finder        Build the package finder in release mode.\n" in out
    assert "  dev_finder          Build the package finder in debug mode.\n" in out
    assert "the server" not in call(root, "doit-cargo", "list").out


def test_a_list_is_of_a_family_or_of_what_begins_with_a_word(root: Path) -> None:
    ci = call(root, "doit-cargo", "list", "ci").out
    assert ci.startswith("ci:\n  ci ")
    assert "build" not in ci.splitlines()[1].split()[0]
    assert [line.split()[0] for line in call(root, "doit-cargo", "list", "smoke-test").out.splitlines()[1:]] == [
        "smoke_test",
        "smoke_test_quick",
    ]
    wrong = call(root, "doit-cargo", "list", "tset")
    assert (wrong.status, "unknown family 'tset'\n  fix: did you mean 'test'?" in wrong.err) == (3, True)


MEANS_NOTHING = {
    "build_server": "is for a pack that says which package is the server",
    "check_cuda_env": "is about CUDA, and no member has a feature or dependency of that name",
    "bench": "runs benchmarks, and no member has one",
    "run_server": "is for the pack mistralrs; this workspace uses base",
    "build_cuda": "the package finder has no feature 'cuda', asked for by profiles/base/cuda.toml:3",
}


def test_what_means_nothing_here_is_not_listed_nor_in_the_makefile_but_answers(root: Path) -> None:
    listed, shim = call(root, "doit-cargo", "list").out, call(root, "doit-cargo", "makefile", "--output", "made")
    assert shim.status == 0
    makefile = (root / "made").read_text()
    (root / "made").unlink()
    rows = {row["name"]: row for row in json.loads(call(root, "doit-cargo", "list", "--json", "--all").out)}
    for name, reason in MEANS_NOTHING.items():
        assert (f"  {name} " in listed, f"\n{name.replace('_', '-')}:" in makefile) == (False, False)
        assert (rows[name]["listed"], rows[name]["reason"]) == (False, reason)
        assert f"{name} " in call(root, "doit-cargo", "list", "--all").out
    said = call(root, "doit-cargo", "build-cuda")
    assert (said.status, said.err.startswith("doit-cargo: build_cuda is not here: the package")) == (3, True)
    # A platform's target may be for a colleague's machine.
    assert "\nbuild-metal:" not in makefile


def test_a_member_is_built_as_build_builds(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, {"app": {"features": {"fast": []}}, "low": {}})
    write(root / "profiles/release.toml", 'features = ["fast"]\n[cargo]\nprofile = "bench"\n')
    steps = {
        name: json.loads(call(root, "doit-cargo", "plan", name, "--json").out)["steps"][0]["argv"]
        for name in ("build_app", "build_low", "dev_low")
    }
    assert steps["build_app"] == ["cargo", "build", "--profile", "bench", "--package", "app", "--features", "fast"]
    assert steps["build_low"] == ["cargo", "build", "--profile", "bench", "--package", "low"]
    assert steps["dev_low"] == ["cargo", "build", "--package", "low"]


def test_help_of_make_and_doit_is_the_same_screen(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "small")
    expected = call(root, "doit-cargo")
    assert (expected.status, len(expected.out.splitlines()) <= 20) == (0, True)
    assert call(root, "doit") == expected == call(root, "doit-cargo", "help")


@posix
def test_where_fzf_is_a_target_can_be_picked_below_the_screen(root: Path, tmp_path: Path) -> None:
    pexpect = pytest.importorskip("pexpect", reason="pexpect is the terminal")
    program(tmp_path / "fzf", "grep '^version ' || exit 130")
    variables = {**environment(), "TERM": "xterm", "PATH": f"{tmp_path}:{environment()['PATH']}"}

    def shown(**more: str) -> str:
        child = pexpect.spawn("doit-cargo", cwd=str(root), env={**variables, **more}, encoding="utf-8", timeout=60)
        child.expect(pexpect.EOF)
        return str(child.before)

    assert "workspace   1.2.0" in shown()
    assert "workspace   1.2.0" not in shown(DOIT_CARGO_PICK="0")
    program(tmp_path / "fzf", "exit 130")  # Escape
    assert "help WORD" in shown()
    assert "workspace   1.2.0" not in call(root, "doit-cargo", PATH=variables["PATH"]).out
