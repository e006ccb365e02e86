"""Is Rust ready for a plan: cargo, rustc, the pinned toolchain, the members' `rust-version` and the linker.

Knows no other tool and no feature. Each look yields rows and raises nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise

from doit_cargo.engine.base.errors import nearest
from doit_cargo.engine.base.files import line_of
from doit_cargo.engine.base.model import Package, Plan, Workspace
from doit_cargo.engine.cargo.config.layers import ConfigLayers
from doit_cargo.engine.preflight.check_context import MISSING, OK, WARN, WRONG, CheckContext, CheckRow, tool_row
from doit_cargo.engine.preflight.requirements.calls import WITHOUT_COMPILING
from doit_cargo.engine.toolchain import Machine, triples
from doit_cargo.engine.toolchain.native.linkers import linker_request
from doit_cargo.engine.toolchain.rustup import Toolchain, auto_install, is_proxy
from doit_cargo.engine.toolchain.tools import ROWS, ToolRequest, how_to_get
from doit_cargo.engine.toolchain.versions import satisfies


def look_at_rust(look: CheckContext) -> Iterator[CheckRow]:
    """Look at cargo, rustc and the toolchain behind them."""
    if not look.runs_cargo:
        return
    proxies = [path for path in map(look.machine.locate, (ROWS["cargo"], ROWS["rustc"])) if path and is_proxy(path)]
    toolchain = look.machine.toolchain() if proxies else None
    if toolchain is not None and not toolchain.installed:
        yield _absent_toolchain(look, toolchain)
        return
    for name in ("cargo", "rustc"):
        yield tool_row(look, name, "", f"cargo {look.command}".strip())
    yield from _rust_version(look)


def _absent_toolchain(look: CheckContext, toolchain: Toolchain) -> CheckRow:
    if toolchain.problem:
        what = f"rustup cannot choose a toolchain: {toolchain.problem}"
        fix = "repair the file" if toolchain.pinned else "rustup default stable"
        return CheckRow(
            "toolchain", WRONG, what=what, fix=fix, where=look.place(toolchain.where), needed_by=look.plan.target
        )
    # A toolchain given by its path comes from no channel: nothing can fetch it.
    local = os.path.isabs(toolchain.name)
    kind = "pinned toolchain" if toolchain.pinned else "default toolchain"
    begun = os.path.isdir(toolchain.directory)
    what = f"the {kind} {toolchain.name} {'has no rustc: it is half installed' if begun else 'is not installed'}"
    fix = "" if local else f"rustup toolchain install {toolchain.name}, or "
    fix += "set RUSTUP_TOOLCHAIN to an installed one (rustup toolchain list)"
    status = WARN if auto_install(look.machine.environ) and not local and not begun else MISSING
    what += "; rustup will fetch it first" if status == WARN else ""
    return CheckRow(
        "toolchain",
        status,
        path=toolchain.directory,
        needed_by=look.plan.target,
        what=what,
        fix=fix,
        where=look.place(toolchain.where),
    )


def _rust_version(look: CheckContext) -> Iterator[CheckRow]:
    """Look whether rustc is new enough for the packages that this plan certainly builds."""
    rustc = look.machine.tool("rustc")
    if (
        rustc is None
        or not rustc.version
        or look.workspace is None
        or "--ignore-rust-version" in look.plan.invocation.argv
    ):
        return
    too_new: dict[str, list[Package]] = {}
    for package in _certain_packages(look.plan, look.workspace):
        if package.rust_version and not satisfies(rustc.version, f">={package.rust_version}"):
            too_new.setdefault(package.rust_version, []).append(package)
    for version, packages in too_new.items():  # one line for all members that share a rust-version
        first, more = packages[0], len(packages) - 1
        names = f"{first.name} and {more} more need" if more else f"{first.name} needs"
        what = f"{names} rustc {version} or newer, found {rustc.version} at {rustc.real_path}"
        where = line_of(first.manifest, "rust-version")
        fix = _newer_rust(look.machine, version)
        yield CheckRow("rust-version", WRONG, rustc.version, rustc.real_path, first.name, what, fix, where)


def _newer_rust(machine: Machine, version: str) -> str:
    """Return how to get a newer Rust: a pinned toolchain stays old however often rustup updates."""
    full = version if version.count(".") > 1 else f"{version}.0"
    if not is_proxy(machine.locate(ROWS["rustc"])):
        return f"install Rust {version} or newer: {how_to_get('rustc', machine.package_manager)}"
    toolchain = machine.toolchain()
    if toolchain.pinned:
        return f"rustup toolchain install {full}, and set it in {toolchain.where}"
    return f"rustup update, or: rustup toolchain install {full}, and call doit-cargo +{full} ..."


def _certain_packages(plan: Plan, workspace: Workspace) -> list[Package]:
    """Return the plan's packages and their path dependencies, but those that a feature or a test run may leave out.

    Cargo compares the versions of what it compiles only (cargo's ops/cargo_compile, `unit_graph`).
    """
    by_directory = {package.directory: package for package in workspace.packages.values()}
    names = plan.packages or workspace.default_members
    pending = [workspace.packages[name] for name in names if name in workspace.packages]
    found: dict[str, Package] = {}
    while pending:
        package = pending.pop()
        if package.name not in found:
            found[package.name] = package
            needed = (edge for edge in package.dependencies if not edge.optional and edge.kind != "dev")
            pending += [by_directory[edge.path] for edge in needed if edge.path in by_directory]
    return sorted(found.values(), key=lambda package: package.name)


def look_at_target(look: CheckContext) -> Iterator[CheckRow]:
    """Look whether the toolchain knows the triple of this call and has its standard library, or is to build that."""
    argv = look.plan.invocation.argv
    triple = dict(pairwise(argv)).get("--target", "")
    if not triple or triple.endswith(".json") or look.command in WITHOUT_COMPILING or _builds_std(look):
        return
    where = look.plan.profile.cargo["target"].where if "target" in look.plan.profile.cargo else ""
    name, known = triples.plain(triple), triples.known(look.machine)
    if known and name not in known:
        guess = nearest(name, known)
        fix = f"did you mean {guess}? " if guess else ""
        fix += "rustc --print target-list shows all"
        yield CheckRow("target", WRONG, what=f"rustc knows no target {name}", fix=fix, where=where)
    elif known and not triples.has_std(look.machine, triple):
        what = f"the standard library of {name} is not installed"
        yield CheckRow("target", MISSING, what=what, fix=triples.how_to_add(look.machine, triple), where=where)


def _builds_std(look: CheckContext) -> bool:
    """Tell whether cargo compiles the standard library itself (-Zbuild-std)."""
    if any("build-std" in word for word in look.plan.invocation.argv) or look.workspace is None:
        return True
    settings = ConfigLayers(look.workspace.root, look.machine.environ)
    return settings.first(("unstable", "build-std")) is not None


def look_at_linker(look: CheckContext) -> Iterator[CheckRow]:
    """Look at the program that rustc links with: even `cargo check` links build scripts and proc macros."""
    if not look.runs_cargo or look.command in WITHOUT_COMPILING or not look.command:
        return
    request = _linker_request(look)
    if request.path:
        yield CheckRow("linker", OK, path=request.path, needed_by="rustc")
        return
    what = f"rustc needs the linker {request.asked}, which is not on PATH"
    if request.where:
        what = f"rustc is told to link with {request.asked}, which does not exist or is not on PATH"
    name = "cc" if request.asked.endswith("gcc") else os.path.basename(request.asked)
    fix = how_to_get(name, look.machine.package_manager)
    yield CheckRow("linker", MISSING, needed_by="rustc", what=what, fix=fix, where=request.where)


def _linker_request(look: CheckContext) -> ToolRequest:
    """Return rustc's linker; the profile's own cargo configuration goes before the workspace's."""
    request = linker_request(look.machine, look.plan.profile.triple)
    setting = look.plan.profile.config.get(f"target.{request.triple}.linker")
    if setting is None or request.where.startswith("CARGO_TARGET_"):
        return request
    asked = str(setting.value)
    return ToolRequest(asked, setting.where, look.machine.which(asked), request.triple)
