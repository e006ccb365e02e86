"""What is up to date starts no cargo, says so, and repeats the warnings that cargo would have repeated."""

from __future__ import annotations

import pytest
from building import BASELINE, FRESH, PACKAGES, Site
from conftest import needs_cargo

pytestmark = [pytest.mark.slow, needs_cargo]

WARNING = "warning: function `never_called` is never used\n"


@pytest.mark.parametrize(
    "words",
    [
        ("dev",),
        ("build",),
        ("dev", "FEATURES=extra", "PACKAGE=app"),
        ("dev", "PACKAGE=all"),
        ("dev", "PACKAGE=kit,mac"),
        ("build_all",),
        ("check",),
    ],
    ids=" ".join,
)
def test_a_second_run_starts_no_cargo(site: Site, words: tuple[str, ...]) -> None:
    first, second = site.tool(*words), site.tool(*words)

    assert (first.status, second.summary) == (0, FRESH), second.text
    assert f"-- {words[0]}  up to date: " in second.out


def test_the_very_first_run_leaves_nothing_to_do_for_the_second(site: Site) -> None:
    site.forget_builds()

    assert [site.tool("dev").summary, site.tool("dev").summary] == [(0, True, PACKAGES), FRESH]


def test_the_first_run_leaves_the_times_of_sources_alone(site: Site) -> None:
    site.forget_builds()
    before = site.times()
    site.tool("dev")

    assert site.times() == before


def test_a_run_writes_nothing_outside_its_own_folders(site: Site) -> None:
    before = site.sources()
    site.forget_builds()
    site.tool("dev")
    site.tool("list")

    assert site.sources() == before


def test_a_skip_repeats_the_warnings_that_cargo_repeats(site: Site) -> None:
    forced, skip = site.tool("dev", "FORCE=1"), site.tool("dev")

    assert (forced.builds, skip.cargo) == (1, ())
    assert (forced.err.count(WARNING), skip.err.count(WARNING)) == (1, 1)


def test_a_skip_repeats_cargo_s_own_warnings(site: Site) -> None:
    site.edit("crates/kit/Cargo.toml", "[package]", "[profile.dev]\nopt-level = 1\n[package]")
    first, skip = site.tool("dev"), site.tool("dev")
    ignored = "warning: profiles for the non root package will be ignored"

    assert (first.err.count(ignored), skip.summary, skip.err.count(ignored)) == (1, FRESH, 1)


def test_warnings_that_are_mended_are_repeated_no_more(site: Site) -> None:
    site.edit("crates/kit/src/lib.rs", "fn never_called() {}", "")
    site.tool("dev")
    skip = site.tool("dev")

    assert (skip.summary, skip.err) == (FRESH, "")


def test_force_runs_what_is_up_to_date(site: Site) -> None:
    run = site.tool("dev", "FORCE=1")

    assert (run.status, run.builds, run.compiled) == (0, 1, ())
    assert site.tool("dev").summary == FRESH


@pytest.mark.parametrize("off", ["FORCE=0", "FORCE=", "FORCE=no"])
def test_force_switched_off_is_no_force(site: Site, off: str) -> None:
    assert site.tool("dev", off).summary == FRESH


@pytest.mark.parametrize("word", ["JOBS=1", "JOBS=2", "VERBOSE=1"])
def test_a_variable_that_changes_no_result_is_no_reason_to_run(site: Site, word: str) -> None:
    assert site.tool("dev", word).summary == FRESH


@pytest.mark.parametrize("folder", ["crates/kit", "crates/kit/src", "crates/app"])
def test_the_folder_of_a_member_is_as_good_as_the_root(site: Site, folder: str) -> None:
    assert site.tool("dev", cwd=site.path(folder)).summary == FRESH


def test_a_workspace_can_be_named_from_anywhere(site: Site) -> None:
    assert site.tool("-w", str(site.ws), "dev", cwd=site.top).summary == FRESH
    assert site.tool("dev", "-w", str(site.ws), cwd=site.top).summary == FRESH


def test_make_s_form_of_a_name_means_the_same_target(site: Site) -> None:
    site.tool("build_all")

    assert site.tool("build-all").summary == FRESH


def test_two_targets_are_skipped_in_one_call(site: Site) -> None:
    site.tool("dev", "build")
    run = site.tool("dev", "build")

    assert (run.summary, run.out.count("up to date")) == (FRESH, 2)


def test_only_the_stale_one_of_two_targets_runs(site: Site) -> None:
    site.tool("dev", "check")
    site.edit("crates/kit/src/part.rs", "20", "21")
    site.tool("check")
    run = site.tool("check", "dev")

    assert (run.builds, [call for call in run.cargo if call[0] == "check"]) == (1, [])


def test_a_variable_that_only_another_target_takes_makes_no_other_result(site: Site) -> None:
    site.tool("dev")
    run = site.tool("dev", "check_duplicates", "DUP_MAX=9")

    assert (run.status, run.builds, run.out.count("dev  up to date")) == (0, 0, 1)


def test_other_features_are_another_result(site: Site) -> None:
    words = ("dev", "FEATURES=extra", "PACKAGE=app")
    first = site.tool(*words)

    assert (first.status, first.builds, site.printed()) == (0, 1, BASELINE | {"feature": "true"})
    assert site.tool("dev").builds == 1, "target/debug/app is another variant now"
    assert site.printed() == BASELINE


def test_the_state_can_be_kept_elsewhere(site: Site) -> None:
    site.variables["DOIT_CARGO_STATE"] = str(site.path("/state"))
    first, second = site.tool("dev"), site.tool("dev")

    assert (first.status, second.summary) == (0, FRESH)
