"""Cargo's calls of rustc, every one with its real arguments, in seconds: cargo runs, a stand-in takes rustc's place.

Cargo plans and composes the whole build in a target directory of its own. For each call that would compile, the
stand-in writes the arguments down and leaves empty files where cargo expects results; questions (`rustc -vV`) go to
the real rustc. So nothing is compiled, no build script runs, and nothing of the real target directory is touched.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.cargo.config.rustc_args import RustcCall, read

RECORDS = "calls.jsonl"
TIMEOUT = 600  # seconds; cargo may have to download first
SHOWN_LINES = 8

# Runs with -I and -S, once for each call of rustc: the standard library alone, and little of it.
STAND_IN = r"""
import json, os, sys
words = sys.argv[1:]
while words and not words[0].startswith("-") and len(words) > 1 and not words[1].startswith("-"):
    words.pop(0)  # RUSTC_WORKSPACE_WRAPPER stands before rustc
rustc, words = words[0], words[1:]
def after(option):
    return next((words[i + 1] for i, word in enumerate(words[:-1]) if word == option), "")
if "--crate-name" not in words or any(word.startswith("--print") for word in words) or "-vV" in words:
    os.execv(rustc, [rustc, *words]) if os.sep in rustc else os.execvp(rustc, [rustc, *words])
wanted = ("CARGO_PKG_NAME", "CARGO_MANIFEST_DIR")
record = {"arguments": words, "environ": {name: os.environ[name] for name in wanted if name in os.environ}}
place = os.open(RECORDS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(place, (json.dumps(record) + "\n").encode())
crate, folder = after("--crate-name"), after("--out-dir")
flags = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "-C"]
extra = next((flag.partition("=")[2] for flag in flags if flag.startswith("extra-filename=")), "")
kinds = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "--crate-type"] or ["bin"]
prefix, suffix = ("", ".dylib") if sys.platform == "darwin" else ("", ".so")
names = [crate + extra + ".d"]
for kind in kinds:
    names += {
        "bin": [crate + extra],
        "staticlib": ["lib" + crate + extra + ".a"],
        "lib": ["lib" + crate + extra + ".rlib", "lib" + crate + extra + ".rmeta"],
        "rlib": ["lib" + crate + extra + ".rlib", "lib" + crate + extra + ".rmeta"],
    }.get(kind, ["lib" + crate + extra + suffix])
for name in names:
    path = os.path.join(folder, name)
    with open(path, "w") as stream:
        if name.endswith(".d"):
            stream.write(path.replace(" ", "\\ ") + ":\n")
        elif name == crate + extra:
            stream.write("#!/bin/sh\nexit 0\n")
    if name == crate + extra:
        os.chmod(path, 0o755)
"""


def rehearse(argv: tuple[str, ...], cwd: str, environ: Mapping[str, str]) -> list[RustcCall]:
    """Return every call of rustc that this call of cargo would make if nothing were built yet.

    `argv` is a `cargo build` or another command that compiles. Raises `UserError` where cargo itself fails, and on
    Windows, where a script cannot stand in for rustc.
    """
    if os.name == "nt":
        what = "what rustc is given cannot be watched on Windows"
        raise UserError(Problem(what, "run it on Linux or macOS, for example in CI"), COULD_NOT_RUN)
    with tempfile.TemporaryDirectory(prefix="doit-cargo-rehearsal-") as folder:
        records = os.path.join(folder, RECORDS)
        done = _run(argv, cwd, _environment(folder, records, environ), os.path.join(folder, "target"))
        if not done.ok:
            raise UserError(_failed(argv, done.err), COULD_NOT_RUN)
        return _read(records)


def _environment(folder: str, records: str, environ: Mapping[str, str]) -> dict[str, str]:
    script = os.path.join(folder, "stand_in.py")
    wrapper = os.path.join(folder, "rustc")
    with open(script, "w", encoding="utf-8") as stream:
        stream.write(f"RECORDS = {records!r}\n{STAND_IN}")
    with open(wrapper, "w", encoding="utf-8") as stream:
        stream.write(f'#!/bin/sh\nexec "{sys.executable}" -IS "{script}" "$@"\n')
    os.chmod(wrapper, 0o700)
    return {**environ, "RUSTC_WRAPPER": wrapper, "CARGO_TERM_COLOR": "never"}


def _run(argv: tuple[str, ...], cwd: str, environ: Mapping[str, str], target: str) -> processes.Answer:
    command = [*argv[:2], "--target-dir", target, *argv[2:]]
    done = processes.answer(command, {**environ, "CARGO_BUILD_BUILD_DIR": target}, TIMEOUT, cwd)
    if not done.in_time:
        raise UserError(Problem(done.err.strip(), "cargo fetch downloads what it needs"), COULD_NOT_RUN)
    if not done.started:
        raise UserError(Problem(done.err.strip()), COULD_NOT_RUN)
    return done


def _failed(argv: tuple[str, ...], text: str) -> Problem:
    lines = [line for line in text.splitlines() if line.strip() and "Compiling" not in line]
    shown = "\n    ".join(lines[-SHOWN_LINES:]) or "cargo gave no message"
    return Problem(f"`{' '.join(argv)}` does not get as far as rustc; cargo says:\n    {shown}", "correct that first")


def _read(records: str) -> list[RustcCall]:
    if not os.path.exists(records):
        return []
    with open(records, encoding="utf-8") as stream:
        found = [json.loads(line) for line in stream]
    calls = (read(record["arguments"], record["environ"]) for record in found)
    return [call for call in calls if call]
