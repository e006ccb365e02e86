"""A project's own rows in Python: the file tasks/project.py of the workspace at hand, if it has one.

The file is like a family module: `TARGETS`, a tuple of `Target`; actions may name functions of the same file as
"project:function". Loaded only when targets are listed or run, never on a skip.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from types import ModuleType

from doit_cargo.engine.errors import Problem, UserError
from doit_cargo.engine.model import Target

MODULE = "project"
FILE = os.path.join("tasks", "project.py")


def path_in(root: str) -> str:
    """Return where a project's own rows are, or would be."""
    return os.path.join(root, FILE)


def load(root: str) -> tuple[Target, ...]:
    """Return the rows of a project; raises `UserError` for a file that cannot be loaded or holds something else."""
    path = path_in(root)
    if not os.path.isfile(path):
        return ()
    rows = getattr(module(root), "TARGETS", None)
    if isinstance(rows, tuple | list) and all(isinstance(row, Target) for row in rows):
        return tuple(rows)
    what = "has no TARGETS" if rows is None else "TARGETS is no tuple of Target"
    raise UserError(Problem(what, "write TARGETS = (Target(...),) with doit_cargo.engine.model.Target", path))


def module(root: str) -> ModuleType:
    """Return the loaded file, once a process; what it raises becomes a problem with the line in it."""
    path = path_in(root)
    name = f"{__name__}.{MODULE}"
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == path:
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(Problem("cannot be loaded", "make it a Python file", path))
    made = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(made)
    except Exception as error:  # noqa: BLE001 - the user's own file: whatever it raises is told with its place
        raise UserError(Problem(f"cannot be loaded: {error}", "correct it", _place(error, path))) from None
    sys.modules[name] = made
    return made


def _place(error: Exception, path: str) -> str:
    """Return file:line of the last line of the file that took part in an error."""
    if isinstance(error, SyntaxError):
        return f"{path}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path
