"""A plan as plain data, for receipts: what `marshal` can store, and back. Knows the types of the model only."""

from __future__ import annotations

from doit_cargo.engine.base.model import DeclaredInputs, Invocation, Plan, Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.state.receipts import StoredPlan
    from doit_cargo.engine.state.staleness import State


def plan_to_data(plan: Plan) -> StoredPlan:
    """Return what of a plan is kept in a receipt: plain data that `marshal` can store."""
    step, declared = plan.invocation, plan.profile.inputs
    return {
        "target": plan.target,
        "profile": plan.profile.name,
        "inputs": tuple(declared),
        "packages": plan.packages,
        "features": plan.features,
        "cargo_profile": plan.cargo_profile,
        "invocation": (step.argv, step.cwd, dict(step.env), step.unset, step.path_prepend),
        "outputs": plan.outputs,
        "writes": plan.writes,
        "needs": dict(plan.needs),
        "log": plan.log,
        "files": plan.files,
        "folders": plan.folders,
        "notes": plan.notes,
    }


def plan_from_data(data: StoredPlan, state: State) -> Plan:
    """Return the plan that `plan_to_data` gave. `state` is the freshness state that it was found to rest on."""
    argv, cwd, env, unset, path_prepend = data["invocation"]
    return Plan(
        target=data["target"],
        profile=Profile(data["profile"], inputs=DeclaredInputs(*data["inputs"])),
        packages=data["packages"],
        features=data["features"],
        cargo_profile=data["cargo_profile"],
        invocation=Invocation(argv, cwd, env, unset, path_prepend),
        outputs=data["outputs"],
        writes=data["writes"],
        needs=data["needs"],
        log=data["log"],
        files=data["files"],
        folders=data["folders"],
        notes=data["notes"],
        state=state,
    )
