"""Two hosts as namespaces of their own: network, mounts, name and key; each has the checkout at the same path.

One builds, runs the tests and publishes through an nginx that only both can reach; the other one compiles nothing, and
after `warm` only what is edited.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from calling import SCRIPTS, environment, linux, small_workspace
from conftest import needs_cargo, write
from sharing import nginx

pytestmark = [needs_cargo, linux, pytest.mark.slow]
NET = f"10.253.{os.getpid() % 250}"  # another run at the same time has another one
STORE = f"{NET}.1"
LIBRARY = "pub fn one() -> i32 { 1 }\n#[test]\nfn passes() { assert_eq!(one(), 1) }\n"


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
            "XDG_STATE_HOME": str(self.folder.parent / f"{self.folder.name}-key"),
            "DOIT_CARGO_SHARE": self.store,
        }
        called = " ".join([os.path.join(SCRIPTS, "doit-cargo"), *words])
        script = (
            f'hostname {self.folder.name} && mount --bind "{self.folder}" "{self.root}" && cd "{self.root}" && {called}'
        )
        command = ["ip", "netns", "exec", self.name, "unshare", "-m", "-u", "sh", "-c", script]
        done = subprocess.run(command, env=environment(**variables), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("hosts of one's own need root, ip (iproute2) and unshare")
    names = (f"dc-one-{os.getpid()}", f"dc-two-{os.getpid()}")
    (tmp_path / "ws").mkdir()
    with bridged(names), nginx(tmp_path / "nginx", listen=STORE) as address:
        yield (
            Host(names[0], workspace(tmp_path / "one"), tmp_path / "ws", address),
            Host(names[1], workspace(tmp_path / "two"), tmp_path / "ws", address),
        )


def workspace(root: Path) -> Path:
    small_workspace(root)
    write(root / "app/src/bin/app.rs", 'fn main() { println!("right"); }\n')
    write(root / "low/src/lib.rs", LIBRARY)
    subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=root, env=environment(), check=True)
    return root


def test_what_one_host_has_built_and_tested_another_one_gets(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    said = one.run("build", "test", "SHARE=write")
    assert said.count(" shared: ") == 2, said
    assert "snapshot of " in one.run("warm", "build", "SHARE=write")
    said = two.run("build", "test")
    assert "fetched, built by one " in said, said
    assert "fetched, passed on one " in said
    assert "compiled" not in said
    assert subprocess.run([two.folder / "target/release/app"], capture_output=True, check=True).stdout == b"right\n"
    assert "ok build  warm: " in two.run("warm", "build")
    write(two.folder / "low/src/lib.rs", LIBRARY.replace("{ 1 }", "{ 2 - 1 }"))
    assert "compiled 2 of 2 packages (low, app)" in two.run("build", "SHARE=off")
