"""An old Makefile beside the targets that exist here: same, different, missing, or nothing but words.

What a target asks of cargo is compared, with all that runs before it; other programs are named. Knows the session's
plans and the reader of Makefiles; writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from doit_cargo.engine.base.errors import UserError
from doit_cargo.migrate.cargo_call import CargoCall, differences, parse
from doit_cargo.migrate.makefiles import OldTarget, name_of
from doit_cargo.migrate.shell import Command, commands_of

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Target
    from doit_cargo.session import Row, Session

SAME, DIFFERS, MISSING, ABSENT, ECHOES, OTHER = "same", "differs", "missing", "absent", "echoes", "other"
# Verdicts that mean that something which the Makefile did would no longer be done.
LOSSES = frozenset({DIFFERS, MISSING})
# Programs that do no work of their own in a recipe.
WORDS = frozenset({"echo", "printf", "true", "false", "exit", ":", "[", "test", "sleep", "clear", "return", "set"})
AROUND = frozenset(
    {"mkdir", "ls", "tee", "cat", "grep", "awk", "sort", "uniq", "head", "tail", "wc", "sed", "file", "du"}
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an old target: `lines` say how it differs, `programs` are others than cargo, `masked` what hides
    a failure of cargo today."""

    name: str
    line: int
    verdict: str
    lines: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()


@dataclass(slots=True)
class CargoWork:
    """What a target does, with all of its parts: cargo's calls, other programs, what hides a failure."""

    calls: list[CargoCall] = field(default_factory=list)
    programs: dict[str, None] = field(default_factory=dict)
    masked: dict[str, None] = field(default_factory=dict)
    others: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    around: bool = False

    def add(self, command: Command) -> None:
        if command.program == "cargo":
            call = parse(command.argv, command.folder, command.env)
            if call and call not in self.calls:
                self.calls.append(call)
            if call and command.masked:
                self.masked[command.masked] = None
        elif command.program in AROUND:
            self.around = True
        elif command.program not in WORDS:
            self.programs[command.program] = None
            self.others.append((command.argv, command.folder))


def work_of(target: OldTarget, known: dict[str, OldTarget]) -> CargoWork:
    """Return what an old target does, its parts first, each once."""
    work = CargoWork()
    for each in _with_parts(target, known):
        for line in each.lines:
            for command in commands_of(line):
                work.add(command)
    return work


def _with_parts(target: OldTarget, known: dict[str, OldTarget]) -> list[OldTarget]:
    found: dict[str, OldTarget] = {}

    def visit(each: OldTarget) -> None:
        if each.name not in found:
            found[each.name] = each
            for part in each.parts:
                if part in known:
                    visit(known[part])

    visit(target)
    return [*list(found.values())[1:], target]


def compare(targets: list[OldTarget], session: Session) -> list[Verdict]:
    """Return a verdict for each old target."""
    known = {target.name: target for target in targets}
    return [_compare(target, work_of(target, known), session) for target in targets]


def _compare(target: OldTarget, work: CargoWork, session: Session) -> Verdict:
    row = session.known_row(name_of(target.name))
    kind, lines = _verdict(target, work, row, session)
    return Verdict(target.name, target.line, kind, tuple(lines), tuple(work.programs), tuple(work.masked))


def _verdict(target: OldTarget, work: CargoWork, row: Row | None, session: Session) -> tuple[str, list[str]]:
    """Return the kind of a verdict, and the lines that say why."""
    if target.unread:
        return OTHER, [target.unread]
    if not work.calls and not work.programs:
        here = "here it does its work" if row else "nothing is lost"
        return (OTHER, [f"no program but small ones; {here}"]) if work.around else (ECHOES, [f"only words; {here}"])
    if row is None:
        return MISSING, [*(f"lost: {call}" for call in work.calls), *_runs(work)]
    if not row["available"]:
        return ABSENT, [f"not in this checkout: {row['reason']}"]
    if not work.calls:
        is_same = set(work.others) <= set(_programs_here(session, row["name"]))
        return (SAME, []) if is_same else (OTHER, [*_runs(work), f"here: {row['doc']}"])
    lines = list(_differences(work.calls, list(calls_here(session, row["name"]))))
    return (DIFFERS, lines) if lines else (SAME, [])


def _runs(work: CargoWork) -> list[str]:
    return [f"runs {', '.join(work.programs)}"] if work.programs else []


def calls_here(session: Session, name: str) -> Iterator[CargoCall]:
    """Yield what a target of ours asks of cargo, its parts first.

    An action says what it stands for (`Target.equivalent_command`).
    """
    row = session.row(name)
    for part in row["after"]:
        yield from calls_here(session, part)
    target = session.target(name)
    yield from filter(None, (_planned(session, target) if row["kind"] == "cargo" else None, _said(session, target)))


def _said(session: Session, target: Target) -> CargoCall | None:
    """Return the cargo call that a target stands for, or that a row of a TOML file makes.

    An action that names profiles makes a call of its own with them: its packages and features are those of a plan.
    """
    program = target.program
    if program and program.argv[0] == "cargo":
        return parse(program.argv, program.cwd, program.env)
    if target.equivalent_command and target.action and target.profile:
        _, command, *flags = target.equivalent_command
        return _planned(session, target._replace(command=command, flags=tuple(flags), action=""))
    return parse(target.equivalent_command)


def _programs_here(session: Session, name: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the programs that rows of TOML files run for a target, its parts first, with their folders."""
    for part in session.row(name)["after"]:
        yield from _programs_here(session, part)
    program = session.target(name).program
    if program:
        yield program.argv, program.cwd


def _planned(session: Session, target: Target) -> CargoCall | None:
    try:
        step = session.plan_of(target).invocation
    except UserError:
        return None
    return parse(step.argv, env=step.env)


def _differences(old: list[CargoCall], new: list[CargoCall]) -> Iterator[str]:
    """Yield how our calls differ from the old ones, each old one compared with the nearest of ours."""
    left = [call for call in new if not any(not differences(each, call) for each in old)]
    for call in old:
        if any(not differences(call, each) for each in new):
            continue
        same = [each for each in left if each.command == call.command]
        if not same:
            yield f"lost: {call}"
            continue
        nearest = min(same, key=lambda each: len(differences(call, each)))
        left.remove(nearest)
        yield "; ".join(differences(call, nearest))
        yield f"  old: {call}"
        yield f"  new: {nearest}"


def text_of(verdicts: list[Verdict], path: str) -> Iterator[str]:
    """Yield the lines of the report: one for each target, what differs below it, and a count at the end."""
    width = max((len(verdict.name) for verdict in verdicts), default=0)
    for verdict in verdicts:
        first, *rest = verdict.lines or ("",)
        place = f"  ({path}:{verdict.line})" if verdict.line and verdict.verdict in LOSSES else ""
        yield f"{verdict.verdict:8} {verdict.name:{width}}  {first}{place}".rstrip()
        for line in rest:
            yield f"{'':8} {'':{width}}  {line}"
        for mask in verdict.masked:
            yield f"{'':8} {'':{width}}  the old one hides a failure of cargo behind {mask!r}"
    counts = {kind: sum(verdict.verdict == kind for verdict in verdicts) for kind in (SAME, DIFFERS, MISSING, ABSENT)}
    rest_count = len(verdicts) - sum(counts.values())
    yield (
        f"{len(verdicts)} targets: "
        + ", ".join(f"{n} {kind}" for kind, n in counts.items())
        + f", {rest_count} without cargo"
    )
