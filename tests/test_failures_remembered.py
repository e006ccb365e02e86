"""What failed is remembered: a group, status, hint, show_log, why and rerun tell of it until it is mended."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from calling import Said, call
from conftest import needs_cargo, write

pytestmark = [pytest.mark.slow, needs_cargo]

GOOD, BAD = "fn main() {}\n", "fn main() {\n    let x = 1;\n}\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("failures") / "finder"
    write(root / "Cargo.toml", '[package]\nname = "finder"\nversion = "1.2.0"\nedition = "2021"\n')
    write(root / "src/main.rs", GOOD)
    return root


@pytest.fixture
def failed(root: Path) -> Said:
    """What `ci_fast` says where linting fails and all else passes."""
    write(root / "src/main.rs", BAD)
    return call(root, "doit-cargo", "ci_fast")


def timeless(text: str) -> str:
    return re.sub(r"target +time", "target time", re.sub(r" +\d[\d.]* (?:s|min)\b", " _", text))


def test_a_group_ends_with_a_table_failures_last_and_what_it_came_to(failed: Said) -> None:
    assert failed.status == 1
    assert timeless(failed.out[failed.out.index("\n    target") + 1 :]) == (
        "    target time\n"
        "    fmt_check         done _  .logs/fmt-check.log\n"
        "    check             done _  .logs/check.log\n"
        "    check_duplicates  done _\n"
        "    lint              failed _  .logs/lint.log\n"
        "!! lint  failed after _\n"
        "   cause  error: unused variable: `x`\n"
        "   log    .logs/lint.log\n"
        "   again  doit-cargo lint\n"
        "done     3 targets; _ in all\n"
        "skipped  0 targets\n"
        "failed   1 target: lint; doit-cargo rerun does it again\n"
    )


def test_what_was_up_to_date_says_what_that_has_saved(root: Path) -> None:
    write(root / "src/main.rs", GOOD)
    assert call(root, "doit-cargo", "ci_fast").status == 0
    said = call(root, "doit-cargo", "ci_fast")
    assert timeless(said.out).endswith(
        "done     0 targets; _ in all\nskipped  4 targets, _ saved\nfailed   0 targets\n"
    )
    assert "    lint              up to date        saves" in said.out


@pytest.mark.usefixtures("failed")
def test_each_command_that_tells_of_runs_tells_of_the_last_failure(root: Path) -> None:
    status = call(root, "doit-cargo", "status").out
    assert re.search(r"^failed +[\d-]+ [\d:]+ +[\d.]+ s  lint  .logs/lint.log$", status, re.MULTILINE)
    assert "1 failed: doit-cargo why lint tells why, doit-cargo rerun does it again\n" in status
    assert "could not compile `finder`" in call(root, "doit-cargo", "show_log").out
    assert call(root, "doit-cargo", "show_log").out.splitlines()[-1].startswith("ok show_log  .logs/lint.log, written ")
    why = call(root, "doit-cargo", "why", "lint").out
    assert "  last run  failed just now\n    cause  error: unused variable: `x`\n" in why
    assert "    again  doit-cargo lint\n" in why
    assert "last run" not in call(root, "doit-cargo", "why", "check").out
    assert json.loads(call(root, "doit-cargo", "hint", "--json").out)["log"].endswith(".logs/lint.log")


def test_what_could_not_start_is_told_by_hint_without_a_log(root: Path) -> None:
    write(root / "src/main.rs", GOOD)
    call(root, "doit-cargo", "rerun")
    assert call(root, "doit-cargo", "setup_cmake").status == 2
    said = call(root, "doit-cargo", "hint")
    assert (said.status, said.out.splitlines()[0]) == (0, "setup_cmake could not run just now")
    assert "   cause  " in said.out
    assert "   again  doit-cargo setup_cmake\n" in said.out


def test_rerun_does_what_failed_with_its_variables_and_nothing_else(root: Path) -> None:
    write(root / "src/main.rs", BAD)
    assert call(root, "doit-cargo", "lint", "PACKAGE=finder").status == 1
    again = call(root, "doit-cargo", "rerun", "lint")
    assert (again.status, ".. doit-cargo lint PACKAGE=finder\n" in again.out) == (1, True)
    write(root / "src/main.rs", GOOD)
    assert call(root, "doit-cargo", "rerun", "lint").status == 0
    assert call(root, "doit-cargo", "rerun", "lint") == Said(0, "nothing on record has failed of lint\n", "")


def test_a_group_is_repeated_by_its_failed_part_and_what_nobody_wants_is_dismissed(root: Path) -> None:
    write(root / "src/main.rs", BAD)
    assert call(root, "doit-cargo", "lint").status == 1
    assert call(root, "doit-cargo", "dev", "TARGET=x86-linux").status == 2
    again = call(root, "doit-cargo", "rerun", "ci_fast")
    assert (again.status, again.out.count(".. doit-cargo ")) == (1, 1)
    assert " dev TARGET=x86-linux" in call(root, "doit-cargo").out
    said = call(root, "doit-cargo", "rerun", "--dismiss", "dev")
    assert said == Said(0, "forgotten: doit-cargo dev TARGET=x86-linux\n", "")
    assert " dev TARGET=x86-linux" not in call(root, "doit-cargo").out


def test_what_could_not_run_is_not_called_a_failure_and_is_not_repeated_in_silence(root: Path) -> None:
    write(root / "src/main.rs", GOOD)
    call(root, "doit-cargo", "rerun", "--dismiss")
    said = call(root, "doit-cargo", "fmt_check", "setup_cmake", FORCE="1")
    assert (said.status, timeless(said.out[said.out.index("\ndone ") + 1 :])) == (
        2,
        "done     1 target; _ in all\nskipped  0 targets\nfailed   0 targets\n"
        "could not run 1 target: setup_cmake; what each needs is said above\n",
    )
    status = call(root, "doit-cargo", "status").out
    assert re.search(r"^could not run +[\d-]+ [\d:]+ +[\d.]+ s  setup_cmake$", status, re.MULTILINE)
    assert "; 1 could not run: doit-cargo why setup_cmake tells why" in status
    assert "\ncould not run: setup_cmake\n" in call(root, "doit-cargo").out
    again = call(root, "doit-cargo", "rerun")
    assert again.status == 2
    told = [line.removeprefix(".. setup_cmake  ") for line in again.out.splitlines() if ".. setup_cmake" in line]
    assert told[0].startswith("could not run before: ")
    assert told[-1] == ("cannot run for the same reason as before; doit-cargo rerun --dismiss setup_cmake forgets it")


def test_what_was_dismissed_has_failed_for_nobody(root: Path) -> None:
    write(root / "src/main.rs", GOOD)
    assert call(root, "doit-cargo", "check").status == 0
    write(root / "src/main.rs", "fn main() {\n")
    assert call(root, "doit-cargo", "check").status == 1
    assert re.search("^failed since .* check$", call(root, "doit-cargo", "status").out, re.MULTILINE)
    call(root, "doit-cargo", "rerun", "--dismiss")
    status = call(root, "doit-cargo", "status").out
    assert (re.search("^stale .* check$", status, re.MULTILINE) is not None, "failed" in status) == (True, False)
    assert re.search(r"^  check .* stale: has failed$", call(root, "doit-cargo").out, re.MULTILINE)
    assert "  last run  failed" not in call(root, "doit-cargo", "why", "check").out


def test_several_targets_end_with_a_table_that_tells_what_did_not_run(root: Path) -> None:
    write(root / "src/main.rs", BAD)
    said = call(root, "doit-cargo", "fmt_check", "lint", "check", FORCE="1")
    assert (said.status, "    check      not run\n" in said.out) == (1, True), said.out


def test_the_record_stays_small_and_a_torn_line_takes_no_other_with_it(root: Path) -> None:
    state = root / ".doit-cargo"
    write(root / "src/main.rs", BAD)
    assert call(root, "doit-cargo", "lint").status == 1
    line = (state / "journal.jsonl").read_text().splitlines()[-1]
    write(state / "journal.jsonl", f"{line}\n" * 3000 + '{"torn')
    write(state / "skips", "1000 lint 2.0\n" * 40_000 + "not a line\n")
    assert call(root, "doit-cargo", "lint").status == 1
    status = call(root, "doit-cargo", "status").out
    assert re.search(r"; 40000 skips have saved [\d.]+ h; 1 failed: ", status), status
    assert (state / "journal.jsonl").stat().st_size < 500_000
    assert (state / "skips").stat().st_size < 400_000
    forged = re.sub('"target":"lint"', '"target":"check"', line)
    write(state / "journal.jsonl", forged + "\n")
    assert call(root, "doit-cargo", "rerun") == Said(0, "nothing on record has failed\n", "")
