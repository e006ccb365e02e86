"""Trying the compiler cache out: alone in a scratch folder, and as this workspace's own builds use it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from doit_cargo.actions.cache.sccache import own_server, place_of, program, storage
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.model import Package, Plan, Target, Workspace
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import sccache

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.sccache import Counts
    from doit_cargo.engine.toolchain.tools import Tool
    from doit_cargo.session import Session

SECONDS = 120
MANIFEST = '[package]\nname = "tried"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n'
SOURCE = "pub fn answer() -> u32 {\n    42\n}\n"
# The folder, below the target directory, of builds that only show whether the cache is used.
ASIDE = "doit-cargo-verify"


def check_sccache(session: Session, _: Any) -> bool:
    """Try sccache with a cache of its own, then ask the configured one whether it answers."""
    found = program(session)
    print(f"sccache   {found.version}  {found.path}")
    with tempfile.TemporaryDirectory(prefix="doit-cargo-sccache-") as scratch:
        first, second = _compile_twice(session, found, scratch)
    works = first.misses > 0 and second.hits > 0
    print(f"works     a crate compiled twice: {first.misses} missed, then {second.hits} hit")
    told = storage(session)
    print(f"cache     {place_of(told)}")
    print(f"builds    {_use(session, None)}")
    if works:
        reporter.done("check_sccache", "sccache works, and its cache answers")
    else:
        reporter.failed("check_sccache", f"no hit in the second compilation ({second})")
    return works


def _compile_twice(session: Session, found: Tool, scratch: str) -> tuple[Counts, Counts]:
    os.makedirs(os.path.join(scratch, "src"))
    for name, text in (("Cargo.toml", MANIFEST), ("src/lib.rs", SOURCE), ("sccache.conf", "")):
        with open(os.path.join(scratch, *name.split("/")), "w", encoding="utf-8") as stream:
            stream.write(text)
    clean = {name: value for name, value in session.environ.items() if not name.startswith(("SCCACHE_", "CARGO_INC"))}
    own = {
        "SCCACHE_DIR": os.path.join(scratch, "cache"),
        "SCCACHE_CONF": os.path.join(scratch, "sccache.conf"),
        "CARGO_TARGET_DIR": os.path.join(scratch, "target"),
        "CARGO_BUILD_BUILD_DIR": os.path.join(scratch, "target"),
        "RUSTC_WRAPPER": found.path,
    }
    with own_server(found, clean, **own) as environ:
        argv = ["cargo", "build", "--release", "--offline"]
        counts = [_compile(argv, scratch, environ, own["CARGO_TARGET_DIR"]) for _ in range(2)]
    return counts[0], counts[1]


def _compile(argv: list[str], cwd: str, environ: Mapping[str, str], target_directory: str) -> Counts:
    """Compile from nothing and return what sccache has counted. Raises `UserError` if cargo fails."""
    shutil.rmtree(target_directory, ignore_errors=True)
    wrapper = environ["RUSTC_WRAPPER"]
    problem = sccache.start(wrapper, environ)
    if problem:
        raise UserError(Problem(f"sccache's server does not start: {problem}"), COULD_NOT_RUN)
    before = sccache.statistics(wrapper, environ)
    done = processes.answer(argv, environ, SECONDS, cwd)
    if not done.in_time:
        raise UserError(Problem(f"no end of {' '.join(argv)} within {SECONDS} s"), COULD_NOT_RUN)
    if not done.ok:
        lines = "\n    ".join(done.err.strip().splitlines()[-5:])
        raise UserError(Problem(f"cargo failed through sccache; it says:\n    {lines}"), COULD_NOT_RUN)
    after = sccache.statistics(wrapper, environ)
    if before is None or after is None:
        raise UserError(Problem("sccache's server does not tell its statistics"), COULD_NOT_RUN)
    return after.counts.since(before.counts)


def verify_sccache(session: Session, values: Values) -> bool:
    """Build one library twice with the environment that builds here have, and look for hits."""
    plan = _plan(session, values)
    for note in plan.notes:
        reporter.note("verify_sccache", note)
    count = sccache.Count(plan.invocation, session.environ)
    if count.problem:
        raise UserError(Problem(f"sccache's server does not start: {count.problem}"), COULD_NOT_RUN)
    wrapper = count.wrapper
    if not wrapper:
        reporter.failed("verify_sccache", f"builds here do not go through sccache: {_why_not(session, values, plan)}")
        return False
    folder = os.path.join(session.workspace.target_directory, ASIDE)
    environ = {**count.environ, "CARGO_TARGET_DIR": folder, "CARGO_BUILD_BUILD_DIR": folder, "RUSTC_WRAPPER": wrapper}
    argv = list(plan.invocation.argv)
    try:
        counts = [_compile(argv, plan.invocation.cwd, environ, folder) for _ in range(2)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _judge(plan.packages[0], counts[1])


def _why_not(session: Session, values: Values, plan: Plan) -> str:
    setting = plan.profile.env.get("RUSTC_WRAPPER")
    return f"RUSTC_WRAPPER of {setting.where}" if setting else _use(session, values.choice("SCCACHE"))


def _judge(package: str, second: Counts) -> bool:
    if second.hits:
        reporter.done(
            "verify_sccache", f"{package} built twice; the second time {str(second).removeprefix('sccache: ')}"
        )
        return True
    reporter.failed("verify_sccache", f"{package} built twice, and the second time brought no hit; {second}")
    return False


def _plan(session: Session, values: Values) -> Plan:
    from doit_cargo.engine.plan import plan

    package = smallest_library(session.workspace)
    if package is None:
        fix = "sccache never caches programs, so there is nothing to gain from it here"
        raise UserError(Problem("no member of this workspace is a Rust library", fix), COULD_NOT_RUN)
    target = Target(
        name="verify_sccache",
        family="cache",
        doc="",
        command="build",
        flags=("--lib",),
        profile=("release",),
        member=package.name,
    )
    made = plan.make(target, values, session.workspace, session.library, session.machine)
    return made._replace(packages=(package.name,))


def smallest_library(workspace: Workspace) -> Package | None:
    """Return the member that is a Rust library and rests on the fewest packages, or None."""
    from doit_cargo.engine.cargo.metadata import closure

    def weight(package: Package) -> tuple[int, str]:
        members = closure(workspace, [package.name])
        return sum(1 + len(workspace.packages[name].dependencies) for name in members), package.name

    libraries = [package for package in workspace.packages.values() if _is_cacheable(package)]
    return min(libraries, key=weight, default=None)


def _is_cacheable(package: Package) -> bool:
    """Tell whether sccache caches a package: never programs, proc macros and libraries for others than Rust."""
    return any(set(each.kinds) & {"lib", "rlib"} for each in package.cargo_targets)


def _use(session: Session, said: bool | None) -> str:
    """Return whether builds use sccache, and what decides that; `said` is SCCACHE of the call."""
    from doit_cargo.engine.plan import settings
    from doit_cargo.engine.plan.compiler_cache import WRAPPER, is_sccache, wrapper_of

    if said is not None:
        return f"SCCACHE={said:d} of this call"
    if session.environ.get("CARGO_INCREMENTAL") == "1":
        return "off, since CARGO_INCREMENTAL=1 is set in the environment"
    if WRAPPER in session.environ:
        return f"RUSTC_WRAPPER={session.environ[WRAPPER]} is set in the environment"
    if settings.read(session.root, session.environ).get("sccache", session.workspace.settings.get("sccache")):
        return "on, by the settings; SCCACHE=0 leaves it out"
    wrapper = wrapper_of(session.root, session.environ)
    if is_sccache(wrapper):
        return "on, by build.rustc-wrapper of cargo's configuration"
    return "off; SCCACHE=1 uses it for one call, doit-cargo setup_sccache for all"
