"""Results from another checkout: a hit where all is the same, none where anything differs, at any path.

Two checkouts of one workspace lie at different depths and share a folder. The workspace has every kind of input that
docs/design.md knows; what it reads it also prints, so that a wrong hit would show.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from calling import call, environment, linux
from conftest import needs_cargo, write
from doit_cargo.sharing import index
from sharing import store

pytestmark = [needs_cargo, linux, pytest.mark.slow]

BUILD = ("build", "PROFILE=own")
CARGO_KINDS = ("build", "check", "lint", "doc")
MATURIN = shutil.which("maturin", path=environment()["PATH"])  # the extra python brings it
KINDS = (*CARGO_KINDS, "test", *(["build_python"] if MATURIN else []))
MANIFEST = """\
[workspace]
resolver = "2"
members = ["app", "low", "macros", "silent", "more/*"]
"""
PROFILE = 'extends = "release"\n[inputs]\nfiles = ["declared.txt"]\n'
PACKAGE = '[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{more}'
SCRIPT = r"""
use std::{env, fs, process::Command};
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=watched");
    println!("cargo:rerun-if-changed=watched.txt");
    println!("cargo:rerun-if-env-changed=LOW_DECLARED");
    let mut said: Vec<String> = vec![];
    let mut watched: Vec<_> = fs::read_dir("watched").unwrap().map(|one| one.unwrap().path()).collect();
    watched.sort();
    said.extend(watched.iter().map(|path| fs::read_to_string(path).unwrap()));
    said.push(fs::read_to_string("watched.txt").unwrap());
    said.push(fs::read_to_string("unsaid.txt").unwrap());
    said.push(fs::read_to_string("optional.h").unwrap_or_default());
    let mut listed: Vec<_> = fs::read_dir("listed").unwrap().map(|one| one.unwrap().file_name()).collect();
    listed.sort();
    said.push(format!("{listed:?}"));
    said.push(env::var("LOW_DECLARED").unwrap_or_default());
    said.push(env::var("CC_UNSAID").unwrap_or_default());
    said.push(fs::metadata("tool.sh").unwrap().permissions().readonly().to_string());
    let answer = Command::new("some-tool").output().unwrap();
    said.push(String::from_utf8(answer.stdout).unwrap());
    println!("cargo:rustc-env=SAID={}", said.join("|").replace('\n', " "));
    println!("cargo:rustc-link-search=native={}", fs::canonicalize("lib").unwrap().display());
    println!("cargo:rustc-link-lib=static=given");
}
"""
# Reads all that a test can, and bears two differences from what is usual.
TEST = r"""
use std::{env, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};
#[test]
fn reads() {
    let listed = fs::read_dir("tests/listed").unwrap().count();
    let tool = Command::new("tested-tool").output().unwrap().stdout;
    let others = [
        fs::read_to_string("tests/data.txt").unwrap() != "data\n",
        fs::read_to_string("../outside.txt").unwrap() != "outside\n",
        listed != 1,
        Path::new("tests/absent.txt").exists(),
        env::var("CC_TESTED").is_ok(),
        fs::read_link("tests/link").unwrap() != Path::new("data.txt"),
        fs::metadata("tests/run.sh").unwrap().permissions().mode() & 0o100 != 0,
        tool != b"tool\n",
    ];
    assert!(others.iter().filter(|is_other| **is_other).count() < 3, "{others:?}");
}
"""
PROJECT = """\
[build-system]
requires = ["maturin>=1,<2"]
build-backend = "maturin"
[project]
name = "app"
dynamic = ["version"]
readme = "README.md"
[tool.maturin]
bindings = "bin"
python-source = "python"
include = ["python/app/data.txt"]
"""
MACRO = r"""
use proc_macro::TokenStream;
#[proc_macro]
pub fn load(_: TokenStream) -> TokenStream {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let text = std::fs::read_to_string(format!("{folder}/../macro.txt")).unwrap();
    let more = std::env::var("CC_MACRO").unwrap_or_default();
    format!("{:?}", text.trim().to_owned() + &more).parse().unwrap()
}
"""
MAIN = r"""
mod other;
#[path = "elsewhere.rs"] mod moved;
extern "C" { fn given() -> i32; }
fn main() {
    print!("{} {} {} ", include_str!("../text.txt").trim(), other::VALUE, moved::VALUE);
    print!("{} {} ", option_env!("CC_APP").unwrap_or("-"), macros::load!());
    println!("{} {} {} {}", low::SAID, silent::SAID, unsafe { given() }, include_str!("../../../beside.txt").trim());
}
"""
SILENT = r"""
fn main() {
    let said = std::fs::read_to_string("any.txt").unwrap();
    println!("cargo:rustc-env=SAID={}", said.trim());
}
"""


def tool(folder: Path, says: str, name: str = "some-tool") -> None:
    """Compile a program that says a word: a shell would take all variables."""
    write(folder / "tool.c", f'#include <stdio.h>\nint main(void) {{ puts("{says}"); }}\n')
    subprocess.run(["cc", "tool.c", "-o", name], cwd=folder, check=True)


def compile_library(folder: Path, value: int) -> None:
    """Write a static library that returns a value; its archive holds no time."""
    write(folder / "given.c", f"int given(void) {{ return {value}; }}\n")
    subprocess.run(["cc", "-c", "given.c", "-o", "given.o"], cwd=folder, check=True)
    subprocess.run(["ar", "rcsD", "libgiven.a", "given.o"], cwd=folder, check=True)
    for name in ("given.c", "given.o"):
        (folder / name).unlink()


def workspace(root: Path, store: str) -> Path:
    """Write the workspace that has every kind of input."""
    depends = (
        '[dependencies]\nlow = { path = "../low" }\nmacros = { path = "../macros" }\nsilent = { path = "../silent" }\n'
    )
    files = {
        "Cargo.toml": MANIFEST,
        "app/Cargo.toml": PACKAGE.format(name="app", more=depends + "[features]\nfast = []\n"),
        "app/src/main.rs": MAIN,
        "app/src/other.rs": "pub const VALUE: i32 = 1;\n",
        "app/src/elsewhere.rs": "pub const VALUE: i32 = 2;\n",
        "app/text.txt": "text\n",
        "app/pyproject.toml": PROJECT,
        "app/README.md": "readme\n",
        "app/python/app/__init__.py": "",
        "app/python/app/data.txt": "data\n",
        "low/tests/it.rs": TEST,
        "low/tests/data.txt": "data\n",
        "low/tests/listed/a": "",
        "low/tests/run.sh": "",
        "outside.txt": "outside\n",
        "low/Cargo.toml": PACKAGE.format(name="low", more=""),
        "low/src/lib.rs": 'pub const SAID: &str = env!("SAID");\n',
        "low/build.rs": SCRIPT,
        "low/watched/one.txt": "one\n",
        "low/watched.txt": "watched\n",
        "low/unsaid.txt": "unsaid\n",
        "low/listed/a": "",
        "low/tool.sh": "",
        "macros/Cargo.toml": PACKAGE.format(name="macros", more="[lib]\nproc-macro = true\n"),
        "macros/src/lib.rs": MACRO,
        "macro.txt": "macro\n",
        "silent/Cargo.toml": PACKAGE.format(name="silent", more=""),
        "silent/src/lib.rs": 'pub const SAID: &str = env!("SAID");\n',
        "silent/build.rs": SILENT,
        "silent/any.txt": "any\n",
        "more/first/Cargo.toml": PACKAGE.format(name="first", more=""),
        "more/first/src/lib.rs": "",
        "declared.txt": "declared\n",
        "profiles/pack.toml": f'[share]\nstore = "{store}"\n',
        "profiles/own.toml": PROFILE,
    }
    for name, text in files.items():
        write(root / name, text)
    (root / "low/tests/link").symlink_to("data.txt")
    return root


class Pair:
    """Two checkouts that share a folder: `a` has published, `b` only reads. Tools lie on a PATH of their own."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.warned = ""
        self.tools = folder / "tools"
        self.tools.mkdir()
        tool(self.tools, "tool")
        tool(self.tools, "tool", "tested-tool")
        self.a, self.b = folder / "a", folder / "below/further/b"
        workspace(self.a, str(self.store))
        (self.a / "low/lib").mkdir()
        compile_library(self.a / "low/lib", 7)
        subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=self.a, env=environment(), check=True)
        shutil.copytree(self.a, self.b, symlinks=True)
        for root in (self.a, self.b):
            write(root.parent / "beside.txt", "beside\n")

    def run(self, where: Path, *words: str, status: int = 0, environ: Mapping[str, str] | None = None) -> str:
        path = f"{self.tools}{os.pathsep}{environment()['PATH']}"
        said = call(where, "doit-cargo", *words, **{"PATH": path, **(environ or {})})
        assert said.status == status, said.out + said.err
        self.warned = said.err
        return said.out

    def hits(self, **variables: str) -> set[str]:
        """Return of which targets `b` would fetch what is there now, without building anything."""
        told = json.loads(self.run(self.b, "share", "why", *KINDS, "PROFILE=own", "--json", environ=variables))
        misses = (" differ", "nobody has built", "not shared: it rests on the variable")
        for lines in told.values():
            assert ("would be fetched" in str(lines)) != any(text in str(lines) for text in misses), told
        return {name for name, lines in told.items() if "would be fetched" in str(lines)}

    def output(self, where: Path) -> str:
        return subprocess.run([where / "target/release/app"], capture_output=True, text=True, check=True).stdout

    def wheel(self, where: Path) -> tuple[str, dict[str, tuple[str, bool]]]:
        """Return what the program says that is packed in the wheel, and Python's files: their text, and if they run."""
        [wheel] = (where / "target/wheels").glob("app-0.1.0-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            program = where.parent / f"{where.name}-packed"
            program.write_bytes(archive.read("app-0.1.0.data/scripts/app"))
            files = [one for one in archive.infolist() if one.filename.startswith("app/")]
            packed = {
                one.filename: (archive.read(one).decode(), bool(one.external_attr >> 16 & 0o100)) for one in files
            }
        program.chmod(0o755)
        return subprocess.run([program], capture_output=True, text=True, check=True).stdout, packed


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    made = Pair(tmp_path_factory.mktemp("sharing"))
    said = made.run(made.a, *KINDS, "PROFILE=own", "SHARE=write")
    assert "\n.. build  shared: 1 file" in said, said
    assert said.count("  shared: ") == len(KINDS), said
    return made


def test_a_result_is_fetched_at_another_path_and_behaves_as_the_built_one(pair: Pair) -> None:
    said = pair.run(pair.b, *BUILD)
    assert "fetched, built by" in said
    assert "compiled" not in said
    assert pair.output(pair.b) == pair.output(pair.a)
    assert pair.run(pair.b, *BUILD).startswith("-- build  up to date")


# --- each kind of input ----------------------------------------------------------------------------------------------

Change = Callable[[Path], dict[str, str] | None]


def edit(name: str, text: str = "other\n") -> Change:
    def change(root: Path) -> None:
        write(root / name, text)

    return change


def delete(name: str) -> Change:
    return lambda root: (root / name).unlink()


def gives(**variables: str) -> Change:
    return lambda _: variables


def append(name: str, text: str) -> Change:
    def change(root: Path) -> None:
        with (root / name).open("a") as stream:
            stream.write(text)

    return change


def a_member(root: Path) -> None:
    write(root / "more/second/Cargo.toml", PACKAGE.format(name="second", more=""))
    write(root / "more/second/src/lib.rs", "")


def another_tool(root: Path) -> dict[str, str]:
    tool(root.parent / "other-tools", "tool")
    return {"PATH": f"{root.parent / 'other-tools'}{os.pathsep}{environment()['PATH']}"}


def another_cargo_home(root: Path) -> dict[str, str]:
    write(root.parent / "home/config.toml", "[profile.release]\nopt-level = 1\n")
    return {"CARGO_HOME": str(root.parent / "home")}


CHANGES: dict[str, Change] = {
    "a source": edit("app/src/other.rs", "pub const VALUE: i32 = 3;\n"),
    "a module under #[path]": edit("app/src/elsewhere.rs", "pub const VALUE: i32 = 3;\n"),
    "a file of include_str!": edit("app/text.txt"),
    "a variable of option_env!": gives(CC_APP="x"),
    "a variable of rerun-if-env-changed": gives(LOW_DECLARED="x"),
    "a new program": edit("app/src/bin/new.rs", "fn main() {}\n"),
    "a new member": a_member,
    "a file that a script watches": edit("low/watched.txt"),
    "a new file in a folder that a script watches": edit("low/watched/two.txt"),
    "a file of a package whose script watches nothing": edit("silent/new.txt"),
    "a static library": lambda root: compile_library(root / "low/lib", 8),
    "a file that a macro reads": edit("macro.txt"),
    "a variable that a macro reads": gives(CC_MACRO="x"),
    "a file that a script reads without saying so": edit("low/unsaid.txt"),
    "a variable that a script reads without saying so": gives(CC_UNSAID="x"),
    "a file that must not be there": edit("low/optional.h"),
    "a folder that a script lists": edit("low/listed/b", ""),
    "a mode that a script looks at": lambda root: (root / "low/tool.sh").chmod(0o444),
    "a program that a script starts": another_tool,
    "a declared input": edit("declared.txt"),
    "a manifest": append("low/Cargo.toml", '[package.metadata]\nx = "y"\n'),
    "the profile of the root manifest": append("Cargo.toml", "[profile.release]\nopt-level = 1\n"),
    "the lock gone": delete("Cargo.lock"),
    "the lock": append("Cargo.lock", "# another\n"),
    "a config file of the workspace": edit(".cargo/config.toml", "[profile.release]\nopt-level = 1\n"),
    "a config file above the workspace": edit("../.cargo/config.toml", "[profile.release]\nopt-level = 1\n"),
    "a config file of cargo's home": another_cargo_home,
    "a toolchain file": edit("rust-toolchain.toml", '[toolchain]\nchannel = "stable"\n'),
    "RUSTFLAGS": gives(RUSTFLAGS="-C opt-level=1"),
    "a variable of cargo's": gives(CARGO_PROFILE_RELEASE_LTO="thin"),
    "a profile of ours": append("profiles/own.toml", "[cargo.config.profile.release]\nopt-level = 1\n"),
    "a source gone": delete("app/src/elsewhere.rs"),
}


def rights(name: str, mode: int) -> Change:
    return lambda root: (root / name).chmod(mode)


def another_link(root: Path) -> None:
    write(root / "low/tests/same.txt", "data\n")
    (root / "low/tests/link").unlink()
    (root / "low/tests/link").symlink_to("same.txt")


def another_tested_tool(root: Path) -> dict[str, str]:
    tool(root.parent / "tested-tools", "other", "tested-tool")
    return {"PATH": os.pathsep.join([f"{root.parent}/tested-tools", f"{root.parents[2]}/tools", environment()["PATH"]])}


# What only a test sees of all that is run here.
OF_TESTS: dict[str, Change] = {
    "a file that a test reads": edit("low/tests/data.txt"),
    "a file outside of its package that a test reads": edit("outside.txt"),
    "a folder that a test lists": edit("low/tests/listed/b", ""),
    "a file that a test looked for": edit("low/tests/absent.txt", ""),
    "a variable that a test asks for": gives(CC_TESTED="x"),
    "where a link leads that a test reads": another_link,
    "whether a file can be run at which a test looks": rights("low/tests/run.sh", 0o755),
    "a program that a test starts": another_tested_tool,
}
# What only maturin reads.
OF_WHEELS: dict[str, Change] = {
    "a project": append("app/pyproject.toml", "strip = true\n"),
    "a Python source": edit("app/python/app/__init__.py", "WORD = 1\n"),
    "a new Python source": edit("app/python/app/more.py", ""),
    "a Python source gone": delete("app/python/app/data.txt"),
    "whether a packed file can be run": rights("app/python/app/data.txt", 0o755),
    "a readme": edit("app/README.md"),
    "a licence": edit("app/LICENSE"),
    "a type stub": edit("app/app.pyi"),
    "data beside the project": edit("app/app.data/scripts/more", "#!/bin/sh\n"),
    "files that git ignores": edit("app/.gitignore", "data.txt\n"),
    "the time of a source": gives(SOURCE_DATE_EPOCH="1500000000"),
    "whether maturin strips": gives(MATURIN_STRIP="true"),
}


# Of these nobody but a test, or maturin, knows; documentation and wheels rest on all files of their packages.
NO_FILE_OF_A_PACKAGE = {name for name in OF_TESTS if re.search("outside|variable|whether|starts", name)}
NO_FILE_OF_A_PACKAGE |= {name for name in OF_WHEELS if re.search("whether|time", name)}


def touched(name: str) -> set[str]:
    """Return the targets that a change must touch."""
    if name in CHANGES:
        return set(KINDS)
    own = {"test"} if name in OF_TESTS else {"build_python"}
    return own if name in NO_FILE_OF_A_PACKAGE else {*own, "doc", *KINDS[5:]}


@pytest.mark.parametrize("name", [*CHANGES, *OF_TESTS, *(OF_WHEELS if MATURIN else ())])
def test_no_result_fits_where_an_input_differs(pair: Pair, name: str, tmp_path: Path) -> None:
    change = {**CHANGES, **OF_TESTS, **OF_WHEELS}[name]
    kept = tmp_path / "kept"
    shutil.copytree(pair.b, kept, ignore=shutil.ignore_patterns("target", ".doit-cargo", ".logs"), symlinks=True)
    variables = change(pair.b) or {}
    try:
        assert pair.hits(**variables) == set(KINDS) - touched(name)
    finally:
        back(pair.b, kept)
    assert pair.hits() == set(KINDS)


def test_what_lies_beside_a_checkout_is_not_what_lies_beside_the_other(pair: Pair) -> None:
    """On one machine the file of the other checkout is there all the time, under its own path."""
    write(pair.b.parent / "beside.txt", "other\n")
    assert pair.hits() == set()
    write(pair.b.parent / "beside.txt", "beside\n")
    assert pair.hits() == set(KINDS)


def as_somebody_else(root: Path) -> dict[str, str]:
    """As a colleague has it: a private clone, settings of cargo's that change no result, usual places by name."""
    os.umask(0o077)
    for path in (root, *root.rglob("*")):
        if path.name != "tool.sh":  # whose mode was looked at, and is not as a umask leaves it
            path.chmod(path.stat().st_mode & 0o7700)
    write(root.parent / "home/config.toml", '[alias]\nb = "build"\n[build]\njobs = 2\n[net]\nretry = 3\n')
    asked = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout
    return {
        "CARGO_HOME": str(root.parent / "home"),
        "CARGO_TARGET_DIR": str(root / "target"),
        "RUSTUP_TOOLCHAIN": Path(asked.strip()).name,
        "CI": "true",
        "RUST_BACKTRACE": "1",
        "LANG": "de_DE.UTF-8",
        "TMPDIR": str(root.parent),
        "TERM": "xterm",
    }


def test_what_changes_no_result_is_none_of_its_key(pair: Pair, tmp_path: Path) -> None:
    kept, mask = tmp_path / "kept", os.umask(0)
    shutil.copytree(pair.b, kept, ignore=shutil.ignore_patterns("target", ".doit-cargo", ".logs"), symlinks=True)
    try:
        # A test may look at any variable, and maturin at each file of cargo's home.
        assert pair.hits(**as_somebody_else(pair.b)) == {"build", "check", "lint", "doc"}
    finally:
        os.umask(mask)
        back(pair.b, kept)


def back(root: Path, kept: Path) -> None:
    """Take all changes back; a file that was not changed is not touched."""
    shutil.rmtree(root.parent / ".cargo", ignore_errors=True)
    for path in sorted(root.rglob("*"), reverse=True):
        name = path.relative_to(root)
        if name.parts[0] not in ("target", ".doit-cargo", ".logs") and not (kept / name).exists():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif path.is_symlink() and os.readlink(path) != os.readlink(kept / name):
            path.unlink()
            path.symlink_to(os.readlink(kept / name))
    for path in kept.rglob("*"):
        there = root / path.relative_to(kept)
        if path.is_symlink():
            continue
        if path.is_file() and (not there.exists() or there.read_bytes() != path.read_bytes()):
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, there)
        elif path.is_file():
            there.chmod(path.stat().st_mode & 0o7777)


# --- a random walk ---------------------------------------------------------------------------------------------------

STEPS = int(os.environ.get("TEST_SHARING_STEPS", "4"))
SPEED = "opt-level = 1\n"
# File -> what it may hold, the usual content first; None: it is not there.
FILES: dict[str, tuple[str | None, str | None]] = {
    "app/src/other.rs": ("pub const VALUE: i32 = 1;\n", "pub const VALUE: i32 = 3;\n"),
    "app/src/elsewhere.rs": (
        "pub const VALUE: i32 = 2;\n",
        "#[cfg(not(clippy))] fn nobody_calls() {}\npub const VALUE: i32 = 4;\n",
    ),
    "app/src/bin/new.rs": (None, "fn main() {}\n"),
    "app/text.txt": ("text\n", "other\n"),
    "macro.txt": ("macro\n", "other\n"),
    "low/watched.txt": ("watched\n", "other\n"),
    "low/watched/two.txt": (None, "two\n"),
    "low/unsaid.txt": ("unsaid\n", "other\n"),
    "low/optional.h": (None, "here\n"),
    "low/listed/b": (None, ""),
    "low/Cargo.toml": (PACKAGE.format(name="low", more=""), PACKAGE.format(name="low", more='description = "x"\n')),
    "silent/any.txt": ("any\n", "other\n"),
    "declared.txt": ("declared\n", "other\n"),
    "low/tests/data.txt": ("data\n", "other\n"),
    "low/tests/listed/b": (None, ""),
    "low/tests/absent.txt": (None, "here\n"),
    "outside.txt": ("outside\n", "other\n"),
    "app/python/app/__init__.py": ("", "WORD = 1\n"),
    "app/python/app/data.txt": ("data\n", "other\n"),
    "app/README.md": ("readme\n", "other\n"),
    "Cargo.toml": (MANIFEST, f"{MANIFEST}[profile.release]\n{SPEED}"),
    ".cargo/config.toml": (None, f"[profile.release]\n{SPEED}"),
    "profiles/own.toml": (PROFILE, f"{PROFILE}[cargo.config.profile.release]\n{SPEED}"),
}
VARIABLES = {
    **dict.fromkeys(("CC_APP", "CC_MACRO", "CC_UNSAID", "LOW_DECLARED", "CC_TESTED"), "set"),
    "RUSTFLAGS": "-C opt-level=1",
    "CARGO_PROFILE_RELEASE_LTO": "thin",
}
LIBRARY, MODE, TOOL, TESTED_TOOL = "low/lib", "low/tool.sh", "tools", "tools/tested"
PACKED = ("app/python/app/__init__.py", "app/python/app/data.txt")
RUNS = {"low/tests/run.sh", "app/python/app/data.txt is run"}  # files of which somebody sees whether they can be run
LINK = "low/tests/link"
DIFFERENCES = [*FILES, *VARIABLES, *RUNS, LIBRARY, MODE, TOOL, TESTED_TOOL, LINK]
# Of these a test bears two, and nobody else knows them.
TESTED = {*(name for name in FILES if name.startswith("low/tests")), "outside.txt", "CC_TESTED", "low/tests/run.sh"}
TESTED |= {TESTED_TOOL, LINK}
IN_WHEELS = {*PACKED, "app/python/app/data.txt is run", "app/README.md"}
# A wheel rests on all files of its packages, whoever reads them.
IN_PACKAGES = {name for name in FILES if name.startswith("low/tests")}


def counting(target: str) -> set[str]:
    """Return the differences that a target knows."""
    own = {"test": TESTED, "build_python": IN_WHEELS | IN_PACKAGES}.get(target, set())
    return set(DIFFERENCES) - ((TESTED | IN_WHEELS) - own)


class Walker:
    """A checkout in a random walk: `other` is what is not as usual there, and so what its program must print."""

    def __init__(self, pair: Pair, root: Path, chance: random.Random) -> None:
        self.pair, self.root, self.chance = pair, root, chance
        self.other: frozenset[str] = frozenset()

    def go(self, other: frozenset[str]) -> None:
        """Make what differs from now on differ, and the rest as usual."""
        for name in sorted(self.other ^ other):
            self._turn(name, name in other)
        self.other = other

    def _turn(self, name: str, is_other: bool) -> None:
        path = self.root / name
        if name == LIBRARY:
            compile_library(path, 8 if is_other else 7)
        elif name == TOOL:
            tool(path, "other" if is_other else "tool")
        elif name == TESTED_TOOL:
            tool(path.parent, "other" if is_other else "tool", "tested-tool")
        elif name == LINK:
            path.unlink()
            path.symlink_to("./data.txt" if is_other else "data.txt")
        elif name in RUNS:
            path = self.root / name.removesuffix(" is run")
            path.chmod(0o755 if is_other else 0o644)
        elif name == MODE:
            path.chmod(0o444 if is_other else 0o644)
        elif name in FILES:
            text = FILES[name][is_other]
            path.unlink() if text is None else write(path, text)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()  # a clone has no empty folders
        if path.is_file() and self.chance.random() < 0.5:
            os.utime(path, (1_500_000_000, 1_500_000_000))  # as rsync or a restored cache leaves it

    def expected(self) -> str:
        text = {name: texts[name in self.other] or "" for name, texts in FILES.items()}
        given = {name: value for name, value in VARIABLES.items() if name in self.other}
        listed = '["a", "b"]' if "low/listed/b" in self.other else '["a"]'
        watched = ["one\n", *filter(None, [text["low/watched/two.txt"]])]
        said = [*watched, text["low/watched.txt"], text["low/unsaid.txt"], text["low/optional.h"], listed]
        said += [given.get("LOW_DECLARED", ""), given.get("CC_UNSAID", "")]
        said += ["true" if MODE in self.other else "false", "other" if TOOL in self.other else "tool"]
        words = [
            text["app/text.txt"].strip(),
            text["app/src/other.rs"][-3],
            text["app/src/elsewhere.rs"][-3],
            given.get("CC_APP", "-"),
            text["macro.txt"].strip() + given.get("CC_MACRO", ""),
            "|".join(said).replace("\n", " "),
            text["silent/any.txt"].strip(),
            "8" if LIBRARY in self.other else "7",
            "beside",
        ]
        return " ".join(words) + "\n"

    def fails(self, target: str) -> bool:
        return target == "test" and len(TESTED & self.other) > 2

    def packed(self) -> dict[str, tuple[str, bool]]:
        """Return what the wheel must hold of Python's files: the text, and whether it can be run."""
        text = {name: FILES[name][name in self.other] or "" for name in PACKED}
        return {name.partition("python/")[2]: (text[name], f"{name} is run" in self.other) for name in PACKED}

    def run(self, target: str, store: str) -> str:
        """Run a target, and look whether what is there then is made from what is there now."""
        variables = {name: value for name, value in VARIABLES.items() if name in self.other}
        path = f"{self.root / TOOL}{os.pathsep}{environment()['PATH']}"
        variables |= {"DOIT_CARGO_SHARE": store, "DOIT_CARGO_SHARE_SECRET": "of the walk", "PATH": path}
        if target == "doc":
            shutil.rmtree(self.root / "target/doc", ignore_errors=True)  # of crates that are no more nothing is shared
        words = [target, "PROFILE=own", "SHARE=write"]
        said = self.pair.run(self.root, *words, status=int(self.fails(target)), environ=variables)
        if target == "build":
            assert self.pair.output(self.root) == self.expected(), said
        if target == "build_python":
            output, packed = self.pair.wheel(self.root)
            assert (output, packed) == (self.expected(), self.packed()), said
        if target == "doc":
            page = (self.root / "target/doc/app/other/constant.VALUE.html").read_text()
            value = 3 if "app/src/other.rs" in self.other else 1
            assert f"VALUE: i32 = {value};" in re.sub("<.*?>", "", page)
        elif target in CARGO_KINDS:  # warnings come again with what is fetched
            assert ("nobody_calls" in said + self.pair.warned) == (
                target != "lint" and "app/src/elsewhere.rs" in self.other
            ), said
        return said


WALKS = [("folder", ["build"]), ("http", list(CARGO_KINDS)), ("folder", ["test", *KINDS[5:]])]


@pytest.mark.parametrize(("kind", "targets"), WALKS, ids=["build", "cargo", "test"])
def test_a_random_walk_over_two_checkouts_never_meets_a_wrong_result(
    kind: str, targets: list[str], tmp_path: Path
) -> None:
    """What somebody has built must be fetched, what nobody has must not be; both of them may go back to what was."""
    pair, chance = Pair(tmp_path), random.Random(int(os.environ.get("TEST_SHARING_SEED", "1")))
    walkers = [Walker(pair, root, chance) for root in (pair.a, pair.b)]
    for walker in walkers:
        tool(walker.root / TOOL, "tool")
        tool(walker.root / TOOL, "tool", "tested-tool")
    known: dict[str, list[frozenset[str]]] = {target: [] for target in targets}
    counts = {f"{target} {came}": 0 for target in targets for came in ("fetched", "built", "skipped", "failed")}
    with store(kind, tmp_path / "server") as address:
        for step in range(STEPS):
            walker, luck = walkers[step % 2] if step < 2 else chance.choice(walkers), chance.random()
            target = targets[0] if step < 2 else chance.choice(targets)
            if (states := known[target]) and luck < 0.4:
                walker.go(chance.choice(states))
            elif luck < 0.9:
                walker.go(walker.other ^ {chance.choice(sorted(counting(target)))})
            said, other = walker.run(target, address), walker.other & counting(target)
            came = "fetched" if re.search("fetched, (built by|passed on)", said) else "built"
            came = "skipped" if f"-- {target}" in said else "failed" if walker.fails(target) else came
            counts[f"{target} {came}"] += 1
            print(step, target, came, flush=True)  # pytest -s shows how far a long walk is
            if came == "built":
                # What tests look at depends on what they find: the store keeps the last path sets alone.
                kept = states[-index.MOST :] if target == "test" else states
                assert other not in kept, f"step {step}: known with {sorted(other)}, but built: {said}"
                # A test sees what others do on this machine meanwhile.
                disturbed = target == "test" and "was changed by something else" in said
                assert disturbed or f".. {target}  shared: " in said, f"step {step}: built, but not published: {said}"
                states += [] if disturbed else [other]
            elif came == "fetched":
                assert other in states, f"step {step}: nobody has made {sorted(other)}: {said}"
    print(kind, counts)
    assert sum(counts.values()) == STEPS
