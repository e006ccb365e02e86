"""Timings of a build: cargo's page is kept and read, from a build beside what is there; and a build from nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import Said
from calling import forked_call as call
from conftest import needs_cargo, write
from doit_cargo.actions.measure.timings import Cost, costs, units_of
from measuring import MAIN, lay_out

# Of the page that cargo 1.95 writes, shortened; what follows the list is script.
PAGE = """\
<script>
const UNIT_DATA = [
  {"i": 0, "name": "core", "version": "0.6.0", "mode": "todo", "target": "", "start": 0.2, "duration": 4.0},
  {"i": 1, "name": "quant", "version": "0.6.0", "mode": "todo", "target": " build-script", "duration": 0.75},
  {"i": 2, "name": "quant", "version": "0.6.0", "target": " build-script (run)", "start": 0.93, "duration": 0.5},
  {"i": 3, "name": "quant", "version": "0.6.0", "target": "", "duration": 1.0, "sections": [["codegen", {"end": 1}]]}
];
for (const unit of UNIT_DATA) { unit = [; }
"""


def test_the_units_of_the_page_become_costs_of_packages() -> None:
    assert costs(units_of(PAGE)) == [Cost("core", "0.6.0", 4.0, 0.0, 1), Cost("quant", "0.6.0", 2.25, 1.25, 3)]


@pytest.mark.parametrize("page", ["", "<html>", "UNIT_DATA = [", "UNIT_DATA = {}", 'UNIT_DATA = [{"name": "x"}]'])
def test_a_page_without_units_is_refused(page: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own and ours
        units_of(page)


def files_of(folder: Path) -> dict[str, int]:
    """Return the files below a folder with their times of change."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A workspace that was built, and then timed; what it said."""
    root = lay_out(tmp_path_factory.mktemp("timed"))
    assert call(root, "doit-cargo", "build").status == 0
    before = files_of(root / "target/release")
    said = call(root, "doit-cargo", "build_timings")
    assert files_of(root / "target/release") == before
    return root, said


@needs_cargo
@pytest.mark.slow
def test_an_up_to_date_build_is_timed_whole_and_left_as_it_is(timed: tuple[Path, Said]) -> None:
    root, said = timed
    assert said.status == 0, said.err
    assert [line.split()[-3:] for line in said.out.splitlines() if line.endswith("(member)")] in (
        [["app", "0.1.0", "(member)"], ["timed", "0.1.0", "(member)"]],
        [["timed", "0.1.0", "(member)"], ["app", "0.1.0", "(member)"]],
    )
    assert ": 3 units, " in said.out.splitlines()[-1]
    assert len(units_of((root / ".logs/build-timings.html").read_text())) == 3
    assert not (root / "target/doit-cargo/timings").exists()
    assert call(root, "doit-cargo", "build").out.startswith("-- build  up to date: ")


@needs_cargo
@pytest.mark.slow
def test_the_slowest_are_shown_from_the_page_that_was_kept(timed: tuple[Path, Said]) -> None:
    root, _ = timed
    said = call(root, "doit-cargo", "slowest_deps", "N=1")
    assert said.status == 0
    assert [line.split()[-1] for line in said.out.splitlines()[1:3]] == ["(member)", "more)"]
    assert "ok slowest_deps  2 packages of the build timed on " in said.out
    assert said.err == ""


@needs_cargo
def test_a_page_that_cannot_be_read_is_told_and_kept(tmp_path: Path) -> None:
    root = lay_out(tmp_path)
    page = write(root / ".logs/build-timings.html", "<html>")
    said = call(root, "doit-cargo", "slowest_deps")
    assert (said.status, page.read_text()) == (1, "<html>")
    assert said.err.startswith(
        f"!! slowest_deps  {page}: cargo's timings cannot be read: no UNIT_DATA in the page\n  fix: remove it"
    )


# --- a build from nothing --------------------------------------------------------------------------------------------


@needs_cargo
@pytest.mark.slow
def test_a_clean_build_is_proven_by_programs_that_start(timed: tuple[Path, Said]) -> None:
    root, _ = timed
    before = files_of(root / "target/release")
    said = call(root, "doit-cargo", "verify_build")
    assert said.status == 0, said.err
    assert said.out.splitlines()[-2].split()[-3:] == ["app", "0.1.0", "1"]
    assert "3 units compiled, 1 program started" in said.out
    assert files_of(root / "target/release") == before


@needs_cargo
@pytest.mark.slow
def test_a_program_that_does_not_start_fails_though_cargo_is_content(tmp_path: Path) -> None:
    root = lay_out(tmp_path)
    write(root / "app/src/main.rs", MAIN.replace("fn main() {", 'fn main() {\n    panic!("no");', 1))
    said = call(root, "doit-cargo", "verify_build")
    assert (said.status, "warning" not in said.out) == (1, True)
    assert "!! verify_build  app (" in said.err
    assert ") answers neither --version nor --help\n" in said.err
