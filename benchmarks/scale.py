"""How calls grow with the workspace: 14 to 1,000 members of 20 files each, time and peak memory, cargo beside them.

    python benchmarks/scale.py [--crates 14,100,300,1000] [--runs 5] [--json FILE] [--keep DIR]

Standard library only, on a POSIX system (peak memory is the kernel's `ru_maxrss` of each process). Each workspace is
checked once by cargo and once by doit-cargo, then every call is measured in turns. Never fails on a number.
benchmarks/README.md says what each row means.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import noop

HERE = Path(sys.executable).parent


@dataclass(frozen=True)
class Cost:
    """What one call took: seconds of wall time, megabytes at its peak."""

    seconds: float
    megabytes: float


def measure(argv: list[str], cwd: Path) -> Cost:
    """Run a program with its output thrown away; raises if it fails."""
    with subprocess.Popen(argv, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        started = time.perf_counter()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} failed in {cwd}")
    return Cost(seconds, usage.ru_maxrss / 1024 if sys.platform != "darwin" else usage.ru_maxrss / 1e6)


def calls() -> dict[str, list[str]]:
    """Return what is measured, by the name of its row; the first is what the others are compared with."""
    tool, doit = str(HERE / "doit-cargo"), str(HERE / "doit")
    return {
        "cargo check, nothing changed": ["cargo", "check", "--quiet"],
        "doit-cargo check, nothing changed": [tool, "check"],
        "doit check, nothing changed": [doit, "check"],
        "doit-cargo list": [tool, "list"],
        "doit-cargo plan check": [tool, "plan", "check"],
    }


def measure_workspace(root: Path, runs: int) -> dict[str, Cost]:
    """Return the median cost of each call, and of `why` after one edit and of the runs around it."""
    first = measure(["cargo", "check", "--quiet"], root)
    run = measure([str(HERE / "doit-cargo"), "check"], root)
    measure([str(HERE / "doit-cargo"), "check"], root)
    found: dict[str, list[Cost]] = {}
    for _ in range(runs):
        for name, argv in calls().items():
            found.setdefault(name, []).append(measure(argv, root))
    noop.edit(root, 1)
    for _ in range(runs):
        found.setdefault("doit-cargo why check, one edit", []).append(
            measure([str(HERE / "doit-cargo"), "why", "check"], root)
        )
    medians = {name: _median(costs) for name, costs in found.items()}
    return {"cargo check, cold": first, "doit-cargo check, first run, all fresh": run, **medians}


def _median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(c.seconds for c in costs), max(c.megabytes for c in costs))


def table(results: dict[int, dict[str, Cost]]) -> str:
    """Return the results as a Markdown table: seconds, megabytes, and the ratio to cargo's own no-op."""
    sizes = list(results)
    lines = ["| Call | " + " | ".join(f"{size} members" for size in sizes) + " |", "|---|" + "---|" * len(sizes)]
    for name in results[sizes[0]]:
        cells = []
        for size in sizes:
            cost, cargo = results[size][name], results[size]["cargo check, nothing changed"]
            ratio = f" ({cost.seconds / cargo.seconds:.2f})" if "cold" not in name else ""
            cells.append(f"{cost.seconds:.3f} s{ratio}, {cost.megabytes:.0f} MB")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Make the workspaces, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crates", default="14,100,300,1000")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="scale-"))
    results: dict[int, dict[str, Cost]] = {}
    try:
        for size in map(int, options.crates.split(",")):
            noop.make_workspace(folder / str(size), size)
            results[size] = measure_workspace(folder / str(size), options.runs)
            print(f"{size} members measured", file=sys.stderr)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(results))
    if options.json:
        data = {size: {name: vars(cost) for name, cost in row.items()} for size, row in results.items()}
        options.json.write_text(json.dumps(data, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
