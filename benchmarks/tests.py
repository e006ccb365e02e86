"""What a run of the tests costs on the scale model: doit-cargo, doit, cargo test and cargo-nextest side by side.

    python benchmarks/tests.py [--runs 10] [--edits 5] [--json FILE] [--python EXE] [--keep DIR]

Standard library only; needs cargo, and cargo-nextest for its rows. Each contender has a copy of the model of its own,
and the calls take turns. Never fails on a number. benchmarks/README.md says what each row means.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from noop import CHECKOUT, Call, build_wheel, clean_environ, load, make_environment, measure, nothing, run_quietly

MODEL = CHECKOUT / "examples/mistralrs"
# A package that nobody rests on, and one that nearly everybody rests on, each with a file to edit.
LEAF, DEEP = "mistralrs-tui/src/main.rs", "mistralrs-quant/src/lib.rs"
AFFECTED = ("-p", "mistralrs-tui")
TARGETS = {"nothing changed: doit-cargo test / cargo test --workspace": "at most 0.2"}
TARGETS["edit of a leaf: doit-cargo test - cargo test -p LEAF"] = "at most +0.3 s"


class Editor:
    """A new edit of one file before each call."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0

    def __call__(self, call: Call) -> None:
        self.count += 1
        path = call.cwd / self.name
        kept = [line for line in path.read_text().splitlines() if "edited_by_the_benchmark" not in line]
        # The tests of the model's files stand at their end: a new item goes before them.
        place = next((n for n, line in enumerate(kept) if line.startswith("#[cfg(test)]")), len(kept))
        text = f"#[allow(dead_code)] pub fn edited_by_the_benchmark() -> u32 {{ {self.count} }}"
        path.write_text("\n".join([*kept[:place], text, *kept[place:], ""]))


def contenders(folder: Path, python: Path) -> list[Call]:
    """Return the calls that run all tests; nextest leaves doc tests out, so cargo runs those after it."""
    scripts = python.parent
    calls = [
        Call("doit-cargo test", (str(scripts / "doit-cargo"), "test"), folder / "doit-cargo"),
        Call("doit test", (str(scripts / "doit"), "test"), folder / "doit"),
        Call("cargo test --workspace", ("cargo", "test", "--workspace", "--quiet"), folder / "cargo"),
    ]
    if shutil.which("cargo-nextest"):
        argv = ("cargo", "nextest", "run", "--workspace")
        calls.append(Call("cargo nextest run", argv, folder / "nextest"))
    return calls


def prepare(calls: Sequence[Call], environ: Mapping[str, str]) -> None:
    """Copy the model for each call, and bring it to the state where nothing is to be done."""
    for call in calls:
        if not call.cwd.exists():
            shutil.copytree(
                MODEL, call.cwd, ignore=shutil.ignore_patterns("target", ".doit-cargo", ".logs", ".testlogs")
            )
            (call.cwd / "dodo.py").write_text(
                'from doit_cargo.api import DOIT_CONFIG, targets_of\n\ntargets = targets_of(".")\n'
            )
        for _ in range(2):
            run_quietly(list(call.argv), environ, call.cwd)


def series(calls: list[Call], rounds: int, environ: Mapping[str, str], before: Any) -> dict[str, dict[str, float]]:
    """Return call -> median and minimum, the calls taken in turns."""
    found = measure(calls, rounds, environ, before)
    return {
        call.name: {"median": one.median, "minimum": one.minimum, "runs": len(one.times)}
        for call, one in zip(calls, found, strict=True)
    }


def measure_all(folder: Path, python: Path, runs: int, edits: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return part -> call -> times."""
    environ = {**clean_environ(), "CARGO_NET_OFFLINE": "true", "RUST_BACKTRACE": "0"}
    calls = contenders(folder, python)
    leaf = Call("cargo test -p LEAF", ("cargo", "test", "--quiet", *AFFECTED), folder / "leaf")
    alone = Call("cargo test --tests", ("cargo", "test", "--workspace", "--quiet", "--tests"), folder / "cargo")
    forced = [Call(f"{call.name} FORCE=1", (*call.argv, "FORCE=1"), call.cwd) for call in calls[:1]]
    forced += [
        Call(f"{call.name} FORCE=1 RUNNER=cargo", (*call.argv, "FORCE=1", "RUNNER=cargo"), call.cwd)
        for call in calls[:1]
    ]
    prepare([*calls, leaf], environ)
    return {
        "nothing changed": series(calls, runs, environ, nothing),
        "edit of a leaf": series([*calls, leaf], edits, environ, Editor(LEAF)),
        "edit of a deep crate": series(calls, edits, environ, Editor(DEEP)),
        "run all again": series([*forced, alone, *calls[2:]], edits, environ, nothing),
    }


def ratios(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[tuple[str, str, str]]:
    """Yield (what, from medians, from minimums)."""
    pairs = [
        ("nothing changed", "doit-cargo test", "cargo test --workspace"),
        ("nothing changed", "doit-cargo test", "cargo nextest run"),
        ("nothing changed", "doit test", "cargo test --workspace"),
        ("edit of a leaf", "doit-cargo test", "cargo test --workspace"),
        ("edit of a leaf", "doit-cargo test", "cargo nextest run"),
        ("edit of a deep crate", "doit-cargo test", "cargo test --workspace"),
        ("run all again", "cargo test --tests", "cargo nextest run"),
    ]
    for part, one, other in pairs:
        if one in found[part] and other in found[part]:
            median, minimum = (found[part][one][kind] / found[part][other][kind] for kind in ("median", "minimum"))
            yield f"{part}: {one} / {other}", f"{median:.2f}", f"{minimum:.2f}"
    for name in ("doit-cargo test", "doit test"):
        rows = found["edit of a leaf"]
        median, minimum = (rows[name][kind] - rows["cargo test -p LEAF"][kind] for kind in ("median", "minimum"))
        yield f"edit of a leaf: {name} - cargo test -p LEAF", f"{median:+.2f} s", f"{minimum:+.2f} s"


def table(result: Mapping[str, Any]) -> str:
    """Return all figures as text."""
    lines = [f"{name}: {value}" for name, value in result["machine"].items()]
    lines += ["", f"{'what':<62} {'median':>10} {'minimum':>10}"]
    for part, rows in result["times"].items():
        for name, row in rows.items():
            lines.append(f"{part + ': ' + name:<62} {row['median'] * 1000:>7.0f} ms {row['minimum'] * 1000:>7.0f} ms")
    lines.append("")
    for what, median, minimum in ratios(result["times"]):
        lines.append(f"{what:<62} {median:>10} {minimum:>10}  {TARGETS.get(what, '')}".rstrip())
    return "\n".join(lines)


def machine(start: str) -> dict[str, str]:
    """Return what the figures depend on."""
    found = {"cores": str(os.cpu_count()), "load": f"{start} at the start, {load()} at the end"}
    for tool in (["cargo", "--version"], ["cargo", "nextest", "--version"]):
        done = subprocess.run(tool, capture_output=True, text=True, check=False)
        found[" ".join(tool[:-1])] = (done.stdout.splitlines() or ["not here"])[0]
    return found


def main() -> None:
    """Run all parts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="runs where nothing has changed")
    parser.add_argument("--edits", type=int, default=5, help="runs after an edit")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--python", type=Path, help="an environment with doit-cargo, instead of a new one")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    options = parser.parse_args()
    start = load()
    folder = (options.keep or Path(tempfile.mkdtemp(prefix="doit-cargo-tests-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        python = options.python and options.python.absolute()
        python = python or make_environment(folder / "venv", str(build_wheel(folder)))
        times = measure_all(folder, python, options.runs, options.edits)
        result = {"machine": machine(start), "times": times}
        print(table(result))
        if options.json:
            options.json.write_text(json.dumps(result, indent=2) + "\n")
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
