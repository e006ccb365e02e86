"""Two recordings side by side: the same, or how they differ, in words; what is lost comes first.

What a target prints is not compared; what it starts, where, with what set, in which order, what it leaves in the
checkout and whether it ends well is. Knows how doit-cargo listens to cargo, so that this is no difference.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from doit_cargo.migrate.cargo_call import COMPILING, CargoCall, differences, parse
from doit_cargo.migrate.recording.box import Members
from doit_cargo.migrate.recording.recordings import RecordedStep, Recording, more_in

LOCK = "Cargo.lock"
SAME, DIFFERS, UNKNOWN, KEPT = "same", "differs", "unknown", "kept"
# The same wherever make does it; where make leaves cargo out by the age of a file, it is left out by proof here.
BY_PROOF = "by proof"
# How we listen to cargo: what it says as JSON, and where each test program is.
LISTENING = re.compile(r"--message-format=json[\w,-]*$")
LISTENERS = frozenset({"RUSTDOC", "_DOIT_CARGO_RECORD", "CARGO_TERM_PROGRESS_WHEN"})
OWN_FILES = ("record.sh", ".doit-cargo/")
# Subcommands that take the default members where nothing is named (cargo reference, "workspace.default-members").
SELECTING = frozenset({"build", "check", "test", "clippy", "doc", "bench"})
# What we ask cargo and the tools before we start.
QUESTIONS = (
    re.compile(r"cargo metadata (--no-deps )?(--offline |--locked )*--format-version 1\b"),
    re.compile(r"cargo tree .*--charset ascii\b"),
    re.compile(r"\S+ (--version|-V|-vV|-E \{tmp\})$"),
)


def own_steps(recording: Recording, old: tuple[RecordedStep, ...] = ()) -> tuple[RecordedStep, ...]:
    """Return the steps of a recording of doit-cargo without its questions and its ways of listening.

    What the old side asked too is a step.
    """
    asked = {step.argv for step in old}
    return tuple(_heard(step) for step in recording.steps if step.argv in asked or not _is_question(step))


def _is_question(step: RecordedStep) -> bool:
    text = " ".join(step.argv)
    return step.out != "shown" and any(pattern.match(text) for pattern in QUESTIONS)


def _heard(step: RecordedStep) -> RecordedStep:
    argv, rest = [], list(step.argv)
    while rest:
        word = rest.pop(0)
        if word == "--config" and rest and any(name in rest[0] for name in OWN_FILES):
            rest.pop(0)
        elif not LISTENING.match(word):
            argv.append(word)
    ours = {
        name
        for name in LISTENERS
        if name in step.env and ("/" not in step.env[name] or ".doit-cargo" in step.env[name])
    }
    env = {name: value for name, value in step.env.items() if name not in ours}
    return RecordedStep(tuple(argv), step.folder, env, step.out, step.number)


def differing(old: Recording, new: Recording, members: Members) -> list[str]:
    """Return how the new side differs from the old one; empty if everything that can be observed is equal."""
    before, after = (_comparable(steps, members) for steps in (old.steps, own_steps(new, old.steps)))
    found = list(_steps(before, after))
    if old.ended != new.ended:
        found.append(f"ended {old.ended} -> {new.ended}" + (f" ({new.said})" if new.said else ""))
    if not found and (paths := _other_files(old, new, members.folders)):
        found.append(f"leaves other files: {', '.join(paths[:6])}")
    return found


def left_to_proof(
    old: Recording, new: Recording, members: Members, proven: Collection[CargoCall]
) -> list[RecordedStep] | None:
    """Return the calls that the new side makes besides those of the old one, if it makes each only where it cannot
    prove that nothing is to be done; None if anything else differs."""
    after = own_steps(new, old.steps)
    found = more_in(after, old.steps, lambda one, two: not _step_differs(*_comparable((two, one), members)))
    calls = [parse(step.argv, step.folder, step.env) for step in found or ()]
    is_proven = all(call and any(not differences(call, one) for one in proven) for call in calls)
    is_same = old.ended == new.ended and not _other_files(old, new, members.folders)
    return found if is_proven and is_same else None


def _comparable(steps: Sequence[RecordedStep], members: Members) -> tuple[RecordedStep, ...]:
    """Return steps as they are compared: spelt in one way."""
    return tuple(map(_spelt_out, steps) if members.all_are_default else steps)


def _other_files(old: Recording, new: Recording, folders: frozenset[str]) -> list[str]:
    """Return the files that two recordings of the same steps leave otherwise."""
    left = {path for path in {*old.changes, *new.changes} if old.changes.get(path) != new.changes.get(path)}
    # Whoever asks cargo first has it written; what is built writes it too, unless that is forbidden.
    return sorted(left - {LOCK} if any(_writes_lock(step, folders) for step in old.steps) else left)


def _writes_lock(step: RecordedStep, folders: frozenset[str]) -> bool:
    call = parse(step.argv, step.folder) if step.is_cargo else None
    is_plain = call is not None and call.command in COMPILING and call.folder in {"", *folders}
    return is_plain and not {"--locked", "--frozen", "--manifest-path"}.intersection(step.argv)


def _spelt_out(step: RecordedStep) -> RecordedStep:
    """Return a call that names no package, made of the root, with the option that means what cargo takes then."""
    call = parse(step.argv, step.folder, step.env) if step.is_cargo else None
    is_plain = call and not (call.packages or call.workspace or call.excluded or call.folder)
    if call is None or not is_plain or call.command not in SELECTING or "--manifest-path" in call.rest:
        return step
    end = step.argv.index("--") if "--" in step.argv else len(step.argv)
    return RecordedStep(
        (*step.argv[:end], "--workspace", *step.argv[end:]), step.folder, step.env, step.out, step.number
    )


def _steps(old: tuple[RecordedStep, ...], new: tuple[RecordedStep, ...]) -> Iterator[str]:
    """Yield how two sequences of steps differ."""
    if len(old) == len(new):
        pairs = [(one, two) for one, two in zip(old, new, strict=True) if _step_differs(one, two)]
        if not pairs:
            return
    left = list(new)
    for one in old:
        same = next((two for two in left if not _step_differs(one, two)), None)
        if same is not None:
            left.remove(same)
            continue
        alike = next((two for two in left if two.argv[:1] == one.argv[:1] and _command(two) == _command(one)), None)
        if alike is None:
            yield f"lost: {one}"
            continue
        left.remove(alike)
        yield f"{'; '.join(_step_differs(one, alike))}\n  old: {one}\n  new: {alike}"
    yield from (f"added: {two}" for two in left)
    # What stands in a pipe begins at once, in any order.
    is_ordered = not any(step.out == "pipe" for step in old)
    if (
        is_ordered
        and not left
        and len(old) == len(new)
        and all(any(not _step_differs(one, two) for two in new) for one in old)
    ):
        yield "another order"


def _command(step: RecordedStep) -> str:
    call = parse(step.argv) if step.is_cargo else None
    return call.command if call else ""


def _step_differs(old: RecordedStep, new: RecordedStep) -> list[str]:
    calls = [parse(step.argv, step.folder, step.env) if step.is_cargo else None for step in (old, new)]
    if calls[0] and calls[1]:
        return differences(calls[0], calls[1])
    if (old.argv, old.folder, dict(old.env)) == (new.argv, new.folder, dict(new.env)):
        return []
    return [f"{old} -> {new}"]
