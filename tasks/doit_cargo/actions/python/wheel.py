"""build_python: each Python crate through maturin, for one interpreter, with the features that this computer can build.

The wheel is made aside and moved into place when it is whole. Cargo's part of the freshness is cargo's: what maturin's
cargo read is taken from its dep-info, and content under an old time is shown to it as for any other build.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from weakref import WeakSet

from doit_cargo.actions import finished, log_path, run_tool
from doit_cargo.actions.python import crates
from doit_cargo.actions.python.crates import PythonCrate
from doit_cargo.actions.python.inputs import late_inputs, modes_of_packed, packaged
from doit_cargo.actions.python.observing import rows_of
from doit_cargo.actions.python.plans import (
    NAME,
    NO_PYTHON,
    WheelBuild,
    builds_of,
    interpreter,
    known,
    require_version,
    tell_no_python,
)
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Absent, Problem, UserError
from doit_cargo.engine.base.model import ActionInputs
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.cargo import pyo3
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import build_places, sccache
from doit_cargo.engine.plan import declared
from doit_cargo.engine.state.dir_listing import MODULE

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.evidence.invalidation import Ledger
    from doit_cargo.engine.execution.run import Outcome
    from doit_cargo.session import Session

WHEELS = "wheels"
LOCK_SECONDS = 600  # the registry's index may have to be fetched
_WITH_LOCKS: WeakSet[Session] = WeakSet()
# Variables that PyO3, maturin and wheels read, besides cargo's own.
VARIABLES = (
    *("VIRTUAL_ENV", "CONDA_PREFIX", pyo3.PYTHON, *pyo3.DECIDED, pyo3.EXTENSION, "PYO3_CROSS_PYTHON_VERSION"),
    *("PYO3_ENVIRONMENT_SIGNATURE", "PYO3_USE_ABI3_FORWARD_COMPATIBILITY"),
    *("MATURIN_STRIP", "MATURIN_PGO", "MACOSX_DEPLOYMENT_TARGET", "SOURCE_DATE_EPOCH", "_PYTHON_HOST_PLATFORM"),
    *("CUDA_PATH", "CUDA_HOME", "CUDA_ROOT", "NVCC", "NVCC_CCBIN", "CUDA_COMPUTE_CAP", "CUDA_NVCC_FLAGS"),
)


def wheel_folder(session: Session) -> str:
    """Return where all wheels go, of members and satellites alike."""
    return os.path.join(session.workspace.target_directory, WHEELS)


def build_python(session: Session, values: Values) -> bool | None:
    """Build the wheel of each crate; None if there is no Python."""
    python = interpreter(session, values)
    if python is None:
        tell_no_python(session)
        return None
    builds = builds_of(session, values, python)
    _require(session, builds)
    done = [_build(session, build) for build in builds]
    return all(done)


def show(session: Session, values: Values) -> list[Plan]:
    """Return the call of maturin for each crate."""
    python = interpreter(session, values)
    if python is None:
        raise Absent(Problem(NO_PYTHON))
    maturin = session.machine.tool("maturin")
    program = maturin.path if maturin else "maturin"
    calls = [(build, tuple(build.argv(program))) for build in builds_of(session, values, python)]
    return [one.plan._replace(invocation=one.plan.invocation._replace(argv=argv), outputs=()) for one, argv in calls]


def _require(session: Session, builds: Iterable[WheelBuild]) -> None:
    """Raise all that would stop one of the builds, before the first one starts."""
    from doit_cargo.engine.preflight import preflight

    for build in builds:
        require_version(build.crate, build.python)
        preflight.require(build.plan, session.machine, session.root, known(session, build.plan, build.crate))


def _build(session: Session, build: WheelBuild) -> bool:
    for note in build.plan.notes:
        reporter.note(NAME, note)
    before = pyo3.told(build.profile_folder)
    outcome = _run(session, build)
    try:
        wheel = _move(session, build) if outcome.ok else ""
    finally:
        shutil.rmtree(build.aside, ignore_errors=True)
    if outcome.ok and not wheel:
        raise UserError(Problem("maturin ended well, but left no wheel", "see its log"), code=1)
    changed = pyo3.difference(before, pyo3.told(build.profile_folder))
    if changed:
        reporter.note(NAME, f"PyO3 was compiled again, since it was told something else than before: {changed}")
    return finished(session, NAME, outcome, _work(session, build, wheel), _log(session, build.crate))


def _work(session: Session, build: WheelBuild, wheel: str) -> str:
    if not wheel:
        return build.crate.name
    features = ", ".join(build.plan.features) or "no features"
    size = f"{os.path.getsize(wheel) / 1e3:.0f} kB"
    return f"{reporter.relative(wheel, session.root)} {size}, {features}, with Python {build.python.version}"


def _run(session: Session, build: WheelBuild) -> Outcome:
    from doit_cargo.engine.execution.evidence.invalidation import Ledger

    workspace = build_places.of(build.plan, build.crate.workspace, session.environ)
    with build_places.held(workspace.built_in):
        return _run_held(session, build, Ledger(workspace.kept_in, workspace.target_directory))


def _run_held(session: Session, build: WheelBuild, ledger: Ledger) -> Outcome:
    from doit_cargo.actions.python import sharing
    from doit_cargo.actions.python.observing import WheelWatch

    maturin, seen = session.machine.tool("maturin"), WheelWatch(session, build, ledger)
    stale = seen.stale()
    reporter.seen(NAME, stale, session.root)
    snapshot, healing = ledger.begin({}, {}, keys=[one.key for one in stale])
    reporter.healed(NAME, healing, session.root)
    count = sccache.Count(build.plan.invocation, session.environ)
    if count.problem:
        reporter.note(NAME, f"sccache does not start, so this call goes without it: {count.problem}")
    step = count.invocation
    path = os.pathsep.join([*step.path_prepend, session.environ.get("PATH", "")])
    argv = build.argv(maturin.path if maturin else "maturin")
    env = {**step.env, "PATH": path}
    place, log = build.crate.directory, _log(session, build.crate)
    with seen.observing() as observation:
        outcome = run_tool(session, NAME, argv, cwd=place, env=env, unset=step.unset, log=log, observation=observation)
    sharing.note(session, build, seen)
    counts = count.taken()
    if counts:
        reporter.note(NAME, str(counts))
    if outcome.ok:
        ledger.learn_files(late_inputs(session, build).files, snapshot)
    ledger.finish()
    return outcome


def _log(session: Session, crate: PythonCrate) -> str:
    """Return the log of a crate's build; a single Python crate has the target's own."""
    return log_path(session, f"{NAME}_{crate.name}" if len(crates.all_of(session)) > 1 else NAME)


def _move(session: Session, build: WheelBuild) -> str:
    """Put the wheel into its place, whole; return its path. The folder holds nothing but what maturin has just made."""
    made = sorted(name for name in os.listdir(build.aside) if name.endswith(".whl"))
    if not made:
        return ""
    place = os.path.join(wheel_folder(session), made[0])
    os.makedirs(os.path.dirname(place), exist_ok=True)
    atomic.put(os.path.join(build.aside, made[0]), place)
    return place


def watch_build_python(session: Session, values: Values) -> ActionInputs:
    """Return all that the wheels rest on; once they are built, what cargo tells of that too."""
    python = interpreter(session, values)
    if python is None:
        return ActionInputs()
    builds = builds_of(session, values, python)
    if session not in _WITH_LOCKS:
        _WITH_LOCKS.add(session)
        for build in builds:
            _settle_lock(session, build)
    found = [_watched(session, build) for build in builds]
    return ActionInputs(
        seen=tuple(row for build in builds for row in (*rows_of(session, build), *modes_of_packed(build))),
        files=tuple(dict.fromkeys(path for each in found for path in each.files)),
        folders={folder: rule for each in found for folder, rule in each.folders.items()},
        variables=tuple(dict.fromkeys([*VARIABLES, *(name for each in found for name in each.variables)])),
        tools=tuple(dict.fromkeys(["maturin", "python", "nvcc", *(name for each in found for name in each.tools)])),
        outputs=tuple(wheel for build in builds if (wheel := newest_wheel(session, build.crate))),
        packages=tuple(dict.fromkeys(name for each in found for name in each.packages)),
        always_stale_reason=next(filter(None, (each.always_stale_reason for each in found)), ""),
    )


def _settle_lock(session: Session, build: WheelBuild) -> None:
    """Have cargo write the lock before it is recorded: a build begins with that where one is missing or old.

    What stands against it, maturin will tell.
    """
    locked = ["--locked"] if "--locked" in build.plan.invocation.argv else []
    argv = ["cargo", "metadata", "--format-version", "1", "--manifest-path", build.crate.manifest, *locked]
    processes.answer(argv, session.environ, LOCK_SECONDS, build.crate.directory)


def _watched(session: Session, build: WheelBuild) -> ActionInputs:
    from doit_cargo.engine.toolchain import pin_candidates

    plan, facts = build.plan, build.crate.workspace
    packages = crates.local_packages(session, build.crate)
    late, named, inputs = late_inputs(session, build), packaged(build), plan.profile.inputs
    given = declared.of(facts, inputs.files)
    folders: dict[str, tuple[str, ...]] = dict.fromkeys(packages, (MODULE, *facts.built_in))
    folders.setdefault(build.crate.directory, (MODULE, *facts.built_in))
    folders.update(dict.fromkeys(plan.folders, ("watched",)))
    folders.update({**named.folders, **given.folders})
    files = [*plan.files, os.path.join(facts.root, "Cargo.lock"), facts.manifest, build.python.base]
    files += [*named.files, *given.files]
    return ActionInputs(
        files=(*files, *pin_candidates(facts.root, session.environ), *late.files),
        folders={**late.folders, **folders},
        variables=(*late.variables, *plan.profile.env, *inputs.env),
        tools=tuple(plan.needs),
        packages=tuple(packages.values()),
        always_stale_reason=late.always_stale_reason,
    )


def newest_wheel(session: Session, crate: PythonCrate) -> str:
    """Return the wheel of a crate that was made last, "" if there is none."""
    found = list(_wheels_of(wheel_folder(session), crate.distribution))
    return max(found, key=os.path.getmtime, default="")


def _wheels_of(folder: str, distribution: str) -> Iterator[str]:
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if name.endswith(".whl") and name.partition("-")[0].lower() == distribution:
            yield os.path.join(folder, name)


def wheel_of(session: Session, crate: PythonCrate) -> str:
    """Return the wheel that build_python's last success has left for a crate. Raises `UserError` if it is not there."""
    from doit_cargo.engine.state import receipts

    receipt: Mapping[str, object] = receipts.load_receipt(session.state, session.key(NAME)) or {}
    outputs = receipt.get("outputs")
    known = [str(path) for path in outputs] if isinstance(outputs, tuple | list) else []
    mine = [path for path in known if os.path.basename(path).partition("-")[0].lower() == crate.distribution]
    found = next(filter(os.path.exists, mine), "") or newest_wheel(session, crate)
    if not found:
        raise UserError(Problem(f"there is no wheel of {crate.name}", "doit-cargo build_python"), COULD_NOT_RUN)
    return found
