"""A small workspace whose tests can be switched by files and variables, and `doit-cargo test` on it as users run it.

Every test writes its name into the folder $TRACE, so that what really ran is known without believing any output.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from calling import Said, call, environment
from conftest import write

MANIFEST = '[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\nauthors = ["a b"]\n{tables}'

# What the tests of a package do: `switch.txt` in its folder says pass, fail, abort or exit.
SWITCH = """\
    std::fs::write(std::path::Path::new(&std::env::var("TRACE").unwrap()).join("{name}"), "").unwrap();
    match std::fs::read_to_string("switch.txt").unwrap().trim() {{
        "pass" => println!("{name} is content"),
        "fail" => panic!("{name} was told to fail"),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(7),
        other => panic!("what is {{other}}?"),
    }}
"""

KIT = (
    """\
//! ```
//! std::fs::write(format!("{}/kit-doc", std::env::var("TRACE").unwrap()), "").unwrap();
//! assert_eq!(kit::value(), 10);
//! ```
pub fn value() -> u32 { 10 }
#[test]
fn unit() {
"""
    + SWITCH.format(name="kit")
    + """\
    if std::env::var("KIT_LIMIT").map_or(false, |limit| limit == "5") { assert!(value() < 5) }
}
#[test]
#[ignore = "takes long"]
fn slow() { panic!("nobody asked for this") }
"""
)

APP = """\
fn main() { println!("{}", kit::value()) }
"""
STARTS = (
    """\
#[test]
fn prints_the_value() {
"""
    + SWITCH.format(name="app")
    + """\
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_app")).output().unwrap();
    let expected = std::fs::read_to_string("data/expected.txt").unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), expected.trim());
}
#[test]
fn keeps_the_limit() {
    let limit = std::fs::read_to_string("../../common/limit.txt").unwrap();
    assert!(kit::value() <= limit.trim().parse().unwrap());
}
"""
)

# No libtest: only the exit status tells.
PLAIN = "fn main() {\n" + SWITCH.format(name="plain") + "}\n"

# Tells its whole environment and place.
TELLS = (
    """\
#[test]
fn tells() {
"""
    + SWITCH.format(name="tells")
    + """\
    let Ok(place) = std::env::var("TELL") else { return };
    let mut lines: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}\\0")).collect();
    lines.push(format!("cwd={}\\0", std::env::current_dir().unwrap().display()));
    std::fs::write(place, lines.concat()).unwrap();
}
"""
)
TELLS_SCRIPT = (
    'fn main() { println!("cargo:rustc-env=FROM_SCRIPT=a b"); println!("cargo:rerun-if-changed=build.rs"); }\n'
)

MACRO = '#[proc_macro]\npub fn ten(_: proc_macro::TokenStream) -> proc_macro::TokenStream { "10".parse().unwrap() }\n'
USER = (
    "#[test]\nfn uses() {\n" + SWITCH.format(name="user") + "    assert_eq!(mac::ten!(), 10);\n}\n"
    "pub fn none() -> Option<()> { None }\n"
)

FILES = {
    "Cargo.toml": """\
[workspace]
resolver = "2"
members = ["crates/*"]
[profile.dev]
debug = false
incremental = false
""",
    "common/limit.txt": "10\n",
    "crates/kit/Cargo.toml": MANIFEST.format(name="kit", tables="[features]\nmore = []\n"),
    "crates/kit/src/lib.rs": KIT,
    "crates/kit/switch.txt": "pass\n",
    "crates/app/Cargo.toml": MANIFEST.format(name="app", tables='[dependencies]\nkit = { path = "../kit" }\n'),
    "crates/app/src/main.rs": APP,
    "crates/app/tests/starts.rs": STARTS,
    "crates/app/data/expected.txt": "10\n",
    "crates/app/switch.txt": "pass\n",
    "crates/plain/Cargo.toml": MANIFEST.format(name="plain", tables='[[test]]\nname = "own"\nharness = false\n'),
    "crates/plain/src/lib.rs": "",
    "crates/plain/tests/own.rs": PLAIN,
    "crates/plain/switch.txt": "pass\n",
    "crates/tells/Cargo.toml": MANIFEST.format(name="tells", tables=""),
    "crates/tells/build.rs": TELLS_SCRIPT,
    "crates/tells/src/lib.rs": TELLS,
    "crates/tells/examples/shows.rs": "fn main() {}\n#[test]\nfn in_the_example() {}\n",
    "crates/tells/switch.txt": "pass\n",
    "crates/mac/Cargo.toml": MANIFEST.format(name="mac", tables="[lib]\nproc-macro = true\ntest = false\n"),
    "crates/mac/src/lib.rs": MACRO,
    "crates/user/Cargo.toml": MANIFEST.format(name="user", tables='[dependencies]\nmac = { path = "../mac" }\n'),
    "crates/user/src/lib.rs": USER,
    "crates/user/switch.txt": "pass\n",
}
PACKAGES = {"app", "kit", "mac", "plain", "tells", "user"}
# Everything that runs when nothing has passed before; mac has no tests.
ALL = {"app", "kit", "kit-doc", "plain", "tells", "user"}
ROW = re.compile(r"^   (\S+) +(\d+) +(\d+) +(\d+) +(-|[\d.]+ s) *(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tested:
    """What a call left: its words, the tests that ran, and the table by package (passed, failed, ignored, remark)."""

    said: Said
    ran: set[str]

    @property
    def status(self) -> int:
        return self.said.status

    @property
    def text(self) -> str:
        return self.said.out + self.said.err

    @property
    def table(self) -> dict[str, tuple[int, int, int, str]]:
        return {row[0]: (int(row[1]), int(row[2]), int(row[3]), row[5]) for row in ROW.findall(self.said.out)}

    @property
    def failed(self) -> set[str]:
        return {name for name, (_, failed, _, remark) in self.table.items() if failed or "compile" in remark}

    @property
    def compiled(self) -> set[str]:
        return set(re.findall(r"^ +Compiling (\S+)", self.said.err, re.MULTILINE))


@dataclass
class Trial:
    """The workspace at `root`, the variables of its calls, and the folder in which tests leave their names."""

    root: Path
    trace: Path
    variables: dict[str, str] = field(default_factory=dict)

    def lay_out(self) -> Trial:
        for name, text in FILES.items():
            write(self.root / name, text)
        self.trace.mkdir(exist_ok=True)
        return self

    def reset(self) -> None:
        """Put all files back, and remove those that a test has made."""
        self.variables.clear()
        kept = {self.root / name for name in FILES}
        for folder in (self.root / "crates", self.root / "common", self.root / ".config", self.root / "profiles"):
            for path in sorted(folder.rglob("*"), reverse=True):
                if path.is_file() and path not in kept:
                    path.unlink()
                elif path.is_dir() and not any(path.iterdir()):
                    path.rmdir()
        for name, text in FILES.items():
            path = self.root / name
            if not path.exists() or path.read_text() != text:
                write(path, text)

    def forget(self) -> None:
        """Remove all that was compiled and kept."""
        for name in ("target", ".doit-cargo", ".testlogs", ".logs"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def write(self, name: str, text: str) -> None:
        write(self.root / name, text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert text.count(old) == 1, (name, old)
        write(self.root / name, text.replace(old, new))

    def switch(self, package: str, text: str) -> None:
        self.write(f"crates/{package}/switch.txt", text + "\n")

    def test(
        self, *words: str, target: str = "test", runner: str = "cargo", program: tuple[str, ...] = ("doit-cargo",)
    ) -> Tested:
        """Run a test target. `runner`: "" leaves the choice to it."""
        self.clear_trace()
        chosen = [f"RUNNER={runner}"] if runner else []
        said = call(self.root, *program, target, *chosen, *words, **self._variables())
        return Tested(said, self.ran())

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `doit-cargo test` without waiting for it."""
        program = shutil.which("doit-cargo", path=environment()["PATH"])
        return subprocess.Popen(
            [str(program), "test", "RUNNER=cargo", *words],
            cwd=self.root,
            env={**environment(), **self._variables()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def why(self, *words: str) -> dict[str, Any]:
        import json

        return dict(json.loads(self.why_text(*words, "--json")))

    def why_text(self, *words: str) -> str:
        said = call(self.root, "doit-cargo", "why", "test", "RUNNER=cargo", *words, **self._variables())
        assert said.status == 0, said
        return said.out

    def cargo(self, *words: str) -> Tested:
        """Run cargo itself, in a target directory of its own."""
        self.clear_trace()
        place = ("--target-dir", str(self.trace.parent / "truth"))
        said = call(self.root, "cargo", *words[:1], *place, *words[1:], **self._variables())
        return Tested(said, self.ran())

    def cargo_fails(self, *words: str) -> set[str]:
        """Return the packages of which plain `cargo test` fails something."""
        said = self.cargo("test", "--workspace", "--no-fail-fast", *words).said
        found = set(re.findall(r"^    `-p (\S+) ", said.err, re.MULTILINE))
        found |= set(re.findall(r"^error: .*to rerun pass `-p (\S+) ", said.err, re.MULTILINE))
        found |= set(re.findall(r"^error: could not compile `(\S+)`", said.err, re.MULTILINE))
        assert bool(found) == bool(said.status), said.err
        return found

    def clear_trace(self) -> None:
        for path in self.trace.iterdir():
            path.unlink()

    def ran(self) -> set[str]:
        return {path.name for path in self.trace.iterdir()}

    def _variables(self) -> dict[str, str]:
        return {"TRACE": str(self.trace), "RUST_BACKTRACE": "0", **self.variables}


def suites(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Return suite -> (test, outcome) of a JUnit report, by name: libtest reports in the order in which tests end."""
    found: dict[str, list[tuple[str, str]]] = {}
    for suite in ElementTree.parse(path).getroot():
        cases = found.setdefault(suite.get("name", ""), [])
        for case in suite.iter("testcase"):
            outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
            cases.append((case.get("name", ""), outcome))
    return {name: sorted(cases) for name, cases in found.items()}


def has_nextest() -> bool:
    done = subprocess.run(["cargo", "nextest", "--version"], capture_output=True, check=False, env=environment())
    return done.returncode == 0


def without_nextest(folder: Path) -> str:
    """Return a PATH with everything of today's PATH but cargo-nextest."""
    folder.mkdir(exist_ok=True)
    for place in reversed(environment()["PATH"].split(os.pathsep)):
        for path in Path(place).iterdir() if os.path.isdir(place) else ():
            if path.name != "cargo-nextest":
                (folder / path.name).unlink(missing_ok=True)
                (folder / path.name).symlink_to(path)
    return str(folder)
