"""`doit-cargo migrate` where make decides by the age of a file, and where a recipe starts what only a recipe makes."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import pytest
from calling import MAKE, Said, needs_make, posix
from calling import forked_call as call
from conftest import Spec, make_workspace, needs_cargo, write

pytestmark = [needs_cargo, needs_make, posix]

SPEC: Spec = {"server": {"bins": {"server": []}}}
MAKEFILE = """\
KIND ?= release
PROGRAM = target/$(KIND)/server
LIST = $(shell ls target)
.PHONY: install lint check tidy packed listed quick sorted
$(PROGRAM): Cargo.toml server/Cargo.toml
	cargo build --profile $(KIND)
install: $(PROGRAM)
	install -Dm755 $(PROGRAM) out/server
target/bundle: Cargo.toml
	mkdir -p target
	cargo build --release
target/image: Cargo.toml
	cargo +nightly build
target/some: Cargo.toml server/Cargo.toml
	cargo check -p $(if $(filter Cargo.toml,$?),server,other)
env/bin/python:
	python3 -m venv env
	env/bin/pip install ruff
lint: env/bin/python
	cargo clippy --workspace
	env/bin/ruff check
check: lint
	cargo check --workspace
tidy: env
	cargo fmt
env:
	tool env
packed: $(PROGRAM)
	tar -c $(PROGRAM) | gzip > packed.tgz
listed: $(PROGRAM)
	tar -c $(LIST) | gzip > listed.tgz
quick:
	cargo check --workspace
sorted: quick
	cargo tree | sort
"""
SKIPS = "make skips {} while that file is newer than what it is made of"


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A workspace whose Makefile was migrated, and what that said."""
    root = make_workspace(tmp_path_factory.mktemp("migrated") / "ws", SPEC)
    write(root / "Makefile", MAKEFILE)
    return root, call(root, "doit-cargo", "migrate", "--json")


def reasons(said: Said) -> dict[str, str]:
    return {row["name"]: row["reason"] for row in json.loads(said.out)}


def test_a_file_of_which_make_leaves_out_cargo_alone_is_taken_over_and_other_ones_are_kept(
    migrated: tuple[Path, Said],
) -> None:
    assert reasons(migrated[1]) == {
        "target/release/server": "",
        "install": "",
        "target/bundle": SKIPS.format("target/bundle"),
        "target/image": SKIPS.format("target/image"),
        "target/some": SKIPS.format("target/some"),
        "env/bin/python": "calls no cargo",
        "lint": "",
        "check": "",
        "tidy": "",
        "env": "calls no cargo",
        "packed": "",
        "listed": SKIPS.format("target/release/server"),
        "quick": "",
        "sorted": "",
    }


def test_what_comes_behind_a_file_of_another_program_begins_with_the_old_file(migrated: tuple[Path, Said]) -> None:
    tables = tomllib.loads((migrated[0] / "profiles/pack.toml").read_text())["target"]
    first, *rest = [tables[part] for part in tables["make_lint"]["after"]]
    assert first["run"] == ["make", "-f", "Makefile", "env/bin/python"]
    assert [row.get("command") or row["run"] for row in rest] == ["clippy", ["env/bin/ruff", "check"]]
    assert tables[tables["tidy"]["after"][0]]["run"] == ["make", "-f", "Makefile", "env"]


def test_what_comes_before_what_cannot_be_a_row_is_one_and_the_old_file_goes_on(migrated: tuple[Path, Said]) -> None:
    tables = tomllib.loads((migrated[0] / "profiles/pack.toml").read_text())["target"]
    last = {name: tables[tables[name]["after"][-1]]["run"] for name in ("packed", "sorted")}
    assert {name: tables[name]["after"][0] for name in last} == {
        "packed": "build",
        "sorted": tables["make_check"]["after"][-1],
    }
    assert last == {
        "packed": ["make", "-f", "Makefile", "packed"],
        "sorted": ["make", "-f", "Makefile", "-W", "quick", "sorted"],
    }


def test_compare_says_where_make_leaves_out_by_age_what_is_left_out_by_proof(migrated: tuple[Path, Said]) -> None:
    said = call(migrated[0], "doit-cargo", "makefile", "--compare", "Makefile", "--json")
    verdicts = {row["name"]: (row["verdict"], *row["lines"]) for row in json.loads(said.out)}
    by_proof = (
        "by proof",
        "make leaves out by the age of target/release/server, and this by proof: cargo build --release",
    )
    kept = dict.fromkeys((name for name, reason in reasons(migrated[1]).items() if reason), ("kept",))
    taken = {
        "target/release/server": by_proof,
        "install": by_proof,
        "packed": by_proof,
        "quick": ("same",),
        "sorted": ("same",),
        "lint": ("same",),
        "check": ("same",),
        "tidy": ("same",),
    }
    assert (said.status, verdicts) == (0, {**kept, **taken})


def test_a_row_that_runs_cargo_where_make_would_not_differs(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", SPEC)
    write(root / "Makefile", "out/server: Cargo.toml\n\tcargo build --release\n")
    write(root / "profiles/pack.toml", '[target.out_server]\ndoc = "X."\nrun = ["cargo", "build", "--release"]\n')
    said = call(root, "doit-cargo", "makefile", "--compare", "Makefile")
    assert (said.status, " ".join(said.out.splitlines()[0].split())) == (
        1,
        "differs out/server where out/server is new: added: cargo build --release --workspace (Makefile:1)",
    )


def test_a_program_with_a_new_time_is_made_anew_where_its_source_is_another_one(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", SPEC)
    write(root / "Makefile", "".join(MAKEFILE.partition("install:")[0]))
    assert call(root, "doit-cargo", "migrate").status == 0
    name = "target/release/server"
    first, second = call(root, MAKE, name), call(root, MAKE, name)
    assert (first.status, second.status, "up to date" in second.out) == (0, 0, True), second
    source = root / "server/src/bin/server.rs"
    before = source.stat()
    write(source, 'fn main() { println!("another one"); }\n')
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "is up to date" in call(root, MAKE, "-f", "Makefile", name).out
    assert call(root, MAKE, name).status == 0
    assert call(root, str(root / name)).out == "another one\n"
