"""NVIDIA Dynamo from a pack of TOML alone: on its scale model with the real protoc and etcd, and on its manifests."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from calling import Said, call
from conftest import Spec, make_workspace, needs_cargo, write
from dynamo import HEADER, Model, free_port, lay_out, run_etcd, write_protoc

pytestmark = needs_cargo
needs_nextest = pytest.mark.skipif(shutil.which("cargo-nextest") is None, reason="cargo-nextest is not on PATH")


@pytest.fixture(scope="module")
def protoc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_protoc(tmp_path_factory.mktemp("protoc"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, protoc: Path) -> Model:
    made = lay_out(tmp_path_factory.mktemp("model"), protoc)
    assert made.tool("build_workspace").status == 0
    return made


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from run_etcd(tmp_path_factory.mktemp("etcd"))


def last(said: Said) -> str:
    return said.out.splitlines()[-1]


def plans(root: Path, **variables: str) -> dict[str, Any]:
    """Return the plan of every cargo target of a workspace."""
    rows = json.loads(call(root, "doit-cargo", "list", "--json", **variables).out)
    names = [row["name"] for row in rows if row["available"] and row["kind"] == "cargo"]
    said = call(root, "doit-cargo", "plan", *names, "--json", **variables)
    assert said.status == 0, said.err
    return {plan["target"]: plan for plan in json.loads(said.out)}


def argv(plan: dict[str, Any]) -> str:
    return " ".join(plan["steps"][0]["argv"])


# --- the real manifests ----------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_every_target_plans_on_the_real_manifests(materialise: Callable[[str], Path]) -> None:
    found = plans(materialise("dynamo-2026-02"), RUSTUP_TOOLCHAIN="stable")
    expected = {
        "build": "cargo build",
        "build_workspace": "cargo build --workspace",
        "build_release": "cargo build --release",
        "build_run_cuda": "cargo build --package dynamo-run --features cuda",
        "check": "cargo check",
        "check_workspace": "cargo check --workspace",
        "clippy": "cargo clippy --no-deps --all-targets -- -D warnings",
        "doc": "cargo doc --no-deps",
        "bench_radix_tree": "cargo bench --package dynamo-kv-router --features bench --bench radix_tree_microbench",
        "build_dynamo_memory": "cargo build --package dynamo-memory",
    }
    assert {name: argv(found[name]) for name in expected} == expected
    assert [name for name, plan in found.items() if "RUSTFLAGS" in plan["steps"][0]["env"]] == []
    assert len(found["check"]["packages"]) == 7
    assert len(found["check_workspace"]["packages"]) == 12


@pytest.mark.shared
def test_what_the_pack_names_is_all_there_on_the_real_manifests(materialise: Callable[[str], Path]) -> None:
    said = call(materialise("dynamo-2026-02"), "doit-cargo", "list", "--json", RUSTUP_TOOLCHAIN="stable")
    rows = {row["name"]: row["reason"] for row in json.loads(said.out) if not row["available"]}
    # Only manifests are laid out: no pyproject.toml makes a crate one of maturin's.
    others = (
        "needs a crate that maturin builds",
        "mistralrs",
        "is for the pack",
        "only on",
        "needs a package in the role",
        "needs the profile",
    )
    assert {name: reason for name, reason in rows.items() if not any(word in reason for word in others)} == {}


# --- drift -----------------------------------------------------------------------------------------------------------

LATER: Spec = {
    "dynamo-runtime": {"features": {"integration": []}},
    "dynamo-llm": {"features": {"block-manager": []}, "dependencies": {"dynamo-runtime": ""}},
    "dynamo-kv-router": {},
}


def test_a_checkout_of_another_year_lacks_targets_and_says_why(tmp_path: Path) -> None:
    make_workspace(tmp_path, LATER)
    rows = {row["name"]: row["reason"] for row in json.loads(call(tmp_path, "doit-cargo", "list", "--json").out)}
    assert {name: rows[name] for name in ("build_run", "bench_tokenizer", "check_kvbm", "build_llm")} == {
        "build_run": "needs the package dynamo-run, which this checkout lacks",
        "bench_tokenizer": "needs the bench tokenizer, which dynamo-llm lacks in this checkout",
        "check_kvbm": "works on lib/bindings/kvbm/Cargo.toml, which this checkout lacks",
        "build_llm": "",
    }
    assert rows["build_console"].startswith("the package dynamo-runtime has no feature 'tokio-console'")
    assert rows["check_satellites"].startswith("lacks its parts: ")


# --- the scale model -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["build_workspace", "build_llm", "build_run", "check", "fmt_check", "clippy"])
def test_a_target_does_its_work_and_is_then_skipped(model: Model, name: str) -> None:
    first, second = model.tool(name), model.tool(name)
    assert (first.status, second.status) == (0, 0), first.err
    assert last(second).startswith(f"-- {name}  up to date: ")


@pytest.mark.slow
def test_the_cfg_of_the_config_file_reaches_the_program(model: Model) -> None:
    model.tool("build_run")
    shown = call(model.root, str(model.root / "target/debug/dynamo-run"), "--info").out
    assert "tokio_unstable=true\n" in shown


@pytest.mark.slow
def test_an_edit_of_the_proto_file_builds_what_is_made_of_it(model: Model) -> None:
    model.tool("build")
    model.edit("lib/llm/src/grpc/protos/kserve.proto", "rpc ModelReady(", "rpc ModelIsReady(")
    said = model.tool("build")
    assert "dynamo-llm changed (lib/llm/src/grpc/protos/kserve.proto" in said.out
    model.git("checkout", "-q", ".")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["gone", "edited"])
def test_the_header_in_the_source_tree_is_written_again(model: Model, damage: str) -> None:
    model.tool("build_c_header")
    header = model.root / HEADER
    whole = header.read_text()
    assert "uint32_t dynamo_llm_version(void);\n" in whole
    if damage == "gone":
        header.unlink()
    else:
        header.write_text("edited")
    said = model.tool("build_c_header")
    assert (said.status, header.read_text()) == (0, whole), said
    assert last(model.tool("build_c_header")).startswith("-- build_c_header  up to date")


@pytest.mark.slow
def test_a_commit_makes_the_program_with_the_revision_stale(model: Model) -> None:
    model.tool("build_run")
    model.git("commit", "-q", "--allow-empty", "-m", "second")
    assert "dynamo-run changed" in model.tool("build_run").out
    assert last(model.tool("build_run")).startswith("-- build_run  up to date")


@pytest.mark.slow
def test_without_protoc_the_build_fails_and_the_check_says_how_to_get_it(model: Model) -> None:
    said = model.tool("build_llm", "FORCE=1", PROTOC="/nowhere/protoc")
    assert said.status in (1, 2)
    check = model.tool("check_protoc", PROTOC="/nowhere/protoc")
    assert (check.status, "check_protoc needs protoc" in check.err, "protobuf" in check.err) == (2, True, True)
    assert model.tool("check_protoc").status == 0


@pytest.mark.slow
def test_the_satellite_is_reached_by_its_own_target(model: Model) -> None:
    assert model.tool("check_runtime_examples").status == 0
    assert last(model.tool("check_satellites")) == "ok check_satellites  check_runtime_examples: all well"
    model.edit("lib/runtime/examples/hello_world/src/main.rs", "hello, started", "hello; started")
    assert last(model.tool("check_runtime_examples")).startswith("ok check_runtime_examples")
    model.git("checkout", "-q", ".")


# --- etcd ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_tests_that_need_etcd_do_not_run_without_it_and_say_why(model: Model) -> None:
    place = f"http://127.0.0.1:{free_port()}"
    said = model.tool("test_etcd", ETCD_ENDPOINTS=place)
    assert said.status == 2
    assert f"test_etcd needs etcd, which does not answer at {place} (connection refused)" in said.err
    assert "fix: start it: etcd, or set ETCD_ENDPOINTS to where it runs; get it: " in said.err


@pytest.mark.slow
def test_etcd_is_found_where_its_variable_says(model: Model, etcd: str) -> None:
    check = model.tool("check_etcd", ETCD_ENDPOINTS=etcd)
    assert (check.status, last(check)) == (0, f"ok check_etcd  etcd answers at {etcd}")


# What passed, as the log sums it up: cargo's programs one by one (etcd's tests are the second), nextest's at once; doc
# tests last.
SUMS = {
    "cargo": ["1 passed", "2 passed", "2 passed", "2 passed", "0 passed", "1 passed"],
    "nextest": ["7 tests run: 7 passed", "1 passed"],
}


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["cargo", pytest.param("nextest", marks=needs_nextest)])
def test_tests_that_need_etcd_talk_to_it(model: Model, etcd: str, runner: str) -> None:
    said = model.tool("test_etcd", f"RUNNER={runner}", "FORCE=1", ETCD_ENDPOINTS=etcd)
    assert said.status == 0, said.err
    log = (model.root / ".testlogs/test-etcd.log").read_text()
    assert re.findall(r"^ *(?:Summary .*\] |test result: ok\. )(.* passed)", log, re.MULTILINE) == SUMS[runner]
    assert ("test a_value_comes_back ... ok\n" in log) == (runner == "cargo")  # nextest is told to name failures only
    row = next(line for line in said.out.splitlines() if line.startswith("   dynamo-runtime "))
    assert row.split()[1:4] == ["8", "0", "0"]


# --- the pin ---------------------------------------------------------------------------------------------------------


def test_a_pin_that_is_not_installed_is_told_before_anything_starts(tmp_path: Path, protoc: Path) -> None:
    model = lay_out(tmp_path, protoc)
    write(model.root / "rust-toolchain.toml", '[toolchain]\nchannel = "1.10.0"\n')
    said = model.tool("check", RUSTUP_AUTO_INSTALL="0")
    assert said.status == 2
    assert "rust-toolchain.toml:2: the pinned toolchain 1.10.0 is not installed\n" in said.err
    assert "or set RUSTUP_TOOLCHAIN to an installed one" in said.err
    assert model.tool("list", RUSTUP_TOOLCHAIN="stable").status == 0
