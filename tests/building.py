"""A small workspace whose binary prints everything that can change it, and the tool run on it as users run it.

The crates use nothing but std. `app` prints one `key=value` line for each input, so a stale build is one wrong line.
The `cargo` on PATH writes down how it was called and then becomes the real one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CARGO_TOML = """\
[workspace]
resolver = "2"
members = ["crates/*"]

[profile.dev]
debug = false
incremental = false

[profile.release]
opt-level = 1
"""

MANIFEST = """\
[package]
name = "{name}"
version = "0.1.0"
edition = "2021"
description = "of {name}"
{tables}"""

KIT = """\
#[path = "linked.rs"]
pub mod linked;
pub mod part;
pub const VALUE: u32 = 10;
pub const NOTE: &str = include_str!("../../../../shared/note.txt");
pub const DESCRIPTION: &str = env!("CARGO_PKG_DESCRIPTION");
pub const OPTIONAL: Option<&str> = option_env!("OPTIONAL");
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
pub const FEATURE: bool = cfg!(feature = "extra");
pub const FLAG: bool = cfg!(marked);
pub const DEBUG: bool = cfg!(debug_assertions);
pub const SCRIPT: Option<&str> = option_env!("MADE_BY_SCRIPT");
fn never_called() {}
"""

MACRO = """\
use proc_macro::TokenStream;
#[proc_macro]
pub fn stamp(_: TokenStream) -> TokenStream {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../macro.txt");
    let text = std::fs::read_to_string(file).unwrap();
    let variable = std::env::var("MACRO_VARIABLE").unwrap_or("unset".into());
    format!("\\"macro 1, {}, {}\\"", text.trim(), variable).parse().unwrap()
}
"""

# Watches a folder, a file and a variable by name, and links a C library that cargo never looks at. With GATE set it
# waits in the middle of the build until a test opens the gate.
WATCHING_SCRIPT = """\
fn walk(folder: &std::path::Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else {
            found.push(std::fs::read_to_string(&path).unwrap().trim().to_string());
        }
    }
}
fn wait_at_the_gate() {
    let Ok(gate) = std::env::var("GATE") else { return };
    let gate = std::path::Path::new(&gate);
    std::fs::write(gate.join("new"), std::process::id().to_string()).unwrap();
    std::fs::rename(gate.join("new"), gate.join("reached")).unwrap();
    for _ in 0..6000 {
        if gate.join("open").exists() { return }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("nobody opened the gate");
}
fn main() {
    wait_at_the_gate();
    println!("cargo:rerun-if-changed=watched");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SCRIPT_VARIABLE");
    let mut found = Vec::new();
    walk("watched".as_ref(), &mut found);
    found.sort();
    println!("cargo:rustc-env=WATCHED={}", found.join("+"));
    println!("cargo:rustc-env=ASKED={}", std::env::var("SCRIPT_VARIABLE").unwrap_or("unset".into()));
    println!("cargo:rustc-env=OPTIMISED={}", std::env::var("OPT_LEVEL").unwrap());
    let native = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../native");
    println!("cargo:rustc-link-search=native={}", native.display());
    println!("cargo:rustc-link-lib=static=number");
}
"""

WATCHING = """\
pub const WATCHED: &str = env!("WATCHED");
pub const ASKED: &str = env!("ASKED");
pub const OPTIMISED: &str = env!("OPTIMISED");
extern "C" { fn number() -> i32; }
pub fn native() -> i32 { unsafe { number() } }
"""

# Prints no rerun-if line, so cargo reruns it for every file of its package.
TRUSTING_SCRIPT = """\
fn main() {
    let mut found: Vec<String> = std::fs::read_dir("data").unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap().trim().to_string())
        .collect();
    found.sort();
    println!("cargo:rustc-env=DATA={}", found.join("+"));
}
"""

APP = """\
fn main() {
    println!("app={}", 70);
    println!("kit={}", kit::VALUE);
    println!("part={}", kit::part::VALUE);
    println!("linked={}", kit::linked::VALUE);
    println!("note={}", kit::NOTE.trim());
    println!("description={}", kit::DESCRIPTION);
    println!("optional={}", kit::OPTIONAL.unwrap_or("unset"));
    println!("version={}", kit::VERSION);
    println!("feature={}", kit::FEATURE);
    println!("flag={}", kit::FLAG);
    println!("debug={}", kit::DEBUG);
    println!("macro={}", mac::stamp!());
    println!("watched={}", watching::WATCHED);
    println!("asked={}", watching::ASKED);
    println!("optimised={}", watching::OPTIMISED);
    println!("native={}", watching::native());
    println!("data={}", trusting::DATA);
    println!("outside={}", outside::VALUE);
    println!("script={}", kit::SCRIPT.unwrap_or("unset"));
}
"""

FILES = {
    "shared/note.txt": "a note\n",
    "outside/Cargo.toml": MANIFEST.format(name="outside", tables="[features]\nbig = []\n"),
    "outside/src/lib.rs": 'pub const VALUE: u32 = if cfg!(feature = "big") { 6000 } else { 60 };\n',
    "ws/Cargo.toml": CARGO_TOML,
    "ws/README.md": "A workspace.\n",
    "ws/macro.txt": "text\n",
    "ws/native/number.c": "int number(void) { return 50; }\n",
    "ws/profiles/dev.toml": """\
extends = "dev"
[inputs]
files = ["macro.txt"]
env = ["MACRO_VARIABLE"]
packages = ["app"]
""",
    "ws/crates/kit/Cargo.toml": MANIFEST.format(
        name="kit", tables='[features]\nextra = []\n[lints.rust]\nunexpected_cfgs = "allow"\n'
    ),
    "ws/crates/kit/src/lib.rs": KIT,
    "ws/crates/kit/src/part.rs": "// 1st comment\npub const VALUE: u32 = 20;\n",
    "ws/crates/kit/links/one.rs": "pub const VALUE: u32 = 30;\n",
    "ws/crates/kit/links/two.rs": "pub const VALUE: u32 = 31;\n",
    "ws/crates/mac/Cargo.toml": MANIFEST.format(name="mac", tables="[lib]\nproc-macro = true\n"),
    "ws/crates/mac/src/lib.rs": MACRO,
    "ws/crates/watching/Cargo.toml": MANIFEST.format(name="watching", tables=""),
    "ws/crates/watching/build.rs": WATCHING_SCRIPT,
    "ws/crates/watching/src/lib.rs": WATCHING,
    "ws/crates/watching/watched/one.txt": "w1\n",
    "ws/crates/watching/watched/deep/two.txt": "w2\n",
    "ws/crates/app/Cargo.toml": MANIFEST.format(
        name="app",
        tables="""\
[features]
extra = ["kit/extra"]
[dependencies]
kit = { path = "../kit" }
mac = { path = "../mac" }
watching = { path = "../watching" }
trusting = { path = "../trusting" }
outside = { path = "../../../outside" }
""",
    ),
    "ws/crates/app/src/main.rs": APP,
    "ws/crates/trusting/Cargo.toml": MANIFEST.format(name="trusting", tables=""),
    "ws/crates/trusting/build.rs": TRUSTING_SCRIPT,
    "ws/crates/trusting/src/lib.rs": 'pub const DATA: &str = env!("DATA");\n',
    "ws/crates/trusting/data/one.txt": "d1\n",
    "ws/crates/trusting/data/two.txt": "d2\n",
}

BASELINE = {
    "app": "70",
    "kit": "10",
    "part": "20",
    "linked": "30",
    "note": "a note",
    "description": "of kit",
    "optional": "unset",
    "version": "0.1.0",
    "feature": "false",
    "flag": "false",
    "debug": "true",
    "macro": "macro 1, text, unset",
    "watched": "w1+w2",
    "asked": "unset",
    "optimised": "0",
    "native": "50",
    "data": "d1+d2",
    "outside": "60",
    "script": "unset",
}
"""What `app` prints after `doit-cargo dev` in the untouched workspace."""

PACKAGES = ("app", "kit", "mac", "outside", "trusting", "watching")
"""All packages of a build."""

BETWEEN = "\x1f"
"""What stands between two arguments of a noted call: a unit separator, as no argument holds one."""

OLD = 1_000_000_000_000_000_000
"""A modification time in 2001, in nanoseconds: older than every build."""


@dataclass(frozen=True)
class Run:
    """How one call of the tool ended. `cargo` are the argument lists of the cargo calls that it made."""

    status: int
    out: str
    err: str
    cargo: tuple[tuple[str, ...], ...]

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def builds(self) -> int:
        """How many times cargo was asked to build."""
        return sum(call[:1] == ("build",) for call in self.cargo)

    @property
    def compiled(self) -> tuple[str, ...]:
        """The packages that cargo said it compiles, by what follows the word `Compiling`."""
        return tuple(sorted(set(re.findall(r" (\S+) v[\d.]+ \(/", self.err))))

    @property
    def summary(self) -> tuple[int, bool, tuple[str, ...]]:
        """Return (status, whether any cargo was started, packages compiled)."""
        return self.status, bool(self.cargo), self.compiled


FRESH = (0, False, ())
"""The summary of a call that was up to date: no cargo of any kind was started."""


@dataclass
class Site:
    """One generated workspace with its own HOME, and the environment that the tool gets."""

    top: Path
    variables: dict[str, str] = field(default_factory=dict)
    built_times: dict[str, int] = field(default_factory=dict)
    """The times of the sources when the tool last built them: cargo takes new ones for changes, where we skip."""

    def __post_init__(self) -> None:
        self.ws = self.top / "parent/ws"
        self.home = self.top / "home"
        self.calls = self.top / "cargo-calls"
        self.elsewhere = self.top / "elsewhere"
        self.proxies = self.home / ".cargo/bin"

    # --- the workspace -----------------------------------------------------------------------------------------------

    def lay_out(self, incremental: bool = False) -> Site:
        """Write the workspace, the home and the cargo that takes notes.

        Incremental compilation doubles what a build costs: it is for tests of what it keeps.
        """
        for name, text in FILES.items():
            self.write(f"parent/{name}", text)
        if incremental:
            self.edit("Cargo.toml", "incremental = false\n", "")
        self.symlink("crates/kit/src/linked.rs", "../links/one.rs")
        self.make_library()
        self.home.mkdir()
        wrapper = self.path("/bin/cargo")
        real = self.link_rustup()
        # The arguments go in one write of its own each: two calls at once must not mix their lines. It is a script of
        # the shell, since a Python would be one more program of each build that the observer looks through.
        self.write(
            "bin/cargo",
            f"#!/bin/sh\nIFS='{BETWEEN}'\nprintf '%s\\n' \"$*\" >> '{self.calls}'\nexec '{real}' \"$@\"\n",
        )
        wrapper.chmod(0o755)
        return self

    def link_rustup(self) -> str:
        """Return cargo; if it is rustup, then as a link in its home, where the observer need not look through it."""
        found = shutil.which("cargo") or "cargo"
        rustup = os.path.realpath(found)
        if os.path.basename(rustup) != "rustup":
            return found
        self.proxies.mkdir(parents=True)
        try:
            for name in ("cargo", "rustc", "rustup"):
                os.link(rustup, self.proxies / name)
        except OSError:
            return found  # on another disk
        return str(self.proxies / "cargo")

    def make_library(self) -> None:
        """Compile native/number.c to the static library that `watching` links."""
        folder = self.ws / "native"
        subprocess.run(["cc", "-c", "number.c", "-o", "number.o"], cwd=folder, check=True)
        (folder / "libnumber.a").unlink(missing_ok=True)
        subprocess.run(["ar", "rcsD", "libnumber.a", "number.o"], cwd=folder, check=True)

    def path(self, name: str) -> Path:
        """Return the path of a name: below the workspace, or below the whole site if it begins with a slash."""
        return self.top / name[1:] if name.startswith("/") else self.ws / name

    def write(self, name: str, text: str) -> Path:
        """Write a file below the site, and the folders above it."""
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def add(self, name: str, text: str, mtime_ns: int | None = None) -> None:
        """Write a file of the workspace, at a time of one's own choice."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if mtime_ns is not None:
            os.utime(path, ns=(mtime_ns, mtime_ns))

    def edit(self, name: str, old: str, new: str, mtime_ns: int | None = None) -> None:
        """Replace a text that a file must hold."""
        text = self.path(name).read_text(encoding="utf-8")
        assert old in text, f"{name} holds no {old!r}"
        self.add(name, text.replace(old, new), mtime_ns)

    def mtime(self, name: str) -> int:
        return self.path(name).stat().st_mtime_ns

    def symlink(self, name: str, leads_to: str) -> None:
        self.path(name).unlink(missing_ok=True)
        self.path(name).symlink_to(leads_to)

    # --- going back --------------------------------------------------------------------------------------------------

    def sources(self) -> dict[str, tuple[str, int]]:
        """Return every file that a person would own: (content or where a link leads to, mode), by path."""
        found = {}
        for place in (self.top / "parent", self.home):
            for folder, below, files in os.walk(place):
                below[:] = [name for name in below if name not in ("target", ".doit-cargo", ".logs", "registry")]
                for name in files if folder != str(self.proxies) else ():
                    path = os.path.join(folder, name)
                    if not name.startswith(".package-cache") and name != ".global-cache":
                        found[path] = _content(path)
        return found

    def restore(self, sources: Mapping[str, tuple[str, int]], mtimes: Mapping[str, int] | None = None) -> None:
        """Bring all sources back: what differs gets its old content, with a new time or the time in `mtimes`."""
        now = self.sources()
        for path in now.keys() - sources.keys():
            os.unlink(path)
            _remove_empty_folders(os.path.dirname(path))
        for path, (content, mode) in sources.items():
            if now.get(path) != (content, mode):
                _put_back(path, content, mode)
                if mtimes:
                    os.utime(path, ns=(mtimes[path], mtimes[path]), follow_symlinks=False)

    def times(self) -> dict[str, int]:
        """Return the modification time of every source."""
        return {path: os.lstat(path).st_mtime_ns for path in self.sources()}

    def forget_builds(self) -> None:
        """Remove all that was built and all that is known of it."""
        for folder in (self.ws / "target", self.ws / ".doit-cargo", self.ws / ".logs", self.elsewhere):
            shutil.rmtree(folder, ignore_errors=True)

    # --- running -----------------------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("LANG", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "PATH": os.pathsep.join([str(self.top / "bin"), str(self.proxies), os.environ["PATH"]]),
            "HOME": str(self.home),
            "CARGO_HOME": str(self.home / ".cargo"),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
            "RUSTUP_HOME": os.environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup"),
            **self.variables,
        }

    def program(self) -> str:
        """Return the tool itself."""
        return _program()

    def start(self, *words: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start the tool in a process group of its own, without waiting for it."""
        return subprocess.Popen(
            [_program(), *words],
            cwd=cwd or self.ws,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def tool(self, *words: str, cwd: Path | None = None) -> Run:
        """Run the tool to its end."""
        self.calls.unlink(missing_ok=True)
        times = self.times()
        process = self.start(*words, cwd=cwd)
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        run = Run(process.returncode, out, err, self.cargo_calls())
        if run.builds:
            self.built_times = times if words[:1] == ("dev",) and not run.status else {}
        return run

    def cargo_calls(self) -> tuple[tuple[str, ...], ...]:
        """Return the argument lists of all cargo calls since the last `tool` began."""
        text = self.calls.read_text(encoding="utf-8") if self.calls.exists() else ""
        return tuple(tuple(line.split(BETWEEN)) for line in text.split("\n")[:-1])

    def why(self, *words: str) -> dict[str, object]:
        """Return what `why --json` says."""
        run = self.tool("why", *words, "--json")
        assert run.status == 0, run.text
        return dict(json.loads(run.out))

    def printed(self, binary: str = "target/debug/app") -> dict[str, str]:
        """Run a binary that was built; return what it prints."""
        done = subprocess.run([self.ws / binary], capture_output=True, text=True, check=True)
        return dict(line.split("=", 1) for line in done.stdout.splitlines())

    def cargo(self, *arguments: str) -> None:
        """Run cargo behind the tool's back."""
        subprocess.run(
            ["cargo", *arguments], cwd=self.ws, env=self.environment(), check=True, capture_output=True, text=True
        )

    def truth(self, *arguments: str) -> dict[str, str]:
        """Return what `app` prints if a plain cargo builds it from nothing, in another target directory."""
        shutil.rmtree(self.elsewhere, ignore_errors=True)
        self.cargo("build", "--target-dir", str(self.elsewhere), *arguments)
        folder = "release" if "--release" in arguments else "debug"
        return self.printed(str(self.elsewhere / folder / "app"))


def _program() -> str:
    """Return the installed console script, of the environment that runs the tests."""
    found = shutil.which("doit-cargo", path=os.path.dirname(sys.executable)) or shutil.which("doit-cargo")
    assert found, "doit-cargo is not installed: pip install -e ."
    return found


def _content(path: str) -> tuple[str, int]:
    if os.path.islink(path):
        return os.readlink(path), stat.S_IFLNK
    with open(path, "rb") as stream:
        return stream.read().decode("latin-1"), stat.S_IMODE(os.stat(path).st_mode)


def _put_back(path: str, content: str, mode: int) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if mode == stat.S_IFLNK:
        Path(path).unlink(missing_ok=True)
        os.symlink(content, path)
        return
    if os.path.islink(path):
        os.unlink(path)
    Path(path).write_bytes(content.encode("latin-1"))
    os.chmod(path, mode)


def _remove_empty_folders(folder: str) -> None:
    while not os.listdir(folder):
        os.rmdir(folder)
        folder = os.path.dirname(folder)
