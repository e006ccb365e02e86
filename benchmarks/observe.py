"""What being observed costs: a cold build and the tests of the scale model, and 10,000 opens, with and without.

    python benchmarks/observe.py [--runs 5] [--strace] [--json FILE]

Needs cargo, cc and an installed doit-cargo. The ways take turns within each round, and each figure is the median of the
rounds' ratios to the run that nobody observes: of wall time, and of processor time, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from doit_cargo.engine.execution.observe.inputs import whole_run
from doit_cargo.engine.execution.observe.library import NotHere
from doit_cargo.engine.execution.observe.observer import Observer
from doit_cargo.engine.execution.observe.units import by_unit

MODEL = Path(__file__).resolve().parents[1] / "examples/mistralrs"
LEFT_OUT = shutil.ignore_patterns("target", ".doit-cargo", ".logs", ".testlogs")
OPENS = """
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(int count, char **argv) {
    char path[4096];
    for (int i = 0; i < 10000; i++) {
        snprintf(path, sizeof path, "%s/%d", argv[1], i);
        close(open(path, O_RDONLY));
    }
}
"""


class Cost(NamedTuple):
    """Of one run: seconds of wall and processor, and what its logs took."""

    wall: float
    processor: float
    read: float = 0.0
    processes: int = 0
    log: int = 0


class Work(NamedTuple):
    """Something to measure, and what makes it new before each run."""

    name: str
    argv: list[str]
    cwd: Path
    before: Callable[[], object] = lambda: None


def spent() -> float:
    """Return the seconds of processor that ended children took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def plain(work: Work) -> Cost:
    """Run it unobserved."""
    work.before()
    start, processor = time.perf_counter(), spent()
    subprocess.run(work.argv, cwd=work.cwd, check=True, capture_output=True)
    return Cost(time.perf_counter() - start, spent() - processor)


def observed(work: Work, by: Observer) -> Cost:
    """Run it observed, and read what was seen."""
    work.before()
    with by.start() as observation:
        start, processor = time.perf_counter(), spent()
        argv, environ = observation.call(work.argv, os.environ)
        subprocess.run(argv, cwd=work.cwd, env=environ, check=True, capture_output=True)
        wall, processor = time.perf_counter() - start, spent() - processor
        size = sum(entry.stat().st_blocks * 512 for folder in observation.folders for entry in os.scandir(folder))
        start = time.perf_counter()
        seen = observation.read()
        whole_run(seen), by_unit(seen)
        return Cost(wall, processor, time.perf_counter() - start, len(seen.processes), size)


def works(folder: Path) -> list[Work]:
    """Lay out what is measured."""
    model = folder / "model"
    shutil.copytree(MODEL, model, ignore=LEFT_OUT)
    (folder / "opens.c").write_text(OPENS)
    subprocess.run(["cc", "-O2", "-o", "opens", "opens.c"], cwd=folder, check=True, capture_output=True)
    files = folder / "files"
    files.mkdir()
    for number in range(10_000):
        (files / str(number)).touch()
    subprocess.run(["cargo", "test", "--workspace", "--no-run"], cwd=model, check=True, capture_output=True)
    cold = folder / "cold"
    return [
        Work("10,000 opens", [str(folder / "opens"), str(files)], folder),
        Work("cargo test", ["cargo", "test", "--workspace", "--quiet"], model),
        Work(
            "cold cargo build",
            ["cargo", "build", "--workspace", "--target-dir", str(cold)],
            model,
            lambda: shutil.rmtree(cold, ignore_errors=True),
        ),
    ]


def measure(work: Work, observers: list[Observer], runs: int) -> dict[str, float]:
    """Take turns; return ratios, and what the logs cost."""
    plain(work)
    rounds: list[list[Cost]] = []
    for number in range(runs):
        each: dict[int, Cost] = {}
        for place in sorted(range(len(observers) + 1), reverse=bool(number % 2)):
            each[place] = observed(work, observers[place - 1]) if place else plain(work)
        rounds.append([each[place] for place in sorted(each)])
    row = {"seconds": statistics.median(one[0].wall for one in rounds)}
    for place, by in enumerate(observers, 1):
        row[f"{by.kind} wall"] = statistics.median(one[place].wall / one[0].wall for one in rounds)
        row[f"{by.kind} cpu"] = statistics.median(one[place].processor / one[0].processor for one in rounds)
        row[f"{by.kind} read s"] = statistics.median(one[place].read for one in rounds)
        row[f"{by.kind} processes"] = rounds[-1][place].processes
        row[f"{by.kind} log MiB"] = rounds[-1][place].log / 2**20
    return row


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--strace", action="store_true", help="measure strace as well")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        observers = [Observer.find(os.environ, kind) for kind in ["preload", *(["strace"] if options.strace else [])]]
    except NotHere as absent:
        print(f"benchmarks/observe.py: {absent}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="observe-benchmark-") as folder:
        found = {work.name: measure(work, observers, options.runs) for work in works(Path(folder))}
    for name, row in found.items():
        print(name)
        print("".join(f"  {key:<20} {value:9.3f}\n" for key, value in row.items()), end="")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
