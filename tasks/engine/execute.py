"""One target from "is there anything to do?" to its receipt: the steps of a run, in one visible order.

Knows the other engine modules and nothing of doit or of the command line.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from doit_cargo import __version__
from doit_cargo.engine import (
    before_run,
    blind,
    causes,
    footprint,
    history,
    pyo3,
    receipts,
    recorder,
    run,
    say,
    sccache,
    stamps,
)
from doit_cargo.engine.cargo_places import path_dependencies
from doit_cargo.engine.errors import Problem, UserError
from doit_cargo.engine.inputs import Inputs, gather
from doit_cargo.engine.ledger import Healing, Ledger, Root
from doit_cargo.engine.model import Plan, Workspace
from doit_cargo.engine.request import Request, machine_of
from doit_cargo.engine.run import Outcome
from doit_cargo.engine.secrets import is_secret
from doit_cargo.engine.stored_plan import plan_to_data
from doit_cargo.engine.toolchain.triples import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.freshness import Change

PROGRAMS = ("cargo", "rustc")
CUDA_PROGRAMS = ("nvcc", "gcc", "g++")
# What chooses the Python that a plan pins for PyO3.
PYTHONS = ("python", "python3")
PYTHON_VARIABLES = (pyo3.PYTHON, "VIRTUAL_ENV", "CONDA_PREFIX")
CUDA_VARIABLES = (
    "CUDA_PATH",
    "CUDA_HOME",
    "CUDA_ROOT",
    "CONDA_PREFIX",
    "NVCC",
    "NVCC_CCBIN",
    "CUDA_COMPUTE_CAP",
    "CUDA_NVCC_FLAGS",
)


def execute(request: Request) -> Outcome | None:
    """Bring the target up to date. Returns what came of it, None if nothing had to run.

    Raises `UserError` if cargo could not be started, or was not since the machine lacks something.
    """
    with receipts.RunLock(request.state):
        receipt, changes = receipts.verdict(request.state, request.key, request.environ, explain=True)
        if receipt and not changes and not request.variables.flag("FORCE"):
            say.skipped(request.target, receipt)  # another run has just done it
            return None
        return execute_locked(request, receipt, changes)


def execute_locked(request: Request, receipt: Mapping[str, Any] | None, changes: list[Change]) -> Outcome:
    """Run cargo under a lock that the caller holds, with the verdict that the caller has found."""
    previous = receipt or receipts.last_receipt(request.state, request.key)
    plan, plan_state = _planned(request)
    say.reasons(request.target, changes, previous)
    return _build(request, plan, plan_state, previous)


def _planned(request: Request) -> tuple[Plan, Mapping[str, Any]]:
    """Return the plan, checked against this machine, and the state that it rests on."""
    plan = request.make_plan()
    for note in plan.notes:
        say.note(request.target, note)
    if request.variables.flag("WITHOUT_PREFLIGHT"):
        say.note(request.target, "WITHOUT_PREFLIGHT=1: nothing was checked before cargo starts")
    else:
        _check(request, plan)
    return plan, plan.state if plan.state is not None else _plan_state(request, plan)


def _check(request: Request, plan: Plan) -> None:
    """Raise what would stop the plan, tell what may; of a plan that has held, only what can have changed meanwhile."""
    from doit_cargo.engine import preflight

    known = request.known(plan)
    again = plan.state is not None
    for warning in preflight.require(plan, request.machine(), request.root, known, again=again):
        say.note(request.target, f"warning: {warning}")


def _plan_state(request: Request, plan: Plan) -> dict[str, Any]:
    from doit_cargo.engine import toolchain

    cuda, python = "nvcc" in plan.needs, pyo3.PYTHON in plan.invocation.env
    machine = machine_of(request, plan)
    tools = [machine.tool(name) for name in plan.needs]
    identity = [path for tool in tools if tool for path in toolchain.identity_of(tool)]
    return recorder.plan_state(
        plan,
        request.workspace(),
        toolchain.pin_candidates(request.root, machine.environ),
        [*toolchain.toolchain_identity(request.root, machine.environ), *identity],
        (*PROGRAMS, *plan.needs, *_wrapper(plan), *(CUDA_PROGRAMS if cuda else ()), *(PYTHONS if python else ())),
        (*(CUDA_VARIABLES if cuda else ()), *(PYTHON_VARIABLES if python else ())),
        request.environ,
    )


def _wrapper(plan: Plan) -> tuple[str, ...]:
    """Return the program whose going would break the plan, though its coming and going changes no result."""
    return ("sccache",) if plan.invocation.env.get("RUSTC_WRAPPER") else ()


def _build(request: Request, plan: Plan, plan_state: Mapping[str, Any], previous: Mapping[str, Any] | None) -> Outcome:
    workspace = request.workspace()
    ledger = Ledger(workspace.target_directory)
    for note in before_run.notes(plan, request.environ, workspace, ledger):
        say.note(request.target, note)
    if previous:
        ledger.adopt(previous)
    _let_settle(os.path.join(workspace.root, "Cargo.lock"))
    before, healing = ledger.begin(blind.values(request, plan, ledger), _roots(workspace))
    healing.clean.extend(_to_write_again(plan, previous))
    recorder.list_members(workspace, plan, before)
    receipts.withdraw(request.state, request.key)
    _heal(request, plan, healing)
    plan = replace(plan, log=_writable_log(request, plan))
    meter = footprint.Meter(workspace.target_directory)
    outcome = _run(request, plan)
    inputs = gather(plan, workspace, outcome.report, request.environ)
    before_run.learn(plan, request.environ, workspace, ledger, outcome)
    if outcome.ok:
        _require_outputs(plan)
        footprint.keep(request.state, request.key, meter.read())
        state = recorder.build_state(inputs, outcome.report, ledger, before, request.environ)
        blind.learn(request, plan, ledger, inputs)
        now = time.time_ns()
        state["left"] = {path: recorder.read_settled_or_hash(path, now) for path in plan.writes}
        _drop_known(state["files"], plan_state["files"])
        _keep(request, _receipt(request, plan, outcome, plan_state, state, inputs))
    else:
        recorder.learn(inputs, outcome.report, ledger, before)
    ledger.finish()
    _tell_end(request, plan, outcome, workspace)
    return outcome


def _to_write_again(plan: Plan, previous: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the packages to build anew since a file that they write is gone or edited: cargo does not look at it."""
    left = previous["build"]["left"] if previous else {}
    changed = [path for path in plan.writes if path in left and stamps.digest(path) != left[path][1]]
    return plan.packages if changed else ()


def _run(request: Request, plan: Plan) -> Outcome:
    """Run cargo; where it compiles through sccache, say what came of that."""
    count = sccache.Count(plan.invocation, request.environ)
    if count.problem:
        say.note(request.target, f"sccache does not start, so this call goes without it: {count.problem}")
    outcome = _call(request, replace(plan, invocation=count.invocation))
    counts = count.taken()
    if counts:
        say.note(request.target, str(counts))
        sccache.remember(counts, request.target, os.path.join(request.state, sccache.LAST_RUN))
    return outcome


def _remember(request: Request, plan: Plan, outcome: Outcome) -> None:
    """Keep what the build took and how large its programs are; tell of one that grew."""
    workspace = request.workspace()
    build = history.record(request.state, plan, outcome, workspace.target_directory, request.environ)
    if build is None:
        return
    allowed = history.allowed_growth(workspace.settings)
    for growth in history.growths(history.read(request.state), build):
        if history.too_large(growth, allowed):
            say.grown(request.target, growth.program, growth.before, growth.after, growth.commit)


def _call(request: Request, plan: Plan) -> Outcome:
    title = f"doit-cargo {request.target}"
    if request.more is None:
        return run.run(plan.invocation, request.environ, plan.log, title)
    return run.run(plan.invocation, request.environ, plan.log, title, request.more.hidden, request.more.appends)


def _let_settle(path: str) -> None:
    """Wait out the tick in which a file was written: pre-flight's own cargo may just have completed the lock."""
    stamp = stamps.signature(path)
    left = stamp[3] + stamps.TICK_NS - time.time_ns() if stamp else 0
    if 0 < left <= stamps.TICK_NS:
        time.sleep(left / 1e9 + 0.001)


def _tell_end(request: Request, plan: Plan, outcome: Outcome, workspace: Workspace) -> None:
    """Tell how the call ended, remember what a build took, and name the cause of a failure."""
    if outcome.ok and request.more:
        say.compiled(request.target, outcome)
    else:
        say.finished(request.target, plan, outcome, request.root)
    if outcome.ok and plan.invocation.argv[1] == "build":
        _remember(request, plan, outcome)
    if outcome.status and not outcome.interrupted:
        from doit_cargo.engine import hints

        hints.after_failure(request.target, plan.log, workspace)


def _drop_known(files: dict[str, Any], known: Mapping[str, Any]) -> None:
    """Leave out what the plan's state holds in the same form: no skip shall ask twice for one file."""
    for path in [path for path, entry in files.items() if known.get(path, ("", ""))[1] == entry[1]]:
        del files[path]


def _writable_log(request: Request, plan: Plan) -> str:
    """Return where the log goes: beside the state where the sources are read-only."""
    if os.access(request.root, os.W_OK) or os.path.isdir(os.path.dirname(plan.log)):
        return plan.log
    return os.path.join(request.state, "logs", os.path.basename(plan.log))


def _roots(workspace: Workspace) -> dict[str, Root]:
    wanted = {"lib", "rlib", "cdylib", "dylib", "staticlib", "proc-macro", "bin", "custom-build"}
    return {
        name: Root(package.directory, tuple(t.path for t in package.cargo_targets if wanted & set(t.kinds)))
        for name, package in workspace.packages.items()
    }


def _heal(request: Request, plan: Plan, healing: Healing) -> None:
    say.healed(request.target, healing, request.root)
    if not healing.clean:
        return
    chosen = [word for package in dict.fromkeys(healing.clean) for word in ("--package", package)]
    argv = ["cargo", "clean", *chosen, *_place_arguments(plan.invocation.argv)]
    environ = run.environment(plan.invocation, request.environ)
    subprocess.run(
        argv, cwd=request.root, env=environ, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )


def _place_arguments(argv: tuple[str, ...]) -> list[str]:
    """Return the arguments by which cargo finds the directory of this build."""
    found: list[str] = []
    for position, word in enumerate(argv):
        if word in ("--profile", "--config"):
            found += argv[position : position + 2]
        elif word == "--target":
            found += [word, plain(argv[position + 1])]
        elif word == "--release":
            found.append(word)
    return found


def _require_outputs(plan: Plan) -> None:
    missing = [path for path in (*plan.outputs, *plan.writes) if not os.path.exists(path)]
    if missing:
        what = f"cargo ended well, but {missing[0]} is not there"
        raise UserError(Problem(what, f"see the log: {plan.log}"), code=1)


def _receipt(
    request: Request,
    plan: Plan,
    outcome: Outcome,
    plan_state: Mapping[str, Any],
    state: dict[str, Any],
    inputs: Inputs,
) -> dict[str, Any]:
    workspace = request.workspace()
    return {
        "key": request.key,
        "state": request.state,
        "look": request.look,
        "stored_plan": _stored(plan),
        "version": __version__,
        "plan": plan_state,
        "build": state,
        "packages": outcome.report.packages,
        "graph": _graph(outcome, workspace),
        "owners": inputs.owners,
        "manifests": tuple(package.manifest for package in workspace.packages.values()),
        "warnings": tuple(outcome.warnings),
        "seconds": outcome.seconds,
        "finished": time.time(),
        "log": plan.log,
        "features": plan.features,
        "outputs": tuple(state["outputs"]),
        **(request.more.keeps(outcome) if request.more else {}),
    }


def _stored(plan: Plan) -> dict[str, Any] | None:
    """Return a plan as it is kept for the next run; None where it must be made anew or holds a secret."""
    return None if plan.is_remade or any(map(is_secret, plan.invocation.env)) else plan_to_data(plan)


def _graph(outcome: Outcome, workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """Return package -> local packages that it rests on, as far as they took part; outside the workspace too."""
    by_directory = {unit.directory: unit.package for unit in outcome.report.units if unit.is_local}
    graph = {}
    for directory, name in by_directory.items():
        member = workspace.packages.get(name)
        paths = [one.path for one in member.dependencies] if member else path_dependencies(directory)
        found = (by_directory.get(os.path.normpath(path)) for path in paths if path)
        graph[name] = tuple(dict.fromkeys(other for other in found if other and other != name))
    return graph


def _keep(request: Request, receipt: dict[str, Any]) -> None:
    try:
        receipts.store(receipts.receipt_path(request.state, request.key), receipt)
        receipts.remove(receipts.receipt_path(request.state, request.key) + ".last")
        causes.keep_lock(request.state, request.root)
    except OSError as error:
        say.note(
            request.target, f"built, but the receipt could not be kept ({error.strerror}): the next call builds again"
        )
