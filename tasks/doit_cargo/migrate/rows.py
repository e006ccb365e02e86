"""From an old Makefile to rows of pack.toml that do the same: one table a target, feature profiles where it takes them.

Only what an argument list can say is carried over. A line that needs a shell is written down as a comment, so that
nothing is lost in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from doit_cargo.engine.plan.profiles.files import toml_text
from doit_cargo.migrate.cargo_call import COMPILING, CargoCall, differences, parse
from doit_cargo.migrate.compare import AROUND, WORDS, calls_here
from doit_cargo.migrate.makefiles import OldTarget, name_of
from doit_cargo.migrate.shell import Command, commands_of

if TYPE_CHECKING:
    from doit_cargo.session import Session

# What an argument list cannot hold: the shell would still have to work on it.
OF_A_SHELL = re.compile(r"[$`*?\[\]~]|^&|\|")


@dataclass(slots=True)
class Rows:
    """What is to be written: tables for pack.toml, profile files by name, and targets that need none."""

    tables: list[str] = field(default_factory=list)
    profiles: dict[str, str] = field(default_factory=dict)
    same: list[str] = field(default_factory=list)


def rows_of(targets: list[OldTarget], session: Session) -> Rows:
    """Return the rows that reproduce a Makefile, without those that doit-cargo has already."""
    rows = Rows()
    names = {target.name: name_of(target.name) for target in targets if _does_something(target, targets, session)}
    for target in targets:
        if target.name == "help" or session_has(session, target, targets):
            rows.same.append(target.name)
        else:
            rows.tables.append("\n".join(_table(target, names, rows)))
    return rows


def _does_something(target: OldTarget, targets: list[OldTarget], session: Session) -> bool:
    """Tell whether a target will be a row, or is one of ours: one that only makes folders or prints is neither."""
    parts = [each for each in targets if each.name in target.parts]
    kept = [command for command in _commands(target) if not _is_lost(command)]
    if kept or any(_does_something(part, targets, session) for part in parts):
        return True
    return session_has(session, target, targets)


def session_has(session: Session, target: OldTarget, targets: list[OldTarget]) -> bool:
    """Tell whether a target that exists already asks cargo for the very same."""
    row = session.known_row(name_of(target.name))
    if row is None or not row["available"]:
        return False
    old = [call for command in _commands(target) if (call := _call(command))]
    own = [call for part in target.parts for each in targets if each.name == part for call in _all_calls(each, targets)]
    new = list(calls_here(session, row["name"]))
    others = [command for command in _commands(target) if _call(command) is None]
    wanted = [*own, *old]
    return not others and bool(wanted) and all(any(not differences(call, each) for each in new) for call in wanted)


def _all_calls(target: OldTarget, targets: list[OldTarget]) -> Iterator[CargoCall]:
    for part in target.parts:
        for each in targets:
            if each.name == part:
                yield from _all_calls(each, targets)
    yield from (call for command in _commands(target) if (call := _call(command)))


def _commands(target: OldTarget) -> list[Command]:
    """Return the programs of a target's own recipe that do some work."""
    found = (command for line in target.lines for command in commands_of(line))
    return [command for command in found if command.program not in WORDS | AROUND]


def _call(command: Command) -> CargoCall | None:
    return parse(command.argv, command.folder, command.env) if command.program == "cargo" else None


def _table(target: OldTarget, names: dict[str, str], rows: Rows) -> Iterator[str]:
    name = name_of(target.name)
    after = [names[part] for part in target.parts if part in names]
    commands = _commands(target)
    lost = [target.unread] if target.unread else [line for line in target.lines if _needs_a_shell(line)]
    kept = [command for command in commands if not _is_lost(command)]
    for line in dict.fromkeys(lost):
        yield f"# {name}: not carried over, since it needs a shell: {line.strip()}"
    if len(kept) > 1:
        for number, command in enumerate(kept[:-1], 1):
            yield from _step(f"{name}_{number}", target, command, after, rows)
            after = [f"{name}_{number}"]
            yield ""
    if kept:
        yield from _step(name, target, kept[-1], after, rows)
    elif after:
        yield f"[target.{name}]"
        yield f"doc = {toml_text(f'Run {_words(after)}, as make {target.name} does.')}"
        yield f"after = {_list(after)}"


def _is_lost(command: Command) -> bool:
    is_piped = command.masked.startswith("| ") and command.program != "cargo"
    return is_piped or any(OF_A_SHELL.search(word) for word in command.argv)


def _needs_a_shell(line: str) -> bool:
    return any(_is_lost(command) for command in commands_of(line) if command.program not in WORDS | AROUND)


def _step(name: str, target: OldTarget, command: Command, after: list[str], rows: Rows) -> Iterator[str]:
    call = _call(command)
    yield f"[target.{name}]"
    yield f"doc = {toml_text(f'Do what make {target.name} does: {_shown(command)}.')}"
    if call and call.command in COMPILING - {"run"} and not call.folder:
        yield from _cargo_row(name, call, rows)
    else:
        yield f"run = {_list(command.argv)}"
        yield from ([f"cwd = {toml_text(command.folder)}"] if command.folder else [])
        yield from ([f"env = {_inline(command.env)}"] if command.env else [])
    if after:
        yield f"after = {_list(after)}"


def _cargo_row(name: str, call: CargoCall, rows: Rows) -> Iterator[str]:
    yield f"command = {toml_text(call.command)}"
    profile = _profile(call)
    if profile:
        rows.profiles[name] = profile
        yield f"profile = {toml_text(name)}"
    elif call.profile == "release":
        yield 'profile = "release"'
    if call.workspace:
        yield 'package = "all"'
    elif len(call.packages) == 1:
        yield f"package = {toml_text(next(iter(call.packages)))}"
    flags = [*_flags(call), *(word for option in call.rest for word in option.split(" ", 1))]
    if flags:
        yield f"flags = {_list(flags)}"
    if call.passed:
        yield f"passed = {_list(call.passed)}"


def _flags(call: CargoCall) -> Iterator[str]:
    """Yield options that no key of a row stands for."""
    if len(call.packages) > 1 and not call.workspace:
        yield from (word for package in sorted(call.packages) for word in ("--package", package))
    yield from (word for package in sorted(call.excluded) for word in ("--exclude", package))
    if call.triple:
        yield from ("--target", call.triple)


def _profile(call: CargoCall) -> str:
    """Return the feature profile that a call needs, as TOML; empty if `dev` or `release` alone will do."""
    custom = call.profile not in ("", "release")
    if not (call.features or call.env or custom or not call.default_features):
        return ""
    lines = ["#:schema ../.doit-cargo/profile.schema.json", f"doc = {toml_text(f'From the Makefile: {call}.')}"]
    lines.append(f"extends = {toml_text('release' if call.profile == 'release' else 'dev')}")
    if call.features:
        lines.append(f"features = {_list(sorted(call.features))}")
    if not call.default_features:
        lines.append("default-features = false")
    if custom:
        lines += ["", "[cargo]", f"profile = {toml_text(call.profile)}"]
    if call.env:
        lines += ["", "[env]", *(f"{key} = {toml_text(value)}" for key, value in call.env.items())]
    return "\n".join(lines) + "\n"


def _shown(command: Command) -> str:
    return " ".join(command.argv).replace(". ", ", ").rstrip(".")


def _words(names: list[str]) -> str:
    return ", ".join(names)


def _list(words: tuple[str, ...] | list[str]) -> str:
    return "[" + ", ".join(toml_text(word) for word in words) + "]"


def _inline(table: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f"{toml_text(key)} = {toml_text(value)}" for key, value in table.items()) + " }"
