"""What the launcher does not answer from receipts: running targets through doit, and the commands around it.

Each command is one function (session, options) -> exit code; the doit commands of the same names call them too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from doit_cargo import __version__
from doit_cargo.engine import say
from doit_cargo.engine.errors import BAD_INPUT, DONE, FAILED, Problem, UserError, unknown
from doit_cargo.engine.receipts import normalise
from doit_cargo.session import Session

INTERRUPTED = 130
Command = Callable[[Session, argparse.Namespace], int]


def main(words: list[str], known_stale: str = "") -> int:
    """Run a command line that the launcher could not answer by itself; return its exit code."""
    options = _parser().parse_intermixed_args(words)
    if options.version:
        print(f"doit-cargo {__version__}")
        return DONE
    targets, raw = _sort_words(options.words)
    try:
        session = Session(_start(options.workspace), os.environ, raw)
        session.known_stale = known_stale
        command = targets[0] if targets and targets[0] in COMMANDS else ""
        _require_options(command, options, targets, raw)
        if command:
            options.targets = targets[1:]
            return COMMANDS[command](session, options)
        return run_targets(session, targets or ["help"])
    except UserError as error:
        for problem in error.problems:
            print(f"doit-cargo: {problem}", file=sys.stderr)
        return error.code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="doit-cargo",
        usage="doit-cargo [-w DIR] TARGET... [VAR=value...]\n       doit-cargo [-w DIR] COMMAND [TARGET] [--json]",
        description="Make targets for Cargo workspaces. Commands: " + ", ".join(COMMANDS) + ".",
        epilog="Try: doit-cargo list; doit-cargo build; doit-cargo why build. Exit codes: 0 done, 1 a target failed, "
        "2 it could not run, 3 bad input.",
    )
    parser.add_argument("words", nargs="*", metavar="TARGET | VAR=value")
    parser.add_argument("-w", "--workspace", metavar="DIR", help="the workspace, or a folder below it")
    parser.add_argument("--json", action="store_true", help="print JSON (list, plan, why)")
    parser.add_argument("--all", action="store_true", help="list: also the targets that are absent here, and why")
    parser.add_argument(
        "--check", action="store_true", help="makefile: fail if the file differs from what it should be"
    )
    parser.add_argument("--output", metavar="FILE", help="makefile: the file to write (default: Makefile)")
    parser.add_argument("--force", action="store_true", help="makefile: write over a Makefile that is not ours")
    parser.add_argument("--version", action="store_true", help="print the version")
    return parser


class _Parser(argparse.ArgumentParser):
    """argparse, with our exit code and form of a message."""

    def error(self, message: str) -> NoReturn:
        print(f"doit-cargo: {message}\n  fix: doit-cargo --help shows what there is", file=sys.stderr)
        raise SystemExit(BAD_INPUT)


def _require_options(command: str, options: argparse.Namespace, targets: list[str], raw: dict[str, str]) -> None:
    """Refuse what a command would ignore: a word without effect is a mistake that nobody sees."""
    given = [name for name in ("json", "all", "check", "force", "output") if getattr(options, name)]
    problems = [_useless(f"--{name}", command) for name in given if name not in OPTIONS.get(command, ())]
    if command in ("list", "makefile"):
        problems += [_useless(word, command) for word in targets[1:]]
    if command in ("list", "makefile", "profile"):
        problems += [_useless(f"{name}={value}", command) for name, value in raw.items()]
    if problems:
        raise UserError(problems)


def _useless(word: str, command: str) -> Problem:
    takers = [name for name, options in OPTIONS.items() if word.removeprefix("--") in options]
    fix = f"{word} is for: {', '.join(takers)}" if takers else "doit-cargo --help shows what there is"
    return Problem(f"{command or 'a target'} does not take {word!r}", fix)


def _sort_words(words: list[str]) -> tuple[list[str], dict[str, str]]:
    targets = [word for word in words if "=" not in word]
    return targets, dict(word.split("=", 1) for word in words if "=" in word)


def _start(folder: str | None) -> str:
    if folder and not os.path.isdir(folder):
        raise UserError(Problem("there is no such folder", "give the folder of a Cargo workspace after -w", folder))
    return folder or os.getcwd()


def run_targets(session: Session, names: list[str]) -> int:
    """Run targets as doit tasks, in this process."""
    from doit.cmd_base import ModuleTaskLoader
    from doit.doit_cmd import DoitMain
    from doit_cargo.dodo import DOIT_CONFIG, Targets

    found = [session.row(name)["name"] for name in names]
    session.prepare(found)
    namespace = {
        "DOIT_CONFIG": {**DOIT_CONFIG, "dep_file": os.path.join(session.state, "doit.json")},
        "targets": Targets(lambda: session, found),
    }
    plugins = {"BACKEND": {"doit-cargo": "doit_cargo.engine.bridge:SafeJsonDB"}}
    doit = DoitMain(ModuleTaskLoader(namespace), config_filenames=(), extra_config=plugins)
    status = int(doit.run(["run", *found]))
    return INTERRUPTED if session.interrupted else status


def list_targets(session: Session, options: argparse.Namespace) -> int:
    """`list`: the targets of this workspace by family."""
    rows = [row for row in session.listing if row["available"] or options.all or options.json]
    if options.json:
        keys = ("name", "make_name", "family", "doc", "available", "reason")
        print(json.dumps([{key: row[key] for key in keys} for row in rows], indent=2))
        return DONE
    print_listing(rows)
    return DONE


def print_listing(rows: list[dict[str, Any]]) -> None:
    """Print targets under the names of their families, one line each."""
    width = max(len(row["name"]) for row in rows)
    for family in dict.fromkeys(row["family"] for row in rows):
        print(f"{family}:")
        for row in rows:
            if row["family"] == family:
                absent = "" if row["available"] else f"  (not here: {row['reason']})"
                print(f"  {row['name']:{width}}  {row['doc']}{absent}")


def plan_target(session: Session, options: argparse.Namespace) -> int:
    """`plan`: what a target would run, without running it."""
    from doit_cargo.engine import plan

    found = []
    for name in _wanted(options, "plan"):
        row = session.row(name)
        if row["action"]:
            raise UserError(
                Problem(f"{row['name']} calls no cargo, so it has no plan", "doit-cargo list shows what it does")
            )
        session.variables(row["name"])
        found.append(plan.to_json(session.new_plan(row["name"])))
    if options.json:
        print(json.dumps(found[0] if len(found) == 1 else found, indent=2))
    else:
        for one in found:
            _print_plan(one)
    return DONE


def _wanted(options: argparse.Namespace, command: str) -> list[str]:
    if not options.targets:
        raise UserError(Problem(f"{command} needs a target", f"for example: doit-cargo {command} build"))
    return list(options.targets)


def _print_plan(plan: dict[str, Any]) -> None:
    print(f"{plan['target']}: profile {plan['profile']}, cargo profile {plan['cargo_profile']}")
    print(f"  packages  {', '.join(plan['packages'])}")
    print(f"  features  {', '.join(plan['features']) or 'default'}")
    for step in plan["steps"]:
        for name, value in step["env"].items():
            print(f"  env       {name}={value}")
        for name in step["unset"]:
            print(f"  unset     {name}")
        for folder in step["path_prepend"]:
            print(f"  PATH      {folder} first")
        print(f"  in        {step['cwd']}")
        print(f"  run       {' '.join(_quoted(word) for word in step['argv'])}")
    for output in plan["outputs"]:
        print(f"  makes     {output}")
    for tool, specifier in plan["needs"].items():
        print(f"  needs     {tool} {specifier}".rstrip())
    print(f"  log       {plan['log']}")
    for note in plan["notes"]:
        print(f"  note      {note}")


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)


def why_target(session: Session, options: argparse.Namespace) -> int:
    """`why`: what makes a target stale, roots first; or that it is fresh."""
    found = [_why(session, name) for name in _wanted(options, "why")]
    if options.json:
        print(json.dumps(found[0] if len(found) == 1 else found, indent=2))
        return DONE
    for one in found:
        _print_why(one)
    return DONE


def _why(session: Session, name: str) -> dict[str, Any]:
    row = session.row(name)
    session.variables(row["name"])
    if row["action"]:
        return {
            "target": row["name"],
            "fresh": False,
            "changes": [],
            "changed": [],
            "rebuilds": [],
            "skipped": 0,
            "always": True,
        }
    receipt, changes = session.verdict(row["name"], explain=True)
    basis = receipt or session.last_receipt(row["name"])
    if receipt is None and basis:  # what the failed run itself has left behind explains nothing
        first, rest = changes[:1], say.split_consequences(changes[1:])[0]
        changes = first + rest
    changed = say.changed_packages(changes, basis) if basis else []
    rebuilds = say.rebuilds(changed, basis) if basis else []
    return {
        "target": row["name"],
        "fresh": receipt is not None and not changes,
        "changes": [_change(change, basis, session.root) for change in _roots_first(changes, basis, changed)],
        "changed": changed,
        "rebuilds": rebuilds,
        "skipped": len(basis["packages"]) - len(rebuilds) if basis else 0,
        "always": False,
    }


def _roots_first(changes: list[Any], basis: dict[str, Any] | None, changed: list[str]) -> list[Any]:
    """Changes that concern everything first, then those of packages in the order in which others rest on them."""
    if basis is None:
        return changes
    places = {name: position for position, name in enumerate(changed)}
    return sorted(changes, key=lambda change: min((places[name] for name in say.owners(change, basis)), default=-1))


def _change(change: Any, basis: dict[str, Any] | None, root: str) -> dict[str, str]:
    return {
        "kind": change.kind,
        "subject": say.relative(change.subject, root),
        "old": change.old,
        "new": change.new,
        "package": ", ".join(say.owners(change, basis)) if basis else "",
    }


def _print_why(why: dict[str, Any]) -> None:
    if why["always"]:
        print(f"{why['target']} runs each time that it is asked for")
        return
    if why["fresh"]:
        print(f"{why['target']} is up to date")
        return
    print(f"{why['target']} is stale:")
    causes = [change for change in why["changes"] if change["kind"] not in ("artefact", "output")]
    for change in causes or why["changes"]:
        text = (
            f"{change['old'] or 'unset'} -> {change['new'] or 'unset'}"
            if change["kind"] in ("env", "tool", "argument")
            else change["new"]
        )
        package = f"  ({change['package']})" if change["package"] else ""
        print(f"  {change['kind']:9} {change['subject']}: {text}{package}")
    if causes and len(causes) < len(why["changes"]):
        print(f"  and {len(why['changes']) - len(causes)} files that cargo makes are gone or changed")
    if why["changed"]:
        others = [name for name in why["rebuilds"] if name not in why["changed"]]
        print(f"  rebuilds  {', '.join(why['changed'] + others)}; {why['skipped']} packages skipped")


def show_profile(session: Session, options: argparse.Namespace) -> int:
    """`profile`: a composed profile as TOML, each value with the file and line that set it."""
    from doit_cargo.engine.profiles.text import to_toml

    if not options.targets:
        print("\n".join(f"{name:15} {session.library.compose(name).doc}" for name in session.library.names()))
        return DONE
    for name in options.targets:
        if not session.library.has(normalise(name)):
            raise UserError(unknown("profile", name, session.library.names()))
        print(to_toml(session.library.compose(normalise(name))), end="")
    return DONE


def makefile(session: Session, options: argparse.Namespace) -> int:
    """`makefile`: write the shim, or check that the file on disk is the one that would be written."""
    from doit_cargo import makefile as shim

    path = os.path.join(session.root, options.output or "Makefile")
    text = shim.render(session.listing)
    if not options.check:
        print(shim.write(path, text, options.force))
        return DONE
    difference = shim.difference(path, text)
    print(difference or f"{path} is up to date")
    return FAILED if difference else DONE


OPTIONS = {
    "list": ("json", "all"),
    "makefile": ("check", "force", "output"),
    "plan": ("json",),
    "profile": (),
    "why": ("json",),
}
COMMANDS: dict[str, Command] = {
    "list": list_targets,
    "makefile": makefile,
    "plan": plan_target,
    "profile": show_profile,
    "why": why_target,
}
