"""REGISTRY, check_network and deps_update against a real registry: of ours, on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import forked_call as call
from conftest import make_workspace, needs_cargo, write
from registry import Registry, running

pytestmark = needs_cargo


@pytest.fixture
def registry() -> Iterator[Registry]:
    with running() as found:
        found.publish("tiny-part", "1.0.0")
        yield found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace whose one package needs tiny-part of crates.io, with an empty cache of downloads."""
    root = make_workspace(tmp_path / "workspace", {"app": {"bins": {"app": []}}})
    manifest = root / "app/Cargo.toml"
    manifest.write_text(manifest.read_text() + '[dependencies.tiny-part]\nversion = "1"\n')
    write(root / "app/src/bin/app.rs", 'fn main() { println!("{}", tiny_part::VERSION) }\n')
    return root


@pytest.fixture
def home(tmp_path: Path) -> str:
    """A CARGO_HOME of its own; rustup's proxies need none."""
    return str(tmp_path / "home")


def replaced(home: str, registry: Registry) -> Path:
    text = f'[source.crates-io]\nreplace-with = "near"\n[source.near]\nregistry = "{registry.index}"\n'
    return write(Path(home) / "config.toml", text)


@pytest.mark.slow
def test_a_build_takes_its_packages_from_the_mirror_and_no_file_is_edited(
    root: Path, home: str, registry: Registry
) -> None:
    said = call(root, "doit-cargo", "dev", f"REGISTRY={registry.address}/index", CARGO_HOME=home)
    assert said.status == 0, said.err
    assert "GET /dl/tiny-part/1.0.0/download" in registry.asked
    assert not list(root.rglob("config.toml")) + list(Path(home).glob("config*"))
    assert 'source = "registry+https://github.com/rust-lang/crates.io-index"' in (root / "Cargo.lock").read_text()
    asked = list(registry.asked)
    again = call(root, "doit-cargo", "dev", CARGO_HOME=home)
    assert (again.status, again.out.startswith("-- dev  up to date: "), registry.asked) == (0, True, asked)


def test_the_mirror_is_in_the_plan_of_every_cargo_target(root: Path, home: str) -> None:
    said = call(root, "doit-cargo", "plan", "lint", "REGISTRY=rsproxy.cn", CARGO_HOME=home)
    words = said.out.replace("'", "")
    assert 'source.doit-cargo-mirror.registry="sparse+https://rsproxy.cn/index/"' in words
    assert 'source.crates-io.replace-with="doit-cargo-mirror"' in words
    usual = call(root, "doit-cargo", "plan", "dev", "REGISTRY=mirrors.ustc.edu.cn", CARGO_HOME=home)
    assert 'registry="sparse+https://mirrors.ustc.edu.cn/crates.io-index/"' in usual.out


@pytest.mark.parametrize("value", ["not a host", "ftp://x/y", 'a"b', 'https://x/"y'])
def test_a_registry_that_is_none_is_told_before_anything_starts(root: Path, value: str) -> None:
    said = call(root, "doit-cargo", "dev", f"REGISTRY={value}")
    assert (said.status, "is neither a host nor the address of an index" in said.err) == (3, True)


def test_an_update_shows_what_it_would_change_and_asks(root: Path, home: str, registry: Registry) -> None:
    replaced(home, registry)
    assert call(root, "cargo", "generate-lockfile", CARGO_HOME=home).status == 0
    before = (root / "Cargo.lock").read_text()
    assert call(root, "doit-cargo", "deps_update", CARGO_HOME=home).out == "ok deps_update  nothing to update\n"
    registry.publish("tiny-part", "1.1.0")
    said = call(root, "doit-cargo", "deps_update", CARGO_HOME=home)
    assert (said.status, "Updating tiny-part v1.0.0 -> v1.1.0" in said.out) == (2, True)
    assert said.err == "!! deps_update  Cargo.lock was not changed\n  fix: YES=1 changes it\n"
    assert (root / "Cargo.lock").read_text() == before
    done = call(root, "doit-cargo", "deps_update", "YES=1", CARGO_HOME=home)
    assert (done.status, "~ tiny-part 1.0.0 -> 1.1.0" in done.out.splitlines()) == (0, True)
    assert "1 package changed in Cargo.lock; the old lock: .doit-cargo/Cargo.lock.before-update" in done.out
    assert (root / ".doit-cargo/Cargo.lock.before-update").read_text() == before


def test_an_update_of_an_unknown_package_is_cargos_own_no(root: Path, home: str, registry: Registry) -> None:
    replaced(home, registry)
    assert call(root, "cargo", "generate-lockfile", CARGO_HOME=home).status == 0
    said = call(root, "doit-cargo", "deps_update", "PACKAGE=nothing", "YES=1", CARGO_HOME=home)
    assert (said.status, "package ID specification `nothing` did not match" in said.err) == (2, True)


def test_the_network_is_the_registry_that_cargo_would_ask(root: Path, home: str, registry: Registry) -> None:
    config = replaced(home, registry)
    said = call(root, "doit-cargo", "check_network", CARGO_HOME=home)
    assert said.status == 0, said.err
    assert f"{registry.address}/index/config.json answers in " in said.out
    assert f"(the registry: {config})" in said.out
    assert registry.asked == ["HEAD /index/config.json"]


def test_the_mirror_is_asked_instead(root: Path, home: str, registry: Registry) -> None:
    said = call(root, "doit-cargo", "check_network", f"REGISTRY={registry.address}/index/", CARGO_HOME=home)
    assert (said.status, "(the registry: REGISTRY)" in said.out) == (0, True)


def test_a_registry_behind_a_proxy_is_asked_through_it(root: Path, home: str, registry: Registry) -> None:
    registry.files["http://mirror.example/index/config.json"] = b"{}"
    words = ("doit-cargo", "check_network", "REGISTRY=http://mirror.example/index")
    assert call(root, *words, CARGO_HOME=home, http_proxy=registry.address, no_proxy="").status == 0
    assert registry.asked == ["HEAD http://mirror.example/index/config.json"]


@pytest.mark.parametrize(
    ("status", "text"), [(500, "answers with status 500"), (404, "answers with status 404"), (0, "does not answer: ")]
)
def test_a_registry_that_does_not_answer_well_is_a_failure(
    root: Path, home: str, registry: Registry, status: int, text: str
) -> None:
    registry.status = status
    address = registry.address if status else "http://127.0.0.1:1"
    said = call(root, "doit-cargo", "check_network", f"REGISTRY={address}/index/", CARGO_HOME=home)
    assert (said.status, text in said.err, "Traceback" in said.err) == (1, True, False)


def test_a_folder_instead_of_a_registry_needs_no_network(root: Path, home: str) -> None:
    text = '[source.crates-io]\nreplace-with = "kept"\n[source.kept]\ndirectory = "vendor"\n'
    write(root / ".cargo/config.toml", text)
    assert call(root, "doit-cargo", "check_network", CARGO_HOME=home).status == 2
    (root / "vendor").mkdir()
    said = call(root, "doit-cargo", "check_network", CARGO_HOME=home)
    assert f"no network is needed: packages come from {root / 'vendor'}" in said.out


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[source.crates-io]\nreplace-with = "nowhere"\n', "the source 'nowhere' is not defined"),
        ('[source.crates-io]\nreplace-with = "a"\n[source.a]\nreplace-with = "a"\n', "replace each other in a circle"),
    ],
)
def test_sources_that_lead_nowhere_are_told_with_their_file(root: Path, home: str, text: str, problem: str) -> None:
    call(root, "doit-cargo", "list", CARGO_HOME=home)
    path = write(root / ".cargo/config.toml", text)
    said = call(root, "doit-cargo", "check_network", CARGO_HOME=home)
    assert (said.status != 0, problem in said.err, str(path) in said.err) == (True, True, True)


def test_the_cache_of_downloads_is_measured_and_emptied_after_asking(root: Path, home: str, registry: Registry) -> None:
    replaced(home, registry)
    assert call(root, "cargo", "fetch", CARGO_HOME=home).status == 0
    write(Path(home) / "bin/tool", "kept")
    size = call(root, "doit-cargo", "cargo_cache_size", CARGO_HOME=home)
    assert (size.status, "registry/cache  can be downloaded again" in size.out) == (0, True)
    said = call(root, "doit-cargo", "clean_cargo_cache", CARGO_HOME=home)
    assert (said.status, said.err) == (2, "!! clean_cargo_cache  nothing was removed\n  fix: YES=1 removes it\n")
    assert list(Path(home).rglob("*.crate"))
    done = call(root, "doit-cargo", "clean_cargo_cache", "YES=1", CARGO_HOME=home)
    assert (done.status, list(Path(home).rglob("*.crate"))) == (0, [])
    assert (Path(home) / "bin/tool").read_text() == "kept"
    assert call(root, "cargo", "fetch", CARGO_HOME=home).status == 0


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not on PATH")
def test_a_cache_that_cargo_uses_now_is_left_alone(root: Path, home: str, registry: Registry) -> None:
    replaced(home, registry)
    assert call(root, "cargo", "fetch", CARGO_HOME=home).status == 0
    lock = f"{home}/.package-cache"
    said = call(root, "flock", lock, "doit-cargo", "clean_cargo_cache", "YES=1", CARGO_HOME=home)
    assert (said.status, "a cargo is using" in said.err, len(list(Path(home).rglob("*.crate")))) == (2, True, 1)
