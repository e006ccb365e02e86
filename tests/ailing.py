"""Stores that are sick in every way that could be thought of: how each connection is served, or a folder is left."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from doit_cargo.sharing import wire

Serve = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\n"
PAUSE = 0.05


def asked(connection: socket.socket) -> str:
    """Read a request up to its body; return its verb."""
    head = b""
    while b"\r\n\r\n" not in head and (chunk := connection.recv(65536)):
        head += chunk
    return head.split(b" ")[0].decode("ascii", "replace")


def left(connection: socket.socket) -> None:
    """Wait until the other side has left."""
    while connection.recv(65536):
        continue


def silent(connection: socket.socket) -> None:
    left(connection)


def says(*words: bytes) -> Serve:
    """Return how to answer with some words, and to close then."""

    def serve(connection: socket.socket) -> None:
        asked(connection)
        for word in words:
            connection.sendall(word)

    return serve


def answers(status: str, *headers: str) -> Serve:
    return says("\r\n".join([f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "", ""]).encode())


def forever(head: bytes, word: bytes, pause: float = PAUSE) -> Serve:
    """Return how to go on saying a word until nobody listens, with a pause each time."""

    def serve(connection: socket.socket) -> None:
        asked(connection)
        connection.sendall(head)
        stopped = threading.Event()
        while True:
            connection.sendall(word)
            if pause:
                stopped.wait(pause)

    return serve


def silent_on_writing(connection: socket.socket) -> None:
    """A server that says of all that it is not there, and nothing to who writes."""
    while verb := asked(connection):
        if verb != "GET":
            left(connection)
            return
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


# Kind -> how a connection is served.
WEB: dict[str, Serve] = {
    "closes at once": lambda _: None,
    "says nothing": silent,
    "says nothing to who writes": silent_on_writing,
    "garbage": says(b"\x00\xff" * 500),
    "a status that is none": says(b"HTTP/1.1 abc\r\n\r\n"),
    "a header that trickles": forever(OK + b"X: ", b"x"),
    "headers without an end": forever(OK, b"X-More: x\r\n", 0),
    "a body that trickles": forever(OK + b"Content-Length: 100000\r\n\r\n", b"x"),
    "a body without an end": forever(OK + b"\r\n", b"x" * 65536, 0),
    "chunks without an end": forever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a chunk that is none": says(OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    "promises without an end": forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0),
    "an error with a body that trickles": forever(b"HTTP/1.1 500 Broken\r\nContent-Length: 90000\r\n\r\n", b"x"),
    "less than it said": says(OK + b"Content-Length: 100000\r\n\r\n" + b"x" * 500),
    "more than it said": says(OK + b"Content-Length: 3\r\n\r\n" + b"x" * 500),
    "a length below zero": says(OK + b"Content-Length: -5\r\n\r\nxxx"),
    "a length that is none": says(OK + b"Content-Length: many\r\n\r\nxxx"),
    "packed without being asked": says(OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"),
    "old and short": says(b"HTTP/1.0 200 OK\r\n\r\nxxx"),
    "500": answers("500 Broken"),
    "503 for a while": answers("503 Busy", "Retry-After: 3600"),
    "429": answers("429 Too Many", "Retry-After: 3600"),
    "401": answers("401 Who", "WWW-Authenticate: Basic"),
    "a redirect to itself": answers("302 Elsewhere", "Location: /"),
    "a redirect to another host": answers("307 Elsewhere", "Location: http://203.0.113.1/"),
    "a redirect to a file": answers("301 Elsewhere", "Location: file:///etc/passwd"),
}


@contextmanager
def server(serve: Serve) -> Iterator[tuple[str, list[str]]]:
    """Serve each connection in this way; yield the place, and a list that grows by each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        met: list[str] = []
        open_ones: list[socket.socket] = []

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                serve(connection)

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                met.append("a connection")
                open_ones.append(connection)
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", met
        listener.shutdown(socket.SHUT_RDWR)
        for connection in open_ones:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


# --- gRPC ------------------------------------------------------------------------------------------------------------

Call = Callable[[Any, Any], Any]


def _fails(code: str) -> Call:
    def call(_: Any, context: Any) -> Any:
        import grpc

        context.abort(getattr(grpc.StatusCode, code), "so it is")

    return call


def _waits(_: Any, context: Any) -> Any:
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait()
    return b""


# Kind -> what each call gives: bytes, or for `Read` pieces.
GRPC: dict[str, Call] = {
    **{
        code: _fails(code) for code in ("UNAVAILABLE", "UNAUTHENTICATED", "RESOURCE_EXHAUSTED", "INTERNAL", "DATA_LOSS")
    },
    "says nothing": _waits,
    "garbage": lambda *_: b"\xff" * 50,
    "much more than it may": lambda *_: b"x" * (1 << 26),
    "nothing at all": lambda *_: b"",
    "what nobody has asked for": lambda *_: wire.message((2, wire.digest(wire.Digest.of(b"another")))),
}


@contextmanager
def grpc_server(kind: str) -> Iterator[str]:
    """Run a gRPC server that answers every call in one way; yield its address."""
    from concurrent import futures

    import grpc

    answer = GRPC[kind]

    def stream(request: Any, context: Any) -> Iterator[bytes]:
        yield answer(request, context)

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            if details.method.endswith("/Read"):
                return grpc.unary_stream_rpc_method_handler(stream)
            if details.method.endswith("/Write"):
                return grpc.stream_unary_rpc_method_handler(answer)
            return grpc.unary_unary_rpc_method_handler(answer)

    running = grpc.server(futures.ThreadPoolExecutor(16), handlers=(Handler(),), options=[("grpc.so_reuseport", 0)])
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    try:
        yield f"grpc://127.0.0.1:{port}/main"
    finally:
        running.stop(0)


# --- folders ---------------------------------------------------------------------------------------------------------


def _each(put: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return how to put something into the place of every file of a store."""

    def spoil(store: Path) -> None:
        for path in [path for path in store.rglob("*") if path.is_file()]:
            path.unlink()
            put(path)

    return spoil


def _instead(put: Callable[[Path], None]) -> Callable[[Path], None]:
    def spoil(store: Path) -> None:
        store.rename(store.with_name(f"{store.name}-moved"))
        put(store)

    return spoil


def _large(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 33)


# Kind -> what is done to a folder that was well.
FOLDER: dict[str, Callable[[Path], None]] = {
    "pipes": _each(os.mkfifo),
    "devices": _each(lambda path: path.symlink_to("/dev/zero")),
    "folders": _each(lambda path: path.mkdir()),
    "links in a ring": _each(lambda path: path.symlink_to(path)),
    "links to a secret": _each(lambda path: path.symlink_to("/etc/passwd")),
    "empty files": _each(lambda path: path.touch()),
    "large files": _each(_large),
    "a file": _instead(lambda path: path.touch()),
    "a pipe": _instead(os.mkfifo),
    "a link in a ring": _instead(lambda path: path.symlink_to(path)),
}
# Mounts a file system of which nobody answers for, as a network's whose server is gone, and runs a command meanwhile.
HANGING = """
import ctypes, os, subprocess, sys
place, command = sys.argv[1], sys.argv[2:]
said = os.open("/dev/fuse", os.O_RDWR)
told = f"fd={said},rootmode=40000,user_id=0,group_id=0".encode()
if ctypes.CDLL(None, use_errno=True).mount(b"none", os.fsencode(place), b"fuse", 0, told):
    sys.exit(f"cannot mount: {os.strerror(ctypes.get_errno())}")
sys.exit(subprocess.run(command).returncode)
"""
