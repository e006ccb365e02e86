"""What one checkout wishes for itself: ``settings.toml`` beside its state, which git never sees.

The place for what depends on the computer at hand and therefore has no business in a committed file. Knows the keys
and nothing of what they do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.toml.locations import TomlFile
from doit_cargo.engine.plan.profiles.files import problems_of
from doit_cargo.engine.plan.profiles.kinds import FLAG, Section
from doit_cargo.engine.state import store

NAME = "settings.toml"
KEYS: Section = {"sccache": FLAG}


def path_of(root: str, environ: Mapping[str, str]) -> str:
    """Return where the settings of a workspace are, written or not."""
    return os.path.join(store.state_directory(root, environ), NAME)


def read(root: str, environ: Mapping[str, str]) -> Mapping[str, object]:
    """Return the settings of a workspace; none where there is no file. Raises `UserError` for a wrong one."""
    path = path_of(root, environ)
    if not os.path.exists(path):
        return {}
    file = TomlFile.read(path, path)
    problems = list(problems_of(file, KEYS))
    if problems:
        raise UserError(problems)
    return file.values


def write(root: str, environ: Mapping[str, str], key: str, value: bool) -> str:
    """Set one key and keep the others; return the path of the file. Raises OSError."""
    import tomlkit

    path = path_of(root, environ)
    store.prepare(os.path.dirname(path))
    document = tomlkit.document()
    document.update({**read(root, environ), key: value})
    atomic.write(path, tomlkit.dumps(document))
    return path
