"""`doit-cargo migrate`: an old build file is recorded, what is proven equal is taken over, all else stays with it.

The order is the promise: record, propose, record the proposal in the same way, drop what is not the same, and only then
write. Knows sessions and sources; how a program is watched is `box`'s business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from doit_cargo import makefile as shim
from doit_cargo.engine.base.toml.toml import toml_text
from doit_cargo.engine.plan.profiles.kinds import GOAL, PATTERN, VARIABLE
from doit_cargo.migrate.cargo_call import CargoCall
from doit_cargo.migrate.compare import differing, own_steps
from doit_cargo.migrate.newside import SHIM
from doit_cargo.migrate.recording.box import Box
from doit_cargo.migrate.recording.recordings import Recording, record, record_old
from doit_cargo.migrate.recording.study import NO_CARGO, Study, study, with_front
from doit_cargo.migrate.rows import Proposal, Writer, built_in, name_of, program_row
from doit_cargo.migrate.sources.source import Source

if TYPE_CHECKING:
    from doit_cargo.session import Session

PACK = "profiles/pack.toml"
BEGIN = "# --- taken over by `doit-cargo migrate`, which writes this part anew; your own tables stand before it ---"
END = "# --- end of what was taken over ---"
BLOCK = re.compile(rf"\n*{re.escape(BEGIN)}.*?{re.escape(END)}\n?", re.DOTALL)
ROUNDS = 3


@dataclass(slots=True)
class Move:
    """A migration as it is planned: the studies, what is proposed, and why the rest is kept."""

    source: Source
    studies: dict[str, Study]
    proposal: Proposal = field(default_factory=Proposal)
    kept: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    built_in: dict[str, CargoCall] = field(default_factory=dict)
    takes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def taken(self) -> list[str]:
        return [name for name in self.studies if name not in self.kept]


def studies_of(box: Box, source: Source, tell: Callable[[str], None]) -> dict[str, Study]:
    """Record every target of a source in its worlds."""
    found = {}
    for number, each in enumerate(box.each(lambda old: study(box, source, old), source.targets), 1):
        tell(f"recorded {number} of {len(source.targets)}: {each.old.name}")
        found[each.old.name] = each
    kept = [each for each in found.values() if each.reason not in ("", NO_CARGO)]
    return found | {each.old.name: each for each in box.each(lambda each: with_front(box, source, each, found), kept)}


def plan(session: Session, box: Box, source: Source, tell: Callable[[str], None]) -> Move:
    """Return what can be taken over, each row of it recorded and seen to do the same."""
    move = Move(source, studies_of(box, source, tell))
    move.kept = {name: each.reason for name, each in move.studies.items() if each.reason}
    move.kept |= {name: "make cannot pass such a name on" for name in move.taken if not GOAL.fullmatch(name)}
    move.built_in = dict(built_in(session))
    plain: set[str] = set()
    proven: dict[str, str] = {}
    for _ in range(ROUNDS):
        _propose(session, move, plain)
        wrong = _disproven(box, move, proven, tell)
        if not wrong:
            return move
        for name, why in wrong.items():
            if name in plain:
                move.kept[name] = f"a row for it would do something else: {why}"
            plain.add(name)
    _drop(session, move, plain, wrong)
    return move


def _drop(session: Session, move: Move, plain: set[str], wrong: Mapping[str, str]) -> None:
    """Keep with the old file what is still not the same after the last round."""
    move.kept |= {name: f"a row for it would do something else: {why}" for name, why in wrong.items()}
    _propose(session, move, plain)


def _propose(session: Session, move: Move, plain: set[str]) -> None:
    writer = Writer(session, move.source.kind, plain, _own_tables(session), move.built_in)
    for name in sorted(move.taken, key=lambda name: len(move.studies[name].steps)):
        writer.propose(move.studies[name])
    move.proposal = made = writer.made
    move.takes = {row: tuple(_takes(session, row, made.tables)) for row in made.stands_for.values()}
    move.files = dict(_files(session, move))


def _tables_of(move: Move, name: str) -> Iterator[str]:
    """Yield the tables that a target is made of."""
    text = move.proposal.tables.get(name, "")
    yield text
    for part in re.findall(r'"(\w+)"', text.partition("\nafter = ")[2]):
        yield from _tables_of(move, part)


def _disproven(box: Box, move: Move, proven: dict[str, str], tell: Callable[[str], None]) -> dict[str, str]:
    """Record what is proposed; return the old names that would no longer do the same, and how."""
    wrong = {}
    texts = {
        name: "\n".join([move.proposal.stands_for[name], *_tables_of(move, move.proposal.stands_for[name])])
        for name in move.taken
    }
    doubtful = [name for name, text in texts.items() if proven.get(name) != text]
    for name, found in zip(doubtful, box.each(lambda name: _proof(box, move, name), doubtful), strict=True):
        tell(f"proved {name}")
        if found:
            wrong[name] = found
        else:
            proven[name] = texts[name]
    return wrong


def _proof(box: Box, move: Move, name: str) -> str:
    """Return how the new side of a target differs from its recording, also where its first call fails."""
    base = move.studies[name].base
    new = record_new(box, move, name)
    found = differing(base, new, box.members) or list(_unproven(move, name))
    if not found:
        found = _failing(box, move, name, new)
    for _, tool in move.studies[name].tools:
        before = record_old(box, move.source, [name], without=tool, made=move.studies[name].made)
        if differing(before, record_new(box, move, name, without=tool), box.members):
            found = [f"it does something else where {tool} is missing"]
    more = f" and {len(found) - 2} more" if len(found) > 3 else ""
    return ("; ".join(found if not more else [found[0], found[-1]]) + more).replace("\n", " ")


def _unproven(move: Move, name: str) -> Iterator[str]:
    """Yield the calls that make leaves out at times, and for which a row here would call cargo each time."""
    written = "\n".join(_tables_of(move, move.proposal.stands_for[name]))
    for step in move.studies[name].left_out:
        if program_row(step)[0] in written:
            yield f"make leaves this out at times, and nothing here proves that it need not be: {step}"


def _failing(box: Box, move: Move, name: str, new: Recording) -> list[str]:
    """Return how the new side goes on where its first call fails, and the first behind what the old file does."""
    studied, base = move.studies[name], move.studies[name].base
    is_parted = bool(studied.lead or studied.tail)
    if not is_parted and len(base.steps) > 1:
        failing = _with_failing(box, move, name, 0, new)
        is_end = failing.ended != "well" and len(own_steps(failing, base.steps)) == 1
        return [] if is_end else ["it goes on though its first call fails"]
    behind = len(studied.behind.steps) if studied.behind else 0
    begins = behind if studied.tail else len(base.steps) - behind
    # Which call of a pipe is the first is not the same each time.
    of_old, place = (base.steps[begins:], begins) if studied.tail else (base.steps[:begins], 0)
    places = {0, begins} - ({place} if any(step.out == "pipe" for step in of_old) else set())
    for place in sorted(places) if is_parted else ():
        before = record_old(box, move.source, [name], fail=base.steps[place].number, made=studied.made)
        if differing(before, _with_failing(box, move, name, place, new), box.members):
            return [f"it does something else where this fails: {base.steps[place]}"]
    return []


def _with_failing(box: Box, move: Move, name: str, place: int, new: Recording) -> Recording:
    """Record the new side with one of its steps failing: what it asks before that is not the same each time, since a
    run leaves answers to the next."""
    known = move.studies[name].base.steps
    for _ in range(ROUNDS):
        steps = own_steps(new, known)
        if len(steps) <= place:
            return new
        number = steps[place].number
        failing = record_new(box, move, name, fail=number)
        if [step.number for step in own_steps(failing, known)[place : place + 1]] == [number]:
            return failing
        new = record_new(box, move, name)
    return failing


def record_new(box: Box, move: Move, name: str, *, fail: int = 0, without: str = "") -> Recording:
    """Record a target through what was, or will be, written: the shim for a Makefile, else doit-cargo itself."""
    from doit_cargo.migrate.newside import CACHES, argv, environment

    row = move.proposal.stands_for.get(name, name_of(name))
    words = argv(box, move.source, name, row, {}, move.takes.get(row, ()))
    known = move.studies[name].base.steps
    env = environment(box, move.source)
    return record(
        box,
        words,
        env,
        fail=fail,
        files=move.files,
        known=known,
        without=without,
        leaves=CACHES,
        made=move.studies[name].made,
    )


# --- the files -------------------------------------------------------------------------------------------------------


def is_taken_over_alone(pack: str) -> bool:
    """Tell whether a pack.toml holds what a migration has written, and nothing else."""
    return not BLOCK.sub("", pack).strip()


def _own_tables(session: Session) -> set[str]:
    """Return the names of the targets in the pack that are not from an earlier migration."""
    return set(re.findall(r"^\[target\.([\w-]+)\]", _pack_without_block(session), re.MULTILINE))


def _pack_without_block(session: Session) -> str:
    return BLOCK.sub("\n", _read(session, PACK))


def _read(session: Session, path: str) -> str:
    try:
        with open(os.path.join(session.root, path), encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def _files(session: Session, move: Move) -> Iterator[tuple[str, str]]:
    """Yield the files that a migration writes, whole."""
    yield PACK, "\n\n".join(filter(None, [_pack_without_block(session).strip("\n"), _block(move)])) + "\n"
    for name, text in move.proposal.profiles.items():
        yield f"profiles/{name}.toml", text
    yield from ((move.source.file, text) for text in move.source.aside.values())
    if move.source.kind == "make":
        yield SHIM, _shim(session, move)


def _shim(session: Session, move: Move) -> str:
    """Return the shim as it will be once the rows are there."""
    ours = set(move.proposal.tables)
    listing: list[Mapping[str, object]] = [
        row for row in session.listing if row["name"] not in ours and not _is_from_block(session, row)
    ]
    tables = move.proposal.tables
    listing += [_row(session, name, text, tables) for name, text in tables.items()]
    return shim.render(listing, moved_of(move))


def _is_from_block(session: Session, row: Mapping[str, object]) -> bool:
    written = set(re.findall(r"^\[target\.([\w-]+)\]", _read(session, PACK), re.MULTILINE))
    return row["name"] in written - _own_tables(session)


def _row(session: Session, name: str, text: str, tables: Mapping[str, str]) -> dict[str, object]:
    """Return what the shim wants to know of a row that is only proposed."""
    import tomllib

    pack = session.library.pack.name
    return {
        "name": name,
        "make_name": name.replace("_", "-"),
        "doc": tomllib.loads(text)["target"][name]["doc"],
        "family": "project" if pack == "base" else pack,
        "rule": "",
        "listed": True,
        "takes": tuple(dict.fromkeys(_takes(session, name, tables))),
    }


def _takes(session: Session, name: str, tables: Mapping[str, str]) -> Iterator[str]:
    """Yield the variables that a proposed row takes: those of a cargo call, and a group those of its parts."""
    import tomllib

    from doit_cargo.engine.base import variables

    if name not in tables:
        row = session.known_row(name)
        yield from row["takes"] if row else ()
        return
    table = tomllib.loads(tables[name])["target"][name]
    if "command" in table:
        yield from variables.CARGO
        yield from variables.TESTS if table["command"] == "test" and "--no-run" not in table.get("flags", ()) else ()
    for part in table.get("after", ()):
        yield from _takes(session, part, tables)


def moved_of(move: Move) -> dict[str, object]:
    """Return the table [migrated]: what the shim has to know of the old file."""
    taken = {
        name: {
            "target": move.proposal.stands_for[name],
            "variables": _plain(move.studies[name].variables),
            "environment": _plain(move.studies[name].environment),
            "parts": [*filter(PATTERN.fullmatch, move.studies[name].old.parts)],
        }
        for name in move.taken
    }
    return {
        "kind": move.source.kind,
        "file": move.source.file,
        "default": move.source.default,
        "variables": _plain(sorted(move.source.variables)),
        "sets": _plain(move.source.sets),
        "absent": [*filter(PATTERN.fullmatch, move.source.absent)],
        "kept": [*filter(PATTERN.fullmatch, (*move.kept, *move.source.patterns))],
        "taken": taken,
    }


def _plain(names: Iterable[str]) -> list[str]:
    return list(filter(VARIABLE.fullmatch, names))


def _block(move: Move) -> str:
    moved = moved_of(move)
    lines = [BEGIN, *move.proposal.tables.values(), "[migrated]"]
    head = [f"{key} = {toml_text(str(moved[key]))}" for key in ("kind", "file", "default")]
    head += [
        f"{key} = {_list(moved[key])}"
        for key in ("variables", "sets", "absent", "kept")
        if moved[key] or key != "absent"
    ]
    taken: Mapping[str, Mapping[str, object]] = moved["taken"]  # type: ignore[assignment]
    rows = [
        f"{toml_text(name)} = {{ target = {toml_text(str(row['target']))}, variables = {_list(row['variables'])}"
        + "".join(f", {key} = {_list(row[key])}" for key in ("environment", "parts") if row[key])
        + " }"
        for name, row in taken.items()
    ]
    tail = ["\n".join([lines.pop(), *head]), "\n".join(["[migrated.taken]", *rows]), END]
    return "\n\n".join([*lines, *tail])


def _list(words: object) -> str:
    return "[" + ", ".join(toml_text(word) for word in words) + "]"  # type: ignore[attr-defined]
