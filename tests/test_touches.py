"""Files that only look new: touched, checked out again. They cost no build, now or with the next edit."""

from __future__ import annotations

import os

import pytest
from building import BASELINE, FRESH, Site
from conftest import needs_cargo

pytestmark = [pytest.mark.slow, needs_cargo]
INCREMENTAL = True  # what rustc keeps lies in the target directory too

PART = "crates/kit/src/part.rs"
MAIN = "crates/app/src/main.rs"


def touch_all_sources(site: Site) -> None:
    for name in site.sources():
        if name.endswith(".rs") and not os.path.islink(name):
            os.utime(name)


def test_after_a_touch_of_everything_an_edit_compiles_only_what_it_concerns(site: Site) -> None:
    touch_all_sources(site)
    assert site.tool("dev").summary == FRESH

    touch_all_sources(site)
    site.path(MAIN).write_text(site.path(MAIN).read_text() + "// an edit\n")
    run = site.tool("dev")
    assert (run.status, run.compiled, site.printed()) == (0, ("app",), BASELINE), run.text
    assert "only touched: the content is what cargo has built" in run.out


def test_an_edit_that_was_built_and_taken_back_is_built_again(site: Site) -> None:
    site.edit(PART, "20", "21")
    assert site.tool("dev").status == 0
    assert site.printed() == BASELINE | {"part": "21"}

    site.edit(PART, "21", "20")
    run = site.tool("dev")
    assert (run.status, run.compiled, site.printed()) == (0, ("app", "kit"), BASELINE), run.text


def test_a_branch_and_back_with_a_build_of_another_variant_between_leaves_the_truth(site: Site) -> None:
    site.edit(PART, "20", "21")
    assert site.tool("dev", "PROFILE=release").status == 0
    site.edit(PART, "21", "20")
    touch_all_sources(site)
    assert site.tool("dev").status == 0
    assert site.printed() == BASELINE
    assert site.tool("dev", "PROFILE=release").status == 0
    assert site.printed("target/release/app")["part"] == "20"


def test_a_file_that_came_and_went_in_a_watched_folder_runs_no_build_script_again(site: Site) -> None:
    for name in ("watched/tmp", "watched/deep/tmp"):
        site.add(f"crates/watching/{name}", "w3")
        os.unlink(site.path(f"crates/watching/{name}"))
    assert site.tool("dev").summary == FRESH
    site.edit(MAIN, "70", "70 + 0")
    run = site.tool("dev")
    assert (run.status, run.compiled, site.printed()) == (0, ("app",), BASELINE), run.text
    assert "2 files only touched" in run.out


def test_a_file_that_was_gone_again_after_another_cargo_has_seen_it_is_not_built_in(site: Site) -> None:
    for words, binary, arguments in (
        ((), "target/debug/app", ()),
        (("PROFILE=release",), "target/release/app", ("--release",)),
    ):
        site.add("crates/watching/watched/tmp", "w3")
        site.cargo("build", *arguments)
        assert site.printed(binary)["watched"] == "w1+w2+w3"
        os.unlink(site.path("crates/watching/watched/tmp"))
        site.tool("dev")
        run = site.tool("dev", *words)
        assert (run.status, site.printed(binary)["watched"]) == (0, "w1+w2"), run.text
