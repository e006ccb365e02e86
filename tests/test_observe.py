"""`observe` tells what a target was seen to rest on and how to declare it; `OBSERVE=strict` asks for all of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from calling import Said, call, posix, small_workspace
from conftest import needs_cargo, write
from observing import observer

pytestmark = [needs_cargo, posix]

SCRIPT = """fn main() {
    println!("cargo::rustc-env=TOLD={:?}", (std::fs::read("../told.txt").is_ok(), std::env::var("TOLD_BY")));
}
"""
TEST = '#[test]\nfn reads() {\n    assert!(std::fs::read("fixture.txt").is_ok());\n}\n'
SEEN = """\
dev rests on what nobody declares:
  low  script  reads     told.txt
  low  script  asks for  TOLD_BY
"""
PROPOSED = """
low/build.rs, so that plain cargo sees it too (with any such line cargo reruns it for these alone):
    println!("cargo::rerun-if-changed=../told.txt");
    println!("cargo::rerun-if-env-changed=TOLD_BY");
"""


def said(root: Path, *words: str) -> Said:
    return call(root, "doit-cargo", *words)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    observer()
    root = small_workspace(tmp_path_factory.mktemp("observe") / "workspace")
    write(root / "low/build.rs", SCRIPT)
    write(root / "told.txt", "one\n")
    assert said(root, "dev").status == 0
    return root


def test_what_a_build_was_seen_to_read_is_told_with_lines_that_declare_it(seen: Path) -> None:
    told = said(seen, "observe", "dev").out
    first, _, rest = told.partition("  and ")
    assert first == SEEN
    assert rest.partition("\n")[2] == PROPOSED


def test_all_of_it_is_there_as_json(seen: Path) -> None:
    found = json.loads(said(seen, "observe", "dev", "--json").out)
    assert {"package": "low", "by": "script", "verb": "reads", "subject": "told.txt"} in found["seen"]
    assert (found["target"], found["unseen"]) == ("dev", [])
    assert [one["where"].partition(",")[0] for one in found["proposals"]] == ["low/build.rs"]


def test_what_tests_were_seen_to_read_is_told_by_package(seen: Path) -> None:
    write(seen / "low/fixture.txt", "one\n")
    write(seen / "low/tests/reads.rs", TEST)
    assert said(seen, "test").status == 0
    told = [line.split() for line in said(seen, "observe", "test").out.splitlines()]
    assert ["low", "test", "reads", "low/fixture.txt"] in told


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("check",), "doit-cargo: check has not run here\n  fix: doit-cargo check\n"),
        (("fmt_check",), "doit-cargo: fmt_check calls no cargo, and is not observed\n  fix: name a build or a test\n"),
        ((), "doit-cargo: observe needs a target\n  fix: for example: doit-cargo observe build\n"),
    ],
    ids=["never run", "no cargo", "no target"],
)
def test_what_cannot_be_told_is_said(seen: Path, words: tuple[str, ...], problem: str) -> None:
    done = said(seen, "observe", *words)
    assert (done.status, done.err) == (3, problem)


def test_strict_fails_for_what_nobody_saw_until_it_is_built_observed(seen: Path) -> None:
    shutil.rmtree(seen / "target")
    assert said(seen, "dev", "OBSERVE=off").status == 0
    assert said(seen, "dev").out.startswith("-- ")
    refused = said(seen, "dev", "OBSERVE=strict")
    assert refused.status == 1
    assert "OBSERVE=strict: low was compiled while nobody observed it" in refused.err
    shutil.rmtree(seen / "target")
    assert said(seen, "dev", "OBSERVE=strict").status == 0
    assert said(seen, "dev", "OBSERVE=strict").out.startswith("-- ")
