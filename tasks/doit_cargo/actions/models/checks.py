"""check_models: the files on disk against the inventory: there, readable, whole, and of the same content."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from doit_cargo.actions.models import inventory
from doit_cargo.actions.models.places import folder_of, model_files, place_of
from doit_cargo.actions.models.readers import of_file
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.tables import aligned, counted
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.actions.models.inventory import ModelFile
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

GOOD = "ok"


def check(session: Session, values: Values) -> bool:
    """Compare each file of the inventory with the disk, contents included; a difference is a failure."""
    data = inventory.read(session)
    folder = folder_of(session, values) if values.text("MODEL_DIR") else os.path.join(session.root, data["folder"])
    expected = {file["path"]: file for model in data["models"] for file in model["files"]}
    published = _published(session, folder)
    found = {path: _verdict(session, folder, file, published.get(path, "")) for path, file in expected.items()}
    if found:
        print(aligned([("file", "result"), *found.items()]))
    _tell_new_files(session, folder, expected)
    bad = [path for path, verdict in found.items() if verdict != GOOD]
    if bad:
        reporter.failed(session.current, f"{len(bad)} of {counted(len(found), 'file')} not what {inventory.NAME} says")
        return False
    reporter.done(
        session.current,
        f"{counted(len(found), 'file')} there, whole and unchanged: {reporter.relative(folder, session.root)}",
    )
    return True


def require_inventory(session: Session, values: Values) -> None:
    """Raise `UserError` if there is no inventory, or if MODEL_DIR names no folder."""
    inventory.read(session)
    if values.text("MODEL_DIR"):
        inventory.require_folder(session, values)


def _published(session: Session, folder: str) -> dict[str, str]:
    """Return the checksums that the pack has for recommended models, by path below the folder."""
    models = session.library.pack.models.values()
    return {
        os.path.relpath(place_of(source, folder), folder).replace(os.sep, "/"): source.sha256
        for source in models
        if source.sha256
    }


def _verdict(session: Session, folder: str, file: ModelFile, published: str) -> str:
    path = os.path.join(folder, *file["path"].split("/"))
    if not os.path.isfile(path):
        return "missing"
    size, wanted = os.path.getsize(path), file["size_bytes"]
    if size != wanted:
        return f"{'truncated' if size < wanted else 'too long'}: {size:,} bytes of {wanted:,}"
    problem = of_file(path).problem
    if problem:
        return problem
    digest = inventory.checksum(path, session.current)
    if digest != file.get("sha256"):
        return "changed: its checksum differs from the inventory's"
    if published and digest != published:
        return "not the published file: its checksum differs from the hub's"
    return GOOD


def _tell_new_files(session: Session, folder: str, expected: Mapping[str, ModelFile]) -> None:
    names = {os.path.relpath(path, folder).replace(os.sep, "/") for path in model_files(folder)}
    new = sorted(names - set(expected))
    if new:
        reporter.note(session.current, f"not in the inventory: {shortened(new, 3)}; doit-cargo model_inventory adds it")
