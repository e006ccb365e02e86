"""A random walk over test results: is what `doit-cargo test` skips what would come out the same?

Tests of a generated workspace look at the world in some fifty ways, and say what they see. After each random change
`doit-cargo test` runs what it holds for stale; then every program runs, without it. A program that was skipped, but
sees what none of its kept successes has seen, is a lie; one that ran and saw what it had seen is needless. A shell
takes the whole environment, so a variable counts for all programs that start one: that is told apart.

    python benchmarks/walk.py --steps 300 --seed 1
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

REMEMBERED = 4  # successes that doit-cargo keeps of a program
PROGRAMS = 8
READ = "let see = |p: &str| std::fs::read_to_string(p).unwrap_or_else(|e| e.kind().to_string());"
SHELL = (
    'let sh = |c: &str| { let o = std::process::Command::new("sh").args(["-c", c]).output().unwrap(); '
    "String::from_utf8_lossy(&o.stdout).into_owned() };"
)
NAMES = (
    "fn names(p: &std::path::Path, deep: bool) -> Vec<String> { let mut v = vec![]; "
    'for e in std::fs::read_dir(p).into_iter().flatten().flatten() { v.push(format!("{:?}", e.path())); '
    "if deep && e.path().is_dir() { v.extend(names(&e.path(), true)) } } v.sort(); v }"
)
# What each test sees, as a Rust expression that can be printed with {:?}.
WAYS = (
    'see("data/plain.txt")',
    'see(&format!("{}/../{}.txt", "data", ["data/for", "mat"].concat()))',
    'names("data/dir".as_ref(), false)',
    'names("data/tree".as_ref(), true)',
    'std::fs::metadata("data/size.txt").map(|m| m.len()).ok()',
    'std::path::Path::new("data/there").exists()',
    'std::path::Path::new("data/kind").is_dir()',
    'std::fs::symlink_metadata("data/kind").map(|m| m.is_symlink()).ok()',
    'std::fs::read_link("data/link").ok()',
    'std::fs::canonicalize("data/link").ok()',
    'std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata("data/run.sh").unwrap().permissions())',
    'std::env::var("WALK_ONE").ok()',
    'std::env::vars().filter(|(k, _)| k.starts_with("WALK_")).collect::<std::collections::BTreeMap<_, _>>()',
    'std::thread::spawn(|| std::env::var_os("WALK_TWO")).join().unwrap()',
    'sh("cat data/shell.txt")',
    'sh("cat data/dir/*.json 2>/dev/null")',
    'sh("ls data/tree")',
    'sh("test -e data/there && echo yes")',
    'sh("echo $WALK_TWO")',
    'sh(". data/conf.sh; echo $X")',
    'sh("find data/tree -type f | sort")',
    'sh("grep -rh needle data/tree | sort")',
    'sh("env | grep ^WALK_ | sort")',
    'sh("wc -c < data/size.txt")',
    'sh("readlink data/link")',
    'sh("stat -c %a data/run.sh")',
    'std::process::Command::new("data/run.sh").output().map(|o| o.stdout).ok()',
    'std::process::Command::new("walk-tool").output().map(|o| o.stdout).ok()',
    'std::process::Command::new("sh").args(["-c", "echo $A"]).env("A", see("data/plain.txt")).output().unwrap().stdout',
    'std::process::Command::new("cat").arg("linked/x.txt").current_dir("data").output().unwrap().stdout',
    'see("data/linked/x.txt")',
    'see("../.env")',
    'see("../.env.local")',
    'see(&(std::env::var("HOME").unwrap() + "/.walkrc"))',
    'see("/etc/hostname")',
    '{ use std::io::{Read, Seek}; let mut f = std::fs::File::open("data/plain.txt").unwrap(); '
    "f.seek(std::io::SeekFrom::Start(1)).unwrap(); let mut s = String::new(); f.read_to_string(&mut s).unwrap(); s }",
    '{ let d = std::env::temp_dir().join(format!("walk{}", std::process::id())); std::fs::create_dir(&d).unwrap(); '
    'std::fs::copy("data/plain.txt", d.join("copy")).unwrap(); let s = see(d.join("copy").to_str().unwrap()); '
    "std::fs::remove_dir_all(&d).unwrap(); s }",
    '{ let p = std::env::temp_dir().join(format!("walk{}.txt", std::process::id())); std::fs::write(&p, "x").unwrap(); '
    "let s = see(p.to_str().unwrap()); std::fs::remove_file(&p).unwrap(); s }",
    '{ use std::io::{Read, Write}; let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap(); '
    "let a = l.local_addr().unwrap(); std::thread::spawn(move || std::net::TcpStream::connect(a).unwrap()"
    '.write_all(b"hi")); let mut s = String::new(); l.accept().unwrap().0.read_to_string(&mut s).unwrap(); s }',
    'std::fs::read_dir(".").unwrap().flatten().filter(|e| e.file_name() == "extra").count()',
    'names("..".as_ref(), false).len()',
    'std::fs::read_to_string(std::env::current_dir().unwrap().parent().unwrap().join("shared").join("deep.txt")).ok()',
    'std::fs::read_dir("data/missing").is_ok()',
    'std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("sibling.txt").exists()',
)
TEST = """\
#![allow(unused)]
{names}
#[test]
fn sees() {{
    if let Ok(trace) = std::env::var("TRACE") {{ std::fs::write(format!("{{trace}}/{name}"), "").unwrap() }}
    {read}
    {shell}
{lines}
}}
"""


class Walk:
    """A workspace, the variables of its calls, and what its programs have seen."""

    def __init__(self, top: Path, seed: int) -> None:
        self.top, self.random = top, random.Random(seed)  # noqa: S311 - a walk, no secret
        self.root, self.package = top / "ws", top / "ws/one"
        self.names = [f"t{number}" for number in range(PROGRAMS)]
        self.variables: dict[str, str] = {}
        self.known: dict[str, list[str]] = {name: [] for name in self.names}
        self.executables: dict[str, str] = {}
        self.copying: set[str] = set()
        self.lay_out()

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def ways(self, number: int) -> list[tuple[int, str]]:
        """Return what one program looks at; those that copy the whole environment are together."""
        ways = sorted(enumerate(WAYS), key=lambda each: _copies(each[1]))
        size = -(-len(ways) // PROGRAMS)
        found = ways[number * size : (number + 1) * size]
        if any(_copies(way) for _, way in found):
            self.copying.add(self.names[number])
        return found

    def lay_out(self) -> None:
        self.write("Cargo.toml", '[workspace]\nresolver = "2"\nmembers = ["one"]\n[profile.dev]\ndebug = 0\n')
        self.write("one/Cargo.toml", '[package]\nname = "one"\nversion = "0.1.0"\nedition = "2021"\n')
        self.write("one/src/main.rs", "fn main() {}\n")
        for number, name in enumerate(self.names):
            lines = "\n".join(f'    println!("=> {index} {{:?}}", {way});' for index, way in self.ways(number))
            text = TEST.format(names=NAMES, name=name, read=READ, shell=SHELL, lines=lines)
            self.write(f"one/tests/{name}.rs", text)
        for name in ("plain", "format", "size", "shell"):
            self.write(f"one/data/{name}.txt", "one needle\n")
        self.write("one/data/dir/a.json", "{}")
        self.write("one/data/tree/a/b.txt", "a needle\n")
        self.write("one/data/conf.sh", "X=1\n")
        self.write("one/data/run.sh", "#!/bin/sh\necho 1\n", 0o755)
        self.write("shared/deep.txt", "1")
        self.write(".env", "A=1\n")
        self.write("../bin/walk-tool", "#!/bin/sh\necho 1\n", 0o755)
        self.write("../home/.walkrc", "1")
        for number in (1, 2):
            self.write(f"../linked{number}/x.txt", str(number))
        os.symlink(self.top / "linked1", self.package / "data/linked")
        os.symlink("plain.txt", self.package / "data/link")
        (self.top / "trace").mkdir()

    # --- changes -----------------------------------------------------------------------------------------------------

    def change(self) -> str:
        """Change something, that a test may see or not."""
        changes: list[Callable[[], str]] = [self.content, self.content, self.content, self.names_of, self.appear]
        changes += [self.touch, self.mode, self.variable, self.variable, self.link, self.noise, self.tool, self.same]
        return self.random.choice(changes)()

    def content(self) -> str:
        files = ["plain.txt", "format.txt", "size.txt", "shell.txt", "dir/a.json", "tree/a/b.txt", "conf.sh"]
        name = self.random.choice(
            [f"one/data/{file}" for file in files] + [".env", "shared/deep.txt", "../home/.walkrc"]
        )
        self.write(name, f"X={self.random.randrange(3)} needle\n")
        return f"content {name}"

    def names_of(self) -> str:
        name = self.random.choice(["one/data/dir/b.json", "one/data/tree/c.txt", "one/data/tree/a/d.txt", "extra.txt"])
        return self.flip(name)

    def appear(self) -> str:
        names = ["one/data/there", "one/extra", ".env.local", "one/data/missing/x", "one/data/kind"]
        return self.flip(self.random.choice([*names, "target/debug/sibling.txt"]))

    def flip(self, name: str) -> str:
        path = self.root / name
        if path.exists():
            path.unlink()
            if path.parent.name == "missing":
                path.parent.rmdir()
        else:
            self.write(name, "needle\n")
        return f"flip {name}"

    def touch(self) -> str:
        name = self.random.choice(["plain.txt", "dir/a.json", "tree/a/b.txt", "run.sh"])
        (self.package / "data" / name).touch()
        return f"touch {name}"

    def same(self) -> str:
        path = self.package / "data/plain.txt"
        path.write_text(path.read_text())
        return "same content"

    def mode(self) -> str:
        (self.package / "data/run.sh").chmod(self.random.choice([0o755, 0o700, 0o644]))
        return "mode"

    def variable(self) -> str:
        name = self.random.choice(["WALK_ONE", "WALK_TWO", "WALK_THREE", "OTHER", "WALKER"])
        if self.variables.pop(name, None) is None:
            self.variables[name] = self.random.choice("12")
        return f"variable {name}"

    def link(self) -> str:
        name, targets = self.random.choice(
            [("linked", [f"{self.top}/linked1", f"{self.top}/linked2"]), ("link", ["plain.txt", "format.txt"])]
        )
        path = self.package / "data" / name
        path.unlink()
        os.symlink(self.random.choice(targets), path)
        return f"link {name}"

    def noise(self) -> str:
        name = self.random.choice(["one/notes.md", "one/unread/x.txt", "docs/x.md", "../elsewhere.txt"])
        self.write(name, str(self.random.random()))
        return f"noise {name}"

    def tool(self) -> str:
        self.write("../bin/walk-tool", f"#!/bin/sh\necho {self.random.randrange(2)}\n", 0o755)
        return "tool"

    # --- calls -------------------------------------------------------------------------------------------------------

    def environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("RUSTUP_HOME", "CARGO_HOME") if name in os.environ}
        home = os.path.expanduser("~")
        kept.setdefault("RUSTUP_HOME", f"{home}/.rustup")
        kept.setdefault("CARGO_HOME", f"{home}/.cargo")
        path = f"{self.top}/bin:{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
        return {**kept, "PATH": path, "HOME": f"{self.top}/home", "XDG_CACHE_HOME": f"{home}/.cache", **self.variables}

    def tested(self) -> set[str]:
        """Run `doit-cargo test`; return the programs that ran."""
        trace = self.top / "trace"
        for path in trace.iterdir():
            path.unlink()
        argv = ["doit-cargo", "test", "RUNNER=cargo", "WITHOUT_PREFLIGHT=1"]
        environ = {**self.environ(), "TRACE": str(trace)}
        done = subprocess.run(argv, cwd=self.root, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"doit-cargo test failed:\n{done.stdout}{done.stderr}")
        return {path.name for path in trace.iterdir()}

    def seen(self, name: str) -> str:
        """Return what a program sees now."""
        if name not in self.executables:
            found = [path for path in (self.root / "target/debug/deps").glob(f"{name}-*") if not path.suffix]
            self.executables[name] = str(found[0])
        argv = [self.executables[name], "--nocapture"]
        done = subprocess.run(argv, cwd=self.package, env=self.environ(), capture_output=True, text=True, check=True)
        return "\n".join(line for line in done.stdout.splitlines() if "=> " in line)

    def judge(self, ran: set[str], steps: list[str]) -> tuple[int, int]:
        """Return (lies, needless runs) of a call."""
        lies = needless = 0
        for name in self.names:
            now, known = self.seen(name), self.known[name]
            if name in ran and now in known:
                taken = "variable" in steps[-1] and name in self.copying
                needless += not taken
                print(f"{'copies its environment' if taken else 'needless'} {name}: {steps[-1]}")
            elif name not in ran and now not in known:
                lies += 1
                print(f"LIE {name}: {steps[-3:]}\n{now}\nknown: {known[:1]}")
            if name in ran:
                self.known[name] = [now, *(one for one in known if one != now)][:REMEMBERED]
        return lies, needless


def _copies(way: str) -> bool:
    return any(word in way for word in ("sh(", "Command", "vars()"))


def main() -> int:
    """Walk, and tell what came of it; the exit code is 1 if there was a lie."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="walk-"))
    try:
        walk = Walk(top, given.seed)
        walk.judge(walk.tested(), ["first"])
        walk.judge(walk.tested(), ["second"])
        lies = needless = runs = 0
        steps: list[str] = []
        for _ in range(given.steps):
            steps.append(walk.change())
            ran = walk.tested()
            found = walk.judge(ran, steps)
            lies, needless, runs = lies + found[0], needless + found[1], runs + len(ran)
            if len(steps) % 25 == 0:
                print(f"{len(steps)} steps: {lies} lies, {needless} needless of {len(steps) * PROGRAMS}")
        decisions = given.steps * PROGRAMS
        print(f"{given.steps} steps, {decisions} decisions, {runs} runs: {lies} lies, {needless} needless")
        return 1 if lies else 0
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
