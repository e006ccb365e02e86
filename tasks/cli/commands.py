"""The commands around targets: what exists, what would run, what a profile sets, the Makefile shim.

Each command is one function (session, options) -> exit code, named by its row in `table`; the doit commands of the
same names call them too.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from typing import Any

from doit_cargo import listing
from doit_cargo.engine.errors import DONE, FAILED, Problem, UserError, unknown
from doit_cargo.engine.plain_text import one_line, phrase
from doit_cargo.engine.receipts import normalise
from doit_cargo.session import CARGO, Session


def list_targets(session: Session, options: argparse.Namespace) -> int:
    """`list`: the targets of this workspace by family."""
    rows = [row for row in session.listing if row["available"] or options.all or options.json]
    if options.json:
        keys = ("name", "make_name", "family", "doc", "available", "reason", "kind", "rule")
        print(json.dumps([{key: row[key] for key in keys} for row in rows], indent=2))
        return DONE
    listing.show(rows)
    return DONE


def plan_target(session: Session, options: argparse.Namespace) -> int:
    """`plan`: what a target would run, without running it."""
    from doit_cargo.engine import plan

    found = []
    for name in wanted(options, "plan"):
        calls = [part for part in session.parts(name) if session.row(part)["kind"] == CARGO]
        if not calls:
            what = f"{normalise(name)} is not made of cargo calls that could be shown beforehand"
            raise UserError(Problem(what, f"doit-cargo help {normalise(name)} tells what it does"))
        session.variables(normalise(name))
        found += [plan.to_json(session.new_plan(part)) for part in calls]
    if options.json:
        print(json.dumps(found[0] if len(found) == 1 else found, indent=2))
    else:
        for one in found:
            _print_plan(one)
    return DONE


def wanted(options: argparse.Namespace, command: str) -> list[str]:
    """Return the targets that a command was given, at least one."""
    if not options.targets:
        raise UserError(Problem(f"{command} needs a target", f"for example: doit-cargo {command} build"))
    return list(options.targets)


def _print(line: str) -> None:
    print(one_line(line))


def _print_plan(plan: dict[str, Any]) -> None:
    _print(f"{plan['target']}: profile {plan['profile']}, cargo profile {plan['cargo_profile']}")
    _print(f"  packages  {', '.join(plan['packages'])}")
    _print(f"  features  {', '.join(plan['features']) or 'default'}")
    for step in plan["steps"]:
        for name, value in step["env"].items():
            _print(f"  env       {name}={value}")
        for name in step["unset"]:
            _print(f"  unset     {name}")
        for folder in step["path_prepend"]:
            _print(f"  PATH      {folder} first")
        _print(f"  in        {step['cwd']}")
        _print(f"  run       {' '.join(_quoted(word) for word in step['argv'])}")
    for output in plan["outputs"]:
        _print(f"  makes     {output}")
    for tool, specifier in plan["needs"].items():
        _print(f"  needs     {tool} {specifier}".rstrip())
    _print(f"  log       {plan['log']}")
    for note in plan["notes"]:
        _print(f"  note      {note}")


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)


def show_profile(session: Session, options: argparse.Namespace) -> int:
    """`profile`: a composed profile as TOML, each value with the file and line that set it."""
    from doit_cargo.engine.profiles.text import to_toml

    if not options.targets:
        print("\n".join(f"{name:15} {phrase(session.library.compose(name).doc)}" for name in session.library.names()))
        return DONE
    for name in options.targets:
        if not session.library.has(normalise(name)):
            raise UserError(unknown("profile", name, session.library.names()))
        print(to_toml(session.library.compose(normalise(name))), end="")
    return DONE


def makefile(session: Session, options: argparse.Namespace) -> int:
    """`makefile`: write the shim, or check that the file on disk is the one that would be written."""
    from doit_cargo import makefile as shim

    if options.compare:
        return _compare(session, options)
    path = os.path.join(session.root, options.output or "Makefile")
    text = shim.render(session.listing)
    if not options.check:
        print(shim.write(path, text, options.force))
        return DONE
    difference = shim.difference(path, text)
    print(difference or f"{path} is up to date")
    return FAILED if difference else DONE


def _compare(session: Session, options: argparse.Namespace) -> int:
    """Print what became of each target of an old Makefile; fail if something that it did is lost."""
    from doit_cargo.adopt import compare, makefiles

    given = [name for name in ("check", "force", "output") if getattr(options, name)]
    if given:
        raise UserError(Problem(f"--{given[0]} does not go with --compare", "leave one of them out"))
    verdicts = compare.compare(makefiles.read(options.compare, session.environ), session)
    if options.json:
        print(json.dumps([dataclasses.asdict(verdict) for verdict in verdicts], indent=2))
    else:
        print("\n".join(compare.text_of(verdicts, options.compare)))
    return FAILED if any(verdict.verdict in compare.LOSSES for verdict in verdicts) else DONE
