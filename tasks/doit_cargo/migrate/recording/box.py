"""A copy of a checkout in which a program runs without reaching anything: what it did is told, nothing of it stays.

With Linux namespaces the copy is a layer over the checkout itself, all else is read-only and there is no network;
elsewhere it is a plain copy, and the caller is told so. Knows nothing of build files.
"""

from __future__ import annotations

import marshal
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.paths import which
from doit_cargo.migrate.recording import inside, recorder
from doit_cargo.migrate.recording.recorder import RecordedCall

UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child")
SECONDS = 60
# What is no part of a copy: cargo's output and our own.
LEFT_OUT = ("target", ".doit-cargo", ".logs", ".testlogs")
# Kept of the caller's environment; all else might be a secret.
KEPT = ("LANG", "LC_ALL", "TZ")
TIMED_OUT = -1
# Most of a run is waiting for programs to start.
AT_A_TIME = 2 * (os.cpu_count() or 1)
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Members:
    """The members of the workspace: their folders, relative to the root, and whether cargo takes all of them where a
    call in the root names nothing."""

    folders: frozenset[str] = frozenset()
    all_are_default: bool = False


@dataclass(frozen=True, slots=True)
class BoxOutcome:
    """How a run in the box ended: its status, what it said, the files that it left changed, the calls it made."""

    status: int
    out: str
    err: str
    changes: Mapping[str, str]
    calls: tuple[RecordedCall, ...]


class Box:
    """A place to run programs of a checkout. `words` are names that may be programs; `uses` says how it is shut."""

    def __init__(self, root: str, environ: Mapping[str, str], words: Iterable[str]) -> None:
        self.checkout, self.environ = os.path.realpath(root), environ
        self.base = os.path.realpath(tempfile.mkdtemp(prefix="doit-cargo-record-"))
        self.programs: tuple[str, ...] = ()
        """Files of the checkout, relative to it, that are replaced by a recorder; what is not there appears once a
        program has run that may have made it."""
        path = environ.get("PATH", os.defpath)
        recorder.write(self.base, words, path, environ, gentle=not self.is_contained)
        self._left: dict[str, str] = {}
        self.members = Members()
        self.root = self.checkout if self.is_contained else os.path.join(self.base, "copy", os.path.basename(root))

    def __enter__(self) -> Box:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.base, ignore_errors=True)

    @cached_property
    def is_contained(self) -> bool:
        """Whether the kernel gives this user namespaces and a layer; tried once, by running `true` in one."""
        if not sys.platform.startswith("linux") or not which("unshare", os.environ):
            return False
        os.makedirs(os.path.join(self.base, "try", "run"))
        job = self._job(["/bin/sh", "-c", ":"], {}, {}, self.checkout)
        job |= {"run": os.path.join(self.base, "try", "run"), "contained": True, "cwd": "/"}
        try:
            return bool(_told(self._inside(job, contained=True)[0])["status"] == 0)
        except (ValueError, OSError, subprocess.TimeoutExpired):
            return False

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Do something for each item, some at a time where each run has a place of its own; in their order."""
        if not self.is_contained:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            try:
                yield from pool.map(work, items)
            finally:
                pool.shutdown(cancel_futures=True)

    @property
    def uses(self) -> str:
        """How it is shut, in words."""
        if self.is_contained:
            return "a layer over the checkout, nothing else can be written, no network"
        return "a copy of the checkout; this system gives no namespaces, so absolute paths and the network are not shut"

    def shell(self, program: str) -> str:
        """Return a shell for the lines of recipes that is `program`, and writes each down."""
        return recorder.line_shell(self.base, program)

    @property
    def elsewhere(self) -> str:
        """Where the checkout is in the other world."""
        return os.path.join(self.base, "run", "moved", "doit-cargo-elsewhere")

    def lays_below(self, path: str) -> bool:
        """Tell whether a stand-in lies, or will appear, at a path or below it."""
        return any(each == path or each.startswith(path + "/") for each in self.programs)

    def programs_called(self, name: str) -> tuple[str, ...]:
        """Return what stands for a program in the box, to be left out of a run: only a layer can do that."""
        return (os.path.join(self.base, "bin", name),) if name and self.is_contained else ()

    def environment(self, other: bool = False) -> dict[str, str]:
        """Return what a program begins with; `other` is that of another person on another day."""
        run = os.path.join(self.base, "run")
        # The other world has the checkout in another folder, where a layer can be laid there.
        root = self.elsewhere if other and self.is_contained else self.root
        kept = {name: self.environ[name] for name in KEPT if name in self.environ}
        user = "somebody" if other else "doit-cargo"
        home = os.path.join(run, "other-home" if other else "home")
        return {
            **kept,
            "PATH": os.path.join(self.base, "bin"),
            "HOME": home,
            "PWD": root,
            "TMPDIR": os.path.join(run, "other-tmp" if other else "tmp"),
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/sh",
            "TERM": "dumb",
        }

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        fail: int = 0,
        other: bool = False,
        files: Mapping[str, str] | None = None,
        gone: Sequence[str] = (),
        known: Iterable[Sequence[str]] = (),
        leaves: Iterable[str] = (),
        there: Collection[str] = (),
        is_old: bool = False,
    ) -> BoxOutcome:
        """Run a program; `fail` is the call that does not succeed, `files` are laid into the copy, `gone` are not,
        `known` are calls that do something though somebody listens. `leaves` are files in which one run leaves to the
        next what it has found out. `there` are files that are as if somebody had made them: just now, or long ago."""
        steps = "|".join(text for words in known if "\n" not in (text := " ".join(words)))
        world = {os.path.join(self.base, "run", "world"): f"{fail} {'other' if other else 'same'} |{steps}|\n"}
        root = self.elsewhere if other and self.is_contained else self.root
        laid = {os.path.join(root, path): text for path, text in (files or {}).items()}
        homes = {os.path.join(env[name], ".keep"): "" for name in ("HOME", "TMPDIR") if name in env}
        if not self.is_contained:
            self._copy()
        job = self._job(list(argv), dict(env), {**world, **laid, **homes}, root)
        job["contained"] = self.is_contained
        job["gone"] = [os.path.join(root, path) for path in gone]
        job["there"], job["is_old"] = [os.path.join(root, path) for path in there], is_old
        job["leaves"] = [os.path.join(root, path) for path in leaves]
        job["left"] = {path: text for path, text in self._left.items() if path in job["leaves"]}
        try:
            printed, told = self._inside(job, self.is_contained)
        except subprocess.TimeoutExpired:
            return BoxOutcome(TIMED_OUT, "", "", {}, ())
        try:
            said = _told(printed)
        except ValueError:
            last = next(iter(reversed(told.strip().splitlines())), "no reason was given")
            raise UserError(Problem(f"nothing could be recorded: {last}", "try again"), COULD_NOT_RUN) from None
        self._left |= said["left"]
        laid_paths = [*(files or {}), *self.programs, *gone, *there]
        changes = {path: what for path, what in said["changes"].items() if not _is_laid(path, laid_paths)}
        out, err = (said[name].encode("latin-1").decode("utf-8", "replace") for name in ("out", "err"))
        return BoxOutcome(said["status"], out, err, changes, tuple(recorder.read(said["calls"])))

    def _job(self, argv: list[str], env: dict[str, str], files: dict[str, str], root: str) -> dict[str, Any]:
        return {
            "argv": argv,
            "env": env,
            "files": files,
            "gone": [],
            "left": {},
            "leaves": [],
            "there": [],
            "is_old": False,
            "checkout": self.checkout,
            "root": root,
            "cwd": root,
            "run": os.path.join(self.base, "run"),
            "temporary": tempfile.gettempdir(),
            "hidden": [os.path.join(root, name) for name in LEFT_OUT],
            "programs": [os.path.join(root, path) for path in self.programs],
            "program": _text(os.path.join(self.base, "kinds", "work")),
            "seconds": SECONDS,
        }

    def _inside(self, job: dict[str, Any], contained: bool) -> tuple[bytes, str]:
        """Return what the job prints, and what it says where it fails."""
        # As a module: what Python is given as a script it compiles anew each time.
        run = f"import sys; sys.path.append({os.path.dirname(inside.__file__)!r}); import inside; inside.main()"
        words = [sys.executable, "-IS", "-c", run]
        done = subprocess.run(
            [*UNSHARE, *words] if contained else words,
            input=marshal.dumps(job),
            capture_output=True,
            timeout=2 * SECONDS,
            check=False,
            cwd="/",
        )
        return done.stdout, done.stderr.decode("utf-8", "replace")

    def _copy(self) -> None:
        """Lay the copy out anew: what an earlier run left in it is gone."""
        run = os.path.join(self.base, "run")
        shutil.rmtree(os.path.dirname(self.root), ignore_errors=True)
        shutil.rmtree(run, ignore_errors=True)
        os.makedirs(run)
        shutil.copytree(self.checkout, self.root, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))


def _is_laid(path: str, laid: list[str]) -> bool:
    """Tell whether a path is what we put there, or a folder of it, or output that is left out."""
    if path.split("/", 1)[0] in LEFT_OUT:
        return True
    return any(path == other or other.startswith(path + "/") for other in laid)


def _told(printed: bytes) -> dict[str, Any]:
    """Return what a job has printed; `ValueError` if it is cut short or nothing."""
    try:
        return dict(marshal.loads(printed))  # noqa: S302 - of a Python that we have started
    except (EOFError, TypeError) as error:
        raise ValueError(str(error)) from error


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""
