"""Whether a target holds: `status`, `report`, `gc`, `why`, the first screen and the run say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import environment, posix
from calling import forked_call as call
from conftest import needs_cargo, write
from doit_cargo.engine.state import receipts

pytestmark = [needs_cargo, posix, pytest.mark.slow]

LIBRARY = "pub fn one() -> u32 { 1 }\n#[test]\nfn is_one() { assert_eq!(one(), 1); }\n"
MANIFEST = '[package]\nname = "%s"\nversion = "0.1.0"\nedition = "2021"\n[features]\nextra = []\n'
HELD = {"dev": "up to date", "check FEATURES=extra": "up to date", "test": "up to date"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of two packages that rest on each other, in which three results hold."""
    root = tmp_path_factory.mktemp("verdict") / "ws"
    write(root / "Cargo.toml", '[workspace]\nmembers = ["low", "top"]\nresolver = "2"\n')
    for name in ("low", "top"):
        write(root / name / "Cargo.toml", MANIFEST % name)
        write(root / name / "src/lib.rs", LIBRARY)
    write(root / "top/Cargo.toml", MANIFEST % "top" + '[dependencies]\nlow = { path = "../low" }\n')
    for words in (("dev",), ("check", "FEATURES=extra", "JOBS=2"), ("test",)):
        assert call(root, "doit-cargo", *words).status == 0
    return root


@pytest.fixture
def failed(root: Path) -> Iterator[Path]:
    """The same after an edit that one of the tests does not pass."""
    write(root / "top/src/lib.rs", LIBRARY.replace("one(), 1", "one(), 2"))
    assert call(root, "doit-cargo", "test").status == 1
    yield root
    write(root / "top/src/lib.rs", LIBRARY)


def of_status(root: Path) -> dict[str, str]:
    return {one["target"]: one["state"] for one in json.loads(call(root, "doit-cargo", "status", "JSON=1").out)}


def of_gc(root: Path) -> dict[str, str]:
    told = json.loads(call(root, "doit-cargo", "gc", "--dry-run", "--max-size", "1", "--json").out)
    assert not any(one["fresh"] and one["given_up"] for one in told["holds"])
    return {one["target"]: "up to date" if one["fresh"] else "stale" for one in told["holds"]}


def of_report(root: Path) -> dict[str, str]:
    assert call(root, "doit-cargo", "report").status == 0
    page = (root / ".logs/report.html").read_text().partition('id="now"')[2].partition("</tbody>")[0]
    return dict(re.findall(r'<tr><td class="name">([^<]+)</td><td>([^<]+)', page))


def of_why(root: Path, *words: str) -> bool:
    return bool(json.loads(call(root, "doit-cargo", "why", *words, "--json").out)["fresh"])


def add_profile(root: Path, name: str, text: str = 'extends = "dev"\n') -> None:
    """Add or change a profile: what has looked already shall have to look again."""
    write(root / f"profiles/{name}.toml", f'doc = "A profile."\n{text}')


def test_a_profile_that_nothing_uses_leaves_all_up_to_date_whoever_is_asked_first(root: Path) -> None:
    add_profile(root, "for_status")
    assert of_status(root) == HELD
    add_profile(root, "for_report")
    assert of_report(root) == HELD
    add_profile(root, "for_gc")
    assert of_gc(root) == HELD
    add_profile(root, "for_why")
    assert (of_why(root, "test"), of_why(root, "dev"), of_why(root, "check", "FEATURES=extra")) == (True, True, True)
    add_profile(root, "for_the_screen")
    screen = call(root, "doit-cargo").out
    assert [re.search(rf"^  {name} .*  (\S+)$", screen, re.M)[1] for name in ("dev", "test")] == ["fresh"] * 2  # type: ignore[index]
    add_profile(root, "for_the_run")
    run = call(root, "doit-cargo", "test").out
    assert re.fullmatch(r"-- test  passed before: 2 tests in 2 packages, \d+ inputs unchanged\n", run)
    assert re.search(r"3 results on record; 1 skip has saved \S+ s\n$", call(root, "doit-cargo", "status").out)
    assert call(root, "doit-cargo", "dev").out.startswith("-- dev  up to date: 2 packages, ")
    assert re.search(r"; 2 skips have saved \S+ s\n$", call(root, "doit-cargo", "status").out)
    state = str(root / ".doit-cargo")  # and the next call makes no plan for it
    assert [receipts.verdict(state, (name,), environment())[1] for name in ("dev", "test")] == [[], []]


def test_a_profile_that_a_target_uses_makes_it_stale_whoever_is_asked(root: Path) -> None:
    add_profile(root, "test", 'extends = "dev"\n[env]\nRUSTFLAGS = "--cfg marked"\n')
    now = {**HELD, "test": "stale"}
    assert (of_status(root), of_gc(root), of_why(root, "test"), of_why(root, "dev")) == (now, now, False, True)
    (root / "profiles/test.toml").unlink()
    assert (of_status(root), of_why(root, "test")) == (HELD, True)


def test_why_refuses_what_a_run_refuses(root: Path) -> None:
    asked, run = (call(root, "doit-cargo", *words, "dev", "FEATURES=nope") for words in (("why",), ()))
    assert (asked.status, asked.out, run.status) == (3, "", 3)
    assert "feature 'nope'" in asked.err
    assert asked.err.splitlines()[-1] == run.err.splitlines()[-1] == "  fix: known: extra"


def test_a_failed_test_is_named_by_why_and_no_group_is_said_to_have_run(failed: Path) -> None:
    assert call(failed, "doit-cargo", "why", "test").out.splitlines()[:4] == [
        "test is stale:",
        "  run       test: the last run failed: is_one",
        "  tests     top run; 3 of 4 programs passed before",
        "  last run  failed just now",
    ]
    screen = call(failed, "doit-cargo").out
    assert re.search(r"^  ci  .*   test failed just now$", screen, re.M)
    assert "doit-cargo rerun does it again; doit-cargo why test tells why\n" in screen
    assert "1 failed: doit-cargo why test tells why" in call(failed, "doit-cargo", "status").out

    write(failed / "low/src/lib.rs", LIBRARY + "// edited\n")
    assert "  rebuilds  low, top\n" in call(failed, "doit-cargo", "why", "dev").out
    write(failed / "low/src/lib.rs", LIBRARY)


def test_rerun_runs_nothing_but_the_tests_that_failed_until_they_pass(root: Path) -> None:
    bad = LIBRARY.replace("one(), 1", "one(), 2")
    write(
        root / "top/src/lib.rs",
        bad + bad.replace("one()", "two()").replace("is_one", "is_two") + "#[test] fn fine() {}",
    )
    line = "doit-cargo test PACKAGE=top TEST=is_one,is_two WHOLE=1"
    assert f"\n   again  {line}\n" in call(root, "doit-cargo", "check", "test").out
    assert f"    again  {line}\n" in call(root, "doit-cargo", "why", "test").out

    write(root / "top/src/lib.rs", LIBRARY + bad.replace("one()", "two()").replace("is_one", "is_two"))
    again = call(root, "doit-cargo", "rerun")
    assert (again.status, again.out.startswith(f".. {line}\n")) == (1, True)
    assert re.search(r"^   top +1 +1 +0 ", again.out, re.M), again.out

    write(root / "top/src/lib.rs", LIBRARY + LIBRARY.replace("one()", "two()").replace("is_one", "is_two"))
    again = call(root, "doit-cargo", "rerun")
    assert (again.status, again.out.startswith(f".. {line.replace('is_one,', '')}\n")) == (0, True)
    assert again.out.endswith("\n.. test  what failed passes now; the rest runs with doit-cargo test\n"), again.out
    assert re.search(r"^  test .* stale: what failed passes now$", call(root, "doit-cargo").out, re.M)
    assert call(root, "doit-cargo", "rerun").out == "nothing on record has failed\n"
    write(root / "top/src/lib.rs", LIBRARY)
