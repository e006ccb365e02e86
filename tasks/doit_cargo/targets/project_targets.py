"""A project's own rows in Python: the file tasks/project.py of the workspace at hand, if it has one.

The file is like a family module: `TARGETS`, a tuple of `Target`; actions may name functions of the same file as
"project:function". Loaded only when targets are listed or run, never on a skip, and only if the user has agreed to its
very content (`trust`): until then its rows are known by name, as far as reading tells, and absent.
"""

from __future__ import annotations

import ast
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from types import ModuleType

from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.model import Target
from doit_cargo.engine.state import trust

MODULE = "project"
NOT_TRUSTED = f"is a row of {trust.PYTHON}, which is not trusted here: {trust.FIX}"


def path_in(root: str) -> str:
    """Return where a project's own rows are, or would be."""
    return os.path.join(root, trust.PYTHON)


def load(root: str, environ: Mapping[str, str]) -> tuple[Target, ...]:
    """Return the rows of a project; raises `UserError` for a file that cannot be loaded or holds something else."""
    path = path_in(root)
    if not os.path.isfile(path) or not trust.is_python_trusted(root, environ):
        return ()
    rows = getattr(module(root, environ), "TARGETS", None)
    if isinstance(rows, tuple | list) and all(isinstance(row, Target) for row in rows):
        return tuple(rows)
    what = "has no TARGETS" if rows is None else "TARGETS is no tuple of Target"
    raise UserError(Problem(what, "write TARGETS = (Target(...),) with doit_cargo.api.Target", path))


def named(root: str, environ: Mapping[str, str]) -> tuple[Target, ...]:
    """Return rows that stand for those of a file which must not be loaded: names and texts, read without running it."""
    path = path_in(root)
    if not os.path.isfile(path) or trust.is_python_trusted(root, environ):
        return ()
    try:
        with open(path, "rb") as stream:
            tree = ast.parse(stream.read())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(_named_in(tree))


def _named_in(tree: ast.AST) -> Iterator[Target]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Target":
            texts = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
            name = texts.get("name")
            if isinstance(name, str) and name.isidentifier() and name.isascii():
                yield Target(name=name, family=MODULE, doc=str(texts.get("doc", "")), action=f"{MODULE}:{name}")


def module(root: str, environ: Mapping[str, str]) -> ModuleType:
    """Return the loaded file, once a process; what it raises becomes a problem with the line in it.

    What runs are the bytes that were compared with those agreed to, never a compiled file that lies beside them.
    """
    path = path_in(root)
    name = f"{__name__}.{MODULE}"
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == path:
        return loaded
    content = trust.trusted_text(os.path.realpath(path), root, environ)
    made = ModuleType(name)
    made.__file__ = path
    try:
        exec(compile(content, path, "exec"), made.__dict__)  # noqa: S102 - the project's own rows, agreed to
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
