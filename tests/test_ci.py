"""`init --ci`, `--editor`, `matrix` and `requires`: what is written is valid, and its steps do what they say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from calling import SCRIPTS, Said, call, environment, posix, small_workspace
from conftest import needs_cargo, write

pytestmark = [needs_cargo, posix]
yaml = pytest.importorskip("ruamel.yaml", reason="check-jsonschema is not installed")

PACK = """\
platform-triples = ["aarch64-unknown-linux-gnu"]

[feature-sets.fast]
features = ["app/fast"]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = small_workspace(tmp_path / "ws")
    write(root / "profiles/pack.toml", PACK)
    return root


def read(path: Path) -> Any:
    return yaml.YAML(typ="safe").load(path.read_text())


def valid(path: Path, schema: str) -> None:
    command = [os.path.join(SCRIPTS, "check-jsonschema"), "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def steps(job: dict[str, Any]) -> dict[str, Any]:
    return {step["name"]: step for step in job["steps"] if "name" in step}


def ran(root: Path, step: dict[str, Any], **variables: str) -> Said:
    """Run a step as a runner does."""
    return call(root, "bash", "-eo", "pipefail", "-c", step["run"], **variables)


def test_the_jobs_come_from_the_pack(root: Path) -> None:
    said = call(root, "doit-cargo", "matrix", "--json")
    assert (said.out.count("\n"), json.loads(said.out)["include"]) == (
        1,
        [
            {"name": "ci", "words": "ci JUNIT=1", "triple": ""},
            {"name": "set fast", "words": "check_set_fast test_set_fast", "triple": ""},
            {
                "name": "check aarch64-unknown-linux-gnu",
                "words": "check TARGET=aarch64-unknown-linux-gnu",
                "triple": "aarch64-unknown-linux-gnu",
            },
        ],
    )
    for job in json.loads(said.out)["include"]:
        assert call(root, "doit-cargo", "plan", *job["words"].split()).status == 0


def test_a_service_gets_a_valid_file_once(root: Path) -> None:
    for service, path, schema in (
        ("github", ".github/workflows/doit-cargo.yml", "vendor.github-workflows"),
        ("gitlab", ".gitlab-ci.yml", "vendor.gitlab-ci"),
    ):
        assert call(root, "doit-cargo", "init", f"--ci={service}").out.startswith(f"wrote {path}\nnext: add a ")
        valid(root / path, schema)
        assert re.search(r' install -q "doit-cargo>=[\d.]+"', (root / path).read_text())  # unquoted, > writes a file
        assert call(root, "doit-cargo", "init", f"--ci={service}").out == f"{path} is up to date\n"
        write(root / path, "mine: true\n")
        assert f"{path} is yours" in call(root, "doit-cargo", "init", f"--ci={service}").out
        assert (root / path).read_text() == "mine: true\n"
    assert not (root / "Makefile").exists()  # only what was asked for
    assert call(root, "doit-cargo", "init", "--ci=githib").err == (
        "doit-cargo: --ci: unknown service 'githib'\n  fix: did you mean 'github'? known: github, gitlab\n"
    )


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not on PATH")
def test_actionlint_finds_nothing(root: Path) -> None:
    call(root, "doit-cargo", "init", "--ci=github")
    assert call(root, "actionlint", ".github/workflows/doit-cargo.yml") == Said(0, "", "")


@pytest.mark.slow
def test_the_steps_of_the_workflow_do_what_they_say(root: Path, tmp_path: Path) -> None:
    assert call(root, "doit-cargo", "init", "--ci=github").status == 0
    workflow = read(root / ".github/workflows/doit-cargo.yml")
    write(tmp_path / "output", "")
    given = {
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_WORKSPACE": str(root.parent),
        "GITHUB_ACTIONS": "true",
        "RUNNER_TEMP": str(tmp_path),
    }
    os.makedirs(tmp_path / "doit-cargo/bin")
    os.symlink(os.path.join(SCRIPTS, "doit-cargo"), tmp_path / "doit-cargo/bin/doit-cargo")
    assert ran(root, steps(workflow["jobs"]["matrix"])["Jobs from the pack"], **given).status == 0
    found = json.loads((tmp_path / "output").read_text().removeprefix("matrix="))
    assert [job["name"] for job in found["include"]] == ["ci", "set fast", "check aarch64-unknown-linux-gnu"]

    run = steps(workflow["jobs"]["ci"])["Run"]
    write(root / "low/src/lib.rs", 'pub fn number() -> u32 {\n    "text"\n}\n')
    said = ran(root, run, WORDS="check", **given)
    assert said.status == 1
    place = f"file={root.name}/low/src/lib.rs,line=2,col=5,title=E0308"
    assert f"::error {place}::mismatched types%0Aexpected `u32`, found `&str`" in said.out.splitlines()
    write(root / "low/src/lib.rs", "")
    assert ran(root, run, WORDS="check check_duplicates", **given).status == 0
    lines = (tmp_path / "summary").read_text().splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "- **failed** `check`",
        "- done `check`",
        "- done `check_duplicates`",
    ]
    assert ran(root, steps(workflow["jobs"]["ci"])["What no target rests on need not be cached"], **given).status == 0


def test_an_editor_checks_with_our_features_in_a_directory_of_its_own(root: Path) -> None:
    assert call(root, "doit-cargo", "init", "--editor=vscode").status == 0
    settings = json.loads((root / ".vscode/settings.json").read_text())
    assert settings["rust-analyzer.cargo.targetDir"] is True
    assert settings["rust-analyzer.cargo.features"] == []
    places = [Path(path) for path in settings["evenBetterToml.schema.associations"].values()]
    assert all((root / path).is_file() for path in places)
    tasks = json.loads((root / ".vscode/tasks.json").read_text())["tasks"]
    assert {task["label"]: task["problemMatcher"] for task in tasks}["doit-cargo build"] == ["$rustc"]
    assert all(task["command"] == "doit-cargo" for task in tasks)
    write(root / ".vscode/tasks.json", "{}\n")
    assert ".vscode/tasks.json is yours" in call(root, "doit-cargo", "init", "--editor=vscode").out


@pytest.mark.parametrize("more", ["", '[from-the-future]\nkey = "x"\n'])
def test_a_pack_for_another_version_says_which(root: Path, more: str) -> None:
    write(root / "profiles/pack.toml", f'requires = ">=99"\n{more}')
    said = call(root, "doit-cargo", "list")
    assert (said.status, said.out) == (3, "")
    assert said.err.startswith(
        "doit-cargo: profiles/pack.toml:1: this workspace is for doit-cargo >=99, and this is 0."
    )
    assert said.err.endswith('fix: pip install "doit-cargo>=99"\n')
    write(root / "profiles/pack.toml", 'requires = ">=0.1"\n')
    assert call(root, "doit-cargo", "list").status == 0
    write(root / "profiles/pack.toml", 'requires = "new"\n')
    assert "profiles/pack.toml:1" in call(root, "doit-cargo", "list").err


def test_the_own_workflows_are_valid() -> None:
    folder = Path(__file__).parents[1] / ".github/workflows"
    found = sorted(folder.glob("*.yml"))
    assert [path.name for path in found] == ["release.yml", "test.yml"]
    for path in found:
        valid(path, "vendor.github-workflows")
    readme = (folder.parents[1] / "README.md").read_text()
    command = read(folder / "test.yml")["jobs"]["test"]["steps"][-1]["run"].strip()
    assert f"    {command}\n" in readme


def test_the_environment_of_tests_is_that_of_no_runner() -> None:
    assert not [name for name in environment() if name.startswith("GITHUB_")]
