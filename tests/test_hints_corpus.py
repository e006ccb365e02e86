"""Which cause a log shows: an example of each that is known, in each shape of pasted logs, and none for other logs."""

from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from conftest import SHARED
from doit_cargo.engine.base.toml.locations import TomlFile
from doit_cargo.engine.hints import check, fixes, rules
from doit_cargo.engine.hints.literals import alternatives, bounded, choices_of, rarest
from doit_cargo.engine.hints.reading import candidates, windows
from doit_cargo.engine.hints.rules import Found, Index
from doit_cargo.engine.hints.systems import LogSystem
from hint_logs import KNOWN, SHAPES, Example, examples, first, quiet_logs, read

EXAMPLES = list(examples())
QUIET = quiet_logs()


# --- the data --------------------------------------------------------------------------------------------------------


def test_the_shipped_hints_are_right() -> None:
    path = f"{rules.data_directory()}/hints.toml"
    problems = check.problems_of(TomlFile.read(path, "hints.toml"), frozenset(), check.SHIPPED)
    assert [str(problem) for problem in problems] == []


def test_every_hint_has_an_example_and_evidence() -> None:
    shown = {example.hint for example in EXAMPLES}
    assert [hint.name for hint in KNOWN.hints if hint.name not in shown or not hint.evidence] == []
    assert shown <= {hint.name for hint in KNOWN.hints}
    assert len(shown) > 200


@pytest.mark.parametrize(
    "way", [("linux", "apt"), ("linux", "zypper"), ("linux", ""), ("macos", "brew"), ("windows", "winget")]
)
def test_every_fix_says_something_everywhere(way: tuple[str, str]) -> None:
    told = {hint.name: fixes.fix_of(Found(hint, {}, ()), KNOWN, LogSystem(*way)) for hint in KNOWN.hints}
    assert [name for name, text in told.items() if len(text) < 8] == []


# --- recall ----------------------------------------------------------------------------------------------------------


def test_each_example_gets_its_hint_first() -> None:
    found = [(example.hint, first(example.text), example.text[:80]) for example in EXAMPLES]
    assert [one for one in found if one[0] != one[1]] == []


def test_an_example_tells_its_system() -> None:
    marked = [example for example in EXAMPLES if example.system]
    found = [(example.hint, example.system, read(example.text)[0].system) for example in marked]
    assert len(marked) > 20
    assert [one for one in found if one[1] != one[2]] == []


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shape_of_a_log_changes_no_answer(shape: str) -> None:
    # Each shape sees a third of the examples, and each example five shapes.
    chosen = EXAMPLES[list(SHAPES).index(shape) % 3 :: 3]
    found = [(example.hint, first(SHAPES[shape](example.text)), example.text[:80]) for example in chosen]
    assert [one for one in found if one[0] != one[1]] == []


def test_a_root_cause_comes_before_its_consequence() -> None:
    consequence = (
        'error: failed to run custom build command for `x v1.0.0`\n  nvcc error while compiling "src/cast.cu":\n'
    )
    for cause in ("nvcc-host-compiler-too-new", "unsupported-gpu-arch", "out-of-memory-nvcc", "disk-full"):
        text = next(example.text for example in EXAMPLES if example.hint == cause)
        assert [hint.name for hint in read(consequence + text)] == [cause]


def test_at_most_three_hints_are_told_and_one_of_a_category() -> None:
    for step in (7, 11, 13):
        hints = read("".join(example.text for example in EXAMPLES[::step]))
        assert len(hints) == 3
        assert len({hint.category for hint in hints}) == 3


# --- precision -------------------------------------------------------------------------------------------------------


def test_good_logs_and_mistakes_in_ones_own_code_give_no_hint() -> None:
    assert len(QUIET) >= 40
    assert {path.name: [hint.name for hint in read(path.read_bytes())] for path in QUIET} == {
        path.name: [] for path in QUIET
    }


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "a long log"])
def test_the_shape_of_a_log_makes_no_cause(shape: str) -> None:
    found = [(path.name, first(SHAPES[shape](path.read_text(encoding="utf-8")))) for path in QUIET]
    assert [one for one in found if one[1]] == []


def test_what_a_build_script_only_warned_of_is_not_why_another_failed() -> None:
    warning = "warning: wire@0.3.0: Could not find `protoc`, using the checked-in sources\n"
    failure = "error: failed to run custom build command for `{} v0.3.0`\n"
    assert first(warning + failure.format("wire")) == "protoc-missing"
    assert first(warning + failure.format("other")) == "build-script-failed"


# --- the search ------------------------------------------------------------------------------------------------------


def test_no_line_that_a_pattern_matches_is_overlooked() -> None:
    """Compare the search by words with trying every pattern on every line."""
    patterns = [pattern for pattern, _ in KNOWN._patterns()]
    overlooked = []
    for example in EXAMPLES[::3]:
        log = example.text.encode()
        found = {
            line.number: line.words for window in windows(io.BytesIO(log)) for line in candidates(window, Index(KNOWN))
        }
        for number, text in enumerate(example.text.splitlines(), 1):
            words = found.get(number, frozenset())
            missed = [one for one in patterns if one.find(text) and not words.intersection(one.words)]
            overlooked += [(one.source, text) for one in missed]
    assert overlooked == []


def test_every_shipped_pattern_has_a_word_to_look_for() -> None:
    assert [pattern.source for pattern, _ in KNOWN._patterns() if not pattern.words] == []


def shortest(word: str) -> tuple[int, ...]:
    return (-len(word),)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("cannot find -lfoo", ["cannot"]),
        ("no(?:thing| space) left", ["left"]),
        (r"(?:failed|unable) to run", ["failed", "unable"]),
        (r"could\w* .* device\b", ["device"]),
        (r"nccl\w+", []),
        (r"(?:one|two)_more", []),
        (r"lnk(?:1104|1181)", []),
        (r"a?b?c*", []),
        (r"error: .{0,3}protoc\b", ["protoc"]),
        (r"error: .{0,30}protoc\b", ["error"]),
        (r"[a-z]+ something[0-9]", []),
        (r"first|second", []),
        (r"\bfirst\b|\bsecond\b", ["first", "second"]),
    ],
)
def test_words_are_whole_in_every_match(pattern: str, words: list[str]) -> None:
    choices = [choices_of(one, shortest) for one in alternatives(pattern)]
    assert rarest(choices, shortest) == words


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [("killed", r"(?<![\w-])killed(?![\w-])"), ("^killed$", "^killed$"), (r"a\w+", r"(?<![\w-])a\w+"), ("a|b", "a|b")],
)
def test_a_pattern_begins_and_ends_where_words_do(pattern: str, meant: str) -> None:
    assert bounded(pattern) == meant


# --- the founders' excerpts ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def excerpts() -> list[Example]:
    path = SHARED / "facts/build-errors.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is absent: the excerpts are not in this repository")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Example(row["category"], row["platform"], row["excerpt"] + "\n") for row in rows]


def category(log: bytes | str) -> str:
    return next((hint.category for hint in read(log)), "")


@pytest.mark.shared
def test_every_excerpt_of_the_founders_is_recognised(excerpts: list[Example]) -> None:
    """Recall and precision of the first hint, both 1: each excerpt has one, and each is the right one."""
    outcome = Counter((category(example.text) == example.hint) for example in excerpts)
    assert (outcome[True], outcome[False]) == (len(excerpts), 0)


@pytest.mark.shared
@pytest.mark.parametrize("shape", SHAPES)
def test_an_excerpt_in_another_shape_is_recognised(shape: str, excerpts: list[Example]) -> None:
    found = [(example.hint, category(SHAPES[shape](example.text))) for example in excerpts]
    assert [one for one in found if one[0] != one[1]] == []


@pytest.mark.shared
def test_no_pattern_is_a_copy_of_an_excerpt(excerpts: list[Example]) -> None:
    literal = [run.text for pattern, _ in KNOWN._patterns() for one in alternatives(pattern.source) for run in one.runs]
    texts = [example.text.lower() for example in excerpts]
    assert [text for text in literal if len(text) > 70 and any(text in excerpt for excerpt in texts)] == []
