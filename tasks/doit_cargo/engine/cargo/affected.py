"""Which members of a workspace the changes since a commit can affect: `SINCE=origin/main`.

A changed file belongs to the innermost member around it and to whoever has read it; what belongs to none is every
member's business, unless what is on record of the targets shows that none reads it. Members that rest on an affected
one are affected, too. Asks git; runs nothing of the checkout.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from doit_cargo.engine.base.errors import BAD_INPUT, COULD_NOT_RUN, DONE, Problem, UserError
from doit_cargo.engine.base.model import Workspace
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.cargo.discovery import path_dependencies
from doit_cargo.engine.cargo.metadata import dependents

GIT_SECONDS = 60.0
# Whatever lies in these, it is none of cargo's inputs: our own state and logs, git's, and dodo.py as doit compiled it.
OURS = (".doit-cargo", ".logs", ".testlogs", ".git", "__pycache__")
# Files that shape every member's build, wherever they are above it.
EVERYBODYS = ("Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml", "config.toml", "config")

ReadersOf = Callable[[str], Iterable[str]]
"""A file -> the packages of which a result on record rests on it ("": nobody knows which)."""


class Affected(NamedTuple):
    """The members in the workspace's order, each with why: a changed file, or a member that it rests on."""

    since: str
    members: Mapping[str, str]
    ignored: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield what is told of it."""
        width = max(map(len, self.members), default=0)
        yield f"since {self.since}: {len(self.members)} affected"
        yield from (f"  {name:{width}}  {reason}" for name, reason in self.members.items())
        if self.ignored:
            yield f"  nothing on record reads {shortened(self.ignored, 6)}"


def since(
    commit: str, workspace: Workspace, environ: Mapping[str, str], readers_of: Callable[[list[str]], ReadersOf | None]
) -> Affected:
    """Return the members that changes since a commit can affect. `readers_of` tells, for the files that changed, who
    reads what; None where nobody knows. Raises `UserError` where git cannot tell.
    """
    reasons: dict[str, str] = {}
    ignored: list[str] = []
    changed = _changed(commit, workspace.root, environ)
    readers = readers_of(changed)
    for path in changed:
        shown = os.path.relpath(path, workspace.root).replace(os.sep, "/")
        owners = _owners(path, workspace, readers)
        if not owners:
            ignored.append(shown)
        for name in owners:
            reasons.setdefault(name, f"{shown} changed")
    for name, folder in _rest_on_unknown(commit, workspace, environ):
        reasons.setdefault(name, f"rests on {os.path.relpath(folder, workspace.root)}, of which git tells nothing")
    for name in dependents(workspace, tuple(reasons), dev=True):
        reasons.setdefault(name, f"rests on {_first_below(name, reasons, workspace)}")
    members = {name: reasons[name] for name in workspace.packages if name in reasons}
    return Affected(commit, members, tuple(ignored))


def in_package(given: Mapping[str, str], found: Affected) -> dict[str, str]:
    """Return variables with what SINCE means in PACKAGE. Raises `UserError`, of the code of success for nothing."""
    if not found.members:
        raise UserError(Problem(f"nothing to do: no member is affected since {found.since}"), DONE)
    if given.get("PACKAGE"):
        raise UserError(Problem("SINCE and PACKAGE both choose packages", "leave one of them out"))
    others = {name: value for name, value in given.items() if name != "SINCE"}
    return {**others, "PACKAGE": ",".join(found.members)}


def _first_below(name: str, reasons: Mapping[str, str], workspace: Workspace) -> str:
    edges = (edge.name for edge in workspace.packages[name].dependencies)
    return next((edge for edge in edges if edge in reasons), "one of them")


def _changed(commit: str, root: str, environ: Mapping[str, str]) -> list[str]:
    """Return the files that differ from where this branch has left `commit`, also those that git does not know yet."""
    base = _git(["merge-base", commit, "HEAD"], root, environ, commit).strip()
    top = _git(["rev-parse", "--show-toplevel"], root, environ, commit).strip()
    found = _git(["diff", "--name-only", "-z", "--no-renames", base, "--"], root, environ, commit)
    new = _git(["ls-files", "--others", "--exclude-standard", "--full-name", "-z", ":/"], root, environ, commit)
    tagged = _git(["ls-files", "-v", "--full-name", "-z", ":/"], root, environ, commit).split("\0")
    unseen = (line[2:] for line in tagged if line[:1] == "S" or line[:1].islower())  # told to look away
    there = (name for name in unseen if os.path.lexists(os.path.join(top, name)))
    paths = (os.path.normpath(os.path.join(top, name)) for name in (*(found + new).split("\0"), *there) if name)
    return [path for path in dict.fromkeys(paths) if not set(path.split(os.sep)) & set(OURS)]


def _rest_on_unknown(commit: str, workspace: Workspace, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the members that rest on a package outside the workspace, and where it lies, of whose files this repository
    knows none: it is another one's, or ignored.
    """
    members = {package.directory for package in workspace.packages.values()}
    known: dict[str, bool] = {}
    for name, package in workspace.packages.items():
        waiting, seen = [one.path for one in package.dependencies if one.path], set(members)
        while waiting:
            folder = waiting.pop()
            if folder in seen:
                continue
            seen.add(folder)
            if folder not in known:
                known[folder] = _is_known(folder, commit, workspace.root, environ)
            if not known[folder]:
                yield name, folder
            waiting += path_dependencies(folder)


def _is_known(folder: str, commit: str, root: str, environ: Mapping[str, str]) -> bool:
    top = _git(["rev-parse", "--show-toplevel"], root, environ, commit).strip()
    is_within = f"{os.path.realpath(folder)}{os.sep}".startswith(f"{os.path.realpath(top)}{os.sep}")
    return is_within and bool(_git(["ls-files", "-z", "--", os.path.realpath(folder)], root, environ, commit))


def _git(words: list[str], root: str, environ: Mapping[str, str], commit: str) -> str:
    if commit.startswith("-"):
        raise UserError(Problem(f"SINCE={commit} is no name of a commit", "for example: SINCE=origin/main"))
    done = processes.answer([*processes.GIT, *words], environ, GIT_SECONDS, root)
    if not done.ok:
        reason = (done.err.strip().splitlines() or ["git does not answer"])[0]
        fix = "name a commit or branch that is here, for example SINCE=HEAD~1; in a CI's clone: git fetch origin main"
        raise UserError(Problem(f"SINCE={commit}: {reason}", fix), COULD_NOT_RUN if done.status == 127 else BAD_INPUT)
    return done.out


def _owners(path: str, workspace: Workspace, readers: ReadersOf | None) -> Iterable[str]:
    """Return the members that a changed file is an input of."""
    everybody = tuple(workspace.packages)
    if os.path.basename(path) in EVERYBODYS and os.path.dirname(path) in _above(workspace):
        return everybody
    if workspace.is_built(path):
        return ()
    own = workspace.owner_of(path)
    if readers is None:
        return (own,) if own else everybody
    found = dict.fromkeys([own, *readers(path)] if own else readers(path))
    return found if all(name in workspace.packages for name in found) else everybody


def _above(workspace: Workspace) -> tuple[str, ...]:
    return workspace.root, os.path.join(workspace.root, ".cargo")
