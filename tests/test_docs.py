"""The documentation is true as far as a machine can tell: tables as generated, links, files, commands, JSON fields."""

from __future__ import annotations

import itertools
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import make_workspace, needs_cargo
from doit_cargo.cli.sharing import WORDS
from doit_cargo.engine.base import variables
from doit_cargo.engine.state.receipts import normalise
from doit_cargo.targets import catalogue
from doit_cargo.targets.commands import COMMANDS, OPTIONS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]

# Files that a page tells the reader to write.
OF_THE_READER = {
    "profiles/hints.toml",
    "tests/NAME.rs",
    "profiles/test.toml",
    "profiles/local.toml",
    "docs/features.md",
    "tasks/project.py",
    "profiles/pack.toml",
    "profiles/gpu.toml",
    "profiles/cuda_full.toml",
}
# Words that a page types to show what a mistake looks like, and stand-ins for a name.
MISTAKES = {"JOB"}
STAND_INS = {"program", "ci.log", "-", "<", "header", "TARGET", "COMMAND", "WORD", "SHELL", "X", "NAME", "generate"}
DOIT_WORDS = catalogue.DOIT_COMMANDS | set(COMMANDS)

PACKAGES = {path.parent.name for path in ROOT.glob("examples/mistralrs/*/Cargo.toml")}

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def page(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", text)


def slug(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {slug(line.lstrip("#")) for line in prose(page(path)).splitlines() if line.startswith("#")}


# --- generated parts -------------------------------------------------------------------------------------------------


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docs/generate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_generated_parts_are_what_the_code_says() -> None:
    done = generate("--check")
    assert done.returncode == 0, f"run python docs/generate.py\n{done.stdout}{done.stderr}"


# --- the README ------------------------------------------------------------------------------------------------------


def test_readme_has_its_two_commands() -> None:
    lines = [line for line in page(ROOT / "README.md").splitlines() if re.match(r" {4}\S.*\bpip install", line)]
    start = '    python3 -m venv .venv && .venv/bin/python -m pip install -q -e ".[{}]" && .venv/bin/'
    build, tests = lines
    assert build == start.format("cuda") + "doit build_cuda_full"
    assert tests == start.format("dev,cuda") + "python -m pytest -n 2 --dist loadfile"


def test_ci_finds_one_test_command() -> None:
    found = re.findall(r"^    (.*python -m pytest.*)$", page(ROOT / "README.md"), re.MULTILINE)
    assert len(found) == 1


# --- links, files, machines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_links_lead_somewhere(path: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page(path))):
        if re.match(r"https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name) if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_named_files_exist(path: Path) -> None:
    pattern = r"(?<![\w/.-])(?:tasks|profiles|docs|tests|examples|benchmarks)/[\w./-]*\w\.(?:py|toml|md|j2|svg|rs)\b"
    names = set(re.findall(pattern, page(path))) - OF_THE_READER
    assert sorted(name for name in names if not _exists(name)) == []


def _exists(name: str) -> bool:
    # examples/ and tests/ are folders of a package too.
    return (ROOT / name).exists() or any(ROOT.glob(f"examples/mistralrs/*/{name}"))


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_no_page_names_a_machine(path: Path) -> None:
    assert re.findall(r"(?<![\w.])/(?:tmp|work|root)/\S*", page(path)) == []


# --- commands --------------------------------------------------------------------------------------------------------


def calls(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (program, words) of each call of `doit-cargo`, `doit` or `make` that a page shows as code."""
    text = page(path)
    typed = [line for _, _, block in FENCE.findall(text) for line in re.findall(r"^\$ (.*)", block, re.MULTILINE)]
    for line in [*typed, *INLINE.findall(prose(text))]:
        for part in re.split(r"&&|;| \| ", line.split("#")[0]):
            words = part.split()
            if words and os.path.basename(words[0]) in ("doit-cargo", "doit", "make"):
                yield os.path.basename(words[0]), words[1:]


def names_in(words: list[str]) -> Iterator[str]:
    """Yield the targets and commands among the words of a call."""
    rest = iter(words)
    for word in rest:
        if word in ("-w", "--workspace", "-n", *(f"--{name}" for name, row in OPTIONS.items() if row.metavar)):
            next(rest, None)
        elif word == "migrate":  # what follows is a file
            yield word
            return
        elif word == "-f":  # what follows is a file, and a name of its own
            return
        elif not word.startswith(("-", "[")) and "=" not in word and "..." not in word:
            yield from word.split("|")


def unknown_names(program: str, words: list[str]) -> list[str]:
    targets = {row.name for row in catalogue.rows()}
    targets |= {row.name for pack in catalogue.shipped_packs().values() for row in pack.targets}
    targets |= {f"check_{name}" for pack in catalogue.shipped_packs().values() for name in pack.services}
    profiles = {file.stem for file in ROOT.glob("profiles/*/*.toml")} | {"gpu"}
    found = list(names_in(words))
    known = targets | STAND_INS | MISTAKES | (set() if program == "make" else set(COMMANDS))
    known |= DOIT_WORDS if program == "doit" else set()
    known |= profiles if found[:1] == ["profiles"] else set()
    known |= PACKAGES if found[:1] == ["features"] else set()
    known |= set(WORDS) if found[:1] == ["share"] else set()
    return [name for name in found if normalise(name) not in known and name not in known]


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_commands_name_what_there_is(path: Path) -> None:
    found = [(program, words, unknown_names(program, words)) for program, words in calls(path)]
    assert [call for call in found if call[2]] == []


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_variables_are_known(path: Path) -> None:
    names = {word.partition("=")[0] for _, words in calls(path) for word in words if re.match(r"[A-Z_]+=", word)}
    assert names - set(variables.BY_NAME) - STAND_INS - MISTAKES - {"VAR"} == set()


def test_every_variable_of_our_own_is_documented() -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in ROOT.glob("tasks/**/*.py"))
    named = set(re.findall(r"\bDOIT_CARGO_[A-Z]+\b", code))
    assert {name for name in named if f"`{name}`" not in page(ROOT / "docs/reference/commands.md")} == set()


# --- the original Makefile -------------------------------------------------------------------------------------------

# What its Makefile had beside the 64 targets of the guide (mistral.rs fork, df0a50a28).
MAKEFILE = """
check-server ci-fast ci-full ci-test-matrix clean-logs coverage-validate demo-agent demo-agent-gguf deploy-check
deploy-check-ci deploy-package deploy-prepare deploy-verify deps-update diagnose doc doc-open full-build help-deploy
info mcp-health mcp-test-tools perf-regression-check perf-validate pre-deploy pre-deploy-quick quality-metrics quick
rebuild run-server run-tui smoke-test smoke-test-quick test-agent test-agent-json test-agent-markdown test-examples
test-examples-react-agent test-full test-integration-real test-ps1 test-ps1-ci test-ps1-integration test-ps1-mcp
test-ps1-quick test-status test-validate test-validate-quick validate verify-binary verify-binary-help version
"""


def test_each_target_of_the_makefile_is_here_or_left_out_for_a_reason() -> None:
    rows = re.findall(r"^\| (`.*?) \| (.+?) \| (.+?) \|$", page(ROOT / "docs/reference/left-out.md"), re.MULTILINE)
    assert [row for row in rows if not all(cell.strip() for cell in row)] == []
    left_out = [name for names, _, _ in rows for name in INLINE.findall(names)]
    here = {row.make_name for row in catalogue.rows()}
    assert len(MAKEFILE.split()) == 52
    assert sorted(left_out) == sorted(set(MAKEFILE.split()) - here)


# --- JSON ------------------------------------------------------------------------------------------------------------


def documented_fields(command: str) -> set[str]:
    section = page(ROOT / "docs/reference/commands.md").partition(f"\n### {command}\n")[2].partition("\n### ")[0]
    lines = section.partition("\n## ")[0].splitlines()
    start = lines.index("| Field | Type | Meaning |")
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return {line.split("`")[1] for line in rows}


def fields(value: Any, path: str = "") -> set[str]:
    """Return the dotted fields of a JSON value; of a list, those of its first element."""
    if isinstance(value, list):
        return fields(value[0], f"{path}[]") if value and isinstance(value[0], dict) else set()
    found: set[str] = set()
    for key, inner in value.items():
        name = f"{path}.{key}".lstrip(".")
        found.add(name)
        if isinstance(inner, list):
            found |= fields(inner, name)
    return found


@needs_cargo
@pytest.mark.parametrize(
    ("command", "words"),
    [("features", []), ("hint", ["failed.log"]), ("list", []), ("plan", ["build"]), ("why", ["build"])],
    ids=["features", "hint", "list", "plan", "why"],
)
def test_json_has_the_documented_fields(command: str, words: list[str], tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", {"app": {"bins": {"app": []}, "features": {"fast": []}}})
    (workspace / "failed.log").write_text("error: linker `cc` not found\n", encoding="utf-8")
    call = [sys.executable, "-m", "doit_cargo.cli.main", "-w", str(workspace), command, *words, "--json"]
    printed = json.loads(subprocess.run(call, cwd=workspace, capture_output=True, text=True, check=True).stdout)
    shown = {name.removeprefix("[].") for name in fields(printed)}
    assert shown == documented_fields(command)


# --- the tutorial ----------------------------------------------------------------------------------------------------


def test_a_page_is_followed_to_the_lines_of_files_and_to_what_its_steps_made() -> None:
    follow = runpy.run_path(str(ROOT / "docs/follow.py"))
    said = follow["pattern"]("took 1.5 s (the rule: profiles/pack.toml:37)\n")
    assert said.fullmatch("took 22.0 s (the rule: profiles/pack.toml:37)\n")
    assert said.fullmatch("took 2 min (the rule: profiles/pack.toml:37)\n")
    assert not said.fullmatch("took 1.5 s (the rule: profiles/pack.toml:54)\n")
    counted = follow["pattern"]("compiled 9 of 9 packages, 114 inputs\n")
    assert counted.fullmatch("compiled 9 of 9 packages, 120 inputs\n")
    assert not counted.fullmatch("compiled 8 of 9 packages, 114 inputs\n")


def test_rules_stand_where_pages_say() -> None:
    cited = re.findall(r"the rule: (profiles/\S+):(\d+)\)", page(ROOT / "docs/tutorial.md"))
    assert cited
    for name, line in cited:
        assert page(ROOT / name).splitlines()[int(line) - 1].startswith("[rules."), f"{name}:{line}"
