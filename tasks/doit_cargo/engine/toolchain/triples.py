"""Target triples: which exist, whose standard library is installed, and what can build for them from here.

Knows no plan. Builds with a plain cargo need a linker for the triple; cargo-zigbuild and cargo-xwin bring one.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from doit_cargo.engine.toolchain.machine import BareMachine
from doit_cargo.engine.toolchain.native.linkers import linker_request
from doit_cargo.engine.toolchain.platform import host_triple

if TYPE_CHECKING:
    from doit_cargo.engine.toolchain import Machine

CARGO, ZIGBUILD, XWIN = "cargo", "cargo-zigbuild", "cargo-xwin"
# The subcommand that builds, by who does it.
COMMANDS = {CARGO: "build", ZIGBUILD: "zigbuild", XWIN: "xwin build"}
# What rustc builds for where nobody says: "generic", but for these (rustc --print target-spec-json, key "cpu").
DEFAULT_CPUS = {
    "aarch64-apple-darwin": "apple-m1",
    "x86_64-apple-darwin": "penryn",
    "i686": "pentium4",
    "riscv64gc": "generic-rv64",
    "x86_64": "x86-64",
}


class CrossStrategy:
    """How a triple is built from here: through which program, with which linker ("" = its own or the configured)."""

    __slots__ = ("linker", "through")

    def __init__(self, through: str, linker: str = "") -> None:
        self.through = through
        self.linker = linker

    @property
    def command(self) -> str:
        return COMMANDS[self.through]


def plain(triple: str) -> str:
    """Return a triple without the glibc version that cargo-zigbuild takes behind it.

    >>> plain("x86_64-unknown-linux-gnu.2.17")
    'x86_64-unknown-linux-gnu'
    """
    return re.sub(r"(-gnu\w*)\.\d+(\.\d+)*$", r"\1", triple)


def default_cpu(triple: str) -> str:
    """Return the CPU that rustc assumes for a triple."""
    name = plain(triple)
    return DEFAULT_CPUS.get(name) or DEFAULT_CPUS.get(name.partition("-")[0], "generic")


def host_of(machine: BareMachine) -> str:
    """Return the triple that rustc itself runs on."""
    rustc = machine.tool("rustc")
    found = re.search(r"^host: (\S+)", machine.run(rustc.path, "-vV"), re.MULTILINE) if rustc else None
    return found[1] if found else host_triple(machine.platform)


def known(machine: BareMachine) -> tuple[str, ...]:
    """Return the triples that rustc can compile for; none if it does not say."""
    rustc = machine.tool("rustc")
    return tuple(machine.run(rustc.path, "--print", "target-list").split()) if rustc else ()


def has_std(machine: BareMachine, triple: str) -> bool:
    """Tell whether the standard library of a triple (`core` at least) is part of the toolchain in use."""
    rustc = machine.tool("rustc")
    if rustc is None:
        return False
    root = os.path.dirname(os.path.dirname(rustc.real_path))
    folder = os.path.join(root, "lib", "rustlib", plain(triple), "lib")
    try:
        return any(name.startswith("libcore-") for name in os.listdir(folder))
    except OSError:
        return False


def how_to_add(machine: Machine, triple: str) -> str:
    """Return what installs the standard library of a triple."""
    from doit_cargo.engine.toolchain.rustup import is_proxy

    rustc = machine.tool("rustc")
    if rustc is None or not is_proxy(rustc.path):
        return f"install rust-std for {plain(triple)}"
    toolchain = machine.toolchain()
    of_toolchain = f" --toolchain {toolchain.name}" if toolchain.pinned else ""
    return f"rustup target add {plain(triple)}{of_toolchain}"


def way_to_build(machine: BareMachine, triple: str, host: str) -> CrossStrategy:
    """Return how to build for a triple; the program that it names may be missing."""
    if triple != plain(triple):
        return CrossStrategy(ZIGBUILD)
    if triple == host or linker_request(machine, triple).where or _links_by_itself(machine, triple, host):
        return CrossStrategy(CARGO)
    if triple.endswith("-windows-msvc"):
        return CrossStrategy(XWIN)
    gcc = _cross_compiler(machine, triple)
    return CrossStrategy(CARGO, gcc) if gcc and not machine.has(ZIGBUILD) else CrossStrategy(ZIGBUILD)


def _links_by_itself(machine: BareMachine, triple: str, host: str) -> bool:
    """Tell whether rustc's own linker, or the host's, can link for a triple."""
    if triple.startswith("wasm") or "-none" in triple:
        return True
    if triple.endswith("-windows-gnu"):
        return bool(linker_request(machine, triple).path)
    if machine.platform == "macos" and "-apple-" in triple:
        return True
    if machine.platform == "windows":
        return triple.endswith("-windows-msvc")
    return triple.partition("-")[2] == host.partition("-")[2] and {triple[:4], host[:4]} == {"i686", "x86_"}


def _cross_compiler(machine: BareMachine, triple: str) -> str:
    """Return a GCC for the triple as distributions name it: aarch64-linux-gnu-gcc."""
    parts = triple.split("-")
    return machine.which(f"{parts[0]}-{'-'.join(parts[-2:])}-gcc") if "linux" in triple else ""
