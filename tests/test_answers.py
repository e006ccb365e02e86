"""Targets and commands that only ask cargo: the second time no cargo starts, and the answer is printed again."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import Said, calls_of, counting_cargo, posix
from calling import forked_call as call
from conftest import needs_cargo, write

pytestmark = [needs_cargo, posix]

MEMBER = '[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n'
PART = 'part = {{ path = "{path}" }}\n'
# app -> low -> far, which lies outside of the workspace and leads on to further.
QUESTIONS = {
    "deps_tree": ("deps_tree", "PACKAGE=all"),
    "deps_duplicates": ("deps_duplicates",),
    "deps_why": ("deps_why", "PACKAGE=further"),
    "validate_features": ("validate_features",),
    "verify_profile": ("verify_profile",),
    "features": ("features",),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("answers")
    packages = {
        "ws/app": ("low", "../low"),
        "ws/low": ("far", "../../far"),
        "far": ("further", "../further"),
        "further": None,
    }
    write(top / "ws/Cargo.toml", '[workspace]\nresolver = "2"\nmembers = ["app", "low"]\n')
    for folder, dependency in packages.items():
        name = folder.removeprefix("ws/")
        more = f'[dependencies.{dependency[0]}]\npath = "{dependency[1]}"\n' if dependency else ""
        write(top / folder / "Cargo.toml", MEMBER.format(name=name) + more + "[features]\nfast = []\n")
        write(top / folder / "src/lib.rs", "")
    write(top / "ws/app/src/main.rs", "fn main() {}\n")
    write(top / "ws/profiles/quick.toml", 'doc = "Quick."\nfeatures = ["fast"]\n')
    assert call(top / "ws", "cargo", "generate-lockfile", "--offline").status == 0
    return top / "ws"


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("cargo")
    return folder, counting_cargo(folder)


class Asking:
    """Calls in the workspace, each with the number of calls of cargo that it made."""

    def __init__(self, root: Path, counting: tuple[Path, str]) -> None:
        self.root = root
        self.folder, self.path = counting

    def ask(self, *words: str) -> tuple[Said, int]:
        before = len(calls_of(self.folder))
        said = call(self.root, "doit-cargo", *words, PATH=self.path)
        return said, len(calls_of(self.folder)) - before


@pytest.fixture(scope="module")
def asking(root: Path, counting: tuple[Path, str]) -> Asking:
    return Asking(root, counting)


def answer(said: Said) -> list[str]:
    """Return what was printed but for our own lines, which tell of reasons and times."""
    return [line for line in said.out.splitlines() if not line.startswith((".. ", "ok ", "-- "))]


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_second_time_the_answer_comes_without_cargo(asking: Asking, name: str) -> None:
    (first, calls), (again, more) = asking.ask(*QUESTIONS[name]), asking.ask(*QUESTIONS[name])
    assert (first.status, again.status, more) == (0, 0, 0), first.err
    assert calls or name in ("features", "deps_duplicates")  # asked before; in the lock
    assert answer(again) == answer(first)
    assert answer(first) or name == "validate_features"
    assert (f"-- {name}  up to date: " in again.out) == (name != "features")


def test_a_manifest_far_away_and_a_new_profile_have_it_asked_anew(asking: Asking) -> None:
    tree, features = QUESTIONS["deps_tree"], QUESTIONS["features"]
    asking.ask(*tree)
    manifest = asking.root.parent / "further/Cargo.toml"
    manifest.write_text(manifest.read_text().replace("0.1.0", "0.2.0"))
    assert "further v0.2.0" in asking.ask(*tree)[0].out
    write(asking.root / "profiles/slow.toml", 'doc = "Slow."\nfeatures = ["fast"]\n')
    assert "slow" in asking.ask(*features)[0].out
    assert "ok deps_tree" in asking.ask(*tree, "FORCE=1")[0].out
