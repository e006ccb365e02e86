"""`doit-cargo test`: what has passed is not run again, what could have changed is, and one failure hides no other."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import Said, call
from conftest import Spec, make_workspace, needs_cargo, write
from doit_cargo.engine.state import store
from trying import ALL, PACKAGES, Trial, suites

pytestmark = [pytest.mark.slow, needs_cargo]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    folder = tmp_path_factory.mktemp("trial")
    trial = Trial(folder / "ws", folder / "trace").lay_out()
    first = trial.test()
    assert (first.status, first.ran) == (0, ALL), first.text
    return trial


@pytest.fixture
def trial(built: Trial) -> Iterator[Trial]:
    """The shared workspace, with all its tests passed."""
    yield built
    built.reset()
    built.test()


# --- nothing changed -------------------------------------------------------------------------------------------------


def test_what_has_passed_is_not_run_again_and_is_reported_from_the_receipt(trial: Trial) -> None:
    again = trial.test()
    assert (again.status, again.ran, again.compiled) == (0, set(), set())
    assert again.said.out.startswith("-- test  passed before: 7 tests (1 ignored) in 6 packages, ")


def test_force_runs_everything(trial: Trial) -> None:
    forced = trial.test("FORCE=1")
    assert (forced.status, forced.ran, forced.compiled) == (0, ALL, set())
    assert forced.table == {
        "app": (2, 0, 0, ""),
        "kit": (2, 0, 1, ""),
        "mac": (0, 0, 0, "no tests"),
        "plain": (1, 0, 0, ""),
        "tells": (1, 0, 0, ""),
        "user": (1, 0, 0, ""),
    }


def test_an_upgrade_of_doit_cargo_runs_no_test_again(trial: Trial) -> None:
    newer = "import sys, doit_cargo; doit_cargo.__version__ = '99.0'; from doit_cargo.cli.main import main; main()"
    again = trial.test(program=(sys.executable, "-c", newer))
    assert (again.status, again.ran, again.compiled) == (0, set(), set()), again.text
    assert "doit-cargo version" in again.text


def test_a_failure_takes_back_what_had_passed_with_the_same_inputs(trial: Trial) -> None:
    trial.clear_trace()
    (trial.trace / "kit").mkdir()  # no input, but where the test of kit wants to write
    variables = {"TRACE": str(trial.trace), "RUST_BACKTRACE": "0"}
    try:
        said = [
            call(trial.root, "doit-cargo", "test", "RUNNER=cargo", *words, **variables) for words in (["FORCE=1"], [])
        ]
    finally:
        (trial.trace / "kit").rmdir()
    failed = [(one.status, re.findall(r"^   kit +(\d+) +(\d+) ", one.out, re.MULTILINE)) for one in said]
    assert failed == [(1, [("1", "1")]), (1, [("1", "1")])], said


def test_there_and_back_runs_nothing(trial: Trial) -> None:
    trial.write("crates/app/data/expected.txt", "10")
    assert trial.test().ran == {"app"}
    trial.write("crates/app/data/expected.txt", "10\n")
    assert trial.test().ran == set()


def test_a_touch_runs_nothing(trial: Trial) -> None:
    for name in ("crates/kit/src/lib.rs", "crates/app/data/expected.txt", "common/limit.txt"):
        (trial.root / name).touch()
    assert trial.test().ran == set()


def test_targets_share_what_has_passed(trial: Trial) -> None:
    assert trial.test(target="test_kit").table == {"kit": (2, 0, 1, "passed before")}
    assert trial.test(target="test_kit").said.out.startswith("-- test_kit  passed before: 2 tests (1 ignored) in 1 ")
    assert trial.test("PACKAGE=app,user").ran == set()
    assert trial.test(target="test_integration").ran == set()
    compiled = [_seconds(path) for path in (trial.root / ".doit-cargo/receipts").glob("test_programs-*")]
    own = [_seconds(path) for path in (trial.root / ".doit-cargo/receipts").glob("test_kit-*")]
    assert not set(own) & set(compiled), "what was only looked up is not told the time of the compiler"


def _seconds(path: Path) -> float:
    receipt = store.load(str(path))
    assert isinstance(receipt, dict)
    return float(receipt["seconds"])


def test_an_edit_and_back_finds_the_old_results(trial: Trial) -> None:
    trial.write("crates/app/data/expected.txt", "11\n")
    assert trial.test().failed == {"app"}
    trial.write("crates/app/data/expected.txt", "10\n")
    assert (trial.test().ran, trial.test().status) == (set(), 0)


def test_clean_tests_makes_them_compile_and_run_again(trial: Trial) -> None:
    trial.test(target="clean_tests", runner="")
    again = trial.test()
    assert (again.status, again.ran, again.compiled) == (0, ALL, PACKAGES - {"mac"})


# --- something changed -----------------------------------------------------------------------------------------------


def test_after_an_edit_of_a_leaf_only_its_tests_run(trial: Trial) -> None:
    trial.edit("crates/user/src/lib.rs", "10);", "std::hint::black_box(10));")
    edited = trial.test()
    assert (edited.status, edited.ran, edited.compiled) == (0, {"user"}, {"user"})
    assert edited.table["kit"] == (2, 0, 1, "passed before")


def test_an_edit_that_changes_no_program_runs_no_program(trial: Trial) -> None:
    trial.edit("crates/user/src/lib.rs", "None }", "Some(()) }")
    edited = trial.test()
    assert (edited.status, edited.ran, edited.compiled) == (0, set(), {"user"})


def test_after_an_edit_of_a_dependency_its_dependents_run_too(trial: Trial) -> None:
    trial.edit("crates/kit/src/lib.rs", "{ 10 }", "{ 5 + 5 + std::hint::black_box(0) }")
    edited = trial.test()
    assert (edited.ran, edited.compiled) == ({"kit", "kit-doc", "app"}, {"kit", "app"})


@pytest.mark.parametrize(
    ("name", "text", "ran"),
    [
        ("crates/app/data/expected.txt", "10", {"app"}),
        ("crates/app/data/new.txt", "x", set()),
        ("crates/kit/fixtures/new.txt", "x", set()),
        ("common/limit.txt", "11", {"app"}),
        ("crates/kit/README.md", "x", set()),
    ],
)
def test_files_that_tests_have_read_count_and_no_other(trial: Trial, name: str, text: str, ran: set[str]) -> None:
    trial.write(name, text)
    assert trial.test().ran == ran


def test_a_deleted_file_counts(trial: Trial) -> None:
    (trial.root / "common/limit.txt").unlink()
    gone = trial.test()
    assert (gone.status, gone.ran, gone.failed) == (1, {"app"}, {"app"})


def test_a_variable_that_a_test_asks_for_counts_for_that_test(trial: Trial) -> None:
    trial.variables["KIT_LIMIT"] = "5"
    assert {"kind": "env", "subject": "KIT_LIMIT", "old": "", "new": "***", "package": "kit"} in trial.why()["changes"]
    limited = trial.test()
    # app rests on kit, and asks for nothing.
    assert (limited.status, limited.ran, limited.failed) == (1, {"kit"}, {"kit"})


def test_a_variable_that_nobody_asks_for_does_not_count(trial: Trial) -> None:
    trial.variables["SOME_OTHER"] = "5"
    assert trial.test().ran == set()


def test_a_declared_variable_counts_for_all(trial: Trial) -> None:
    trial.write("profiles/test.toml", 'extends = "test"\n[inputs]\nenv = ["SOME_OTHER"]\n')
    trial.test()
    trial.variables["SOME_OTHER"] = "5"
    assert trial.test().ran == ALL


def test_a_new_test_file_is_compiled_and_run(trial: Trial) -> None:
    trial.write("crates/user/tests/more.rs", "#[test]\nfn more() {}\n")
    # What had passed before reads nothing of it.
    assert trial.test().table["user"] == (2, 0, 0, "2 of 3 programs passed before")


def test_other_features_are_other_programs(trial: Trial) -> None:
    assert trial.test("FEATURES=more").ran == ALL - {"plain", "tells", "user"}
    assert (trial.test().ran, trial.test("FEATURES=more").ran) == (set(), set())


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["fail", "abort", "exit"])
def test_a_failing_package_hides_no_other(trial: Trial, how: str) -> None:
    for package in ("kit", "plain"):
        trial.switch(package, how)
    failed = trial.test()
    assert (failed.status, failed.failed) == (1, {"kit", "plain"}), failed.text
    assert failed.failed == trial.cargo_fails()
    lines = failed.said.err.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("!! test  kit, plain failed ("))
    hint = ("!! test  cause: ", "!! test  likely: ", "!! test  look here: ", "!! test    fix: ")
    assert [line for line in lines[place + 1 :] if not line.startswith(hint)] == []
    again = trial.test()
    assert (again.status, again.failed) == (1, {"kit", "plain"})
    assert again.ran == {"kit", "plain"}, "what passed beside a failure is not run again, what failed is"


def test_a_failure_is_shown_and_a_success_is_not(trial: Trial) -> None:
    trial.switch("kit", "fail")
    said = trial.test().said
    assert "kit was told to fail" in said.out
    assert "is content" not in said.out + said.err
    trial.switch("kit", "pass")
    shown = trial.test("NOCAPTURE=1", "FORCE=1")
    assert (shown.status, shown.ran, "user is content" in shown.said.out) == (0, ALL, True), shown.text


def test_everything_is_in_the_log(trial: Trial) -> None:
    trial.switch("kit", "fail")
    trial.test("FORCE=1", "VERBOSE=1")
    log = (trial.root / ".testlogs/test.log").read_text()
    assert "kit was told to fail" in log
    assert "test prints_the_value ... ok" in log
    assert "# cargo test --workspace " in log
    assert "Running unittests" not in log, "cargo has run none of them itself"


def test_a_healed_failure_passes_and_is_kept(trial: Trial) -> None:
    trial.switch("kit", "fail")
    assert trial.test().status == 1
    trial.switch("kit", "pass")
    assert [trial.test().status, trial.test().ran] == [0, set()]


@pytest.mark.parametrize(
    ("file", "broken"),
    [
        ("crates/user/tests/bad.rs", {"user"}),
        ("crates/kit/src/bad.rs", {"kit", "app"}),
    ],
)
def test_a_package_that_does_not_compile_hides_no_other(trial: Trial, file: str, broken: set[str]) -> None:
    trial.write(file, "nonsense\n")
    if "src" in file:
        trial.edit("crates/kit/src/lib.rs", "pub fn value()", "mod bad;\npub fn value()")
    trial.switch("plain", "fail")
    failed = trial.test()
    assert failed.status == 1
    assert {name for name, row in failed.table.items() if row[3] == "does not compile"} == broken
    assert failed.failed == broken | {"plain"}
    assert failed.table["tells"][:3] == (1, 0, 0)
    assert set(failed.table) == PACKAGES


def test_where_nothing_compiles_cargo_s_error_is_the_answer(trial: Trial) -> None:
    trial.write("crates/user/tests/bad.rs", "nonsense\n")
    failed = trial.test(target="test_user")
    assert (failed.status, failed.ran) == (1, set())
    assert "could not compile `user`" in failed.said.err


def test_what_another_package_needs_for_its_tests_only_is_nothing_to_mine(trial: Trial) -> None:
    manifest = (trial.root / "crates/kit/Cargo.toml").read_text()
    trial.write("crates/kit/Cargo.toml", manifest + '[dev-dependencies]\nplain = { path = "../plain" }\n')
    assert trial.test().status == 0
    trial.switch("plain", "pass\n")
    # Only the tests of plain read that file: what kit needs it for is not asked, it is seen.
    assert trial.test().ran == {"plain"}


PLUG = """\
#[no_mangle]
pub extern "C" fn plugged() -> usize { include_str!(env!("PLUG_FILE")).len() }
"""
# Neither a literal nor the test program itself tells of the file.
PLUG_SCRIPT = """\
fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    println!("cargo:rustc-env=PLUG_FILE={folder}/{}/{}{}", "../..", "com", "mon/limit.txt");
    println!("cargo:rerun-if-changed=build.rs");
}
"""
LOADS = """\
#[test]
fn l() {
    std::fs::write(format!("{}/loads", std::env::var("TRACE").unwrap()), "").unwrap();
    std::fs::read(std::env::current_exe().unwrap().with_file_name("libplug.so")).unwrap();
}
"""


def test_a_shared_library_that_a_test_takes_counts(trial: Trial) -> None:
    package = '[package]\nname = "plug"\nversion = "0.1.0"\nedition = "2021"\n'
    trial.write("crates/plug/Cargo.toml", package + '[lib]\ncrate-type = ["cdylib", "rlib"]\n')
    for name, text in {"src/lib.rs": PLUG, "build.rs": PLUG_SCRIPT, "tests/loads.rs": LOADS}.items():
        trial.write(f"crates/plug/{name}", text)
    assert trial.test().status == 0
    assert trial.test().ran == set()
    trial.write("common/limit.txt", "10\n\n")
    assert "loads" in trial.test().ran


def test_what_a_test_writes_into_its_own_package_is_no_input(trial: Trial) -> None:
    trial.edit("crates/user/src/lib.rs", "assert_eq!", 'std::fs::write("made.txt", "x").unwrap();\n    assert_eq!')
    assert trial.test().ran == {"user"}
    trial.write("crates/user/made.txt", "y")
    assert trial.test().ran == set()


def test_a_test_that_reads_what_it_writes_runs_each_time(trial: Trial) -> None:
    trial.write("crates/user/count.txt", "a")
    counts = (
        'let text = std::fs::read_to_string("count.txt").unwrap();\n    std::fs::write("count.txt", text).unwrap();\n'
    )
    trial.edit("crates/user/src/lib.rs", "assert_eq!", f"{counts}    assert_eq!")
    first = trial.test()
    reason = "crates/user/count.txt is read and also written by the run itself"
    assert f".. test  user runs each time: {reason}" in first.said.out
    again = trial.test()
    assert (again.ran, "runs each time" in again.said.out) == ({"user"}, False)
    assert [(row["kind"], row["new"]) for row in trial.why()["changes"]] == [("always", f"{trial.root}/{reason}")]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_ends_the_tests_and_keeps_only_what_was_finished(trial: Trial) -> None:
    waits = 'std::fs::write(format!("{}/waits", std::env::var("TRACE").unwrap()), "").unwrap();'
    waits += "std::thread::sleep(std::time::Duration::from_secs(60));"
    trial.write("crates/user/tests/waits.rs", f"#[test]\nfn waits() {{ {waits} }}\n")
    trial.clear_trace()
    process = trial.start("FORCE=1")
    for _ in range(600):
        if "waits" in trial.ran():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, "not run to the end" in out) == (130, True), out + err
    assert re.search(r"tests/waits-\w+ *$", call("/", "ps", "-eo", "args").out, re.MULTILINE) is None
    trial.write("crates/user/tests/waits.rs", "#[test]\nfn waits() {}\n")
    assert (trial.test().status, "kit" in trial.ran()) == (0, False)


# --- truth about the programs ----------------------------------------------------------------------------------------


def test_a_test_sees_what_cargo_would_show_it(trial: Trial, tmp_path: Path) -> None:
    told = {}
    for way in ("cargo", "doit"):
        trial.variables["TELL"] = str(tmp_path / way)
        words = ("test", "--workspace", "-p", "tells")
        assert (trial.cargo(*words) if way == "cargo" else trial.test("FORCE=1")).status == 0
        text = (tmp_path / way).read_text().replace(str(trial.trace.parent / "truth"), str(trial.root / "target"))
        told[way] = dict(line.split("=", 1) for line in text.split("\0") if line)
    for name in ("TELL", "_", "LD_PRELOAD", "DOIT_CARGO_OBSERVE", "DOIT_CARGO_RUN"):
        for one in told.values():
            one.pop(name, None)
    assert told["doit"] == told["cargo"]
    assert {"CARGO_MANIFEST_DIR", "CARGO_PKG_AUTHORS", "FROM_SCRIPT", "OUT_DIR", "cwd"} <= set(told["doit"])


@pytest.mark.parametrize("section", ["{host}", "'cfg(all(unix, not(target_os = \"none\")))'"], ids=["triple", "cfg"])
def test_a_runner_of_the_user_s_own_runs_the_tests(trial: Trial, section: str) -> None:
    trial.write("crates/runner.sh", '#!/bin/sh\ntouch "$TRACE/runner"\nexec "$@"\n')
    (trial.root / "crates/runner.sh").chmod(0o755)
    host = next(line[6:] for line in call(trial.root, "cargo", "-vV").out.splitlines() if line.startswith("host: "))
    elsewhere = "[target.'cfg(windows)']\nrunner = 'not-here'\n"
    own = f'[target.{section.format(host=host)}]\nrunner = "crates/runner.sh"\n'
    trial.write(".cargo/config.toml", elsewhere + own)
    try:
        run = trial.test("FORCE=1")
    finally:
        (trial.root / ".cargo/config.toml").unlink()
    assert (run.status, run.ran) == (0, ALL | {"runner"})


def test_the_program_that_a_test_starts_counts(trial: Trial) -> None:
    trial.edit("crates/app/src/main.rs", "kit::value()", "kit::value() + 1")
    assert trial.test().failed == {"app"}


def test_a_damaged_test_program_is_made_again(trial: Trial) -> None:
    programs = [p for p in (trial.root / "target/debug/deps").glob("user-*") if p.suffix == "" and p.stat().st_mode & 1]
    for program in programs:
        program.write_bytes(b"#!/bin/sh\nexit 0\n")
    again = trial.test()
    assert (again.status, again.table["user"][:3]) == (0, (1, 0, 0)), again.text


def test_no_dependency_is_compiled_twice_for_a_part(trial: Trial) -> None:
    # user rests on a procedural macro of the workspace: cargo test -p user would compile both once more.
    for target in ("test_user", "test_app", "test_kit"):
        assert (trial.test("FORCE=1", target=target).compiled, target) == (set(), target)


# --- what to run -----------------------------------------------------------------------------------------------------


def test_single_tests_run_whatever_has_passed(trial: Trial) -> None:
    one = trial.test("TEST=prints_the")
    # Cargo starts programs without libtest whatever the name is: nobody knows what they make of it.
    assert (one.status, one.ran, one.table["app"][:3]) == (0, {"app", "plain"}, (1, 0, 0))
    assert trial.test().ran == set(), "a part proves nothing, and takes nothing away"


def test_a_test_that_nobody_has_is_an_error_with_the_nearest_name(trial: Trial) -> None:
    none = trial.test("TEST=prints_teh_value")
    assert (none.status, none.ran) == (1, {"plain"})
    assert "TEST=prints_teh_value: no test matches in " in none.said.err
    assert "fix: did you mean 'prints_the_value'?" in none.said.err


def test_one_file_of_tests_can_be_chosen(trial: Trial) -> None:
    chosen = trial.test("TEST_FILE=starts", "FORCE=1")
    assert (chosen.ran, chosen.table["app"][:3]) == ({"app"}, (2, 0, 0))


@pytest.mark.parametrize(
    ("target", "ran"),
    [
        ("test_doc", {"kit-doc"}),
        ("test_integration", {"app", "plain"}),
        ("test_quick", {"kit", "tells", "user"}),
        ("test_app", {"app"}),
    ],
)
def test_a_target_runs_its_own_part(trial: Trial, target: str, ran: set[str]) -> None:
    assert trial.test("FORCE=1", target=target).ran == ran


def test_examples_are_compiled_and_their_tests_run(trial: Trial) -> None:
    run = trial.test(target="test_examples")
    assert (run.status, run.table["tells"]) == (0, (1, 0, 0, ""))
    trial.write("crates/tells/examples/shows.rs", "fn main() { nonsense }\n")
    assert trial.test(target="test_examples").status == 1


def test_a_package_without_tests_says_so(trial: Trial) -> None:
    none = trial.test(target="test_mac")
    assert (none.status, none.ran) == (0, set())
    assert ".. test_mac  no tests in mac; log: .testlogs/test-mac.log" in none.said.out
    assert "ok test_mac" not in none.said.out


def test_the_model_is_handed_to_the_integration_tests(trial: Trial) -> None:
    body = 'assert!(std::path::Path::new(&std::env::var("MODEL").unwrap()).is_file());'
    trial.write("crates/user/tests/model.rs", f"#[test]\nfn model() {{ {body} }}\n")
    trial.write("common/tiny.gguf", "GGUF")
    run = trial.test("MODEL=common/tiny.gguf", target="test_integration")
    assert (run.status, run.table["user"][:3]) == (0, (1, 0, 0)), run.text
    trial.write("common/tiny.gguf", "other")
    assert trial.test("MODEL=common/tiny.gguf", target="test_integration").table["user"] == (1, 0, 0, "")


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A workspace whose members ask for one package with different features."""
    spec: Spec = {
        "low": {"features": {"more": []}},
        "app": {"dependencies": {"low": 'features = ["more"]'}},
        "alone": {"dependencies": {"low": ""}},
    }
    return make_workspace(tmp_path / "ws", spec)


def compiled(said: Said) -> list[str]:
    return sorted(line.split()[1] for line in said.err.splitlines() if line.strip().startswith("Compiling"))


def test_a_part_is_compiled_and_tested_alone_as_cargo_would(parts: Path) -> None:
    first = call(parts, "doit-cargo", "test_alone", "RUNNER=cargo")
    assert (first.status, compiled(first)) == (0, ["alone", "low"]), first
    assert call(parts, "doit-cargo", "test_alone", "RUNNER=cargo").out.startswith("-- test_alone  passed before")
    two = call(parts, "doit-cargo", "test", "PACKAGE=alone,low", "RUNNER=cargo")
    assert (two.status, compiled(two)) == (0, ["low"]), two


def test_the_selection_of_the_whole_is_a_choice_that_says_its_price(parts: Path) -> None:
    note = ".. test_alone  WHOLE=1: compiles the tests of all 3 packages, once, for alone and every later part"
    first = call(parts, "doit-cargo", "test_alone", "WHOLE=1", "RUNNER=cargo")
    assert (first.status, compiled(first), first.out.splitlines().count(note)) == (0, ["alone", "app", "low"], 1), first
    other = call(parts, "doit-cargo", "test_app", "WHOLE=1", "RUNNER=cargo")
    assert (other.status, compiled(other)) == (0, []), other


def test_one_part_that_does_not_compile_hides_no_other(parts: Path) -> None:
    write(parts / "app/src/lib.rs", "nonsense")
    said = call(parts, "doit-cargo", "test", "PACKAGE=alone,app", "RUNNER=cargo")
    assert (said.status, "app: not compiled; the other packages go on without" in said.out) == (1, True), said
    assert re.search(r"^   alone +\d", said.out, re.MULTILINE), said.out
    assert re.search(r"^   app .*does not compile", said.out, re.MULTILINE), said.out


# --- reports ---------------------------------------------------------------------------------------------------------


def test_a_junit_report_holds_what_ran_and_what_passed_before(trial: Trial) -> None:
    trial.switch("kit", "fail")
    trial.test("JUNIT=out/report.xml")
    assert suites(trial.root / "out/report.xml") == {
        "app: bin app": [],
        "app: tests/starts": [("keeps_the_limit", "passed"), ("prints_the_value", "passed")],
        "kit: unit tests": [("slow", "skipped"), ("unit", "failure")],
        "plain: unit tests": [],
        "plain: tests/own": [("own", "passed")],
        "tells: unit tests": [("tells", "passed")],
        "user: unit tests": [("uses", "passed")],
        "kit: doc tests": [("crates/kit/src/lib.rs - (line 1)", "passed")],
        "mac: doc tests": [],
        "plain: doc tests": [],
        "tells: doc tests": [],
        "user: doc tests": [],
    }


def test_a_junit_report_is_written_even_where_nothing_runs(trial: Trial) -> None:
    path = trial.root / ".testlogs/test.junit.xml"
    trial.test("JUNIT=1")
    path.unlink()
    assert (trial.test("JUNIT=1").ran, path.exists()) == (set(), True)


def test_why_names_the_packages_and_the_causes(trial: Trial) -> None:
    assert trial.why()["fresh"] is True
    trial.write("crates/app/data/expected.txt", "10")
    why = trial.why()
    assert (why["rebuilds"], why["skipped"]) == (["app"], 5)
    assert why["changes"] == [
        {"kind": "file", "subject": "crates/app/data/expected.txt", "old": "", "new": "changed", "package": "app"}
    ]
    trial.edit("crates/kit/src/lib.rs", "{ 10 }", "{ 10 + std::hint::black_box(0) }")
    assert trial.why()["rebuilds"] == ["kit", "app"]


def test_why_claims_no_run_of_tests_that_only_the_compilation_can_tell(trial: Trial) -> None:
    trial.edit("crates/app/src/main.rs", "fn main()", "// A note.\nfn main()")
    says = [
        "test is stale:",
        "  file      crates/app/src/main.rs: changed  (app)",
        "  compiles  app; tests run only where a program comes out that has not passed before",
    ]
    assert trial.why_text().splitlines() == says
    trial.write("crates/app/data/expected.txt", "10")
    says.insert(2, "  file      crates/app/data/expected.txt: changed  (app)")
    assert trial.why_text().splitlines() == [*says, "  tests     app run"]
    (trial.root / "crates/app/data/expected.txt").write_text("10\n")
    assert trial.test().ran == set()


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("test_nextest", "RETRIES=x"), "RETRIES=x is not a whole number from 0 to 999"),
        (("test", "RETRIES=1"), "test takes no RETRIES"),
        (("test", "RUNNER=make"), "RUNNER=make is none of cargo, nextest"),
        (("test", "PACKAGE=kti"), "unknown package 'kti'"),
        (("test", "TEST_FILE=start"), "TEST_FILE: unknown test program 'start'"),
        (("test_kit", "FEATURES=mroe"), "the package kit has no feature 'mroe'"),
        (("test_integration", "MODEL=no/such.gguf"), "MODEL=no/such.gguf: there is no such file"),
        (("test_kti",), "unknown target 'test_kti'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_told_before_anything_starts(trial: Trial, words: tuple[str, ...], message: str) -> None:
    run = trial.test(*words[1:], target=words[0], runner="")
    assert (run.status, run.ran) == (3, set()), run.text
    assert message in run.said.err
