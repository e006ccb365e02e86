"""A program that asks for things in many ways (data/observed.c), and what an observer says of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from doit_cargo.engine.execution.observe.library import NotHere
from doit_cargo.engine.execution.observe.model import Observed
from doit_cargo.engine.execution.observe.observer import Observation, Observer

SOURCE = Path(__file__).parent / "data/observed.c"


@dataclass(frozen=True)
class Sight:
    """A finished run and what was seen of it."""

    observed: Observed
    done: subprocess.CompletedProcess[str]

    def subjects(self, kind: str) -> set[str]:
        """What any of its processes read, looked at, asked (an attribute of `Process`)."""
        return {subject for process in self.observed.processes for subject in getattr(process, kind)}

    @property
    def reasons(self) -> set[str]:
        return {f"{os.path.basename(unseen.program)}: {unseen.reason}" for unseen in self.observed.unobserved}


def observer(kind: str = "preload") -> Observer:
    """The machine's observer; the test is skipped where there is none."""
    try:
        return Observer.find(os.environ, kind)
    except NotHere as absent:
        pytest.skip(str(absent))


def compiled(folder: Path, name: str, *options: str, source: Path = SOURCE, compiler: str = "cc") -> Path:
    """Compile a C program; the test is skipped where this machine lacks what that needs."""
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not on PATH")
    made = folder / name
    argv = [compiler, "-O1", "-w", *options, "-o", str(made), str(source), "-pthread", "-ldl"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{' '.join(argv[:4])} fails here: {done.stderr[-200:]}")
    return made


def watch(
    by: Observer,
    argv: Sequence[str | Path],
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    trusted: Sequence[str] = (),
) -> Sight:
    """Run a program observed; it must end well."""
    with by.start() as observation:
        return watch_in(observation, argv, cwd, environ, trusted=trusted)


def watch_in(
    observation: Observation,
    argv: Sequence[str | Path],
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    code: int = 0,
    trusted: Sequence[str] = (),
) -> Sight:
    program = shutil.which(str(argv[0])) or str(argv[0])
    command, given = observation.call([program, *map(str, argv[1:])], {**os.environ, **(environ or {})})
    done = subprocess.run(command, cwd=cwd, env=given, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    return Sight(observation.read(trusted), done)
