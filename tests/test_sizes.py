"""Sizes by crate and function: through cargo-bloat, in a directory of its own, whatever a profile strips."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from calling import forked_call as call
from conftest import needs_cargo, write
from doit_cargo.actions.measure.sizes import CrateSize, shares
from measuring import lay_out, needs

# cargo-bloat 0.12.1, --message-format json, shortened.
CRATES = {
    "file-size": 4861360,
    "text-section-size": 524186,
    "crates": [{"name": "app", "size": 300}, {"name": "std", "size": 330034}],
}
FUNCTIONS = {"functions": [{"crate": "std", "name": "main", "size": 5}, {"crate": None, "name": "start", "size": 9}]}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose release profile strips, built."""
    root = lay_out(tmp_path_factory.mktemp("sizes"))
    assert call(root, "doit-cargo", "build").status == 0
    return root


@needs_cargo
@needs("cargo-bloat")
@pytest.mark.slow
def test_the_program_of_build_is_neither_relinked_nor_stale_afterwards(built: Path) -> None:
    program = built / "target/release/app"
    before = program.stat()
    said = call(built, "doit-cargo", "bloat_check", "N=3")
    assert said.status == 0, said.err
    assert re.search(r"^ *\d+\.\d% +\d+\.\d% +\S+ std$", said.out, re.MULTILINE)
    assert said.out.count("And ") == 2
    after = program.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert call(built, "doit-cargo", "build").out.startswith("-- build  up to date: ")


@needs_cargo
@needs("cargo-bloat")
@pytest.mark.slow
def test_the_analysis_holds_size_history_crates_and_functions(built: Path) -> None:
    said = call(built, "doit-cargo", "binary_analysis", "N=2")
    assert said.status == 0, said.err
    report = (built / ".logs/bloat-analysis.txt").read_text()
    size = (built / "target/release/app").stat().st_size
    lines = report.splitlines()
    assert lines[0] == f"target/release/app: {size:,} bytes ({size / 1e6:.1f} MB)"
    assert lines[2].split()[-3:] == [f"{size:,}", "bytes", "build"]
    assert [line for line in lines if line.startswith("  largest")] == ["  largest crates:", "  largest functions:"]
    assert re.search(r"^ +\d+\.\d % .* std$", report, re.MULTILINE)
    assert len([line for line in lines if line.startswith("    ")]) == 4
    assert said.out.endswith(f"{report}ok binary_analysis  1 program; report: .logs/bloat-analysis.txt\n")


@needs_cargo
@needs("cargo-bloat")
@pytest.mark.slow
def test_a_profile_that_strips_by_config_still_has_its_symbols_here(built: Path) -> None:
    said = call(built, "doit-cargo", "bloat_check", "PROFILE=optimised", "N=1")
    assert (said.status, ".text section size" in said.out) == (0, True)


def test_shares_come_largest_first_and_name_their_crate() -> None:
    assert shares(CRATES, "crates") == [CrateSize("std", 330034), CrateSize("app", 300)]
    assert shares(FUNCTIONS, "functions") == [CrateSize("start", 9), CrateSize("std main", 5)]
    assert shares({}, "crates") == []


@needs_cargo
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["BIN=ap"], "BIN: unknown program 'ap'\n  fix: did you mean 'app'? known: app\n"),
        (["PACKAGE=timed"], "timed makes no program\n  fix: name another package with PACKAGE\n"),
        (["N=0"], "N=0 is not a whole number above 0\n"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_input_is_told_before_anything_starts(tmp_path: Path, words: list[str], told: str) -> None:
    said = call(lay_out(tmp_path), "doit-cargo", "bloat_check", *words)
    assert (said.status, said.out, said.err.startswith(f"doit-cargo: {told}")) == (3, "", True)


@needs_cargo
def test_a_cargo_bloat_that_is_too_old_is_told(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "ws")
    write(tmp_path / "bin/cargo-bloat", "#!/bin/sh\necho 0.11.1\n").chmod(0o755)
    from calling import environment

    said = call(root, "doit-cargo", "bloat_check", PATH=f"{tmp_path}/bin:{environment()['PATH']}")
    assert said.status == 2
    assert f"bloat_check needs cargo-bloat >=0.12.1, found 0.11.1 at {tmp_path}/bin/cargo-bloat\n" in said.err
