"""A Python that has imported all of the package, and forks for each call: most of what a message costs is the start.

A call is a process of its own as ever, with its own arguments, folder, environment and exit status, and it starts with
the same modules loaded and nothing done. What a test says of the start itself it asks of a real one, by `calling.call`.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ENTRY_POINTS = {"doit-cargo": "doit_cargo.cli.main", "doit": "doit.__main__"}
OLD_PATHS = ("doit_cargo.dodo", "doit_cargo.engine.model")  # they lead on, with a warning
LIBRARIES = ("argparse", "doit.doit_cmd", "jinja2.sandbox", "packaging.specifiers", "shlex", "tempfile", "tomlkit")
READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_")
"""How variables begin that a running Python asks no more."""


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


_servers: list[Server] = []


def server(environ: Mapping[str, str]) -> Server:
    """Return this process's server; the first who asks starts it."""
    if not _servers:
        command, pipe = [sys.executable, __file__], subprocess.PIPE
        process = subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, text=True)
        atexit.register(process.communicate)
        _servers.append(Server(process, Path(tempfile.mkdtemp(prefix="doit-cargo-said-"))))
    return _servers[0]


def _serve() -> Callable[[], object]:
    """Fork for each line that asks for it; return only in a child, what it is to run, and at the end."""
    sys.argv = ["doit"]  # what doit calls itself in its messages
    for module in pkgutil.walk_packages(importlib.import_module("doit_cargo").__path__, "doit_cargo."):
        if not module.name.startswith(OLD_PATHS):
            importlib.import_module(module.name)
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    while line := sys.stdin.readline():
        child = os.fork()
        if not child:
            return _become(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return int


def _become(argv: list[str], cwd: str, environ: dict[str, str], streams: list[str]) -> Callable[[], object]:
    """Take a call's place, and return the program that it is."""
    for number, path in enumerate(streams):
        place = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND if number else os.O_RDONLY)
        os.dup2(place, number)
        os.close(place)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv, sys.path[0] = argv, os.path.dirname(argv[0])
    main: Callable[[], object] = importlib.import_module(ENTRY_POINTS[os.path.basename(argv[0])]).main
    return main


if __name__ == "__main__":
    sys.exit(_serve()())  # type: ignore[arg-type]
