"""What the daily loop imports: sets of modules, since times depend on the machine.

A module that is new here costs every call of every user. Whoever adds one looks first whether it was asked for.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from calling import SCRIPTS, environment, posix, small_workspace
from conftest import needs_cargo, write

pytestmark = [needs_cargo, posix]

# All of ours that a call with nothing to do loads.
NOTHING_TO_DO = {
    *("doit_cargo", "doit_cargo.cli", "doit_cargo.cli.main", "doit_cargo.cli.own_environment"),
    *("doit_cargo.engine", "doit_cargo.engine.base"),
    *(f"doit_cargo.engine.base.{name}" for name in ("errors", "own_key", "plain_text", "secrets")),
    *(f"doit_cargo.engine.console{name}" for name in ("", ".reporter", ".streams")),
    *(f"doit_cargo.engine.state{name}" for name in ("", ".fingerprint", ".receipts")),
    *(f"doit_cargo.engine.state.{name}" for name in ("change", "seen", "staleness", "store")),
    *("doit_cargo.targets", "doit_cargo.targets.commands"),
}
# And of the standard library, beside what every Python has loaded before its first line.
ITS_STANDARD_LIBRARY = {"__future__", "_blake2", "gc"}
# What running one cargo target must not load: whole packages, by their first name or their full one.
NOT_FOR_ONE_TARGET = {
    *("doit", "jinja2", "tomlkit", "packaging", "argparse", "importlib.metadata", "pathlib"),
    *("ast", "dataclasses", "hashlib", "inspect", "multiprocessing", "pickle", "shutil", "socket", "tempfile"),
    *("urllib", "doit_cargo.actions", "doit_cargo.cli.line", "doit_cargo.cli.doit", "doit_cargo.engine.hints"),
    *("doit_cargo.engine.plan.plan", "doit_cargo.engine.plan.profiles", "doit_cargo.engine.toolchain.cuda"),
    *("doit_cargo.engine.preflight.requirements.inference", "doit_cargo.targets.catalogue", "doit_cargo.migrate"),
}

# The observer needs more: what a run reads costs more to see than to import.
UNWATCHED = ("OBSERVE=off",)


def imported(folder: Path, *words: str) -> set[str]:
    """Return all modules that a call of doit-cargo loads."""
    program = Path(SCRIPTS) / "python"
    command = [str(program), "-X", "importtime", f"{SCRIPTS}/doit-cargo", *words]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", done.stderr, re.MULTILINE))


def of_python() -> set[str]:
    """Return what Python itself loads here before our first line, with what the installer's own script asks for."""
    script = Path(f"{SCRIPTS}/doit-cargo").read_text(encoding="utf-8")
    asked = "import re" if "\nimport re\n" in script else "pass"  # pip before 25 writes it, uv does not
    command = [f"{SCRIPTS}/python", "-X", "importtime", "-c", asked]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return set(re.findall(r"\| +(\S+)$", done.stderr, re.MULTILINE))


def below(found: set[str], names: set[str]) -> set[str]:
    return {one for one in found if any(one == name or one.startswith(f"{name}.") for name in names)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = small_workspace(tmp_path_factory.mktemp("imports") / "workspace")
    imported(root, "dev")  # cargo may complete the lock, and what crates need is asked once more after that
    write(root / "low/src/lib.rs", "pub fn first() {}\n")
    imported(root, "dev")
    return root


def test_a_call_with_nothing_to_do_loads_these_modules_and_no_other(built: Path) -> None:
    # The first call after a build still renews what was too young to be trusted.
    found = min((imported(built, "dev") for _ in range(3)), key=len) - of_python()
    ours = {name for name in found if name.partition(".")[0] == "doit_cargo"}
    assert ours == NOTHING_TO_DO
    assert found - ours <= ITS_STANDARD_LIBRARY


def test_a_rebuild_of_one_target_loads_neither_doit_nor_templates(built: Path) -> None:
    write(built / "low/src/lib.rs", "pub fn edited() {}\n")
    assert below(imported(built, "dev", *UNWATCHED), NOT_FOR_ONE_TARGET) == set()


def test_several_targets_in_one_call_need_doit_no_more_than_one(built: Path) -> None:
    imported(built, "check", *UNWATCHED)
    write(built / "low/src/lib.rs", "pub fn edited_again() {}\n")
    assert below(imported(built, "dev", "check", *UNWATCHED), NOT_FOR_ONE_TARGET) == set()
