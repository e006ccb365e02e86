"""`doit-cargo init --ci` and `--editor`: files for a build service and for an editor, never over something of yours.

What is written is decided first; a file that is there and says something else is told and left alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from doit_cargo import __version__
from doit_cargo.actions.ci import matrix
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import Absent, Problem, UserError, unknown
from doit_cargo.engine.base.files import read_text
from doit_cargo.makefile import filled

if TYPE_CHECKING:
    from doit_cargo.session import Session

SERVICES = {
    "github": (".github/workflows/doit-cargo.yml", "ci.github.j2"),
    "gitlab": (".gitlab-ci.yml", "ci.gitlab.j2"),
}
EDITORS = ("vscode",)
SCHEMAS = ".vscode/doit-cargo"
TASKS = ("build", "dev", "check", "lint", "test", "ci")


def service(session: Session, name: str, force: bool) -> Iterator[str]:
    """Write the file of a build service and yield what to tell. Raises `UserError` for one that nobody knows."""
    if name not in SERVICES:
        raise UserError(unknown("service", name, tuple(SERVICES), "--ci"))
    path, template = SERVICES[name]
    wanted = session.library.pack.requires or f">={__version__}"
    text = filled(template, marks=("[[", "]]"), requires=wanted, jobs=matrix.jobs(session))
    told = list(_write(session, {path: text}, force))
    yield from told
    if not told[0].startswith("wrote"):
        return
    if name == "github":
        yield "next: add a secret DOIT_CARGO_KEY (openssl rand -hex 32), so that a run believes the last one's receipts"
    else:
        yield "next: add a masked variable DOIT_CARGO_KEY (openssl rand -hex 32), so that receipts hold between jobs"


def editor(session: Session, name: str, force: bool) -> Iterator[str]:
    """Write the files of an editor and yield what to tell."""
    from doit_cargo.engine.plan.profiles.schema import SCHEMAS as NAMES
    from doit_cargo.engine.plan.profiles.schema import schema

    if name not in EDITORS:
        raise UserError(unknown("editor", name, EDITORS, "--editor"))
    files = {f"{SCHEMAS}/{one}.schema.json": _json(schema(one)) for one in NAMES}
    files[".vscode/tasks.json"] = _json(_tasks(session))
    files[".vscode/settings.json"] = _json(_settings(session))
    yield from _write(session, files, force)


def _write(session: Session, files: dict[str, str], force: bool) -> Iterator[str]:
    for path, text in files.items():
        full = os.path.join(session.root, path)
        old = read_text(full)
        if old == text:
            yield f"{path} is up to date"
        elif old and not force and not path.startswith(SCHEMAS):
            yield f"{path} is yours and stays as it is; --force writes over it"
        else:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            atomic.write(full, text)
            yield f"wrote {path}"


def _json(found: object) -> str:
    return json.dumps(found, indent=2) + "\n"


def _tasks(session: Session) -> dict[str, object]:
    """Return the tasks; rustc's messages are found by the matcher of rust-analyzer's extension."""
    found = [row for row in session.listing if row["available"] and row["name"] in TASKS]
    return {"version": "2.0.0", "tasks": [_task(row["name"], row["doc"]) for row in found]}


def _task(name: str, doc: str) -> dict[str, object]:
    group = {"build": {"kind": "build", "isDefault": True}, "test": {"kind": "test", "isDefault": True}}.get(name)
    task = {"label": f"doit-cargo {name}", "detail": doc, "type": "process", "command": "doit-cargo", "args": [name]}
    return {**task, "problemMatcher": ["$rustc"], **({"group": group} if group else {})}


def _settings(session: Session) -> dict[str, object]:
    """Return settings by which rust-analyzer checks what `check` checks, in a target directory of its own: two cargos
    in one wait for each other.
    """
    try:
        features = list(session.new_plan("check").features)
    except Absent:
        features = []
    except UserError as error:
        raise UserError([Problem(f"check: {one.what}", one.fix, one.where) for one in error.problems]) from None
    lint = session.known_row("lint")
    return {
        "rust-analyzer.cargo.targetDir": True,
        "rust-analyzer.cargo.features": features,
        "rust-analyzer.check.command": "clippy" if lint and lint["available"] else "check",
        "evenBetterToml.schema.associations": {
            r"^.*/profiles/pack\.toml$": f"./{SCHEMAS}/pack.schema.json",
            r"^.*/profiles/(?!pack|hints|sysdeps)[^/]*\.toml$": f"./{SCHEMAS}/profile.schema.json",
        },
    }
