"""`check_<service>`: the row needs the service, so that when this runs it has answered already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doit_cargo.engine.console import reporter
from doit_cargo.engine.plan.profiles.packs import GPU
from doit_cargo.engine.preflight import services

if TYPE_CHECKING:
    from doit_cargo.session import Session


def check(session: Session, _: Any) -> bool:
    """Tell where the service answers."""
    (name,) = session.targets[session.current].services
    service = session.library.pack.services[name]
    places = ", ".join(services.addresses(service, session.environ))
    reporter.done(session.current, "there is a GPU" if name == GPU else f"{name} answers at {places}")
    return True
