"""The Rust tests of the Python bindings: a member like any other, or a workspace of its own beside this one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.files import read_text
from doit_cargo.engine.base.model import name_of_member
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

TARGET = "test_pyo3"
ROLE = "pyo3"


def test(session: Session, _: Values) -> bool:
    """Run the tests of the package that plays the role, wherever it is. Without a Python they are skipped."""
    names = session.library.pack.roles.get(ROLE, ())
    member = next((name for name in names if name in session.workspace.packages), "")
    satellite = "" if member else _satellite(session, names)
    if not member and not satellite:
        what = f"{TARGET} needs the package {' or '.join(names)}, which this checkout lacks"
        raise UserError(Problem(what, "doit-cargo test runs the tests that are here"), COULD_NOT_RUN)
    if session.machine.tool("python") is None:
        reporter.note(TARGET, f"skipped: {member or satellite} needs a Python, and none is on PATH or in PYO3_PYTHON")
        return True
    if member:
        return _explained(session.run(f"test_{name_of_member(session.workspace.packages[member])}"), session)
    return _test_satellite(session, satellite)


def _satellite(session: Session, names: tuple[str, ...]) -> str:
    """Return the folder of a workspace of its own that bears the package's name."""
    for folder in session.library.pack.satellites:
        if os.path.basename(folder) in names and os.path.isfile(os.path.join(session.root, folder, "Cargo.toml")):
            return folder
    return ""


def _test_satellite(session: Session, folder: str) -> bool:
    from doit_cargo.session import Session as Other

    other = Other(os.path.join(session.root, folder), session.environ, session.raw)
    reporter.note(
        TARGET, f"{folder} is a workspace of its own: tests are compiled and kept there, paths are from there"
    )
    receipt, changes = other.verdict("test")
    if receipt and not changes and not other.forced:
        reporter.skipped(TARGET, receipt)
        return True
    other.prepare(["test"])
    done = other.run("test")
    session.interrupted = session.interrupted or other.interrupted
    return _explained(done, other)


def _explained(done: bool, session: Session) -> bool:
    """Say why bindings often cannot be linked as a test program, where that is what the log shows."""
    if not done and _lacks_python_symbols(session):
        reporter.note(
            TARGET,
            "the linker lacks Python's symbols: with pyo3's feature extension-module no test program can be linked. "
            'Make that feature optional (pyo3 guide, "extension-module"), and leave it out of FEATURES here',
        )
    return done


def _lacks_python_symbols(session: Session) -> bool:
    import re

    folder = os.path.join(session.root, ".testlogs")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    logs = [name for name in names if name == "test.log" or (name.endswith(".log") and "pyo3" in name)]
    lacking = re.compile(r"undefined (symbol|reference).{0,20}\b_?Py")
    return any(lacking.search(read_text(os.path.join(folder, name))) for name in logs)
