"""What a call costs when there is nothing to do, or little: cargo, doit-cargo and doit side by side.

    python benchmarks/noop.py [--crates 14,50,100] [--runs 20] [--edits 7] [--json FILE] [--python EXE] [--keep DIR]

Standard library only. Makes workspaces and virtual environments in a temporary folder, measures in turns
(A B C D A B C D ...), prints one table. Never fails on a number. benchmarks/README.md says what each row means.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
FILES_PER_CRATE = 20
DODO = 'from doit_cargo.api import DOIT_CONFIG, targets_of\n\ntargets = targets_of(".")\n'
BARE_DODO = 'def task_build():\n    return {"actions": ["true"], "uptodate": [True]}\n'
# Settings of the calling shell that no user's call has, or that would make two calls unequal.
DROPPED = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "PYTHONUNBUFFERED", "PYTHONSTARTUP", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Call:
    """One contender: its row in the table, its command, the folder it runs in."""

    name: str
    argv: tuple[str, ...]
    cwd: Path


@dataclass
class Series:
    """The times of one contender, in seconds."""

    times: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def minimum(self) -> float:
        return min(self.times)


# --- workspaces ------------------------------------------------------------------------------------------------------


def make_workspace(root: Path, crates: int) -> None:
    """Write a workspace of `crates` path crates in layers, the last of them the binary `app`."""
    libraries = [f"part{number:03}" for number in range(crates - 1)]
    edges = layered_edges(libraries)
    used = {name for names in edges.values() for name in names}
    edges["app"] = [name for name in libraries if name not in used]
    _write(root / "Cargo.toml", '[workspace]\nresolver = "2"\nmembers = ["crates/*"]\n')
    _write(root / ".gitignore", "/target\n")
    for name, others in edges.items():
        _write_crate(root / "crates" / name, name, others)
    _write(root / "dodo.py", DODO)


def layered_edges(libraries: list[str]) -> dict[str, list[str]]:
    """Return library -> the libraries it depends on: layers of about the square root, three edges down from each."""
    width = max(2, round(len(libraries) ** 0.5))
    edges: dict[str, list[str]] = {}
    for position, name in enumerate(libraries):
        layer, column = divmod(position, width)
        below = libraries[(layer - 1) * width : layer * width] if layer else []
        edges[name] = list(dict.fromkeys(below[(column + step) % len(below)] for step in range(3) if below))
    return edges


def _write_crate(folder: Path, name: str, others: list[str]) -> None:
    dependencies = "".join(f'{other} = {{ path = "../{other}" }}\n' for other in others)
    head = f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n'
    _write(folder / "Cargo.toml", f"{head}\n[dependencies]\n{dependencies}")
    modules = [f"m{number:02}" for number in range(FILES_PER_CRATE - 1)]
    for number, module in enumerate(modules):
        _write(folder / "src" / f"{module}.rs", _module_text(number))
    declared = "".join(f"mod {module};\n" for module in modules)
    terms = [*(f"{module}::value(x)" for module in modules), *(f"{other}::value(x)" for other in others)]
    if name == "app":
        body = f'fn main() {{\n    let x = 1u64;\n    println!("{{}}", {_sum(terms)});\n}}\n'
        _write(folder / "src" / "main.rs", declared + body)
    else:
        _write(folder / "src" / "lib.rs", f"{declared}\npub fn value(x: u64) -> u64 {{\n    {_sum(terms)}\n}}\n")


def _sum(terms: list[str]) -> str:
    return "x" + "".join(f".wrapping_add({term})" for term in terms)


def _module_text(number: int, edit: int = 0) -> str:
    lines = [f"const EDIT: u64 = {edit};", "", "pub fn value(x: u64) -> u64 {"]
    lines += [f"    let a{step} = x.wrapping_mul({number * 31 + step + 3});" for step in range(8)]
    lines += ["    EDIT" + "".join(f" ^ a{step}" for step in range(8)), "}", ""]
    return "\n".join(lines)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def edit(root: Path, count: int) -> str:
    """Change one file of the library that nothing but `app` rests on; return its crate."""
    crates = sorted(folder.name for folder in (root / "crates").iterdir() if folder.name != "app")
    _write(root / "crates" / crates[-1] / "src" / "m05.rs", _module_text(5, count))
    return crates[-1]


# --- environments ----------------------------------------------------------------------------------------------------


def make_environment(folder: Path, *requirements: str) -> Path:
    """Make a virtual environment with these packages and compiled bytecode; return its Python."""
    environ = clean_environ()
    run_quietly([sys.executable, "-m", "venv", str(folder)], environ)
    python = _scripts(folder) / ("python.exe" if os.name == "nt" else "python")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--compile"]
    run_quietly([*install, "--upgrade", "pip"], environ)  # an old one writes console scripts that import re
    run_quietly([*install, *requirements], environ)
    return python


def _scripts(folder: Path) -> Path:
    return folder / ("Scripts" if os.name == "nt" else "bin")


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout, from a copy: setuptools leaves its working files beside the sources."""
    source = folder / "source"
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "target")
    for name in ("tasks", "profiles"):
        shutil.copytree(CHECKOUT / name, source / name, ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    run_quietly([*pip, "--wheel-dir", str(folder), str(source)], clean_environ())
    return next(folder.glob("*.whl"))


def clean_environ() -> dict[str, str]:
    """Return the environment of every call."""
    return {name: value for name, value in os.environ.items() if name not in DROPPED}


def run_quietly(argv: list[str], environ: Mapping[str, str], cwd: Path | None = None) -> None:
    """Run a step of the preparation; its output is shown only if it fails."""
    done = subprocess.run(argv, env=dict(environ), cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}\nended with status {done.returncode}\n{done.stdout}{done.stderr}")


# --- measuring -------------------------------------------------------------------------------------------------------


def measure(calls: list[Call], rounds: int, environ: Mapping[str, str], before: Callable[[Call], None]) -> list[Series]:
    """Time each call `rounds` times, in turns; `before` prepares each and is not timed."""
    found = [Series() for _ in calls]
    for _ in range(rounds):
        for call, series in zip(calls, found, strict=True):
            before(call)
            series.times.append(timed(call, environ))
    return found


def timed(call: Call, environ: Mapping[str, str]) -> float:
    """Return the wall time of one call in seconds; one that fails ends the benchmark."""
    started = time.perf_counter()
    status = subprocess.call(
        call.argv,
        cwd=call.cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{call.name} in {call.cwd} ended with status {status}")
    return seconds


def nothing(_: Call) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Bench:
    """One run of the script: the tools to measure, the folder to work in, how often."""

    python: Path
    bare_python: Path
    folder: Path
    runs: int
    edits: int
    environ: Mapping[str, str]
    load: str

    def tool(self, name: str, python: Path | None = None) -> str:
        ending = ".exe" if os.name == "nt" else ""
        return str((python or self.python).parent / (name + ending))

    def workspace(self, crates: int) -> dict[str, Any]:
        """Measure one size of workspace."""
        ours, theirs = self._make(crates)
        cargo = ("cargo", "build", "--release")
        launcher, doit = (self.tool("doit-cargo"), "build"), (self.tool("doit"), "build")
        for argv, root in ((cargo, theirs), (launcher, ours), (doit, ours)):
            run_quietly(list(argv), self.environ, root)
        time.sleep(0.2)  # files younger than a tick of the clock are not trusted, as in git
        for argv in (launcher, doit):
            run_quietly(list(argv), self.environ, ours)
        noop = [
            Call("cargo build", cargo, theirs),
            Call("doit-cargo build", launcher, ours),
            Call("doit build", doit, ours),
            Call("bare doit", (self.tool("doit", self.bare_python), "build"), self.folder / "bare"),
            Call("python -c pass", (str(self.python), "-c", "pass"), ours),
        ]
        rebuild = [Call("cargo build", cargo, theirs), Call("doit-cargo build", launcher, ours)]
        rebuild.append(Call("doit build", doit, ours))
        why = [Call("doit-cargo why build", (launcher[0], "why", "build"), ours)]
        why.append(Call("doit why build", (doit[0], "why", "build"), ours))
        return {
            "crates": crates,
            "noop": _rows(noop, measure(noop, self.runs, self.environ, nothing)),
            "rebuild": _rows(rebuild, measure(rebuild, self.edits, self.environ, _Editor())),
            "why": _rows(why, self._why(why, ours)),
        }

    def _make(self, crates: int) -> tuple[Path, Path]:
        ours, theirs = self.folder / f"ours-{crates}", self.folder / f"cargo-{crates}"
        make_workspace(ours, crates)
        make_workspace(theirs, crates)
        return ours, theirs

    def _why(self, calls: list[Call], root: Path) -> list[Series]:
        edit(root, 1_000_000)
        return measure(calls, self.runs, self.environ, nothing)


class _Editor:
    """A new edit of the same file for each call."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, call: Call) -> None:
        self.count += 1
        edit(call.cwd, self.count)


def _rows(calls: list[Call], found: list[Series]) -> dict[str, dict[str, float]]:
    return {
        call.name: {"median": series.median, "minimum": series.minimum, "runs": len(series.times)}
        for call, series in zip(calls, found, strict=True)
    }


# --- telling ---------------------------------------------------------------------------------------------------------


def load() -> str:
    """Return how many processes want a core: above the number of cores, only minimums mean something."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def machine(bench: Bench) -> dict[str, str]:
    """Return what the figures depend on."""
    cargo = subprocess.run(["cargo", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    ask = "import platform; print(platform.python_version())"
    python = subprocess.run([bench.python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "cargo": cargo,
        "python": python,
        "load": f"{bench.load} at the start, {load()} at the end",
    }


TARGETS = {
    "doit-cargo/cargo": "at most 0.5 at 14 crates, 0.1 at 100",
    "doit/bare doit": "at most 1.25",
    "rebuild": "at most 0.12 s more than cargo",
}


def ratios(size: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (what, from medians, from minimums) of one workspace."""
    noop, rebuild = size["noop"], size["rebuild"]
    for name, one, other in (
        ("no-op: doit-cargo / cargo", "doit-cargo build", "cargo build"),
        ("no-op: doit build / bare doit", "doit build", "bare doit"),
    ):
        median, minimum = (f"{noop[one][kind] / noop[other][kind]:.2f}" for kind in ("median", "minimum"))
        yield name, median, minimum
    for name in ("doit-cargo build", "doit build"):
        plain = rebuild["cargo build"]
        median, minimum = (f"{rebuild[name][kind] - plain[kind]:+.3f} s" for kind in ("median", "minimum"))
        yield f"rebuild: {name} - cargo", median, minimum


def table(result: Mapping[str, Any]) -> str:
    """Return all figures as text, times in milliseconds."""
    lines = [f"{name}: {value}" for name, value in result["machine"].items()]
    lines += ["", f"{'crates':>6}  {'what':<36} {'median':>10} {'minimum':>10}"]
    for size in result["sizes"]:
        for part in ("noop", "rebuild", "why"):
            for name, row in size[part].items():
                label = f"{part.replace('noop', 'no-op')}: {name}"
                lines.append(
                    f"{size['crates']:>6}  {label:<36} {row['median'] * 1000:>7.1f} ms {row['minimum'] * 1000:>7.1f} ms"
                )
        lines += [f"{size['crates']:>6}  {what:<36} {a:>10} {b:>10}" for what, a, b in ratios(size)]
        lines.append("")
    lines += [f"target {name}: {text}" for name, text in TARGETS.items()]
    return "\n".join(lines)


def main() -> int:
    """Run the benchmark; the exit status says only whether it could run."""
    options = _options()
    folder = Path(options.keep or tempfile.mkdtemp(prefix="doit-cargo-bench-")).resolve()
    try:
        bench = _prepare(options, folder)
        sizes = []
        for crates in options.crates:
            print(f"measuring {crates} crates ...", file=sys.stderr)
            sizes.append(bench.workspace(crates))
        result = {"machine": machine(bench), "sizes": sizes}
        print(table(result))
        if options.json:
            Path(options.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _prepare(options: argparse.Namespace, folder: Path) -> Bench:
    _write(folder / "bare" / "dodo.py", BARE_DODO)
    if options.python:
        python = bare = Path(options.python).absolute()
    else:
        print("making two environments: this checkout as a wheel, and doit alone ...", file=sys.stderr)
        wheel = build_wheel(folder)
        python = make_environment(folder / "venv", str(wheel))
        bare = make_environment(folder / "bare-venv", "doit>=0.36.0")
    return Bench(python, bare, folder, options.runs, options.edits, clean_environ(), load())


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="No-op and rebuild times of cargo, doit-cargo and doit.")
    sizes = "sizes of the workspaces (14,50,100)"
    parser.add_argument("--crates", type=_numbers, default=[14, 50, 100], metavar="N,N", help=sizes)
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="runs of each no-op call (20)")
    parser.add_argument("--edits", type=int, default=7, metavar="N", help="rebuilds of each call (7)")
    parser.add_argument("--json", metavar="FILE", help="also write all figures as JSON")
    parser.add_argument("--python", metavar="EXE", help="measure this Python's environment instead of a fresh wheel")
    parser.add_argument("--keep", metavar="DIR", help="work in this new folder and leave it")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
