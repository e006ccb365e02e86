"""Groups: ci goes on after a failure and sums up, pre_commit stops, each part runs once, in both doors alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import Said, call, small_workspace
from conftest import needs_cargo, write

pytestmark = [pytest.mark.slow, needs_cargo]

CI_FAST = "fmt_check, check, lint, check_duplicates"
DOORS = ["doit-cargo", "doit"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose CI passes but for what a test does to it."""
    root = small_workspace(tmp_path_factory.mktemp("ci") / "workspace")
    for name in ("app", "low"):
        write(root / name / "src/lib.rs", f"pub fn {name}() {{}}\n")
    return root


@pytest.fixture
def sound(root: Path) -> Path:
    write(root / "low/src/lib.rs", "pub fn low() {}\n")
    assert call(root, "doit-cargo", "ci_fast").status == 0
    return root


@pytest.fixture
def broken(sound: Path) -> Path:
    """A workspace in which formatting and linting fail and all else passes."""
    write(sound / "low/src/lib.rs", "pub fn low( ) -> u32 { return 1; }\n")
    return sound


def lines(said: Said, *marks: str) -> list[str]:
    """Return the words of our own lines with these marks, without how long things took."""
    ran = said.out.partition("\n    target  ")[0]  # what follows sums up
    text = [line for line in (ran + said.err).splitlines() if line.startswith(marks or ("ok ", "-- ", "!! "))]
    return [line.split("  ")[0] for line in text]


@pytest.mark.parametrize("door", DOORS)
def test_what_has_passed_is_skipped_part_by_part(sound: Path, door: str) -> None:
    said = call(sound, door, "ci_fast")
    assert said.status == 0
    assert lines(said) == ["-- fmt_check", "-- check", "-- lint", "-- check_duplicates", "ok ci_fast"]
    assert f"ok ci_fast  {CI_FAST}: all well\n\n    target  " in said.out
    assert said.out.splitlines()[-1] == "failed   0 targets"


@pytest.mark.parametrize(
    "words", [("doit-cargo",), ("doit",), ("doit-cargo", "-n", "2"), ("doit", "-n", "2")], ids=" ".join
)
def test_ci_runs_every_part_and_sums_up(broken: Path, words: tuple[str, ...]) -> None:
    said = call(broken, *words, "ci_fast")
    assert (said.status, "Traceback" in said.err, "UnmetDependency" in said.out) == (1, False, False)
    assert said.err.splitlines()[-1] == "!! ci_fast  failed: fmt_check, lint; passed: check, check_duplicates"


@pytest.mark.parametrize("door", DOORS)
def test_pre_commit_formats_first_and_stops_at_the_first_failure(broken: Path, door: str) -> None:
    said = call(broken, door, "pre_commit")
    assert said.status == 1
    assert (broken / "low/src/lib.rs").read_text() == "pub fn low() -> u32 {\n    return 1;\n}\n"
    assert sorted(lines(said)) == ["!! lint", "ok check", "ok fmt"]


@pytest.mark.parametrize("words", [("doit-cargo", "-k"), ("doit-cargo", "--continue"), ("doit", "-c")], ids=" ".join)
def test_any_group_goes_on_if_told_to(broken: Path, words: tuple[str, ...]) -> None:
    said = call(broken, *words, "quick", "check_duplicates")
    assert said.status == 1
    assert "!! quick  failed: fmt_check; passed: check" in said.err
    assert "-- check_duplicates" in lines(said)


def test_a_part_that_could_not_run_is_told_apart(sound: Path) -> None:
    write(sound / "Cargo.lock.kept", (sound / "Cargo.lock").read_text())
    write(sound / "Cargo.lock", "torn = ")
    try:
        said = call(sound, "doit-cargo", "ci_fast")
    finally:
        (sound / "Cargo.lock.kept").rename(sound / "Cargo.lock")
    assert said.status == 2
    assert "could not run: check_duplicates" in said.err.splitlines()[-1]


def test_a_group_that_needs_all_its_parts_is_absent_without_one(sound: Path) -> None:
    said = call(sound, "doit-cargo", "full-build")
    assert (said.status, "full_build is for the pack mistralrs" in said.err) == (3, True)


def test_what_works_on_programs_is_absent_where_no_member_makes_one(tmp_path: Path) -> None:
    write(tmp_path / "Cargo.toml", '[package]\nname = "only"\nversion = "0.1.0"\nedition = "2021"\n')
    write(tmp_path / "src/lib.rs", "")
    rows = json.loads(call(tmp_path, "doit-cargo", "list", "--json").out)
    absent = {row["name"]: row["reason"] for row in rows if not row["available"]}
    for name in ("verify_binary", "deploy_package", "bloat_check", "binary_size_track", "verify_strip"):
        assert absent[name] == "works on programs, and no member makes one"
    assert {"smoke_test", "pre_deploy", "deploy_check"} <= set(absent)
    assert "ci" not in absent


def test_rebuild_cleans_and_then_builds(sound: Path) -> None:
    said = call(sound, "doit-cargo", "-n", "2", "rebuild")
    assert said.status == 0, said.err
    assert lines(said, "ok ", ".. clean") == [".. clean", "ok build", "ok rebuild"]


def test_a_command_takes_no_option_of_targets(sound: Path) -> None:
    said = call(sound, "doit-cargo", "list", "-n", "2")
    assert said == Said(3, "", "doit-cargo: list runs no targets\n  fix: leave -n and --keep-going out\n")
    assert call(sound, "doit-cargo", "-n", "none", "check").status == 3


# Without test: this workspace has none, which is said, but is no success.
ORDER = ["fmt_check", "check", "lint", "check_duplicates", "ci", "build"]


@pytest.mark.parametrize("door", DOORS)
def test_a_group_in_a_group_comes_at_its_place(sound: Path, door: str) -> None:
    said = call(sound, door, "pre_deploy")
    names = [line.split()[1] for line in lines(said, "ok ", "-- ")]
    assert [name for name in names if name != "test"][: len(ORDER)] == ORDER, said


@pytest.mark.parametrize("words", [("doit-cargo",), ("doit", "-n", "2")], ids=" ".join)
def test_nothing_is_built_for_a_release_where_a_check_has_failed(broken: Path, words: tuple[str, ...]) -> None:
    said = call(broken, *words, "pre_deploy")
    started = {line.split()[1] for line in lines(said, "ok ", "-- ", ".. ", "!! ")}
    assert (said.status, "fmt_check" in started, started & {"build", "verify_binary"}) == (1, True, set()), said
