"""`doctor`: what this computer has, lacks and has wrong for a target, or for the default build and in general."""

from __future__ import annotations

import argparse
import json

from doit_cargo import diagnosis
from doit_cargo.engine.base.errors import DONE, FAILED, NoWorkspaceError
from doit_cargo.session import Session


def doctor(session: Session, options: argparse.Namespace) -> int:
    """Print a line a check; fail if something needed is missing or wrong. Without a workspace, the tools of any."""
    try:
        names = [session.row(name)["name"] for name in options.targets]
        session.variables(*(names or [diagnosis.default(session)]))
        found = diagnosis.of_targets(session, names)
    except NoWorkspaceError as error:
        if options.targets:
            raise
        found = diagnosis.of_tools(session.start, session.environ, error)
    if options.json:
        print(json.dumps(diagnosis.to_json(found), indent=2))
    else:
        diagnosis.print_diagnosis(found)
    return DONE if found.ok else FAILED
