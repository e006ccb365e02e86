"""An old build file beside what stands here, each target recorded on both sides: same, differs, unknown or kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from doit_cargo.engine.base.tables import counted
from doit_cargo.migrate.compare import BY_PROOF, DIFFERS, KEPT, SAME, UNKNOWN, differing, left_to_proof
from doit_cargo.migrate.newside import CACHES, argv, environment, program
from doit_cargo.migrate.recording.recordings import AS_THEY_ARE, MadeFiles, Recording, record, record_old
from doit_cargo.migrate.recording.study import SENTINEL, states_of, tools_of
from doit_cargo.migrate.rows import name_of, proven_calls

if TYPE_CHECKING:
    from doit_cargo.migrate.recording.box import Box
    from doit_cargo.migrate.sources.source import Old, Source
    from doit_cargo.session import Session


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an old target; `lines` say how it differs, or why it is not known."""

    name: str
    line: int
    verdict: str
    lines: tuple[str, ...] = ()

    @property
    def is_loss(self) -> bool:
        return self.verdict in (DIFFERS, UNKNOWN)

    def data(self) -> dict[str, Any]:
        return asdict(self)


def compare(session: Session, box: Box, source: Source, tell: Callable[[str], None]) -> Iterator[Verdict]:
    """Yield a verdict for each target of a source, and for its default."""
    from doit_cargo import makefile

    moved = makefile.moved(session) or {}
    if moved.get("file") != source.file:
        moved = {}
    for verdict in box.each(lambda old: _verdict(session, box, source, old, moved), source.targets):
        tell(f"recorded {verdict.name} on both sides")
        yield verdict


@dataclass(frozen=True, slots=True)
class _Sides:
    """A target on both sides: how each is recorded."""

    session: Session
    box: Box
    source: Source
    old: Old
    target: str
    is_moved: bool

    def record(
        self, given: Mapping[str, str] | None = None, without: str = "", made: MadeFiles = AS_THEY_ARE
    ) -> tuple[Recording, Recording]:
        box, source, name = self.box, self.source, self.old.name
        before = record_old(box, source, [name], given, without=without, made=made)
        row = self.session.known_row(self.target)
        words = [*program().split(), self.target]
        if self.is_moved:
            words = argv(box, source, name, self.target, given or {}, row["takes"] if row else ())
        env, steps = environment(box, source), before.steps
        return before, record(box, words, env, known=steps, without=without, leaves=CACHES, made=made)

    def differing_by_age(self) -> Iterator[tuple[str, bool]]:
        """Yield what is said of each state of the files about which make decides, and whether it is a difference."""
        proven = [*proven_calls(self.session, self.target)]
        for made in states_of(self.old.decided):
            before, after = self.record(made=made)
            left = left_to_proof(before, after, self.box.members, proven)
            files = ", ".join(made.there)
            if left is None:
                what = "; ".join(differing(before, after, self.box.members))
                yield f"where {files} is {'old' if made.is_old else 'new'}: {what}", True
            elif left:
                what = "; ".join(map(str, left))
                yield f"make leaves out by the age of {files}, and this by proof: {what}", False


def _verdict(session: Session, box: Box, source: Source, old: Old, moved: Mapping[str, Any]) -> Verdict:
    taken = moved.get("taken", {})
    if moved and source.kind != "make" and old.name not in taken:
        return Verdict(old.name, old.line, KEPT)
    target = taken.get(old.name, {}).get("target", name_of(old.name))
    if not moved and (absent := _absent(session, target)):
        base = record_old(box, source, [old.name])
        lost = [f"lost: {step}" for step in base.steps] or ["lost: it runs no program that could be compared"]
        return Verdict(old.name, old.line, DIFFERS, (absent, *lost))
    sides = _Sides(session, box, source, old, target, bool(moved))
    is_ours = old.name in taken or not moved
    found: list[str] = []
    variables = taken.get(old.name, {}).get("variables") or list(source.variables)
    worlds = [*_worlds(variables, bool(moved) and source.kind == "make")]
    for given, without in worlds:
        before, after = sides.record(given, without, MadeFiles(absent=old.decided) if is_ours else AS_THEY_ARE)
        if "never" in (before.ended, after.ended):
            return Verdict(old.name, old.line, UNKNOWN, ("it does not come to an end",))
        if not (moved or without or before.steps):
            return Verdict(old.name, old.line, UNKNOWN, ("it runs no program that could be compared",))
        found += [f"{_with(given, without)}{text}" for text in differing(before, after, box.members)]
        if not (given or without) and box.is_contained:
            worlds += [({}, tool) for tool in tools_of(before)]
    by_age = dict(sides.differing_by_age()) if is_ours and not found else {}
    found += [text for text, is_different in by_age.items() if is_different]
    kind = DIFFERS if found else BY_PROOF if by_age else SAME if is_ours else KEPT
    return Verdict(old.name, old.line, kind, tuple(line for text in found or by_age for line in text.splitlines()))


def _absent(session: Session, target: str) -> str:
    row = session.known_row(target)
    if row is None:
        return "there is no such target here"
    return "" if row["available"] else f"not in this checkout: {row['reason']}"


def _worlds(variables: list[str], is_moved: bool) -> Iterator[tuple[dict[str, str], str]]:
    """Yield what is set and what is missing in each recording: nothing, then two variables at once."""
    yield {}, ""
    if is_moved and variables:
        yield dict.fromkeys(variables[:2], SENTINEL), ""


def _with(given: Mapping[str, str], without: str) -> str:
    words = [f"with {', '.join(f'{name}={value}' for name, value in given.items())}: "] if given else []
    return "".join([*words, *([f"without {without}: "] if without else [])])


def text_of(verdicts: list[Verdict], path: str) -> Iterator[str]:
    """Yield the lines of the report: one for each target, what differs below it, and a count at the end."""
    width = max((len(verdict.name) for verdict in verdicts), default=0)
    for verdict in verdicts:
        first, *rest = verdict.lines or ("",)
        place = f"  ({path}:{verdict.line})" if verdict.line and verdict.is_loss else ""
        yield f"{verdict.verdict:8} {verdict.name:{width}}  {first}{place}".rstrip()
        yield from (f"{'':8} {'':{width}}  {line}" for line in rest)
    kinds = (SAME, BY_PROOF, KEPT, DIFFERS, UNKNOWN)
    counts = {kind: sum(verdict.verdict == kind for verdict in verdicts) for kind in kinds}
    counts = {kind: count for kind, count in counts.items() if count or kind != BY_PROOF}
    yield f"{counted(len(verdicts), 'target')}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())
