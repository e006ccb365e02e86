"""What a profile declares as inputs that cargo cannot see: files, folders with all that they hold, and patterns.

Knows where they are on disk, and nothing of what rests on them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from doit_cargo.engine.base import NamedTuple, own_key
from doit_cargo.engine.base.errors import Problem, UserError, nearest, unknown
from doit_cargo.engine.base.model import DeclaredInputs, Workspace
from doit_cargo.engine.state import dir_listing, fingerprint

MARKS = "*?["
EVERYTHING = ("watched",)
ALL = "all"  # under `complete`: every package


class Declared(NamedTuple):
    """What names stand for: files, and the folders of which a listing counts, each with its rule."""

    files: tuple[str, ...]
    folders: dict[str, tuple[str, ...]]

    def found(self) -> list[str]:
        """Return every file there is."""
        listed = [os.path.join(top, name) for top, rule in self.folders.items() for name in _names(top, rule)]
        return list(dict.fromkeys([*(path for path in self.files if os.path.exists(path)), *listed]))


def _names(top: str, rule: tuple[str, ...]) -> tuple[str, ...]:
    return dir_listing.list_tree(top, rule)[1]


def of(workspace: Workspace, names: Iterable[str]) -> Declared:
    """Return what these names, relative to the root, stand for."""
    files: list[str] = []
    folders: dict[str, tuple[str, ...]] = {}
    for name in names:
        path = os.path.normpath(os.path.join(workspace.root, name))
        if os.path.isdir(path):
            folders[_as_folder(path)] = EVERYTHING
        elif is_pattern(name) and not os.path.lexists(path):
            base, pattern = _split(name)
            top = _as_folder(os.path.normpath(os.path.join(workspace.root, base)))
            known = folders.get(top) or (dir_listing.MATCHING, os.pathsep.join(workspace.built_in))
            folders[top] = known if known == EVERYTHING else (*known, pattern)
        else:
            files.append(path)
    return Declared(tuple(files), folders)


def is_pattern(name: str) -> bool:
    """Tell whether a name stands for what it matches."""
    return any(mark in name for mark in MARKS)


def _as_folder(path: str) -> str:
    """Return a folder's name with a slash at its end: it may be listed by another rule besides."""
    return os.path.join(path, "")


def _split(name: str) -> tuple[str, str]:
    """Return the part of a pattern that is a plain folder, and the rest.

    >>> _split("schema/v1/**/*.json"), _split("*.json")
    (('schema/v1', '**/*.json'), ('', '*.json'))
    """
    parts = name.replace(os.sep, "/").split("/")
    plain = next(index for index, part in enumerate(parts) if is_pattern(part))
    return "/".join(parts[:plain]), "/".join(parts[plain:])


def digest(workspace: Workspace, name: str) -> str:
    """Return the content of all that a name stands for, names included; of a single file its own."""
    declared = of(workspace, (name,))
    if not declared.folders:
        return (fingerprint.digest(declared.files[0]) or b"").hex()
    whole = own_key.blake2b(digest_size=16)
    for path in declared.found():
        whole.update(os.fsencode(path) + b"\0" + (fingerprint.digest(path) or b""))
    return whole.hexdigest()


def require(workspace: Workspace, inputs: DeclaredInputs) -> None:
    """Raise `UserError` for each name that stands for nothing, since a typing error must not look like a guarded input,
    and for what is too large to be read each time that it changes.
    """
    places = (*inputs.places, *("" for _ in inputs.files[len(inputs.places) :]))
    problems = [
        _problem(workspace, name, where)
        for name, where in zip(inputs.files, places, strict=True)
        if not os.path.isdir(os.path.join(workspace.root, name)) and not of(workspace, (name,)).found()
    ]
    problems += [
        _written(name, where)
        for name, where in zip(inputs.files, places, strict=True)
        if _holds_builds(workspace, name)
    ]
    problems += [
        problem
        for name, where in zip(inputs.files, places, strict=True)
        if not _holds_builds(workspace, name)
        for problem in _too_large(workspace, name, where)
    ]
    known = (*workspace.packages, ALL)
    problems += [unknown("package", name, known, "[inputs] complete") for name in inputs.complete if name not in known]
    members = tuple(workspace.packages)
    problems += [
        unknown("package", name, members, "[inputs] packages") for name in inputs.packages if name not in members
    ]
    if problems:
        raise UserError(problems)


def _holds_builds(workspace: Workspace, name: str) -> bool:
    folder = os.path.realpath(os.path.join(workspace.root, name))
    return any(f"{os.path.realpath(place)}/".startswith(f"{folder.rstrip('/')}/") for place in workspace.built_in)


def _written(name: str, where: str) -> Problem:
    what = f"[inputs] files: {name!r} holds the target directory, so each build would change it"
    return Problem(what, "name the folders and files in it that count", where)


def _too_large(workspace: Workspace, name: str, where: str) -> Iterator[Problem]:
    try:
        dir_listing.require_readable(workspace.root, of(workspace, (name,)).found())
    except dir_listing.TooLarge:
        most = f"{dir_listing.MOST_BYTES >> 30} GiB or {dir_listing.MOST_FILES:,} files"
        fix = "declare what tells of its changes instead: a checksum or a version beside it"
        yield Problem(f"[inputs] files: {name!r} is more than {most}, which is not looked through", fix, where)


def _problem(workspace: Workspace, name: str, where: str) -> Problem:
    what = "no file matches" if is_pattern(name) else "there is no file or folder"
    guess = _guess(workspace.root, name.replace(os.sep, "/").split("/"))
    fix = f"did you mean {guess!r}? " if guess else ""
    fix += "names are relative to the workspace's root; * and ? stop at a slash, **/ stands for any folders"
    return Problem(f"[inputs] files: {what} {name!r}", fix, where)


def _guess(root: str, parts: list[str]) -> str:
    """Return the name with the first part that leads nowhere replaced by the nearest one that leads somewhere."""
    folder = root
    for index, part in enumerate(parts):
        path = os.path.join(folder, part)
        if os.path.exists(path) or part == "**":
            folder = folder if part == "**" else path
            continue
        found = nearest(part, tuple(_candidates(folder, part, deep="**" in parts[:index])))
        return "/".join([*parts[:index], found, *parts[index + 1 :]]) if found else ""
    return ""


def _candidates(folder: str, part: str, deep: bool) -> Iterator[str]:
    names = _names(folder, EVERYTHING) if deep else os.listdir(folder) if os.path.isdir(folder) else ()
    for name in map(os.path.basename, names):
        yield f"*{os.path.splitext(name)[1]}" if part.startswith("*.") else name
