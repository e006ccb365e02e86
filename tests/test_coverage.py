"""Coverage: one run of the tests, every report asked for, a floor, and the tools that read this rustc's profiles."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from calling import Said, posix, program
from calling import forked_call as call
from conftest import needs_cargo, read_workspace, write
from doit_cargo.actions.measure.coverage import Lines, by_package
from doit_cargo.engine.toolchain import Machine
from doit_cargo.engine.toolchain.native import llvm
from doit_cargo.engine.toolchain.native.llvm import FoundLlvm, find_coverage_tools
from measuring import here, lay_out


def _why_not() -> str:
    if not here("cargo-llvm-cov"):
        return "cargo-llvm-cov is not on PATH"
    found = find_coverage_tools(Machine())
    return "" if found.tools else f"no llvm-cov here reads the profiles of LLVM {found.rustc_llvm}"


needs_coverage = pytest.mark.skipif(bool(_why_not()), reason=_why_not())

# --- with the real tools ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose config files turn on a cfg that its test asks for, and name a wrapper that is not there."""
    root = lay_out(tmp_path_factory.mktemp("coverage"))
    write(root / ".cargo/config.toml", '[build]\nrustc-wrapper = "/not/there"\nrustflags = ["--cfg", "marked"]\n')
    manifest = root / "app/Cargo.toml"
    manifest.write_text(manifest.read_text() + '[lints.rust]\nunexpected_cfgs = "allow"\n')
    library = root / "app/src/lib.rs"
    marked = "assert!(cfg!(marked));\n        assert_eq!(super"
    library.write_text(library.read_text().replace("assert_eq!(super", marked))
    return root


def cover(root: Path, *words: str, **variables: str) -> Said:
    return call(root, "doit-cargo", "test_coverage", "PACKAGE=app", *words, **variables)


@needs_cargo
@needs_coverage
@pytest.mark.slow
def test_every_report_comes_of_one_run(workspace: Path) -> None:
    said = cover(workspace, "COVERAGE=html,lcov,json,text,cobertura", "COVERAGE_MIN=20", CARGO_INCREMENTAL="1")
    assert said.status == 0, said.err
    last = said.out.splitlines()[-1]
    assert last.startswith("ok test_coverage  line coverage ")
    assert said.out.count("test result: ok. 1 passed") == 1
    folder = workspace / "coverage"
    found = {path.name for path in folder.iterdir()}
    assert found == {".gitignore", "html", "lcov.info", "coverage.json", "coverage.txt", "cobertura.xml"}
    assert (folder / "html/index.html").exists()
    lcov = (folder / "lcov.info").read_text()
    body = lcov.partition(f"SF:{workspace}/app/src/lib.rs\n")[2].partition("end_of_record")[0]
    hits = dict(line.removeprefix("DA:").split(",") for line in body.splitlines() if line.startswith("DA:"))
    assert (hits["1"], hits["3"], hits["9"]) == ("1", "1", "0")
    totals = json.loads((folder / "coverage.json").read_text())["data"][0]["totals"]["lines"]
    assert f"line coverage {totals['percent']:.2f} %: {totals['covered']} of {totals['count']} lines" in last
    assert not (workspace / "target/debug").exists()


@needs_cargo
@needs_coverage
@pytest.mark.slow
def test_the_floor_fails_with_the_number(workspace: Path) -> None:
    said = cover(workspace, "COVERAGE_MIN=99.5%")
    assert said.status == 1
    assert said.err.splitlines()[-1].startswith("!! test_coverage  line coverage ")
    assert ", which is under COVERAGE_MIN=99.5 by " in said.err


@needs_cargo
@needs_coverage
@pytest.mark.slow
def test_a_failed_test_fails_the_target_and_hides_no_figure(workspace: Path) -> None:
    said = cover(workspace, RUSTFLAGS="--cfg other")  # hides what the config file sets, so the test fails
    assert said.status == 1
    assert "!! test_coverage  tests failed (status 101); line coverage " in said.err


@needs_cargo
@needs_coverage
@pytest.mark.slow
def test_a_run_that_gets_to_no_test_is_not_told_the_figures_of_the_last_one(workspace: Path) -> None:
    assert cover(workspace).status == 0
    said = cover(workspace, RUSTFLAGS="--no-such-flag")
    assert said.status == 1
    assert "!! test_coverage  no coverage was recorded\n  fix: see the log: .logs/test-coverage.log\n" in said.err


# --- which LLVM ------------------------------------------------------------------------------------------------------


def machine(places: dict[str, str], rustc: str = "22.1.2", **environ: str) -> Machine:
    """A machine with LLVM tools (path of llvm-profdata -> version); what else it has is not looked at."""

    def which(name: str) -> str:
        if name == "rustc":
            return "/bin/rustc"
        known = {os.path.basename(path): path for path in places} | {path: path for path in places}
        return known.get(name, known.get(name.replace("llvm-cov", "llvm-profdata"), ""))

    def read_version(argv: Sequence[str]) -> str:
        if argv[0] == "/bin/rustc":
            return f"rustc 1.95.0\nLLVM version: {rustc}\n" if "-vV" in argv else "rustc 1.95.0"
        return f"Debian LLVM version {places.get(argv[0], '')}\n  Optimized build."

    return Machine({"PATH": "", **environ}, which=which, read_version=read_version, manager="apt")


@pytest.fixture
def _no_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llvm, "_directories", lambda _: iter(()))


@pytest.mark.usefixtures("_no_places")
@pytest.mark.parametrize(
    ("places", "rustc", "chosen"),
    [
        ({"/b/llvm-profdata": "14.0.6", "/b/llvm-profdata-19": "19.1.7"}, "22.1.2", "19.1.7"),
        ({"/b/llvm-profdata": "14.0.6", "/b/llvm-profdata-22": "22.1.0"}, "22.1.2", "22.1.0"),
        ({"/b/llvm-profdata": "14.0.6"}, "22.1.2", None),
        ({"/b/llvm-profdata": "14.0.6"}, "17.0.2", "14.0.6"),
        ({"/b/llvm-profdata": "23.0.0"}, "22.1.2", None),
        ({"/b/llvm-profdata": ""}, "22.1.2", None),
    ],
)
def test_tools_are_taken_whose_format_is_that_of_rustc(places: dict[str, str], rustc: str, chosen: str | None) -> None:
    found = find_coverage_tools(machine(places, rustc))
    assert (found.tools.version if found.tools else None) == chosen
    assert found.rustc_llvm == rustc


@pytest.mark.usefixtures("_no_places")
def test_variables_decide_over_everything() -> None:
    places = {"/b/llvm-profdata-22": "22.1.0", "/mine/llvm-profdata": "20.1.0"}
    named = {"LLVM_COV": "/mine/llvm-profdata", "LLVM_PROFDATA": "/mine/llvm-profdata"}
    found = find_coverage_tools(machine(places, **named))
    assert found.tools
    assert (found.tools.profdata, found.tools.where) == ("/mine/llvm-profdata", "LLVM_COV and LLVM_PROFDATA")


def test_what_cannot_read_the_profiles_is_named_with_every_way_to_get_what_can() -> None:
    from doit_cargo.actions.measure.coverage import _llvm_problem
    from doit_cargo.engine.toolchain.native.llvm import LlvmTools

    old = LlvmTools("/b/llvm-cov", "/b/llvm-profdata", "14.0.6", "PATH")
    assert str(_llvm_problem("test_coverage", FoundLlvm(None, (old,), "22.1.2"), "apt")) == (
        "test_coverage needs llvm-cov and llvm-profdata that read the profiles of rustc's LLVM 22.1.2; "
        "/b/llvm-profdata is of LLVM 14.0.6 and does not\n"
        '  fix: rustup component add llvm-tools, apt install llvm-19, pip install "doit-cargo[coverage]" '
        "(Linux on x86_64), or set LLVM_COV and LLVM_PROFDATA"
    )


# --- figures and bad input -------------------------------------------------------------------------------------------


@needs_cargo
def test_lines_belong_to_the_package_whose_folder_holds_them(tmp_path: Path) -> None:
    class Session:
        workspace = read_workspace(lay_out(tmp_path))

    def file(name: str, count: int, covered: int) -> dict[str, object]:
        return {"filename": f"{tmp_path}/{name}", "summary": {"lines": {"count": count, "covered": covered}}}

    files = [file("app/src/lib.rs", 10, 4), file("timed/src/lib.rs", 2, 2)]
    files += [file("app/src/a.rs", 10, 8), file("x", 1, 0)]
    assert by_package({"files": files}, Session()) == {  # type: ignore[arg-type]
        "(other)": Lines(1, 0),
        "app": Lines(20, 12),
        "timed": Lines(2, 2),
    }
    assert (Lines(20, 12).percent, Lines().percent) == (60.0, 100.0)


@needs_cargo
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["COVERAGE_MIN=abc"], "COVERAGE_MIN=abc is not a percentage such as 80 or 2.5\n"),
        (["COVERAGE_MIN=101"], "COVERAGE_MIN=101 is more than 100 percent\n"),
        (["COVERAGE=html,pdf"], "COVERAGE=html,pdf holds 'pdf'; known: html, lcov, json, text, cobertura, open\n"),
        (["FEATURES=fast"], "app/Cargo.toml: the package app has no feature 'fast', asked for by FEATURES\n"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_input_is_told_before_anything_starts(tmp_path: Path, words: list[str], told: str) -> None:
    said = cover(lay_out(tmp_path), *words)
    assert (said.status, said.out, said.err.startswith(f"doit-cargo: {told}")) == (3, "", True)


@needs_cargo
@posix
def test_a_missing_cargo_llvm_cov_is_told_with_the_way_to_get_it(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "ws")
    path = os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if folder)
    program(tmp_path / "bin/cargo-llvm-cov", "exit 9")  # one that does not work counts as missing
    said = cover(root, PATH=f"{tmp_path}/bin{os.pathsep}{os.path.dirname(here('doit-cargo'))}{os.pathsep}{path}")
    assert said.status == 2
    assert "test_coverage needs cargo-llvm-cov >=0.5, but " in said.err
