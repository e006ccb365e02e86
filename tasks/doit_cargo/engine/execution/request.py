"""What a run is about: the plan, where it runs and where its receipt is kept. Runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.base.variables import Values
from doit_cargo.engine.execution.run import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

    from doit_cargo.engine.preflight.preflight import PreflightFacts
    from doit_cargo.engine.state.receipts import Receipt, TestProgram
    from doit_cargo.engine.state.staleness import State
    from doit_cargo.engine.toolchain import Machine


class Shared(Protocol):
    """Results of other machines, where a store is configured (see `doit_cargo.sharing`)."""

    def fetched(self, plan: Plan, state: State) -> bool: ...

    def published(self, plan: Plan, receipt: Receipt, observed: Mapping[str, object]) -> None: ...


class BuildRequest(NamedTuple):
    """What a run is about. `known` tells what the plan needs of this computer; asked only where that is checked, since
    it may ask cargo.
    """

    target: str
    key: tuple[str, ...]
    state: str
    environ: Mapping[str, str]
    variables: Values
    cosmetic_options: tuple[str, ...]
    plan: Plan
    workspace: Workspace
    machine: Machine
    known: Callable[[], PreflightFacts]
    more: CargoCallOptions | None = None
    shared: Shared | None = None


class CargoCallOptions(NamedTuple):
    """What a target that goes on after its cargo call wants of it.

    `hidden` are lines of cargo's that nobody shall see, `keeps` gives the test programs that the receipt keeps, with
    the plan as it would be `typed`, and `appends` goes on in the log of an earlier call of the same run.
    """

    hidden: re.Pattern[str]
    keeps: Callable[[Outcome], tuple[TestProgram, ...]]
    typed: Plan
    appends: bool = False


def machine_of(request: BuildRequest, plan: Plan) -> Machine:
    """Return the machine as the child process will see it: a profile may set PATH, NVCC_CCBIN or RUSTUP_TOOLCHAIN."""

    return request.machine.at(plan.invocation.cwd, processes.environment_of_tools(plan.invocation, request.environ))
