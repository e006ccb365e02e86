"""The command line that the launcher does not answer from receipts: parsed by the table of commands, then run.

Targets run as doit tasks in this process; a command is called with the session and its options.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TextIO, cast

from doit_cargo import __version__
from doit_cargo.cli import direct
from doit_cargo.cli.shell import habits
from doit_cargo.engine.base.errors import DONE, Problem, UserError, as_user_error
from doit_cargo.engine.base.paths import current_folder
from doit_cargo.engine.base.plain_text import Terminal, without_passwords
from doit_cargo.engine.console.streams import COLOURS, Colour
from doit_cargo.session import Session
from doit_cargo.targets.commands import COMMANDS, FREE, GENERAL, NOTHING, OPTIONS, RUNNING, TARGETS, Option


def main(words: list[str], known_stale: str = "") -> int:
    """Run a command line that the launcher could not answer by itself; return its exit code."""
    try:
        understood = habits.understood(words)
    except UserError as error:
        return told(error, "--json" in words)
    words = _asked_for_help(understood.words)
    made = parser()
    made.given = words
    options = made.parse_intermixed_args(words)
    if options.color:
        Colour.wanted = COLOURS[options.color]
    if options.version:
        print(f"doit-cargo {__version__}")
        return DONE
    command = _command_in(options.words)
    targets, raw = _sort_words(options.words, command)
    try:
        environ = _environment(options, understood.toolchain)
        if understood.told and not options.json:
            print(f".. as: {understood.line}", file=sys.stderr)
        session = Session(_start(options.workspace), environ, raw)
        session.asked = targets[1:] if command else targets
        if known_stale:
            session.take_as_stale(known_stale)
        _require_options(command, options, targets, raw)
        if command:
            options.targets = targets[1:]
            with _escaped():
                return function_of(command)(session, options)
        if targets[:1] == ["help"] and targets[1:]:
            with _escaped():
                return _help(session, targets[1:])
        return _run(session, targets or ["help"], options)
    except (UserError, OSError, RecursionError, MemoryError) as error:
        return told(as_user_error(error), options.json)


def _environment(options: argparse.Namespace, toolchain: str) -> Mapping[str, str]:
    """Return the environment of a call: what `+NAME` asks rustup for, it takes from a variable, and so do we."""
    if toolchain:
        os.environ["RUSTUP_TOOLCHAIN"] = toolchain
    return {**os.environ, "DOIT_CARGO_TRUST": "1"} if options.trust else os.environ


def _escaped() -> contextlib.redirect_stdout[TextIO]:
    """Show what a command prints of names and texts of others instead of letting it steer the terminal."""
    return contextlib.redirect_stdout(cast(TextIO, Terminal(sys.stdout)))


def told(error: UserError, as_json: bool) -> int:
    """Tell what is wrong, for a program on standard output, for a person on standard error; return the exit code."""
    if as_json:
        import json

        shown = ({"where": one.where, "what": one.what, "fix": one.fix} for one in error.problems)
        problems = [{key: without_passwords(text) for key, text in one.items()} for one in shown]
        print(json.dumps({"error": {"code": error.code, "problems": problems}}, indent=2))
    else:
        for problem in error.problems:
            print(f"doit-cargo: {problem}", file=sys.stderr)
    return error.code


def _run(session: Session, targets: list[str], options: argparse.Namespace) -> int:
    """Run targets; with --explain only say which members SINCE means."""
    if not options.words and not (options.audit or options.explain):
        return _first_screen(session)
    if options.audit:
        from doit_cargo.cli.loop.audit import audit

        return audit(session, targets)
    if not options.explain:
        return run_targets(session, targets, _options_of_doit(options))
    if not any(word.startswith("SINCE=") for word in options.words):
        raise UserError(Problem("--explain tells which members are affected", "add SINCE=origin/main, say"))
    with _escaped():
        print("\n".join(session.affected.lines()))
    return DONE


def _first_screen(session: Session) -> int:
    """Show what one does here; where somebody can pick a target from it, run that."""
    from doit_cargo.cli import pick

    status = run_targets(session, ["help"])
    picked = pick.picked(session) if status == DONE else []
    return run_targets(session, picked) if picked else status


def _asked_for_help(words: list[str]) -> list[str]:
    """Return `WORD --help` as `help WORD`; alone it is the help of the whole program."""
    names = [word for word in words if not word.startswith("-") and "=" not in word]
    asked = [word for word in words if word in ("-h", "--help")]
    return ["help", *names] if asked and names and names[0] != "help" else words


def _command_in(words: list[str]) -> str:
    """Return the command that a line begins with, "" for targets."""
    return words[0] if words and words[0] in COMMANDS else ""


def _help(session: Session, targets: list[str]) -> int:
    from doit_cargo.cli import help as of_words

    of_words.tell(session, targets)
    return DONE


def function_of(command: str) -> Callable[[Session, argparse.Namespace], int]:
    """Return what a command does; its module is loaded only now."""
    import importlib

    module, _, name = COMMANDS[command].function.partition(":")
    found: Callable[[Session, argparse.Namespace], int] = getattr(importlib.import_module(module), name)
    return found


def parser() -> _Parser:
    """Return the parser of the whole command line, made from the table of commands."""
    made = _Parser(
        prog="doit-cargo",
        usage="doit-cargo [-w DIR] TARGET... [VAR=value...]\n       doit-cargo [-w DIR] COMMAND [WORD...] [OPTION...]",
        description="Make targets for Cargo workspaces. Commands: " + ", ".join(COMMANDS) + ".",
        epilog="Try: doit-cargo list; doit-cargo build; doit-cargo why build. Exit codes: 0 done, 1 a target failed, "
        "2 it could not run, 3 bad input.",
    )
    made.add_argument("words", nargs="*", metavar="TARGET | VAR=value")
    for name, option in OPTIONS.items():
        made.add_argument(f"--{name}", **_kind(option), help=f"{', '.join(_takers(name))}: {option.doc}")
    for name, option in {**RUNNING, **GENERAL}.items():
        if name != "help":  # argparse's own
            spelt = (*SHORT.get(name, ()), f"--{name}")
            made.add_argument(*spelt, dest=_attribute(name), **_kind(option), help=option.doc)
    return made


# How else an option can be spelt, and what is read of it.
SHORT = {"workspace": ("-w",), "process": ("-n",), "keep-going": ("-k", "-c", "--continue")}


def _kind(option: Option) -> dict[str, Any]:
    """Return what the parser is told of a row."""
    if not option.metavar:
        return {"action": "store_true"}
    read = _number if option.metavar == "N" else _something
    return {"metavar": option.metavar, "type": read, **({"choices": option.offers} if option.metavar == "WHEN" else {})}


def _something(text: str) -> str:
    """Refuse what a script makes of a variable that is not set: the option would count as not given."""
    if not text.strip():
        raise argparse.ArgumentTypeError("its value is empty")
    return text


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,3}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 to 999")
    return int(text)


def _options_of_doit(options: argparse.Namespace) -> list[str]:
    parallel = ["-n", str(options.process)] if options.process and options.process > 1 else []
    return [*parallel, *(["--continue"] if options.keep_going else [])]


def _takers(option: str) -> list[str]:
    return [name for name, command in COMMANDS.items() if option in command.options]


class _Parser(argparse.ArgumentParser):
    """argparse, with our exit code and form of a message. `given` are the words that it reads."""

    given: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        what, _, words = message.partition("unrecognized arguments: ")
        fix = "doit-cargo --help shows what there is"
        if words and not what:
            options = [word for word in words.split() if word.startswith("-")]
            message = f"{', '.join(options)}: unknown {'options' if options[1:] else 'option'}"
            fix += "; what changes how cargo builds stands in [cargo] and [cargo.config] of a profile"
        problem = Problem(message, fix)
        raise SystemExit(told(UserError(problem), "--json" in self.given))


def _require_options(command: str, options: argparse.Namespace, targets: list[str], raw: dict[str, str]) -> None:
    """Refuse what a command would ignore: a word without effect is a mistake that nobody sees."""
    row = COMMANDS.get(command)
    given = [name for name in OPTIONS if getattr(options, _attribute(name))]
    problems = [_useless(f"--{name}", command) for name in given if row is None or name not in row.options]
    if row and (options.process or options.keep_going):
        problems.append(Problem(f"{command} runs no targets", "leave -n and --keep-going out"))
    if row and row.words == NOTHING:
        problems += [_useless(word, command) for word in targets[1:]]
    if row and row.words != TARGETS:
        problems += [_useless(f"{name}={value}", command) for name, value in raw.items()]
    if problems:
        raise UserError(problems)


def _attribute(option: str) -> str:
    return option.replace("-", "_")


def _useless(word: str, command: str) -> Problem:
    takers = _takers(word.removeprefix("--"))
    fix = f"{word} is for: {', '.join(takers)}" if takers else "doit-cargo --help shows what there is"
    return Problem(f"{command or 'a target'} does not take {word!r}", fix)


def _sort_words(words: list[str], command: str) -> tuple[list[str], dict[str, str]]:
    if command and COMMANDS[command].words == FREE:
        return words, {}
    targets = [word for word in words if "=" not in word]
    given = [word.partition("=") for word in words if "=" in word]
    raw = {name: value for name, _, value in given}
    twice = {name: f"{name}={value}" for name, _, value in given if value != raw[name]}
    fix = "leave one of them out; several names go into one, with commas"
    if twice:
        raise UserError([Problem(f"{word} and {name}={raw[name]} are both given", fix) for name, word in twice.items()])
    return targets, raw


def _start(folder: str | None) -> str:
    if folder and os.path.isabs(folder) and os.path.isdir(folder):
        return folder
    here = current_folder()
    if folder and not os.path.isdir(folder):
        raise UserError(Problem("there is no such folder", "give the folder of a Cargo workspace after -w", folder))
    return folder or here


def run_targets(session: Session, names: Sequence[str], options: Sequence[str] = ()) -> int:
    """Run targets; `options` are those of `doit run`."""
    status = None if options else direct.run(session, names)
    return with_doit(session, names, options) if status is None else status


def with_doit(session: Session, names: Sequence[str], options: Sequence[str] = ()) -> int:
    """Run targets as doit tasks, in this process."""
    from doit.cmd_base import ModuleTaskLoader
    from doit.doit_cmd import DoitMain

    from doit_cargo.cli.doit.dodo import DOIT_CONFIG, Targets

    found = list(direct.rows_of(session, names))
    session.prepare(found)
    namespace = {
        "DOIT_CONFIG": {**DOIT_CONFIG, "dep_file": os.path.join(session.state, "doit.json")},
        "targets": Targets(lambda: session, found),
    }
    plugins = {
        "BACKEND": {"doit-cargo": "doit_cargo.cli.doit.bridge:SafeJsonDB"},
        "COMMAND": {"run": "doit_cargo.cli.doit.run:TargetRun"},
    }
    doit = DoitMain(ModuleTaskLoader(namespace), config_filenames=(), extra_config=plugins)
    status = int(doit.run(["run", *options, *found]))
    return direct.INTERRUPTED if session.interrupted else status
