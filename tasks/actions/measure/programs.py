"""Programs that are run to be measured: their arguments from ARGS and MODEL, and what their help says they take.

Knows the two command lines of mistral.rs's programs that name a model (``plain -m``, ``gguf -m -f``).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from doit_cargo.engine.errors import Problem, UserError
from doit_cargo.engine.toolchain import version_cache

if TYPE_CHECKING:
    from doit_cargo.engine.variables import Values
    from doit_cargo.session import Session

TAKES_A_MODEL = re.compile(r"^\s+(plain|gguf)\b", re.MULTILINE)


def arguments(session: Session, values: Values) -> tuple[str, ...]:
    """Return what the program is to do: ARGS, or the model of MODEL. Raises `UserError` where neither is given."""
    if values.words("ARGS"):
        return (*values.words("ARGS"), *model_arguments(values.text("MODEL")))
    if values.text("MODEL"):
        return model_arguments(values.text("MODEL"))
    fix = f"MODEL=name (plain -m name), MODEL=path/to/file.gguf, or ARGS='...': {session.current} ARGS=--version"
    raise UserError(Problem(f"{session.current} must know what the program shall do", fix))


def model_arguments(model: str) -> tuple[str, ...]:
    """Return how mistral.rs's programs are told a model.

    >>> model_arguments("org/name"), model_arguments("models/a.gguf"), model_arguments("")
    (('plain', '-m', 'org/name'), ('gguf', '-m', 'models', '-f', 'a.gguf'), ())
    """
    if model.endswith(".gguf"):
        return ("gguf", "-m", os.path.dirname(model) or ".", "-f", os.path.basename(model))
    return ("plain", "-m", model) if model else ()


def ask(session: Session, directory: str, *argv: str) -> str:
    """Return what a program prints, "" if it fails or takes longer than a few seconds."""
    return version_cache.ask(argv, session.environ, directory)
