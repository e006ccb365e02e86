"""A cargo run is told apart by unit, build script and test; strace, as a referee, saw nothing more that matters."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import needs_cargo, write
from doit_cargo.engine.execution.observe.inputs import ObservedInputs, Scope, inputs, whole_run
from doit_cargo.engine.execution.observe.model import Observed
from doit_cargo.engine.execution.observe.observer import Observer
from doit_cargo.engine.execution.observe.units import ObservedUnit, by_unit
from observing import observer, watch

pytestmark = [needs_cargo, pytest.mark.slow]

MACRO = """\
use proc_macro::TokenStream;
#[proc_macro]
pub fn stamp(_: TokenStream) -> TokenStream {
    let text = std::fs::read_to_string("app/macro.txt").unwrap() + &std::env::var("MACRO_ASKS").unwrap_or_default();
    format!("{text:?}").parse().unwrap()
}
"""
SCRIPT = """\
fn main() {
    let text = std::fs::read_to_string("script.txt").unwrap();
    let _ = std::env::var("SCRIPT_ASKS");
    let _ = std::fs::metadata("script-looks.txt");
    assert!(std::process::Command::new("sh").args(["-c", "cat script-starts.txt"]).output().unwrap().status.success());
    println!("cargo:rustc-env=SCRIPT={}\\ncargo:rerun-if-changed=build.rs", text.trim());
}
"""
TESTS = """\
use std::{env, fs, net, path::Path, process::Command};
const HERE: &str = env!("CARGO_MANIFEST_DIR");
#[test] fn formatted() { for i in 1..2 { fs::read(format!("{HERE}/fixtures/{i}.json")).unwrap(); } }
#[test] fn listed() { assert!(fs::read_dir("fixtures").unwrap().count() > 0); }
#[test] fn absent() { assert!(!Path::new(".env").exists()); }
#[test] fn asked() { let _ = env::var("TEST_ASKS"); }
#[test] fn walked() { assert!(env::vars().count() > 0); }
#[test] fn cleared() {
    assert!(Command::new("cat").env_clear().arg("fixtures/1.json").output().unwrap().status.success());
}
#[test] fn binary() { assert!(Command::new(env!("CARGO_BIN_EXE_app")).output().unwrap().status.success()); }
#[test] fn served() {
    let server = net::TcpListener::bind("127.0.0.1:0").unwrap();
    net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
}
#[test] fn elsewhere() { let _ = net::TcpStream::connect("127.0.0.1:1"); }
#[test] fn temporary() {
    let folder = env::temp_dir().join(format!("observed-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), "x").unwrap();
    fs::read(folder.join("file")).unwrap();
    fs::remove_dir_all(&folder).unwrap();
}
"""
PACKAGE = '[package]\nname = "{}"\nversion = "0.1.0"\nedition = "2021"\n{}'


@dataclass(frozen=True)
class Run:
    """One observed cargo run, by unit."""

    root: Path
    observed: Observed
    units: dict[ObservedUnit, ObservedInputs]

    def of(self, kind: str, **fields: str) -> ObservedInputs:
        found = [unit for unit in self.units if unit.kind == kind and fields.items() <= unit._asdict().items()]
        assert len(found) == 1, found
        return self.units[found[0]]

    def own(self, taken: ObservedInputs) -> set[str]:
        """A unit's inputs within the workspace, and the variables whose names say that they are asked for."""
        items = {(str(item[0]), str(item[1])) for item in taken.rows}
        inside = {
            f"{kind} {path.removeprefix(f'{self.root}/')}" for kind, path in items if path.startswith(f"{self.root}/")
        }
        return inside | {f"{kind} {name}" for kind, name in items if name.endswith("_ASKS") or kind == "environment"}


def workspace(root: Path) -> Path:
    write(
        root / "Cargo.toml",
        '[workspace]\nresolver = "2"\nmembers = ["app", "macros"]\n[profile.dev]\ndebug = false\nincremental = false\n',
    )
    write(
        root / "macros/Cargo.toml",
        PACKAGE.format("macros", "[lib]\nproc-macro = true\ntest = false\ndoctest = false\n"),
    )
    write(root / "macros/src/lib.rs", MACRO)
    write(root / "app/Cargo.toml", PACKAGE.format("app", '[dependencies]\nmacros = { path = "../macros" }\n'))
    write(root / "app/src/main.rs", 'fn main() { println!("{}", macros::stamp!()); }\n')
    write(root / "app/build.rs", SCRIPT)
    write(root / "app/tests/all.rs", TESTS)
    for name in ("macro.txt", "script.txt", "script-starts.txt", "fixtures/1.json"):
        write(root / "app" / name, "text\n")
    return root


def toolchain() -> list[str]:
    home = os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo")
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    return [home, sysroot, os.environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup")]


def run(by: Observer, root: Path, *argv: str) -> Run:
    observed = watch(by, ["cargo", *argv], root, trusted=toolchain()).observed
    facts, scope = whole_run(observed), Scope(dropped=[str(root / "target"), *toolchain()])
    return Run(root, observed, {unit: inputs(facts, group, scope) for unit, group in by_unit(observed).items()})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("observed") / "workspace")


@pytest.fixture(scope="module")
def built(root: Path) -> Run:
    return run(observer(), root, "test", "--offline")


def test_a_proc_macro_is_seen_in_the_unit_that_it_serves(built: Run) -> None:
    units = [unit for unit in built.units if unit.kind == "compile" and unit.name == "app" and unit.key]
    assert len(units) == 2  # the program, and its unit tests
    for unit in units:
        assert {"read app/macro.txt", "variable MACRO_ASKS"} <= built.own(built.units[unit])
        assert built.units[unit].reasons == []


def test_a_build_script_is_seen_with_all_that_it_starts(built: Run) -> None:
    script = built.of("build-script", package="app")
    assert script.reasons == []
    assert built.own(script) == {
        "environment ",  # a shell takes all of it
        "read app/script.txt",
        "read app/script-starts.txt",
        "stat app",
        "stat app/script-looks.txt",
        "variable SCRIPT_ASKS",
    }


def test_a_test_binary_is_seen_as_one_where_the_harness_runs_all_in_it(built: Run) -> None:
    tests = built.of("test", name="all")
    assert {"read app/fixtures/1.json", "list app/fixtures", "stat app/.env", "variable TEST_ASKS"} <= built.own(tests)
    assert [reason.partition(" ")[2] for reason in tests.reasons] == ["connects to 127.0.0.1:1"]
    assert built.observed.whole


@pytest.mark.skipif(not shutil.which("cargo-nextest"), reason="cargo-nextest is not on PATH")
@pytest.mark.usefixtures("built")
def test_each_test_is_told_apart_where_nextest_runs_it(root: Path) -> None:
    each = run(observer(), root, "nextest", "run", "--offline")
    tests = {unit.key: taken for unit, taken in each.units.items() if unit.name == "app::all" and unit.key}
    assert {name: each.own(taken) for name, taken in tests.items()} == {
        "formatted": {"read app/fixtures/1.json"},
        "listed": {"list app/fixtures"},
        "absent": {"stat app/.env"},
        "asked": {"variable TEST_ASKS"},
        "walked": {"environment "},
        "cleared": {"read app/fixtures/1.json"},
        "binary": set(),
        "served": set(),
        "elsewhere": set(),
        "temporary": set(),
    }
    assert {name for name, taken in tests.items() if taken.reasons} == {"elsewhere"}


# What libc and its loader read past every hook, and what stands for it: variables, and where a path leads.
PAST_HOOKS = (
    *("/etc/ld.so", "/etc/locale", "/etc/localtime", "/etc/malloc.conf", "/etc/nsswitch.conf"),
    *("/usr/lib/locale", "/usr/share/locale", "/usr/share/zoneinfo"),
    *("/usr/lib/x86_64-linux-gnu/gconv", "/usr/lib/aarch64-linux-gnu/gconv"),
)


def paths(seen: Run) -> set[str]:
    """Everything looked at in a run, by its folder's real name."""
    items = {str(item[1]) for taken in seen.units.values() for item in taken.rows if str(item[1]).startswith("/")}
    return {os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)) for path in items}


def on_the_way(seen: set[str]) -> set[str]:
    """Links that lead to what was seen, and the folders above it: libc looks at them by itself."""
    found, left = set[str](), list(seen)
    while left:
        path = left.pop()
        if path in found:
            continue
        found.add(path)
        left.append(os.path.dirname(path))
        if os.path.islink(path):
            left.append(os.path.join(os.path.dirname(path), os.readlink(path)))
    return {os.path.normpath(path) for path in found}


def test_strace_sees_nothing_more_that_matters(built: Run, root: Path) -> None:
    by = observer("strace")
    shutil.rmtree(root / "target")
    (root / "Cargo.lock").unlink()
    referee = run(by, root, "test", "--offline")
    seen = paths(built)
    real = {os.path.realpath(path) for path in seen}
    missed = {
        path
        for path in paths(referee) - on_the_way(seen)
        if not path.startswith((*PAST_HOOKS, str(root / "target")))  # cargo first gives its folder another name
        and os.path.realpath(path) not in real
    }
    assert missed == set()
    assert {unit.kind for unit in referee.units} == {unit.kind for unit in built.units}
