"""What a package takes from a workspace that is not the one at hand, and members that come where a pattern is deep."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from calling import call
from conftest import needs_cargo, write
from doit_cargo.engine.cargo.discovery import manifests_of, path_dependencies
from doit_cargo.engine.state.dir_listing import list_tree

pytestmark = needs_cargo

PACKAGE = '[package]\nname = "{name}"\nversion = "1.0.0"\nedition = "2021"\n'
OTHER = """\
[workspace]
members = ["far", "low"]
[workspace.package]
version = "{version}"
[workspace.dependencies]
low = {{ path = "low", default-features = false, features = {features} }}
"""
FAR = """\
[package]
name = "far"
version.workspace = true
edition = "2021"
[dependencies]
low.workspace = true
"""
MAIN = 'fn main() { println!("{} {}", far::VERSION, far::LOW); }\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace whose member rests on a package of another one, which inherits from that."""
    files = {
        "ws/Cargo.toml": '[workspace]\nresolver = "2"\nmembers = ["app", "parts/*/rust"]\n[profile.dev]\ndebug = 0\n',
        "ws/app/Cargo.toml": PACKAGE.format(name="app") + '[dependencies]\nfar = { path = "../../other/far" }\n',
        "ws/app/src/main.rs": MAIN,
        "ws/parts/one/notes": "",
        "ws/parts/zero/rust/Cargo.toml": PACKAGE.format(name="zero"),
        "ws/parts/zero/rust/src/lib.rs": "",
        "other/Cargo.toml": OTHER.format(version="1.0.0", features="[]"),
        "other/far/Cargo.toml": FAR,
        "other/far/src/lib.rs": 'pub const VERSION: &str = env!("CARGO_PKG_VERSION");\npub use low::LOW;\n',
        "other/low/Cargo.toml": PACKAGE.format(name="low") + "[features]\nmore = []\n",
        "other/low/src/lib.rs": 'pub const LOW: u8 = if cfg!(feature = "more") { 2 } else { 1 };\n',
    }
    for name, text in files.items():
        write(tmp_path / name, text)
    return tmp_path / "ws"


def built(root: Path, program: str = "app") -> tuple[str, str]:
    """Build; return whether that was a skip, and what the program says."""
    said = call(root, "doit-cargo", "dev")
    assert said.status == 0, said.out + said.err
    done = subprocess.run([root / "target/debug" / program], capture_output=True, text=True, check=True)
    return said.out.splitlines()[-1][:2], done.stdout.strip()


@pytest.mark.slow
def test_what_a_package_inherits_from_a_workspace_of_its_own_counts(root: Path) -> None:
    assert [built(root) for _ in range(2)] == [("ok", "1.0.0 1"), ("--", "1.0.0 1")]
    write(root.parent / "other/Cargo.toml", OTHER.format(version="1.0.1", features="[]"))
    assert [built(root) for _ in range(2)] == [("ok", "1.0.1 1"), ("--", "1.0.1 1")]
    write(root.parent / "other/Cargo.toml", OTHER.format(version="1.0.1", features='["more"]'))
    assert built(root) == ("ok", "1.0.1 2")


@pytest.mark.slow
def test_a_member_that_comes_into_a_folder_below_a_pattern_is_built(root: Path) -> None:
    assert [built(root)[0] for _ in range(2)] == ["ok", "--"]
    write(root / "parts/one/rust/Cargo.toml", PACKAGE.format(name="one"))
    write(root / "parts/one/rust/src/main.rs", 'fn main() { println!("one"); }\n')
    assert built(root, "one") == ("ok", "one")


def test_manifests_up_to_the_root_of_another_workspace_count_where_something_is_inherited(root: Path) -> None:
    other = root.parent / "other"
    assert manifests_of(str(other / "far")) == [str(other / "far/Cargo.toml"), str(other / "Cargo.toml")]
    assert manifests_of(str(other / "low")) == [str(other / "low/Cargo.toml")]
    write(other / "far/Cargo.toml", FAR.replace('edition = "2021"', 'edition = "2021"\nworkspace = "../top"'))
    assert manifests_of(str(other / "far")) == [str(other / "far/Cargo.toml"), str(other / "top/Cargo.toml")]


def test_a_dependency_that_is_inherited_leads_where_that_workspace_says(root: Path) -> None:
    assert path_dependencies(str(root.parent / "other/far")) == [str(root.parent / "other/low")]


@pytest.mark.parametrize("pattern", ["parts/*/rust", "parts/**/rust", "parts/o[mn]e/rust"])
def test_a_folder_that_a_pattern_goes_through_is_looked_at(root: Path, pattern: str) -> None:
    stamps, names = list_tree(str(root), ("globs", pattern))
    zero = [str(root / "parts/zero/rust")] if "[" not in pattern else []
    assert (list(names), str(root / "parts/one") in stamps) == (zero, True)
    write(root / "parts/one/rust/Cargo.toml", PACKAGE.format(name="one"))
    assert list(list_tree(str(root), ("globs", pattern))[1]) == [str(root / "parts/one/rust"), *zero]
