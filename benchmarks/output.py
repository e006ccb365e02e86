"""What it costs that doit-cargo reads what a program prints: beside `cat`, which writes the same pipe into a file.

    python benchmarks/output.py [--megabytes 100] [--runs 5]

Run it with the Python that has doit-cargo installed; both contenders take turns. doit-cargo writes each byte twice, to
its own output (a file here) and to the log. Never fails on a number.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from doit_cargo.engine.base.model import Invocation
from doit_cargo.engine.console import streams
from doit_cargo.engine.execution.run import run_tool

KINDS = {
    "one line": b"x" * (1 << 20),
    "lines": (b"a line of forty characters, more or less\n" * 26_000)[: 1 << 20],
    "UTF-8": "a line of forty characters, more or léss\n".encode() * 25_000,
    "colours": b"\x1b[32ma line\x1b[0m of forty characters, more or less\n" * 21_000,
}
# Against what `cat` takes; colours must be taken out of the log, for which there is no aim.
TARGET = "at most 2 (but for colours)"
PRINTER = (
    "import os, sys\npiece = open(sys.argv[1], 'rb').read()\nfor _ in range(int(sys.argv[2])): os.write(1, piece)\n"
)


def by_cat(argv: list[str], folder: Path) -> float:
    """Return the seconds that `cat` takes to bring what a program prints into a file."""
    started = time.monotonic()
    with open(folder / "cat", "wb") as stream, subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        subprocess.run(["cat"], stdin=process.stdout, stdout=stream, check=True)
    return time.monotonic() - started


def by_us(argv: list[str], folder: Path) -> float:
    """Return the seconds that we take for the same, and for the log."""
    kept, place = os.dup(1), os.open(folder / "ours", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(place, 1)
    started = time.monotonic()
    run_tool(Invocation(tuple(argv), str(folder), {}), dict(os.environ), str(folder / "logs/x.log"), "benchmark")
    seconds = time.monotonic() - started
    os.dup2(kept, 1)
    os.close(kept)
    os.close(place)
    return seconds


def main() -> None:
    """Measure each kind of output and print a line of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    streams.ensure()  # as the program does first
    print(f"aim: {TARGET}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, piece in KINDS.items():
            (folder / "piece").write_bytes(piece)
            argv = [sys.executable, "-c", PRINTER, str(folder / "piece"), str(options.megabytes)]
            pairs = [(by_cat(argv, folder), by_us(argv, folder)) for _ in range(options.runs)]
            ratio = statistics.median(ours / cat for cat, ours in pairs)
            cat, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"{kind:9} cat {cat:6.2f} s   doit-cargo {ours:6.2f} s   ratio {ratio:5.2f}", file=sys.stderr)


if __name__ == "__main__":
    main()
