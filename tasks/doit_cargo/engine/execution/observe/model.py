"""What an observed run consists of: processes, what each asked of the world in order, and what could not be seen.

Knows neither how it was observed nor what it will be used for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import Enum

from doit_cargo.engine.base import NamedTuple


class Op(Enum):
    """What a process did with a subject: a path unless the comment names another. The letters are those of the logs."""

    READ = "R"
    WRITE = "W"  # replaced whole, whatever was there before
    UPDATE = "B"  # written in parts, or its mode changed
    CREATED = "c"  # made where nothing was; it fails where something is
    STAT = "S"
    ABSENT = "A"
    REFUSED = "F"
    LINK = "L"
    RESOLVE = "Z"
    LIST = "D"
    TREE = "T"
    REMOVE = "U"
    FOLDER = "K"
    LINKED = "j"  # it got another name, which changes no more than its times
    LEADS = "y"  # the folder to which the link leads that the process made last
    NOT_MADE = "k"  # its folder is not there, or may not be written
    EXECUTE = "X"
    LIBRARY = "M"
    WANTED = "O"  # a library by its bare name
    LIBRARIES = "o"
    VARIABLE = "E"  # a name
    ENVIRONMENT = "V"  # whose code walked over it: a library, or "0x..." of the program
    CONNECT = "C"  # an address
    BIND = "Q"  # an address
    LOOKUP = "H"  # a host
    START = "N"
    NOT_STARTED = "n"
    SHELL = "Y"
    FORK = "f"
    BLIND = "!"  # a reason
    PROCESS = "P"
    CONTINUED = "p"

    __hash__ = object.__hash__  # Enum's own asks Python code each time


LOOKS = frozenset(
    {Op.READ, Op.STAT, Op.ABSENT, Op.REFUSED, Op.LINK, Op.RESOLVE, Op.LIST, Op.TREE, Op.EXECUTE, Op.LIBRARY}
)
CHANGES = frozenset({Op.WRITE, Op.UPDATE, Op.CREATED, Op.REMOVE, Op.FOLDER})


class Event(NamedTuple):
    """One thing that a process did; `order` counts over the whole run."""

    order: int
    op: Op
    subject: str
    pid: int = 0


class Process:
    """One program that ran, from its exec to its end, with what its forked children did that ran no other.

    `variables` are those that tell whose work it does.
    """

    def __init__(self, pid: int, order: int, program: str, directory: str = "") -> None:
        self.pid = pid
        self.order = order
        self.program = program
        self.directory = directory
        self.argv: tuple[str, ...] = ()
        self.variables: dict[str, str] = {}
        self.parent: Process | None = None
        self.events: list[Event] = []

    @property
    def name(self) -> str:
        return os.path.basename(self.program)

    def subjects(self, *ops: Op) -> set[str]:
        return {event.subject for event in self.events if event.op in ops}

    read = property(lambda self: self.subjects(Op.READ))
    looked_at = property(lambda self: self.subjects(Op.STAT, Op.REFUSED, Op.LINK, Op.RESOLVE))
    absent = property(lambda self: self.subjects(Op.ABSENT))
    listed = property(lambda self: self.subjects(Op.LIST, Op.TREE))
    written = property(lambda self: self.subjects(*CHANGES))
    executed = property(lambda self: self.subjects(Op.EXECUTE))
    libraries = property(lambda self: self.subjects(Op.LIBRARY))
    asked = property(lambda self: self.subjects(Op.VARIABLE))
    connected = property(lambda self: self.subjects(Op.CONNECT))
    serving = property(lambda self: self.subjects(Op.BIND))
    walked_environment = property(lambda self: bool(self.subjects(Op.ENVIRONMENT)))


class Unobserved(NamedTuple):
    """A program of which not all was seen, and why; `by` is the process that it is, or that started it."""

    program: str
    reason: str
    by: Process | None

    def __str__(self) -> str:
        return f"{self.program}: {self.reason}"


class Observed:
    """A whole run. `started` is when it began, in the file system's time, in nanoseconds."""

    def __init__(self, processes: list[Process], unobserved: list[Unobserved], started: int) -> None:
        self.processes = processes
        self.unobserved = unobserved
        self.started = started

    @property
    def whole(self) -> bool:
        """True if nothing of the run went unseen, as far as that can be known."""
        return not self.unobserved


def lineage(process: Process | None) -> Iterable[Process]:
    """Yield a process and those above it."""
    while process:
        yield process
        process = process.parent
