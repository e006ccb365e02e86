"""The three doors as a user calls them: doit, doit-cargo and make, as processes, on a small workspace.

What a caller's own environment could change is left out: every call sees the variables that the test gives.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import forking
import pytest
from conftest import Spec, make_workspace, write
from doit_cargo.engine.base import variables

SCRIPTS = os.path.dirname(sys.executable)
# Another make than the one on PATH may be tried: TEST_MAKE=/opt/make-3.81/make pytest tests/test_makefile.py
MAKE = os.environ.get("TEST_MAKE", "make")
needs_make = pytest.mark.skipif(shutil.which(MAKE) is None, reason=f"{MAKE} is not on PATH")
linux = pytest.mark.skipif(sys.platform != "linux", reason="the messages name the platform that the test expects")
posix = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")

# app -> low; a lock file, so that the first build changes no input.
SMALL: Spec = {"app": {"dependencies": {"low": ""}, "bins": {"app": []}, "features": {"fast": []}}, "low": {}}
LOCK = """\
version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = [
 "low",
]

[[package]]
name = "low"
version = "0.1.0"
"""
DODO = """\
from doit_cargo.api import DOIT_CONFIG, targets_of

targets = targets_of(".")
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a process left: its exit status and its words."""

    status: int
    out: str
    err: str


# The beginning of the pyproject.toml of a program that maturin packs.
TOOL_PROJECT = """\
[build-system]
requires = ["maturin>=1,<2"]
build-backend = "maturin"
[project]
name = "tool"
dynamic = ["version"]
"""


def environment(**variables: str) -> dict[str, str]:
    """Return an environment with our scripts first on PATH and none of the caller's settings of cargo, make or doit."""
    ours = ("CARGO_", "RUST", "MAKE", "MFLAGS", "DOIT_", "CUDA", "NVCC", "PYTEST", "COLUMNS", "NO_COLOR")
    kept = ("CARGO_HOME", "RUSTUP_HOME", "RUSTUP_AUTO_INSTALL")
    clean = {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith((*ours, "CI", "GITHUB_", "VIRTUAL_ENV", "CONDA_"))
    }
    path = os.pathsep.join([SCRIPTS, clean.get("PATH", "")])
    return {**clean, "PATH": path, "LC_ALL": "C.UTF-8", "TERM": "dumb", **variables}


def needs(name: str) -> pytest.MarkDecorator:
    """Skip a test where a program is not on PATH."""
    return pytest.mark.skipif(not shutil.which(name, path=environment()["PATH"]), reason=f"{name} is not on PATH")


def call(folder: Path | str, *words: str | bytes, **variables: str) -> Said:
    """Run a program in a folder and return what it said; `variables` are added to its environment."""
    program = shutil.which(os.fsdecode(words[0]), path=environment()["PATH"])
    assert program, f"{words[0]!r} is not on PATH"
    done = subprocess.run(
        [program, *words[1:]],
        cwd=folder,
        env={**environment(), **variables},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Said(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def forked_call(folder: Path | str, *words: str | bytes, **variables: str) -> Said:
    """Run one of our commands as `call` does, from a Python that has started already: for tests of what is said."""
    name = os.fsdecode(words[0])
    if os.name == "nt" or name not in forking.ENTRY_POINTS or any(map(_is_read_at_start, variables)):
        return call(folder, *words, **variables)
    environ = environment()
    argv = [os.path.join(SCRIPTS, name), *words[1:]]
    status, out, err = forking.server(environ).run(argv, os.fspath(folder), {**environ, **variables})
    return Said(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def _is_read_at_start(variable: str) -> bool:
    return variable.startswith(forking.READ_AT_START)


def bare_python(folder: Path) -> Path:
    """Make a Python that has our modules, but beside which no tool of an extra is installed; return its program."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    place = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    write(Path(place) / "ours.pth", f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return python


def known_variables() -> str:
    """Return how a message lists all variables: the first twelve, and how many more there are."""
    names = sorted(variables.BY_NAME)
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def targets(workspace: Path) -> list[str]:
    """Return the names of the targets that exist here, sorted, as doit-cargo lists them."""
    rows = json.loads(forked_call(workspace, "doit-cargo", "list", "--json").out)
    return sorted(row["name"] for row in rows if row["available"])


def shown(names: Iterable[str]) -> str:
    """Return how a message lists what is known: a dozen names, and how many more there are."""
    known = sorted(names)
    return "known: " + ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")


def small_workspace(root: Path, extra: str = "") -> Path:
    """Write the small workspace, with a lock and with a dodo.py, so that each door leads to it."""
    make_workspace(root, SMALL, extra)
    write(root / "Cargo.lock", LOCK)
    write(root / "dodo.py", DODO)
    return root


def program(path: Path, body: str) -> Path:
    """Write a shell script that can be run."""
    write(path, f"#!/bin/sh\n{body}\n").chmod(0o755)
    return path


def counting_cargo(folder: Path) -> str:
    """Write a `cargo` that notes how it is called, a line a call, and becomes the real one; return a PATH with it."""
    program(folder / "cargo", f'echo "$@" >> "{folder}/calls"\nexec "{shutil.which("cargo")}" "$@"')
    write(folder / "calls", "")
    return f"{folder}{os.pathsep}{environment()['PATH']}"


def calls_of(folder: Path) -> list[str]:
    """Return the subcommands that `counting_cargo` was asked for."""
    return [line.split()[0] for line in (folder / "calls").read_text().splitlines()]
