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
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import environment, linux
from calling import started as call
from conftest import needs_cargo, write
from sharing import store

pytestmark = [needs_cargo, linux, pytest.mark.slow]

BUILD = ("build", "PROFILE=own")
KINDS = ("build", "check", "lint", "doc")
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


def tool(folder: Path, says: str) -> None:
    """Compile a program that says a word: a shell would take all variables."""
    write(folder / "tool.c", f'#include <stdio.h>\nint main(void) {{ puts("{says}"); }}\n')
    subprocess.run(["cc", "tool.c", "-o", "some-tool"], cwd=folder, check=True)


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
    return root


class Pair:
    """Two checkouts that share a folder: `a` has published, `b` only reads. Tools lie on a PATH of their own."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.warned = ""
        self.tools = folder / "tools"
        self.tools.mkdir()
        tool(self.tools, "tool")
        self.a, self.b = folder / "a", folder / "below/further/b"
        workspace(self.a, str(self.store))
        (self.a / "low/lib").mkdir()
        compile_library(self.a / "low/lib", 7)
        subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=self.a, env=environment(), check=True)
        shutil.copytree(self.a, self.b)
        for root in (self.a, self.b):
            write(root.parent / "beside.txt", "beside\n")

    def run(self, where: Path, *words: str, **variables: str) -> str:
        path = f"{self.tools}{os.pathsep}{environment()['PATH']}"
        said = call(where, "doit-cargo", *words, **{"PATH": path, **variables})
        assert said.status == 0, said.out + said.err
        self.warned = said.err
        return said.out

    def hits(self, **variables: str) -> set[str]:
        """Return of which targets `b` would fetch what is there now, without building anything."""
        told = json.loads(self.run(self.b, "share", "why", *KINDS, "PROFILE=own", "--json", **variables))
        misses = (" differ", "nobody has built", "not shared: it rests on the variable")
        for lines in told.values():
            assert ("would be fetched" in str(lines)) != any(text in str(lines) for text in misses), told
        return {name for name, lines in told.items() if "would be fetched" in str(lines)}

    def output(self, where: Path) -> str:
        return subprocess.run([where / "target/release/app"], capture_output=True, text=True, check=True).stdout


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


@pytest.mark.parametrize("name", CHANGES)
def test_no_result_fits_where_an_input_differs(pair: Pair, name: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(pair.b, kept, ignore=shutil.ignore_patterns("target", ".doit-cargo", ".logs"))
    variables = CHANGES[name](pair.b) or {}
    try:
        assert pair.hits(**variables) == set()
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
    shutil.copytree(pair.b, kept, ignore=shutil.ignore_patterns("target", ".doit-cargo", ".logs"))
    try:
        assert pair.hits(**as_somebody_else(pair.b)) == set(KINDS)
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
    for path in kept.rglob("*"):
        there = root / path.relative_to(kept)
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
    "Cargo.toml": (MANIFEST, f"{MANIFEST}[profile.release]\n{SPEED}"),
    ".cargo/config.toml": (None, f"[profile.release]\n{SPEED}"),
    "profiles/own.toml": (PROFILE, f"{PROFILE}[cargo.config.profile.release]\n{SPEED}"),
}
VARIABLES = {
    **dict.fromkeys(("CC_APP", "CC_MACRO", "CC_UNSAID", "LOW_DECLARED"), "set"),
    "RUSTFLAGS": "-C opt-level=1",
    "CARGO_PROFILE_RELEASE_LTO": "thin",
}
LIBRARY, MODE, TOOL = "low/lib", "low/tool.sh", "tools"
DIFFERENCES = [*FILES, *VARIABLES, LIBRARY, MODE, TOOL]


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

    def run(self, target: str, store: str) -> str:
        """Run a target, and look whether what is there then is made from what is there now."""
        variables = {name: value for name, value in VARIABLES.items() if name in self.other}
        path = f"{self.root / TOOL}{os.pathsep}{environment()['PATH']}"
        variables |= {"DOIT_CARGO_SHARE": store, "DOIT_CARGO_SHARE_SECRET": "of the walk", "PATH": path}
        if target == "doc":
            shutil.rmtree(self.root / "target/doc", ignore_errors=True)  # of crates that are no more nothing is shared
        said = self.pair.run(self.root, target, "PROFILE=own", "SHARE=write", **variables)
        if target == "build":
            assert self.pair.output(self.root) == self.expected(), said
        if target == "doc":
            page = (self.root / "target/doc/app/other/constant.VALUE.html").read_text()
            value = 3 if "app/src/other.rs" in self.other else 1
            assert f"VALUE: i32 = {value};" in re.sub("<.*?>", "", page)
        else:  # warnings come again with what is fetched
            assert ("nobody_calls" in said + self.pair.warned) == (
                target != "lint" and "app/src/elsewhere.rs" in self.other
            ), said
        return said


@pytest.mark.parametrize(("kind", "targets"), [("folder", ["build"]), ("http", ["build", "check", "lint", "doc"])])
def test_a_random_walk_over_two_checkouts_never_meets_a_wrong_result(
    kind: str, targets: list[str], tmp_path: Path
) -> None:
    """What somebody has built must be fetched, what nobody has must not be; both of them may go back to what was."""
    pair, chance = Pair(tmp_path), random.Random(int(os.environ.get("TEST_SHARING_SEED", "1")))
    walkers = [Walker(pair, root, chance) for root in (pair.a, pair.b)]
    for walker in walkers:
        tool(walker.root / TOOL, "tool")
    known: dict[str, list[frozenset[str]]] = {target: [] for target in targets}
    counts = {f"{target} {came}": 0 for target in targets for came in ("fetched", "built", "skipped")}
    with store(kind, tmp_path / "server") as address:
        for step in range(STEPS):
            walker, luck = walkers[step % 2] if step < 2 else chance.choice(walkers), chance.random()
            target = targets[0] if step < 2 else chance.choice(targets)
            if (states := known[target]) and luck < 0.4:
                walker.go(chance.choice(states))
            elif luck < 0.9:
                walker.go(walker.other ^ {chance.choice(DIFFERENCES)})
            said = walker.run(target, address)
            came = "fetched" if "fetched, built by" in said else "skipped" if f"-- {target}" in said else "built"
            counts[f"{target} {came}"] += 1
            print(step, target, came, flush=True)  # pytest -s shows how far a long walk is
            if came == "built":
                assert walker.other not in states, f"step {step}: known with {sorted(walker.other)}, but built: {said}"
                assert f".. {target}  shared: " in said, f"step {step}: built, but not published: {said}"
                states.append(walker.other)
            elif came == "fetched":
                assert walker.other in states, f"step {step}: nobody has made {sorted(walker.other)}: {said}"
    print(kind, counts)
    assert sum(counts.values()) == STEPS
