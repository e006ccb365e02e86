"""Inputs that cargo never looks at: variables and files that a profile names, static libraries, the nvcc of a build.

The ledger keeps the value of each as it was at the last build; here is its value today. Cargo learns of a difference
by the ledger, which shows it the packages concerned as changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from doit_cargo.engine.base.model import Plan
from doit_cargo.engine.execution.evidence.inputs import Inputs
from doit_cargo.engine.execution.evidence.invalidation import Ledger
from doit_cargo.engine.execution.request import BuildRequest, machine_of
from doit_cargo.engine.plan import declared
from doit_cargo.engine.state import fingerprint, staleness

if TYPE_CHECKING:
    from doit_cargo.engine.execution.evidence.ledger_data import Untracked


def values(request: BuildRequest, plan: Plan, ledger: Ledger) -> dict[str, Untracked]:
    """Return today's value of every input that cargo never looks at, of this target and of all before it."""
    found = {
        key: (value if (now := _value(key, request, plan)) is None else now, packages)
        for key, (value, packages) in ledger.known_blind().items()
    }
    packages = plan.profile.inputs.packages or tuple(request.workspace.packages)
    keys = [f"env:{name}" for name in plan.profile.inputs.env]
    keys += [f"declared:{name}" for name in plan.profile.inputs.files]
    for key in keys:
        found[key] = (_value(key, request, plan) or "", tuple(packages))
    return found


def _value(key: str, request: BuildRequest, plan: Plan) -> str | None:
    """Return the value of one such input, or None if this plan does not care."""
    kind, _, name = key.partition(":")
    if kind == "env":
        return str(staleness.public_value(name, request.environ.get(name, "")))
    if kind == "declared":
        return declared.digest(request.workspace, name)
    if kind == "file":
        return (fingerprint.digest(name) or b"").hex()
    return _tool_value(request, plan, name) if name in plan.needs else None


def _tool_value(request: BuildRequest, plan: Plan, name: str) -> str:
    from doit_cargo.engine import toolchain

    tool = machine_of(request, plan).tool(name)
    found = [(path, (fingerprint.signature(path) or ())[:2]) for path in (toolchain.identity_of(tool) if tool else ())]
    return repr(found)


def learn(request: BuildRequest, plan: Plan, ledger: Ledger, inputs: Inputs) -> None:
    """Have the ledger keep, for the next build, what this one has found to be there."""
    for path, packages in inputs.unseen.items():
        key = f"file:{path}"
        ledger.data["untracked"][key] = (_value(key, request, plan) or "", packages)
    if "nvcc" in plan.needs and inputs.cuda_packages:
        ledger.data["untracked"]["tool:nvcc"] = (_tool_value(request, plan, "nvcc"), tuple(inputs.cuda_packages))
