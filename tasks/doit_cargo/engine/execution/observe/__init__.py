"""What a run really read: the whole tree of its processes is observed, and told by unit, build script and test.

    observer = Observer.find(environ)              # or raises NotHere, which says why
    with observer.start() as observation:
        subprocess.run(observation.command(argv), env=observation.environ(environ))
        observed = observation.read()
    run = whole_run(observed)
    for unit, group in by_unit(observed).items():
        states, reasons = inputs(run, group, scope)  # later: changed(states, scope)

It imports nothing of plans, ledgers or tests.
"""

from doit_cargo.engine.execution.observe.inputs import Inputs, Item, Run, Scope, changed, inputs, whole_run
from doit_cargo.engine.execution.observe.library import NotHere
from doit_cargo.engine.execution.observe.model import Event, Observed, Op, Process, Unobserved
from doit_cargo.engine.execution.observe.observer import Observation, Observer
from doit_cargo.engine.execution.observe.units import CARGO, Group, Unit, by_unit

__all__ = [
    "CARGO",
    "Event",
    "Group",
    "Inputs",
    "Item",
    "NotHere",
    "Observation",
    "Observed",
    "Observer",
    "Op",
    "Process",
    "Run",
    "Scope",
    "Unit",
    "Unobserved",
    "by_unit",
    "changed",
    "inputs",
    "whole_run",
]
