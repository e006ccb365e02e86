"""Starts an observation: a place for its logs, what a child's environment needs, and its result afterwards.

Two ways give the same `Observed`: `preload`, a library in each process, and `strace`, which sees static programs as
well but slows a run down and cannot tell which variables are asked for.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.execution.observe import library, log, own_calls, strace
from doit_cargo.engine.execution.observe.library import NotHere
from doit_cargo.engine.execution.observe.model import Observed, Process, Unobserved

VARIABLE = "DOIT_CARGO_OBSERVE"
PREFIX = "doit-cargo-observe-"
MEMORY = "/dev/shm"  # noqa: S108 - a folder of one's own is made in it
MACHINES = ("x86_64", "aarch64")
STILL_RUNS = "it still runs, and what it reads from now on is not seen"


@dataclass(frozen=True)
class Observer:
    """A way to observe that works on this machine."""

    kind: str
    program: str  # the library, or strace

    @classmethod
    def find(cls, environ: Mapping[str, str], kind: str = "preload", cache: str = "") -> Observer:
        """Return an observer of a kind (preload, strace). Raises `NotHere` with the reason and what would help."""
        if sys.platform != "linux" or platform.machine() not in MACHINES:
            raise NotHere(f"observing works on Linux ({' and '.join(MACHINES)}), not on this system")
        if kind == "strace":
            return cls(kind, _strace(environ))
        if kind != "preload":
            raise NotHere(f"there is no observer {kind!r}", "known: preload, strace")
        if not _glibc():
            raise NotHere("the C library here is not glibc, whose functions the observer stands before")
        return cls(kind, _checked(library.build(environ, cache)))

    def works(self, environ: Mapping[str, str]) -> None:
        """Try it on one small program. Raises `NotHere` if nothing is seen, as in a container that forbids it."""
        with self.start() as observation:
            argv = observation.command(["true"])
            done = processes.answer(argv, observation.environ(environ), 60)
            if not done.ok or not observation.read().processes:
                said = done.err.strip().splitlines()
                raise NotHere(f"a program started under the observer was not seen{': ' + said[-1] if said else ''}")

    def start(self) -> Observation:
        """Begin: what changes from now on is a change during the run."""
        _sweep()
        main = _folder(MEMORY) or _folder(tempfile.gettempdir()) or ""
        if not main:
            raise NotHere(f"neither {MEMORY} nor {tempfile.gettempdir()} can be written", "set TMPDIR")
        spare = _folder(tempfile.gettempdir()) or main
        order = os.path.join(main, "order")
        with open(order, "wb") as file:
            file.write(bytes(4096))
        return Observation(self, (main, spare) if spare != main else (main,), os.stat(order).st_ctime_ns)


@dataclass
class Observation:
    """One observed run. Ends with `close`, which removes its logs; a `with` block does so."""

    observer: Observer
    folders: tuple[str, ...]
    started: int
    _directory: str = field(default_factory=os.getcwd)

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment for what is to be observed. The user's own preloaded libraries stay the first."""
        if self.observer.kind != "preload":
            return dict(environ)
        before = environ.get("LD_PRELOAD", "")
        preload = f"{before}:{self.observer.program}" if before else self.observer.program
        return {**environ, "LD_PRELOAD": preload, VARIABLE: ":".join(self.folders)}

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the call that runs `argv` observed."""
        if self.observer.kind == "strace":
            return [*strace.command(self.observer.program, self._trace), *argv]
        return list(argv)

    def read(self, trusted: Sequence[str] = ()) -> Observed:
        """Return what was seen until now; call it when the run has ended.

        Programs in `trusted` folders (the toolchain) are not searched for system calls of their own.
        """
        if self.observer.kind == "strace":
            processes, unobserved = strace.load(self._trace, self._directory)
        else:
            processes, unobserved = log.load(self.folders)
            unobserved += [*_alive(processes, self.folders[0]), *own_calls.programs(processes, trusted)]
        return Observed(processes, unobserved, self.started)

    def close(self) -> None:
        """Remove the logs."""
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def _trace(self) -> str:
        return os.path.join(self.folders[-1], "trace")

    def __enter__(self) -> Observation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (OSError, ValueError):
        return False


def _strace(environ: Mapping[str, str]) -> str:
    found = which("strace", environ)
    if not found:
        raise NotHere("strace is not on PATH", "install strace")
    return found


def _checked(path: str) -> str:
    """A library that others can write would run their code in every process of a build."""
    found = os.stat(path)
    if found.st_uid not in (os.getuid(), 0) or found.st_mode & 0o022:
        raise NotHere(f"{path} belongs to someone else or can be written by others", "remove it")
    if any(mark in path for mark in ": "):
        raise NotHere(f"the loader takes no library with a space or colon in its path: {path}", "set XDG_CACHE_HOME")
    return path


def _folder(above: str) -> str | None:
    try:
        made = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=above)
    except OSError:
        return None
    if ":" in made:
        os.rmdir(made)
        return None
    return made


def _sweep() -> None:
    """Remove what a killed run of this user left behind."""
    for above in {MEMORY, tempfile.gettempdir()}:
        try:
            left = [entry for entry in os.scandir(above) if entry.name.startswith(PREFIX)]
        except OSError:
            continue
        for entry in left:
            pid = entry.name.removeprefix(PREFIX).split("-")[0]
            if (
                pid.isdigit()
                and not os.path.exists(f"/proc/{pid}")
                and entry.stat(follow_symlinks=False).st_uid == os.getuid()
            ):
                shutil.rmtree(entry.path, ignore_errors=True)


def _alive(processes: Sequence[Process], folder: str) -> list[Unobserved]:
    """Daemons: what has not ended, forks included. Its environment tells it from a later process of its number."""
    found = []
    for process in processes:
        pids = {process.pid} | {event.pid for event in process.events}
        if any(_runs_observed(pid, folder) for pid in pids):
            found.append(Unobserved(process.program, STILL_RUNS, process))
    return found


def _runs_observed(pid: int, folder: str) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return os.fsencode(folder) in file.read()
    except OSError:
        return False
