"""All features, no default features, and the sets of a pack that check, lint and test run through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import forked_call as call
from conftest import Spec, make_workspace, needs_cargo, write

pytestmark = needs_cargo

SPEC: Spec = {
    "app": {"features": {"default": ["std"], "std": [], "gpu": [], "wide": []}, "bins": {"app": [], "tune": ["wide"]}},
    "low": {"features": {"gpu": []}},
}
PACK = """\
[feature-sets.bare]
default-features = false

[feature-sets.every]
all-features = true

[feature-sets.gpu]
features = ["gpu"]
package = "app"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_workspace(tmp_path_factory.mktemp("sets"), SPEC)
    write(root / "profiles/pack.toml", PACK)
    return root


def run(site: Path, *words: str) -> list[list[str]]:
    found = json.loads(call(site, "doit-cargo", "plan", *words, "--json").out)
    return [step["argv"] for one in (found if isinstance(found, list) else [found]) for step in one["steps"]]


def test_all_features_and_no_default_features_can_be_asked_for(site: Path) -> None:
    assert run(site, "check", "ALL_FEATURES=1") == [["cargo", "check", "--workspace", "--all-features"]]
    assert run(site, "check", "NO_DEFAULT_FEATURES=1") == [["cargo", "check", "--workspace", "--no-default-features"]]
    found = json.loads(call(site, "doit-cargo", "plan", "build_app", "ALL_FEATURES=1", "--json").out)
    assert [path.rpartition("/")[2] for path in found["outputs"]] == ["app", "tune"]


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ("check_sets", ["cargo", "check"]),
        ("lint_sets", ["cargo", "clippy"]),
        ("test_sets", ["cargo", "test"]),
    ],
)
def test_each_set_is_run_through(site: Path, target: str, call: list[str]) -> None:
    bare, every, gpu = (argv[: argv.index("--")] if "--" in argv else argv for argv in run(site, target))
    flags = ["--all-targets"] if target == "lint_sets" else []
    assert bare == [*call, "--workspace", "--no-default-features", *flags]
    assert every == [*call, "--workspace", "--all-features", *flags]
    assert gpu == [*call, "--package", "app", "--features", "gpu", *flags]


def test_a_set_is_tested_and_skipped_by_itself(site: Path) -> None:
    write(site / "app/src/lib.rs", '#[test]\nfn set() { assert!(cfg!(feature = "gpu"), "without gpu"); }\n')
    assert call(site, "doit-cargo", "test_set_gpu", "RUNNER=cargo").status == 0
    assert call(site, "doit-cargo", "test_set_gpu", "RUNNER=cargo").out.startswith("-- test_set_gpu  passed before")
    said = call(site, "doit-cargo", "test_sets", "RUNNER=cargo")
    assert (said.status, "without gpu" in said.out + said.err) == (1, True), said


def test_a_feature_of_a_package_that_is_not_selected_names_it(site: Path) -> None:
    said = call(site, "doit-cargo", "check", "PACKAGE=low", "FEATURES=wide")
    assert (said.status, "no feature 'wide'" in said.err) == (3, True), said


# --- what is wrong with features, and where --------------------------------------------------------------------------

WRONG: Spec = {
    "app": {
        "features": {"default": ["base", "full"], "base": [], "full": ["words"], "words": [], "gpu": []},
        "bins": {"app": []},
    },
    "low": {"features": {"gpu": []}},
}
WRONG_FILES = {
    "pack.toml": """\
[feature-sets.bass]
features = ["bse"]
package = "app"

[feature-sets.nowhere]
package = "ap"

[feature-sets.slim]
default-features = false
""",
    "keyed.toml": 'doc = "Slim."\ndefault_features = false\n',
    "torn.toml": 'doc = "Torn.\n',
    "only_key.toml": 'featuers = ["gpu"]\n',
    "feature.toml": 'features = ["gpuu"]\n',
    "somebody_elses.toml": "[dev]\nx = 1\n",
}
OF_SETS = (
    "app/Cargo.toml: the package app has no feature 'bse', asked for by profiles/pack.toml:1",
    "profiles/pack.toml:5: unknown package or role 'ap'",
)


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_workspace(tmp_path_factory.mktemp("wrong"), WRONG)
    for name, text in WRONG_FILES.items():
        write(root / "profiles" / name, text)
    return root


def problems(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.startswith("  fix: ")]
    return [line.removeprefix("!! validate_features  ").removeprefix("doit-cargo: ") for line in lines]


def test_all_that_is_wrong_with_profiles_and_sets_is_found(wrong: Path) -> None:
    said = call(wrong, "doit-cargo", "validate_features")
    assert (said.status, problems(said.err)) == (
        1,
        [
            "feature (gpuu): Cargo.toml: none of the selected packages (app, low) has the feature 'gpuu', asked for by "
            "profiles/feature.toml:1",
            "profiles/keyed.toml:2: unknown key 'default_features'",
            "profiles/only_key.toml:1: unknown key 'featuers'",
            "profiles/torn.toml:1: is not TOML: Illegal character '\\n'",
            *OF_SETS,
        ],
    ), said
    for meant in ("gpu", "default-features", "features", "base", "app"):
        assert f"  fix: did you mean {meant!r}?" in said.err
    said = call(wrong, "doit-cargo", "matrix")
    assert (said.status, said.out, problems(said.err)) == (3, "", list(OF_SETS))


@pytest.mark.parametrize(
    ("words", "features"),
    [
        (("dev",), "default"),
        (("dev", "NO_DEFAULT_FEATURES=1"), "none"),
        (("dev", "NO_DEFAULT_FEATURES=1", "FEATURES=gpu"), "gpu, without default"),
        (("dev", "ALL_FEATURES=1"), "all"),
        (("check_set_slim",), "none"),
    ],
)
def test_a_plan_tells_the_features_that_cargo_gets(wrong: Path, words: tuple[str, ...], features: str) -> None:
    assert f"\n  features  {features}\n" in call(wrong, "doit-cargo", "plan", *words).out


@pytest.mark.parametrize(
    ("features", "what", "fix"),
    [
        ("-words", "the feature 'words' cannot be removed: it is on through default in app", " FEATURES=base"),
        ("gpu,-base", "the feature 'base' cannot be removed: it is on through default in app", " FEATURES=full,gpu"),
        ("-default", "the feature 'default' cannot be removed: it is on in app", ""),
    ],
)
def test_a_default_feature_is_removed_with_all_of_them(wrong: Path, features: str, what: str, fix: str) -> None:
    said = call(wrong, "doit-cargo", "plan", "dev", f"FEATURES={features}")
    assert (said.status, said.err) == (3, f"doit-cargo: FEATURES: {what}\n  fix: NO_DEFAULT_FEATURES=1{fix}\n")
    if fix:
        assert call(wrong, "doit-cargo", "plan", "dev", "NO_DEFAULT_FEATURES=1", fix.strip()).status == 0


def test_a_profile_that_is_none_is_told_with_its_file(wrong: Path) -> None:
    said = call(wrong, "doit-cargo", "dev", "PROFILE=only_key").err
    assert said.startswith(
        "doit-cargo: profiles/only_key.toml:1: unknown key 'featuers'\n  fix: did you mean 'features'?"
    )
    said = call(wrong, "doit-cargo", "dev", "PROFILE=somebody_elses").err
    what = "profiles/somebody_elses.toml has no key of a profile, only dev"
    assert said.startswith(f"doit-cargo: PROFILE: unknown profile 'somebody_elses': {what}\n")
