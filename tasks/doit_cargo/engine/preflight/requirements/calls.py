"""What a plan's own call chooses: its subcommand, whether it compiles (tests too), packages, features and target.

Knows cargo's command line and reads nothing. Light: each build that runs loads it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.toolchain.platform import host_triple

# Subcommands of cargo that neither compile nor link, and no subcommand at all.
WITHOUT_COMPILING = frozenset(
    {"", "fmt", "metadata", "tree", "update", "fetch", "vendor", "clean", "deny", "audit", "cache"}
)
# Cargo's options whose value is the next word, before the subcommand (cargo --help).
BEFORE_SUBCOMMAND = frozenset({"--config", "--color", "--manifest-path", "-Z", "-C"})
# Subcommands that compile tests and so dev-dependencies, and the flags that make others do so.
TESTING = frozenset({"test", "bench", "nextest", "llvm-cov", "tarpaulin", "miri"})
TESTING_FLAGS = frozenset({"--all-targets", "--tests", "--benches", "--examples", "--test", "--bench", "--example"})
# Options that choose what is built, which `cargo tree` takes in the same form.
WITH_VALUE = frozenset({"-p", "--package", "--exclude", "-F", "--features", "--target", "--manifest-path", "--config"})
WITHOUT_VALUE = frozenset({"--workspace", "--all", "--all-features", "--no-default-features"})


def compiles(plan: Plan) -> bool:
    """Return whether a plan's command compiles crates: a subcommand of cargo that does, or a program that calls one."""
    argv = plan.invocation.argv
    if not argv:
        return False
    if _is_cargo(argv[0]):
        return subcommand(argv) not in WITHOUT_COMPILING
    return bool(plan.packages)


def _is_cargo(program: str) -> bool:
    return os.path.splitext(os.path.basename(program))[0] == "cargo"


def subcommand(argv: Sequence[str]) -> str:
    """Return cargo's subcommand: the first word that is no option, no option's value and no +toolchain."""
    words = iter(argv[1:])
    for word in words:
        if word in BEFORE_SUBCOMMAND:
            next(words, None)
        elif not word.startswith(("-", "+")):
            return word
    return ""


def with_tests(argv: Sequence[str]) -> bool:
    """Return whether a cargo call compiles tests, examples or benches, and so dev-dependencies."""
    words = list(_before_passed(argv[1:]))
    return bool(TESTING & set(words[:3])) or any(word.partition("=")[0] in TESTING_FLAGS for word in words)


def _before_passed(words: Iterable[str]) -> Iterator[str]:
    """Yield the words up to ``--``: what follows is for the program that cargo runs."""
    for word in words:
        if word == "--":
            return
        yield word


def selection(plan: Plan) -> tuple[str, ...]:
    """Return the arguments by which `cargo tree` looks at what the plan's own command builds."""
    argv = plan.invocation.argv
    if not _is_cargo(argv[0]):
        return _selection_of_fields(plan)
    found: list[str] = []
    words = _before_passed(argv[1:])
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("+") or word in WITHOUT_VALUE:
            found.append(word)
        elif name in WITH_VALUE:
            found += [name, _plain_value(name, value if equals else next(words, ""))]
    return tuple(found)


def _plain_value(option: str, value: str) -> str:
    """Return an option's value as cargo itself knows it: cargo-zigbuild takes a glibc version behind the triple."""
    return re.sub(r"(?<=gnu)\.\d+(\.\d+)*$", "", value) if option == "--target" else value


def _selection_of_fields(plan: Plan) -> tuple[str, ...]:
    """Return the same for a program that calls cargo itself, as maturin does."""
    found = [word for name in plan.packages for word in ("--package", name)]
    found += ["--features", ",".join(plan.features)] if plan.features else []
    return tuple(found)


def triple_of(plan: Plan, environ: Mapping[str, str], workspace: Workspace, platform: str) -> str:
    """Return the triple that a plan builds for."""
    words = selection(plan)
    asked = [value for option, value in pairwise(words) if option == "--target"]
    configured = environ.get("CARGO_BUILD_TARGET") or workspace.build_target
    return next(iter(asked), "") or configured or host_triple(platform)
