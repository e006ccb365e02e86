"""What a row names as "module:function", found and called. Knows nothing of what it does."""

from __future__ import annotations

import importlib

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol

    from doit_cargo.engine.base.variables import Values

    class Called(Protocol):
        """What of a session is asked here; what is called gets the session itself."""

        environ: Mapping[str, str]

        @property
        def root(self) -> str: ...


def module(name: str) -> Any:
    """Return a module of ours by its full name."""
    return importlib.import_module(name)


def call(action: str, session: Called, values: Values) -> object:
    """Call "module:function" with the session and return its result."""
    from doit_cargo.targets import project_targets

    name, _, function = action.partition(":")
    try:
        own = name == project_targets.MODULE
        home = project_targets.module(session.root, session.environ) if own else module(name)
        result: object = getattr(home, function)(session, values)
        return result
    except OSError as error:
        raise UserError(Problem(f"{error.filename or action}: {error.strerror or error}"), COULD_NOT_RUN) from None
