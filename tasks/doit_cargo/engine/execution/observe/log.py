"""Reads the logs of the observer's library: which processes there were, which should have been, what each noted.

The layout is that of native/observe.h. Knows nothing of what the records are for.
"""

from __future__ import annotations

import os
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.execution.observe.model import Event, Op, Process, Unobserved

HEAD = struct.Struct("<IIII")
RECORD = struct.Struct("<HBBIQ")
MAGIC = 0x31734F64
OPS = {ord(op.value): op for op in Op}
NO_LOG = "it left no log of its own, so what it read is not known"
TORN = "its log is torn"
LOST = "its log was full, and some of what it read is not known"
LIBRARIES_UNKNOWN = "it ended before the libraries that it loaded could be listed"


class Start(NamedTuple):
    """That a process is about to run a program, or (without a reason to be unseen) that this failed."""

    order: int
    pid: int
    reason: str
    program: str
    by: Process


class Logs:
    """All that lies in the folders of one run."""

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self.more: list[tuple[str, list[Event]]] = []  # further logs of a process
        self.without: list[tuple[int, int, str]] = []  # pid, order, reason
        self.lost: dict[str, str] = {}


def load(folders: Sequence[str]) -> tuple[list[Process], list[Unobserved]]:
    """Return the processes of a run, each with its parent, and those of which not all is known."""
    logs = Logs()
    for folder in folders:
        for entry in os.scandir(folder):
            _read(entry, logs)
    for image, events in logs.more:
        if image in logs.processes:
            logs.processes[image].events += events
    processes = sorted(logs.processes.values(), key=lambda process: process.order)
    for process in processes:
        process.events.sort()
    unobserved = _family(processes, logs.without)
    unobserved += [
        Unobserved(logs.processes[image].program, why, logs.processes[image]) for image, why in logs.lost.items()
    ]
    unobserved += [found for process in processes for found in _blind(process)]
    return processes, unobserved


def _read(entry: os.DirEntry[str], logs: Logs) -> None:
    numbers = entry.name.split(".")
    if not numbers[0].isdigit():
        return
    if entry.is_symlink():
        logs.without.append((int(numbers[0]), int(numbers[1]), os.readlink(entry.path)))
        return
    with open(entry.path, "rb") as file:
        data = file.read()
    if len(data) < HEAD.size:
        return
    magic, capacity, used, lost = HEAD.unpack_from(data)
    if magic != MAGIC:
        return
    events = list(_records(data, HEAD.size + min(used, capacity)))
    if not events:
        return
    first = events[0]
    if first.op is Op.PROCESS:
        image = entry.name
        logs.processes[image] = _process(first, int(numbers[1]), events[1:])
    else:
        image = first.subject
        logs.more.append((image, events[1:]))
    if lost or events[-1].order < 0:
        logs.lost[image] = LOST if lost else TORN


def _records(data: bytes, end: int) -> Iterator[Event]:
    at, ops, unpack, head = HEAD.size, OPS, RECORD.unpack_from, RECORD.size
    while at < end:
        size, op, _, pid, order = unpack(data, at)
        if size < head or at + size > len(data):
            yield Event(-1, Op.BLIND, TORN)
            return
        if op in ops:  # else the process ended within the call, and never saw its answer
            yield Event(order, ops[op], data[at + head : at + size].decode("utf-8", "surrogateescape"), pid)
        at += (size + 7) & ~7


def _process(first: Event, order: int, events: list[Event]) -> Process:
    ppid, program, directory, variables, argv = (first.subject.split("\1") + [""] * 5)[:5]
    process = Process(first.pid, order, program, directory)
    process.argv = tuple(argv.removesuffix("\2").split("\2"))
    process.variables = dict(part.split("=", 1) for part in variables.split("\2") if "=" in part)
    process.events = events
    process.variables["\0ppid"] = ppid
    return process


def _family(processes: list[Process], without: list[tuple[int, int, str]]) -> list[Unobserved]:
    """Give each process its parent, and return the starts that no process answered."""
    at: dict[int, list[tuple[int, int, object]]] = defaultdict(list)
    for process in processes:
        at[process.pid].append((process.order, 1, process))
        for event in process.events:
            for pid, order, step in _steps(event, process):
                at[pid].append((order, step[0], step[1]))
    for pid, order, reason in without:
        at[pid].append((order, 2, reason))
    unobserved = [found for steps in at.values() for found in _unanswered(sorted(steps, key=lambda step: step[:2]))]
    _adopt(processes)
    return unobserved + _shells(processes)


def _steps(event: Event, process: Process) -> Iterator[tuple[int, int, tuple[int, object]]]:
    if event.op is Op.START:
        pid, order, reason, program = event.subject.split("\1", 3)
        yield int(pid), int(order), (0, Start(int(order), int(pid), reason, program, process))
    elif event.op is Op.NOT_STARTED:
        yield int(event.subject), event.order, (3, None)


def _unanswered(steps: list[tuple[int, int, object]]) -> Iterator[Unobserved]:
    """Follow one process number through its programs: a start is answered by a process, a reason or a failure."""
    pending: Start | None = None
    for _, _, step in steps:
        if pending and not isinstance(step, Process | str | None):
            yield Unobserved(pending.program, pending.reason or NO_LOG, pending.by)
        if isinstance(step, Process) and pending:
            step.parent = pending.by
            if "Go program" in pending.reason:
                yield Unobserved(pending.program, pending.reason, step)
        elif isinstance(step, str):
            yield Unobserved(pending.program if pending else "a process", step, pending.by if pending else None)
        pending = step if isinstance(step, Start) else None
    if pending:
        yield Unobserved(pending.program, pending.reason or NO_LOG, pending.by)


def _adopt(processes: list[Process]) -> None:
    """Find the parents of those whose start nobody noted (libc's own system, forks, ...) by process number."""
    known: dict[int, list[tuple[int, Process]]] = defaultdict(list)
    for process in processes:
        known[process.pid].append((process.order, process))
        for event in process.events:
            if event.op is Op.FORK:
                known[event.pid].append((event.order, process))
    for process in processes:
        ppid = int(process.variables.pop("\0ppid") or 0)
        if process.parent is None:
            before = [other for order, other in known.get(ppid, ()) if order < process.order and other is not process]
            process.parent = before[-1] if before else None


def _shells(processes: list[Process]) -> list[Unobserved]:
    wanted: dict[int, list[Process]] = defaultdict(list)
    found: dict[int, int] = defaultdict(int)
    for process in processes:
        for event in process.events:
            if event.op is Op.SHELL:
                wanted[id(process)].append(process)
        if process.parent and process.argv[:1] == ("sh",):
            found[id(process.parent)] += 1
    missing = [by[0] for parent, by in wanted.items() if len(by) > found[parent]]
    return [Unobserved("/bin/sh", NO_LOG, process) for process in missing]


def _blind(process: Process) -> Iterator[Unobserved]:
    wanted = listed = 0
    for event in process.events:
        if event.op is Op.BLIND:
            yield Unobserved(process.program, event.subject, process)
        elif event.op is Op.WANTED:
            wanted = event.order
        elif event.op is Op.LIBRARIES:
            listed = event.order
        elif event.op is Op.LIBRARY and os.path.basename(event.subject).startswith("liburing.so"):
            yield Unobserved(process.program, "it reads and writes through io_uring", process)
    if wanted > listed:
        yield Unobserved(process.program, LIBRARIES_UNKNOWN, process)
