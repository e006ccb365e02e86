"""`doit-cargo init`: the few files to begin with, each with what was detected, and never over something that is there.

What is written is decided first (`NewFile`s), then written, then told; a second call finds nothing to do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doit_cargo import makefile as shim
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.model import name_of_member
from doit_cargo.engine.state import store
from doit_cargo.migrate import detect, moving
from doit_cargo.migrate.detect import Findings

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Package, Workspace
    from doit_cargo.session import Session

DODO = '''\
"""The targets of this workspace: `doit list`, or `doit-cargo list`, which needs no file."""
from doit_cargo.api import DOIT_CONFIG, targets_of  # noqa: F401 - doit reads DOIT_CONFIG
targets = targets_of(".")
'''
IGNORED = (".doit-cargo/", ".logs/", ".testlogs/")
PROFILE = "local"
BESIDE = "Makefile.doit"
Ask = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file, relative to the root, with its whole text; or with no text, only what to tell of it."""

    path: str
    text: str | None
    tell: str


def steps(session: Session, ask: Ask | None) -> Iterator[NewFile]:
    """Yield what is to be written and told, but for the Makefile, which shows what the other files say.

    `ask` puts a yes-or-no question to a person, None where nobody answers.
    """
    findings = detect.find(session.workspace)
    yield _dodo(session.root)
    yield _profile(session, findings)
    yield _pack(session, findings, ask)
    yield _ignore(session.root)


def write(session: Session, planned: list[NewFile]) -> Iterator[str]:
    """Write what is planned and yield what to tell. Raises `UserError` where a file cannot be written."""
    _write_schemas(session.state)
    for step in planned:
        if step.text is not None:
            write_file(os.path.join(session.root, step.path), step.text)
        yield step.tell


def write_file(path: str, text: str) -> None:
    """Write a file whole. Raises `UserError` where it cannot be."""
    try:
        atomic.write(path, text)
    except OSError as error:
        raise UserError(Problem(f"cannot write: {error.strerror}", "make it writable", path), COULD_NOT_RUN) from None


def _write_schemas(state: str) -> None:
    """Write the schemas that the files name, beside the state: an editor reads them from there."""
    from doit_cargo.engine.plan.profiles.schema import SCHEMAS, schema

    store.prepare(state)
    for name in SCHEMAS:
        write_file(os.path.join(state, f"{name}.schema.json"), json.dumps(schema(name), indent=1) + "\n")


# --- the files -------------------------------------------------------------------------------------------------------


def _dodo(root: str) -> NewFile:
    old = _read(os.path.join(root, "dodo.py"))
    if old is None:
        return NewFile("dodo.py", DODO, "wrote dodo.py: `doit list` shows the targets beside your own tasks")
    if "targets_of" in old:
        return NewFile("dodo.py", None, "dodo.py has the targets already")
    lines = " and ".join(f"`{line.partition('  #')[0]}`" for line in DODO.splitlines()[1:])
    return NewFile("dodo.py", None, f"dodo.py is yours and stays as it is; to have the targets in it, add {lines}")


def _profile(session: Session, findings: Findings) -> NewFile:
    path = f"profiles/{PROFILE}.toml"
    if _read(os.path.join(session.root, path)) is not None:
        return NewFile(path, None, f"{path} is there already")
    features = [(package, _listed(names)) for package, names in findings.features]
    text = shim.filled(
        "profile.toml.j2",
        name=PROFILE,
        workspace=os.path.basename(session.root),
        found=list(describe(session, findings)),
        features=features,
        example=next((name for _, names in findings.features for name in names), ""),
        tools=_tools(findings),
    )
    return NewFile(path, text, f"wrote {path}: what was found, and a profile to begin with (PROFILE={PROFILE})")


def _pack(session: Session, findings: Findings, ask: Ask | None) -> NewFile:
    path = "profiles/pack.toml"
    migrated = _read(os.path.join(session.root, path)) or ""
    if migrated and not moving.is_taken_over_alone(migrated):
        return NewFile(path, None, f"{path} is there already")
    rules, told = [], []
    for group in _without_rule(session, findings):
        certain = ask(f"Do {_listed(group)} exclude each other?") if ask else None
        if certain is not False:
            pairs = [(name, ", ".join(f'"{other}"' for other in group if other != name)) for name in group]
            rules.append((pairs, bool(certain)))
            told.append(f"{_listed(group)} exclude each other{'' if certain else ' (a guess by their names)'}")
    text = "\n".join(filter(None, [shim.filled("pack.toml.j2", rules=rules), migrated]))
    wrote = "wrote before what was taken over in" if migrated else "wrote"
    return NewFile(path, text, f"{wrote} {path}: " + ("; ".join(told) or "a place for rules and targets of your own"))


def _without_rule(session: Session, findings: Findings) -> Iterator[tuple[str, ...]]:
    """Yield the groups about which the pack says nothing yet."""
    known = session.library.pack.rules
    yield from (group for group in findings.exclusive if not all(name in known for name in group))


def _ignore(root: str) -> NewFile:
    """Lines for git: the folders ignore themselves, but a reader of .gitignore should see them."""
    if not os.path.exists(os.path.join(root, ".git")):
        return NewFile(".gitignore", None, ".gitignore is left alone: this is no root of a git repository")
    old = _read(os.path.join(root, ".gitignore")) or ""
    known = {line.strip().strip("/") for line in old.splitlines()}
    missing = [line for line in IGNORED if line.strip("/") not in known]
    if not missing:
        return NewFile(".gitignore", None, ".gitignore has the lines already")
    end = "" if not old or old.endswith("\n") else "\n"
    return NewFile(".gitignore", old + end + "\n".join(missing) + "\n", f"added to .gitignore: {', '.join(missing)}")


def makefile(session: Session, force: bool) -> NewFile:
    """The shim: in the Makefile's place if there is none or it is ours, after a migration where that has put it, else
    beside it.
    """
    text = shim.render(session.listing, shim.moved(session))
    place = shim.file_name(session)
    old = _read(os.path.join(session.root, place))
    ours = old is None or old.startswith(shim.MARK) or force
    name = place if ours else BESIDE
    if _read(os.path.join(session.root, name)) == text:
        return NewFile(name, None, f"{name} is up to date")
    if ours:
        return NewFile(name, text, f"wrote {name}: `make TARGET` passes on to doit-cargo")
    tell = (
        f"wrote {name}, since {place} is yours: `make -f {name} TARGET`. `doit-cargo migrate` takes over what is "
        "proven equal and leaves the rest to it, `doit-cargo init --force` replaces it"
    )
    return NewFile(name, text, tell)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(Problem(f"cannot read: {error.strerror}", "make it readable", path), COULD_NOT_RUN) from None


# --- what was found, in words ----------------------------------------------------------------------------------------


def describe(session: Session, findings: Findings) -> Iterator[str]:
    """Yield a line for each kind of thing that was found."""
    workspace = session.workspace
    yield f"Members: {_listed(tuple(workspace.packages))}."
    rest = [name for name in workspace.packages if name not in workspace.default_members]
    if rest:
        yield f"Built only by `PACKAGE=all` and targets of the whole workspace: {_listed(tuple(rest))}."
    rows = (
        ("Programs", [f"{binary} ({package})" for package, binary in findings.binaries]),
        ("Bindings", [f"{package}: {what}" for package, what in findings.bindings]),
        ("Generated code", [f"{package} {what}" for package, what in findings.generators]),
        ("Build scripts", list(findings.build_scripts)),
        ("Procedural macros", list(findings.macros)),
        ("Benchmarks", [f"{name} ({package})" for package, name in findings.benches]),
        ("Examples", [f"{name} ({package})" for package, name in findings.examples]),
        ("Workspaces of their own, which nothing here reaches", list(findings.satellites)),
    )
    yield from (f"{title}: {_listed(tuple(names))}." for title, names in rows if names)


def _tools(findings: Findings) -> list[str]:
    """Return the tools that generated code and bindings want, for the commented [needs]."""
    words = " ".join(what for _, what in (*findings.generators, *findings.bindings))
    named = (("protoc", "protoc"), ("libclang", "libclang"), ("nvcc", "nvcc"), ("cmake", "cmake"), ("PyO3", "python"))
    return [tool for word, tool in named if word in words] or ["cmake"]


def _listed(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more


def _example(workspace: Workspace) -> Package:
    """Return the member that people most likely build: of the default members, one with a program comes first."""
    return min(
        workspace.packages.values(),
        key=lambda package: (package.name not in workspace.default_members, not package.binaries),
    )


def next_words(session: Session) -> Iterator[str]:
    """Yield what to type next."""
    member = _example(session.workspace)
    yield "next:"
    yield "  doit-cargo list                what there is"
    yield "  doit-cargo build               in release mode; a second call is skipped, with proof"
    yield f"  doit-cargo build_{name_of_member(member)}"
    yield f"  doit-cargo build PROFILE={PROFILE}"
