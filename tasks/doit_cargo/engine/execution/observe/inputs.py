"""What a unit's processes depended on, as states that can be compared later, and the reasons why that is not enough.

Dropped is what other inputs prove (target, registry, toolchain), what the kernel makes up (/proc, /sys, /dev) and what
the run itself made. What the run both read and wrote, or what somebody changed meanwhile, is no state but a reason.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from operator import itemgetter

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.execution.observe.handing_on import only_hands_on
from doit_cargo.engine.execution.observe.model import CHANGES, LOOKS, Event, Observed, Op, Process
from doit_cargo.engine.execution.observe.units import COMPILERS, Group, macros, own_libraries
from doit_cargo.engine.state import seen
from doit_cargo.engine.state.fingerprint import KIND, REGULAR
from doit_cargo.engine.state.seen import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.state.seen import Row

    # One thing that was observed: its kind, as in `seen`, and a path or a variable.
    Item = tuple[str, str]

CHANGED_MEANWHILE = "was changed by something else while the run was going on"
ALWAYS_DROPPED = ("/proc", "/sys")
DEVICES, MEMORY = "/dev/", "/dev/shm/"  # noqa: S108 - in the latter lie files as anywhere
LOOKED_AT_MOST = 16 << 20  # bytes of a file that is compared though nobody reads it
# libc and the loader read these past every hook.
LIBC_VARIABLES = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LD_PRELOAD", "TZ")
# These copy the whole environment when they start, so what they ask for later cannot be told.
SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "busybox")
TAKE_ALL = (*SHELLS, "python", "perl", "ruby", "node", "make", "env", "printenv", "java")
OF_RUST = (*COMPILERS, "cargo", "rustup")
ASKED_BY_RUST = frozenset({"CI", "RUST_BACKTRACE"})
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
_OTHERS: dict[Op, tuple[Item, ...]] = {
    Op.LOOKUP: (("read", "/etc/hosts"),),
    Op.START: (("variable", "PATH"),),
}
MADE_NEW = frozenset({Op.CREATED, Op.FOLDER})
MADE = MADE_NEW | {Op.WRITE, Op.UPDATE, Op.NOT_MADE}


class Scope:
    """What the states are taken and compared with: `dropped` are folders whose content other inputs prove, `ignored`
    variables that no input is.
    """

    __slots__ = ("dropped", "ignored", "world")

    def __init__(self, dropped: Sequence[str] = (), world: World | None = None, ignored: Sequence[str] = ()) -> None:
        self.dropped = dropped
        self.world = world or World(os.environ)
        self.ignored = ignored


class ObservedInputs(NamedTuple):
    """`rows` are plain data, one for each item; with any of `reasons` they prove nothing."""

    rows: list[Row]
    reasons: list[str]


class ObservedRun:
    """What is known of the run as a whole: what it made, and in which order; and its items, each taken once."""

    def __init__(self, started: int) -> None:
        self.started = started
        self.first_look: dict[str, int] = {}  # of what was changed as well
        self.first_change: dict[str, int] = {}
        self.looked_for: set[str] = set()  # the first look found nothing
        self.folders: dict[str, int] = {}  # that the run made
        self.updated: set[str] = set()  # changed first, but not replaced: what was there still counts
        self.linked: set[str] = set()
        self.leads: dict[str, str] = {}  # a link of the run's own -> the folder to which it leads
        self.made_in: dict[str, list[str]] = {}
        self.serving: set[str] = set()
        self._rows: dict[Item, tuple[Row, str | None]] = {}
        self._plain: dict[str, str] = {}

    def row(self, item: Item, scope: Scope) -> tuple[Row, str | None]:
        """Return the state of an item, and whether it is an input (see `_conflict`)."""
        if item not in self._rows:
            kind, subject = item
            own = list(scope.ignored) if kind == "environment" else _own(item, self)
            row = [kind, subject, seen.take(kind, subject, own, scope.world), own]
            # Asked last: what changed while the state was taken counts as well.
            self._rows[item] = row, _conflict(item, self, scope.world)
        return self._rows[item]

    def plain(self, path: str) -> str:
        """Return a path without detours where that leads to the same place."""
        if path not in self._plain:
            self._plain[path] = self._led(_plain(path))
        return self._plain[path]

    def _led(self, path: str, links: int = 40) -> str:
        """Return what is read through a link of the run's own under its own name."""
        if links and path not in self.first_change:
            for link, folder in self.leads.items():
                if path.startswith(f"{link}/"):
                    return self._led(f"{folder}{path.removeprefix(link)}", links - 1)
        return path


def inputs(run: ObservedRun, group: Group, scope: Scope, *, repeats: bool = True) -> ObservedInputs:
    """Return what the processes of a group of a run depended on.

    With `repeats`, what the next run will not find as this one did is a reason as well.
    """
    dropped = _prefixes(scope.dropped)
    reasons = {str(unseen) for unseen in group.unobserved}
    items: set[Item] = set()
    for process in group.processes:
        items.update(_items(process, run, dropped))
        reasons.update(f"{process.name} {what}" for what in _foreign(process, run))
        reasons.update(_left(process, run, dropped) if repeats else ())
    items.update(("read", path) for kind, path in list(items) if kind == "stat" and _may_be_compared(path))
    rows: list[Row] = []
    for item in sorted(items):
        if item[0] == "variable" and seen.is_named(item[1], scope.ignored):
            continue
        if item[0] == "stat" and ("read", item[1]) in items and not os.path.islink(item[1]):
            continue  # known by its content
        row, reason = run.row(item, scope)
        if reason is None:
            rows.append(row)
        elif reason:
            reasons.add(reason)
    return ObservedInputs(rows, sorted(reasons))


def _may_be_compared(path: str) -> bool:
    """Tell whether the content of a file counts that is only looked at: who compares its times, as make, git and cargo
    do, learns from them whether it was edited. Of system files and large ones its size must do.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    is_system = path.startswith(seen.SYSTEM) and not path.startswith(seen.NOT_SYSTEM)
    return found.st_mode & KIND == REGULAR and found.st_size <= LOOKED_AT_MOST and not is_system


def _foreign(process: Process, run: ObservedRun) -> Iterator[str]:
    if any(event.op in (Op.CONNECT, Op.LOOKUP) for event in process.events):
        from doit_cargo.engine.execution.observe.network import foreign

        yield from foreign(process, run.serving)


def whole_run(observed: Observed) -> ObservedRun:
    """Return what all groups of a run have in common."""
    run = ObservedRun(observed.started)
    events = [event for process in observed.processes for event in process.events]
    events.sort(key=itemgetter(0))
    last: dict[int, str] = {}
    for event in events:
        if event.op in CHANGES:
            _note_change(run, event)
            last[event.pid] = event.subject
        elif event.op is Op.LEADS:
            run.leads[_normal(last.get(event.pid, event.subject))] = _normal(event.subject)
        elif event.op is Op.BIND:
            run.serving.add(event.subject)
        elif event.op is Op.LINKED:
            run.linked.add(_normal(event.subject))
    for event in events if run.first_change else ():
        if event.op in LOOKS or event.op in MADE_NEW:
            _note_look(run, event)
    for path in run.first_change:
        run.made_in.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    return run


def left(run: ObservedRun, scope: Scope) -> list[str]:
    """Return the files that a run made or changed, and that are there now."""
    dropped = _prefixes(scope.dropped)
    return sorted(path for path in run.first_change if os.path.isfile(path) and not _is_dropped(path, dropped))


def _note_look(run: ObservedRun, event: Event) -> None:
    """Keep the first look at what was changed as well. What can only be made anew: nothing was there."""
    path = _normal(event.subject)
    if path not in run.first_change or (event.op in MADE_NEW and os.path.dirname(path) in _of_everybody()):
        return  # in a folder of temporary files names are nobody else's
    if run.first_look.setdefault(path, event.order) == event.order and (event.op is Op.ABSENT or event.op in MADE_NEW):
        run.looked_for.add(path)


def _of_everybody() -> tuple[str, ...]:
    return "/tmp", "/var/tmp", _normal(os.environ.get("TMPDIR", ""))  # noqa: S108 - compared, not written


def _note_change(run: ObservedRun, event: Event) -> None:
    path = _normal(event.subject)
    if path not in run.first_change:
        run.first_change[path] = event.order
        if event.op is Op.UPDATE:
            run.updated.add(path)
    if event.op is Op.FOLDER:
        run.folders.setdefault(path, event.order)


def _normal(path: str) -> str:
    """Return what `normpath` does, which takes its time also where there is nothing to do."""
    is_odd = "/./" in path or "/../" in path or "//" in path or path.endswith(("/", "/.", "/.."))
    return os.path.normpath(path) if is_odd or not path else path


def _plain(path: str) -> str:
    short = _normal(path)
    if short == path or ".." not in path:
        return short
    one, two = os.path.dirname(path), os.path.dirname(short)
    return short if os.path.realpath(one) == os.path.realpath(two) else path


def _prefixes(dropped: Sequence[str]) -> tuple[str, ...]:
    """Folders as they are named and as they really are, with what is below them."""
    both = {os.path.normpath(form) for folder in dropped for form in (folder, os.path.realpath(folder))}
    return tuple(f"{folder}/" for folder in sorted({*both, *ALWAYS_DROPPED}))


def _is_dropped(path: str, dropped: tuple[str, ...]) -> bool:
    plain = _normal(path)
    return f"{plain}/".startswith(dropped) or (f"{plain}/".startswith(DEVICES) and not plain.startswith(MEMORY))


def _items(process: Process, run: ObservedRun, dropped: tuple[str, ...]) -> Iterator[Item]:
    own = _own_questions(process)
    for op, subject in {(event.op, event.subject) for event in process.events}:
        if walks(process, op, subject):
            yield "environment", ""
        elif subject.startswith("/") and (op in PATH_KINDS or op in MADE):
            if not _is_dropped(subject, dropped):
                yield from _of_path(op, run.plain(subject))
        elif op is Op.VARIABLE:
            if subject not in own:
                yield "variable", subject
        elif op is Op.WANTED:
            yield from _wanted(subject, process, dropped)
        else:
            yield from _OTHERS.get(op, ())
    yield from (("variable", name) for name in LIBC_VARIABLES)
    yield from _earlier_libraries(process, dropped)
    if takes_all(process):
        yield "environment", ""


def _own_questions(process: Process) -> frozenset[str]:
    """Return the variables that a tool of Rust's asks for to say its own errors, and that no macro in it asked for."""
    if process.name not in OF_RUST:
        return frozenset()
    first, _ = macros(process)
    return ASKED_BY_RUST - {event.subject for event in process.events if event.order > first}


def _of_path(op: Op, path: str) -> Iterator[Item]:
    """What is made needs its folder, and what can only be made anew that nothing of its name is there."""
    kind = PATH_KINDS.get(op)
    if kind:
        yield kind, path
    if op in MADE:
        yield "stat", os.path.dirname(path)
    if op in MADE_NEW:
        yield "stat", path


def walks(process: Process, op: Op, subject: str) -> bool:
    """Tell whether an event looks at all variables for the process itself, and not for those that it starts.

    A compiler does the latter from a library of its own, and a macro in it the former from another.
    """
    if op is Op.ENVIRONMENT:
        own = process.name in COMPILERS and subject.startswith(own_libraries(process))
        return not own and not only_hands_on(process.program, subject)
    return op is Op.READ and subject.endswith("/environ") and subject.startswith("/proc/")


def takes_all(process: Process) -> bool:
    """Tell whether a program copies the whole environment when it starts."""
    return process.name.rstrip("0123456789.") in TAKE_ALL


def _wanted(name: str, process: Process, dropped: tuple[str, ...]) -> Iterator[Item]:
    """A library that was asked for by name: found or not, the loader's own cache had its say."""
    if name.startswith("/"):
        if not _is_dropped(name, dropped):
            yield "read", name
        return
    yield "read", "/etc/ld.so.cache"
    for folder in _library_path(process):
        path = os.path.join(folder, name)
        if not _is_dropped(path, dropped):
            yield "stat", path


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
                yield "stat", f"{folder}/{name}.so{'.'.join(numbers[: count + 1])}"


def _conflict(item: Item, run: ObservedRun, world: World) -> str | None:
    """None: it is an input. "": the run made it. Else the reason for which it can be neither."""
    kind, subject = item
    if kind not in seen.PATHS:
        return None
    path = _normal(subject)
    there = os.path.lexists(path)
    if path in run.first_change:
        return _of_changed(item, path, run, there)
    if there and _changed_meanwhile(item, path, run) and not seen.is_as_before(path, run.started, world):
        return f"{path} {CHANGED_MEANWHILE}"
    return None


def _of_changed(item: Item, path: str, run: ObservedRun, there: bool) -> str | None:
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
    if item[0] == "stat":
        return None
    return "" if path in run.looked_for else f"{path} is read and then removed by the run itself"


def _above(path: str) -> Iterator[str]:
    while path != "/":
        path = os.path.dirname(path)
        yield path


def _changed_meanwhile(item: Item, path: str, run: ObservedRun) -> bool:
    if item[0] == "list":
        return path not in run.made_in and os.stat(path).st_mtime_ns >= run.started
    if item[0] not in ("read", "stat") or os.path.isdir(path):
        return False
    if path in run.linked:  # by the run itself: the time of its last change says no more
        return os.stat(path).st_mtime_ns >= run.started
    return seen.changed_since(path, run.started)


def _left(process: Process, run: ObservedRun, dropped: tuple[str, ...]) -> Iterator[str]:
    """What the next run will not find as this one did: a folder that is made and stays, what is taken away."""
    for path in process.subjects(Op.FOLDER):
        if not _is_dropped(path, dropped) and os.path.isdir(path) and run.first_change[_normal(path)]:
            yield f"{process.name} makes the folder {path}, which stays"
    for event in process.events:
        path = _normal(event.subject) if event.op is Op.REMOVE else ""
        never_read = run.first_look.get(path, sys.maxsize) > event.order  # else that tells it
        if never_read and run.first_change.get(path) == event.order and not _is_dropped(path, dropped):
            yield f"{process.name} removes {path}, which it has not made"


def _own(item: Item, run: ObservedRun) -> list[str]:
    """The names that the run itself put into a folder that it lists."""
    if item[0] == "list" or (item[0] == "read" and os.path.isdir(item[1])):
        return sorted(run.made_in.get(_normal(item[1]), []))
    if item[0] == "tree":
        root = _normal(item[1]) + "/"
        return sorted(path.removeprefix(root) for path in run.first_change if path.startswith(root))
    return []
