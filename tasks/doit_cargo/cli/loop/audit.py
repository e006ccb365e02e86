"""`doit-cargo TARGET --audit`: is a skip right? What is up to date is built once more, elsewhere, and compared.

The second build happens in a scratch target directory whose path is as long as the first one's, so that programs differ
in nothing but what differs. It is observed: where a program comes out another, the files that this build read and no
receipt knows are named. Runs cargo; changes nothing of the target's own.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from doit_cargo.actions import log_path, planned
from doit_cargo.engine.base.errors import DONE, FAILED
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import run
from doit_cargo.session import CARGO, Session

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.execution.observe.observer import Observation
    from doit_cargo.engine.state.receipts import Receipt

# The head of the note with which linkers mark a program; what follows is a sum of all the rest.
BUILD_ID = re.compile(rb"(\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0).{20}", re.DOTALL)
SHOWN = 6


def audit(session: Session, names: list[str]) -> int:
    """Compare each target that is up to date with what a build from nothing makes; 1 if one is not the same."""
    return max(_of_target(session, part) for name in names for part in session.parts(name))


def _of_target(session: Session, name: str) -> int:
    row = session.row(name)
    session.current = name
    if row["kind"] != CARGO or row["handler"]:
        reporter.note(name, "no build of its own to compare: --audit is for targets that build programs")
        return DONE
    receipt, changes = session.verdict(name, explain=True)
    if receipt is None or changes:
        reporter.note(name, f"would not be skipped now, so there is nothing to audit (doit-cargo why {name})")
        return DONE
    plan = session.new_plan(name)
    if not plan.outputs:
        reporter.note(name, "makes no program that could be compared")
        return DONE
    return _compare(session, plan, receipt)


def _compare(session: Session, plan: Plan, receipt: Receipt) -> int:
    """Build once more and compare byte by byte."""
    own = session.workspace.target_directory
    with _scratch(len(own)) as scratch:
        reporter.note(plan.target, "is built once more in a scratch directory, to be compared")
        with _observed(session) as observation:
            log = log_path(session, f"{plan.target}_audit")
            moved = planned.into(plan, scratch)
            title = f"doit-cargo {plan.target} --audit"
            outcome = run.run(moved.invocation, session.environ, log, title, observation=observation)
            session.interrupted = session.interrupted or outcome.interrupted
            read = _read(observation)
        if not outcome.ok:
            reporter.failed(plan.target, "is up to date, but does not build from nothing; log: " + log)
            return FAILED
        differ = [path for path in plan.outputs if not _are_equal(path, own, scratch)]
    if not differ:
        count = len(plan.outputs)
        reporter.done(
            plan.target, f"the skip is right: {counted(count, 'program')} built from nothing, the same byte by byte"
        )
        return DONE
    _tell(session, plan.target, differ, _unknown(session, read, receipt, (own, scratch)), receipt)
    return FAILED


@contextlib.contextmanager
def _scratch(length: int) -> Iterator[str]:
    """Yield a directory whose path is that long where the system's folder for such leaves room, else another one."""
    with tempfile.TemporaryDirectory(prefix="a-") as folder:
        left = length - len(folder) - 1
        yield os.path.join(folder, "t" * left if left > 0 else "t")


@contextlib.contextmanager
def _observed(session: Session) -> Iterator[Observation | None]:
    from doit_cargo.engine.execution.observe.library import NotHere
    from doit_cargo.engine.execution.observe.observer import Observer

    try:
        observation = Observer.find(session.environ, "preload").start()
    except (NotHere, OSError):
        yield None
        return
    with observation:
        yield observation


def _read(observation: Observation | None) -> set[str]:
    """Return the files that the programs which cargo has started have read: what it reads itself, it tells."""
    if observation is None:
        return set()
    return {path for process in observation.read().processes if process.name != "cargo" for path in process.read}


def _are_equal(path: str, own: str, scratch: str) -> bool:
    """Tell whether a program is the same but for where it was built."""
    other = os.path.join(scratch, os.path.relpath(path, own))
    if not os.path.isfile(other) or not os.path.isfile(path):
        return False
    with open(path, "rb") as first, open(other, "rb") as second:
        mine, made = first.read(), second.read().replace(os.fsencode(scratch), os.fsencode(own))
    return BUILD_ID.sub(rb"\1", mine) == BUILD_ID.sub(rb"\1", made)


def _unknown(session: Session, read: Iterable[str], receipt: Receipt, built: tuple[str, ...]) -> list[str]:
    """Return the files that were read and on which the receipt does not rest."""
    known = {path for part in ("plan", "build") for path in (*receipt[part]["files"], *receipt[part]["tools"])}
    known |= {os.path.realpath(path) for path in known}
    ours = tuple(folder + os.sep for folder in (*built, session.state, *session.workspace.built_in))
    system = ("/usr/", "/lib", "/etc/", "/proc/", "/dev/", "/sys/", "/bin/", "/opt/")
    homes = tuple(os.path.join(os.path.expanduser("~"), name, "") for name in (".cargo", ".rustup"))
    return sorted(
        path
        for path in read
        if path not in known and os.path.isfile(path) and not path.startswith((*ours, *system, *homes))
    )


def _tell(session: Session, target: str, differ: list[str], unknown: list[str], receipt: Receipt) -> None:
    names = ", ".join(reporter.relative(path, session.root) for path in differ)
    reporter.failed(target, f"the skip was wrong: built from nothing, {names} is another program")
    for path in unknown[:SHOWN]:
        reporter.failed(target, f"  this build read {reporter.relative(path, session.root)}, which no receipt knows")
    for text in [] if unknown else receipt.get("unseen", ())[:SHOWN]:
        reporter.failed(target, f"  of the first build was not seen: {text}")
    fix = "name it under [inputs] of a profile" if unknown else "a build that is not reproducible differs, too"
    reporter.failed(target, f"  fix: {fix}; doit-cargo {target} FORCE=1 builds it anew")
