"""All features, no default features, and the sets of a pack that check, lint and test run through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import call
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
