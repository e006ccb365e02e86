"""`doit-cargo migrate` and `makefile --compare` on Makefiles: what is recorded is taken over or kept; none is lost."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from calling import MAKE, Said, needs_make, posix, program
from calling import forked_call as call
from conftest import SHARED, Spec, make_workspace, needs_cargo, write
from doit_cargo.migrate.recording.lines import why_not

pytestmark = [needs_cargo, needs_make, posix]

SPEC: Spec = {
    "server": {"bins": {"server": []}, "features": {"turbo": [], "cold": []}},
    "engine": {"features": {"trunk": []}},
}
# One target a kind of fault: what a reader of recipes gets wrong.
MAKEFILE = """\
EXTRA ?=
KIND ?= release
export API_LEVEL ?= 3
TRUNKS = oak elm
STAMP := $(shell date +%s)
.PHONY: first empty pinned other-place sub-make loop tested asks cleanup piped spoken chooses anyway built-at \\
        lint_All Build.x86_64 here per-platform with-own test-engine chain docs redirected hidden \\
        with-tools nested by-words of-ci gently by-path taken-away \\
        there named asks-late installs either stamped talks-of-it
first: empty

empty: ## with a feature list that is empty
	cargo build --features "$(EXTRA)" --profile "$(KIND)"
pinned:
	cargo +beta clippy --workspace -- -D warnings
other-place:
	cargo build --manifest-path tools/Cargo.toml
sub-make:
	$(MAKE) pinned && touch MADE
	cd engine && cargo check
loop:
	for name in turbo cold; do cargo check --features $$name || exit 1; done
tested:
	@if [ -d models ]; then rm -rf models; fi
	cargo test
asks:
	command -v taplo >/dev/null || exit 1
	cargo fmt
cleanup:
	cargo clean
	rm -rf dist
piped:
	cargo build 2>&1 | tee build.log
spoken:
	@echo "Checking..."
	cargo check --workspace
	@echo "well done"
chooses:
	[ "$$CI" = true ] && cargo publish
anyway:
	-cargo audit
	cargo check
built-at:
	BUILT_AT=$(STAMP) cargo build
lint_All:
	cargo clippy --all-targets
Build.x86_64:
	cargo build --target x86_64-unknown-linux-gnu
here:
	cargo build --target-dir $(CURDIR)/out
per-platform:
ifeq ($(OS),Windows_NT)
	cargo build --features cold
else
	cargo build --features turbo
endif
with-own: export STAGE = late
with-own: export name = n
with-own: export out = o
with-own:
	cargo build --release --features turbo
test-engine: test-engine-oak
test-engine-%:
	env TRUNK=$* cargo test --release --features trunk -p engine
trunks: $(patsubst %,test-engine-%,$(TRUNKS))
.PHONY: trunks
chain: pinned other-place
docs: book/index.html
book/index.html:
	cargo doc
redirected:
	cargo run --bin server > spec.json
hidden:
	@./tools/run.sh --fast
with-tools:
	rustup target add wasm32-unknown-unknown
	sed -i s/a/b/ engine/src/lib.rs
	sleep 1
	cargo check
	git diff --exit-code
nested:
	bash -c '[ -d models ] && rm -rf models; cargo test'
by-words:
	if [ -z "$(EXTRA)" ]; then cargo doc; else cargo bench; fi
of-ci:
	if [ "$$CI" = true ]; then cargo bench --locked; else cargo bench; fi
gently:
	nice -n 5 cargo check
by-path:
	/bin/rm -rf dist && cargo check
taken-away:
	env -u RUSTFLAGS cargo check
there:
	cargo build --target-dir "$(CURDIR)/out"
named:
	cargo build --features "$(notdir $(CURDIR))"
asks-late:
	cargo fmt
	@if ! which taplo > /dev/null 2>&1; then echo "taplo is missing"; exit 1; fi
	taplo fmt
installs:
	command -v taplo || cargo install taplo
	cargo fmt
either:
	if command -v taplo; then cargo fmt; else cargo check; fi
stamped:
	cargo check
	echo done > target/stamp
talks-of-it: ## as cargo would
	@# not by cargo itself
	false
"""
KEPT = {
    "nested": "chooses ([): [ -d models ] && rm -rf models; cargo test",
    "by-path": "starts /bin/rm by its path, which cannot be watched",
    "taken-away": "takes variables away (env)",
    "tested": "chooses ([)",
    "named": "elsewhere: API_LEVEL=3 cargo build --features doit-cargo-elsewhere",
    "installs": "does something else after a failure (||)",
    "either": "does something else where taplo is missing",
    "stamped": "writes or reads a file",
    "piped": "has a pipe",
    "talks-of-it": "does not end well in a fresh copy",
    "chooses": "does not end well in a fresh copy",
    "anyway": "goes on, or ends well, though this fails: ",
    "built-at": "depends on date",
    "here": "names a place of this machine (a piece of the checkout's path)",
    "redirected": "writes or reads a file",
    "hidden": "calls no cargo",
}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A workspace whose Makefile was migrated, and what that said."""
    root = make_workspace(tmp_path_factory.mktemp("migrated") / "a b", SPEC)
    write(root / "Makefile", MAKEFILE)
    program(root / "tools/run.sh", "cargo run")
    return root, call(root, "doit-cargo", "migrate", "--json")


def rows(said: Said) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in json.loads(said.out)}


def test_what_always_does_the_same_is_taken_over_and_the_rest_is_kept_with_the_reason(
    migrated: tuple[Path, Said],
) -> None:
    found = rows(migrated[1])
    kept = {name: row["reason"] for name, row in found.items() if not row["taken"]}
    wrong = {name: (reason, KEPT.get(name)) for name, reason in kept.items() if KEPT.get(name, "?") not in str(reason)}
    assert (migrated[1].status, wrong) == (0, {})
    assert kept.keys() == KEPT.keys()
    assert [name for name, row in found.items() if not row["calls_cargo"]] == ["hidden", "talks-of-it"]


def test_the_old_file_and_the_sources_are_untouched(migrated: tuple[Path, Said]) -> None:
    root = migrated[0]
    assert (root / "Makefile").read_text() == MAKEFILE
    ours = {"GNUmakefile", "profiles", ".doit-cargo", "Cargo.lock"}
    assert {path.name for path in root.iterdir()} - ours == {"Cargo.toml", "Makefile", "tools", *SPEC}


def test_what_is_kept_is_shown_and_can_be_called(migrated: tuple[Path, Said]) -> None:
    root = migrated[0]
    shown = call(root, "doit-cargo", "kept").out
    assert shown.startswith("kept in Makefile:\n  make ")
    patterns = {"test-engine-%"}
    assert {line.removeprefix("  make ") for line in shown.splitlines()[1:]} == {*KEPT, *patterns}
    assert call(root, "doit-cargo", "list").out.endswith(shown)
    assert re.search(
        r"^make \S+ +kept in Makefile, with \d+ more: doit-cargo kept$", call(root, "doit-cargo").out, re.M
    )
    refused = call(root, "doit-cargo", "hidden")
    assert refused.err == (
        "doit-cargo: hidden is no target, but kept in Makefile\n  fix: make hidden, or: doit-cargo kept hidden\n"
    )
    assert call(root, "doit-cargo", "help", "hidden").err == refused.err
    called, itself = call(root, "doit-cargo", "kept", "talks-of-it"), call(root, "make", "talks-of-it")
    assert (called.status, itself.status, called.out) == (1, 2, f".. make talks-of-it\n{itself.out}")
    assert "did you mean 'hidden'?" in call(root, "doit-cargo", "kept", "hiden").err


def test_no_row_holds_a_path_a_number_a_date_or_a_word_of_a_shell(migrated: tuple[Path, Said]) -> None:
    text = (migrated[0] / "profiles/pack.toml").read_text()
    assert str(migrated[0]) not in text
    assert not any(word in text for word in ("_1]", "_2]", '"for"', '"if"', "BUILT_AT="))
    assert 'run = ["cargo", "+beta", "clippy", "--workspace", "--", "-D", "warnings"]' in text
    assert 'run = ["cargo", "build", "--manifest-path", "tools/Cargo.toml"]' in text


def test_what_a_row_of_cargo_can_say_is_one_and_no_other_program_is_lost(migrated: tuple[Path, Said]) -> None:
    tables = tomllib.loads((migrated[0] / "profiles/pack.toml").read_text())["target"]
    assert tables["with_own"]["command"] == "build"
    profile = tomllib.loads((migrated[0] / f"profiles/{tables['with_own']['profile']}.toml").read_text())
    assert profile["env"].items() >= {"STAGE": "late", "name": "n", "out": "o"}.items()
    assert {"build", "check", "clippy", "bench"} <= {table.get("command") for table in tables.values()}
    assert [tables[part]["run"][0] for part in tables["with_tools"]["after"] if "run" in tables.get(part, {})] == [
        "rustup",
        "sed",
        "sleep",
        "git",
    ]
    assert tables["gently"]["run"] == ["nice", "-n", "5", "cargo", "check"]


def test_a_tool_that_must_be_there_is_a_row_of_its_own_and_a_place_of_the_checkout_is_no_path(
    migrated: tuple[Path, Said],
) -> None:
    tables = tomllib.loads((migrated[0] / "profiles/pack.toml").read_text())["target"]
    assert tables["have_taplo"]["needs"] == ["taplo"]
    assert [tables["asks"]["after"][0], tables["asks_late"]["after"][1]] == ["have_taplo", "have_taplo"]
    assert tables["there"]["run"] == ["cargo", "build", "--target-dir", "{root}/out"]
    assert f"cargo build --target-dir '{migrated[0]}/out'" in call(migrated[0], "doit-cargo", "plan", "there").out


def test_what_is_for_one_system_is_not_for_another_one(migrated: tuple[Path, Said]) -> None:
    table = tomllib.loads((migrated[0] / "profiles/pack.toml").read_text())["target"]["per_platform"]
    assert table["platforms"] == ["linux", "macos"]
    assert "cargo build --features cold" in call(migrated[0], MAKE, "-n", "per-platform", OS="Windows_NT").out


def test_a_check_that_is_lost_differs(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", SPEC)
    write(root / "Makefile", "words:\n\t@which typos >/dev/null || exit 1\n\tcargo fmt\n")
    write(root / "profiles/pack.toml", '[target.words]\ndoc = "Words."\nrun = ["cargo", "fmt"]\n')
    said = call(root, "doit-cargo", "makefile", "--compare", "Makefile")
    assert (said.status, " ".join(said.out.splitlines()[0].split())) == (
        1,
        "differs words without typos: added: cargo fmt (Makefile:1)",
    )


def test_recorded_again_through_the_shim_nothing_differs(migrated: tuple[Path, Said]) -> None:
    said = call(migrated[0], "doit-cargo", "makefile", "--compare", "Makefile", "--json")
    verdicts = {row["name"]: row["verdict"] for row in json.loads(said.out)}
    taken = {name for name, row in rows(migrated[1]).items() if row["taken"]}
    by_proof = {"docs", "book/index.html"}
    assert {name for name, verdict in verdicts.items() if verdict == "by proof"} == by_proof
    assert {name for name, verdict in verdicts.items() if verdict == "same"} == taken - by_proof
    assert {verdict for name, verdict in verdicts.items() if name not in taken} == {"kept"}
    assert said.status == 0


def test_a_second_migration_changes_nothing(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", SPEC)
    write(root / "Makefile", "quick:\n\tcargo build --release\nclean:\n\tcargo clean\n\trm -rf dist\n")
    first = call(root, "doit-cargo", "migrate", "--json")
    before = {path: path.read_bytes() for path in (root / "GNUmakefile", *(root / "profiles").iterdir())}
    again = rows(call(root, "doit-cargo", "migrate", "--json"))
    assert {name: row["target"] for name, row in again.items()} == {
        name: row["target"] for name, row in rows(first).items()
    }
    assert {path: path.read_bytes() for path in before} == before
    assert call(root, "doit-cargo", "makefile", "--check").status == 0


def tree(root: Path) -> dict[str, str]:
    """Return what a workspace holds, but for its state."""
    found = (path for path in root.rglob("*") if path.is_file() and ".doit-cargo" not in path.parts)
    return {str(path.relative_to(root)): path.read_text() for path in found}


def test_init_and_migrate_leave_the_same_in_either_order(tmp_path: Path) -> None:
    text = "quick:\n\tcargo build --release\nclean:\n\tcargo clean\n\trm -rf dist\n"
    trees = {}
    for order in (("init", "migrate"), ("migrate", "init")):
        root = make_workspace(tmp_path / "-".join(order) / "ws", SPEC)
        write(root / "Makefile", text)
        said = [call(root, "doit-cargo", word, "--yes") for word in order]
        assert [one.status for one in said] == [0, 0], said
        again = call(root, "doit-cargo", "init", "--force", "--yes").out
        assert [line for line in again.splitlines() if line.startswith(("wrote", "added", "replaced"))] == []
        trees[order] = tree(root)
        if order[0] == "init":
            assert said[1].out.endswith("Makefile.doit, which init has written, can go: GNUmakefile does more\n")
            del trees[order]["Makefile.doit"]
        else:
            assert "\nwrote before what was taken over in profiles/pack.toml: " in said[1].out
            assert "\nGNUmakefile is up to date\n" in said[1].out
    first, second = trees.values()
    assert first == second
    assert first["Makefile"] == text


def test_a_profile_of_the_users_own_is_not_written_over(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", SPEC)
    write(root / "Makefile", "fast:\n\tcargo build --features turbo\n")
    write(root / "profiles/fast.toml", 'doc = "Mine."\n')
    said = call(root, "doit-cargo", "migrate")
    assert (said.status, "what they set is in profiles/fast_too.toml" in said.out) == (0, True)
    assert (root / "profiles/fast.toml").read_text() == 'doc = "Mine."\n'
    before = tree(root)
    assert call(root, "doit-cargo", "migrate").status == 0
    assert tree(root) == before


def test_a_lost_program_differs(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", SPEC)
    write(root / "Makefile", "clean:\n\tcargo clean\n\trm -rf dist\ntidy:\n\tcargo +nightly fmt --all\n")
    pack = '[target.tidy]\ndoc = "Tidy."\nrun = ["cargo", "fmt", "--all"]\n'
    write(root / "profiles/pack.toml", pack)
    said = call(root, "doit-cargo", "makefile", "--compare", "Makefile")
    assert said.status == 1
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert lines[0] == "differs clean lost: rm -rf dist (Makefile:1)"
    assert lines[1] == "differs tidy toolchain +nightly -> the default (Makefile:4)"
    assert lines[-1] == "2 targets: 0 same, 0 kept, 2 differs, 0 unknown"


# --- what decides outside of what is watched ------------------------------------------------------------------------

# Made by a stand-in of touch alone, or found by the shell of `$(shell ...)`, by make, by another make.
DECIDED = """\
MARK = marker
SEEN := $(shell test -e $(MARK) && echo cold || echo turbo)
CARGO := $(shell command -v cross >/dev/null && echo cross || echo cargo)
-include local.mk
.PHONY: piped behind twice seen by-tool elsewhere again
piped:
	cargo tree | grep -v zzz
behind: piped mark
	cargo check --workspace
twice: behind
	cargo test
mark: Cargo.toml
	cp Cargo.toml mark
seen: ; cargo check --features $(SEEN)
by-tool: ; $(CARGO) build
elsewhere:
	$(MAKE) -C engine stamp
again:
	$(MAKE) mark && cargo doc
	docker compose -f engine/other.yaml up
"""
REASONS = {
    "piped": "has a pipe",
    "mark": "calls no cargo",
    "seen": "depends on ",
    "by-tool": "does something else where cross is missing",
    "elsewhere": "make skips engine/stamp while",
    "again": "make skips mark while",
}


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A workspace with an old GNUmakefile, whose place the shim takes."""
    root = make_workspace(tmp_path_factory.mktemp("decided") / "ws", SPEC)
    write(root / "GNUmakefile", DECIDED)
    write(root / "engine/Makefile", "stamp: Cargo.toml\n\tcargo build\n\ttouch stamp\n")
    write(root / "engine/other.yaml", "a: b\n")
    return root, call(root, "doit-cargo", "migrate", "--json")


def test_what_decides_outside_of_what_is_watched_is_kept(decided: tuple[Path, Said]) -> None:
    kept = {name: str(row["reason"]) for name, row in rows(decided[1]).items() if not row["taken"]}
    assert kept.keys() == REASONS.keys(), kept
    assert {name: kept[name] for name, reason in REASONS.items() if not kept[name].startswith(reason)} == {}


def test_a_row_begins_with_what_the_old_file_still_does(decided: tuple[Path, Said]) -> None:
    tables = tomllib.loads((decided[0] / "profiles/pack.toml").read_text())["target"]
    assert tables["behind_make"]["run"] == ["make", "-f", "GNUmakefile.old", "piped", "mark"]
    assert tables["twice"]["after"][0] in ("behind", "behind_make")
    said = call(decided[0], "doit-cargo", "makefile", "--compare", "GNUmakefile.old")
    assert (said.status, " 2 same, 6 kept, 0 differs, 0 unknown" in said.out) == (0, True), said.out


def test_an_old_gnumakefile_is_reached_under_its_new_name(decided: tuple[Path, Said]) -> None:
    root = decided[0]
    assert (root / "GNUmakefile.old").read_text() == DECIDED
    assert call(root, MAKE, "-n", "piped").out.splitlines()[-1] == "cargo tree | grep -v zzz"


def test_what_make_and_a_shell_find_out_by_themselves_is_frozen_in_no_row(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", SPEC)
    given = {
        "random": ("CHANCE = $(shell echo $$RANDOM)", "cargo test -j$(CHANCE)"),
        "found": ("SRC = $(wildcard engine/src/*.rs)", "cargo fmt -- $(SRC)"),
        "quiet": ("FLAG = $(if $(findstring s,$(MAKEFLAGS)),-q)", "cargo check $(FLAG)"),
        "outside": ("IN = $(shell [ -f /.dockerenv ] && echo --offline)", "cargo check $(IN)"),
    }
    write(root / "Makefile", "".join(f"{line}\n{name}: ; {recipe}\n" for name, (line, recipe) in given.items()))
    found = {name: row["reason"] for name, row in rows(call(root, "doit-cargo", "migrate", "--json")).items()}
    assert found == {
        "random": "what a $(shell ...) finds out is not seen",
        "found": "takes the files that are there (wildcard)",
        "quiet": "asks make about itself",
        "outside": "what a $(shell ...) finds out is not seen",
    }


def test_a_file_to_include_that_was_not_there_makes_all_of_it_the_old_files(decided: tuple[Path, Said]) -> None:
    root = decided[0]
    assert "doit-cargo" in call(root, MAKE, "-n", "behind").out
    write(root / "local.mk", "MARK = other\n")
    said = call(root, MAKE, "-n", "behind")
    (root / "local.mk").unlink()
    assert "cargo check --workspace" in said.out


# --- the shim, after a migration -------------------------------------------------------------------------------------


def goes(root: Path, *words: str, **variables: str) -> list[str]:
    """Return what the shim hands on: lines of doit-cargo, and of the old file, which both only say so."""
    fake = shlex.quote(str(program(root / ".fake", 'echo "ours $*"')))
    said = call(root, MAKE, "-n", *words, DOIT_CARGO=fake, **variables)
    assert said.status == 0, said.err
    lines = [line.split("||")[0].strip() for line in said.out.splitlines()]
    return [line.replace(fake, "doit-cargo") for line in lines if not line.startswith(("make", "gmake", ":"))]


def test_a_name_that_is_taken_over_goes_to_doit_cargo(migrated: tuple[Path, Said]) -> None:
    assert goes(migrated[0], "pinned") == ["doit-cargo pinned"]
    assert goes(migrated[0], "lint_All") == ["doit-cargo lint_all"]
    assert goes(migrated[0], "Build.x86_64") == ["doit-cargo build_x86_64"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("empty", "EXTRA=turbo"), 'cargo build --features "turbo" --profile "release"'),
        (("empty", "UNHEARD=1"), 'cargo build --features "" --profile "release"'),
        (("test-engine-ash",), "env TRUNK=ash cargo test --release --features trunk -p engine"),
        (("piped",), "cargo build 2>&1 | tee build.log"),
    ],
)
def test_what_is_the_old_files_goes_on_to_it(migrated: tuple[Path, Said], words: tuple[str, ...], line: str) -> None:
    assert line in call(migrated[0], MAKE, "-n", *words).out.splitlines()


def test_a_variable_of_the_environment_that_the_old_file_reads_goes_on_too(migrated: tuple[Path, Said]) -> None:
    said = call(migrated[0], MAKE, "-n", "empty", EXTRA="turbo")
    assert 'cargo build --features "turbo" --profile "release"' in said.out.splitlines()


def test_what_goals_of_one_call_share_is_done_once_by_the_old_file(migrated: tuple[Path, Said]) -> None:
    old = call(migrated[0], MAKE, "-n", "-f", "Makefile", "pinned", "chain").out.splitlines()
    said = call(migrated[0], MAKE, "-n", "pinned", "chain").out.splitlines()
    assert [line for line in said if line.startswith("cargo")] == old
    assert goes(migrated[0], "pinned", "gently") == ["doit-cargo pinned", "doit-cargo gently"]


@pytest.mark.parametrize("option", ["-k", "-i"])
def test_who_wants_to_go_on_behind_a_failure_gets_the_old_file(migrated: tuple[Path, Said], option: str) -> None:
    assert "cargo +beta clippy --workspace -- -D warnings" in call(migrated[0], MAKE, "-n", option, "chain").out


@pytest.mark.parametrize("variables", [{"TRUNKS": "ash"}, {"CI": "true"}])
def test_what_the_environment_decides_is_decided_by_the_old_file(
    migrated: tuple[Path, Said], variables: dict[str, str]
) -> None:
    goes_on = "cargo bench" in call(migrated[0], MAKE, "-n", "of-ci", **variables).out
    assert (goes_on, goes(migrated[0], "of-ci")) == (True, ["doit-cargo of_ci"])


def test_make_alone_does_what_it_did(migrated: tuple[Path, Said]) -> None:
    assert goes(migrated[0]) == goes(migrated[0], "first") != []


def test_a_new_member_changes_no_line(migrated: tuple[Path, Said], tmp_path: Path) -> None:
    root = tmp_path / "ws"
    shutil.copytree(migrated[0], root, ignore=shutil.ignore_patterns(".doit-cargo"))
    make_workspace(root, {**SPEC, "late": {}})
    assert call(root, "doit-cargo", "makefile", "--check").status == 0


# --- what the old file finds out anew each time ----------------------------------------------------------------------

FOUND_OUT = """\
-include .env
export DATABASE
export VERSION := $(shell cat VERSION)
export PLACE = $(CURDIR)/data
.PHONY: all inline
all:
	cargo check --all-targets
inline:
	BUILT=$(VERSION) cargo check
"""


def test_a_variable_with_another_value_each_time_is_asked_of_the_old_file_and_frozen_nowhere(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", {"one": {}})
    write(root / "Makefile", FOUND_OUT)
    write(root / "VERSION", "1.0")
    write(root / ".env", "DATABASE = no-row-may-hold-this\n")
    found = rows(call(root, "doit-cargo", "migrate", "--json"))
    assert found["all"]["environment"] == ["DATABASE", "PLACE", "VERSION"]
    assert (found["inline"]["taken"], found["inline"]["reason"][:15]) == (False, "depends on what")  # type: ignore[index]
    written = [path for path in (root / "GNUmakefile", *(root / "profiles").iterdir()) if path.is_file()]
    frozen = ("1.0", str(root), "no-row-may-hold-this")
    assert [path for path in written if any(word in path.read_text() for word in frozen)] == []
    write(root / "VERSION", "2.0")
    fake = program(root / ".fake", 'echo "$1 $VERSION ${PLACE#"$PWD"}"')
    said = call(root, MAKE, "-s", "all", DOIT_CARGO=str(fake))
    assert said.out.split()[1:] == ["2.0", "/data"], said


# --- what cannot be read ---------------------------------------------------------------------------------------------


def test_a_broken_makefile_is_told_with_its_line_and_nothing_is_written(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", SPEC)
    write(root / "Makefile", "all:\n\techo\n  oops\n")
    said = call(root, "doit-cargo", "migrate")
    assert said.status == 3
    assert said.err.splitlines()[1:] == [
        "doit-cargo: Makefile:3: make cannot read this Makefile: *** missing separator.  Stop.",
        "  fix: correct it; make -n tells the same",
    ]
    assert not (root / "GNUmakefile").exists()


def test_where_there_is_no_build_file_that_is_told(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", SPEC)
    said = call(root, "doit-cargo", "migrate")
    assert (said.status, said.out) == (3, "")
    assert "  fix: name the build file: doit-cargo migrate FILE\n" in said.err


# --- lines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("cargo build --release", ""),
        ("cd a && RUSTFLAGS='-C x' cargo test -- --nocapture", ""),
        ("for f in a b; do cargo check --features $f || exit 1; done", ""),
        ('cargo check || (echo "it failed" && exit 1)', ""),
        ("echo 'a | b > c * $(x)'; cargo check", ""),
        ("cargo check 2>&1", ""),
        ("cargo build > out.txt", "writes or reads a file (< >)"),
        ("echo x > target/stamp", "writes or reads a file (< >)"),
        ("command -v taplo", "asks (command)"),
        ('[ "$(git log -1 HEAD)" = N ] && echo "not signed" || true', ""),
        ('[ "$(git log -1 HEAD)" = N ] && cargo publish || true', "asks another program"),
        ('[ "$(git log --output=x)" = N ] && echo "not signed" || true', "asks another program"),
        ('[ "$(git log -1 HEAD)" = N ] && echo "not signed"', "asks another program"),
        ("cargo build | tee log", "has a pipe"),
        ("cargo build -j$(nproc)", "asks another program"),
        ('echo "$(rm -rf x)"; cargo check', "asks another program"),
        ("cargo build || true", "does something else after a failure (||)"),
        ('[ "$CI" = true ] && cargo publish', "reads $CI"),
        ('if [ "x" = "" ]; then cargo test; else cargo check; fi', ""),
        ("[ -f x ] && cargo test", "chooses ([)"),
        ("test ! -e x && cargo test", "chooses (test)"),
        ('RUSTFLAGS="$RUSTFLAGS -g" cargo test', "reads $RUSTFLAGS"),
        ("N=4; cargo test -j $N", ""),
        ("N=4 cargo test -j $N", "reads $N"),
        ("cargo test -j $N; N=4", "reads $N"),
        ("cargo test --seed $$", "reads $$"),
        ("/opt/tool; cargo test", "starts /opt/tool by its path, which cannot be watched"),
        ("env X=1 ./tool && cargo test", "starts ./tool by its path, which cannot be watched"),
        ("unset X; cargo test", "takes variables away (unset)"),
        ("env -i cargo test", "takes variables away (env)"),
        ("cargo check; if true; then cargo test; fi", "chooses (if)"),
        ("rm -f *.o; cargo build", "takes the files that are there (* ?)"),
        ("cargo build --features $WHAT", "reads $WHAT"),
        ("cargo run & cargo test", "runs something beside it"),
        ("cat <<X\nx\nX", "has a text behind <<"),
        ("source env.sh; cargo build", "asks (source)"),
        ("cargo build --target-dir ~/x", ""),
    ],
)
def test_a_line_that_may_do_something_else_another_time_is_known(line: str, reason: str) -> None:
    expected = reason or ("uses the home folder (~)" if line.endswith("~/x") else "")
    assert why_not(line) == expected


# --- kinds of faults that others have put together -------------------------------------------------------------------

FILES = sorted((SHARED / "migration").glob("*.mk")) if SHARED.is_dir() else []


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_after_a_migration_nothing_differs(path: Path, tmp_path: Path) -> None:
    features: Spec = {
        "app": {"bins": {"spec": []}, "features": {"fast": [], "slow": [], "fork": []}},
        "net": {"features": {"fork": []}},
    }
    root = make_workspace(tmp_path / "ws", features)
    write(root / "Makefile", path.read_text())
    assert call(root, "doit-cargo", "migrate").status == 0
    said = call(root, "doit-cargo", "makefile", "--compare", "Makefile")
    assert (said.status, " 0 differs, 0 unknown" in said.out) == (0, True), said.out
