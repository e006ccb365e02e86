"""model_inventory: what lies in the folder of models, read from the files' own heads, as JSON and as a table.

A model is a file, or all shards of one name. The inventory holds what check_models needs: size and SHA-256 of each
file. A checksum is taken over from the last inventory where a file has the same size and time; FORCE=1 counts again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypedDict, cast

from doit_cargo.actions.models.header import Header
from doit_cargo.actions.models.places import ENDINGS, folder_of, model_files
from doit_cargo.actions.models.readers import of_file
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import BAD_INPUT, COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.model import ActionInputs
from doit_cargo.engine.base.tables import aligned, counted, size_of
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state.dir_listing import MATCHING

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

NAME = "MODEL_INVENTORY.json"
VERSION = 1
SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
MAX_CONFIG, MAX_INVENTORY = 10 << 20, 50 << 20
SLOW_TO_HASH = 1 << 30


class ModelFile(TypedDict):
    """A file of a model, by its path below the folder."""

    path: str
    size_bytes: int
    modified_ns: int
    sha256: str


class Model(TypedDict):
    """A model: one file, or all shards of one name."""

    name: str
    path: str
    format: str
    architecture: str
    quantisation: str
    parameters: int
    context_length: int
    size_bytes: int
    size_gb: float
    problem: str
    files: list[ModelFile]


class Inventory(TypedDict):
    """What is written: the folder as seen from the workspace, and the models in it."""

    version: int
    folder: str
    models: list[Model]


def path_of(session: Session) -> str:
    """Return where the inventory is written."""
    return os.path.join(session.root, NAME)


def write(session: Session, values: Values) -> bool:
    """Write the inventory of MODEL_DIR and print it."""
    folder = folder_of(session, values)
    require_folder(session, values)
    known = {} if session.forced else _known(session, folder)
    models = [_entry(folder, paths, known, session.current) for paths in _grouped(model_files(folder))]
    data: Inventory = {"version": VERSION, "folder": reporter.relative(folder, session.root), "models": models}
    atomic.write(path_of(session), json.dumps(data, indent=2) + "\n")
    print(table(models))
    broken = [model["path"] for model in models if model["problem"]]
    if broken:
        reporter.note(session.current, f"{len(broken)} of {len(models)} cannot be loaded, see above")
    reporter.done(
        session.current,
        f"{NAME}: {counted(len(models), 'model')}, {size_of(sum(model['size_bytes'] for model in models))}",
    )
    return True


def watch(session: Session, values: Values) -> ActionInputs:
    """Return the model files and what describes them: while these are the same, the inventory is right."""
    folder = folder_of(session, values)
    patterns = (*(f"**/*{ending}" for ending in ENDINGS), "**/config.json")
    return ActionInputs(folders={folder: (MATCHING, "", *patterns)}, outputs=(path_of(session),))


def require_folder(session: Session, values: Values) -> None:
    """Raise `UserError` if there is no folder of models."""
    folder = folder_of(session, values)
    if not os.path.isdir(folder):
        fix = "doit-cargo download_models gets the recommended ones; MODEL_DIR= names another folder"
        what = f"there is no folder of models: {reporter.relative(folder, session.root)}"
        raise UserError(Problem(what, fix, "MODEL_DIR" if values.text("MODEL_DIR") else ""))


def _grouped(paths: Iterable[str]) -> list[list[str]]:
    """Return files, the shards of one model together."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(SHARD.sub("", os.path.splitext(path)[0]) + os.path.splitext(path)[1], []).append(path)
    return list(groups.values())


def _entry(folder: str, paths: list[str], known: Mapping[str, ModelFile], target: str) -> Model:
    headers = [of_file(path) for path in paths]
    first = headers[0]
    files = [_file(folder, path, known, target) for path in paths]
    stem = SHARD.sub("", os.path.splitext(os.path.basename(paths[0]))[0])
    size = sum(file["size_bytes"] for file in files)
    return {
        "name": first.name or (stem if stem != "model" else os.path.basename(os.path.dirname(paths[0]))),
        "path": files[0]["path"],
        "format": first.format,
        "architecture": first.architecture or _architecture(os.path.dirname(paths[0])),
        "quantisation": first.quantisation,
        "parameters": sum(header.parameters for header in headers),
        "context_length": first.context_length,
        "size_bytes": size,
        "size_gb": round(size / 1e9, 3),
        "problem": _problem(paths, headers),
        "files": files,
    }


def _problem(paths: list[str], headers: list[Header]) -> str:
    """Return what is wrong with a model: a shard that is missing, or the first problem of a file."""
    match = SHARD.search(os.path.splitext(paths[0])[0])
    expected = int(match[2]) if match else 1
    problems = [f"{expected - len(paths)} of {expected} shards are missing"] if len(paths) < expected else []
    both = zip(paths, headers, strict=True)
    problems += [f"{os.path.basename(path)}: {one.problem}" for path, one in both if one.problem]
    return problems[0].removeprefix(f"{os.path.basename(paths[0])}: ") if problems else ""


def _file(folder: str, path: str, known: Mapping[str, ModelFile], target: str) -> ModelFile:
    name = os.path.relpath(path, folder).replace(os.sep, "/")
    if not os.path.isfile(path):  # a link to nothing
        return {"path": name, "size_bytes": 0, "modified_ns": 0, "sha256": ""}
    status = os.stat(path)
    size, modified, old = status.st_size, status.st_mtime_ns, known.get(name)
    same = old and (old["size_bytes"], old.get("modified_ns")) == (size, modified)
    digest = (old.get("sha256") if old and same else "") or checksum(path, target)
    return {"path": name, "size_bytes": size, "modified_ns": modified, "sha256": digest}


def checksum(path: str, target: str) -> str:
    """Return the SHA-256 of a file in hexadecimal, or "" if it cannot be read; says so where that takes a while."""
    if os.path.getsize(path) > SLOW_TO_HASH:
        reporter.note(target, f"checksum of {os.path.basename(path)}, {size_of(os.path.getsize(path))}")
    with contextlib.suppress(OSError), open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
    return ""


def _architecture(folder: str) -> str:
    """Return the architecture that a config.json beside the model names (transformers' file)."""
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as stream:
            config = json.loads(stream.read(MAX_CONFIG))
    except (OSError, ValueError, RecursionError):
        return ""
    if not isinstance(config, dict):
        return ""
    names = config.get("architectures")
    found = names[0] if isinstance(names, list) and names else config.get("model_type", "")
    return found if isinstance(found, str) else ""


def read(session: Session) -> Inventory:
    """Return the inventory on disk; raises `UserError` if there is none or if it is not ours."""
    path = path_of(session)
    again = "doit-cargo model_inventory writes it"
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.loads(stream.read(MAX_INVENTORY))
    except FileNotFoundError:
        raise UserError(Problem(f"there is no {NAME}", again), COULD_NOT_RUN) from None
    except json.JSONDecodeError as error:
        raise UserError(Problem(f"this is not JSON: {error.msg}", f"{again} anew", f"{NAME}:{error.lineno}")) from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(Problem(f"cannot read it: {error}", f"{again} anew", NAME), BAD_INPUT) from None
    if not _is_ours(data):
        raise UserError(Problem("this is not an inventory that doit-cargo wrote", f"{again} anew", NAME))
    return cast("Inventory", data)


def _is_ours(data: object) -> bool:
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get("models"), list):
        return False
    models = data["models"]
    if not isinstance(data.get("folder"), str) or not all(isinstance(model, dict) for model in models):
        return False
    return all(_is_file(file) for model in models for file in model.get("files") or [None])


def _is_file(file: object) -> bool:
    if not isinstance(file, dict):
        return False
    return isinstance(file.get("path"), str) and isinstance(file.get("size_bytes"), int)


def _known(session: Session, folder: str) -> dict[str, ModelFile]:
    """Return the files of the last inventory of this folder, by path."""
    try:
        data = read(session)
    except UserError:
        return {}
    if data["folder"] != reporter.relative(folder, session.root):
        return {}
    return {file["path"]: file for model in data["models"] for file in model["files"]}


def table(models: list[Model]) -> str:
    """Return the inventory for a person."""
    head = ("model", "format", "architecture", "quantisation", "parameters", "context", "size", "problem")
    return aligned([head, *(_row(model) for model in models)])


def _row(model: Model) -> tuple[str, ...]:
    return (
        model["path"],
        model["format"],
        model["architecture"] or "-",
        model["quantisation"] or "-",
        _count(model["parameters"]),
        str(model["context_length"] or "-"),
        size_of(model["size_bytes"]),
        model["problem"],
    )


def _count(number: int) -> str:
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.2f} {name}"
    return str(number or "-")
