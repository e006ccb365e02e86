"""test_server_start and test_server_stop: a server in the background that one can always get rid of again.

It runs in a session of its own and is written down before anybody waits for it: process id, start time, call and
program. A process id alone proves nothing, since systems use it again; with the start time it does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from doit_cargo.actions import TEST_LOGS, log_path, require_package
from doit_cargo.actions.serving import program
from doit_cargo.actions.signals import interruptible
from doit_cargo.engine.base import atomic, own_key, private
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import lock, store

if TYPE_CHECKING:
    import psutil

    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

NAME = "test-server"
DEFAULT_TIMEOUT, GRACE = 120, 5.0
TAIL_LINES, TAIL_BYTES = 12, 16_384


@dataclass(frozen=True, slots=True)
class Running:
    """A server that was started. `began` is its start as the system counts it, `stamp` the program's signature; of
    the call, which may hold a secret, only a digest is kept.
    """

    pid: int
    began: float
    port: int
    call: str
    stamp: tuple[int, int, int]
    log: str

    @property
    def url(self) -> str:
        return f"http://{program.HOST}:{self.port}"


def require(session: Session, values: Values) -> None:
    """Raise `UserError` for bad input and for missing libraries, before anything is built."""
    require_library(session, values)
    require_package(session.current, "httpx", "serve")
    program.require(session, values)


def require_library(session: Session, _: Any) -> None:
    """Raise `UserError` if processes cannot be looked at."""
    require_package(session.current, "psutil", "serve")


def _record_path(session: Session) -> str:
    return os.path.join(session.state, f"{NAME}.json")


def recorded(session: Session) -> Running | None:
    """Return what was written down of the last server that was started, whatever became of it."""
    try:
        with open(_record_path(session), encoding="utf-8") as stream:
            data: dict[str, Any] = own_key.unsealed(json.load(stream)) or {}
        return Running(**{**data, "stamp": tuple(data["stamp"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def process_of(server: Running) -> psutil.Process | None:
    """Return the process of a server, or None if it has ended, also where its id now means another process."""
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(server.pid)
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        if alive and abs(process.create_time() - server.began) < 0.02:
            return process
    return None


def _forget(session: Session) -> None:
    store.remove(_record_path(session))


def start(session: Session, values: Values) -> bool:
    """Start the server and wait until it answers; one that runs already, of this very call, is left running."""
    made = program.call(session, values, "serve")
    with lock.RunLock(session.state):
        if _is_running_already(session, made):
            return True
        _require_free(program.port_of(values))
        return _started(session, values, made)


def _is_running_already(session: Session, made: program.ServerCall) -> bool:
    """Tell whether this very program runs with these arguments; any other server of ours is stopped first."""
    server = recorded(session)
    if server is None or process_of(server) is None:
        return False
    if server.call == _digest(made) and server.stamp == _stamp(made.argv[0]) and _answers(server.url):
        reporter.done(session.current, f"runs already: {server.url} (process {server.pid})")
        return True
    why = "another call" if server.call != _digest(made) else "an older build, or it does not answer"
    reporter.note(session.current, f"the running server is of {why}: it is stopped first")
    _end(session, server)
    return False


def _digest(made: program.ServerCall) -> str:
    return hashlib.sha256(repr((made.argv, sorted(made.env.items()))).encode("utf-8", "replace")).hexdigest()


def _stamp(path: str) -> tuple[int, int, int]:
    found = os.stat(path)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _started(session: Session, values: Values, made: program.ServerCall) -> bool:
    reporter.note(session.current, program.shown(session, made))
    log = log_path(session, NAME, TEST_LOGS)
    with interruptible(session.current):
        process = _spawn(session, made, log)
        server = Running(
            process.pid, _began(process.pid), program.port_of(values), _digest(made), _stamp(made.argv[0]), log
        )
        try:
            _write_down(session, server)
            problem = _wait(server, process, values.number("TIMEOUT") or DEFAULT_TIMEOUT)
        except BaseException:
            _end(session, server)
            raise
    where = reporter.relative(log, session.root)
    if problem:
        _end(session, server)
        reporter.failed(session.current, f"{problem}; log: {where}{_tail(log)}")
        from doit_cargo.engine import hints

        hints.after_failure(session.current, log, session.workspace, process.poll() or 0)
        return False
    process.returncode = 0  # it outlives us: nobody has to wait for it
    reporter.done(session.current, f"answers on {server.url} (process {server.pid}); log: {where}")
    return True


def _spawn(session: Session, made: program.ServerCall, log: str) -> subprocess.Popen[bytes]:
    private.folder(os.path.dirname(log))
    try:
        with open(log, "wb", opener=private.opener) as stream:
            return subprocess.Popen(
                made.argv,
                cwd=session.root,
                env=program.environment(session, made),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                creationflags=0x200 if os.name == "nt" else 0,
                start_new_session=os.name != "nt",
            )
    except OSError as error:
        raise UserError(Problem(f"cannot start {made.argv[0]}: {error.strerror}"), COULD_NOT_RUN) from None


def _began(pid: int) -> float:
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def _write_down(session: Session, server: Running) -> None:
    store.prepare(session.state)
    atomic.write(_record_path(session), json.dumps(own_key.sealed(asdict(server))))


def _wait(server: Running, process: subprocess.Popen[bytes], seconds: int) -> str:
    """Wait until the server answers; return what went wrong, or ""."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = process.poll()
        if status is not None:
            return f"the server ended with status {status} before it answered"
        if _answers(server.url):
            return "" if _listens(server) else f"another program answers on port {server.port}"
        time.sleep(0.05)
    return f"no answer from {server.url}/health within {seconds} s (TIMEOUT= changes that)"


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{url}/health", timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _listens(server: Running) -> bool:
    """Tell whether it is our process that has the port; where the system does not say, believe it."""
    import psutil

    try:
        process = psutil.Process(server.pid)
        ports = {each.laddr.port for one in (process, *process.children(True)) for each in one.net_connections("tcp")}
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False
    return server.port in ports


def _tail(log: str) -> str:
    """Return the last lines of a log, to stand below a message."""
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, os.path.getsize(log) - TAIL_BYTES))
            lines = stream.read().decode("utf-8", "replace").splitlines()[-TAIL_LINES:]
    except OSError:
        return ""
    return "".join(f"\n     {line}" for line in lines)


def _require_free(port: int) -> None:
    """Raise `UserError` if somebody has the port, and say who."""
    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((program.HOST, port))
        except OSError as error:
            what = f"port {port} is taken: {_holder(port) or error.strerror}"
            raise UserError(
                Problem(what, "stop that program, or take another port: PORT=", "PORT"), COULD_NOT_RUN
            ) from None


def _holder(port: int) -> str:
    import psutil

    try:
        connections = list(psutil.net_connections("tcp"))
    except psutil.Error:
        return ""
    for one in connections:
        if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port:
            return _described(one.pid) if one.pid else "a program of another user has it"
    return ""


def _described(pid: int) -> str:
    import psutil

    with contextlib.suppress(psutil.Error):
        return f"{psutil.Process(pid).name()} (process {pid}) has it"
    return f"process {pid} has it"


def stop(session: Session, _: Any) -> bool:
    """Stop the server that was started: politely, then by force. Another process is never touched."""
    with lock.RunLock(session.state):
        server = recorded(session)
        if server is None:
            _forget(session)
            reporter.done(session.current, "no test server is running")
            return True
        if process_of(server) is None:
            _forget(session)
            reporter.done(session.current, f"the test server had ended already (process {server.pid})")
            return True
        forced = _end(session, server)
    how = f"did not end within {GRACE:.0f} s, so it was killed" if forced else "stopped"
    reporter.done(
        session.current,
        f"{server.url} {how} (process {server.pid}); log: {reporter.relative(server.log, session.root)}",
    )
    return True


def _end(session: Session, server: Running) -> bool:
    """End a server and all of its group; return whether force was needed."""
    import psutil

    process = process_of(server)
    forced = False
    if process:
        family = list(_family(process))
        _signal(server, family, signal.SIGTERM)
        _, left = psutil.wait_procs(family, timeout=GRACE)
        forced = bool(left)
        if left:
            _signal(server, left, getattr(signal, "SIGKILL", signal.SIGTERM))
            psutil.wait_procs(left, timeout=GRACE)
    _forget(session)
    return forced


def _family(process: psutil.Process) -> Iterator[psutil.Process]:
    import psutil

    yield process
    with contextlib.suppress(psutil.Error):
        yield from process.children(recursive=True)


def _signal(server: Running, processes: list[psutil.Process], number: int) -> None:
    """Signal the server's group, and each process that has left it."""
    import psutil

    if os.name != "nt":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(server.pid, number)
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            if os.name == "nt" or os.getpgid(process.pid) != server.pid:
                process.send_signal(number)
