"""What cargo says of a workspace, and what we say when it cannot."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import call
from conftest import Spec, make_workspace, needs_cargo, read_workspace, write
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.model import CargoTarget, Dependency, Package, Workspace
from doit_cargo.engine.cargo.metadata import closure, dependents, from_metadata, read_metadata

pytestmark = needs_cargo

# app -> middle -> low; app -(optional)-> extra; low -(dev)-> helper
CHAIN: Spec = {
    "app": {"dependencies": {"middle": "", "extra": "optional = true"}, "bins": {"app": [], "tool": ["extra"]}},
    "middle": {"dependencies": {"low": ""}},
    "low": {"dev-dependencies": {"helper": ""}},
    "extra": {"features": {"fast": []}},
    "helper": {},
}


def message(directory: Path, **environ: str) -> str:
    with pytest.raises(UserError) as caught:
        read_metadata(str(directory), {**os.environ, **environ})
    return str(caught.value)


# --- facts -----------------------------------------------------------------------------------------------------------


def test_the_facts_survive_a_cache_on_disk(tmp_path: Path) -> None:
    facts = read_metadata(str(make_workspace(tmp_path, CHAIN)), os.environ)
    assert from_metadata(json.loads(json.dumps(facts))) == from_metadata(facts)


def test_a_package_has_its_features_targets_and_edges(tmp_path: Path) -> None:
    root = str(make_workspace(tmp_path, CHAIN))
    workspace = read_workspace(tmp_path)
    app = workspace.packages["app"]
    assert (workspace.root, workspace.target_directory) == (root, os.path.join(root, "target"))
    assert workspace.default_members == tuple(workspace.packages)
    assert app.features == {"extra": ("dep:extra",)}
    assert app.binaries == ("app", "tool")
    assert CargoTarget("tool", ("bin",), os.path.join(root, "app/src/bin/tool.rs"), ("extra",)) in app.cargo_targets
    assert Dependency("extra", os.path.join(root, "extra"), "", optional=True) in app.dependencies
    assert workspace.packages["low"].dependencies == (Dependency("helper", os.path.join(root, "helper"), "dev"),)


def test_a_member_folder_leads_to_the_workspace(tmp_path: Path) -> None:
    make_workspace(tmp_path, CHAIN)
    assert read_workspace(tmp_path / "app/src").root == str(tmp_path)


def test_default_members_are_those_of_the_manifest(tmp_path: Path) -> None:
    make_workspace(tmp_path, CHAIN, 'default-members = ["low"]\n')
    assert read_workspace(tmp_path).default_members == ("low",)


def test_cargo_profiles_come_from_the_manifest_and_from_config_files(tmp_path: Path) -> None:
    make_workspace(tmp_path, CHAIN, '[profile.slim]\ninherits = "release"\n[profile.release]\nlto = true\n')
    write(
        tmp_path / ".cargo/config.toml",
        '[profile.local]\ninherits = "dev"\n[build]\ntarget = "x86_64-unknown-linux-gnu"\n',
    )
    workspace = read_workspace(tmp_path)
    assert workspace.cargo_profiles[:6] == ("dev", "release", "test", "bench", "slim", "local")
    assert workspace.build_target == "x86_64-unknown-linux-gnu"


def test_settings_are_read_from_the_workspace_metadata(tmp_path: Path) -> None:
    make_workspace(tmp_path, CHAIN, '[workspace.metadata.doit-cargo]\npack = "base"\n')
    assert read_workspace(tmp_path).settings == {"pack": "base"}


# --- the graph -------------------------------------------------------------------------------------------------------


def test_a_closure_has_dependencies_before_dependents(tmp_path: Path) -> None:
    make_workspace(tmp_path, CHAIN)
    workspace = read_workspace(tmp_path)
    assert set(closure(workspace, ["app"])) == {"app", "middle", "low", "extra"}
    order = closure(workspace, ["app"])
    assert order.index("low") < order.index("middle") < order.index("app") == 3


def test_dev_dependencies_count_for_the_named_packages_only(tmp_path: Path) -> None:
    make_workspace(tmp_path, CHAIN)
    workspace = read_workspace(tmp_path)
    assert closure(workspace, ["low"], dev=True) == ("low", "helper")
    assert "helper" not in closure(workspace, ["middle"], dev=True)


def test_dependents_are_all_that_a_change_reaches(tmp_path: Path) -> None:
    make_workspace(tmp_path, CHAIN)
    workspace = read_workspace(tmp_path)
    assert set(dependents(workspace, ["low"])) == {"middle", "app"}
    assert dependents(workspace, ["helper"]) == ()
    assert dependents(workspace, ["helper"], dev=True) == ("low",)


def test_a_dev_cycle_between_packages_ends(tmp_path: Path) -> None:
    spec: Spec = {"a": {"dependencies": {"b": ""}}, "b": {"dev-dependencies": {"a": ""}}}
    workspace = read_workspace(make_workspace(tmp_path, spec))
    assert set(closure(workspace, ["b"], dev=True)) == {"a", "b"}


def test_a_renamed_dependency_is_still_an_edge(tmp_path: Path) -> None:
    make_workspace(tmp_path, {"app": {}, "low": {}})
    with open(tmp_path / "app/Cargo.toml", "a", encoding="utf-8") as manifest:
        manifest.write('[dependencies.base]\npackage = "low"\npath = "../low"\n')
    assert closure(read_workspace(tmp_path), ["app"]) == ("low", "app")


# --- messages --------------------------------------------------------------------------------------------------------


def test_no_manifest_here_or_above(tmp_path: Path) -> None:
    assert message(tmp_path) == (
        f"{tmp_path}: no Cargo.toml here or above\n"
        "  fix: cd into a Cargo workspace, or name its folder: doit-cargo -w DIR"
    )


def test_cargo_not_on_path_says_how_to_get_it(tmp_path: Path) -> None:
    make_workspace(tmp_path, CHAIN)
    assert message(tmp_path, PATH=str(tmp_path), CARGO_HOME=str(tmp_path)) == (
        "cargo is not on PATH\n  fix: install Rust from https://rustup.rs, then open a new terminal"
    )


def test_a_broken_manifest_is_told_in_cargos_words_with_its_line(tmp_path: Path) -> None:
    write(tmp_path / "Cargo.toml", '[package]\nname = "x"\nversion = 3\n')
    lines = message(tmp_path).splitlines()
    assert lines[:2] == [
        f"{tmp_path}/Cargo.toml:3: cargo cannot load this workspace; it says:",
        "    error: invalid type: integer `3`, expected SemVer version",
    ]
    assert lines[-1] == "  fix: correct that; `cargo metadata --no-deps` checks it"


def test_a_member_without_manifest_names_the_file(tmp_path: Path) -> None:
    write(tmp_path / "Cargo.toml", '[workspace]\nmembers = ["gone"]\n')
    assert message(tmp_path).startswith(f"{tmp_path}/gone/Cargo.toml: cargo cannot load this workspace; it says:")


@pytest.fixture
def no_such_toolchain(tmp_path: Path) -> Path:
    """Put a `cargo` on PATH that answers as rustup's proxy does where the pinned toolchain is missing."""
    text = "error: toolchain '1.89.0-x86_64-unknown-linux-gnu' is not installed\\n\\nStack backtrace:\\n 0: x"
    write(tmp_path / "bin/cargo", f'#!/bin/sh\nprintf "{text}" >&2\nexit 1\n').chmod(0o755)
    return make_workspace(tmp_path / "ws", CHAIN)


def test_a_missing_toolchain_names_the_line_that_pins_it(no_such_toolchain: Path) -> None:
    pin = write(no_such_toolchain / "rust-toolchain.toml", '# why\n[toolchain]\nchannel = "1.89.0"\n')
    path = f"{no_such_toolchain.parent}/bin{os.pathsep}{os.environ['PATH']}"
    assert message(no_such_toolchain / "app", PATH=path, RUSTUP_TOOLCHAIN="") == (
        f"{pin}:3: the pinned toolchain 1.89.0-x86_64-unknown-linux-gnu is not installed\n"
        "  fix: rustup toolchain install 1.89.0-x86_64-unknown-linux-gnu, or set RUSTUP_TOOLCHAIN to an installed one "
        "(rustup toolchain list)"
    )


def test_a_toolchain_of_the_environment_is_not_blamed_on_the_file(no_such_toolchain: Path) -> None:
    write(no_such_toolchain / "rust-toolchain", "1.70\n")
    path = f"{no_such_toolchain.parent}/bin{os.pathsep}{os.environ['PATH']}"
    assert message(no_such_toolchain, PATH=path, RUSTUP_TOOLCHAIN="1.89.0").startswith(
        "RUSTUP_TOOLCHAIN: the toolchain 1.89.0-x86_64-unknown-linux-gnu is not installed\n"
    )


def test_an_answer_that_is_no_json_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    write(tmp_path / "bin/cargo", "#!/bin/sh\necho hello\n").chmod(0o755)
    make_workspace(tmp_path / "ws", CHAIN)
    assert "cargo metadata could not be read" in message(tmp_path / "ws", PATH=f"{tmp_path}/bin{os.pathsep}/bin")


# --- the real ones ---------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_fork_of_mistralrs_has_its_fourteen_members(materialise: Callable[[str], Path]) -> None:
    workspace = read_workspace(materialise("mistralrs-fork"))
    assert len(workspace.packages) == 14
    assert workspace.packages["mistralrs-server"].binaries == ("mistral-rs", "mistralrs-server")
    assert closure(workspace, ["mistralrs-vision"]) == ("mistralrs-vision",)
    assert dependents(workspace, ["mistralrs-quant"]) == (
        "mistralrs-server-core",
        "mistralrs-core",
        "mistralrs-server",
        "mistralrs-pyo3",
        "mistralrs",
        "mistralrs-bench",
        "mistralrs-web-chat",
    )


@pytest.mark.shared
def test_dynamo_pins_its_toolchain(materialise: Callable[[str], Path]) -> None:
    root = materialise("dynamo-2026-02")
    try:
        read_metadata(str(root), {k: v for k, v in os.environ.items() if k != "RUSTUP_TOOLCHAIN"})
    except UserError as error:
        assert str(error).startswith(f"{root}/rust-toolchain.toml:2: the pinned toolchain 1.90.0-")  # noqa: PT017


def test_a_chain_of_thousands_of_members_is_no_problem() -> None:
    def member(number: int) -> Package:
        edge = (Dependency(f"p{number - 1}", path=f"/w/p{number - 1}"),) if number else ()
        return Package(f"p{number}", "0.1.0", f"/w/p{number}", "", {}, (), edge)

    packages = {f"p{number}": member(number) for number in range(3000)}
    chain = Workspace("/w", "/w/target", packages, ())
    assert closure(chain, ["p2999"]) == tuple(packages)
    assert dependents(chain, ["p0"]) == tuple(packages)[1:]


def test_facts_that_another_version_kept_in_another_shape_are_asked_anew(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, CHAIN)
    kept = root / ".doit-cargo/workspace"
    other = "import doit_cargo.engine.cargo as cargo, doit_cargo.cli.main as own; cargo.FORMAT = 0; own.main(['list'])"
    written = []
    for words in ([sys.executable, "-c", other], ["doit-cargo", "list"], ["doit-cargo", "list"]):
        assert call(root, *words).status == 0
        written.append((kept.stat().st_ino, kept.stat().st_mtime_ns))
    assert (written[0] != written[1], written[1] == written[2]) == (True, True)
