"""Processes: a program asked for its answer, and those of a group by the program that each runs (/proc)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

# git asked for facts: without the programs that a repository's own configuration names.
GIT = ("git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")


def answer(
    argv: Sequence[str], environ: Mapping[str, str], seconds: float, cwd: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program whose output is for us: without standard input, within a time, its bytes read as UTF-8.

    Raises `OSError` if it cannot be started, `subprocess.TimeoutExpired` when its time is over.
    """
    return subprocess.run(
        argv,
        cwd=cwd,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=seconds,
        check=False,
    )


def running(program: str, group: int) -> list[int]:
    """Return the processes of a process group that run a program (a path); nothing where there is no /proc."""
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    real = os.path.realpath(program)
    return [number for number in numbers if _runs(number, real, group)]


def _runs(number: int, program: str, group: int) -> bool:
    try:
        return os.getpgid(number) == group and os.readlink(f"/proc/{number}/exe") == program
    except OSError:
        return False  # it has ended meanwhile, or belongs to someone else
