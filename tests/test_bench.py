"""Benchmarks: their figures are read, kept under names and compared; noise is no regression, a regression fails."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from calling import Said, call, linux
from conftest import needs_cargo, write
from doit_cargo.actions.measure.bench import results
from doit_cargo.actions.measure.bench.results import Times, compare, criterion_files, criterion_places, judged, read
from measuring import STEADY, STEADY_FIGURES, lay_out

# --- what benchmarks print (recorded) --------------------------------------------------------------------------------

CRITERION = """\
Benchmarking fib 15
Benchmarking fib 15: Collecting 20 samples in estimated 500.11 ms (281k iterations)
fib 15                  time:   [2.5393 µs 2.8884 µs 3.2249 µs]
                        change: [-28.817% -10.117% +12.362%] (p = 0.74 > 0.05)
                        No change in performance detected.
Found 1 outliers among 20 measurements (5.00%)
  1 (5.00%) high mild

a group with a rather long name indeed/fib/10
                        time:   [265.14 ns 322.17 ns 400.50 ns]
"""
LIBTEST = """\
running 3 tests
test fib_fifteen ... bench:       3,170.21 ns/iter (+/- 167.08)
test fib_ten     ... bench:         156 ns/iter (+/- 20)
test ignored_one ... ignored
"""
MODEL = """\
{"version":"0.6.0","results":[{"name":"generate","median_us":115.5,"low_us":110,"high_us":120.5,"rate":1,"unit":"t/s"}]}
{"name":"no spread","median_ns":200}
{"name":"no time"}
{"broken
"""
MISTRALRS_BENCH = """\
+-------+---------+--------+----------------+--------------+-------------+--------------+
| model | backend | test   | t/s            | ms/t         | concurrency | throughput/s |
+-------+---------+--------+----------------+--------------+-------------+--------------+
| some  | CUDA    | tg 128 | 50.000±1.000   | 20.000±0.400 |           2 |    100.00000 |
+-------+---------+--------+----------------+--------------+-------------+--------------+
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            CRITERION,
            {
                "fib 15": Times(2539.3, 2888.4, 3224.9),
                "a group with a rather long name indeed/fib/10": Times(265.14, 322.17, 400.5),
            },
        ),
        (LIBTEST, {"fib_fifteen": Times(3170.21 - 83.54, 3170.21, 3170.21 + 83.54), "fib_ten": Times(146, 156, 166)}),
        (MODEL, {"generate": Times(110e3, 115.5e3, 120.5e3), "no spread": Times(190, 200, 210)}),
        (MISTRALRS_BENCH, {"tg 128 x2": Times(20e6 - 0.4e6 * 0.6745, 20e6, 20e6 + 0.4e6 * 0.6745)}),
        ("# a header\nnothing here time: [a b c]\n", {}),
    ],
    ids=["Criterion", "libtest", "JSON", "mistralrs-bench", "other"],
)
def test_each_form_is_read_into_nanoseconds(text: str, expected: dict[str, Times]) -> None:
    found = read(text)
    assert found.keys() == expected.keys()
    for name, times in expected.items():
        ours = found[name]
        assert (ours.low, ours.middle, ours.high) == pytest.approx((times.low, times.middle, times.high))


def test_of_criterion_s_files_those_of_this_run_are_read(tmp_path: Path) -> None:
    def result(name: str, median: float, deviation: float) -> None:
        estimates = {"median": {"point_estimate": median}, "median_abs_dev": {"point_estimate": deviation}}
        write(tmp_path / name / "new/benchmark.json", json.dumps({"full_id": f"id of {name}"}))
        write(tmp_path / name / "new/estimates.json", json.dumps(estimates))
        write(tmp_path / name / "base/estimates.json", json.dumps(estimates))

    result("old", 1.0, 0.0)
    before = criterion_places(str(tmp_path))
    result("group/new one", 50.0, 5.0)
    write(tmp_path / "broken/new/benchmark.json", "{}")
    write(tmp_path / "broken/new/estimates.json", "{")
    assert criterion_files(str(tmp_path), before) == {"id of group/new one": Times(45.0, 50.0, 55.0)}


# --- comparing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        (Times(111, 112, 113), "REGRESSION"),
        (Times(106, 108, 109), "slower"),
        (Times(104, 130, 160), "same"),
        (Times(98, 100, 102), "same"),
        (Times(80, 81, 82), "faster"),
    ],
)
def test_a_regression_is_beyond_the_threshold_and_beyond_the_noise(after: Times, verdict: str) -> None:
    (change,) = compare({"one": Times(95, 100, 105)}, [{"one": after}], 10.0)
    assert change.verdict == verdict


@pytest.mark.parametrize(("middles", "verdict"), [((130, 131), "REGRESSION"), ((130, 118), "too noisy to tell")])
def test_a_regression_is_more_than_what_the_rounds_differ_by(middles: tuple[float, ...], verdict: str) -> None:
    rounds = [{"one": Times(middle - 2, middle, middle + 2)} for middle in middles]
    assert compare({"one": Times(98, 100, 102)}, rounds, 5.0)[0].verdict == verdict


def test_of_benchmarks_that_have_not_changed_none_is_a_regression_on_a_machine_that_has() -> None:
    """Each round is up to 40 % slower as a whole, at random; its samples agree with one another."""
    chance, found = random.Random(1), []
    for _ in range(200):
        (before, *rounds) = ({"one": _round(chance)} for _ in range(5))
        found.append(compare(before, rounds, 5.0)[0].verdict)
    assert found.count("REGRESSION") <= 3, found


def _round(chance: random.Random) -> Times:
    middle = 100 * (1 + 0.4 * chance.random())
    return Times(middle * 0.99, middle, middle * 1.01)


@pytest.mark.parametrize(
    ("ratios", "suspect", "verdict"),
    [
        ([1.02], False, "same"),
        ([1.02], True, ""),
        ([1.2, 0.9], True, ""),
        ([0.9, 1.0], True, "same"),
        ([1.2, 1.3, 1.2, 0.9, 1.3, 1.0], True, "too noisy to tell"),
        ([2.0, 1.9, 2.1], False, ""),
        ([2.0, 1.9, 2.1, 1.6], False, "REGRESSION"),
        ([1.1] * 7, True, ""),
        ([1.1] * 5 + [0.9] + [1.1] * 2, True, "REGRESSION"),
    ],
)
def test_pairs_of_then_and_now_decide_when_they_agree(ratios: list[float], suspect: bool, verdict: str) -> None:
    assert judged(ratios, 5.0, suspect) == verdict


def test_what_only_one_side_has_is_told() -> None:
    found = compare({"old": Times(1, 1, 1)}, [{"new": Times(1, 1, 1)}], 5.0)
    assert [(change.name, change.verdict) for change in found] == [("old", "not measured now"), ("new", "new")]


def test_the_faster_of_two_measurements_counts_with_the_noise_of_both() -> None:
    assert Times(90, 100, 110).better(Times(95, 97, 130)) == Times(90, 97, 130)


def test_the_text_of_a_time_names_its_unit() -> None:
    assert [results.text_of(value) for value in (9.96, 1e3, 2.5e6)] == ["10.0 ns", "1.000 us", "2.500 ms"]


# --- on a workspace --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose benchmarks were run once, quick, and kept as `main`."""
    root = lay_out(tmp_path_factory.mktemp("bench"))
    said = call(root, "doit-cargo", "bench", "BASELINE=main")
    assert said.status == 0, said.err
    write(root / "said", said.out)
    return root


@pytest.fixture(autouse=True)
def figures(request: pytest.FixtureRequest) -> None:
    """The usual figures, and no notes of earlier calls."""
    if "workspace" in request.fixturenames:
        root = request.getfixturevalue("workspace")
        write(root / "figures/steady", STEADY_FIGURES)
        write(root / "figures/calls", "")
        if (root / "timed/benches/steady.rs").read_text() != STEADY:
            write(root / "timed/benches/steady.rs", STEADY)


def bench(root: Path, *words: str) -> Said:
    return call(root, "doit-cargo", *words)


def calls_of(root: Path) -> list[str]:
    return (root / "figures/calls").read_text().splitlines()


def verdicts(said: Said) -> dict[str, str]:
    """Return the benchmarks of a comparison with their change and verdict."""
    rows = [line.split() for line in said.out.splitlines() if line.startswith("   ") and "%" in line]
    return {row[0] + " " + row[1]: f"{row[-3]} {row[-1]}" for row in rows}


@needs_cargo
@pytest.mark.slow
def test_figures_are_printed_and_what_needs_a_feature_is_left_out(workspace: Path) -> None:
    out = (workspace / "said").read_text()
    assert ".. bench  gated is left out: it needs FEATURES=more\n" in out
    assert [line.split() for line in out.splitlines() if "+/-" in line] == [
        ["steady:", "one", "100.0", "ns", "+/-", "10.0", "%"],
        ["steady:", "a", "name", "that", "is", "too", "long", "for", "its", "line", "2.000", "us", "+/-", "5.0", "%"],
        ["strict:", "plain", "250.0", "ns", "+/-", "4.0", "%"],
    ]
    last = "ok bench  3 benchmarks, kept as main: compare with bench_compare BASELINE=main"
    assert out.splitlines()[-1] == last


@needs_cargo
@pytest.mark.slow
def test_the_same_figures_are_no_regression_and_are_measured_once(workspace: Path) -> None:
    said = bench(workspace, "bench_compare", "BASELINE=main")
    assert (said.status, calls_of(workspace)) == (0, ["steady --bench"])
    assert verdicts(said) == {"steady: one": "+0.0% same", "steady: a": "+0.0% same", "strict: plain": "+0.0% same"}


@needs_cargo
@pytest.mark.slow
def test_a_regression_is_measured_again_and_fails(workspace: Path) -> None:
    """The new program and that of then measure in turns, four times each."""
    write(workspace / "timed/benches/steady.rs", STEADY.replace("{folder}steady", "{folder}slower"))
    write(workspace / "figures/slower", STEADY_FIGURES.replace("90.0 ns     100.0 ns     110", "150 ns 160 ns 170"))
    said = bench(workspace, "bench_compare", "BASELINE=main", "BENCH_THRESHOLD=50")
    assert (said.status, calls_of(workspace)) == (1, ["steady --bench"] * 8)
    assert verdicts(said)["steady: one"] == "+60.0% REGRESSION"
    assert "1 of 3 benchmarks slower by more than 50 % and than the noise, compared with main of " in said.err
    assert said.err.endswith("; the worst is steady: one (+60.0 %)\n")
    assert bench(workspace, "bench_compare", "BASELINE=main", "BENCH_THRESHOLD=61").status == 0
    write(workspace / "figures/steady", (workspace / "figures/slower").read_text())
    slow_machine = bench(workspace, "bench_compare", "BASELINE=main", "BENCH_THRESHOLD=50")
    assert (slow_machine.status, verdicts(slow_machine)["steady: one"]) == (0, "+0.0% same")


@needs_cargo
@pytest.mark.slow
def test_a_program_that_lies_in_the_place_of_the_one_of_then_is_not_run(workspace: Path, tmp_path: Path) -> None:
    write(workspace / "timed/benches/steady.rs", STEADY.replace("{folder}steady", "{folder}slower"))
    write(workspace / "figures/slower", STEADY_FIGURES)
    for kept in (workspace / ".doit-cargo/bench/programs").iterdir():
        kept.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    assert bench(workspace, "bench_compare", "BASELINE=main").status == 0
    assert not (tmp_path / "ran").exists()


@needs_cargo
@pytest.mark.slow
def test_without_a_name_the_last_measurement_counts_and_can_be_kept(workspace: Path) -> None:
    write(workspace / "figures/steady", "one  time: [300 ns 310 ns 320 ns]\n")
    assert bench(workspace, "bench").status == 0
    said = bench(workspace, "bench_save", "BASELINE=slow")
    assert (said.status, said.out.endswith(", 2 benchmarks, is kept as slow\n")) == (0, True)
    assert bench(workspace, "bench_compare").status == 0
    said = bench(workspace, "bench_compare", "BASELINE=main")
    assert said.status == 0
    assert any("+210.0%" in line and line.endswith("the same program") for line in said.out.splitlines())
    assert "1 slower by the very program of then, such as steady: one: the machine or its data differ\n" in said.out


@needs_cargo
@pytest.mark.slow
def test_quick_is_passed_to_those_that_take_it(workspace: Path) -> None:
    said = bench(workspace, "bench_quick")
    assert (said.status, calls_of(workspace)) == (0, ["steady --quick --bench"])
    assert ".. bench_quick  strict has no quick mode: all of its samples are taken\n" in said.out


@needs_cargo
@pytest.mark.slow
def test_one_package_by_its_own_target(workspace: Path) -> None:
    said = bench(workspace, "bench_timed", "FEATURES=more")
    assert (said.status, said.err.splitlines()[-2:]) == (
        1,
        [
            "!! bench_timed  the benchmark gated printed no figures that can be read",
            "  fix: known are Criterion's and libtest's output, and JSON lines with name and median_ns; see the log: "
            ".logs/bench-timed-gated.log",
        ],
    )


@needs_cargo
@pytest.mark.slow
def test_a_benchmark_that_fails_fails_the_target(workspace: Path) -> None:
    (workspace / "figures/steady").unlink()
    said = bench(workspace, "bench")
    assert said.status == 1
    assert (
        "!! bench  the benchmark steady failed with status 101\n  fix: see the log: .logs/bench-steady.log" in said.err
    )


# --- bad input -------------------------------------------------------------------------------------------------------


@needs_cargo
@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["bench_compare", "BASELINE=mian"], "BASELINE: unknown baseline 'mian'\n  fix: did you mean 'main'? known: "),
        (["bench", "PACKAGE=app"], "app has no benchmarks\n  fix: packages that have: timed\n"),
        (["bench_save"], "bench_save needs a name for the measurement\n  fix: doit-cargo bench_save BASELINE=main\n"),
        (["bench", "BASELINE=../x"], "BASELINE=../x is not a name of letters, digits, '.', '-' and '_'\n"),
        (["bench_compare", "BENCH_THRESHOLD=much"], "BENCH_THRESHOLD=much is not a percentage such as 80 or 2.5\n"),
        (["bench", "FEATURES=fast"], "Cargo.toml: none of the selected packages (app, timed) has the feature 'fast', "),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_bad_input_is_told_before_anything_starts(workspace: Path, words: list[str], told: str) -> None:
    said = bench(workspace, *words)
    assert (said.status, said.out, calls_of(workspace)) == (3, "", [])
    assert said.err.startswith(f"doit-cargo: {told}")


@needs_cargo
def test_without_any_measurement_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    said = bench(lay_out(tmp_path), "bench_compare")
    assert (said.status, said.out) == (3, "")
    assert said.err == (
        "doit-cargo: no benchmark has been measured here yet\n"
        "  fix: keep a measurement: doit-cargo bench BASELINE=main\n"
    )


@needs_cargo
def test_a_broken_baseline_is_told_with_its_place_and_kept(tmp_path: Path) -> None:
    root = lay_out(tmp_path)
    path = write(root / ".doit-cargo/bench/main.json", '{"format": 1, "results": {"one": [1]}}')
    said = bench(root, "bench_compare", "BASELINE=main")
    assert (said.status, path.exists()) == (3, True)
    told = f"doit-cargo: {path}: this is no measurement of benchmarks that was made here\n  fix: remove it, or "
    assert said.err.startswith(told)


# --- the bench program of mistral.rs ---------------------------------------------------------------------------------


@needs_cargo
@linux
@pytest.mark.slow
def test_a_bench_program_that_measures_models_is_told_which(tmp_path: Path) -> None:
    """A checkout of the pack mistralrs, whose bench program has the help of the real one."""
    root = lay_out(tmp_path)
    members = ["mistralrs", "mistralrs-core", "mistralrs-bench"]
    write(root / "Cargo.toml", f'[workspace]\nresolver = "2"\nmembers = {json.dumps(members)}\n')
    (root / "Cargo.lock").unlink()
    for name in members:
        write(root / name / "Cargo.toml", f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n')
        write(root / name / "src/lib.rs", "")
    helps = "Commands:\n  plain    a plain model\n  gguf     a GGUF file\nOptions:\n  -r, --repetitions"
    table = "| model | test | ms/t | concurrency |\n| m | tg 8 | 2.0±0.1 | 1 |"
    write(
        root / "mistralrs-bench/src/main.rs",
        "fn main() {\n    let words: Vec<String> = std::env::args().skip(1).collect();\n"
        f'    if words == ["--help"] {{ println!({json.dumps(helps)}); return }}\n'
        '    std::fs::write("bench-arguments", words.join(" ")).unwrap();\n'
        f"    println!({json.dumps(table, ensure_ascii=False)});\n}}\n",
    )
    said = bench(root, "bench_full")
    assert said.status == 2
    assert "mistralrs-bench measures a model, and MODEL names none\n" in said.err
    said = bench(root, "bench_full", "MODEL=models/small.gguf")
    assert said.status == 0, said.err
    assert (root / "bench-arguments").read_text() == "gguf -m models -f small.gguf"
    assert "   mistralrs-bench: tg 8 x1" in said.out
