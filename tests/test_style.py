"""The house rules that a tool can hold: ruff, mypy, and the length of functions and modules."""

from __future__ import annotations

import ast
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from conftest import kept

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FUNCTION = 50
LONGEST_MODULE = 400
# Where one is said in other words.
NEVER_ONE = {"runner.py", "compile.py", "plan.py", "miss.py"}
LONGER = {"session.py": 430}  # one call in a workspace: every step of it is a few lines


def run(*argv: str, cwd: Path = ROOT, **environ: str) -> str:
    """Run a checker; return what it has to say, nothing where all is well."""
    command = [sys.executable, "-m", *argv]
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    assert run("ruff", "check", "--quiet") == ""


def test_the_code_is_formatted() -> None:
    assert run("ruff", "format", "--check", "--quiet") == ""


def test_mypy_finds_nothing() -> None:
    # What it keeps holds for files of the same content, at whatever path and time: a fresh clone is as quick.
    assert run("mypy", MYPY_CACHE_DIR=str(kept() / "mypy")) == ""


def modules() -> Iterator[Path]:
    yield from sorted((ROOT / "tasks").rglob("*.py"))


def functions() -> Iterator[tuple[str, int]]:
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def test_no_function_is_longer_than_a_screen() -> None:
    assert [name for name, lines in functions() if lines > LONGEST_FUNCTION] == []


def test_the_median_function_is_small() -> None:
    assert statistics.median(lines for _, lines in functions()) <= 10


def test_what_is_counted_has_its_noun_in_the_singular_too() -> None:
    bare = re.compile(r"\{len\([^}]*\)\} (?:[a-z]+ )?[a-z]+s\b")
    found = {path.name for path in modules() if bare.search(path.read_text())}
    assert found - NEVER_ONE == set()  # `counted` of base.tables has both


def test_modules_fit_in_the_head() -> None:
    lines = {path: path.read_text().count("\n") for path in modules()}
    assert [str(path) for path, many in lines.items() if many > LONGER.get(path.name, LONGEST_MODULE)] == []
