"""The scale model of Dynamo for tests, with what it needs: the real protoc (from PyPI) and a real etcd (Debian's)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from calling import Said, call, environment, program

MODEL = Path(__file__).parents[1] / "examples/dynamo"
NEVER_COPIED = shutil.ignore_patterns("target", "include", ".doit-cargo", ".logs", ".testlogs")
HEADER = "lib/bindings/c/include/nvidia/dynamo_llm/llm_engine.h"


@dataclass
class Model:
    """A copy of the model, in a git repository of its own, and the variables that every call gets."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    def tool(self, *words: str, **variables: str) -> Said:
        """Call doit-cargo in the copy."""
        return call(self.root, "doit-cargo", *words, **{**self.variables, **variables})

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that is there once in a file."""
        path = self.root / name
        text = path.read_text()
        assert text.count(old) == 1, name
        path.write_text(text.replace(old, new))

    def git(self, *words: str) -> None:
        """Call git in the copy."""
        identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        subprocess.run(["git", *identity, *words], cwd=self.root, check=True, capture_output=True)


def lay_out(folder: Path, protoc: Path) -> Model:
    """Copy the model into a folder and put protoc on its PATH."""
    root = folder / "dynamo"
    shutil.copytree(MODEL, root, ignore=NEVER_COPIED)
    model = Model(root, {"PATH": f"{protoc.parent}{os.pathsep}{environment()['PATH']}"})
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        model.git(*words)
    return model


def write_protoc(folder: Path) -> Path:
    """Write a `protoc` that is grpcio-tools' own: the real compiler, linked into a Python module."""
    pytest.importorskip("grpc_tools", reason="grpcio-tools brings the real protoc: pip install grpcio-tools")
    return program(folder / "protoc", f'exec "{sys.executable}" -m grpc_tools.protoc "$@"')


def find_etcd(folder: Path) -> str:
    """Return etcd: the one on PATH, else Debian's, unpacked into a folder without installing it."""
    found = shutil.which("etcd")
    if found:
        return found
    if not shutil.which("apt-get"):
        pytest.skip("etcd is not on PATH, and this is no Debian to take its package from")
    for words in (["true"], ["apt-get", "update", "-q"]):
        subprocess.run(words, capture_output=True, check=False, timeout=300)
        download = ["apt-get", "download", "-q", "etcd-server"]
        if subprocess.run(download, cwd=folder, capture_output=True, check=False, timeout=300).returncode == 0:
            break
    packages = list(folder.glob("etcd-server_*.deb"))
    if not packages:
        pytest.skip("etcd is not on PATH, and Debian's package etcd-server cannot be had")
    subprocess.run(["dpkg", "-x", packages[0], folder], check=True)
    return str(folder / "usr/bin/etcd")


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def run_etcd(folder: Path) -> Iterator[str]:
    """Run etcd on loopback; yield its endpoint once it answers."""
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    words = [find_etcd(folder), "--data-dir", str(folder / "data"), "--log-level", "error"]
    words += ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
    words += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
    with (folder / "etcd.log").open("w") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            _wait_for(client, process, folder / "etcd.log")
            yield client
        finally:
            process.terminate()


def _wait_for(client: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, _, port = client.removeprefix("http://").partition(":")
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        with socket.socket() as connection:
            if connection.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"etcd did not answer within 15 s: {log.read_text()}")
