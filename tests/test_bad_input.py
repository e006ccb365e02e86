"""Whatever is wrong: one message says where, what and how to mend it, the exit code is right, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import calling
import pytest
from calling import SCRIPTS, Said, linux, posix, shown, small_workspace, targets
from calling import forked_call as call
from conftest import needs_cargo, write
from doit_cargo.engine.base.variables import BY_NAME

pytestmark = [needs_cargo, posix]

EXAMPLE = Path(__file__).parents[1] / "examples/mistralrs"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return small_workspace(tmp_path / "workspace")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that no test changes."""
    return small_workspace(tmp_path_factory.mktemp("shared") / "workspace")


def refused(what: str, fix: str = "", status: int = 3) -> Said:
    """Return the one message of doit-cargo, and nothing else."""
    return Said(status, "", f"doit-cargo: {what}\n" + (f"  fix: {fix}\n" if fix else ""))


def one_message(said: Said) -> str:
    """Return the message of a call that refused, whichever of the two prefixes it has; it is all that was said."""
    assert (said.out, "Traceback" in said.err) == ("", False)
    assert re.match("doit-cargo: |ERROR: ", said.err)
    return re.sub("^(doit-cargo|ERROR): ", "", said.err, flags=re.MULTILINE).rstrip("\n")


# --- names that nobody knows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("buidl", "build"),
        ("build_al", "build_all"),
        ("check-sever", "check_server"),
        ("DEV", "dev"),
        ("", ""),
        ("dev;touch X", ""),
        ("$(touch X)", ""),
        ("../dev", "dev"),
        ("größe", ""),
        ("x" * 300, ""),
    ],
)
def test_an_unknown_target_names_the_nearest(shared: Path, word: str, nearest: str) -> None:
    known = shown(targets(shared))
    guess = f"did you mean {nearest!r}? " if nearest else ""
    assert call(shared, "doit-cargo", word) == refused(f"unknown target {word!r}", guess + known)
    assert call(shared, "doit-cargo", "plan", word) == refused(f"unknown target {word!r}", guess + known)
    assert not (shared / "X").exists()


def test_a_target_whose_name_is_no_text_is_unknown(shared: Path) -> None:
    said = call(shared, "doit-cargo", b"de\xffv")
    assert (said.status, said.err.splitlines()[0]) == (3, "doit-cargo: unknown target 'de\\udcffv'")


@pytest.mark.parametrize("words", ["doit-cargo buidl", "doit help list", "doit-cargo plan dev --json"])
def test_a_start_from_nothing_says_what_the_tests_of_messages_are_told(shared: Path, words: str) -> None:
    assert call(shared, *words.split()) == calling.call(shared, *words.split())


def test_one_unknown_target_among_several_stops_all(shared: Path) -> None:
    said = call(shared, "doit-cargo", "version", "buidl")
    assert (said.status, said.out, said.err.splitlines()[0]) == (3, "", "doit-cargo: unknown target 'buidl'")


@pytest.mark.parametrize(
    "words",
    [
        ("doit", "buidl"),
        ("doit", "run", "buidl"),
        ("doit", "help", "buidl"),
        ("doit", "build-all", "buidl"),
        ("doit", "build_windows", "buidl"),
    ],
    ids=" ".join,
)
def test_doit_names_the_nearest_too(shared: Path, words: tuple[str, ...]) -> None:
    expected = f"ERROR: unknown target 'buidl'\n  fix: did you mean 'build'? {shown(targets(shared))}\n"
    assert call(shared, *words) == Said(3, "", expected)


def test_tasks_of_the_dodo_file_are_known_too(workspace: Path) -> None:
    with (workspace / "dodo.py").open("a", encoding="utf-8") as stream:
        stream.write("def task_publish():\n    return {'actions': []}\n")
    assert "did you mean 'publish'?" in call(workspace, "doit", "run", "pubish").err


@linux
def test_a_target_that_is_absent_here_says_why(shared: Path) -> None:
    for words in (("doit-cargo", "build-metal"), ("doit", "build_metal"), ("doit-cargo", "plan", "build_metal")):
        said = call(shared, *words)
        assert (said.status, one_message(said)) == (3, "build_metal builds only on macos; this is linux")


VARIABLES = [
    (
        "JOB=4",
        "unknown variable 'JOB'",
        f"did you mean 'JOBS'? {shown(BY_NAME)}",
    ),
    (
        "=x",
        "unknown variable ''",
        shown(BY_NAME),
    ),
    (
        "JOBS=four",
        "JOBS=four is not a whole number above 0",
        "how many jobs cargo runs at once, for example JOBS=4",
    ),
    ("PACKAGE=lo", "PACKAGE: unknown package 'lo'", "did you mean 'low'? known: app, low"),
    (
        "FEATURES=fest",
        "Cargo.toml: none of the selected packages (app, low) has the feature 'fest', asked for by FEATURES",
        "did you mean 'fast'? known: fast",
    ),
    (
        "FEATURES=-fast",
        "FEATURES: the feature 'fast' cannot be removed, it is not set",
        "leave it out; the profile dev sets none",
    ),
    (
        "PROFILE=relase",
        "PROFILE: unknown profile 'relase'",
        "did you mean 'release'? known: bench, check, cuda, dev, dev_fast, low_memory, lto_fat, lto_thin, metal, "
        "optimised, profiled, release, release_fast, test",
    ),
    (
        "TARGET=linux",
        "TARGET=linux is not a target triple such as x86_64-unknown-linux-gnu",
        "the triple to build for, for example TARGET=x86_64-unknown-linux-gnu",
    ),
    (
        "FEATURES=\udcff",
        "FEATURES=\\udcff holds '\\udcff', which is no name of a feature",
        "features to add to those of the profile; -NAME removes one, for example FEATURES=cuda,-mkl",
    ),
]


@pytest.mark.parametrize(("word", "what", "fix"), VARIABLES, ids=[ascii(row[0]) for row in VARIABLES])
def test_a_wrong_variable_is_told_before_anything_runs(shared: Path, word: str, what: str, fix: str) -> None:
    for door in ("doit-cargo", "doit"):
        said = call(shared, door, "dev", os.fsencode(word))
        if not (door == "doit" and word.startswith("=")):  # doit takes that for a task
            assert one_message(said) == f"{what}\n  fix: {fix}"
        assert (said.status, (shared / ".logs").exists(), (shared / "target").exists()) == (3, False, False)


def test_a_wrong_variable_is_told_even_where_all_is_up_to_date(workspace: Path) -> None:
    assert call(workspace, "doit-cargo", "dev").status == 0
    of_no_result = ("JOBS=٣", "OBSERVE=of", "SHARE=yes", "REGISTRY=-x", "VERBOSE=ture", "FORCE=flase", "YES=1")
    for word in ("JOB=4", "JOBS=four", "MODEL=x", "=x", *of_no_result):
        said = call(workspace, "doit-cargo", "dev", word)
        assert (word, said.status, said.out) == (word, 3, "")


def test_a_variable_has_one_value(workspace: Path) -> None:
    assert call(workspace, "doit-cargo", "dev").status == 0
    expected = refused(
        "PACKAGE=low and PACKAGE=app are both given",
        "leave one of them out; several names go into one, with commas",
    )
    for words in (("PACKAGE=low", "PACKAGE=app"), ("PACKAGE=low", "-p", "app")):
        assert call(workspace, "doit-cargo", "dev", *words) == expected
    same = call(workspace, "doit-cargo", "dev", "JOBS=2", "JOBS=2")
    assert (same.status, same.out[:2]) == (0, "--")


def test_all_wrong_variables_are_told_at_once(shared: Path) -> None:
    said = call(shared, "doit-cargo", "dev", "JOBS=four", "TARGTE=x", "PORT=1")
    assert [line for line in one_message(said).splitlines() if not line.startswith("  ")] == [
        "JOBS=four is not a whole number above 0",
        "unknown variable 'TARGTE'",
        "dev takes no PORT",
    ]


HELP = "doit-cargo --help shows what there is"
OF_CARGO = f"{HELP}; what changes how cargo builds stands in [cargo] and [cargo.config] of a profile"


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        (("--nope",), "--nope: unknown option", OF_CARGO),
        (("dev", "--nope"), "--nope: unknown option", OF_CARGO),
        (("build", "-p", "app", "--nope", "--no"), "--nope, --no: unknown options", OF_CARGO),
        (("-w",), "argument -w/--workspace: expected one argument", HELP),
        (("dev", "-w"), "argument -w/--workspace: expected one argument", HELP),
        (("-w", "", "dev"), "argument -w/--workspace: its value is empty", HELP),
        (("gc", "--max-size", ""), "argument --max-size: its value is empty", HELP),
        (("init", "--ci", " "), "argument --ci: its value is empty", HELP),
        (("-n", "1000", "dev"), "argument -n/--process: 1000 is not a whole number from 1 to 999", HELP),
    ],
)
def test_an_unknown_option_says_where_the_known_ones_are(
    shared: Path, words: tuple[str, ...], message: str, fix: str
) -> None:
    assert call(shared, "doit-cargo", *words) == refused(message, fix)


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        (("list", "FOO=1"), "list does not take 'FOO=1'", HELP),
        (("profiles", "release", "FOO=1"), "profiles does not take 'FOO=1'", HELP),
        (("makefile", "other.mk"), "makefile does not take 'other.mk'", HELP),
        (("dev", "--check"), "a target does not take '--check'", "--check is for: guide, features, makefile"),
        (
            ("features", "low", "--output", "x.md"),
            "the page has all packages",
            "leave the packages and --json out, or the page",
        ),
        (("--force", "dev"), "a target does not take '--force'", "--force is for: init, makefile"),
    ],
)
def test_a_word_that_a_command_does_not_take_is_not_overlooked(
    shared: Path, words: tuple[str, ...], message: str, fix: str
) -> None:
    assert call(shared, "doit-cargo", *words) == refused(message, fix)
    assert not (shared / "target").exists()


def test_an_option_may_stand_anywhere(shared: Path) -> None:
    expected = call(shared, "doit-cargo", "plan", "dev", "JOBS=2", "--json")
    assert expected.status == 0
    for words in (
        "--json plan dev JOBS=2",
        "plan --json dev JOBS=2",
        "plan dev --json JOBS=2",
        "plan dev -w . JOBS=2 --json",
    ):
        assert call(shared, "doit-cargo", *words.split()) == expected


@pytest.mark.parametrize(
    ("command", "other"), [("features", "report"), ("graph dev", "features"), ("report", "graph dev")]
)
def test_what_is_written_where_one_says_replaces_nothing_else(workspace: Path, command: str, other: str) -> None:
    manifest = (workspace / "low/Cargo.toml").read_bytes()
    said = call(workspace, "doit-cargo", *command.split(), "--output", "low/Cargo.toml")
    assert (said.status, (workspace / "low/Cargo.toml").read_bytes()) == (2, manifest)
    assert "low/Cargo.toml: this file is something else, and not replaced" in one_message(said)
    for written, status in ((command, 0), (command, 0), (other, 2)):
        assert call(workspace, "doit-cargo", *written.split(), "--output", "made").status == status


@pytest.mark.parametrize("words", ["rerun nope", "watch nope"])
def test_a_command_that_waits_or_looks_back_knows_its_targets_too(shared: Path, words: str) -> None:
    assert one_message(call(shared, "doit-cargo", *words.split())).startswith("unknown target 'nope'")


def test_watch_does_not_wait_for_what_no_edit_mends(shared: Path) -> None:
    said = call(shared, "doit-cargo", "watch", "ci", "JOB=4")
    assert (said.status, one_message(said).splitlines()[0]) == (3, "unknown variable 'JOB'")


def test_a_package_that_is_not_here_is_rebuilt_by_no_input(workspace: Path) -> None:
    write(workspace / "schema.json", "{}")
    write(workspace / "profiles/own.toml", '[inputs]\nfiles = ["schema.json"]\npackages = ["lwo"]\n')
    assert call(workspace, "doit-cargo", "dev", "PROFILE=own") == refused(
        "[inputs] packages: unknown package 'lwo'", "did you mean 'low'? known: app, low"
    )


@pytest.mark.parametrize("command", ["info", "clean"])
def test_doit_s_own_commands_know_no_such_task(shared: Path, command: str) -> None:
    said = call(shared, "doit", command, "nope")
    assert (said.status, said.out, len(said.err.splitlines())) == (3, "", 1)
    assert re.match("ERROR: .*'nope'", said.err)


@pytest.mark.parametrize("word", ["dev", "list", "plan"])
def test_a_workspace_that_is_not_there(shared: Path, word: str) -> None:
    expected = refused("/no/where: there is no such folder", "give the folder of a Cargo workspace after -w")
    assert call(shared, "doit-cargo", "-w", "/no/where", word) == expected


@pytest.mark.parametrize("word", ["plan", "why"])
def test_a_command_that_needs_a_target_says_so(shared: Path, word: str) -> None:
    assert call(shared, "doit-cargo", word) == refused(
        f"{word} needs a target", f"for example: doit-cargo {word} build"
    )


def test_an_unknown_profile_names_the_nearest(shared: Path) -> None:
    said = call(shared, "doit-cargo", "profiles", "lto-thim")
    assert said == refused(
        "unknown profile 'lto-thim'",
        "did you mean 'lto_thin'? known: bench, check, cuda, dev, dev_fast, low_memory, lto_fat, lto_thin, metal, "
        "optimised, profiled, release and 2 more",
    )


# --- the user's own profiles -----------------------------------------------------------------------------------------

PROFILE_FILES = {
    "broken": (
        {"dev": 'doc = "x"\nextends = "release\n'},
        "profiles/dev.toml:2: is not TOML: Illegal character '\\n'\n  fix: correct that line",
    ),
    "cyclic": (
        {"dev": 'extends = "mine"\n', "mine": 'doc = "x"\nextends = ["dev"]\n'},
        "profiles/mine.toml:2: profiles extend each other in a circle: dev -> mine (profiles/dev.toml:1) -> dev "
        "(profiles/mine.toml:2)\n  fix: remove one of these extends",
    ),
    "mistyped": (
        {"dev": '[cargo]\njobs = "four"\nprofle = "dev"\n[env]\nX = 3\n'},
        "profiles/dev.toml:2: cargo.jobs must be a whole number above 0, not a string\n  fix: write it like 4\n"
        "profiles/dev.toml:3: unknown key of [cargo] 'profle'\n"
        "  fix: did you mean 'profile'? known: config, jobs, locked, profile, target\n"
        "profiles/dev.toml:5: env.X must be a string, { unset = true } or { detect = NAME }, not a number (3)\n"
        '  fix: write it like "3"',
    ),
    "unknown base": (
        {"dev": '\nextends = "relase"\n'},
        "profiles/dev.toml:2: unknown profile 'relase'\n  fix: did you mean 'release'? known: bench, check, cuda, "
        "dev, dev_fast, low_memory, lto_fat, lto_thin, metal, optimised, profiled, release and 2 more",
    ),
    "unknown cargo profile": (
        {"dev": '[cargo]\nprofile = "relase"\n'},
        "profiles/dev.toml:2: unknown cargo profile 'relase'\n"
        "  fix: did you mean 'release'? known: bench, dev, release, test",
    ),
}


@pytest.mark.parametrize(("files", "message"), PROFILE_FILES.values(), ids=PROFILE_FILES)
def test_a_wrong_profile_is_told_with_its_line(workspace: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        write(workspace / f"profiles/{name}.toml", text)
    for words in (("doit-cargo", "dev"), ("doit-cargo", "plan", "dev"), ("doit", "dev")):
        said = call(workspace, *words)
        assert (said.status, one_message(said).replace("\ndoit-cargo: ", "\n")) == (3, message)
    assert not (workspace / "target").exists()
    # The rest still works.
    assert call(workspace, "doit-cargo", "list").status == 0
    assert call(workspace, "doit-cargo", "version").status == 0


EXTREME = {
    "X = " + "[" * 5000 + "]" * 5000: "2: is not TOML: it is nested too deeply\n  fix: correct that line\n",
    "X = " + "{a=" * 3000 + "1" + "}" * 3000: "2: is not TOML: it is nested too deeply\n  fix: correct that line\n",
    "X = " + "9" * 5000: "2: is not TOML: a number is too long\n  fix: correct that line\n",
    '"" = "x"': "2: env names '', which no environment variable can be called\n  fix: correct the name\n",
    '"A=B" = "x"': "2: env names 'A=B', which no environment variable can be called\n  fix: correct the name\n",
    'X = "a\\u0000b"': "2: env.X holds a NUL character, which no program takes\n  fix: remove it\n",
}


def test_an_extreme_file_is_told_with_its_line(workspace: Path) -> None:
    for text, message in EXTREME.items():
        write(workspace / "profiles/dev.toml", f"[env]\n{text}\n")
        said = call(workspace, "doit-cargo", "plan", "dev")
        assert (said.status, said.err) == (3, f"doit-cargo: profiles/dev.toml:{message}")
    for number in range(70):
        write(workspace / f"profiles/p{number}.toml", f'extends = "p{number + 1}"\n')
    write(workspace / "profiles/p70.toml", 'extends = "release"\n')
    write(workspace / "profiles/dev.toml", 'extends = "p0"\n')
    said = call(workspace, "doit-cargo", "plan", "dev")
    assert (said.status, "through more than 64 others\n  fix: " in said.err) == (3, True), said


def test_a_profile_that_appears_after_a_success_makes_its_targets_stale(workspace: Path) -> None:
    assert call(workspace, "doit-cargo", "dev").status == 0
    write(workspace / "profiles/dev.toml", 'features = ["fast"]\n')
    said = call(workspace, "doit-cargo", "dev")
    assert (said.status, said.out.startswith(".. dev  ")) == (0, True)
    assert "# cargo build --features fast\n" in (workspace / ".logs/dev.log").read_text()


# --- rules of a pack -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mistralrs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scale model, for its manifests. Nothing is built in it."""
    root = tmp_path_factory.mktemp("model") / "mistralrs"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("target", ".doit-cargo", ".logs"))
    return root


def rule(feature: str) -> str:
    """Return where the pack states the rule of a feature."""
    pack = Path(__file__).parents[1] / "profiles/mistralrs/pack.toml"
    lines = pack.read_text().splitlines()
    return f"(the rule: profiles/mistralrs/pack.toml:{lines.index(f'[rules.{feature}]') + 1})"


def test_a_feature_that_requires_another_names_it(mistralrs: Path) -> None:
    said = call(mistralrs, "doit-cargo", "build", "FEATURES=flash-attn")
    assert (said.status, one_message(said)) == (
        3,
        "FEATURES: flash-attn requires the feature cuda\n"
        f"  fix: add cuda to FEATURES, or take flash-attn out {rule('flash-attn')}",
    )


@linux
def test_features_that_exclude_each_other_are_told_with_all_that_is_wrong(mistralrs: Path) -> None:
    said = call(mistralrs, "doit-cargo", "build", "FEATURES=cuda,metal")
    assert (said.status, one_message(said)) == (
        3,
        "FEATURES: cuda and metal exclude each other\n"
        f"  fix: keep one of them {rule('cuda')}\n"
        "FEATURES: the feature metal is only for macos; this is linux\n"
        f"  fix: take metal out {rule('metal')}",
    )


def test_a_feature_is_misspelt_in_a_workspace_with_rules(mistralrs: Path) -> None:
    said = call(mistralrs, "doit-cargo", "build", "FEATURES=flash-atn")
    assert (said.status, one_message(said).splitlines()[0]) == (
        3,
        "mistralrs-server/Cargo.toml: the package mistralrs-server has no feature 'flash-atn', asked for by FEATURES",
    )
    assert "did you mean 'flash-attn'?" in said.err


# --- the workspace and its tools -------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["dev", "list", "help", ""])
def test_no_workspace_here(tmp_path: Path, word: str) -> None:
    said = call(tmp_path, "doit-cargo", *([word] if word else []))
    assert said == refused(
        f"{tmp_path}: no Cargo.toml here or above", "cd into a Cargo workspace, or name its folder: doit-cargo -w DIR"
    )
    assert list(tmp_path.iterdir()) == []


def test_version_and_help_of_the_program_need_no_workspace(tmp_path: Path) -> None:
    assert call(tmp_path, "doit-cargo", "--version").status == 0
    assert call(tmp_path, "doit-cargo", "--help").status == 0


@pytest.mark.parametrize("word", ["dev", "list", "info"])
def test_a_broken_manifest_is_told_with_cargo_s_own_words(workspace: Path, word: str) -> None:
    with open(workspace / "Cargo.toml", "a", encoding="utf-8") as manifest:
        manifest.write("broken [\n")
    said = call(workspace, "doit-cargo", word)
    lines = said.err.splitlines()
    assert (said.status, said.out, lines[0], lines[-1]) == (
        3,
        "",
        f"doit-cargo: {workspace}/Cargo.toml:4: cargo cannot load this workspace; it says:",
        "  fix: correct that; `cargo metadata --no-deps` checks it",
    )
    assert "    4 | broken [" in lines


def test_a_manifest_that_breaks_after_a_success_is_told_too(workspace: Path) -> None:
    assert call(workspace, "doit-cargo", "dev").status == 0
    write(workspace / "low/Cargo.toml", '[package]\nname = "low"\nversion = 1\n')
    said = call(workspace, "doit-cargo", "dev")
    assert (said.status, said.out) == (3, "")
    assert said.err.startswith(f"doit-cargo: {workspace}/low/Cargo.toml")


@pytest.mark.skipif(shutil.which("rustup") is None, reason="rustup chooses toolchains")
def test_a_pinned_toolchain_that_is_not_installed_stops_builds_and_nothing_else(workspace: Path) -> None:
    write(workspace / "rust-toolchain.toml", '[toolchain]\nchannel = "1.2.3"\n')
    name = "the pinned toolchain 1.2.3 is not installed"
    said = call(workspace, "doit-cargo", "dev", RUSTUP_AUTO_INSTALL="0")
    assert (said.status, f"{workspace}/rust-toolchain.toml:2: {name}\n" in said.err) == (2, True), said
    doctor = call(workspace, "doit-cargo", "doctor", "dev", RUSTUP_AUTO_INSTALL="0")
    assert (doctor.status, name in doctor.out) == (1, True), doctor
    for words in (("version",), ("info",), ("help", "dev"), ("list",), ("plan", "dev"), ("why", "dev")):
        found = call(workspace, "doit-cargo", *words, RUSTUP_AUTO_INSTALL="0")
        assert (found.status, found.err) == (0, ""), (words, found)
    assert f"not found: {name}" in call(workspace, "doit-cargo", "version", RUSTUP_AUTO_INSTALL="0").out
    fmt = call(workspace, "doit-cargo", "fmt_check", RUSTUP_AUTO_INSTALL="0").err
    assert "and the toolchain 1.2.3 (rust-toolchain.toml:2) is not installed\n" in fmt
    assert "  fix: rustup toolchain install 1.2.3 --component rustfmt\n" in fmt


@pytest.mark.skipif(shutil.which("rustup") is None, reason="rustup chooses toolchains")
@pytest.mark.parametrize("chosen", ["half", "a folder", ""])
def test_a_toolchain_that_rustup_cannot_run_stops_no_look(workspace: Path, tmp_path: Path, chosen: str) -> None:
    there = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup") / "toolchains"
    home = tmp_path / "rustup"
    (home / "toolchains/half/lib").mkdir(parents=True)
    for toolchain in there.glob("stable-*"):
        (home / "toolchains" / toolchain.name).symlink_to(toolchain)
    variables = {"RUSTUP_HOME": str(home), "RUSTUP_TOOLCHAIN": str(tmp_path) if chosen == "a folder" else chosen}
    for words in (("info",), ("help", "dev"), ("list",), ("plan", "dev")):
        found = call(workspace, "doit-cargo", *words, **variables)
        assert (found.status, found.err) == (0, ""), (words, found)
    doctor = call(workspace, "doit-cargo", "doctor", "dev", **variables)
    assert (doctor.status, "toolchain" in doctor.out) == (1, True), doctor


def folder_with(tmp_path: Path, *names: str) -> str:
    """Return a folder for PATH that holds nothing but these programs of ours."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(shutil.which(name) or name)
    return str(folder)


def test_no_cargo_on_path(workspace: Path, tmp_path: Path) -> None:
    said = call(workspace, "doit-cargo", "dev", PATH=folder_with(tmp_path), CARGO_HOME=str(tmp_path / "none"))
    assert said.status == 2
    assert one_message(said) == (
        "cargo is not on PATH\n  fix: install Rust from https://rustup.rs, then open a new terminal"
    )


def test_no_compiler_on_path(workspace: Path, tmp_path: Path) -> None:
    said = call(workspace, "doit-cargo", "dev", PATH=folder_with(tmp_path, "cargo", "rustc"))
    lines = said.err.splitlines()
    assert (said.status, said.out) == (2, "")
    assert (lines[0], lines[1].startswith("  fix: "), len(lines)) == (
        "!! dev  rustc needs the linker cc, which is not on PATH",
        True,
        2,
    )
    assert not (workspace / "target").exists()


# --- places that cannot be written -----------------------------------------------------------------------------------

Mount = Callable[..., None]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Return a function that mounts a file system until the test ends; skipped where that is not allowed."""
    mounted: list[Path] = []

    def attach(place: Path, *options: str) -> None:
        done = subprocess.run(["mount", *options, str(place)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"mount is not allowed here: {done.stderr.decode('utf-8', 'replace').strip()}")
        mounted.append(place)

    yield attach
    for place in reversed(mounted):
        subprocess.run(["umount", str(place)], check=True)


def small_disk(mount: Mount, place: Path) -> Path:
    """Make a folder that is a file system of its own, of 64 kB."""
    place.mkdir(parents=True, exist_ok=True)
    mount(place, "-t", "tmpfs", "-o", "size=64k", "none")
    return place


def fill(place: Path) -> Path:
    """Write to a file system until no space is left."""
    with contextlib.suppress(OSError), open(place / "filler", "wb", buffering=0) as stream:
        while stream.write(bytes(4096)):
            pass
    assert os.statvfs(place).f_bavail == 0
    return place


def full(mount: Mount, place: Path) -> Path:
    """Make a folder of a file system that has no space left."""
    return fill(small_disk(mount, place))


def read_only(mount: Mount, place: Path) -> None:
    mount(place, "--bind", str(place))
    done = subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this kernel does not remount a bind mount read-only")


def sound(said: Said) -> Said:
    """Return what was said, which holds no traceback."""
    assert "Traceback" not in said.out + said.err
    return said


def test_a_read_only_workspace_can_be_asked_but_not_built(workspace: Path, mount: Mount) -> None:
    read_only(mount, workspace)
    assert [
        sound(call(workspace, "doit-cargo", *words)).status for words in (["list"], ["why", "dev"], ["plan", "dev"])
    ] == [
        0,
        0,
        0,
    ]
    assert sound(call(workspace, "doit-cargo", "dev")) == Said(
        2,
        "",
        f"!! dev  cannot write to {workspace}/.doit-cargo/lock: Read-only file system\n"
        "  fix: free some space or make it writable, or set DOIT_CARGO_STATE to a folder that is\n",
    )
    assert sound(call(workspace, "doit-cargo", "makefile")).status == 2


def test_a_read_only_workspace_is_built_with_state_and_target_elsewhere(
    workspace: Path, tmp_path: Path, mount: Mount
) -> None:
    assert call(workspace, "cargo", "generate-lockfile", "--offline").status == 0
    read_only(mount, workspace)
    elsewhere = {"DOIT_CARGO_STATE": str(tmp_path / "state"), "CARGO_TARGET_DIR": str(tmp_path / "target")}
    assert sound(call(workspace, "doit-cargo", "dev", **elsewhere)).status == 0
    assert sound(call(workspace, "doit-cargo", "dev", **elsewhere)).out.startswith("-- dev  up to date: ")
    assert {path.name for path in tmp_path.glob("state/*/logs/*.log")} == {"build.log", "dev.log"}


def test_what_is_fresh_is_skipped_in_a_read_only_workspace(workspace: Path, mount: Mount) -> None:
    assert call(workspace, "doit-cargo", "dev").status == 0
    read_only(mount, workspace)
    assert sound(call(workspace, "doit-cargo", "dev")).out.startswith("-- dev  up to date: ")
    assert sound(call(workspace, "doit", "dev")).out.startswith("-- dev  up to date: ")


def test_a_full_disk_for_the_state_costs_only_the_skip(workspace: Path, tmp_path: Path, mount: Mount) -> None:
    state = full(mount, tmp_path / "state")
    for _ in range(2):
        said = sound(call(workspace, "doit-cargo", "dev", DOIT_CARGO_STATE=str(state)))
        assert said.status == 0
        assert (
            ".. dev  built, but the receipt could not be kept (No space left on device): the next call builds again\n"
            in said.out
        )
    assert (workspace / "target/debug/app").exists()


def test_a_full_disk_for_the_log_is_told(workspace: Path, mount: Mount) -> None:
    full(mount, workspace / ".logs")
    said = sound(call(workspace, "doit-cargo", "dev"))
    assert said.status == 2
    assert re.fullmatch(
        rf"!! dev  cannot write (to |the log ){re.escape(str(workspace))}/\.logs/dev\.log: No space left on device\n"
        r"  fix: free some space.*\n",
        said.err,
    )
    assert not (workspace / "target/debug").exists()


@pytest.mark.slow
def test_a_full_disk_for_the_build_fails_and_leaves_the_last_success(workspace: Path, mount: Mount) -> None:
    target = workspace / "target"
    full(mount, target)
    said = sound(call(workspace, "doit-cargo", "dev"))
    assert (said.status, said.out) == (1, ".. dev  no successful run is on record\n")
    assert "No space left on device" in said.err
    assert "\n!! dev  failed: cargo ended with status 101; log: .logs/dev.log\n" in said.err
    assert "!! dev    fix: df -h . " in said.err
    subprocess.run(["rm", str(target / "filler")], check=True)
    subprocess.run(["mount", "-o", "remount,size=64m", str(target)], check=True)
    assert call(workspace, "doit-cargo", "dev").status == 0
    assert call(workspace, "doit-cargo", "dev").out.startswith("-- dev  up to date: ")


def test_a_full_disk_never_costs_the_makefile(workspace: Path, mount: Mount) -> None:
    place = small_disk(mount, workspace / "here")
    old = "# Written by doit-cargo\n"
    write(place / "Makefile", old)
    fill(place)
    assert sound(call(workspace, "doit-cargo", "makefile", "--output", "here/Makefile")) == refused(
        f"{place}/Makefile: cannot write: No space left on device",
        "free some space, make the folder writable, or give another file with --output",
        status=2,
    )
    assert (place / "Makefile").read_text() == old
    assert sorted(path.name for path in place.iterdir()) == ["Makefile", "filler"]


@pytest.mark.parametrize(
    "words",
    [
        ("report", "--output", "no/x.html"),
        ("guide", "--output", "no/x.html"),
        ("graph", "dev", "--output", "no/x.html"),
        ("features", "--output", "no/x.html"),
    ],
    ids=lambda words: words[0],
)
def test_a_folder_that_is_misspelt_is_not_made(workspace: Path, words: tuple[str, ...]) -> None:
    said = call(workspace, "doit-cargo", *words)
    fix = f"mkdir -p {workspace}/no, or another file"
    assert said == refused("no/x.html: there is no folder no", fix)
    assert not (workspace / "no").exists()


@pytest.mark.parametrize("name", [".doit-cargo", ".logs", "target"])
def test_a_file_where_a_folder_should_be_is_told_and_kept(workspace: Path, name: str) -> None:
    write(workspace / name, "mine\n")
    said = sound(call(workspace, "doit-cargo", "dev"))
    assert said.status == (1 if name == "target" else 2)
    assert f"{workspace}/{name}" in said.err
    assert "!! dev  " in said.err.splitlines()[-1] + said.err.splitlines()[0]
    assert (workspace / name).read_text() == "mine\n"
    (workspace / name).unlink()
    assert call(workspace, "doit-cargo", "dev").status == 0


def test_broken_state_files_are_as_good_as_none(workspace: Path) -> None:
    assert call(workspace, "doit-cargo", "dev").status == 0
    state = [path for path in (workspace / ".doit-cargo").rglob("*") if path.is_file() and path.name[0] != "."]
    assert len(state) > 3
    whole = {path: path.read_bytes() for path in state}
    damages: list[Callable[[bytes], bytes]] = [
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-9] + bytes(byte ^ 1 for byte in content[-9:]),
    ]
    for damage in damages:
        for words in (("doit-cargo", "dev"), ("doit", "dev"), ("doit-cargo", "why", "dev")):
            for path, content in whole.items():
                path.write_bytes(damage(content))
            said = sound(call(workspace, *words))
            assert (said.status, "up to date" in said.out) == (0, False)


def test_a_reader_that_goes_away_is_no_error(shared: Path) -> None:
    script = os.path.join(SCRIPTS, "doit-cargo")
    process = subprocess.Popen(
        [sys.executable, script, "list"], cwd=shared, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait() in (0, 141, -13), said) == (True, b"")
