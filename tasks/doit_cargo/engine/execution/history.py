"""What builds took and how large their programs became: one file of JSON lines in the state, one line a build.

Lines are only added, in one write each; a file that grew too large is replaced by its newer half. A line that cannot
be read is passed over, and nothing that goes wrong here ever fails a build. Not on the no-op path: only a build that
ran is recorded.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Mapping
from typing import Any

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.model import Plan
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.execution.run import Outcome
from doit_cargo.engine.state import journal
from doit_cargo.engine.toolchain import platform

FILE = "history.jsonl"
LARGEST = 1_000_000  # bytes: some two thousand builds
GROWTH_PERCENT = 5.0  # a program that grew by more is told; [workspace.metadata.doit-cargo] size-growth changes it
GIT_SECONDS = 5.0

COLD, CACHED, INCREMENTAL, NOTHING = "cold", "cached", "incremental", "nothing"


class Build(NamedTuple):
    """One successful build. `sizes` maps a program, relative to the target directory, to its bytes.

    `work` is "cold" (everything was compiled), "cached" (everything, with a compiler cache in front of rustc),
    "incremental" (a part) or "nothing" (cargo found all of it fresh). `time` is the Unix time of its end.
    """

    target: str
    time: float
    seconds: float
    work: str
    profile: str = ""
    cargo_profile: str = ""
    features: tuple[str, ...] = ()
    triple: str = ""
    units: int = 0
    compiled: int = 0
    platform: str = ""
    cores: int = 0
    commit: str = ""
    sizes: Mapping[str, int] | None = None

    @property
    def programs(self) -> dict[str, tuple[object, ...]]:
        """Return each program's key: only programs of one path and kind are compared with each other."""
        return {path: (path, self.profile, self.features, self.triple) for path in self.sizes or {}}


class Growth(NamedTuple):
    """A program of two sizes, in bytes, and the commit of the earlier one."""

    program: str
    before: int
    after: int
    commit: str

    @property
    def percent(self) -> float:
        return 100.0 * (self.after - self.before) / self.before if self.before else 0.0


def read(state: str) -> list[Build]:
    """Return all builds on record, oldest first; unreadable lines and a missing file are nothing."""
    return list(journal.read(os.path.join(state, FILE), Build._fields, lambda found: _typed(Build(**found))))


def _typed(build: Build) -> Build:
    """Return a build with the types that JSON has not; raises for values that are none of a build."""
    data = build._asdict()
    numbers = {name: float(data[name]) for name in ("time", "seconds")}
    sizes = {str(path): int(size) for path, size in (data["sizes"] or {}).items()}
    return Build(**{**data, **numbers, "features": tuple(map(str, data["features"])), "sizes": sizes})


def append(state: str, build: Build) -> None:
    """Add a build. Raises OSError."""
    journal.add(os.path.join(state, FILE), build._asdict(), LARGEST)


def record(state: str, plan: Plan, outcome: Outcome, target_directory: str, environ: Mapping[str, str]) -> Build | None:
    """Record a successful build; return it, or None where that could not be done. Never raises."""
    try:
        build = _build_of(plan, outcome, target_directory, environ)
        append(state, build)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return build


def _build_of(plan: Plan, outcome: Outcome, target_directory: str, environ: Mapping[str, str]) -> Build:
    units = outcome.report.units
    there = [path for path in plan.outputs if os.path.exists(path)]
    return Build(
        target=plan.target,
        time=round(time.time(), 1),
        seconds=round(outcome.seconds, 2),
        work=_work(outcome, _has_cache(plan, environ)),
        profile=plan.profile.name,
        cargo_profile=plan.cargo_profile,
        features=plan.features,
        triple=plan.invocation.target,
        units=len(units),
        compiled=sum(not unit.fresh for unit in units),
        platform=f"{platform.operating_system()}-{platform.architecture()}",
        cores=platform.usable_cores(),
        commit=_commit(plan.invocation.cwd),
        sizes={os.path.relpath(path, target_directory).replace(os.sep, "/"): os.path.getsize(path) for path in there},
    )


def _work(outcome: Outcome, cached: bool) -> str:
    fresh = [unit.fresh for unit in outcome.report.units]
    if all(fresh):
        return NOTHING
    if any(fresh):
        return INCREMENTAL
    return CACHED if cached else COLD


def _has_cache(plan: Plan, environ: Mapping[str, str]) -> bool:
    """Tell whether a compiler cache stands before rustc, as far as the environment says."""
    wrappers = [{**environ, **plan.invocation.env}.get(name) for name in ("RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER")]
    wrapper = next((each for each in wrappers if each is not None), "")
    return "cache" in os.path.basename(wrapper)


def _commit(root: str) -> str:
    """Return the short name of the commit at hand, "" outside of git."""
    done = processes.answer([*processes.GIT, "rev-parse", "--short=12", "HEAD"], os.environ, GIT_SECONDS, root)
    return done.out.strip() if done.ok else ""


def growths(builds: Iterable[Build], now: Build) -> list[Growth]:
    """Return each program of a build beside its size in the latest earlier build of the same kind."""
    earlier = [build for build in builds if build != now and build.time <= now.time]
    found = []
    for path, key in now.programs.items():
        last = next((one for one in reversed(earlier) if one.programs.get(path) == key), None)
        if last and last.sizes and now.sizes:
            found.append(Growth(path, last.sizes[path], now.sizes[path], last.commit))
    return found


def too_large(growth: Growth, percent: float = GROWTH_PERCENT) -> bool:
    """Tell whether a program grew by more than so many percent."""
    return growth.percent > percent


def allowed_growth(settings: Mapping[str, object]) -> float:
    """Return the growth in percent that is not told, as ``[workspace.metadata.doit-cargo] size-growth`` has it."""
    value: Any = settings.get("size-growth")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else GROWTH_PERCENT
