"""Make-like variables: types, and messages that say what to write instead."""

from __future__ import annotations

import pytest
from calling import shown
from doit_cargo.engine.base import variables
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.variables import Values, parse

TAKES = {
    "build": variables.CARGO,
    "check": variables.CARGO,
    "run": ("MODEL", "PORT"),
    "test": variables.TESTS,
    "help": (),
}


def parse_for(target: str, **raw: str) -> Values:
    return parse(raw, {target: TAKES[target]}, TAKES)


def message(target: str, **raw: str) -> str:
    with pytest.raises(UserError) as caught:
        parse_for(target, **raw)
    assert caught.value.code == 3
    return str(caught.value)


def test_every_type_is_read() -> None:
    values = parse_for(
        "build", JOBS="4", VERBOSE="1", FEATURES="cuda,flash-attn -mkl", PROFILE="release", TARGET="a-b-c"
    )
    assert values.number("JOBS") == 4
    assert values.flag("VERBOSE")
    assert values.words("FEATURES") == ("cuda", "flash-attn", "-mkl")
    assert values.text("PROFILE") == "release"
    assert values.text("TARGET") == "a-b-c"
    assert parse_for("run", PORT="1234", MODEL="a model").by_name == {"PORT": 1234, "MODEL": "a model"}


def test_what_is_not_given_is_off_none_or_empty() -> None:
    values = parse_for("build")
    assert (values.flag("VERBOSE"), values.number("JOBS"), values.text("PROFILE")) == (False, None, "")
    assert values.words("FEATURES") == ()


@pytest.mark.parametrize("text", ["", "0", "false", "no", "No", " 0 ", "off", "00"])
def test_a_flag_is_off(text: str) -> None:
    assert not parse_for("build", VERBOSE=text).flag("VERBOSE")


@pytest.mark.parametrize("text", ["1", "true", "yes", "2", "on", "10"])
def test_a_flag_is_on(text: str) -> None:
    assert parse_for("build", VERBOSE=text).flag("VERBOSE")


@pytest.mark.parametrize("text", ["flase", "-1", "1.5", "x", ",", "é"])
def test_a_flag_that_is_neither_is_wrong(text: str) -> None:
    with pytest.raises(UserError, match=r"is neither on .* nor off"):
        parse_for("build", VERBOSE=text)


def test_a_report_that_is_not_wanted_is_no_file_of_that_name() -> None:
    asked = [parse_for("test", JUNIT=text).text("JUNIT") for text in ("0", "off", "1", "yes", "out/1.xml")]
    assert asked == ["", "", "1", "1", "out/1.xml"]


def test_an_empty_value_counts_as_not_given_as_in_make() -> None:
    assert parse_for("build", JOBS="", FEATURES=" ", PROFILE="").by_name == {}


def test_a_word_given_twice_counts_once() -> None:
    assert parse_for("build", FEATURES="cuda cuda, cuda").words("FEATURES") == ("cuda",)


@pytest.mark.parametrize("example", variables.TABLE, ids=lambda row: row.name)
def test_the_example_of_a_row_is_valid(example: variables.Variable) -> None:
    assert parse({example.name: example.example}, {"x": (example.name,)}).by_name[example.name]


def test_jobs_must_be_a_number() -> None:
    assert message("build", JOBS="four") == (
        "JOBS=four is not a whole number above 0\n  fix: how many jobs cargo runs at once, for example JOBS=4"
    )


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "4k", "٤", "9" * 5000])
def test_jobs_must_be_above_zero(text: str) -> None:
    assert message("build", JOBS=text).startswith(f"JOBS={text} is not a whole number above 0")


def test_a_triple_must_look_like_one() -> None:
    assert message("build", TARGET="linux") == (
        "TARGET=linux is not a target triple such as x86_64-unknown-linux-gnu\n"
        "  fix: the triple to build for, for example TARGET=x86_64-unknown-linux-gnu"
    )


def test_a_value_cannot_become_an_option_of_cargo() -> None:
    assert message("build", FEATURES="cuda,--config=x") == (
        "FEATURES=cuda,--config=x holds '--config=x', which is no name of a feature\n"
        "  fix: features to add to those of the profile; -NAME removes one, for example FEATURES=cuda,-mkl"
    )
    assert "holds '--all'" in message("build", PACKAGE="--all")
    assert message("build", PROFILE="a b").startswith("PROFILE=a b is not one name")
    assert "is not a target triple" in message("build", TARGET="--x.json")
    assert message("build", TARGET="--target-dir=/x").startswith("TARGET=--target-dir=/x is not a target triple")


def test_all_packages_and_one_package_exclude_each_other() -> None:
    assert message("build", PACKAGE="all,core").startswith("PACKAGE=all,core names packages beside 'all'")


def test_a_port_has_a_range() -> None:
    assert message("run", PORT="70000").startswith("PORT=70000 is not a port (1 to 65535)")


def test_an_unknown_variable_names_the_nearest() -> None:
    assert message("build", JOB="4") == (
        f"unknown variable 'JOB'\n  fix: did you mean 'JOBS'? {shown(variables.BY_NAME)}"
    )


def test_a_secret_is_not_taken_from_the_command_line() -> None:
    assert message("build", HF_TOKEN="sesame") == (
        "HF_TOKEN is a secret: it is taken from the environment only\n  fix: export HF_TOKEN=... first"
    )


def test_a_variable_that_the_target_does_not_take_says_who_does() -> None:
    assert message("build", MODEL="x") == "build takes no MODEL\n  fix: leave it out; it is for run"
    assert message("help", JOBS="2") == "help takes no JOBS\n  fix: leave it out; it is for build, check"
    assert message("build", CARGO_CACHE="1") == (
        "build takes no CARGO_CACHE\n  fix: leave it out; no target here takes it"
    )


def test_one_of_several_targets_that_takes_it_is_enough() -> None:
    asked = {"build": TAKES["build"], "help": TAKES["help"]}
    assert parse({"JOBS": "2"}, asked, TAKES).number("JOBS") == 2
    with pytest.raises(UserError, match="build and help take no PORT"):
        parse({"PORT": "2"}, asked, TAKES)


def test_all_problems_come_at_once() -> None:
    problems = message("build", JOBS="four", TARGTE="x", MODEL="m", TARGET="?").splitlines()
    assert [line for line in problems if not line.startswith("  ")] == [
        "JOBS=four is not a whole number above 0",
        "unknown variable 'TARGTE'",
        "build takes no MODEL",
        "TARGET=? is not a target triple such as x86_64-unknown-linux-gnu",
    ]
