"""The processes of a group, by the program that each runs, where the system shows them (/proc)."""

from __future__ import annotations

import os


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
