"""Two hosts as namespaces of their own: network, mounts, name and key; each has the checkout at the same path.

One builds the scale model, runs tests and publishes through an nginx that only both can reach; the other one compiles
nothing, and after `warm` only what is edited. Where nvcc is, the programs are those with CUDA kernels.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from calling import SCRIPTS, environment, linux
from conftest import needs_cargo
from doit_cargo.engine.toolchain import Machine
from sharing import nginx

pytestmark = [needs_cargo, linux, pytest.mark.slow]
NET = f"10.253.{os.getpid() % 250}"  # another run at the same time has another one
STORE = f"{NET}.1"
MODEL = Path(__file__).parents[1] / "examples/mistralrs"
BUILD = "build_cuda_full" if Machine().tool("nvcc") else "build"
TESTS = ("test", "PACKAGE=mistralrs-mcp")
PROGRAM, LEAF = "target/release/mistralrs-server", "mistralrs-server-core/src/lib.rs"


def ip(*words: str) -> bool:
    """Run `ip`; tell whether it did what it was told."""
    return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0


@contextmanager
def bridged(names: tuple[str, ...]) -> Iterator[None]:
    """Make network namespaces whose only way out is a bridge, on which the store answers."""
    bridge = f"dcb{os.getpid()}"[:15]
    made = ip("link", "add", bridge, "type", "bridge") and ip("addr", "add", f"{STORE}/24", "dev", bridge)
    try:
        made = made and ip("link", "set", bridge, "up")
        for number, name in enumerate(names, 2):
            here, there = f"dch{number}{os.getpid()}"[:15], f"dct{number}{os.getpid()}"[:15]
            made = made and ip("netns", "add", name) and ip("link", "add", here, "type", "veth", "peer", "name", there)
            made = made and ip("link", "set", here, "master", bridge, "up") and ip("link", "set", there, "netns", name)
            made = made and ip("-n", name, "addr", "add", f"{NET}.{number}/24", "dev", there)
            made = made and ip("-n", name, "link", "set", there, "up") and ip("-n", name, "link", "set", "lo", "up")
        if not made:
            pytest.skip("network namespaces cannot be made here: that needs root, iproute2 and a kernel that allows it")
        yield
    finally:
        for name in names:
            ip("netns", "del", name)
        ip("link", "del", bridge)


class Host:
    """A machine: its folder is seen at the common path `root`, and nothing else of it by the other one."""

    def __init__(self, name: str, folder: Path, root: Path, store: str) -> None:
        self.name, self.folder, self.root, self.store = name, folder, root, store

    def run(self, *words: str) -> str:
        variables = {
            "XDG_STATE_HOME": f"{self.root}-key",
            "DOIT_CARGO_SHARE": self.store,
            # Tests that start a shell take all variables; of some nobody knows whether they are secret.
            "DOIT_CARGO_SHARE_SECRET": "of the team",
            "CUDA_COMPUTE_CAP": "80",
        }
        called = " ".join([os.path.join(SCRIPTS, "doit-cargo"), *words])
        own = "".join(f'mount --bind "{self.folder}{part}" "{self.root}{part}" && ' for part in ("", "-key"))
        script = f'hostname {self.folder.name} && {own} cd "{self.root}" && {called}'
        command = ["ip", "netns", "exec", self.name, "unshare", "-m", "-u", "sh", "-c", script]
        done = subprocess.run(command, env=environment(**variables), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("hosts of one's own need root, ip (iproute2) and unshare")
    names = (f"dc-one-{os.getpid()}", f"dc-two-{os.getpid()}")
    for name in ("ws", "ws-key", "one-key", "two-key"):
        (tmp_path / name).mkdir()
    with bridged(names), nginx(tmp_path / "nginx", listen=STORE) as address:
        yield (
            Host(names[0], checkout(tmp_path / "one"), tmp_path / "ws", address),
            Host(names[1], checkout(tmp_path / "two"), tmp_path / "ws", address),
        )


def checkout(root: Path) -> Path:
    """Return the scale model as a fresh clone."""
    shutil.copytree(MODEL, root, ignore=shutil.ignore_patterns("target", ".logs", ".testlogs", ".doit-cargo"))
    return root


def test_what_one_host_has_built_and_tested_another_one_gets(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    for words in ((BUILD,), TESTS):
        assert f".. {words[0]}  shared: " in (said := one.run(*words, "SHARE=write")), said
    assert "snapshot of " in one.run("warm", BUILD, "SHARE=write")
    said = two.run(BUILD) + two.run(*TESTS)
    assert "fetched, built by one " in said, said
    assert "fetched, passed on one " in said
    assert "compiled" not in said
    answers = [
        subprocess.run([host.folder / PROGRAM, "--help"], capture_output=True, check=False).stdout for host in hosts
    ]
    assert answers[0] == answers[1] != b""
    assert f"ok {BUILD}  warm: " in two.run("warm", BUILD)
    with (two.folder / LEAF).open("a") as stream:
        stream.write("\n// edited\n")
    assert "compiled 2 of 9 packages (mistralrs-server-core, mistralrs-server)" in two.run(BUILD, "SHARE=off")
