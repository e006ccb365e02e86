"""With cargo-nextest and without: the same packages pass and fail, the same exit status, the same report."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import call, environment, posix, program
from conftest import needs_cargo, write
from trying import ALL, Trial, has_nextest, suites, without_nextest

needs_nextest = pytest.mark.skipif(not has_nextest(), reason="cargo-nextest is not installed")
pytestmark = [pytest.mark.slow, needs_cargo]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    folder = tmp_path_factory.mktemp("nextest")
    trial = Trial(folder / "ws", folder / "trace").lay_out()
    assert trial.test().status == 0
    return trial


@pytest.fixture
def trial(built: Trial) -> Iterator[Trial]:
    yield built
    built.reset()


@needs_nextest
@pytest.mark.parametrize("how", ["pass", "fail"])
def test_the_outcome_is_the_same(trial: Trial, how: str) -> None:
    for package in ("kit", "plain"):
        trial.switch(package, how)
    found = {}
    for runner in ("cargo", "nextest"):
        run = trial.test("FORCE=1", f"JUNIT={runner}.xml", runner=runner)
        report = {name: sorted(cases) for name, cases in suites(trial.root / f"{runner}.xml").items()}
        found[runner] = (run.status, run.table, run.ran, run.compiled, report)
    assert found["nextest"] == found["cargo"]
    assert found["cargo"][2:4] == (ALL, set())


@needs_nextest
def test_on_a_terminal_one_line_counts_the_tests_and_the_log_has_none_of_it(trial: Trial) -> None:
    pexpect = pytest.importorskip("pexpect", reason="pexpect is the terminal")
    trial.switch("kit", "fail")
    variables = {**environment(), "TERM": "xterm", "NO_COLOR": "1"}
    words = ["test", "RUNNER=nextest", "FORCE=1"]
    child = pexpect.spawn("doit-cargo", words, cwd=str(trial.root), env=variables, encoding="utf-8", timeout=120)
    said = child.read()
    child.close()
    assert child.exitstatus == 1
    drawn = re.findall(r"\r     Testing \[=*> *\] (\d+)/(\d+): ", said)
    total = int(re.search(r"Starting (\d+) tests? ", said)[1])  # type: ignore[index]
    counted = [int(done) for done, of in drawn if int(of) == total]
    assert (counted == sorted(set(counted)), 1 <= len(counted) < total) == (True, True), said
    assert "PASS [" not in said + (trial.root / ".testlogs/test.log").read_text()
    assert re.search(r"\x1b\[K +FAIL \[", said)


@needs_nextest
@pytest.mark.parametrize("how", ["abort", "exit"])
def test_a_crash_fails_the_same_package(trial: Trial, how: str) -> None:
    # How many tests a dying program leaves undone is another matter: nextest gives each a process of its own.
    trial.switch("kit", how)
    runs = [trial.test("FORCE=1", runner=runner) for runner in ("cargo", "nextest")]
    assert [(run.status, run.failed) for run in runs] == [(1, {"kit"}), (1, {"kit"})]


@needs_nextest
def test_nextest_runs_only_what_is_stale(trial: Trial) -> None:
    trial.test(runner="nextest")
    trial.edit("crates/user/src/lib.rs", "10);", "std::hint::black_box(10));")
    run = trial.test(runner="nextest")
    assert (run.status, run.ran) == (0, {"user"})
    assert "Starting 1 test across 1 binary" in run.said.err
    assert trial.test(runner="nextest").ran == set()


@needs_nextest
def test_without_a_runner_named_results_of_both_count(trial: Trial) -> None:
    trial.test(runner="cargo")
    assert trial.test(runner="").ran == set()
    trial.write("crates/app/data/expected.txt", "10")
    assert trial.test(runner="nextest").ran >= {"app"}
    assert trial.test(runner="").ran == set()
    assert trial.test(runner="cargo").ran == {"app"}


@needs_nextest
def test_without_nextest_cargo_s_way_is_taken(trial: Trial, tmp_path: Path) -> None:
    trial.variables["PATH"] = without_nextest(tmp_path / "bin")
    trial.variables["CARGO_HOME"] = str(tmp_path / "cargo-home")
    run = trial.test("FORCE=1", runner="")
    assert (run.status, run.ran, "Nextest" in run.text) == (0, ALL, False), run.text


def test_test_nextest_needs_nextest(trial: Trial, tmp_path: Path) -> None:
    trial.variables["PATH"] = without_nextest(tmp_path / "bin")
    trial.variables["CARGO_HOME"] = str(tmp_path / "cargo-home")
    run = trial.test(target="test_nextest", runner="")
    assert (run.status, run.ran) == (2, set())
    assert "test_nextest needs cargo-nextest, which is not on PATH" in run.said.err
    assert "cargo install --locked cargo-nextest" in run.said.err


FLAKY = """\
#[test]
fn now_and_then() {
    let mark = std::path::Path::new(&std::env::var("TRACE").unwrap()).join("flaky");
    if !mark.exists() { std::fs::write(mark, "").unwrap(); panic!("the first time") }
}
"""


@needs_nextest
def test_retries_let_a_flaky_test_pass_but_prove_nothing(trial: Trial) -> None:
    trial.write("crates/user/tests/flaky.rs", FLAKY)
    run = trial.test("RETRIES=2", target="test_nextest", runner="")
    assert (run.status, run.table["user"][:3]) == (0, (2, 0, 0)), run.text
    assert run.table["user"][3].startswith("flaky: now_and_then"), run.text
    again = trial.test("RETRIES=2", target="test_nextest", runner="")
    assert again.ran == {"flaky"}, "only the flaky program runs again"
    assert trial.test("RETRIES=0", target="test_nextest", runner="").table["user"][:3] == (1, 1, 0)


ONCE = """\
#[test]
fn not_at_once() {
    let trace = std::env::var("TRACE").unwrap();
    std::fs::write(format!("{trace}/once"), "").unwrap();
    assert_ne!(std::env::var("NEXTEST_ATTEMPT").as_deref(), Ok("1"));
}
"""


@needs_nextest
def test_a_flaky_test_counts_next_time_only_where_that_is_asked_for(trial: Trial) -> None:
    trial.write("crates/user/tests/once.rs", ONCE)
    ran = []
    for words in ((), ("KEEP_FLAKY=1",), ("KEEP_FLAKY=1",), ()):
        run = trial.test("RETRIES=2", "PACKAGE=user", *words, target="test_nextest", runner="")
        assert run.status == 0, run.text
        ran.append("once" in run.ran)
    assert ran == [True, False, False, True]


@needs_nextest
def test_nextest_s_configuration_is_for_test_nextest_alone(trial: Trial) -> None:
    trial.write(".config/nextest.toml", '[profile.default]\ndefault-filter = "not package(user)"\n')
    assert "user" not in trial.test("FORCE=1", target="test_nextest", runner="").ran
    assert trial.test("FORCE=1", runner="nextest").ran == ALL


SETTINGS = """\
experimental = ["setup-scripts"]
[profile.default]
retries = 1
[scripts.setup.prepare]
command = "set.sh"
"""


@needs_nextest
@pytest.mark.parametrize(("target", "runner"), [("test_nextest", ""), ("test", "nextest")])
def test_what_tells_nextest_when_a_test_fails_counts_where_it_runs_them(
    trial: Trial, tmp_path: Path, target: str, runner: str
) -> None:
    trial.variables["XDG_CONFIG_HOME"] = str(tmp_path)
    write(trial.root / "set.sh", target)
    chosen = ("PACKAGE=user",)
    trial.test("FORCE=1", *chosen, target=target, runner=runner)
    trial.test("FORCE=1", *chosen, runner="cargo")
    steps: list[tuple[Path | str, str]] = [
        (trial.root / ".config/nextest.toml", SETTINGS),
        (trial.root / "set.sh", "exit 0"),
        (tmp_path / "nextest/config.toml", '[ui]\nprogress-interval = "1s"\n'),
        ("NEXTEST_RETRIES", "3"),
    ]
    for place, text in steps:
        assert trial.test(*chosen, target=target, runner=runner).ran == set()
        if isinstance(place, Path):
            write(place, text)
        else:
            trial.variables[place] = text
        again = trial.test(*chosen, target=target, runner=runner)
        assert "user" in again.ran, f"{place}: {again.text}"
    assert trial.test(*chosen, runner="cargo").ran == set(), "cargo's own runner reads none of it"


@needs_nextest
def test_a_broken_configuration_is_no_failed_test(trial: Trial) -> None:
    trial.write(".config/nextest.toml", "[profile.default]\nretries = true\n")
    run = trial.test("FORCE=1", runner="nextest")
    assert run.status == 2
    assert "it did not run the tests" in run.said.err


@needs_nextest
def test_the_number_of_threads_that_libtest_is_given_is_nextests_too(trial: Trial) -> None:
    trial.variables["RUST_TEST_THREADS"] = "1"
    assert trial.test("FORCE=1", "PACKAGE=user", runner="nextest").status == 0
    assert " --test-threads 1 " in (trial.root / ".testlogs/test.log").read_text()


@needs_nextest
@posix
def test_a_failure_that_nextest_lays_on_no_test_is_a_failure(trial: Trial, tmp_path: Path) -> None:
    real = shutil.which("cargo-nextest", path=environment()["PATH"])
    program(tmp_path / "bin/cargo-nextest", f'"{real or "cargo-nextest"}" "$@"\n[ "$2" = --version ] || exit 100')
    trial.variables["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{environment()['PATH']}"
    trial.variables["CARGO_HOME"] = str(tmp_path / "cargo-home")
    run = trial.test("FORCE=1", runner="nextest")
    assert (run.status, "cargo nextest ended with status 100" in run.text) == (1, True), run.text
    assert trial.test(runner="nextest").ran >= {"app", "kit"}


def test_the_other_doors_lead_to_the_same_receipts(trial: Trial) -> None:
    trial.write("dodo.py", 'from doit_cargo.api import DOIT_CONFIG, targets_of\n\ntargets = targets_of(".")\n')
    trial.test()
    trial.clear_trace()
    said = call(trial.root, "doit", "test", "RUNNER=cargo", TRACE=str(trial.trace), RUST_BACKTRACE="0")
    (trial.root / "dodo.py").unlink()
    assert (said.status, trial.ran()) == (0, set()), said
    assert said.out.startswith("-- test  passed before: ")
