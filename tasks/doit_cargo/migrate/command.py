"""`doit-cargo migrate [FILE]` and `doit-cargo makefile --compare FILE`: what a person sees of a migration.

Finds the build file, says what is going to run and where, and prints what became of each target. Decides nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from doit_cargo import makefile
from doit_cargo.engine.base.errors import COULD_NOT_RUN, DONE, FAILED, Problem, UserError
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.state import trust
from doit_cargo.migrate.moving import Move
from doit_cargo.migrate.newside import SHIM, programs
from doit_cargo.migrate.recording.box import Box, Members
from doit_cargo.migrate.sources import finding

if TYPE_CHECKING:
    from doit_cargo.session import Session


def migrate(session: Session, options: argparse.Namespace) -> int:
    """`migrate`: take over what is proven equal, keep the rest with its file, and show both."""
    from doit_cargo import makefile
    from doit_cargo.migrate import moving, start

    path = finding.find(session, next(iter(options.targets), ""))
    with opened(session, path, options.yes) as box:
        source = finding.load(box, path)
        move = moving.plan(session, box, source, tell)
    is_new = not makefile.is_ours(os.path.join(session.root, SHIM))
    for file, text in move.files.items():
        start.write_file(os.path.join(session.root, file), text)
    _write_shim(session, move)
    if options.json:
        print(json.dumps(list(_data(move)), indent=2))
    else:
        _print(_table(move, is_new))
        if source.kind == "make" and makefile.is_ours(os.path.join(session.root, start.BESIDE)):
            print(f"{start.BESIDE}, which init has written, can go: GNUmakefile does more")
    return DONE


def compare(session: Session, path: str, yes: bool, as_json: bool) -> int:
    """`makefile --compare`: the same recording on both sides; fails if anything is lost or unknown."""
    from doit_cargo.migrate import verdicts

    path = finding.find(session, path)
    with opened(session, path, yes) as box:
        found = list(verdicts.compare(session, box, finding.load(box, path), tell))
    if as_json:
        print(json.dumps([verdict.data() for verdict in found], indent=2))
    else:
        _print(verdicts.text_of(found, path))
    return FAILED if any(verdict.is_loss for verdict in found) else DONE


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        print(line)


def opened(session: Session, path: str, yes: bool) -> Box:
    """Return the box for a build file, after saying what will run in it. Raises `UserError` if that is not wanted."""
    box = Box(session.root, session.environ, finding.words_in(session.root, path))
    box.programs = programs(session.workspace, finding.text_of(session.root, path))
    workspace = session.workspace
    folders = frozenset(os.path.relpath(each.directory, session.root) for each in workspace.packages.values())
    is_all = "." not in folders and set(workspace.default_members) == set(workspace.packages)
    box.members = Members(folders, is_all)
    try:
        say = f"each target of {path} is run to see what it does, with stand-ins for all programs, in {box.uses}"
        print(f"doit-cargo: {say}", file=sys.stderr)
        if not (yes or trust.agreed(session.environ) or _is_agreed(box)):
            what = f"reading {path} runs what its own lines ask for, and nobody agreed"
            raise UserError(Problem(what, "--yes, if you trust this file"), COULD_NOT_RUN)
    except BaseException:
        box.__exit__()
        raise
    return box


def _is_agreed(box: Box) -> bool:
    """Ask a person; where nobody is there, only what cannot reach anything is run. What can needs the option."""
    if not box.is_contained or not sys.stdin.isatty():
        return box.is_contained
    try:
        return input("Go on? [Y/n] ").strip().lower() in ("", "y", "yes")
    except EOFError:
        return False


def tell(text: str) -> None:
    """Show what is being done, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


# --- what is written besides the rows --------------------------------------------------------------------------------


def _write_shim(session: Session, move: Move) -> None:
    """Write the shim of the workspace as it now is."""
    from doit_cargo.migrate import start
    from doit_cargo.session import Session

    if move.source.kind == "make":
        renewed = Session(session.start, session.environ, {})
        text = makefile.render(renewed.listing, makefile.moved(renewed))
        start.write_file(os.path.join(session.root, SHIM), text)


# --- what is shown ---------------------------------------------------------------------------------------------------


def _data(move: Move) -> Iterator[dict[str, object]]:
    for name in move.studies:
        reason = move.kept.get(name, "")
        target = "" if reason else move.proposal.stands_for[name]
        variables = [] if reason else list(move.studies[name].variables)
        row = {"name": name, "taken": not reason, "target": target, "reason": reason, "variables": variables}
        asked = {} if reason else {"environment": list(move.studies[name].environment)}
        yield {**row, "calls_cargo": move.studies[name].calls_cargo, **asked}


def _table(move: Move, is_new: bool) -> Iterator[str]:
    """Yield a line for each target, and what there is to know at the end."""
    width = max((len(name) for name in move.studies), default=0)
    for name in move.studies:
        if name in move.kept:
            yield f"kept        {name:{width}}  {move.kept[name]}"
        else:
            yield f"taken over  {name:{width}}  {_how(move, name)}"
    source = move.source
    for pattern in source.patterns:
        what = "every other name" if pattern == "%" else "a pattern"
        yield f"kept        {pattern:{width}}  {what}: goes on to {source.file}"
    calls = [name for name, each in move.studies.items() if each.calls_cargo]
    counts = f"{len(move.taken)} taken over, {len(move.kept)} kept"
    yield f"{counted(len(move.studies), 'target')}, {len(calls)} of them call cargo: {counts}"
    yield from _next(move, is_new)


def _how(move: Move, name: str) -> str:
    target = move.proposal.stands_for[name]
    words = [f"= {target}"] if target not in move.proposal.tables else [f"as {target}"]
    if variables := move.studies[name].variables:
        words.append(f"(with {', '.join(variables)}: as before, by the old file)")
    if asked := move.studies[name].environment:
        words.append(f"({', '.join(asked)}: asked of {move.source.file} by each make)")
    if move.studies[name].left_out:
        words.append(f"(whenever it is needed, whatever the age of {', '.join(move.studies[name].made.absent)})")
    if lead := move.studies[name].lead:
        words.append(f"(after {' '.join(lead)})")
    if tail := move.studies[name].tail:
        words.append(f"(then {' '.join(tail)})")
    if told := move.proposal.told.get(name):
        words.append(f"since {told}")
    return " ".join(words)


def _next(move: Move, is_new: bool) -> Iterator[str]:
    source = move.source
    profiles = ", ".join(f"profiles/{name}.toml" for name in move.proposal.profiles)
    yield f"the rows are in profiles/pack.toml{f', what they set is in {profiles}' if profiles else ''}"
    if source.kind == "make":
        wrote = "wrote" if is_new else "renewed"
        stays = f"is now {source.file}" if source.aside else "stays as it is"
        old = next(iter(source.aside), source.file)
        yield f"{wrote} GNUmakefile, which make reads first; {old} {stays} and does what is kept"
        yield f"`doit-cargo makefile --compare {source.file}` records both sides again"
    else:
        yield f"{source.file} stays as it is: `{makefile.CALLED[source.kind]} NAME` does what is kept"
    yield from source.notes
