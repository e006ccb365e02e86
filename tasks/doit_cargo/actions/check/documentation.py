"""doc_open: show what `doc` has built."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError, unknown
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session


def check_package(session: Session, values: Values) -> None:
    """Require that PACKAGE, if given, is one member."""
    for name in values.words("PACKAGE"):
        if name not in session.workspace.packages:
            raise UserError(unknown("package", name, tuple(session.workspace.packages), "PACKAGE"))


def doc_open(session: Session, values: Values) -> bool:
    """Open the pages of PACKAGE, of the server, or of the first member that has some."""
    page = next((path for path in _pages(session, values) if os.path.isfile(path)), "")
    if not page:
        raise UserError(Problem("there is no documentation to open", "doit-cargo doc builds it"), COULD_NOT_RUN)
    address = Path(page).as_uri()
    if not webbrowser.open(address):
        raise UserError(Problem(f"no browser could be started for {address}", "open it yourself"), COULD_NOT_RUN)
    reporter.done("doc_open", address)
    return True


def _pages(session: Session, values: Values) -> list[str]:
    roles = session.library.pack.roles
    names = [*values.words("PACKAGE"), *roles.get("server", ()), *session.workspace.default_members]
    packages = session.workspace.packages
    return [
        os.path.join(session.workspace.target_directory, "doc", target.name.replace("-", "_"), "index.html")
        for name in names
        if name in packages
        for target in packages[name].cargo_targets
        if {"lib", "bin", "proc-macro"} & set(target.kinds)
    ]
