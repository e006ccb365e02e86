"""Whose work a process did: a compiled unit's, a build script's, a test's, or cargo's own.

A test's or a build script's whole tree is its own, cargo and rustc included. Reads nothing but the processes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import pairwise

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.execution.observe.model import Observed, Op, Process, Unobserved

COMPILERS = ("rustc", "clippy-driver", "rustdoc")
SHARED_OBJECT = (".so", ".dylib")
HASHED = re.compile(r"-[0-9a-f]{16}(\.exe)?$")


class ObservedUnit(NamedTuple):
    """`kind` is compile, build-script, test, doctest, probe or cargo; `key` tells units of one name apart."""

    kind: str
    package: str = ""
    name: str = ""  # the crate; a test's binary
    key: str = ""  # the crate's metadata; a build script's OUT_DIR; nextest's name of the test

    def __str__(self) -> str:
        words = (self.kind, self.package, self.name if self.name != self.package else "", self.key)
        return " ".join(word for word in words if word)


CARGO = ObservedUnit("cargo")
SHARED = ("cargo", "probe")  # kinds whose processes work for others


class Group:
    """The processes of one unit, and what of them was not seen."""

    def __init__(self, processes: Sequence[Process] = (), unobserved: Sequence[Unobserved] = ()) -> None:
        self.processes = list(processes)
        self.unobserved = list(unobserved)


def by_unit(observed: Observed) -> dict[ObservedUnit, Group]:
    """Group a run by unit. What `CARGO` has belongs to the run as a whole: what is unseen there may be any unit's."""
    units: dict[int, ObservedUnit] = {}
    groups: dict[ObservedUnit, Group] = {}
    for process in observed.processes:  # in the order in which they began: parents first
        above = units.get(id(process.parent), CARGO)
        unit = units[id(process)] = (_own(process) or CARGO) if above.kind in SHARED else above
        groups.setdefault(unit, Group()).processes.append(process)
    for unseen in observed.unobserved:
        unit = units.get(id(unseen.by), CARGO)
        groups.setdefault(unit, Group()).unobserved.append(unseen)
    return groups


def _own(process: Process) -> ObservedUnit | None:
    given = process.variables
    package = given.get("CARGO_PKG_NAME", "")
    if "NEXTEST_BINARY_ID" in given and process.name != "cargo-nextest":  # which starts each test through itself
        return ObservedUnit("test", package, given["NEXTEST_BINARY_ID"], given.get("NEXTEST_TEST_NAME", ""))
    compiler = next((os.path.basename(word) for word in process.argv[:3] if os.path.basename(word) in COMPILERS), "")
    if compiler:
        return _compiled(process.argv, package, compiler)
    if process.name.startswith("build-script-") and "OUT_DIR" in given:
        return ObservedUnit("build-script", package, package, given["OUT_DIR"])
    if "CARGO_MANIFEST_DIR" in given and HASHED.search(process.name):
        return ObservedUnit("test", package, HASHED.sub("", process.name), process.program)
    return None


def _compiled(argv: Sequence[str], package: str, compiler: str) -> ObservedUnit:
    crate = _after(argv, "--crate-name")
    if compiler == "rustdoc" and "--test" in argv:
        return ObservedUnit("doctest", package, crate)
    if not crate or crate == "___":
        return ObservedUnit("probe")
    metadata = next(
        (word.split("metadata=", 1)[1] for word in argv if word.removeprefix("-C").startswith("metadata=")), ""
    )
    return ObservedUnit("compile" if compiler != "rustdoc" else "document", package, crate, metadata)


def _after(argv: Sequence[str], option: str) -> str:
    for word, following in pairwise(argv):
        if word == option:
            return following
    return next((word.split("=", 1)[1] for word in argv if word.startswith(option + "=")), "")


def own_libraries(compiler: Process) -> str:
    """Return the folder beside a compiler's programs, with its libraries and those of each target."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(compiler.program))), "lib", "")


def macros(process: Process) -> tuple[int, int]:
    """Return between which moments macros ran in a compiler: from the first that was loaded to the dep-info file.

    What it asks for before and afterwards is its own: how to log, how to call the linker. So are the libraries that lie
    beside it.
    """
    own = own_libraries(process)
    events = [event for event in process.events if not event.subject.startswith(own)]
    loads = (Op.READ, Op.WANTED, Op.LIBRARY)
    target = [event.order for event in events if event.op in loads and event.subject.endswith(SHARED_OBJECT)]
    first = min((order for order in target), default=2**63)
    ends = [event.order for event in events if event.op is Op.WRITE and event.subject.endswith(".d")]
    return first, min((order for order in ends if order > first), default=2**63)
