"""What the tests of servers and terminals share: free ports, processes that are looked for, missing libraries."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from calling import SCRIPTS, environment
from conftest import write

TOOL = os.path.join(SCRIPTS, "doit-cargo")
DEV = "PROFILE=dev"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], seconds: float = 20) -> bool:
    """Wait until something holds; return whether it came to hold."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def running(mark: str) -> list[int]:
    """Return the processes with this text in an argument or in their environment, but for zombies."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            if mark.encode() in words and (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(int(folder.name))
    return found


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@contextlib.contextmanager
def started(folder: Path, *words: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start doit-cargo without waiting for it; what is left of it in the end is killed."""
    process = subprocess.Popen(
        [TOOL, *words],
        cwd=folder,
        env={**environment(), **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def without(folder: Path, package: str) -> dict[str, str]:
    """Return variables under which Python does not find a package, as if it were not installed."""
    write(folder / "sitecustomize.py", f"import sys\nsys.modules[{package!r}] = None\n")
    return {"PYTHONPATH": str(folder)}
