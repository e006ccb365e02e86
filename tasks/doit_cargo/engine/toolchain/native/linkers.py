"""The program that rustc links with: a variable's, cargo's configuration's, or the target's default.

Knows no plan: what a profile adds to cargo's configuration is for rust_checks.py. Makes no message.
"""

import os

from doit_cargo.engine.base.files import line_of, read_text
from doit_cargo.engine.base.paths import ancestors
from doit_cargo.engine.base.toml.toml import loads, text_at
from doit_cargo.engine.toolchain.machine import BareMachine
from doit_cargo.engine.toolchain.native.visual_studio import program_at, visual_studio_program
from doit_cargo.engine.toolchain.platform import host_triple
from doit_cargo.engine.toolchain.rustup import cargo_home
from doit_cargo.engine.toolchain.tools import ROWS, Tool, ToolRequest


def linker_request(machine: BareMachine, triple: str = "") -> ToolRequest:
    """Return the linker that rustc takes: the variable, cargo's configuration, else the target's default."""
    triple = triple or machine.environ.get("CARGO_BUILD_TARGET") or host_triple(machine.platform)
    variable = f"CARGO_TARGET_{triple.upper().replace('-', '_')}_LINKER"
    asked, where = machine.environ.get(variable, ""), variable
    if not asked:
        asked, where = _configured_linker(machine, triple)
    if asked:
        return ToolRequest(asked, where, machine.which(asked), triple)
    if triple.endswith("-msvc"):
        found = visual_studio_program(machine, "link.exe")
        return ToolRequest("link.exe", "", found.path if found else "", triple)
    # rustc's own defaults (rustc -Z unstable-options --print target-spec-json, key "linker").
    name = "rust-lld" if triple.startswith("wasm") or triple.endswith("-none") else "cc"
    name = f"{triple.split('-')[0]}-w64-mingw32-gcc" if triple.endswith("-windows-gnu") else name
    return ToolRequest(name, "", "rust-lld" if name == "rust-lld" else machine.which(name), triple)


def _configured_linker(machine: BareMachine, triple: str) -> tuple[str, str]:
    """Return ``target.<triple>.linker`` of the nearest cargo configuration, and ``file:line``."""
    directories = [os.path.join(level, ".cargo") for level in ancestors(os.path.realpath(machine.directory))]
    for directory in dict.fromkeys([*directories, os.path.realpath(cargo_home(machine.environ))]):
        # The file without .toml wins where both are (facts/cargo.md, B).
        path = next(
            (path for name in ("config", "config.toml") if os.path.isfile(path := os.path.join(directory, name))), ""
        )
        text = read_text(path) if path else ""
        asked = _linker_in(text, triple) if "linker" in text else ""
        if asked:
            # A relative path counts from the directory that holds .cargo; a bare name is looked up on PATH.
            asked = os.path.join(os.path.dirname(directory), asked) if os.path.dirname(asked) else asked
            return asked, line_of(path, "linker")
    return "", ""


def _linker_in(text: str, triple: str) -> str:
    try:
        table = loads(text).get("target")
    except ValueError:
        return ""  # cargo says what is wrong with its file, with the line
    entry = table.get(triple) if isinstance(table, dict) else None
    return text_at(entry, "linker") if isinstance(entry, dict) else ""


def find_linker(machine: BareMachine) -> Tool | None:
    """Return the linker that rustc takes in this directory, for the target that cargo builds for by default."""
    path = linker_request(machine).path
    if path == "rust-lld":
        return _bundled_linker(machine)
    if os.path.basename(path).lower() == "link.exe":
        return program_at(path, "link.exe")
    return machine.ask_version(ROWS["linker"], path) if path else None


def _bundled_linker(machine: BareMachine) -> Tool | None:
    """Return the rust-lld that comes with rustc. It tells no version unless it plays another linker."""
    rustc = machine.tool("rustc")
    if rustc is None:
        return None
    root = os.path.dirname(os.path.dirname(rustc.real_path))
    name = "rust-lld.exe" if machine.platform == "windows" else "rust-lld"
    path = os.path.join(root, "lib", "rustlib", host_triple(machine.platform), "bin", name)
    return Tool("linker", path) if os.path.isfile(path) else None
