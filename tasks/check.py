"""The check family: type checking without code generation. Rows only."""

from __future__ import annotations

from functools import partial

from doit_cargo.engine.model import Service, Target
from doit_cargo.engine.variables import CARGO

_check = partial(Target, family="check", command="check", profile=("check",), takes=CARGO)

TARGETS: tuple[Target, ...] = (
    _check(
        name="check",
        doc="Type-check the whole workspace, without packages whose tools are missing here.",
        package="all",
    ),
    _check(
        name="check_server",
        doc="Type-check the server and what it depends on.",
        package="server",
    ),
)


def of_service(service: Service) -> Target:
    """Return the target that checks whether a service of the pack answers."""
    name = service.name.lower().replace("-", "_")
    return Target(
        name=f"check_{name}",
        family="check",
        doc=f"Check that {service.doc or service.name} answers." if service.variable else "Check that there is a GPU.",
        action="doit_cargo.actions.services:check",
        services=(service.name,),
    )
