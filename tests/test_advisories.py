"""audit and deny with the real tools: an advisory that hits, one that does not, and what is said without a network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from calling import Said, environment, small_workspace
from calling import forked_call as call
from conftest import needs_cargo, write


def needs(tool: str) -> pytest.MarkDecorator:
    missing = shutil.which(tool, path=environment()["PATH"]) is None
    return pytest.mark.skipif(missing, reason=f"{tool} is not on PATH: cargo install --locked {tool}")


pytestmark = needs_cargo

ADVISORY = """\
```toml
[advisory]
id = "RUSTSEC-2020-0001"
package = "{package}"
date = "2020-01-01"

[versions]
patched = [">= 2.0.0"]
```

# It is bad
"""
LOCKED = """
[[package]]
name = "tiny-part"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "0000000000000000000000000000000000000000000000000000000000000000"
"""
DENY = '[licenses]\nallow = ["MIT"]\n[bans]\nmultiple-versions = "deny"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = small_workspace(tmp_path / "workspace")
    lock = root / "Cargo.lock"
    lock.write_text(lock.read_text() + LOCKED)
    return root


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """Variables under which no advisory can be fetched: a proxy that is not there, an empty CARGO_HOME."""
    proxy = "http://127.0.0.1:1"
    return {"https_proxy": proxy, "HTTPS_PROXY": proxy, "CARGO_HOME": str(tmp_path / "home")}


def database(folder: Path, package: str) -> Path:
    write(folder / f"crates/{package}/RUSTSEC-2020-0001.md", ADVISORY.format(package=package))
    return folder


@needs("cargo-audit")
@pytest.mark.parametrize(("package", "status"), [("tiny-part", 1), ("other-part", 0)])
def test_a_copy_of_the_database_is_enough(root: Path, tmp_path: Path, package: str, status: int) -> None:
    folder = database(tmp_path / "db", package)
    said = call(root, "doit-cargo", "audit", f"ADVISORY_DB={folder}")
    assert said.status == status, said.err
    if status:
        assert "RUSTSEC-2020-0001" in said.out
        assert (
            f"!! audit  1 vulnerability found (3 packages checked against {folder}); log: .logs/audit.log" in said.err
        )
    else:
        assert f"3 packages checked against {folder}; nothing known against them" in said.out


@needs("cargo-audit")
def test_without_a_network_nothing_counts_as_checked(root: Path, offline: dict[str, str]) -> None:
    said = call(root, "doit-cargo", "audit", **offline)
    assert said.status == 2
    assert "audit has checked nothing: the advisory database cannot be fetched, and there is no copy" in said.err
    assert "git clone --depth 1 https://github.com/RustSec/advisory-db; then ADVISORY_DB=FOLDER uses it" in said.err


@needs("cargo-audit")
def test_without_a_network_the_copy_of_an_earlier_run_is_used_and_said(root: Path, offline: dict[str, str]) -> None:
    kept = database(Path(offline["CARGO_HOME"]) / "advisory-db", "tiny-part")
    said = call(root, "doit-cargo", "audit", **offline)
    assert said.status == 1
    assert "the network is out of reach: the copy of 20" in said.out
    assert str(kept) in said.out


@needs("cargo-audit")
def test_a_folder_that_is_no_database_is_bad_input(root: Path, tmp_path: Path) -> None:
    said = call(root, "doit-cargo", "audit", f"ADVISORY_DB={tmp_path}")
    assert (said.status, said.out) == (3, "")
    assert said.err.startswith(f"doit-cargo: {tmp_path}: ADVISORY_DB is no copy of the advisory database\n")


def test_a_missing_tool_is_told_with_the_way_to_get_it(root: Path, tmp_path: Path) -> None:
    folders = [folder for folder in environment()["PATH"].split(":") if not (Path(folder) / "cargo-audit").exists()]
    import os
    import sys

    program = os.path.join(os.path.dirname(sys.executable), "doit-cargo")
    said = call(root, program, "audit", PATH=":".join(folders), CARGO_HOME=str(tmp_path / "home"))
    assert said == Said(
        2,
        "",
        "!! audit  audit needs cargo-audit, which is not on PATH\n  fix: cargo install --locked cargo-audit\n",
    )


def test_deny_is_absent_without_its_file(root: Path) -> None:
    said = call(root, "doit-cargo", "deny")
    assert said == Said(3, "", "doit-cargo: deny needs deny.toml in the root of the workspace\n")


@needs("cargo-deny")
@pytest.mark.parametrize(("licence", "status"), [("MIT", 0), ("GPL-3.0", 1)])
def test_deny_checks_what_its_file_says_and_is_skipped_after_a_success(
    tmp_path: Path, licence: str, status: int
) -> None:
    root = small_workspace(tmp_path / "workspace")
    write(root / "deny.toml", DENY)
    for name in ("app", "low"):
        manifest = root / name / "Cargo.toml"
        manifest.write_text(manifest.read_text().replace("edition", f'license = "{licence}"\nedition', 1))
    assert call(root, "cargo", "generate-lockfile", "--offline").status == 0
    said = call(root, "doit-cargo", "deny")
    assert said.status == status, said.err
    again = call(root, "doit-cargo", "deny")
    assert again.out.startswith("-- deny  up to date: ") == (status == 0)


@needs("cargo-deny")
def test_advisories_of_deny_say_where_they_could_not_be_had(root: Path, offline: dict[str, str]) -> None:
    write(root / "deny.toml", DENY)
    said = call(root, "doit-cargo", "deny_advisories", **offline)
    assert (said.status, "deny_advisories has checked nothing" in said.err) == (2, True)
