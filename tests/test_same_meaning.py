"""Differences that are none to cargo: another text in the environment, in a manifest or in a config file."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from building import FRESH, OLD, Site
from conftest import needs_cargo

pytestmark = [pytest.mark.slow, needs_cargo]

PART = "crates/kit/src/part.rs"


def is_fresh(site: Site, *words: str, **variables: str | None) -> bool:
    """Tell whether a target is up to date for a caller with these variables (None: not set)."""
    environ = {**site.environment(), **variables}
    command = [site.program(), "why", "dev", *words, "--json"]
    kept = {name: value for name, value in environ.items() if value is not None}
    done = subprocess.run(command, cwd=site.ws, env=kept, capture_output=True, text=True, check=False)
    return done.returncode == 0 and bool(json.loads(done.stdout)["fresh"])


def toolchain() -> str:
    """Return the full name of the toolchain that is taken without a choice."""
    told = subprocess.run(["rustup", "show", "active-toolchain"], capture_output=True, text=True, check=True).stdout
    return told.split()[0]


def test_variables_that_say_what_holds_anyway_change_nothing_and_their_twins_do(site: Site) -> None:
    target, name = str(site.ws / "target"), toolchain()
    key = {"XDG_STATE_HOME": f"{site.home}/.local/state"}
    same: list[dict[str, str | None]] = [
        {"CARGO_HOME": None},
        {"CARGO_HOME": f"{site.home}/.cargo", "HOME": str(site.home)},
        {"CARGO_TARGET_DIR": target},
        {"CARGO_TARGET_DIR": "target"},
        {"CARGO_BUILD_TARGET_DIR": "target"},
        {"RUSTUP_TOOLCHAIN": name},
        {"CARGO_PROFILE_RELEASE_LTO": "thin", "CARGO_PROFILE_BENCH_OPT_LEVEL": "3"},
        {"CARGO_PROFILE_OF_MY_OWN_DEBUG": "true"},
        {"RUSTDOCFLAGS": "--cfg docs", "CARGO_ENCODED_RUSTDOCFLAGS": "-v"},
        {"CARGO_MANIFEST_DIR": "/elsewhere", "CARGO_PKG_NAME": "x", "CARGO_PKG_DESCRIPTION": "y"},
        {"HOME": str(site.elsewhere), **key},
        {"CARGO_HOME": None, "HOME": str(site.elsewhere), **key},
        {"CARGO_HOME": str(site.elsewhere / "home")},
    ]
    other: list[dict[str, str | None]] = [
        {"CARGO_HOME": None, "HOME": str(site.path("/other-home")), **key},
        {"CARGO_TARGET_DIR": "targets"},
        {"CARGO_TARGET_DIR": "./target"},
        {"CARGO_TARGET_DIR": "target", "CARGO_BUILD_TARGET_DIR": "x", "RUSTFLAGS": ""},
        {"CARGO_TARGET_DIR": ""},
        {"CARGO_BUILD_TARGET_DIR": str(site.elsewhere)},
        {"RUSTUP_TOOLCHAIN": "no-such-toolchain"},
        {"CARGO_PROFILE_DEV_DEBUG": "true"},
        {"CARGO_PROFILE_TEST_DEBUG": "true"},
        {"CARGO_PROFILE_RELEASE_LTO": "neither"},
        {"RUSTFLAGS": "--cfg marked"},
        {"OPTIONAL": "set"},
    ]
    site.write("other-home/.cargo/config.toml", '[build]\nrustflags = ["--cfg", "marked"]\n')
    assert [one for one in same if not is_fresh(site, **one)] == []
    assert [one for one in other if is_fresh(site, **one)] == []
    site.variables.update(RUSTUP_TOOLCHAIN=name, CARGO_TARGET_DIR=target, RUSTDOCFLAGS="-v")
    assert site.tool("dev").summary == FRESH


def test_a_text_of_a_manifest_or_a_config_file_that_says_the_same_starts_no_cargo_and_another_does(site: Site) -> None:
    manifest, config = "crates/kit/Cargo.toml", ".cargo/config.toml"
    site.add(manifest, "# a comment\n" + site.path(manifest).read_text())
    site.add("Cargo.toml", site.path("Cargo.toml").read_text() + "\n# another\n")
    site.add(config, '# nothing\n[alias]\nb = "build"\n[term]\nverbose = false\n')
    assert site.tool("dev").summary == FRESH
    assert site.tool("dev").summary == FRESH
    assert is_fresh(site)

    for name, text in (
        (config, '[build]\nrustflags = ["--cfg", "marked"]\n'),
        (config, '[env]\nOPTIONAL = "set"\n'),
        (config, "this is no TOML"),
        (manifest, site.path(manifest).read_text().replace("of kit", "of KIT")),
        (manifest, site.path(manifest).read_text() + "[profile.dev]\nopt-level = 1\n"),
        ("crates/trusting/Cargo.toml", site.path("crates/trusting/Cargo.toml").read_text() + "# read by its script\n"),
    ):
        before = site.path(name).read_text()
        site.add(name, text)
        assert not is_fresh(site), f"{name}: {text}"
        site.add(name, before)
    assert is_fresh(site)
    site.add(".cargo/config", "")  # cargo takes this one now, and no longer the other
    assert not is_fresh(site)
    os.unlink(site.path(".cargo/config"))


def test_inside_of_cargo_run_nothing_is_built_anew(site: Site) -> None:
    site.add(
        "crates/app/examples/again.rs",
        "fn main() {\n"
        "    let mut words = std::env::args().skip(1);\n"
        "    let done = std::process::Command::new(words.next().unwrap()).args(words).status();\n"
        "    std::process::exit(done.unwrap().code().unwrap());\n"
        "}\n",
    )
    site.cargo("run", "-q", "-p", "app", "--example", "again", "--", "true")
    site.tool("dev")
    told = subprocess.run(
        ["cargo", "run", "-q", "-p", "app", "--example", "again", "--", site.program(), "dev"],
        cwd=site.ws, env=site.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "up to date" in told.stdout + told.stderr, told.stdout + told.stderr


def test_a_profile_that_the_target_does_not_use_starts_no_cargo_unless_a_source_reads_it(site: Site) -> None:
    site.add("profiles/other.toml", 'extends = "release"\n')
    assert is_fresh(site)
    assert site.tool("dev").summary == FRESH
    site.add("profiles/other.toml", 'extends = "release"\n[env]\nA = "1"\n')
    site.add("profiles/dev.toml", "# a comment\n" + site.path("profiles/dev.toml").read_text())
    assert site.tool("init", "--yes").status == 0
    assert site.tool("dev").summary == FRESH

    site.add(
        "crates/kit/src/part.rs", 'pub const VALUE: u32 = include_str!("../../../profiles/other.toml").len() as u32;'
    )
    assert site.tool("dev").compiled == ("app", "kit")
    site.add("profiles/more.toml", 'extends = "dev"\n')
    assert site.tool("dev").summary == FRESH
    site.add("profiles/other.toml", 'extends = "release"\n')
    assert not is_fresh(site)
    run = site.tool("dev")
    assert (run.compiled, site.printed()["part"]) == (("app", "kit"), "20"), run.text
    site.add("profiles/dev.toml", site.path("profiles/dev.toml").read_text() + '[env]\nOPTIONAL = "set"\n')
    assert not is_fresh(site)


def test_features_in_another_order_are_the_same_result_and_others_are_not(site: Site) -> None:
    assert site.tool("dev", "PACKAGE=app", "FEATURES=app/extra,kit/extra").status == 0
    for words in (
        "FEATURES=kit/extra,app/extra",
        "FEATURES=kit/extra app/extra",
        "FEATURES=app/extra,kit/extra,app/extra",
    ):
        assert is_fresh(site, "PACKAGE=app", words)
    for words in ("FEATURES=app/extra", "FEATURES=app/extra,kit/extra,kit/default", "FEATURES=kit/extra,-app/extra"):
        assert not is_fresh(site, "PACKAGE=app", words)


def test_of_the_results_of_ever_other_variables_the_oldest_go(site: Site) -> None:
    state = site.ws / ".doit-cargo"
    for number in range(200):
        for name in (f"receipts/dev-{number:08x}", f"receipts/check-{number:08x}", f"needs-{number:08x}"):
            site.add(f".doit-cargo/{name}", "of old", mtime_ns=OLD)
    site.add(PART, site.path(PART).read_text() + "// new\n")
    assert (site.tool("dev", "FEATURES=kit/extra").status, site.tool("dev").status) == (0, 0)
    left = {kind: len(list(state.glob(f"{kind}-*"))) for kind in ("receipts/dev", "receipts/check", "needs")}
    assert left == {"receipts/dev": 64, "receipts/check": 200, "needs": 128}
    assert is_fresh(site)
