"""What a unit's processes depended on, as states that can be compared later, and the reasons why that is not enough.

Dropped is what other inputs prove (target, registry, toolchain), what the kernel makes up (/proc, /sys, /dev) and what
the run itself made. What the run both read and wrote, or what somebody changed meanwhile, is no state but a reason.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from doit_cargo.engine.execution.observe.model import CHANGES, LOOKS, Event, Observed, Op, Process
from doit_cargo.engine.execution.observe.network import foreign
from doit_cargo.engine.execution.observe.units import Group
from doit_cargo.engine.state import seen

CHANGED_MEANWHILE = "was changed by something else while the run was going on"
ALWAYS_DROPPED = ("/proc", "/sys", "/dev")
# libc and the loader read these past every hook.
LIBC_VARIABLES = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LD_PRELOAD", "TZ")
# These copy the whole environment when they start, so what they ask for later cannot be told.
TAKE_ALL = ("sh", "bash", "dash", "zsh", "ksh", "busybox", "python", "perl", "ruby", "node", "make", "env", "java")
PATH_KINDS = {
    Op.READ: "read",
    Op.EXECUTE: "read",
    Op.LIBRARY: "read",
    Op.STAT: "stat",
    Op.ABSENT: "stat",
    Op.REFUSED: "stat",
    Op.LINK: "link",
    Op.RESOLVE: "resolve",
    Op.LIST: "list",
    Op.TREE: "tree",
}
MADE = frozenset({Op.WRITE, Op.UPDATE, Op.FOLDER, Op.NOT_MADE})


@dataclass(frozen=True)
class Scope:
    """What the states are taken and compared with.

    `dropped` are folders whose content other inputs prove; `variable` gives a variable's value, keyed if it may be a
    secret; `volatile` says which variables a walk over all of them leaves out, and `ignored` names more, which no
    input is; `digest` is a file's content.
    """

    dropped: Sequence[str] = ()
    variable: Callable[[str], str | None] = os.environ.get
    names: Callable[[], Collection[str]] = lambda: list(os.environ)
    volatile: Callable[[str], bool] = seen.volatile
    digest: Callable[[str], str] = seen.content
    ignored: Sequence[str] = ()


class Item(NamedTuple):
    """One thing that was observed: `kind` is read, stat, link, resolve, list, tree, variable or environment."""

    kind: str
    subject: str


class Inputs(NamedTuple):
    """`states` are plain data (for JSON), one for each item; with any of `reasons` they prove nothing."""

    states: list[list[object]]
    reasons: list[str]


@dataclass
class Run:
    """What is known of the run as a whole: what it made, and in which order."""

    started: int
    first_look: dict[str, int] = field(default_factory=dict)
    first_change: dict[str, int] = field(default_factory=dict)
    looked_for: set[str] = field(default_factory=set)  # the first look found nothing
    folders: dict[str, int] = field(default_factory=dict)  # that the run made
    updated: set[str] = field(default_factory=set)  # changed first, but not replaced: what was there still counts
    linked: set[str] = field(default_factory=set)
    made_in: dict[str, list[str]] = field(default_factory=dict)
    serving: set[str] = field(default_factory=set)
    states: dict[Item, object] = field(default_factory=dict)  # taken once, though many units have it


def inputs(run: Run, group: Group, scope: Scope) -> Inputs:
    """Return what the processes of a group of a run depended on."""
    dropped = _prefixes(scope.dropped)
    reasons = {str(unseen) for unseen in group.unobserved}
    items: set[Item] = set()
    for process in group.processes:
        items.update(_items(process, dropped))
        reasons.update(f"{process.name} {what}" for what in foreign(process, run.serving))
        reasons.update(_left(process, run, dropped))
    kept: list[list[object]] = []
    for item in sorted(items):
        if item.kind == "variable" and seen.is_named(item.subject, scope.ignored):
            continue
        own = list(scope.ignored) if item.kind == "environment" else _own(item, run)
        if item not in run.states:
            run.states[item] = seen.take(item.kind, item.subject, own, scope)
        reason = _conflict(item, run)  # asked last: what changed while the state was taken counts as well
        if reason is None:
            kept.append([item.kind, item.subject, run.states[item], own])
        elif reason:
            reasons.add(reason)
    return Inputs(kept, sorted(reasons))


def changed(taken: Sequence[Sequence[object]], scope: Scope) -> Iterator[Item]:
    """Yield the items whose state is another now."""
    for kind, subject, state, own in taken:
        if not seen.holds([kind, subject, state, own], scope):
            yield Item(str(kind), str(subject))


def whole_run(observed: Observed) -> Run:
    """Return what all groups of a run have in common."""
    run = Run(observed.started)
    for event in observed.events():
        if event.op in CHANGES:
            _note_change(run, event)
        elif event.op in LOOKS:
            path = os.path.normpath(event.subject)
            if run.first_look.setdefault(path, event.order) == event.order and event.op is Op.ABSENT:
                run.looked_for.add(path)
        elif event.op is Op.BIND:
            run.serving.add(event.subject)
        elif event.op is Op.LINKED:
            run.linked.add(os.path.normpath(event.subject))
    for path in run.first_change:
        run.made_in.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    return run


def _note_change(run: Run, event: Event) -> None:
    path = os.path.normpath(event.subject)
    if path not in run.first_change:
        run.first_change[path] = event.order
        if event.op is Op.UPDATE:
            run.updated.add(path)
    if event.op is Op.FOLDER:
        run.folders.setdefault(path, event.order)
        # Nothing was there; in the folder of temporary files names are nobody else's.
        if path not in run.first_look and os.path.dirname(path) != tempfile.gettempdir():
            run.first_look[path] = event.order
            run.looked_for.add(path)


def _prefixes(dropped: Sequence[str]) -> tuple[str, ...]:
    """Folders as they are named and as they really are, with what is below them."""
    both = {os.path.normpath(form) for folder in dropped for form in (folder, os.path.realpath(folder))}
    return tuple(f"{folder}/" for folder in sorted({*both, *ALWAYS_DROPPED}))


def _is_dropped(path: str, dropped: tuple[str, ...]) -> bool:
    return f"{os.path.normpath(path)}/".startswith(dropped)


def _items(process: Process, dropped: tuple[str, ...]) -> Iterator[Item]:
    for event in process.events:
        kind = PATH_KINDS.get(event.op)
        if kind and event.subject.startswith("/"):
            if not _is_dropped(event.subject, dropped):
                yield Item(kind, event.subject)
        elif event.op is Op.VARIABLE:
            yield Item("variable", event.subject)
        elif event.op is Op.WANTED:
            yield from _wanted(event.subject, process, dropped)
        elif event.op is Op.LOOKUP:
            yield Item("read", "/etc/hosts")
        if event.op in MADE and event.subject.startswith("/"):
            yield from _place(event, dropped)
    yield from (Item("variable", name) for name in LIBC_VARIABLES)
    if process.subjects(Op.START):
        yield Item("variable", "PATH")
    yield from _earlier_libraries(process, dropped)
    if process.walked_environment or takes_all(process):
        yield Item("environment", "")


def _place(event: Event, dropped: tuple[str, ...]) -> Iterator[Item]:
    """What is made needs its folder, and a new folder that nothing of its name is there."""
    path = os.path.normpath(event.subject)
    if not _is_dropped(path, dropped):
        yield Item("stat", os.path.dirname(path))
        if event.op is Op.FOLDER:
            yield Item("stat", path)


def takes_all(process: Process) -> bool:
    """Tell whether a program copies the whole environment when it starts."""
    return process.name.rstrip("0123456789.") in TAKE_ALL


def _wanted(name: str, process: Process, dropped: tuple[str, ...]) -> Iterator[Item]:
    """A library that was asked for by name: found or not, the loader's own cache had its say."""
    if name.startswith("/"):
        if not _is_dropped(name, dropped):
            yield Item("read", name)
        return
    yield Item("read", "/etc/ld.so.cache")
    for folder in _library_path(process):
        path = os.path.join(folder, name)
        if not _is_dropped(path, dropped):
            yield Item("stat", path)


def _library_path(process: Process) -> list[str]:
    return [folder for folder in process.variables.get("LD_LIBRARY_PATH", "").split(":") if folder.startswith("/")]


def _earlier_libraries(process: Process, dropped: tuple[str, ...]) -> Iterator[Item]:
    """A library put into a folder of LD_LIBRARY_PATH later would be taken instead of the one that was."""
    folders = [folder for folder in _library_path(process) if not _is_dropped(folder, dropped)]
    for path in process.libraries if folders else ():
        name, _, version = os.path.basename(path).partition(".so")
        numbers = version.split(".")
        for count in range(len(numbers)):
            for folder in folders:
                yield Item("stat", f"{folder}/{name}.so{'.'.join(numbers[: count + 1])}")


def _conflict(item: Item, run: Run) -> str | None:
    """None: it is an input. "": the run made it. Else the reason for which it can be neither."""
    if item.kind in ("variable", "environment"):
        return None
    path = os.path.normpath(item.subject)
    there = os.path.lexists(path)
    if path in run.first_change:
        return _of_changed(item, path, run, there)
    if there and _changed_meanwhile(item, path, run):
        return f"{path} {CHANGED_MEANWHILE}"
    return None


def _of_changed(item: Item, path: str, run: Run, there: bool) -> str | None:
    looked = run.first_look.get(path, sys.maxsize)
    if path not in run.updated and looked > run.first_change[path]:
        return ""
    if any(run.folders.get(above, sys.maxsize) < looked for above in _above(path)):
        return ""
    if os.path.isdir(path):
        return None
    if there:
        return f"{path} is read and also written by the run itself"
    # Absent before and after, or an input that the run took away: only what reads it can tell.
    if item.kind == "stat":
        return None
    return "" if path in run.looked_for else f"{path} is read and then removed by the run itself"


def _above(path: str) -> Iterator[str]:
    while path != "/":
        path = os.path.dirname(path)
        yield path


def _changed_meanwhile(item: Item, path: str, run: Run) -> bool:
    if item.kind == "list":
        return path not in run.made_in and os.stat(path).st_mtime_ns >= run.started
    if item.kind not in ("read", "stat") or os.path.isdir(path):
        return False
    if path in run.linked:  # by the run itself: the time of its last change says no more
        return os.stat(path).st_mtime_ns >= run.started
    return seen.changed_since(path, run.started)


def _left(process: Process, run: Run, dropped: tuple[str, ...]) -> Iterator[str]:
    """What the next run will not find as this one did: a folder that is made and stays, what is taken away."""
    for path in process.subjects(Op.FOLDER):
        if not _is_dropped(path, dropped) and os.path.isdir(path) and run.first_change[os.path.normpath(path)]:
            yield f"{process.name} makes the folder {path}, which stays"
    for event in process.events:
        path = os.path.normpath(event.subject) if event.op is Op.REMOVE else ""
        never_read = run.first_look.get(path, sys.maxsize) > event.order  # else that tells it
        if never_read and run.first_change.get(path) == event.order and not _is_dropped(path, dropped):
            yield f"{process.name} removes {path}, which it has not made"


def _own(item: Item, run: Run) -> list[str]:
    """The names that the run itself put into a folder that it lists."""
    if item.kind == "list" or (item.kind == "read" and os.path.isdir(item.subject)):
        return sorted(run.made_in.get(os.path.normpath(item.subject), []))
    if item.kind == "tree":
        root = os.path.normpath(item.subject) + "/"
        return sorted(path.removeprefix(root) for path in run.first_change if path.startswith(root))
    return []
