"""From what was recorded to rows of pack.toml: one a call, a group for several, none where a target does it already.

A row here is a proposal; whoever writes it has it recorded first. Knows steps and the targets that exist.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.toml.toml import toml_text
from doit_cargo.engine.state.receipts import normalise
from doit_cargo.migrate.cargo_call import COMPILING, PROVABLE, CargoCall, differences, fits_a_row, parse
from doit_cargo.migrate.recording.recordings import RecordedStep
from doit_cargo.migrate.recording.study import IS_THERE, Study
from doit_cargo.targets.catalogue import DOIT_COMMANDS
from doit_cargo.targets.commands import COMMANDS, SHARED_WITH_DOIT

if TYPE_CHECKING:
    from doit_cargo.session import Session

NO_NAME = re.compile(r"[^a-z0-9_]+")
NOT_WINDOWS = RecordedStep(("not on Windows",), "", {}, "", 0)
PROFILE_MARK = "# Written by doit-cargo migrate"


@dataclass(slots=True)
class Proposal:
    """Tables of pack.toml by the name of their target, feature profiles by name, and which target stands for an old
    name. `told` says what else should be known of an old name."""

    tables: dict[str, str] = field(default_factory=dict)
    profiles: dict[str, str] = field(default_factory=dict)
    stands_for: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)


def name_of(old: str) -> str:
    """Return the name of a target for an old one."""
    name = NO_NAME.sub("_", normalise(old).lower()).strip("_")
    return re.sub("_+", "_", name) if name[:1].isalpha() else f"target_{name}"


class Writer:
    """Proposes rows for studies, one at a time, those with fewer steps first. `plain` are old names whose calls are to
    be rows that run a program, since a cargo row of theirs was seen to do something else."""

    def __init__(
        self, session: Session, kind: str, plain: Iterable[str], own: Iterable[str], built_in: Mapping[str, CargoCall]
    ) -> None:
        self.session, self.kind, self.plain = session, kind, frozenset(plain)
        self.made = Proposal()
        self._names: dict[tuple[RecordedStep, ...], str] = {}
        self._built_in = built_in
        here = (row["name"] for row in session.listing if not _is_written(session, row))
        self._reserved = {*here, *own, *(DOIT_COMMANDS - SHARED_WITH_DOIT), *COMMANDS}

    def propose(self, study: Study) -> None:
        """Make whatever a target needs; what it stands for is in `made.stands_for`."""
        old, steps = study.old.name, study.steps
        # The shim leaves it to the old file where Windows sets OS; a row of its own says that it is not for there.
        key = (*(_keyed(step) for step in steps), *([_keyed(NOT_WINDOWS)] if "OS" in study.variables else []))
        is_one = len(steps) == 1 and old not in self.plain
        found = self._names.get(key) or (self._existing(name_of(old), steps[0]) if is_one else "")
        if not found:
            found = self._new_name(old)
            self._write(found, old, steps)
            self.made.tables[found] += '\nplatforms = ["linux", "macos"]' if "OS" in study.variables else ""
        self._names.setdefault(key, found)
        self.made.stands_for[old] = found
        if name_of(old) in self._reserved and found != name_of(old):
            self.made.told[old] = f"doit-cargo's own {name_of(old)} means something else"

    def _new_name(self, old: str) -> str:
        """Return a name that no target of ours has, nor another old one."""
        name = name_of(old)
        return self._free(f"{self.kind.replace('-', '_')}_{name}" if name in self._reserved else name)

    def _free(self, name: str) -> str:
        while name in self._reserved or name in self.made.tables or name in self.made.stands_for.values():
            name += "_too"
        return name

    def _free_profile(self, name: str) -> str:
        """Return a name that no profile of the user's own has."""
        while _is_the_users(os.path.join(self.session.root, "profiles", f"{name}.toml")):
            name += "_too"
        return name

    def _existing(self, name: str, step: RecordedStep) -> str:
        """Return a target of ours that makes the very call of a step, the one of the same name first."""
        call = _call(step)
        if call is None:
            return ""
        equal = [one for one, other in self._built_in.items() if not differences(call, other)]
        return name if name in equal else next(iter(equal), "")

    def _write(self, name: str, old: str, steps: tuple[RecordedStep, ...]) -> None:
        if len(steps) == 1:
            self._table(name, old, steps[0])
            return
        parts = list(self._parts(name, old, steps))
        doc = f"Do what {self.kind} {old} does: {', '.join(parts)}."
        self.made.tables[name] = f"[target.{name}]\ndoc = {toml_text(doc)}\nafter = {_list(parts)}"

    def _parts(self, name: str, old: str, steps: tuple[RecordedStep, ...]) -> Iterator[str]:
        """Yield the targets that make up a sequence: the longest that exists first, else one made for a step."""
        position = 0
        while position < len(steps):
            length = next(
                (
                    size
                    for size in range(len(steps) - position, 0, -1)
                    if tuple(map(_keyed, steps[position : position + size])) in self._names
                ),
                1,
            )
            key = tuple(map(_keyed, steps[position : position + length]))
            if key not in self._names:
                existing = "" if old in self.plain else self._existing("", steps[position])
                self._names[key] = existing or self._part(name, old, steps[position])
            yield self._names[key]
            position += length

    def _part(self, name: str, old: str, step: RecordedStep) -> str:
        taken = {*self._reserved, *self.made.tables, *self.made.stands_for.values()}
        names = [f"have_{name_of(tool)}"] if (tool := _tool_of(step)) else [f"{name}_{x}" for x in _names_of(step)]
        part = next((each for each in names if each not in taken), self._free(names[-1]))
        self._table(part, old, step)
        return part

    def _table(self, name: str, old: str, step: RecordedStep) -> None:
        call = _call(step)
        doc = f"Run {_shown(step)}, as {self.kind} {old} does."
        lines = [f"[target.{name}]", f"doc = {toml_text(doc)}"]
        if tool := _tool_of(step):
            lines[1:] = [f"doc = {toml_text(f'Check that {tool} is there.')}", f"needs = {_list([tool])}"]
        elif call and old not in self.plain and call.command in COMPILING - {"run"} and fits_a_row(call):
            lines += self._cargo_row(name, call)
        else:
            lines += program_row(step)
        self.made.tables[name] = "\n".join(lines)

    def _cargo_row(self, name: str, call: CargoCall) -> Iterator[str]:
        yield f"command = {toml_text(call.command)}"
        profile = _profile(call)
        if profile:
            same = next((one for one, text in self.made.profiles.items() if text == profile), self._free_profile(name))
            self.made.profiles[same] = profile
            yield f"profile = {toml_text(same)}"
        elif call.profile == "release":
            yield 'profile = "release"'
        if call.workspace:
            yield 'package = "all"'
        elif len(call.packages) == 1:
            yield f"package = {toml_text(next(iter(call.packages)))}"
        if flags := [*_flags(call), *call.rest]:
            yield f"flags = {_list(flags)}"
        if call.passed:
            yield f"passed = {_list(call.passed)}"


def _is_written(session: Session, row: Mapping[str, object]) -> bool:
    """Tell whether a target is a row of the user's own pack, as those of an earlier migration are."""
    return session.targets[str(row["name"])].where.startswith((session.root, "profiles/"))


def _is_the_users(path: str) -> bool:
    """Tell whether a profile is there that no migration has written."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return PROFILE_MARK not in stream.read()
    except FileNotFoundError:
        return False


def _tool_of(step: RecordedStep) -> str:
    """Return the tool that must be there, if that is all that a step is."""
    return step.argv[2] if step.argv[:2] == IS_THERE else ""


def _keyed(step: RecordedStep) -> RecordedStep:
    """Return a step without what differs between two recordings of the same call."""
    return RecordedStep(step.argv, step.folder, tuple(sorted(step.env.items())), "", 0)  # type: ignore[arg-type]


def _call(step: RecordedStep) -> CargoCall | None:
    return parse(step.argv, step.folder, step.env) if step.is_cargo else None


def built_in(session: Session) -> Iterator[tuple[str, CargoCall]]:
    """Yield the cargo call of each target of ours that is one, or stands for one. What is not listed means nothing in
    this workspace now, and may mean something else once it does."""
    for row in session.listing:
        is_one = row["available"] and row["listed"] and not row["rule"] and not row["after"]
        if is_one and not _is_written(session, row):
            call = call_here(session, row)
            if call:
                yield row["name"], call


def call_here(session: Session, row: Mapping[str, object]) -> CargoCall | None:
    """Return the cargo call of a target, as its plan or its row says."""
    target = session.targets[str(row["name"])]
    if row["kind"] != "cargo":
        return parse(target.equivalent_command) if target.equivalent_command and not target.profile else None
    try:
        step = session.plan_of(target).invocation
    except UserError:
        return None
    return parse(step.argv, env=step.env)


def proven_calls(session: Session, name: str) -> Iterator[CargoCall]:
    """Yield the calls of cargo that a target makes only where it cannot prove that nothing is to be done."""
    row = session.known_row(name)
    call = call_here(session, row) if row and row["kind"] == "cargo" else None
    if call and call.command in PROVABLE:
        yield call
    for part in row["after"] if row else ():
        yield from proven_calls(session, part)


def _names_of(step: RecordedStep) -> Iterator[str]:
    """Yield names for a step, from the shortest to one with all of its words."""
    words = [word for word in step.argv if not word.startswith(("-", "+"))]
    base = words[1] if step.is_cargo and len(words) > 1 else words[0].rsplit("/", 1)[-1]
    yield name_of(base)
    values = [value for value in step.env.values() if re.fullmatch(r"[\w.-]{1,24}", value)]
    rest = [*(word.lstrip("-+") for word in step.argv[1:] if word != base), *values]
    yield from (name_of(f"{base}_{word}") for word in reversed(rest) if NO_NAME.sub("", word.lower()))
    yield name_of("_".join([base, *rest]))


def _shown(step: RecordedStep) -> str:
    return str(step).replace(". ", ", ").rstrip(".")


def program_row(step: RecordedStep) -> list[str]:
    """Return the keys of a row that runs a step as it is."""
    env = ", ".join(f"{toml_text(key)} = {toml_text(value)}" for key, value in step.env.items())
    lines = [f"run = {_list(step.argv)}", f"cwd = {toml_text(step.folder)}", f"env = {{ {env} }}"]
    return [line for line, is_there in zip(lines, (True, step.folder, env), strict=True) if is_there]


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
    lines = ["#:schema ../.doit-cargo/profile.schema.json", PROFILE_MARK]
    lines.append(f"doc = {toml_text(f'From the old build file: {call}.')}")
    lines.append(f"extends = {toml_text('release' if call.profile == 'release' else 'dev')}")
    if call.features:
        lines.append(f"features = {_list(sorted(call.features))}")
    if not call.default_features:
        lines.append("default-features = false")
    if custom:
        lines += ["", "[cargo]", f"profile = {toml_text(call.profile)}"]
    if call.env:
        lines += ["", "[env]", *(f"{toml_text(key)} = {toml_text(value)}" for key, value in call.env.items())]
    return "\n".join(lines) + "\n"


def _list(words: Iterable[str]) -> str:
    return "[" + ", ".join(toml_text(word) for word in words) + "]"
