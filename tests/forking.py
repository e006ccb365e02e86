"""A Python that has imported all of the package, and forks for each call: most of what a message costs is the start.

A call is a process of its own as ever, with its own arguments, folder, environment, session and exit status, and it
starts with the same modules loaded and nothing done. What a test says of the start itself, or of what is loaded, it
asks of a real one (`calling.started`). TEST_REAL_STARTS=1 makes every call a real one.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ENTRY_POINTS = {"doit-cargo": "doit_cargo.cli.main", "doit": "doit.__main__"}
OLD_PATHS = ("doit_cargo.dodo", "doit_cargo.engine.model")  # they lead on, with a warning
LIBRARIES = ("argparse", "doit.doit_cmd", "jinja2.sandbox", "packaging.specifiers", "shlex", "tempfile", "tomlkit")
READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ")
"""How variables begin that a running Python asks no more: each set of their values has a server of its own."""
HANGS = 600
"""After so many seconds a call is killed: nothing takes as long."""


@dataclass(frozen=True, slots=True)
class Server:
    """The process that forks, and a folder for what its children say."""

    process: subprocess.Popen[str]
    folder: Path

    def run(self, argv: Sequence[str | bytes], cwd: str, environ: Mapping[str, str]) -> tuple[int, bytes, bytes]:
        """Run one of our commands to its end, without input; return its status and what it wrote."""
        out, err = self.folder / "out", self.folder / "err"
        call = [[os.fsdecode(word) for word in argv], cwd, dict(environ), [os.devnull, str(out), str(err)]]
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline()), out.read_bytes(), err.read_bytes()


_servers: dict[tuple[tuple[str, str], ...], Server] = {}
_turn = threading.Lock()


def run(
    argv: Sequence[str | bytes], cwd: Path | str, environ: Mapping[str, str], given: Iterable[str] = ()
) -> tuple[int, bytes, bytes]:
    """Run a program without input; one of ours as a fork, unless a variable of `given` is one that a start reads.

    Return its status and what it wrote.
    """
    ours = os.path.split(os.fsdecode(argv[0])) in [(os.path.dirname(sys.executable), name) for name in ENTRY_POINTS]
    real = os.name == "nt" or "TEST_REAL_STARTS" in os.environ or any(name.startswith(READ_AT_START) for name in given)
    if not ours or real or not _turn.acquire(blocking=False):  # of two calls at once
        return start(argv, cwd, environ)
    try:
        return server(environ).run(argv, os.fspath(cwd), environ)
    finally:
        _turn.release()


def start(argv: Sequence[str | bytes], cwd: Path | str, environ: Mapping[str, str]) -> tuple[int, bytes, bytes]:
    """Run a program without input as a process of its own; return its status and what it wrote."""
    silence = subprocess.DEVNULL
    done = subprocess.run(argv, cwd=cwd, env=environ, capture_output=True, stdin=silence, check=False, timeout=HANGS)
    return done.returncode, done.stdout, done.stderr


def server(environ: Mapping[str, str]) -> Server:
    """Return this process's server for such an environment; the first who asks starts it."""
    read = tuple(sorted(item for item in environ.items() if item[0].startswith(READ_AT_START)))
    if read not in _servers:
        command, pipe, clean = [sys.executable, __file__], subprocess.PIPE, {"PATH": os.defpath, **dict(read)}
        process = subprocess.Popen(command, env=clean, stdin=pipe, stdout=pipe, text=True)
        atexit.register(process.communicate)
        _servers[read] = Server(process, Path(tempfile.mkdtemp(prefix="doit-cargo-said-")))
    return _servers[read]


def _serve() -> Callable[[], object]:
    """Fork for each line that asks for it; return only in a child, what it is to run, and at the end."""
    sys.argv = ["doit"]  # what doit calls itself in its messages
    for module in pkgutil.walk_packages(importlib.import_module("doit_cargo").__path__, "doit_cargo."):
        if not module.name.startswith(OLD_PATHS):
            importlib.import_module(module.name)
    for name in LIBRARIES:
        importlib.import_module(name)
    from doit_cargo.engine.hints import rules
    from doit_cargo.engine.plan import render

    # What each call would make anew from the package's own data: for a plan, and for a failure.
    render._environment().get_template(render.CARGO)
    rules.known().words  # noqa: B018 - kept where it is asked for
    gc.freeze()
    while line := sys.stdin.readline():
        child = os.fork()
        if not child:
            return _become(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return int


def _become(argv: list[str], cwd: str, environ: dict[str, str], streams: list[str]) -> Callable[[], object]:
    """Take a call's place, and return the program that it is."""
    os.setsid()
    signal.alarm(HANGS)
    for number, path in enumerate(streams):
        place = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND if number else os.O_RDONLY)
        os.dup2(place, number)
        os.close(place)
    os.chdir(cwd)
    own = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}  # a Python sets it where none is
    os.environ.clear()
    os.environ.update({**own, **environ})
    sys.argv, sys.path[0] = argv, os.path.dirname(argv[0])
    main: Callable[[], object] = importlib.import_module(ENTRY_POINTS[os.path.basename(argv[0])]).main
    return main


if __name__ == "__main__":
    sys.exit(_serve()())  # type: ignore[arg-type]
