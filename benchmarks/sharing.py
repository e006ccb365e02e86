"""What sharing costs and gives on this machine: publish, hit, miss, a skip, a store that is dead, bytes.

    python benchmarks/sharing.py [FOLDER_OF_A_WORKSPACE] [TARGET]

Copies the workspace (default: the scale model) twice to a temporary folder, with a folder as the store, and calls
doit-cargo as a user does. Times are wall clock of whole calls; where there is nothing to compile, cargo is asked and
finds all its units fresh, so that the difference is what the store costs.

What is up to date is called in turns with and without a store, 20 times each, for medians; and once each below
valgrind, where that is installed: instructions do not depend on what else the machine does.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SKIPS = 20
MODEL = Path(__file__).resolve().parents[1] / "examples/mistralrs"
LEFT_OUT = shutil.ignore_patterns("target", ".doit-cargo", ".logs", ".git")


def call(root: Path, *words: str, **variables: str) -> tuple[float, str]:
    """Run doit-cargo; return the seconds that it took, and what it said."""
    started = time.monotonic()
    environ = {**os.environ, **variables}
    done = subprocess.run(["doit-cargo", *words], cwd=root, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.monotonic() - started, done.stdout


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def forgotten(root: Path) -> Path:
    """Drop the receipts, so that cargo is asked and finds nothing to compile."""
    shutil.rmtree(root / ".doit-cargo")
    return root


def edited(root: Path, target: str) -> Path:
    """Change sources and build them, so that what the store knows is a miss that costs no compilation."""
    for source in root.glob("*/src/*.rs"):
        source.write_text(source.read_text() + "\n// edited\n")
    call(root, target, "SHARE=off")
    return root


def zipped(folder: Path) -> int:
    """Return the bytes of a folder as an archive, as caches of a CI keep it."""
    return Path(shutil.make_archive(str(folder.parent / "archive"), "zip", folder)).stat().st_size


def in_sccache(root: Path, target: str, place: Path) -> int | None:
    """Return the bytes that sccache keeps of a build from nothing, None where it is not installed."""
    sccache = shutil.which("sccache")
    if sccache is None:
        return None
    shutil.rmtree(root / "target")
    here = {"SCCACHE_DIR": str(place), "SCCACHE_SERVER_PORT": "42269"}
    try:
        call(forgotten(root), target, "SCCACHE=1", **here)
    finally:
        subprocess.run([sccache, "--stop-server"], env={**os.environ, **here}, capture_output=True, check=False)
    return size_of(place)


def up_to_date(root: Path, target: str, store: str) -> list[tuple[str, str]]:
    """Return what a skip costs with a store and without: milliseconds, and millions of instructions."""
    ways = {"store configured": {"DOIT_CARGO_SHARE": store}, "none configured": {}}
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(SKIPS):
        for way, variables in ways.items():
            seconds, said = call(root, target, **variables)
            assert "up to date" in said, said
            times[way].append(seconds * 1000)
    found = []
    for way, variables in ways.items():
        counted = instructions(root, target, variables)
        more = f"{counted / 1e6:8.3f} million instructions" if counted else "no valgrind here"
        found.append((f"up to date, {way}", f"{statistics.median(times[way]):7.1f} ms {more}"))
    return found


def instructions(root: Path, target: str, variables: dict[str, str]) -> int | None:
    """Return the instructions of a skip, the least of three calls; None where valgrind is not installed."""
    valgrind, program = shutil.which("valgrind"), shutil.which("doit-cargo")
    if valgrind is None or program is None:
        return None
    command = [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", program, target]
    # A length of the environment that differs moves the stack, and with it some instructions of libc's.
    environ = {**os.environ, "PYTHONHASHSEED": "0", "DOIT_CARGO_SHARE": "", **variables}
    said = [
        subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=True).stderr
        for _ in range(3)
    ]
    return min(int(count) for one in said for count in re.findall(r"Collected : (\d+)", one))


def publish_share(seconds: float, said: str) -> str:
    """Return which part of a call publishing took, as the call itself says."""
    found = re.search(r"shared: .* in ([\d.]+) s", said)
    return f"{float(found[1]) / seconds:.1%}" if found else "not published"


def main() -> None:
    """Print one line a call."""
    source = Path(sys.argv[1]).resolve() if sys.argv[1:] else MODEL
    target = sys.argv[2] if sys.argv[2:] else "build"
    with tempfile.TemporaryDirectory() as place:
        one, other, store = Path(place, "one"), Path(place, "further/other"), Path(place, "store")
        for root in (one, other):
            shutil.copytree(source, root, ignore=LEFT_OUT)
        there = {"DOIT_CARGO_SHARE": str(store)}
        built = call(one, target, "SHARE=write", **there)
        rows = [
            ("build and publish", built),
            ("hit in another checkout", call(other, target, **there)),
            ("nothing to compile, no store", call(forgotten(one), target)),
            ("nothing to compile, dead store", call(forgotten(one), target, DOIT_CARGO_SHARE="http://192.0.2.1/x")),
            ("nothing to compile, a miss", call(forgotten(edited(one, target)), target, **there)),
            ("why it is a hit or not", call(one, "share", "why", target, **there)),
        ]
        skips = up_to_date(other, target, str(store))
        for name, (seconds, said) in rows:
            told = [line for line in said.splitlines() if "shared" in line or "fetched" in line]
            print(f"{name:32} {seconds:7.2f} s  {told[-1] if told else ''}")
        print(f"{'publishing, of the build':32} {publish_share(*built):>7}")
        for name, text in skips:
            print(f"{name:32} {text}")
        sizes = {"store": size_of(store), "target/ of the builder": size_of(one / "target")}
        sizes["the same, zipped"] = zipped(one / "target")
        sizes["sccache"] = in_sccache(one, target, Path(place, "sccache"))
        for name, size in sizes.items():
            print(f"{name:32} {f'{size / 1e6:7.1f} MB' if size is not None else 'not installed'}")


if __name__ == "__main__":
    main()
