"""What a plan rests on, and a plan made anew that is the old one: a profile that it does not use has come or changed.

Knows receipts and how plans are kept. A success holds for an equal plan, as far as nobody but the plan reads the files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.model import DeclaredInputs
from doit_cargo.engine.cargo import pyo3
from doit_cargo.engine.execution import equivalence
from doit_cargo.engine.execution.evidence import recorder
from doit_cargo.engine.execution.request import machine_of
from doit_cargo.engine.state import receipts, staleness

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.state.receipts import Receipt, StoredPlan
    from doit_cargo.engine.state.staleness import Change, State

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
# What of a kept plan says where something stands, and what is told of it, not what is to be done.
SAID = ("target", "files", "folders", "notes", "log")


def holds(
    receipt: Receipt, first: Change, environ: Mapping[str, str], request: Callable[[], BuildRequest | None]
) -> bool:
    """Tell whether a success holds although files of profiles differ, and keep that. `first` is the first difference.

    `request` makes the plan anew, if that is possible; bad input makes it stale: it is told where the plan is made.
    """
    known = receipt["stored_plan"]
    if known is None or not receipts.is_of_profiles(receipt, first):
        return False
    plan_changes = staleness.Check(receipt["plan"], environ, time.time_ns()).changes()
    if not _are_of_profiles_alone(receipt, plan_changes, environ) or not _is_built(receipt, environ):
        return False
    try:
        asked = request()
    except UserError:
        return False
    if asked is None or asked.plan.is_remade or _work(_kept(asked.plan)) != _work(known):
        return False
    receipts.renew(asked.state, receipt["key"], receipt, _renewed(receipt, asked))
    return True


def _are_of_profiles_alone(receipt: Receipt, changes: Iterable[Change], environ: Mapping[str, str]) -> bool:
    meaning = receipt.get("meaning")
    return meaning is not None and all(
        (receipts.is_of_profiles(receipt, change) and change.subject not in meaning["read"])
        or equivalence.is_same(receipt, change, environ)
        for change in changes
    )


def _is_built(receipt: Receipt, environ: Mapping[str, str]) -> bool:
    build, tests = receipt["build"], receipt.get("tests")
    changes = staleness.Check(build, environ, time.time_ns()).changes()
    if not all(equivalence.is_same(receipt, change, environ) for change in changes):
        return False
    return tests is None or next(staleness.Check(tests, environ, time.time_ns()).changes(), None) is None


def _kept(plan: Plan) -> StoredPlan:
    from doit_cargo.engine.plan import serialize

    return serialize.plan_to_data(plan)


def _work(data: StoredPlan) -> dict[str, Any]:
    """Return what a kept plan does; the lines where its inputs are declared may move."""
    told = {**data, "inputs": DeclaredInputs(*data["inputs"])._replace(places=())}
    return {name: value for name, value in told.items() if name not in SAID}


def _renewed(receipt: Receipt, request: BuildRequest) -> Receipt:
    state = plan_state_of(request, request.plan)
    kept = receipt["plan"]["files"].items()
    files = {path: entry for path, entry in kept if not receipts.is_in_profiles(receipt, path)}
    return {**receipt, "plan": {**state, "files": files | state["files"]}, "stored_plan": _kept(request.plan)}


def plan_state_of(request: BuildRequest, plan: Plan) -> State:
    """Return the state that a plan rests on, as it is now."""
    from doit_cargo.engine import toolchain

    cuda, python = "nvcc" in plan.needs, pyo3.PYTHON in plan.invocation.env
    machine = machine_of(request, plan)
    tools = [machine.tool(name) for name in plan.needs]
    identity = [path for tool in tools if tool for path in toolchain.identity_of(tool)]
    return recorder.plan_state(
        plan,
        request.workspace,
        toolchain.pin_candidates(request.workspace.root, machine.environ),
        [*toolchain.toolchain_identity(request.workspace.root, machine.environ), *identity],
        (*PROGRAMS, *plan.needs, *_wrapper(plan), *(CUDA_PROGRAMS if cuda else ()), *(PYTHONS if python else ())),
        (*(CUDA_VARIABLES if cuda else ()), *(PYTHON_VARIABLES if python else ())),
        request.environ,
    )


def _wrapper(plan: Plan) -> tuple[str, ...]:
    """Return the program whose going would break the plan, though its coming and going changes no result."""
    return ("sccache",) if plan.invocation.env.get("RUSTC_WRAPPER") else ()
