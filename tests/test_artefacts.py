"""Whatever happens to what cargo made, a run ends with the binary of the sources as they are."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from building import BASELINE, FRESH, Site
from conftest import needs_cargo

pytestmark = [pytest.mark.slow, needs_cargo]
INCREMENTAL = True  # what rustc keeps lies in the target directory too

Damage = Callable[[Site], object]
APP = "target/debug/app"
JUNK = b"#!/bin/sh\necho app=junk\n"


def app(site: Site) -> Path:
    return site.path(APP)


def each(site: Site, pattern: str, damage: Callable[[Path], object]) -> None:
    """Do the same damage to every file of target/debug that a pattern finds, and to one at least."""
    found = list(site.path("target/debug").glob(pattern))
    assert found, pattern
    for path in found:
        damage(path)


def overwrite(path: Path) -> None:
    """Write over a file in place, so that all its hard links change."""
    with path.open("r+b") as stream:
        stream.truncate()
        stream.write(JUNK)


def same_size_and_time(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as stream:
        content = stream.read()
        stream.seek(0)
        stream.write(content.replace(b"data=", b"DATA=").replace(b"app=", b"APP="))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def strip(path: Path) -> None:
    """Strip in place: the file keeps its inode, as `strip` does with hard links."""
    stripped = path.with_name("stripped")
    subprocess.run(["strip", "-o", stripped, path], check=True)
    path.write_bytes(stripped.read_bytes())
    stripped.unlink()


def replaced(path: Path) -> None:
    path.unlink()
    path.write_bytes(JUNK)
    path.chmod(0o755)


def content_of(site: Site) -> bytes:
    return app(site).read_bytes()


def overwritten_without_a_ledger(site: Site) -> None:
    overwrite(app(site))
    site.path("target/.doit-cargo.ledger").unlink()


DAMAGES: dict[str, Damage] = {
    "deleted": lambda site: app(site).unlink(),
    "overwritten in place": lambda site: overwrite(app(site)),
    "overwritten in place, same size and time": lambda site: same_size_and_time(app(site)),
    "emptied": lambda site: os.truncate(app(site), 0),
    "stripped in place": lambda site: strip(app(site)),
    "replaced by a new file": lambda site: replaced(app(site)),
    "cargo's own copy overwritten in place": lambda site: each(site, "deps/app-*[0-9a-f]", overwrite),
    "rlib deleted": lambda site: each(site, "deps/libkit-*.rlib", Path.unlink),
    "rlib overwritten in place": lambda site: each(site, "deps/libkit-*.rlib", overwrite),
    "rmeta deleted": lambda site: each(site, "deps/libkit-*.rmeta", Path.unlink),
    "fingerprint deleted": lambda site: each(site, ".fingerprint/kit-*", shutil.rmtree),
    "all fingerprints deleted": lambda site: shutil.rmtree(site.path("target/debug/.fingerprint")),
    "output of a script deleted": lambda site: each(site, "build/watching-*/output", Path.unlink),
    "deps deleted": lambda site: shutil.rmtree(site.path("target/debug/deps")),
    "target deleted": lambda site: shutil.rmtree(site.path("target")),
    "state deleted": lambda site: shutil.rmtree(site.path(".doit-cargo")),
    "ledger deleted and binary overwritten": overwritten_without_a_ledger,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_noticed_and_repaired(site: Site, damage: Damage) -> None:
    whole = content_of(site)
    damage(site)
    run = site.tool("dev")

    assert (run.status, run.builds, site.printed()) == (0, 1, BASELINE), run.text
    assert content_of(site) == whole
    assert site.tool("dev").summary == FRESH


def test_a_touched_binary_is_still_the_one_that_was_built(site: Site) -> None:
    os.utime(app(site))

    assert (site.tool("dev").status, site.printed()) == (0, BASELINE)
    assert site.tool("dev").summary == FRESH


def test_damage_is_repaired_by_a_run_that_has_an_edit_to_build_too(site: Site) -> None:
    overwrite(app(site))
    site.edit("crates/kit/src/part.rs", "20", "21")

    assert (site.tool("dev").status, site.printed()) == (0, BASELINE | {"part": "21"})


def test_an_older_copy_of_target_is_brought_up_to_date(site: Site) -> None:
    copy = site.path("/older-target")
    subprocess.run(["cp", "-a", site.path("target"), copy], check=True)
    site.edit("crates/kit/src/part.rs", "20", "21")
    site.tool("dev")
    shutil.rmtree(site.path("target"))
    copy.rename(site.path("target"))

    assert (site.tool("dev").status, site.printed()) == (0, BASELINE | {"part": "21"})
    assert site.tool("dev").summary == FRESH


def test_an_older_copy_of_target_is_right_for_sources_of_the_same_age(site: Site) -> None:
    copy = site.path("/older-target")
    sources, times = site.sources(), site.times()
    subprocess.run(["cp", "-a", site.path("target"), copy], check=True)
    site.edit("crates/kit/src/part.rs", "20", "21")
    site.tool("dev")
    shutil.rmtree(site.path("target"))
    copy.rename(site.path("target"))
    site.restore(sources, times)

    assert (site.tool("dev").status, site.printed()) == (0, BASELINE)
    assert site.tool("dev").summary == FRESH


def test_plain_cargo_with_other_features_is_noticed(site: Site) -> None:
    site.cargo("build", "-p", "app", "--features", "app/extra")
    assert site.printed() == BASELINE | {"feature": "true"}
    run = site.tool("dev")

    assert ((run.status, run.builds, run.compiled), site.printed()) == ((0, 1, ()), BASELINE)
    assert site.tool("dev").summary == FRESH


def test_plain_cargo_after_an_edit_is_noticed(site: Site) -> None:
    site.edit("crates/kit/src/part.rs", "20", "21")
    time.sleep(0.1)  # what is edited in the very moment in which rustc begins is built once more
    site.cargo("build")
    run = site.tool("dev")

    assert ((run.status, run.compiled), site.printed()) == ((0, ()), BASELINE | {"part": "21"})
    assert site.tool("dev").summary == FRESH


def test_plain_cargo_that_missed_an_edit_is_put_right(site: Site) -> None:
    then = site.mtime("crates/kit/src/part.rs")
    site.edit("crates/kit/src/part.rs", "20", "21", then)
    site.cargo("build")
    assert site.printed() == BASELINE, "cargo is blind to new content under an old time"

    assert (site.tool("dev").status, site.printed()) == (0, BASELINE | {"part": "21"})


def test_two_variants_that_share_a_path_take_turns(site: Site) -> None:
    extra = ("dev", "FEATURES=extra", "PACKAGE=app")
    outcomes = []
    for words in (extra, ("dev",), extra, ("dev",)):
        run = site.tool(*words)
        outcomes.append((run.status, run.builds, site.printed()["feature"], site.tool(*words).summary))

    assert outcomes == [(0, 1, feature, FRESH) for feature in ("true", "false", "true", "false")]


def test_the_second_turn_of_a_variant_compiles_nothing(site: Site) -> None:
    extra = ("dev", "FEATURES=extra", "PACKAGE=app")
    site.tool(*extra)
    site.tool("dev")

    assert [site.tool(*words).compiled for words in (extra, ("dev",))] == [(), ()]


def test_a_binary_damaged_while_it_was_another_variant_is_not_taken_for_sound(site: Site) -> None:
    extra = ("dev", "FEATURES=extra", "PACKAGE=app")
    site.tool(*extra)
    overwrite(app(site))
    site.tool("dev")
    assert site.printed() == BASELINE
    site.tool(*extra)

    assert site.printed() == BASELINE | {"feature": "true"}


def test_cargo_s_copy_of_the_other_variant_damaged_meanwhile_is_repaired(site: Site) -> None:
    extra = ("dev", "FEATURES=extra", "PACKAGE=app")
    plain = next(path for path in site.path("target/debug/deps").glob("app-*") if path.samefile(app(site)))
    site.tool(*extra)
    overwrite(plain)

    assert (site.tool("dev").status, site.printed()) == (0, BASELINE)
    assert site.tool("dev").summary == FRESH


def test_release_and_debug_do_not_disturb_each_other(site: Site) -> None:
    site.tool("build")

    assert [site.tool("dev").summary, site.tool("build").summary] == [FRESH, FRESH]
    assert site.printed("target/release/app") == BASELINE | {"debug": "false", "optimised": "1"}
    overwrite(site.path("target/release/app"))
    assert [site.tool("dev").summary, site.tool("build").builds] == [FRESH, 1]
    assert site.printed("target/release/app") == BASELINE | {
        "debug": "false",
        "optimised": "1",
        "macro": "macro 1, text, unset",
    }
