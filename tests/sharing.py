"""Stores to share results through, as real servers on this machine: a folder, nginx with WebDAV, BuildGrid.

A server that is not installed skips its tests, with the reason: nginx is Debian's `nginx-light` or `nginx`; BuildGrid
needs Python 3.11 and an environment of its own, which is made where PyPI can be reached, or whose `bgd` TEST_BUILDGRID
names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import kept, write

INSTALL_SECONDS = 300
NGINX = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/incoming;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {listen}:{port}{secure};
    root {folder}/store;
    client_max_body_size 0;
    location / {{ dav_methods PUT; create_full_put_path on; {limits} }}
  }}
}}
"""
BUILDGRID = """\
server:
  - !channel
    address: 127.0.0.1:{port}
    insecure-mode: true
authorization:
  method: none
storages:
  - !disk-storage &storage
    path: {folder}/cas
caches:
  - !lru-action-cache &cache
    storage: *storage
    max-cached-refs: 10000
    allow-updates: true
  - !lru-action-cache &closed
    storage: *storage
    max-cached-refs: 10000
    allow-updates: false
instances:
  - name: main
    services:
      - !action-cache
        cache: *cache
      - !cas
        storage: *storage
      - !bytestream
        storage: *storage
  - name: reader
    services:
      - !action-cache
        cache: *closed
      - !cas
        storage: *storage
      - !bytestream
        storage: *storage
thread-pool-size: 20
"""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, log: Path, listen: str = "127.0.0.1") -> Iterator[None]:
    """Run a server until it is needed no more."""
    with log.open("wb") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as process:
        try:
            _await((listen, port), process, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(place: tuple[str, int], process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(3000):
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(place, 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(log.read_text())


@contextmanager
def nginx(folder: Path, limits: str = "", listen: str = "127.0.0.1", certificate: str = "") -> Iterator[str]:
    """Run nginx over a folder; yield its address. With a `certificate`, PATH.pem and PATH.key, it speaks TLS."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    (folder / "store").mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o755)
    user = "user root;\n" if os.geteuid() == 0 else ""
    secure = f" ssl; ssl_certificate {certificate}.pem; ssl_certificate_key {certificate}.key" if certificate else ""
    conf = write(
        folder / "nginx.conf",
        user + NGINX.format(folder=folder, port=port, limits=limits, listen=listen, secure=secure),
    )
    with running([program, "-c", str(conf), "-p", str(folder)], port, folder / "log", listen):
        yield f"{'https' if certificate else 'http'}://{listen}:{port}"


def _installed() -> str:
    """Return BuildGrid's program, from an environment of its own that is made once and kept in the user's cache."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("BuildGrid needs Python 3.11: TEST_BUILDGRID names its bgd")
    wanted = Path(__file__).with_name("data") / "buildgrid.txt"
    mark = hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]
    folder = kept() / f"buildgrid-{mark}"
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        python, uv = str(folder / "bin/python"), shutil.which("uv")
        install = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
        steps = [[sys.executable, "-m", "venv", str(folder)], [*install, "-q", "-r", str(wanted)]]
        try:
            for step in steps:
                subprocess.run(step, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"BuildGrid cannot be installed here ({error}): TEST_BUILDGRID names its bgd")
        write(folder / "whole", "")
    return str(folder / "bin/bgd")


@contextmanager
def buildgrid(folder: Path) -> Iterator[str]:
    """Run BuildGrid's caches; yield the address of the one that may be written, which has a twin `reader`."""
    pytest.importorskip("grpc", reason="grpcio is not installed (the extra `remote`)")
    program = os.environ.get("TEST_BUILDGRID") or _installed()
    port = free_port()
    conf = write(folder / "bgd.yml", BUILDGRID.format(folder=folder, port=port))
    with running([program, "server", "start", str(conf)], port, folder / "log"):
        yield f"grpc://127.0.0.1:{port}/main"


@contextmanager
def store(kind: str, folder: Path) -> Iterator[str]:
    """Run a store of a kind; yield its address."""
    if kind == "folder":
        yield str(folder / "store")
    elif kind == "http":
        with nginx(folder) as address:
            yield address
    else:
        with buildgrid(folder) as address:
            yield address
