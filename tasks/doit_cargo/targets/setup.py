"""The setup family: one target for each tool of the table of tools that a command can install. Rows by that rule."""

from __future__ import annotations

from doit_cargo.engine.base.model import FREE, Target
from doit_cargo.engine.toolchain.tools import ROWS, ToolRow, choose_way

RULE = "setup_<tool>"
# sccache needs more than being installed: its own family sets it up.
ELSEWHERE = frozenset({"sccache"})
# Whoever builds Rust wants these.
EVERYBODYS = frozenset({"cargo", "rustc", "rustup", "rustfmt", "clippy", "cc", "linker", "git"})
WAYS = frozenset({"pip", "cargo", "rustup", "*", "apt", "brew"})


def name_of(tool: str) -> str:
    """Return the target that sets a tool up.

    >>> name_of("cargo-llvm-cov"), name_of("clang-format"), name_of("c++")
    ('setup_llvm_cov', 'setup_clang_format', 'setup_cxx')
    """
    plain = tool.removeprefix("cargo-").replace("+", "x")
    return "setup_" + "_".join("".join(letter if letter.isalnum() else " " for letter in plain).split())


def _can_be_installed(row: ToolRow) -> bool:
    return row.name not in ELSEWHERE and any(way.split()[0] in WAYS for way in row.get.split(";") if way.strip())


def _by_cargo(tool: str) -> tuple[str, ...]:
    """Return the cargo call that installs a tool where the system has no package of it, nothing for other ways."""
    words = tuple(choose_way(ROWS[tool].get, "").split())
    return words if words[:1] == ("cargo",) else ()


TOOLS = {name_of(row.name): row.name for row in ROWS.values() if _can_be_installed(row)}

TARGETS: tuple[Target, ...] = tuple(
    Target(
        name=name,
        family="setup",
        doc=f"Install {tool}, after asking.",
        action="doit_cargo.actions.installing:setup",
        takes=("YES", "REGISTRY"),
        equivalent_command=_by_cargo(tool),
        pool=FREE,
        rule=RULE,
    )
    for name, tool in TOOLS.items()
)
