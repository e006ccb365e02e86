"""Is there what the crates of a plan need: one look for each thing, for all crates that need it together.

Knows the things that are tools or pkg-config libraries; native.py and requirements.py know the others. Each look yields
rows and raises nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module

from doit_cargo.engine.preflight.check_context import MISSING, OK, WARN, WRONG, CheckContext, CheckRow, row_for
from doit_cargo.engine.preflight.requirements.merged import Wanted
from doit_cargo.engine.preflight.requirements.requirement import Need, value_of
from doit_cargo.engine.toolchain.native import pkg_config
from doit_cargo.engine.toolchain.tools import choose_way, packages_for
from doit_cargo.engine.toolchain.versions import satisfies

# Things that no single tool or library stands for: their module and look, loaded when a crate needs one.
LOOKS = {
    "cc": ("requirements.native", "look_at_compiler"),
    "c++": ("requirements.native", "look_at_compiler"),
    "libclang": ("requirements.native", "look_at_libclang"),
    "protoc": ("requirements.native", "look_at_protoc"),
    "python": ("requirements.native", "look_at_python"),
    "libpython": ("requirements.native", "look_at_libpython"),
    "mkl": ("requirements.native", "look_at_mkl"),
    "libtorch": ("requirements.native", "look_at_libtorch"),
    "nvcc": ("cuda.requirements", "look_at_nvcc"),
    "capability": ("cuda.requirements", "look_at_capability"),
    "cudnn": ("cuda.requirements", "look_at_library"),
    "nccl": ("cuda.requirements", "look_at_library"),
}


def _look_of(thing: str) -> Callable[[CheckContext, Wanted], Iterator[CheckRow]]:
    module, name = LOOKS[thing]
    found: Callable[[CheckContext, Wanted], Iterator[CheckRow]] = getattr(
        import_module(f"doit_cargo.engine.preflight.{module}"), name
    )
    return found


def look_at_needs(look: CheckContext) -> Iterator[CheckRow]:
    """Look at everything that the crates of this build need, worst certainty told: the lock alone may be wrong."""
    if look.inferred.problem:
        yield _problem_of_sources(look)
    said: set[str] = set()
    for wanted in _by_thing(look):
        for row in _rows(look, wanted):
            if row.name not in said or row.status != OK:
                yield _as_certain_as_it_is(look, wanted, row)
            said.add(row.name)


def _problem_of_sources(look: CheckContext) -> CheckRow:
    text = look.inferred.problem
    lines = [line.strip() for line in text.splitlines() if line.strip() and line.strip() != "Caused by:"]
    if "--locked" in text:
        what = "Cargo.lock does not fit the manifests, and --locked forbids to mend it"
        fix = "run `cargo check --offline` once without --locked, and commit Cargo.lock"
        return CheckRow("Cargo.lock", WRONG, needed_by=look.plan.target, what=what, fix=fix)
    offline = "--offline" in text or "offline mode" in text
    first = next((line for line in lines if line.startswith("error")), lines[0]).removeprefix("error: ")
    what = first if offline or len(lines) < 2 else f"{first}: {lines[-1]}"
    fix = "run `cargo fetch` online once" if offline else "check the network, the proxy, and [source] in cargo's config"
    return CheckRow(
        "sources", MISSING, needed_by=look.plan.target, what=f"cargo cannot fetch the sources: {what}", fix=fix
    )


def _by_thing(look: CheckContext) -> list[Wanted]:
    """Return each thing with all crates that need it, as far as variables leave the need standing.

    Crates that only warn are looked at apart where they ask for a version that the others do not.
    """
    triple = look.inferred.triple
    found: dict[str, list[Need]] = {}
    for need in look.inferred.needs:
        if need.is_wanted(look.scripts.environ, triple):
            found.setdefault(need.thing, []).append(need)
    return [wanted for thing, needs in found.items() for wanted in _by_weight(thing, needs)]


def _by_weight(thing: str, needs: list[Need]) -> Iterator[Wanted]:
    surely = tuple(need for need in needs if not need.only_warn)
    apart = tuple(need for need in needs if need.only_warn and need.version) if surely else ()
    yield Wanted(thing, tuple(need for need in needs if need not in apart))
    if apart:
        yield Wanted(thing, apart)


def _rows(look: CheckContext, wanted: Wanted) -> Iterator[CheckRow]:
    placed = _placed_row(look, wanted)
    if placed:
        yield placed
    elif wanted.thing in LOOKS:
        yield from _look_of(wanted.thing)(look, wanted)
    elif wanted.modules:
        yield from _libraries(look, wanted)
    elif wanted.thing in look.plan.needs:
        yield from wanted.misfits(look.machine.tool(wanted.thing))  # the plan's own row has told the rest
    else:
        yield row_for(look.scripts, wanted.thing, wanted.specifier, wanted.subject, wanted.needed_by)


def _placed_row(look: CheckContext, wanted: Wanted) -> CheckRow | None:
    """Return the row of a thing whose place a variable tells; what has a look of its own reads that itself."""
    if wanted.thing in LOOKS:
        return None
    for name in wanted.place_variables:
        value = value_of(look.scripts.environ, name, look.inferred.triple)
        if value and (os.path.exists(value) or look.scripts.which(value)):
            return CheckRow(wanted.thing, OK, path=value, needed_by=wanted.needed_by)
        if value:
            what = f"{wanted.subject} looks for {wanted.thing} in {name}={value}, which does not exist"
            return CheckRow(
                wanted.thing, WRONG, "", value, wanted.needed_by, what, f"correct {name}, or unset it", name
            )
    return None


def _libraries(look: CheckContext, wanted: Wanted) -> Iterator[CheckRow]:
    """Look at each pkg-config module that stands for a library."""
    machine, triple = look.scripts, look.inferred.triple
    if not pkg_config.may_cross(machine.environ, triple):
        what = f"{wanted.subject} needs {wanted.thing} for {triple}, and pkg-config is not told to answer for it"
        fix = f"set PKG_CONFIG_SYSROOT_DIR and PKG_CONFIG_PATH to a sysroot of {triple}, and PKG_CONFIG_ALLOW_CROSS=1"
        yield CheckRow(wanted.thing, WRONG, needed_by=wanted.needed_by, what=what, fix=fix)
        return
    modules = [pkg_config.find_module(machine, name, triple) for name in wanted.modules]
    missing = [module for module in modules if not module.version]
    if missing:
        yield _missing_library(look, wanted, missing[0])
        return
    first = modules[0]
    if satisfies(first.version, wanted.specifier):
        yield CheckRow(wanted.thing, OK, first.version, first.path, wanted.needed_by)
        return
    what = f"{wanted.subject} needs {wanted.thing} {wanted.specifier}, found {first.version} at {first.path}"
    fix = f"get a newer one: {_way(look, wanted)}, or point PKG_CONFIG_PATH at it"
    yield CheckRow(wanted.thing, WRONG, first.version, first.path, wanted.needed_by, what, fix)


def _missing_library(look: CheckContext, wanted: Wanted, module: pkg_config.Module) -> CheckRow:
    asked = f"{wanted.thing} {wanted.specifier}".strip()
    if module.hidden_by:
        what = f"{wanted.subject} needs {asked}, but {module.hidden_by} keeps it from asking pkg-config"
        return CheckRow(
            wanted.thing, WRONG, "", "", wanted.needed_by, what, f"unset {module.hidden_by}", module.hidden_by
        )
    what = f"{wanted.subject} needs {asked}, and pkg-config knows no {module.name}.pc"
    if not look.scripts.tool("pkg-config"):
        what = f"{wanted.subject} needs {asked}, and there is no pkg-config to ask for it"
    packages = packages_for(wanted.get, look.machine.package_manager)
    fix = _way(look, wanted) + ", or point PKG_CONFIG_PATH at its .pc file"
    return CheckRow(wanted.thing, MISSING, "", "", wanted.needed_by, what, fix, packages=packages)


def _way(look: CheckContext, wanted: Wanted) -> str:
    """Return how to get a library; dnf and zypper find a package by the pkg-config module that it brings."""
    manager = look.machine.package_manager
    if not wanted.get and manager in ("dnf", "zypper"):
        return choose_way(f"{manager} 'pkgconfig({wanted.modules[0]})'", manager)
    return choose_way(wanted.get, manager) or f"install the package that brings {wanted.modules[0]}.pc"


def _as_certain_as_it_is(look: CheckContext, wanted: Wanted, row: CheckRow) -> CheckRow:
    """Return the row with its true weight: what a build can do without warns; what only the lock says is said so."""
    status = WARN if wanted.only_warn and row.status in (MISSING, WRONG) else row.status
    basis = "by Cargo.lock alone" if look.inferred.why else ""
    reasons = "; ".join(filter(None, [wanted.doubt, basis]))
    what = f"{row.what} ({reasons})" if row.what and reasons else row.what
    return CheckRow(row.name, status, row.version, row.path, row.needed_by, what, row.fix, row.where, row.packages)
