"""Starts an observation: a place for its logs, the call of what is observed, and its result afterwards.

Two ways give the same `Observed`: `preload`, a library in each process, and `strace`, which sees static programs as
well but slows a run down and cannot tell which variables are asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType

from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.execution.observe import library
from doit_cargo.engine.execution.observe.library import NotHere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.execution.observe.model import Observed, Process, Unobserved

VARIABLE = "DOIT_CARGO_OBSERVE"
PREFIX = "doit-cargo-observe-"
MEMORY = "/dev/shm"  # noqa: S108 - a folder of one's own is made in it
MACHINES = ("x86_64", "aarch64")
STILL_RUNS = "it still runs, and what it reads from now on is not seen"


class Observer:
    """A way to observe that works on this machine; `program` is the library, or strace."""

    def __init__(self, kind: str, program: str) -> None:
        self.kind = kind
        self.program = program

    @classmethod
    def find(cls, environ: Mapping[str, str], kind: str = "preload", cache: str = "") -> Observer:
        """Return an observer of a kind (preload, strace). Raises `NotHere` with the reason and what would help."""
        if sys.platform != "linux" or os.uname().machine not in MACHINES:
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
            argv, given = observation.call([which("true", environ)], environ)
            done = processes.answer(argv, given, 60)
            if not done.ok or not observation.read().processes:
                said = done.err.strip().splitlines()
                raise NotHere(f"a program started under the observer was not seen{': ' + said[-1] if said else ''}")

    def start(self) -> Observation:
        """Begin: what changes from now on is a change during the run."""
        _sweep()
        temporary = _temporary()
        main = _folder(MEMORY) or _folder(temporary) or ""
        if not main:
            raise NotHere(f"neither {MEMORY} nor {temporary} can be written", "set TMPDIR")
        spare = _folder(temporary) or main
        order = os.path.join(main, "order")
        with open(order, "wb") as file:
            file.write(bytes(4096))
        return Observation(self, (main, spare) if spare != main else (main,), os.stat(order).st_ctime_ns)


class Observation:
    """One observed run. Ends with `close`, which removes its logs; a `with` block does so."""

    def __init__(self, observer: Observer, folders: tuple[str, ...], started: int) -> None:
        self.observer = observer
        self.folders = folders
        self.started = started
        self._directory = os.getcwd()
        self._hidden: list[tuple[str, str]] = []  # programs that were called, and why they cannot be observed

    def call(
        self, argv: Sequence[str], environ: Mapping[str, str], cwd: str | None = None
    ) -> tuple[list[str], dict[str, str]]:
        """Return the call that runs `argv` observed, in `cwd` if it is not here, and its environment. The program must
        be named by its path. The user's own preloaded libraries stay the first.
        """
        self._directory = cwd or self._directory
        if self.observer.kind == "strace":
            from doit_cargo.engine.execution.observe import strace

            return [*strace.command(self.observer.program, self._trace), *argv], dict(environ)
        program = os.path.join(self._directory, argv[0])
        reason, is_harmful = library.unseen(self.observer.program, program)
        if reason:
            self._hidden.append((program, reason))
        if is_harmful:
            return list(argv), dict(environ)
        before = environ.get("LD_PRELOAD", "")
        preload = f"{before}:{self.observer.program}" if before else self.observer.program
        return list(argv), {**environ, "LD_PRELOAD": preload, VARIABLE: ":".join(self.folders)}

    def read(self, trusted: Sequence[str] = ()) -> Observed:
        """Return what was seen until now; call it when the run has ended.

        Programs in `trusted` folders (the toolchain) are not searched for system calls of their own.
        """
        from doit_cargo.engine.execution.observe.model import Observed, Unobserved

        if self.observer.kind == "strace":
            from doit_cargo.engine.execution.observe import strace

            processes, unobserved = strace.load(self._trace, self._directory)
        else:
            from doit_cargo.engine.execution.observe import log, own_calls

            processes, unobserved = log.load(self.folders)
            unobserved += [Unobserved(program, reason, None) for program, reason in self._hidden]
            unobserved += [*_alive(processes, self.folders[0]), *own_calls.programs(processes, trusted)]
        return Observed(processes, unobserved, self.started)

    def close(self) -> None:
        """Remove the logs."""
        for folder in self.folders:
            _remove(folder)

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
    made = os.path.join(os.path.abspath(above), f"{PREFIX}{os.getpid()}-{os.urandom(6).hex()}")
    if ":" in made:
        return None
    try:
        os.mkdir(made, 0o700)
    except OSError:
        return None
    return made


def _temporary() -> str:
    return os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - a folder of one's own is made in it


def _remove(folder: str) -> None:
    """Remove a folder of logs; there are none in it."""
    try:
        for entry in os.scandir(folder):
            os.unlink(entry.path)
        os.rmdir(folder)
    except OSError:
        return  # the next run sweeps it


def _sweep() -> None:
    """Remove what a killed run of this user left behind."""
    for above in {MEMORY, _temporary()}:
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
                _remove(entry.path)


def _alive(processes: Sequence[Process], folder: str) -> list[Unobserved]:
    """Daemons: what has not ended, forks included. Its environment tells it from a later process of its number."""
    from doit_cargo.engine.execution.observe.model import Unobserved

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
