"""Where models are: the folder of this workspace, the files in it, and what MODEL means.

Knows packs and folders; runs nothing and asks no network.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.actions import given_path
from doit_cargo.engine.base.errors import Problem, UserError, unknown
from doit_cargo.engine.base.launch import ModelSource
from doit_cargo.engine.console.reporter import relative

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

DEFAULT_FOLDER = "models"
ENDINGS = (".gguf", ".safetensors")
MAX_FILES, MAX_DEPTH = 10_000, 8
REPO = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"


class ModelChoice(NamedTuple):
    """A model for a program: `file` in `folder` for GGUF, else `plain`: a folder, a text, or a repository's name."""

    plain: str = ""
    folder: str = ""
    file: str = ""


def folder_of(session: Session, values: Values) -> str:
    """Return MODEL_DIR, or `models`; a relative path begins at the workspace's root."""
    given = os.path.expanduser(values.text("MODEL_DIR") or DEFAULT_FOLDER)
    return os.path.normpath(os.path.join(session.root, given))


def model_files(folder: str) -> list[str]:
    """Return the model files below a folder, sorted; hidden folders (the hub's bookkeeping) are left out."""
    found: list[str] = []
    for place, below, names in os.walk(folder):
        depth = os.path.relpath(place, folder).count(os.sep)
        below[:] = [name for name in below if not name.startswith(".")] if depth < MAX_DEPTH else []
        wanted = [name for name in names if name.lower().endswith(ENDINGS) and not name.startswith(".")]
        found += [os.path.join(place, name) for name in wanted]
        if len(found) > MAX_FILES:
            what = f"more than {MAX_FILES:,} model files below {folder}"
            raise UserError(Problem(what, "MODEL_DIR= names a smaller folder", "MODEL_DIR"))
    return sorted(found)


def source_of(session: Session, text: str) -> ModelSource:
    """Return what MODEL names on the hub: a recommended model, OWNER/NAME, or OWNER/NAME/FILE."""
    models = session.library.pack.models
    found = models.get(text) or models.get(text.lower())
    if found:
        return found
    match = re.fullmatch(rf"({REPO})(?:/([\w.-]+(?:/[\w.-]+)*))?", text)
    if match and ".." not in text.split("/"):
        return ModelSource(name=text, repo=match[1], file=match[2] or "")
    problem = unknown("model", text, tuple(models), "MODEL")
    raise UserError(Problem(problem.what, f"{problem.fix}; or OWNER/NAME or OWNER/NAME/FILE on the hub", "MODEL"))


def place_of(source: ModelSource, folder: str) -> str:
    """Return where a download of it lies: models/OWNER/NAME/FILE."""
    return os.path.join(folder, *source.repo.split("/"), *(source.file.split("/") if source.file else ()))


def choose(session: Session, values: Values, target: str) -> ModelChoice:
    """Return the model that MODEL, or MODEL_FILE in MODEL_DIR, names. Raises `UserError` if there is none."""
    folder, named = folder_of(session, values), values.text("MODEL_FILE")
    if named:
        return _at(_existing(session, os.path.join(folder, named), "MODEL_FILE"))
    text = values.text("MODEL").strip()
    if not text:
        raise UserError(_no_model(session, folder, target))
    path = given_path(session, text)
    if os.path.exists(path):
        return _at(path)
    if text.lower().endswith(ENDINGS) or text.startswith((".", "/", "~")):
        by_name = _named_file(folder, text)
        return _at(by_name or _existing(session, path, "MODEL"))
    return _downloaded(session, text, folder) or _of_hub(session, text, folder)


def _no_model(session: Session, folder: str, target: str) -> Problem:
    names = ", ".join([*session.library.pack.models, *_stems(folder)]) or "a GGUF file"
    fix = f"for example: doit-cargo {target} MODEL=path/to/model.gguf; or one of: {names}; or OWNER/NAME on the hub"
    return Problem(f"{target} needs a model: MODEL= says which", fix)


def _stems(folder: str) -> list[str]:
    return [os.path.splitext(os.path.basename(path))[0] for path in model_files(folder) if path.endswith(".gguf")]


def _existing(session: Session, path: str, variable: str) -> str:
    if os.path.exists(path):
        return path
    folder = os.path.dirname(path)
    known = tuple(os.path.basename(one) for one in model_files(folder if os.path.isdir(folder) else session.root))
    problem = unknown("model file", os.path.basename(path), known, variable)
    raise UserError(Problem(f"there is no file {relative(path, session.root)}", problem.fix, variable))


def _at(path: str) -> ModelChoice:
    """Return a model that lies here; of a GGUF file the head is read, so that a broken one is told at once."""
    if os.path.isdir(path) or not path.lower().endswith(".gguf"):
        return ModelChoice(plain=path)
    from doit_cargo.actions.models.readers import of_file

    problem = of_file(path).problem
    if problem:
        fix = "download it again (doit-cargo download_models), or give another one"
        raise UserError(Problem(f"this model cannot be loaded: {problem}", fix, path))
    return ModelChoice(folder=os.path.dirname(path), file=os.path.basename(path))


def _named_file(folder: str, text: str) -> str:
    """Return the one model file below the folder that has this name, with or without its ending."""
    wanted = os.path.basename(text).lower()
    found = [path for path in model_files(folder) if wanted in _names_of(path)]
    return found[0] if len(found) == 1 else ""


def _names_of(path: str) -> tuple[str, str]:
    name = os.path.basename(path).lower()
    return name, os.path.splitext(name)[0]


def _downloaded(session: Session, text: str, folder: str) -> ModelChoice | None:
    """Return a model that lies in the folder of models, by its name here or on the hub."""
    by_name = _named_file(folder, text) if "/" not in text else ""
    if by_name:
        return _at(by_name)
    models = session.library.pack.models
    source = models.get(text.lower()) or (source_of(session, text) if "/" in text else None)
    place = place_of(source, folder) if source else ""
    return _at(place) if place and os.path.exists(place) else None


def _of_hub(session: Session, text: str, folder: str) -> ModelChoice:
    """Return a repository for the program to load by itself; a recommended model or a file is downloaded first."""
    if text.lower() not in session.library.pack.models and re.fullmatch(REPO, text):
        return ModelChoice(plain=text)
    if text.lower() in session.library.pack.models or "/" in text:
        where = relative(folder, session.root)
        fix = f"doit-cargo download_models MODEL={text}"
        raise UserError(Problem(f"{text} is not in {where} yet", fix, "MODEL"))
    known = (*session.library.pack.models, *_stems(folder))
    problem = unknown("model", text, known, "MODEL")
    raise UserError(Problem(problem.what, f"{problem.fix}; or a path, or OWNER/NAME on the hub", "MODEL"))
