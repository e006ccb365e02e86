"""Builds are remembered: how much they had to do, how long they took, how large their programs became."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import call
from conftest import needs_cargo, write
from doit_cargo.engine.base import own_key
from doit_cargo.engine.execution import history
from doit_cargo.engine.execution.history import Build
from measuring import MAIN, lay_out

BIG = "static BIG: [u8; 400_000] = [7; 400_000];\n" + MAIN.replace(
    "fn main() {", "fn main() {\n    std::hint::black_box(&BIG);"
)


def build(**more: object) -> Build:
    fields = {"target": "build", "time": 1.0, "seconds": 2.0, "work": "cold", "profile": "release", **more}
    return Build(**fields)  # type: ignore[arg-type]


# --- real builds -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that was built, skipped, edited so that its program grew, and built again."""
    root = lay_out(tmp_path_factory.mktemp("built"))
    for _ in range(2):
        assert call(root, "doit-cargo", "build").status == 0
    write(root / "app/src/main.rs", BIG)
    said = call(root, "doit-cargo", "build")
    assert said.status == 0
    write(root / "said", said.out)
    return root


@needs_cargo
@pytest.mark.slow
def test_a_build_that_ran_is_one_line_and_a_skip_is_none(built: Path) -> None:
    builds = history.read(str(built / ".doit-cargo"))
    assert [(one.target, one.work, one.compiled, one.units) for one in builds] == [
        ("build", "cold", 3, 3),
        ("build", "incremental", 1, 3),
    ]
    size = (built / "target/release/app").stat().st_size
    assert builds[1].sizes == {"release/app": size}
    assert 400_000 <= size - builds[0].sizes["release/app"] < 450_000  # type: ignore[index]


@needs_cargo
@pytest.mark.slow
def test_a_program_that_grew_is_told_with_both_sizes(built: Path) -> None:
    before, after = (one.sizes["release/app"] for one in history.read(str(built / ".doit-cargo")))  # type: ignore[index]
    last = (built / "said").read_text().splitlines()[-1]
    percent = f"{100 * (after - before) / before:.1f} %"
    assert last == f".. build  release/app grew by {percent}: {before / 1e6:.1f} MB -> {after / 1e6:.1f} MB"


@needs_cargo
@pytest.mark.slow
def test_the_sizes_on_record_are_listed_with_their_changes(built: Path) -> None:
    said = call(built, "doit-cargo", "binary_size_track")
    before, after = (one.sizes["release/app"] for one in history.read(str(built / ".doit-cargo")))  # type: ignore[index]
    rows = [line.split() for line in said.out.splitlines()[1:-1]]
    percent = f"+{100 * (after - before) / before:.1f}%"
    assert [row[3:] for row in rows] == [
        [f"{before:,}", "-", "release/app", "build"],
        [f"{after:,}", percent, "release/app", "build"],
    ]
    assert said.out.splitlines()[-1] == "ok binary_size_track  2 builds on record, 2 sizes"


@needs_cargo
@pytest.mark.slow
@pytest.mark.parametrize(("allowed", "status"), [("900", 0), ("3", 1)])
def test_growth_beyond_the_threshold_fails(built: Path, allowed: str, status: int) -> None:
    said = call(built, "doit-cargo", "verify_binary_size", f"SIZE_THRESHOLD={allowed}")
    told = said.err if status else said.out
    assert said.status == status
    assert f" verify_binary_size  {'release/app grew by more than 3 %' if status else '1 program, none'}" in told


@needs_cargo
@pytest.mark.slow
def test_durations_become_a_table_and_a_second_call_replaces_only_the_table(built: Path) -> None:
    assert call(built, "doit-cargo", "build_perf_docs", "OUTPUT=times.md").status == 0
    path = built / "times.md"
    row = next(line for line in path.read_text().splitlines() if line.startswith("| build |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert (cells[2], cells[3], cells[5], cells[7]) == ("release", "", "-", "-")
    assert cells[4].endswith(" (1)")
    assert cells[6].endswith(" (1)")
    first = path.read_text()
    path.write_text(first.replace("# Build performance", "# Ours").replace(row, "| torn |"))
    assert call(built, "doit-cargo", "build_perf_docs", "OUTPUT=times.md").status == 0
    assert path.read_text() == first.replace("# Build performance", "# Ours")


@needs_cargo
@pytest.mark.slow
def test_a_history_that_cannot_be_written_breaks_no_build(tmp_path: Path) -> None:
    root = lay_out(tmp_path)
    (root / ".doit-cargo/history.jsonl").mkdir(parents=True)
    said = call(root, "doit-cargo", "dev")
    assert (said.status, said.out.splitlines()[-1][:7]) == (0, "ok dev ")


# --- without a build -------------------------------------------------------------------------------------------------


@needs_cargo
@pytest.mark.parametrize(
    ("target", "what"),
    [("binary_size_track", "no size is on record here yet"), ("build_perf_docs", "no build is on record here yet")],
)
def test_where_nothing_is_on_record_that_is_said(tmp_path: Path, target: str, what: str) -> None:
    said = call(lay_out(tmp_path), "doit-cargo", target)
    assert (said.status, said.err.splitlines()[0]) == (2, f"!! {target}  {what}")


@needs_cargo
def test_a_file_without_a_place_for_the_table_is_left_alone(tmp_path: Path) -> None:
    root = lay_out(tmp_path)
    write(root / "README.md", "mine\n")
    said = call(root, "doit-cargo", "build_perf_docs", "OUTPUT=README.md")
    assert (said.status, (root / "README.md").read_text()) == (3, "mine\n")
    assert said.err.startswith(f"doit-cargo: {root}/README.md: this file is there and has no place for the table\n")


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    made = build(features=("cuda", "mkl"), sizes={"release/app": 5}, commit="abc", cores=2)
    history.append(str(tmp_path), made)
    history.append(str(tmp_path), made)
    assert history.read(str(tmp_path)) == [made, made]


def test_lines_that_are_no_builds_are_passed_over_and_a_torn_one_takes_no_other_with_it(tmp_path: Path) -> None:
    good = build(sizes={})
    history.append(str(tmp_path), good)
    path = tmp_path / history.FILE
    torn = path.read_text() + 'null\n[]\n{"target": 1}\n\xff\n{"target":"build","time":"x","seconds":1,"work":"cold"}\n'
    path.write_text(torn + '{"target":"build","ti')
    history.append(str(tmp_path), good)
    assert history.read(str(tmp_path)) == [good, good]


def test_a_field_of_a_later_version_is_no_obstacle(tmp_path: Path) -> None:
    history.append(str(tmp_path), build(sizes={}))
    path = tmp_path / history.FILE
    later = own_key.sealed({**(own_key.unsealed(json.loads(path.read_text())) or {}), "later": 1})
    path.write_text(json.dumps(later) + "\n")
    assert history.read(str(tmp_path)) == [build(sizes={})]


def test_the_file_keeps_a_size_and_its_newest_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LARGEST", 4_000)
    for number in range(200):
        history.append(str(tmp_path), build(time=float(number), sizes={}))
    times = [one.time for one in history.read(str(tmp_path))]
    assert times == [float(number) for number in range(200 - len(times), 200)]
    assert 5 < len(times) < 30
    assert (tmp_path / history.FILE).stat().st_size <= 4_000


def test_only_programs_of_one_kind_are_compared() -> None:
    old = [
        build(time=1.0, sizes={"release/app": 100}, commit="a"),
        build(time=2.0, sizes={"release/app": 300}, features=("cuda",)),
        build(time=3.0, sizes={"release/other": 5}),
    ]
    grown = history.growths(old, build(time=4.0, sizes={"release/app": 110, "debug/app": 7}))
    assert [(one.program, one.before, one.after, one.commit) for one in grown] == [("release/app", 100, 110, "a")]
    assert [history.too_large(grown[0], allowed) for allowed in (9.9, 10.0)] == [True, False]


def test_the_workspace_may_allow_more_growth() -> None:
    assert [history.allowed_growth(settings) for settings in ({}, {"size-growth": 20}, {"size-growth": "x"})] == [
        5.0,
        20.0,
        5.0,
    ]
