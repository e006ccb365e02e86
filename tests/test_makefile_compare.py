"""`doit-cargo makefile --compare` and `init --from-makefile`: what an old Makefile did is told, and carried over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import Said, call, needs_make
from conftest import Spec, make_workspace, needs_cargo, write
from doit_cargo.migrate.cargo_call import differences, parse
from doit_cargo.migrate.shell import commands_of

pytestmark = [needs_cargo, needs_make]

SPEC: Spec = {
    "server": {"dependencies": {"engine": ""}, "bins": {"server": []}, "features": {"cuda": [], "flash": []}},
    "engine": {},
}
# The shapes of a real Makefile of 575 lines: variables, tee, cd, assignments, an echo for a check, shell loops.
OLD = """\
CARGO := cargo
LOGS := .logs
RELEASE := --release
VERBOSE_FLAGS := $(if $(VERBOSE),-vv,)
CUDA := cuda,flash
.PHONY: help setup check check-all build build-cuda tested lint ci wheel check-env tricky deep envy all
.DEFAULT_GOAL := help

help: ## Show this
	@grep -E '^[a-z-]+:' $(MAKEFILE_LIST) | sort

setup:
	@mkdir -p $(LOGS)

check:
	$(CARGO) check --workspace $(VERBOSE_FLAGS)

build: setup
	@echo "Building..."
	$(CARGO) build $(RELEASE) 2>&1 | tee $(LOGS)/build.log
	@ls -lh target/release/server 2>/dev/null || echo "built"

build-cuda: setup check-env
	$(CARGO) build $(RELEASE) --package server --features "$(CUDA)" -j$(shell nproc) 2>&1 | tee $(LOGS)/cuda.log

tested:
	RUST_BACKTRACE=1 $(CARGO) test --workspace -- --nocapture || echo "tests skipped"

lint:
	$(CARGO) clippy --workspace --all-targets \\
	-- -D warnings

ci: check lint

wheel:
	cd bindings && maturin build --release

check-env:
	@echo "Checking..." && echo "all fine"

tricky:
	for name in engine server; do $(CARGO) build -p $$name; done

deep:
	@sh -c 'cd engine && $(CARGO) doc --no-deps'

envy:
	RUSTFLAGS="-C target-cpu=native" $(CARGO) build --release -p engine

all: build check
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_workspace(tmp_path / "ws", SPEC)
    write(tmp_path / "ws/Makefile.old", OLD)
    write(tmp_path / "ws/bindings/pyproject.toml", "")
    return tmp_path / "ws"


def compare(root: Path, *more: str) -> Said:
    return call(root, "doit-cargo", "makefile", "--compare", "Makefile.old", *more)


def verdicts(root: Path) -> dict[str, str]:
    return {row["name"]: row["verdict"] for row in json.loads(compare(root, "--json").out)}


def test_each_old_target_gets_a_verdict(root: Path) -> None:
    said = compare(root)
    found = verdicts(root)
    assert said.status == 1
    assert {
        name: found[name] for name in ("check", "build", "build-cuda", "check-env", "setup", "wheel", "tricky")
    } == {
        "check": "same",
        "build": "same",
        "build-cuda": "differs",
        "check-env": "echoes",
        "setup": "other",
        "wheel": "absent",
        "tricky": "missing",
    }


def test_a_difference_names_what_is_lost(root: Path) -> None:
    lines = compare(root).out.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("differs  build-cuda"))
    assert " ".join(lines[start].split()) == (
        "differs build-cuda packages lost: server; features lost: flash (Makefile.old:24)"
    )
    assert lines[start + 1].strip() == "old: cargo build --release --package server --features cuda,flash"


def test_what_hides_a_failure_is_told(root: Path) -> None:
    out = compare(root).out
    assert "the old one hides a failure of cargo behind '| tee'" in out
    assert "the old one hides a failure of cargo behind '|| echo'" in out


def test_an_own_target_that_asks_for_the_same_is_the_same(root: Path) -> None:
    row = '[target.tested]\ndoc = "Test."\ncommand = "test"\npackage = "all"\npassed = ["--nocapture"]\n'
    write(root / "profiles/pack.toml", row + 'profile = "traced"\n')
    write(root / "profiles/traced.toml", 'extends = "dev"\n[env]\nRUST_BACKTRACE = "1"\n')
    assert verdicts(root)["tested"] == "same"


def test_nothing_lost_is_success(root: Path) -> None:
    write(root / "Makefile.old", "check:\n\tcargo check --workspace\n\nbuild:\n\tcargo b -r\n")
    said = compare(root)
    assert (said.status, said.out.splitlines()[-1]) == (
        0,
        "2 targets: 2 same, 0 differs, 0 missing, 0 absent, 0 without cargo",
    )


# What an action of ours stands for is compared too: the same, and with something lost.
ACTIONS = {
    "fmt": ("cargo fmt --all", "cargo fmt --all -- --emit=files"),
    "fmt-check": ("cargo fmt --all -- --check", "cargo fmt"),
    "lint-fix": ("cargo clippy --fix --workspace --all-targets", "cargo clippy --fix --allow-dirty"),
    "doc-open": ("cargo doc --workspace --no-deps --open", "cargo doc --open --document-private-items"),
    "test-coverage": ("cargo llvm-cov --workspace --html", "cargo llvm-cov --workspace --features cuda --html"),
    "test-nextest": ("cargo nextest run --workspace", "cargo nextest run --workspace --no-fail-fast"),
    "bench": ("cargo bench --workspace", "cargo bench --workspace -- --save-baseline main"),
    "bench-engine": ("cargo bench -p engine --profile bench", "cargo bench -p server"),
    "deps-tree": ("cargo tree", "cargo tree -e normal"),
    "deps-duplicates": ("cargo tree --workspace -d", "cargo tree -d --depth 3"),
    "deps-update": ("cargo update", "cargo update --package serde"),
    "deps-why": ("cargo tree --workspace --invert", "cargo tree --workspace -i serde"),
    "audit": ("cargo audit", "cargo audit --deny warnings"),
    "deny": ("cargo deny check licenses bans sources", "cargo deny check all"),
    "deny-advisories": ("cargo deny check advisories", "cargo deny check advisories --hide-inclusion-graph"),
    "bloat-check": ("cargo bloat --release --crates", "cargo bloat --crates"),
    "binary-analysis": ("cargo bloat -n 50 -r | tee bloat.txt", "cargo bloat --release -n 50 --filter std"),
    "build-timings": ("cargo build --release --timings", "cargo build --release --timings --features cuda"),
    "clean": ("cargo clean; rm -rf .logs", "cargo clean --doc"),
    "rebuild": ("cargo clean && cargo build --release", "cargo clean && cargo build --release --features cuda"),
    "setup-nextest": ("cargo install cargo-nextest --locked", "cargo install cargo-nextest"),
}


def test_what_actions_stand_for_is_compared(root: Path) -> None:
    write(root / "deny.toml", "")
    write(root / "engine/benches/speed.rs", "fn main() {}")
    found = []
    for recipes in (
        {name: same for name, (same, _) in ACTIONS.items()},
        {name: other for name, (_, other) in ACTIONS.items()},
    ):
        write(root / "Makefile.old", "".join(f"{name}:\n\t{recipe}\n\n" for name, recipe in recipes.items()))
        found.append(verdicts(root))
    assert found == [dict.fromkeys(ACTIONS, "same"), dict.fromkeys(ACTIONS, "differs")]


def test_what_starts_the_server_is_compared(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    make_workspace(root, {"mistralrs-server": {"bins": {"mistralrs-server": []}, "features": {"cuda": []}}})
    calls = {
        "run": "cargo run --release -p mistralrs-server",
        "run-server": "cargo run --release -p mistralrs-server --features cuda",
    }
    write(root / "Makefile.old", "".join(f"{name}:\n\t{recipe}\n\n" for name, recipe in calls.items()))
    rows = json.loads(compare(root, "--json").out)
    assert [(row["name"], row["verdict"], row["lines"]) for row in rows] == [
        ("run", "same", []),
        (
            "run-server",
            "differs",
            [
                "features lost: cuda",
                "  old: cargo run --release --package mistralrs-server --features cuda",
                "  new: cargo run --release --package mistralrs-server",
            ],
        ),
    ]


def test_reading_starts_no_recipe(root: Path) -> None:
    write(root / "Makefile.old", "a:\n\ttouch ran\n\tcargo build\n\nb:\n\t+touch ran\n\nc: a\n\t$(MAKE) a\n")
    found = verdicts(root)
    assert not (root / "ran").exists()
    assert found["b"] == "other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n  cargo build\n", "Makefile.old:2: make cannot read this Makefile: *** missing separator"),
        ("include nowhere.mk\na:\n\tx\n", "Makefile.old:1: make cannot read this Makefile: nowhere.mk: No such file"),
    ],
)
def test_a_broken_makefile_is_told_with_its_line(root: Path, text: str, message: str) -> None:
    write(root / "Makefile.old", text)
    said = compare(root)
    assert (said.status, said.err.startswith(f"doit-cargo: {message}")) == (3, True), said.err


def test_an_absent_makefile_is_told(root: Path) -> None:
    said = call(root, "doit-cargo", "makefile", "--compare", "nowhere")
    assert (said.status, said.err.splitlines()[0]) == (3, "doit-cargo: nowhere: there is no such file")


# --- carried over ----------------------------------------------------------------------------------------------------


def test_what_is_carried_over_is_then_the_same(root: Path) -> None:
    said = call(root, "doit-cargo", "init", "--from-makefile", "Makefile.old")
    assert said.status == 0, said.err
    found = verdicts(root)
    lost = {name for name, verdict in found.items() if verdict in ("differs", "missing")}
    assert lost == {"tricky"}
    assert {
        name: found[name] for name in ("build-cuda", "tested", "lint", "ci", "wheel", "envy", "all")
    } == dict.fromkeys(("build-cuda", "tested", "lint", "ci", "wheel", "envy", "all"), "same")
    text = (root / "profiles/pack.toml").read_text()
    assert "# tricky: not carried over, since it needs a shell: for name in engine server;" in text


def test_what_is_carried_over_runs(root: Path) -> None:
    call(root, "doit-cargo", "init", "--from-makefile", "Makefile.old")
    plan = json.loads(call(root, "doit-cargo", "plan", "build-cuda", "--json").out)
    assert plan["steps"][0]["argv"] == [
        "cargo",
        "build",
        "--release",
        "--package",
        "server",
        "--features",
        "cuda,flash",
    ]
    envy = json.loads(call(root, "doit-cargo", "plan", "envy", "--json").out)
    assert envy["steps"][0]["env"] == {"RUSTFLAGS": "-C target-cpu=native"}
    assert call(root, "doit-cargo", "list").status == 0


def test_carrying_over_twice_changes_nothing(root: Path) -> None:
    call(root, "doit-cargo", "init", "--from-makefile", "Makefile.old")
    before = {path.name: path.read_text() for path in (root / "profiles").iterdir()}
    said = call(root, "doit-cargo", "init", "--from-makefile", "Makefile.old")
    assert "0 targets are carried over" in said.out
    assert {path.name: path.read_text() for path in (root / "profiles").iterdir()} == before


# --- reading the shell -----------------------------------------------------------------------------------------------

LINES = {
    "cd a && FOO=1 cargo build -p x | tee log": [
        ("cargo build -p x", "a", {"FOO": "1"}, "| tee"),
        ("tee log", "a", {}, ""),
    ],
    "if [ -f x ]; then cargo test; fi": [("[ -f x ]", "", {}, ""), ("cargo test", "", {}, "")],
    'sh -c "cd q; cargo b -r"': [("cargo b -r", "q", {}, "")],
    "env -u A B=2 cargo +nightly fmt": [("cargo +nightly fmt", "", {"B": "2"}, "")],
    'echo "a && cargo build"': [("echo a && cargo build", "", {}, "")],
    "cargo build || (echo no && exit 1)": [
        ("cargo build", "", {}, ""),
        ("echo no", "", {}, ""),
        ("exit 1", "", {}, ""),
    ],
    "cargo audit || true": [("cargo audit", "", {}, "|| true"), ("true", "", {}, "")],
    "export A=1; cargo check > log 2>&1": [("cargo check", "", {"A": "1"}, "")],
    "(cd x && cargo doc); cargo check": [("cargo doc", "x", {}, ""), ("cargo check", "", {}, "")],
    "timeout -k 5 60 nice -n 5 cargo bench": [("cargo bench", "", {}, "")],
    "cargo test 'a b' # cargo build": [("cargo test a b", "", {}, "")],
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_a_recipe_starts_these_programs(line: str) -> None:
    found = [(" ".join(each.argv), each.folder, dict(each.env), each.masked) for each in commands_of(line)]
    assert found == LINES[line]


SAME = [
    ("cargo build --release", "cargo b -r"),
    ("cargo build -p a -F x,y", "cargo build --package=a --features 'y x'"),
    ("cargo test --all -- --nocapture", "cargo test --workspace -- --nocapture"),
    ("cargo build -j4 -vv", "cargo --color always build"),
    ("cargo build --profile dev", "cargo build"),
]
DIFFERENT = [
    ("cargo build", "cargo build --release", "profile dev -> release"),
    ("cargo build -p a", "cargo build -p b", "packages lost: a"),
    ("cargo build -F x,y", "cargo build -F x", "features lost: y"),
    ("cargo check --workspace", "cargo check", "the whole workspace -> fewer packages"),
    ("cargo test --locked", "cargo test", "'--locked' -> nothing"),
    ("cargo clippy -- -D warnings", "cargo clippy", "'-D warnings' -> nothing"),
    ("cargo tree -e normal", "cargo tree -e build", "'-e normal' -> '-e build'"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_spellings_of_one_request_are_the_same(one: str, other: str) -> None:
    first, second = (parse(commands_of(text)[0].argv) for text in (one, other))
    assert first
    assert second
    assert differences(first, second) == []


@pytest.mark.parametrize(("one", "other", "text"), DIFFERENT)
def test_what_differs_is_named(one: str, other: str, text: str) -> None:
    first, second = (parse(commands_of(line)[0].argv) for line in (one, other))
    assert first
    assert second
    assert text in differences(first, second)
