"""The tests' own shortcut: a command from a Python that is warm says, does and ends as one that starts from nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import SCRIPTS, environment, posix, small_workspace
from conftest import needs_cargo
from warm import Warm

pytestmark = [needs_cargo, posix]

OWN = """\
import os, sys

def task_tells():
    def tell():
        print(os.getcwd(), sys.argv, os.environ["ASKED"], os.getsid(0) == os.getpid(), sys.__stdout__.encoding)
        print("both", file=sys.stderr)
    return {"actions": [tell], "verbosity": 2}

def task_ends():
    return {"actions": [lambda: os.kill(os.getpid(), 9)]}
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = small_workspace(tmp_path_factory.mktemp("warm") / "workspace")
    with (root / "dodo.py").open("a", encoding="utf-8") as stream:
        stream.write(OWN)
    return root


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    one = Warm(environment())
    yield one
    one.end()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("doit-cargo", "list"), 0),
        (("doit-cargo", "buidl"), 3),
        (("doit", "tells"), 0),
        (("doit", "ends"), -9),
        (("doit", "help", "no-such-task"), 3),
    ],
    ids=str,
)
def test_a_warm_call_says_and_ends_as_a_cold_one(
    workspace: Path, warm: Warm, words: tuple[str, ...], status: int
) -> None:
    given = {**environment(), "ASKED": "yes"}
    argv = [os.path.join(SCRIPTS, words[0]), *words[1:]]
    cold = subprocess.run(
        argv,
        cwd=workspace,
        env=given,
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    said = warm.run(argv, str(workspace), given, None)
    assert (said.returncode, said.stdout, said.stderr) == (cold.returncode, cold.stdout, cold.stderr)
    assert cold.returncode == status
