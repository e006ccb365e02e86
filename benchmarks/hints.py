"""How fast a log is read for hints: MB/s and peak memory of `doit-cargo hint` on synthetic logs.

    python benchmarks/hints.py [--megabytes 100] [--runs 3] [--json FILE] [--python EXE] [--keep DIR]

Standard library only. Each run is a process of its own, in turns over the logs, so start-up counts; `wc -l` on the same
file in the same turn is the yardstick. Never fails on a number. benchmarks/README.md says what each row means.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

CRATES = ("serde", "tokio", "thiserror", "failure", "candle-core", "cudarc", "pyo3", "openssl-sys", "bindgen", "cmake")
CAUSE = "error: failed to run custom build command for `x v1.0.0`\n  Error: Could not find `protoc`.\n"
RUSTC = (
    "     Running `CARGO=/opt/toolchains/stable/bin/cargo CARGO_PKG_DESCRIPTION='Errors, and how to fail' rustc "
    "--crate-name {crate} --edition=2021 src/lib.rs --error-format=json --json=artifacts --emit=dep-info,metadata,link "
    "-C metadata={hash} -C extra-filename=-{hash} --out-dir /w/target/debug/deps --cap-lints allow`"
)


def very_verbose(chance: random.Random) -> str:
    """Return lines of a good `cargo build -vv`."""
    crate, number = chance.choice(CRATES), f"{chance.getrandbits(64):016x}"
    return chance.choice(
        (
            f"   Compiling {crate} v0.{chance.randint(0, 99)}.{chance.randint(0, 99)}",
            RUSTC.format(crate=crate, hash=number),
            f"[{crate} 0.1.{chance.randint(0, 9)}] cargo:rerun-if-env-changed=CC_{number}",
            f"test {crate}::tests::cannot_find_{number} ... ok",
            f"warning: unused variable: `v{number}`\n --> src/{crate}.rs:9:13\n  |\n9 | let v = 3;",
        )
    )


def all_errors(chance: random.Random) -> str:
    """Return lines of compile errors, each of which must be looked at: nothing is slower."""
    name = f"v{chance.getrandbits(32):08x}"
    return f"error[E0425]: cannot find value `{name}` in this scope\n --> src/{name}.rs:{chance.randint(1, 999)}:5\n"


def coloured(chance: random.Random) -> str:
    """Return the same as `very_verbose`, in colours."""
    return f"\x1b[1m\x1b[32m{very_verbose(chance)}\x1b[0m"


LOGS: dict[str, Callable[[random.Random], str]] = {
    "cargo build -vv": very_verbose,
    "the same in colours": coloured,
    "compile errors only": all_errors,
}


@dataclass
class Series:
    """One log: its size in bytes, seconds of each run, of `wc -l`, and the highest memory in MB."""

    size: int
    times: list[float] = field(default_factory=list)
    yardstick: list[float] = field(default_factory=list)
    memory: float = 0.0


def lines(make: Callable[[random.Random], str], size: int) -> Iterator[str]:
    """Yield lines until they have `size` characters."""
    chance, written = random.Random(1), 0  # noqa: S311 - no secret: the same log each time
    while written < size:
        text = make(chance) + "\n"
        written += len(text)
        yield text


def write_log(path: Path, make: Callable[[random.Random], str], size: int) -> None:
    """Write a log whose cause stands at its end."""
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(lines(make, size))
        stream.write(CAUSE)


def measure(python: str, log: Path, series: Series) -> None:
    """Read one log once, and count its lines for comparison."""
    command = [python, "-m", "doit_cargo.cli.main", "hint", "--json", str(log)]
    started = perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out = process.stdout.read() if process.stdout else b""
    _, _, usage = os.wait4(process.pid, 0)
    series.times.append(perf_counter() - started)
    found = [hint["name"] for hint in json.loads(out)["hints"]]
    if found != ["protoc-missing"]:
        raise SystemExit(f"{log}: {found} instead of the cause at its end")
    series.memory = max(series.memory, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3))
    started = perf_counter()
    subprocess.run(["wc", "-l", str(log)], stdout=subprocess.DEVNULL, check=True)
    series.yardstick.append(perf_counter() - started)


def table(found: dict[str, Series]) -> str:
    """Return the figures as Markdown."""
    rows = ["| Log | MB | seconds | MB/s | peak MB | times `wc -l` |", "| --- | --- | --- | --- | --- | --- |"]
    for name, one in found.items():
        median, best = statistics.median(one.times), min(one.times)
        speed = f"{one.size / 1e6 / median:.0f} / {one.size / 1e6 / best:.0f}"
        ratio = median / statistics.median(one.yardstick)
        row = (name, f"{one.size / 1e6:.0f}", f"{median:.2f} / {best:.2f}", speed, f"{one.memory:.0f}", f"{ratio:.0f}")
        rows.append("| " + " | ".join(row) + " |")
    return "\n".join(rows)


def main() -> None:
    """Write the logs, read them in turns, print one table."""
    parser = argparse.ArgumentParser(description="Measure how fast logs are read for hints.")
    parser.add_argument("--megabytes", type=float, default=100, help="the size of each log (default: 100)")
    parser.add_argument("--runs", type=int, default=3, help="how often each log is read (default: 3)")
    parser.add_argument("--python", default=sys.executable, help="a Python that has doit-cargo (default: this one)")
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--keep", help="write the logs to this folder and leave them there")
    options = parser.parse_args()
    folder = Path(options.keep or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        logs = {name: folder / f"{number}.log" for number, name in enumerate(LOGS)}
        for name, path in logs.items():
            write_log(path, LOGS[name], int(options.megabytes * 1e6))
        found = {name: Series(path.stat().st_size) for name, path in logs.items()}
        for _ in range(options.runs):
            for name, path in logs.items():
                measure(options.python, path, found[name])
        print(table(found))
        if options.json:
            data = {name: vars(one) for name, one in found.items()}
            Path(options.json).write_text(json.dumps(data, indent=2), encoding="utf-8")
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
