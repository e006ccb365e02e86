"""What pre-flight costs: doctor cold and cached, and a build before which nothing has changed.

    python benchmarks/doctor.py [--crates 100] [--runs 10] [--python EXE] [--json FILE]

Measured in turns (A B C A B C ...) on one generated workspace, with cargo's own `cargo tree` and no-op build beside it.
Prints one table and never fails on a number. benchmarks/README.md says what each row means.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

from noop import layered_edges

# What a process pays for pre-flight alone: the part of a build that runs again, with its imports, in milliseconds.
AGAIN = """
import os, sys, time
from doit_cargo.session import Session
session = Session(sys.argv[1], os.environ, {})
session.prepare(["dev"])
plan, machine, workspace = session.plan("dev"), session.machine, session.workspace
start = time.perf_counter()
from doit_cargo.engine import preflight
preflight.require(plan, machine, session.root, session.known(plan, "dev"), again=plan.state is not None)
print((time.perf_counter() - start) * 1000, plan.state is not None)
"""
NEEDED = {"prost-build": "0.13.5", "openssl-sys": "0.9.109", "zmq-sys": "0.12.0", "bindgen": "0.71.1"}


def make_workspace(root: Path, crates: int) -> None:
    """Write path crates in layers, and on top `app`, which four crates that need something hang on too."""
    libraries = [f"part{number:03}" for number in range(crates - 1)]
    edges = layered_edges(libraries)
    used = {name for names in edges.values() for name in names}
    edges["app"] = [*(name for name in libraries if name not in used), *NEEDED]
    for name in NEEDED:
        edges[name] = []
    write(
        root / "Cargo.toml", '[workspace]\nresolver = "2"\nmembers = ["crates/*"]\ndefault-members = ["crates/app"]\n'
    )
    for name, others in edges.items():
        lines = [f'[package]\nname = "{name}"\nversion = "{NEEDED.get(name, "0.1.0")}"\nedition = "2021"']
        lines += ["[dependencies]", *(f'{other} = {{ path = "../{other}" }}' for other in others)]
        write(root / "crates" / name / "Cargo.toml", "\n".join(lines) + "\n")
        source = ("main.rs", "fn main() {}\n") if name == "app" else ("lib.rs", "")
        write(root / "crates" / name / "src" / source[0], source[1])


def write(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def stand_ins(folder: Path) -> None:
    """Put a protoc and a libclang there for those who look: nothing of this computer may be missing."""
    write(folder / "protoc", "#!/bin/sh\necho libprotoc 29.3\n")
    (folder / "protoc").chmod(0o755)
    write(folder / "google/protobuf/descriptor.proto", "")
    write(folder / "lib/libclang.so", "")
    write(folder / "lib/clang/18/include/stddef.h", "")
    write(folder / "pc/openssl.pc", "Name: openssl\nDescription: d\nVersion: 3.0.2\nLibs: -lssl\n")
    os.environ |= {"PROTOC": str(folder / "protoc"), "LIBCLANG_PATH": str(folder / "lib")}
    os.environ["PKG_CONFIG_PATH"] = str(folder / "pc")


def timed(argv: list[str], cwd: Path, good: tuple[int, ...] = (0, 1)) -> float:
    """Run a program; return milliseconds. Raises if it ends in any other way than it should."""
    start = time.perf_counter()
    done = subprocess.run(argv, cwd=cwd, capture_output=True, check=False)
    if done.returncode not in good:
        raise SystemExit(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.decode()}")
    return (time.perf_counter() - start) * 1000


def again(python: str, root: Path) -> float:
    """Return the milliseconds of pre-flight before a build that runs again."""
    done = subprocess.run([python, "-c", AGAIN, str(root)], capture_output=True, text=True, check=True)
    milliseconds, held = done.stdout.split()
    if held != "True":
        raise SystemExit("the stored plan did not hold: this would measure something else")
    return float(milliseconds)


def contenders(root: Path, python: str) -> dict[str, Callable[[], float]]:
    """Return what each row measures, in milliseconds a call."""
    program = [python, "-m", "doit_cargo.cli.main"]

    def cold() -> float:
        for path in (root / ".doit-cargo").glob("needs-*"):
            path.unlink()
        (root / ".doit-cargo/tools.json").unlink(missing_ok=True)
        return timed([*program, "doctor", "dev"], root)

    def first() -> float:
        rmtree(root / ".doit-cargo", ignore_errors=True)
        return timed([*program, "doctor", "dev"], root)

    return {
        "cargo tree, offline": lambda: timed(["cargo", "tree", "--offline", "--locked"], root),
        "cargo build, nothing to do": lambda: timed(["cargo", "build"], root),
        "doctor, first call in a workspace": first,
        "doctor, cold": cold,
        "doctor, cached": lambda: timed([*program, "doctor", "dev"], root),
    }


def measure(root: Path, python: str, runs: int) -> dict[str, list[float]]:
    """Return the times of each row. The receipt that the last row needs is made when the others are done."""
    rows = contenders(root, python)
    found: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(runs):
        for name, call in rows.items():
            found[name].append(call())
        print(f"round {number + 1} of {runs}", file=sys.stderr)
    timed([python, "-m", "doit_cargo.cli.main", "dev", "WITHOUT_PREFLIGHT=1"], root, (0,))
    again_ = "before a build, unchanged"
    again(python, root)
    found[again_] = [again(python, root) for _ in range(runs)]
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crates", type=int, default=100)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--python", default=sys.executable, help="a Python with doit-cargo installed")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        root = Path(folder) / "ws"
        make_workspace(root, options.crates)
        stand_ins(Path(folder))
        for argv in (["cargo", "generate-lockfile", "--offline", "-q"], ["cargo", "build", "-q"]):
            subprocess.run(argv, cwd=root, check=True, env={**os.environ, "CARGO_TARGET_DIR": str(root / "target")})
        found = measure(root, options.python, options.runs)
    print(f"{options.crates} crates, milliseconds, median / minimum of {options.runs}")
    for name, times in found.items():
        print(f"{name:36} {statistics.median(times):7.1f} / {min(times):7.1f}")
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
