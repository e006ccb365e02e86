"""A target directory whose times tell nothing: copied, restored from a cache, touched, moved, or built by plain cargo.

Whatever cargo thinks of it, a run ends with what the sources make as they are; what is still right is not built again.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from building import BASELINE, FRESH, PACKAGES, Site
from conftest import needs_cargo

pytestmark = [pytest.mark.slow, needs_cargo]
INCREMENTAL = True  # what rustc keeps lies in the target directory too

Restore = Callable[[Site, Path], object]
LEDGER = ".doit-cargo.ledger"

EDITS = {
    "crates/kit/src/part.rs": ("20", "21", "part", "21"),
    "/parent/shared/note.txt": ("a note", "b note", "note", "b note"),
    "crates/watching/watched/one.txt": ("w1", "w9", "watched", "w2+w9"),
    "crates/trusting/data/one.txt": ("d1", "d9", "data", "d2+d9"),
    "/parent/outside/src/lib.rs": ("else { 60 }", "else { 61 }", "outside", "61"),
    "crates/app/src/main.rs": ('"app={}", 70', '"app={}", 71', "app", "71"),
    "crates/mac/src/lib.rs": ("macro 1", "macro 2", "macro", "macro 2, text, unset"),
}
EDITED = BASELINE | {key: value for _, _, key, value in EDITS.values()}


def edit_everything(site: Site) -> None:
    for name, (old, new, _, _) in EDITS.items():
        site.edit(name, old, new)
    time.sleep(0.1)


def copy(source: Path, to: Path, *options: str) -> None:
    subprocess.run(["cp", *options, f"{source}/.", to], check=True)


def save(site: Site) -> Path:
    saved = site.path("/saved-target")
    shutil.rmtree(saved, ignore_errors=True)
    saved.mkdir()
    copy(site.path("target"), saved, "-a")
    return saved


def emptied(site: Site) -> Path:
    target = site.path("target")
    shutil.rmtree(target)
    target.mkdir()
    return target


def unpacked(site: Site, saved: Path, *options: str) -> None:
    archive = site.path("/target.tar")
    subprocess.run(["tar", "-C", saved, "-cf", archive, "."], check=True)
    subprocess.run(["tar", "-C", emptied(site), "-xf", archive, *options], check=True)


def touch(folder: Path, when: str) -> None:
    subprocess.run(["find", folder, "-type", "f", "-exec", "touch", "-d", when, "{}", "+"], check=True)


def without_our_state(site: Site, saved: Path) -> None:
    copy(saved, emptied(site), "-r")
    shutil.rmtree(site.path(".doit-cargo"))


def without_the_ledger(site: Site, saved: Path) -> None:
    copy(saved, emptied(site), "-r")
    site.path(f"target/{LEDGER}").unlink()


def with_nothing_of_ours(site: Site, saved: Path) -> None:
    without_the_ledger(site, saved)
    shutil.rmtree(site.path(".doit-cargo"))


def under_a_younger_ledger(site: Site, saved: Path) -> None:
    (saved / LEDGER).unlink()
    copy(saved, site.path("target"), "-r")


# How a target directory comes back, and whether the edits were built before.
RESTORES: dict[str, tuple[Restore, bool]] = {
    "copied, with new times": (lambda site, saved: copy(saved, emptied(site), "-r"), False),
    "copied over the other": (lambda site, saved: copy(saved, site.path("target"), "-r"), True),
    "copied over the other, whose ledger stays": (under_a_younger_ledger, True),
    "unpacked, with old times": (unpacked, True),
    "unpacked, with new times": (lambda site, saved: unpacked(site, saved, "-m"), False),
    "copied, and our state deleted": (without_our_state, False),
    "copied without the ledger": (without_the_ledger, False),
    "copied with nothing of ours": (with_nothing_of_ours, True),
}


@pytest.mark.parametrize(("restore", "built"), RESTORES.values(), ids=RESTORES)
def test_an_older_target_directory_that_looks_new_is_brought_up_to_date(
    site: Site, restore: Restore, built: bool
) -> None:
    saved = save(site)
    edit_everything(site)
    if built:
        assert site.tool("dev").status == 0
    restore(site, saved)
    run = site.tool("dev")

    assert (run.status, site.printed()) == (0, EDITED), run.text
    assert site.tool("dev").summary == FRESH


@pytest.mark.parametrize("when", ["+1 hour", "now"])
def test_a_touched_target_directory_hides_no_edit(site: Site, when: str) -> None:
    edit_everything(site)
    touch(site.path("target"), when)
    run = site.tool("dev")

    assert (run.status, site.printed()) == (0, EDITED), run.text
    assert site.tool("dev").summary == FRESH


def test_what_comes_back_from_a_cache_with_its_ledger_is_not_built_again(site: Site) -> None:
    saved = save(site)
    shutil.rmtree(site.path("target"))
    saved.rename(site.path("target"))
    shutil.rmtree(site.path(".doit-cargo"))
    run = site.tool("dev")

    assert (run.status, run.compiled, site.printed()) == (0, (), BASELINE), run.text
    assert site.tool("dev").summary == FRESH


def test_what_plain_cargo_built_here_is_taken_as_it_is(site: Site) -> None:
    site.forget_builds()
    site.cargo("build")
    run = site.tool("dev")

    # Nobody knows what the declared inputs of `app` were when cargo built it.
    assert (run.status, run.compiled, site.printed()) == (0, ("app",), BASELINE), run.text
    assert site.tool("dev").summary == FRESH


def test_what_plain_cargo_built_from_other_sources_is_built_anew(site: Site) -> None:
    site.forget_builds()
    site.cargo("build")
    for name, (old, new, _, _) in EDITS.items():
        site.edit(name, old, new, site.mtime(name))
    run = site.tool("dev")

    assert (run.status, site.printed()) == (0, EDITED), run.text
    assert site.tool("dev").summary == FRESH


@pytest.mark.parametrize("bring", ["cp -a", "mv"])
def test_a_workspace_at_another_place_has_no_paths_of_the_old_one_in_it(site: Site, tmp_path: Path, bring: str) -> None:
    site.edit("crates/kit/src/lib.rs", 'env!("CARGO_PKG_DESCRIPTION")', 'env!("CARGO_MANIFEST_DIR")')
    assert site.tool("dev").status == 0
    there = tmp_path / "parent"
    subprocess.run([*bring.split(), site.ws.parent, there], check=True)
    try:
        run = site.tool("dev", cwd=there / "ws")
        printed = site.printed(str(there / "ws/target/debug/app"))
        again = site.tool("dev", cwd=there / "ws")
    finally:
        if bring == "mv":
            there.rename(site.ws.parent)

    assert (run.status, printed["description"]) == (0, str(there / "ws/crates/kit")), run.text
    assert run.compiled == PACKAGES
    assert again.summary == FRESH
