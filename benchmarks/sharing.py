"""What sharing costs and gives on this machine: publish, hit, miss, a skip, a store that is dead.

    python benchmarks/sharing.py [FOLDER_OF_A_WORKSPACE] [TARGET]

Copies the workspace (default: the scale model) twice to a temporary folder, with a folder as the store, and calls
doit-cargo as a user does. Times are wall clock of whole calls; "already there" is what cargo says of its own work.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def main() -> None:
    """Print one line a call."""
    source = Path(sys.argv[1]).resolve() if sys.argv[1:] else MODEL
    target = sys.argv[2] if sys.argv[2:] else "build"
    with tempfile.TemporaryDirectory() as place:
        one, other, store = Path(place, "one"), Path(place, "further/other"), Path(place, "store")
        for root in (one, other):
            shutil.copytree(source, root, ignore=LEFT_OUT)
        there = {"DOIT_CARGO_SHARE": str(store)}
        rows = [
            ("build and publish", call(one, target, "SHARE=write", **there)),
            ("hit in another checkout", call(other, target, **there)),
            ("up to date, store configured", call(other, target, **there)),
            ("up to date, none configured", call(other, target)),
            ("nothing to compile, no store", call(forgotten(one), target)),
            ("why it is a hit or not", call(other, "share", "why", target, **there)),
            ("nothing to compile, dead store", call(forgotten(one), target, DOIT_CARGO_SHARE="http://192.0.2.1/x")),
        ]
        for name, (seconds, said) in rows:
            told = [line for line in said.splitlines() if "shared" in line or "fetched" in line]
            print(f"{name:32} {seconds:7.2f} s  {told[-1] if told else ''}")
        built = size_of(one / "target") / 1e6
        print(f"{'store':32} {size_of(store) / 1e6:7.1f} MB, beside {built:.1f} MB of target/ of the builder")


if __name__ == "__main__":
    main()
