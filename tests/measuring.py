"""A workspace to measure: `app` (a program and its tests), `timed` (benchmarks whose figures a file decides)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from calling import SCRIPTS, environment
from conftest import write

WORKSPACE = """\
[workspace]
resolver = "2"
members = ["app", "timed"]

[profile.release]
strip = true
"""
MANIFEST = '[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n'
LOCK = 'version = 4\n\n[[package]]\nname = "app"\nversion = "0.1.0"\n\n[[package]]\nname = "timed"\nversion = "0.1.0"\n'
MAIN = """\
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--wait") {
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
    if words.iter().any(|word| word == "--spin") {
        turn_round_and_round();
    }
    println!("app 0.1.0 {}", app::half(words.len() as u32 * 2));
}

#[inline(never)]
fn turn_round_and_round() {
    let started = std::time::Instant::now();
    while started.elapsed().as_secs() < 60 {
        std::hint::black_box(started);
    }
}
"""
LIB = """\
pub fn half(n: u32) -> u32 {
    if n % 2 == 0 {
        n / 2
    } else {
        unreached(n)
    }
}

fn unreached(n: u32) -> u32 {
    n + 1
}

#[cfg(test)]
mod tests {
    #[test]
    fn half_of_four() {
        assert_eq!(super::half(4), 2);
    }
}
"""
# Prints what the file of figures says, and notes its arguments; `--list` measures nothing, as in libtest.
STEADY = """\
use std::io::Write;
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") { println!("one: benchmark"); return }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../figures/");
    let mut notes = std::fs::OpenOptions::new().append(true).create(true).open(format!("{folder}calls")).unwrap();
    writeln!(notes, "steady {}", words.join(" ")).unwrap();
    print!("{}", std::fs::read_to_string(format!("{folder}steady")).unwrap());
}
"""
# Takes no option but cargo's own.
STRICT = """\
fn main() {
    if std::env::args().skip(1).any(|word| word != "--bench") { std::process::exit(2) }
    println!("{{\\"name\\":\\"plain\\",\\"median_ns\\":250.0,\\"low_ns\\":240.0,\\"high_ns\\":260.0}}");
}
"""
STEADY_FIGURES = """\
one                              time: [     90.0 ns     100.0 ns     110.0 ns]
a name that is too long for its line
                        time:   [1.9000 µs 2.0000 µs 2.1000 µs]
"""


def lay_out(root: Path) -> Path:
    """Write the workspace and its figures."""
    write(root / "Cargo.toml", WORKSPACE)
    write(root / "Cargo.lock", LOCK)
    write(root / "app/Cargo.toml", MANIFEST.format(name="app"))
    write(root / "app/src/lib.rs", LIB)
    write(root / "app/src/main.rs", MAIN)
    benches = "".join(f'[[bench]]\nname = "{name}"\nharness = false\n' for name in ("steady", "strict"))
    gated = '[[bench]]\nname = "gated"\nharness = false\nrequired-features = ["more"]\n[features]\nmore = []\n'
    write(root / "timed/Cargo.toml", MANIFEST.format(name="timed") + benches + gated)
    write(root / "timed/src/lib.rs", "")
    write(root / "timed/benches/steady.rs", STEADY)
    write(root / "timed/benches/strict.rs", STRICT)
    write(root / "timed/benches/gated.rs", "fn main() {}\n")
    write(root / "figures/steady", STEADY_FIGURES)
    return root


def here(name: str) -> str:
    """Return where a tool is on the PATH that calls get, "" if nowhere."""
    return shutil.which(name, path=environment()["PATH"]) or ""


def needs(*tools: str) -> pytest.MarkDecorator:
    """Skip where a tool that no Python package brings is not on PATH."""
    missing = [tool for tool in tools if not here(tool)]
    return pytest.mark.skipif(bool(missing), reason=f"not on PATH: {', '.join(missing)}; scripts: {SCRIPTS}")
