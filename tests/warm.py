"""A Python that has everything imported, and forks for each call: a start with its imports is paid once a session.

A call is a process of its own as ever: arguments, folder, environment, streams, session and exit status are its own,
and what `cli` imports is left to it. TEST_COLD=1 starts each call from nothing, as a user does; so starts in any case
one of few calls with the same settings of Python's own, and one beside another.
"""

from __future__ import annotations

import atexit
import importlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1] / "tasks"
ENTRY_POINTS = {"doit-cargo": "doit_cargo.cli.main", "doit": "doit.__main__"}
LIBRARIES = (
    *("argparse", "dbm", "doit.cmd_base", "doit.cmd_list", "doit.cmd_run", "doit.doit_cmd", "doit.loader"),
    *("importlib.metadata", "jinja2.sandbox", "json", "packaging.specifiers", "shlex", "tempfile", "tomlkit"),
)
READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_")  # variables that a running Python asks no more
FEW = 2
MESSAGE = 1 << 20
Start = tuple[tuple[str, str], ...]
Done = subprocess.CompletedProcess[bytes]


def run(argv: Sequence[str | bytes], cwd: Path | str, environ: Mapping[str, str], seconds: float | None = None) -> Done:
    """Run a program to its end, without input; our own commands in a process that is warm, where there is one."""
    name, folder = os.path.basename(os.fsdecode(argv[0])), os.path.dirname(os.fsdecode(argv[0]))
    is_ours = name in ENTRY_POINTS and folder == os.path.dirname(sys.executable)
    warm = _warm(environ) if is_ours and os.path.isdir(cwd) else None
    if warm and warm.lock.acquire(blocking=False):
        try:
            return warm.run(argv, os.fspath(cwd), environ, seconds)
        finally:
            warm.lock.release()
    return subprocess.run(
        argv, cwd=cwd, env=environ, capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds, check=False
    )


_calls: Counter[Start] = Counter()
_ready: dict[Start, Warm] = {}


def _warm(environ: Mapping[str, str]) -> Warm | None:
    """Return who is warm for these variables, if so many calls have them that it is worth it."""
    if os.environ.get("TEST_COLD") or not hasattr(os, "fork"):
        return None
    start = tuple(sorted(row for row in environ.items() if row[0].startswith(READ_AT_START)))
    _calls[start] += 1
    if _calls[start] > FEW and start not in _ready:
        _ready[start] = Warm(environ)
    return _ready.get(start)


class Warm:
    """The process that forks, and the way to it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.lock = threading.Lock()
        self.way, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command, null = [sys.executable, __file__, str(theirs.fileno())], subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, env=environ, pass_fds=[theirs.fileno()], stdin=null, stdout=null, stderr=null
        )
        theirs.close()
        atexit.register(self.end)

    def end(self) -> None:
        self.way.close()
        self.process.wait()

    def run(self, argv: Sequence[str | bytes], cwd: str, environ: Mapping[str, str], seconds: float | None) -> Done:
        call = pickle.dumps((list(map(os.fsdecode, argv)), cwd, dict(environ)))
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        socket.send_fds(self.way, [call], [out_end, err_end])
        os.close(out_end)
        os.close(err_end)
        late = threading.Timer(seconds or 3600, os.killpg, (int(self.way.recv(MESSAGE)), signal.SIGKILL))
        late.start()
        said: list[bytes] = []
        reader = threading.Thread(target=lambda: said.append(_read(err)))
        reader.start()
        told = _read(out)
        reader.join()
        status = int(self.way.recv(MESSAGE))
        late.cancel()
        return Done(argv, status, told, said[0])


def _read(number: int) -> bytes:
    with open(number, "rb") as stream:
        return stream.read()


# --- the other side --------------------------------------------------------------------------------------------------


def _serve(way: socket.socket) -> None:
    _import_all()
    while True:
        call, numbers, _, _ = socket.recv_fds(way, MESSAGE, 2)
        if not call:
            return
        pid = os.fork()
        if not pid:
            way.close()
            _be(pickle.loads(call), numbers)
        for number in numbers:
            os.close(number)
        way.send(str(pid).encode())
        way.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _import_all() -> None:
    sys.argv = ["doit"]  # what doit calls itself in its messages
    old_paths = ("doit_cargo.dodo", "doit_cargo.engine.model")  # they lead on, with a warning
    for path in sorted((PACKAGE / "doit_cargo").rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if name not in old_paths and not name.startswith("doit_cargo.cli"):
            importlib.import_module(name)
    for name in LIBRARIES:
        importlib.import_module(name)


def _be(call: tuple[list[str], str, dict[str, str]], numbers: list[int]) -> None:
    """Be the program that was called, to its end."""
    argv, cwd, environ = call
    os.setsid()
    for place, number in enumerate(numbers, start=1):
        os.dup2(number, place)
        os.close(number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv, sys.path[0] = argv, os.path.dirname(argv[0])
    status = _status(lambda: importlib.import_module(ENTRY_POINTS[os.path.basename(argv[0])]).main())
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _status(main: Callable[[], Any]) -> int:
    """Return what Python would end with."""
    try:
        code = main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter itself
        traceback.print_exc()
        return 1
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
