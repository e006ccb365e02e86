"""`why` tells what makes a target stale: old and new values, roots first, and what that rebuilds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from building import FRESH, Site
from calling import call
from conftest import needs_cargo, write
from needing import Crates, Needing, lay_out

pytestmark = [pytest.mark.slow, needs_cargo]

PART = "crates/kit/src/part.rs"


def change(kind: str, subject: str, new: str, old: str = "", package: str = "") -> dict[str, str]:
    return {"kind": kind, "subject": subject, "old": old, "new": new, "package": package}


def answer(
    changes: list[dict[str, str]], changed: list[str], rebuilds: list[str], skipped: int, fresh: bool = False
) -> dict[str, object]:
    return {
        "target": "dev",
        "fresh": fresh,
        "changes": changes,
        "changed": changed,
        "rebuilds": sorted(rebuilds),
        "skipped": skipped,
        "always": False,
        "unobserved": [],
    }


def asked(site: Site) -> dict[str, object]:
    """Return the answer of `why --json dev` without what it will take, which is of this machine (test_estimates); the
    order of packages that do not rest on each other is cargo's.
    """
    found = site.why("dev")
    cost = (found.pop("seconds"), found.pop("takes"))
    assert cost == (0.0, "") or str(cost[1]).startswith(("about ", "a second or two", "a few seconds"))
    rebuilds = found["rebuilds"]
    assert isinstance(rebuilds, list)
    return found | {"rebuilds": sorted(rebuilds)}


def test_a_fresh_target_has_no_reason(site: Site) -> None:
    assert asked(site) == answer([], [], [], 6, fresh=True)
    assert site.tool("why", "dev").out == "dev is up to date\n"


def test_an_edit_names_file_package_and_what_it_rebuilds(site: Site) -> None:
    site.edit(PART, "20", "21")

    assert asked(site) == answer([change("file", PART, "changed", package="kit")], ["kit"], ["app", "kit"], 4)
    text = site.tool("why", "dev").out
    reason = f"dev is stale:\n  file      {PART}: changed  (kit)\n  rebuilds  kit, app; 4 packages skipped\n"
    assert text.partition("  takes")[0] == reason


def test_an_edit_outside_the_workspace_rebuilds_what_rests_on_it(site: Site) -> None:
    site.edit("/parent/outside/src/lib.rs", "60 }", "61 }")
    path = str(site.path("/parent/outside/src/lib.rs"))

    expected = answer([change("file", path, "changed", package="outside")], ["outside"], ["app", "outside"], 4)
    assert asked(site) == expected


def test_a_variable_is_told_without_its_values(site: Site) -> None:
    site.variables["OPTIONAL"] = "one"
    site.tool("dev")
    site.variables["OPTIONAL"] = "two"

    found = asked(site)
    assert found["changes"] == [change("env", "OPTIONAL", "***", "***")]
    assert "  env       OPTIONAL: changed\n" in site.tool("why", "dev").out
    del site.variables["OPTIONAL"]
    assert "  env       OPTIONAL: *** -> unset\n" in site.tool("why", "dev").out


def test_a_new_variable_of_cargo_is_told(site: Site) -> None:
    site.variables["RUSTFLAGS"] = "--cfg marked"

    assert asked(site)["changes"] == [change("env", "RUSTFLAGS", "--cfg marked")]


def test_a_secret_is_not_told(site: Site) -> None:
    site.edit("crates/kit/src/lib.rs", 'option_env!("OPTIONAL")', 'option_env!("MY_TOKEN")')
    site.variables["MY_TOKEN"] = "swordfish"
    site.tool("dev")
    site.variables["MY_TOKEN"] = "sesame"
    runs = [site.tool("why", "dev"), site.tool("why", "dev", "--json"), site.tool("dev")]
    kept = [path for path in site.path(".doit-cargo").rglob("*") if path.is_file()]

    assert [word in run.text for run in runs for word in ("swordfish", "sesame")] == [False] * 6
    assert "MY_TOKEN" in runs[0].out
    assert not [path for path in kept if b"swordfish" in path.read_bytes() or b"sesame" in path.read_bytes()]


def test_packages_are_told_roots_first(site: Site) -> None:
    site.edit("crates/app/src/main.rs", "70", "71")
    site.edit("crates/mac/src/lib.rs", "macro 1", "macro 2")
    site.edit(PART, "20", "21")
    found = asked(site)
    changes = found["changes"]
    assert isinstance(changes, list)

    assert (found["changed"], found["rebuilds"], found["skipped"]) == (["kit", "mac", "app"], ["app", "kit", "mac"], 3)
    assert [each["package"] for each in changes] == ["kit", "mac", "app"]


def test_a_new_file_in_a_watched_folder_is_told(site: Site) -> None:
    site.add("crates/watching/watched/deep/new.txt", "w3")

    expected = [change("listing", "crates/watching/watched", "deep/new.txt added", package="watching")]
    assert asked(site)["changes"] == expected


def test_a_deleted_file_is_told(site: Site) -> None:
    site.path("/parent/shared/note.txt").unlink()
    note = str(site.path("/parent/shared/note.txt"))

    assert asked(site)["changes"] == [change("file", note, "deleted", package="kit")]


def test_a_damaged_binary_is_told_and_rebuilds_no_package(site: Site) -> None:
    site.path("target/debug/app").write_bytes(b"junk")

    copies = [path for path in site.path("target/debug/deps").glob("app-*") if path.read_bytes() == b"junk"]
    changes = [change("artefact", str(path.relative_to(site.ws)), "changed") for path in copies]
    assert asked(site) == answer([change("output", "target/debug/app", "changed"), *changes], [], [], 6)


def test_after_a_failed_run_the_changes_since_the_last_success_are_told(site: Site) -> None:
    site.edit(PART, "20", "twenty")
    assert site.tool("dev").status == 1
    failed = change("run", "dev", "the last run did not end well; since the last success:")

    found = asked(site)
    changes = found["changes"]
    assert isinstance(changes, list)
    told = found | {"changes": [each for each in changes if each["kind"] != "artefact"]}
    assert told == answer([failed, change("file", PART, "changed", package="kit")], ["kit"], ["app", "kit"], 4)


def test_a_target_that_never_ran_says_so(site: Site) -> None:
    site.path("target/debug/app").stat()
    found = site.why("check")

    assert (found["fresh"], found["changed"], found["changes"]) == (
        False,
        [],
        [change("run", "check", "no successful run is on record")],
    )


def test_asking_changes_nothing(site: Site) -> None:
    site.edit(PART, "20", "21")
    before = site.times()
    first, second = asked(site), asked(site)

    assert (first == second, site.times() == before, site.tool("dev").compiled) == (True, True, ("app", "kit"))


def test_a_fresh_answer_is_followed_by_a_skip_and_a_stale_one_by_a_run(site: Site) -> None:
    assert (asked(site)["fresh"], site.tool("dev").summary) == (True, FRESH)
    site.edit(PART, "20", "21")
    assert (asked(site)["fresh"], site.tool("dev").compiled) == (False, ("app", "kit"))


def test_a_run_tells_the_same_reason(site: Site) -> None:
    site.edit(PART, "20", "21")

    reason = f".. dev  kit changed ({PART}); that rebuilds app; 4 of 6 packages skipped\n"
    assert site.tool("dev").out.startswith(reason)


# --- causes that cargo alone would not name --------------------------------------------------------------------------


def test_a_profile_that_makes_no_other_plan_is_no_cause_beside_an_edit(site: Site) -> None:
    write(site.ws / "profiles/unused.toml", 'doc = "of another target"\n')
    assert asked(site) == answer([], [], [], 6, fresh=True)
    site.edit(PART, "20", "21")
    write(site.ws / "profiles/another.toml", 'doc = "of another target"\n')
    found = asked(site)["changes"]
    assert isinstance(found, list)
    assert [one["subject"] for one in found] == [PART, "profiles"]
    assert f"stale: {PART}" in site.tool().out
    said = site.tool("dev").out
    assert (f"kit changed ({PART})" in said, "another.toml" in said) == (True, False), said


@pytest.fixture
def locked(tmp_path: Path) -> Needing:
    """Two members, of which one rests on a crate of a registry."""
    crates: Crates = {"app": {"needs": {"itoa": ""}}, "alone": {}, "itoa": {"version": "1.0.1"}}
    made = lay_out(tmp_path / "ws", crates)
    made.lock()
    return made


def test_a_new_lock_names_the_crates_and_what_they_rebuild(locked: Needing) -> None:
    assert call(locked.root, "doit-cargo", "check", "PACKAGE=all").status == 0
    manifest = locked.root / "vendor/itoa/Cargo.toml"
    manifest.write_text(manifest.read_text().replace('"1.0.1"', '"1.0.9"'))
    (locked.root / "Cargo.lock").unlink()
    locked.lock()
    found = json.loads(call(locked.root, "doit-cargo", "why", "check", "PACKAGE=all", "--json").out)
    assert change("file", "Cargo.lock", "itoa 1.0.1 -> 1.0.9") in found["changes"]
    assert (found["changed"], found["rebuilds"], found["skipped"]) == (["app"], ["app"], 1)


def test_a_group_answers_through_its_parts(locked: Needing) -> None:
    said = call(locked.root, "doit-cargo", "why", "ci_fast", "--json")
    assert [one["target"] for one in json.loads(said.out)] == ["fmt_check", "check", "lint", "check_duplicates"]


def test_a_call_that_wrote_the_program_since_is_named_and_no_test_is_said_to_run_for_it(tmp_path: Path) -> None:
    main = 'fn main() { println!("{}", cfg!(feature = "fast")); }'
    made = lay_out(tmp_path / "ws", {"app": {"features": {"fast": []}, "main": main}})
    runs = 'let said = std::process::Command::new(env!("CARGO_BIN_EXE_app")).output().unwrap();'
    test = f'#[test] fn runs() {{ {runs} assert_eq!(said.stdout, b"false\\n"); }}\n'
    write(made.root / "crates/app/tests/run.rs", test)
    for words in (["dev"], ["test"], ["dev"], ["dev", "FEATURES=fast"]):
        assert call(made.root, "doit-cargo", *words).status == 0
    found = json.loads(call(made.root, "doit-cargo", "why", "dev", "--json").out)
    assert found["changes"] == [change("run", "dev FEATURES=fast", "wrote app, libapp.rlib since")], found
    found = json.loads(call(made.root, "doit-cargo", "why", "test", "--json").out)
    assert (found["changes"], found["rebuilds"]) == ([change("run", "dev FEATURES=fast", "wrote app since")], [])
    assert "  tests " not in call(made.root, "doit-cargo", "why", "test").out
    said = call(made.root, "doit-cargo", "test")
    assert (said.status, "1 passed before" in said.out) == (0, True), said.out
    said = call(made.root, "doit-cargo", "dev")
    assert (said.status, ".. dev  dev FEATURES=fast wrote libapp.rlib since" in said.out) == (0, True), said.out


def test_a_target_that_compiled_the_same_since_is_named(locked: Needing) -> None:
    assert call(locked.root, "doit-cargo", "check", "PACKAGE=all").status == 0
    assert call(locked.root, "doit-cargo", "check", "PACKAGE=app", "FORCE=1").status == 0
    write(locked.root / "crates/app/src/lib.rs", "pub fn new() {}\n")
    assert call(locked.root, "doit-cargo", "build", "PACKAGE=app").status == 0
    assert call(locked.root, "doit-cargo", "check", "PACKAGE=app").status == 0
    write(locked.root / "crates/app/src/lib.rs", "")
    found = json.loads(call(locked.root, "doit-cargo", "why", "check", "PACKAGE=all", "--json").out)
    assert found["changes"] == [change("run", "check PACKAGE=app", "compiled app since")], found
