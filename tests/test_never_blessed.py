"""What cargo calls fresh and is not: damaged, changed behind its back, or of inputs that it does not compare."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import Said, call, environment, program
from conftest import needs_cargo, write

pytestmark = [pytest.mark.slow, needs_cargo]

MANIFEST = '[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{more}'
SCRIPT = """\
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    std::fs::write(format!("{}/made.rs", std::env::var("OUT_DIR").unwrap()), "pub const MADE: u32 = 5;").unwrap();
}
"""
MADE = 'include!(concat!(env!("OUT_DIR"), "/made.rs"));\nfn main() {\n    println!("{MADE}");\n}\n'
FORMATTED = 'pub fn f(x: u8) -> String {\n    format!("{}", x)\n}\n'
FILES = {
    "Cargo.toml": '[workspace]\nresolver = "2"\nmembers = ["crates/*"]\n'
    "[profile.dev]\ndebug = false\nincremental = false\n",
    "profiles/dev.toml": 'extends = "dev"\n[inputs]\nenv = ["DECLARED"]\n',
    "crates/native/Cargo.toml": MANIFEST.format(name="native", more='[lib]\ncrate-type = ["cdylib", "staticlib"]\n'),
    "crates/native/src/lib.rs": '#[unsafe(no_mangle)]\npub extern "C" fn f() -> i32 {\n    7\n}\n',
    "crates/made/Cargo.toml": MANIFEST.format(name="made", more=""),
    "crates/made/build.rs": SCRIPT,
    "crates/made/src/main.rs": MADE,
    "crates/one/Cargo.toml": MANIFEST.format(name="one", more='[[bin]]\nname = "m"\npath = "m.rs"\ndoc = false\n'),
    "crates/one/m.rs": 'fn main() {\n    println!("m");\n}\n',
    "crates/two/Cargo.toml": MANIFEST.format(name="two", more='[[bin]]\nname = "m"\npath = "m.rs"\ndoc = false\n'),
    "crates/two/m.rs": 'fn main() {\n    println!("m");\n}\n',
    "crates/old/Cargo.toml": MANIFEST.format(name="old", more='rust-version = "1.56"\n'),
    "crates/old/src/lib.rs": "#![warn(clippy::uninlined_format_args)]\n" + FORMATTED,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that is built, linted and documented."""
    root = tmp_path_factory.mktemp("blessed") / "ws"
    for name, text in FILES.items():
        write(root / name, text)
    for target in ("dev", "lint", "doc"):
        assert run(root, target).status == 0
    return root


def run(root: Path, target: str, **variables: str) -> Said:
    return call(root, "doit-cargo", target, **variables)


def overwrite(path: Path) -> None:
    """Write over a file in place, so that all its hard links change."""
    with path.open("r+b") as stream:
        stream.truncate()
        stream.write(b"damaged")


def content(path: Path) -> bytes:
    """Return the bytes of a file, or of a folder the names."""
    return b" ".join(sorted(map(os.fsencode, os.listdir(path)))) if path.is_dir() else path.read_bytes()


def made_by_the_script(root: Path) -> Path:
    """Return the file that the program of `made` was compiled with; clippy has one of its own."""
    (info,) = (path for path in root.glob("target/debug/deps/made-*.d") if path.with_suffix("").exists())
    return Path(next(word for word in info.read_text().split() if word.endswith("made.rs")))


DAMAGES: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "a dynamic library": ("dev", "target/debug/libnative.so", overwrite),
    "a static library beside it": ("dev", "target/debug/libnative.a", overwrite),
    "a static library cut short": ("dev", "target/debug/libnative.a", lambda path: os.truncate(path, 100)),
    "what a build script made": ("dev", "made.rs", overwrite),
    "a program of which there are two": ("dev", "target/debug/m", overwrite),
    "the first page of a documentation": ("doc", "target/doc/native/index.html", overwrite),
    "another page": ("doc", "target/doc/native/fn.f.html", overwrite),
    "the style sheets of all pages": ("doc", "target/doc/static.files", shutil.rmtree),
    "a page that is gone": ("doc", "target/doc/native/fn.f.html", Path.unlink),
}


@pytest.mark.parametrize(("target", "pattern", "damage"), DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_after_cargo_made_it_is_made_again(
    root: Path, target: str, pattern: str, damage: Callable[[Path], object]
) -> None:
    assert run(root, target).status == 0
    path = made_by_the_script(root) if pattern == "made.rs" else root / pattern
    whole = content(path)
    damage(path)
    said = run(root, target)

    # The members of an archive bear numbers that differ from build to build.
    now = content(path)
    assert (said.status, len(now), now[:8]) == (0, len(whole), whole[:8]), said.out + said.err
    assert run(root, target).out.startswith(f"-- {target}  up to date")


def test_what_a_build_script_made_is_not_compiled_in_after_a_change_of_hand(root: Path) -> None:
    made = made_by_the_script(root)
    made.write_text("pub const MADE: u32 = 6;")
    said = run(root, "dev")

    assert (said.status, subprocess.check_output([root / "target/debug/made"])) == (0, b"5\n"), said.out
    assert "made.rs was damaged after cargo made it" in said.out


def test_units_whose_dep_info_is_gone_are_built_anew_when_cargo_runs(root: Path) -> None:
    assert run(root, "dev").status == 0
    for path in root.glob("target/debug/deps/*.d"):
        path.unlink()
    source = root / "crates/made/src/main.rs"
    source.write_text(MADE + "// more\n")
    said = run(root, "dev")

    assert said.status == 0, said.out + said.err
    assert "one is not up to date, whatever cargo says" in said.out
    assert run(root, "dev").out.startswith("-- dev  up to date")


def test_each_of_two_programs_of_one_name_is_an_input_of_the_build(root: Path) -> None:
    for package in ("one", "two"):
        path = root / f"crates/{package}/m.rs"
        path.write_text('fn main() {\n    println!("M");\n}\n')
        said = run(root, "dev")
        assert f"compiled 1 of 5 packages ({package})" in said.out, said.out


def test_a_rust_version_counts_for_clippy_though_cargo_does_not_compare_it(root: Path) -> None:
    manifest = root / "crates/old/Cargo.toml"
    write(manifest, MANIFEST.format(name="old", more=""))
    said = run(root, "lint")
    write(manifest, FILES["crates/old/Cargo.toml"])

    assert (said.status, "variables can be used directly" in said.err) == (1, True), said.out + said.err
    assert run(root, "lint").status == 0


def test_what_stays_as_it_was_is_compiled_for_nothing_of_this(root: Path) -> None:
    write(root / "crates/old/Cargo.toml", FILES["crates/old/Cargo.toml"] + "# a comment\n")
    write(root / "README.md", "Read by nobody.\n")
    said = run(root, "dev")
    assert (said.status, said.out.startswith("-- dev  up to date")) == (0, True), said.out


def test_a_package_that_is_gone_keeps_no_other_from_being_built_anew(root: Path) -> None:
    assert run(root, "dev", DECLARED="1").status == 0
    shutil.move(root / "crates/old", root / "old")
    said = run(root, "dev", DECLARED="2")
    shutil.move(root / "old", root / "crates/old")

    assert (said.status, "compiled 4 of 4 packages" in said.out) == (0, True), said.out + said.err
    assert run(root, "dev").status == 0


def test_an_interrupt_before_the_damage_is_repaired_leaves_it_to_the_next_call(root: Path) -> None:
    assert run(root, "dev").status == 0
    made_by_the_script(root).write_text("pub const MADE: u32 = 6;")
    with open(root / "target/debug/.cargo-lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [shutil.which("doit-cargo", path=environment()["PATH"]) or "", "dev"]
        with subprocess.Popen(command, cwd=root, env=environment(), stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            assert "waiting for another cargo that builds in" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
    assert process.returncode != 0
    said = run(root, "dev")
    assert (said.status, subprocess.check_output([root / "target/debug/made"])) == (0, b"5\n"), said.out


REPEATING = """\
answers={folder}/answers
if [ "$1" != build ]; then exec {cargo} "$@"; fi
if [ -f "$answers" ]; then cat "$answers"; exit 0; fi
{cargo} "$@" > "$answers"
sed -i 's/"fresh":false/"fresh":true/' "$answers"
cat "$answers"
"""


def test_a_cargo_that_compiles_nothing_is_not_believed(root: Path, tmp_path: Path) -> None:
    cargo = subprocess.check_output(["sh", "-c", "command -v cargo"], text=True).strip()
    program(tmp_path / "bin/cargo", REPEATING.format(folder=tmp_path, cargo=cargo))
    path = f"{tmp_path / 'bin'}{os.pathsep}{environment()['PATH']}"
    assert run(root, "dev", PATH=path).status == 0
    write(root / "crates/native/src/lib.rs", FILES["crates/native/src/lib.rs"].replace("7", "8"))
    said = run(root, "dev", PATH=path)
    again = run(root, "dev", PATH=path)

    assert (said.status, again.status) == (1, 1), said.out + said.err
    assert "native is not up to date, whatever cargo says (crates/native/src/lib.rs changed)" in said.out
    assert "cargo ended well, but compiled nothing of native" in said.err
    assert run(root, "dev").status == 0
    library = f"import ctypes; print(ctypes.CDLL({str(root / 'target/debug/libnative.so')!r}).f())"
    assert subprocess.check_output([sys.executable, "-c", library]) == b"8\n"


def test_documentation_shows_new_comments_in_other_crates_and_no_crate_that_is_gone(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    package = '[package]\nname = "{}"\nversion = "0.1.0"\nedition = "2021"\n{}'
    write(root / "Cargo.toml", '[workspace]\nresolver = "2"\nmembers = ["crates/*"]\n')
    for name, uses in (
        ("shown", ""),
        ("shows", '[dependencies]\nshown = { path = "../shown" }\n'),
        ("gone", ""),
        ("hidden", ""),
    ):
        write(root / f"crates/{name}/Cargo.toml", package.format(name, uses))
    write(root / "crates/gone/src/lib.rs", "pub fn left() {}\n")
    write(root / "crates/hidden/src/lib.rs", "pub fn left() {}\n")
    write(root / "crates/shown/tests/gone.rs", "")
    write(root / "crates/shown/src/lib.rs", "/// old words\npub fn n() {}\n")
    write(root / "crates/shows/src/lib.rs", "#[doc(inline)]\npub use shown::n;\n")
    assert call(root, "doit-cargo", "doc").status == 0
    write(root / "crates/shown/src/lib.rs", "/// new words\npub fn n() {}\n")
    shutil.rmtree(root / "crates/gone")
    write(root / "crates/hidden/Cargo.toml", package.format("hidden", "[lib]\ndoc = false\n"))
    said = call(root, "doit-cargo", "doc")
    gone = ["gone", "hidden", "src/gone", "src/hidden"]
    without = "without the pages of gone, hidden, which no crate of this workspace makes any more"
    assert f".. doc  documents all anew {without}\n" in said.out
    pages = root / "target/doc"
    assert "new words" in (pages / "shows/fn.n.html").read_text()
    assert [name for name in gone if (pages / name).exists()] == []
    assert (pages / "crates.js").read_text().startswith('window.ALL_CRATES = ["shown","shows"];')
    assert call(root, "doit-cargo", "doc").out.startswith("-- doc  up to date")
    for folder in (root / "crates/shows", pages):
        shutil.rmtree(folder)
    assert call(root, "doit-cargo", "doc").status == 0
    assert (pages / "shown/index.html").exists()


def test_a_program_whose_source_is_gone_is_no_output_any_more(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    write(root / "Cargo.toml", '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n')
    write(root / "src/main.rs", "fn main() {}\n")
    write(root / "src/bin/other.rs", "fn main() {}\n")
    assert "target/debug/other " in call(root, "doit-cargo", "dev").out
    shutil.rmtree(root / "src/bin")
    (root / "target/debug/other").unlink()
    said = call(root, "doit-cargo", "dev")
    assert (said.status, "target/debug/app " in said.out, "other " in said.out) == (0, True, False), said
    write(root / "src/bin/third.rs", "fn main() {}\n")
    assert "target/debug/third " in call(root, "doit-cargo", "dev").out
