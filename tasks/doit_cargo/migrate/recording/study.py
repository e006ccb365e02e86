"""What a target of a build file really does, seen in several worlds: as it is, on another machine and day, with each
call failing in turn, with each variable set.

A recording is evidence: what was not seen in it is not claimed. Knows a source and a box; decides nothing about rows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from doit_cargo.engine.toolchain.tools import row_of
from doit_cargo.migrate.cargo_call import PROVABLE, fits_a_row, parse
from doit_cargo.migrate.recording.box import Box
from doit_cargo.migrate.recording.lines import read_by, tested_files, tools_asked_for, why_not
from doit_cargo.migrate.recording.recorder import READERS
from doit_cargo.migrate.recording.recordings import AS_THEY_ARE, MadeFiles, RecordedStep, Recording, more_in, record_old
from doit_cargo.migrate.sources.source import Old, Source, variables_of

SENTINEL = "doit-cargo-other"
GONE = "gone"
NO_CARGO = "calls no cargo"
IS_THERE = ("command", "-v")
# Places that no row can name; `{root}` it can.
PLACES = re.compile(r"\{(part|home|tmp|box)\}")
PLACE_NAMES = {"part": "a piece of the checkout's path", "home": "HOME", "tmp": "a temporary file", "box": "PATH"}
# A call of cargo as it is written, in a recipe or in TOML; a comment that speaks of cargo calls nothing.
NAMES_CARGO = re.compile(r"^(?![ \t@]*#)(?:(?!\s##? ).)*(?<![\w./-])(?:cargo|cross)(?=[\s\"'])", re.MULTILINE)


class Rerun(Protocol):
    """Runs a target once more, in another world: `other` are files that are there, or gone, in it alone."""

    def __call__(
        self,
        given: Mapping[str, str] | None = None,
        fail: int = 0,
        other: Collection[str] | None = None,
        without: str = "",
    ) -> Recording: ...


@dataclass(frozen=True, slots=True)
class Study:
    """What is known of a target: its recording, why it cannot be a row ("" if it can), and the variables that change
    what it does. `environment` are variables that its calls get from the build file with values of the machine, the
    day or the checkout: they are asked of it each time. `tools` are those without which it stops, each with the number
    of steps before that. `lead` is the call by which the old file does the beginning itself, and `behind` the rest;
    `tail` the call by which it does all the rest, and `behind` the beginning.
    `left_out` are calls that make leaves out while a file is new enough: cargo's, which doit-cargo leaves out where it
    proves that nothing is to be done. All is recorded without those files, as `made` says."""

    old: Old
    base: Recording
    reason: str = ""
    variables: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    tools: tuple[tuple[int, str], ...] = ()
    lead: tuple[str, ...] = ()
    behind: Recording | None = None
    made: MadeFiles = AS_THEY_ARE
    left_out: tuple[RecordedStep, ...] = ()
    tail: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[RecordedStep, ...]:
        """The calls without what the build file must be asked for; a tool that must be there is a step."""
        steps = list(_apart_from((self.behind or self.base).steps, self.environment))
        for position, tool in reversed(self.tools):
            steps.insert(position, RecordedStep((*IS_THERE, tool), "", {}, "shown", 0))
        lead, tail = ([RecordedStep(call, "", {}, "shown", 0)] if call else [] for call in (self.lead, self.tail))
        return (*lead, *steps, *tail)

    @property
    def calls_cargo(self) -> bool:
        """Whether it was seen to call cargo, or says so in a text that no recording shows whole."""
        is_named = self.reason not in ("", NO_CARGO) and NAMES_CARGO.search(self.old.text)
        return bool(is_named) or any(step.calls_cargo for step in self.base.steps)


def study(box: Box, source: Source, old: Old) -> Study:
    """Return what is known of a target, from as many recordings as it takes to know it."""
    if old.unsure and not source.gives_environment and NAMES_CARGO.search(old.text):
        return Study(old, Recording((), "never", "", (), (), {}), old.unsure)
    run = _runner(box, source, [old.name])
    base = run()
    found = _studied(box, source, old, base, run)
    if old.decided and (needed := _whenever_needed(box, source, old)).reason in ("", NO_CARGO):
        return needed
    for names in old.leads if found.reason not in ("", NO_CARGO) and base.ended == "well" else ():
        lead = _runner(box, source, names)
        led = _behind(base, lead())
        if led and not _at_once(box, source, replace(old, unsure=""), led) and not _goes_on(run, lead, led):
            behind = _studied(box, source, replace(old, unsure=""), led, _run_behind(run, lead), (base, run))
            if not behind.reason:
                call = (os.path.basename(source.call("", {})[0]), "-f", source.file, *names)
                return replace(behind, old=old, base=base, lead=call, behind=led)
    return found


def with_front(box: Box, source: Source, found: Study, studies: Mapping[str, Study]) -> Study:
    """Return a target that cannot be a row as one that begins with what is known of its first part, behind which the
    old file does the target as before; as it is if that part is no row, or more is done before the rest."""
    old, made = found.old, MadeFiles(absent=found.old.decided)
    known = [each for name in old.fronts if (each := studies.get(name)) and not (each.reason or each.lead or each.tail)]
    base = record_old(box, source, [old.name], made=made) if known else found.base
    for front in reversed(known if base.ended == "well" else []):
        first = record_old(box, source, [front.old.name], made=made)
        rest = _behind(base, first)
        if rest is None or not rest.steps or not first.steps:
            continue
        # What leaves no file is taken for done by the name that it has.
        done = () if front.old.name in old.decided else ("-W", front.old.name)
        tail = (os.path.basename(source.call("", {})[0]), "-f", source.file, *done, old.name)
        changing = _changing(source, old, base, _runner(box, source, [old.name], made))
        variables = tuple(sorted({*front.variables, *changing}))
        return replace(front, old=old, base=base, variables=variables, behind=first, made=made, tail=tail)
    return found


def _whenever_needed(box: Box, source: Source, old: Old) -> Study:
    """Return what is known of a target where none of the files is there about which make decides, if all that make ever
    leaves out for them is proven to be up to date, or not, by doit-cargo."""
    run = _runner(box, source, [old.name], MadeFiles(absent=old.decided))
    base = run()
    found = _studied(box, source, replace(old, unsure=""), base, run)
    left: list[RecordedStep] = []
    if found.reason:
        return found
    for made in states_of(old.decided):
        seen = record_old(box, source, [old.name], made=made)
        missing = more_in(base.steps, seen.steps, lambda one, two: _alike([one], [two]))
        if missing is None or seen.ended != base.ended or not all(_is_provable(step) for step in missing):
            return replace(found, reason=old.unsure)
        left += (step for step in missing if step not in left)
    return replace(found, old=old, made=MadeFiles(absent=old.decided), left_out=tuple(left))


def states_of(files: tuple[str, ...]) -> Iterator[MadeFiles]:
    """Yield what some files of make's may be: each alone, and all, made just now or long ago."""
    for there in dict.fromkeys([*((name,) for name in files), *([files] if files else [])]):
        absent = tuple(name for name in files if name not in there)
        yield from (MadeFiles(absent, there, is_old) for is_old in (False, True))


def _is_provable(step: RecordedStep) -> bool:
    call = parse(step.argv, step.folder, step.env) if step.is_cargo else None
    return call is not None and step.out == "shown" and call.command in PROVABLE and fits_a_row(call)


def _studied(
    box: Box, source: Source, old: Old, base: Recording, run: Rerun, whole: tuple[Recording, Rerun] | None = None
) -> Study:
    """Return what is known of a target of which the first recording is there; `whole` is that of which it is a part."""
    if reason := _at_once(box, source, old, base):
        return Study(old, base, reason)
    asked_for = [os.path.normpath(name) for line in base.asking for name in tested_files(line)]
    elsewhere = run(other=[name for name in asked_for if not name.startswith(("/", "..", "."))])
    asked = _of_the_machine(base, elsewhere) if source.gives_environment else ()
    reason = _place_in(_apart_from(base.steps, asked)) or _in_other_worlds(base, elsewhere, asked, run)
    tools: tuple[tuple[int, str], ...] = ()
    if not reason:
        reason, tools = _without_tools(base, run)
    if reason:
        return Study(old, base, reason)
    read = {name for line in base.lines for name in read_by(line)} & {*source.variables}
    changing = _changing(source, old, *(whole or (base, run)))
    return Study(old, base, "", tuple(sorted(read.union(changing))), asked, tools)


def _runner(box: Box, source: Source, names: Sequence[str], made: MadeFiles = AS_THEY_ARE) -> Rerun:
    """Return what records some targets of a build file in one call."""

    def run(
        given: Mapping[str, str] | None = None, fail: int = 0, other: Collection[str] | None = None, without: str = ""
    ) -> Recording:
        is_other = other is not None
        return record_old(
            box, source, names, given, fail=fail, other=is_other, without=without, asked=other or (), made=made
        )

    return run


def _run_behind(run: Rerun, lead: Rerun) -> Rerun:
    """Return what records a target without that with which it begins."""

    def rest(
        given: Mapping[str, str] | None = None, fail: int = 0, other: Collection[str] | None = None, without: str = ""
    ) -> Recording:
        # A call that fails is one of the rest here.
        whole, first = run(given, fail, other, without), lead(given, 0, other, without)
        return _behind(whole, first) or replace(whole, ended="never")

    return rest


def _behind(whole: Recording, lead: Recording) -> Recording | None:
    """Return what a recording has behind another one, with which it begins; None if it does not."""
    steps, lines = len(lead.steps), len(lead.lines)
    begins = _alike(whole.steps[:steps], lead.steps) and sorted(whole.lines[:lines]) == sorted(lead.lines)
    if lead.ended != "well" or not begins:
        return None
    changes = {path: what for path, what in whole.changes.items() if lead.changes.get(path) != what}
    return replace(whole, steps=whole.steps[steps:], lines=whole.lines[lines:], changes=changes)


def _alike(some: Sequence[RecordedStep], others: Sequence[RecordedStep]) -> bool:
    """Tell whether two recordings hold the same calls; those of a pipe begin in any order."""
    here, there = (
        sorted(repr((each.argv, each.folder, sorted(each.env.items()))) for each in steps) for steps in (some, others)
    )
    return here == there


def _goes_on(run: Rerun, lead: Rerun, led: Recording) -> bool:
    """Tell whether a target does not end where that with which it begins fails, or not go on where that does."""
    steps = lead().steps
    if not steps or any(step.out == "pipe" for step in steps):
        return False
    whole, first = run(fail=steps[-1].number), lead(fail=steps[-1].number)
    rest = _behind(whole, first)
    return rest.steps != led.steps if rest else (whole.steps, whole.ended) != (first.steps, first.ended)


def tools_of(recording: Recording) -> list[str]:
    """Return the tools of which the lines of a recording ask whether they are there."""
    lines = (*recording.lines, *recording.asking)
    return list(dict.fromkeys(tool for line in lines for tool in tools_asked_for(line)))


def _without_tools(base: Recording, run: Rerun) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Return why a target does something else where a tool is missing, or the tools that it stops for."""
    found = []
    for tool in tools_of(base):
        absent = run(without=tool)
        if (absent.steps, absent.ended) == (base.steps, base.ended):
            continue
        row, before = row_of(tool), len(absent.steps)
        if row.environment or row.extra or row.component:
            return f"asks for {tool}, for which doit-cargo looks elsewhere too", ()
        if absent.ended == "well" or absent.steps != base.steps[:before]:
            return f"does something else where {tool} is missing", ()
        found.append((before, tool))
    return "", tuple(sorted(found, key=lambda each: each[0]))


def _of_the_machine(base: Recording, elsewhere: Recording) -> tuple[str, ...]:
    """Return the variables that the file gives to all that it starts, and that are another time something else, or name
    a place."""
    place = re.compile(rf"{PLACES.pattern}|\{{root\}}")
    pairs = [(dict(one.env), dict(two.env)) for one, two in zip(base.steps, elsewhere.steps, strict=False)]
    names = {name for one, two in pairs for name in {*one, *two} if one.get(name) != two.get(name)}
    names |= {name for step in base.steps for name, value in step.env.items() if place.search(value)}
    return tuple(sorted(name for name in names if _is_given(name, base) and _is_given(name, elsewhere)))


def _is_given(name: str, recording: Recording) -> bool:
    """Tell whether each call has a variable as the build file sets it for all lines, or none has it."""
    return all(step.env.get(name) == recording.given.get(name) for step in recording.steps)


def _place_in(steps: tuple[RecordedStep, ...]) -> str:
    """Return which place of the machine a call has in its environment."""
    found = next((found for step in steps for value in step.env.values() if (found := PLACES.search(value))), None)
    return f"names a place of this machine ({PLACE_NAMES[found[1]]})" if found else ""


def _apart_from(steps: tuple[RecordedStep, ...], names: Collection[str]) -> tuple[RecordedStep, ...]:
    return tuple(
        RecordedStep(
            step.argv,
            step.folder,
            {name: step.env[name] for name in step.env if name not in names},
            step.out,
            step.number,
        )
        for step in steps
    )


def _at_once(box: Box, source: Source, old: Old, base: Recording) -> str:
    """Return why a single recording already tells that a target is not for rows."""
    if base.ended != "well":
        why = "does not come to an end" if base.ended == "never" else "does not end well"
        return old.unsure or _of_lines(box, source, base) or f"{why} in a fresh copy: {base.said}".rstrip(": ")
    if not any(step.calls_cargo for step in base.steps):
        return (NAMES_CARGO.search(old.text) and old.unsure) or NO_CARGO
    if old.unsure:
        return old.unsure
    of_steps = (reason for step in base.steps if (reason := _of_step(step, source)))
    made = (f"make skips {path} while it is new enough" for path in source.makes if _is_made(box, path, base))
    return _of_lines(box, source, base) or next(of_steps, "") or next(made, "")


def _is_made(box: Box, path: str, base: Recording) -> bool:
    """Tell whether a recording leaves a file of make's; a stand-in that appears is none that it is seen to make, so
    there all that was done in the folder of another Makefile counts."""
    folder = os.path.dirname(path)
    is_beside = bool(folder) and box.lays_below(path) and any(step.folder == folder for step in base.steps)
    return is_beside or base.changes.get(path, GONE) != GONE


def _of_lines(box: Box, source: Source, base: Recording) -> str:
    """Return why a line may do something else another time."""
    # The shim looks at these first: where one is set, it goes to the old file.
    given = source.variables if source.gives_environment else ()
    programs = {os.path.basename(path) for path in box.programs}
    for line in base.lines:
        if reason := why_not(line, given, programs, tools_of(base) if box.is_contained else ()):
            return f"{reason}: {_short(line)}"
    return ""


def _of_step(step: RecordedStep, source: Source) -> str:
    """Return why a call cannot be made by a row."""
    if step.out not in ("shown", "null") and not (source.listens and step.out == "pipe"):
        return f"what {step.argv[0]} says goes on to a {step.out}"
    if source.kind == "cargo-make" and step.argv[:2] == ("cargo", "make"):
        return "calls cargo-make again, with what that one sets for it"
    if found := PLACES.search(" ".join((*step.argv, step.folder))):
        return f"names a place of this machine ({PLACE_NAMES[found[1]]})"
    return "runs outside of the checkout" if step.folder.startswith(("/", "..")) else ""


def _short(line: str) -> str:
    text = " ".join(line.split())
    return text if len(text) <= 80 else text[:77] + "..."


def _in_other_worlds(base: Recording, elsewhere: Recording, asked_for: Collection[str], run: Rerun) -> str:
    """Return why a target does something else on another machine, or after a failure."""
    here, there = (_apart_from(each.steps, asked_for) for each in (base, elsewhere))
    if (there, elsewhere.ended) != (here, base.ended):
        asked = [name for name in base.asked if name not in READERS]
        read = [name for name in base.asked if name in READERS]
        what = ", ".join(asked) or (
            f"what {', '.join(read)} read" if read else "the machine (OS, HOME, USER) or the files that are there"
        )
        shown = [_short("; ".join(map(str, steps)) or "nothing") for steps in (here, there)]
        return f"depends on {what}; here: {shown[0]}; elsewhere: {shown[1]}"
    for number, step in enumerate(base.steps):
        failing = run(fail=step.number)
        if failing.ended == "well" or failing.steps != base.steps[: number + 1]:
            return f"goes on, or ends well, though this fails: {_short(str(step))}"
    return ""


def _changing(source: Source, old: Old, base: Recording, run: Rerun) -> Iterator[str]:
    """Yield the variables that change what a target does, seen by setting each to other values."""
    reached = variables_of(old.text)
    values = {name: (SENTINEL, *words) for name, words in source.variables.items() if name in reached}
    yield from _parted(values, base, run)


def _parted(values: Mapping[str, Sequence[str]], base: Recording, run: Rerun) -> Iterator[str]:
    """Yield those of some variables that change anything: all are set at once, then each half of them."""
    if not values or not _any_changes(values, base, run):
        return
    if len(values) == 1:
        yield from values
        return
    names = list(values)
    for half in (names[: len(names) // 2], names[len(names) // 2 :]):
        yield from _parted({name: values[name] for name in half}, base, run)


def _any_changes(values: Mapping[str, Sequence[str]], base: Recording, run: Rerun) -> bool:
    """Tell whether anything changes with all variables set at once, to the first, the second, ... value of each."""
    longest = max(map(len, values.values()))
    worlds = ({name: words[min(turn, len(words) - 1)] for name, words in values.items()} for turn in range(longest))
    return any(_differs(base, run(world), set(world)) for world in worlds)


def _differs(base: Recording, other: Recording, names: Collection[str]) -> bool:
    """Tell whether a recording with variables set is another one, but for those variables in the environment."""
    if other.ended != base.ended or len(other.steps) != len(base.steps):
        return True
    return any(
        (one.argv, one.folder, one.out, _without(one, base, names)) != (two.argv, two.folder, two.out, dict(two.env))
        for one, two in zip(other.steps, base.steps, strict=True)
    )


def _without(step: RecordedStep, base: Recording, names: Collection[str]) -> dict[str, str]:
    exported = {name for each in base.steps for name in each.env}
    return {key: value for key, value in step.env.items() if key not in names or key in exported}
