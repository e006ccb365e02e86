"""Tests that have passed on another machine with what is here: fetched as that they passed, and published as such.

A success of tests rests on what their compilation rests on and on what the programs were seen to do. Of files below the
target directory those count that the compilation makes: what it rests on tells them.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

from doit_cargo import __version__
from doit_cargo.actions.testing import results, selection
from doit_cargo.actions.testing.compile import plan_of as compiling
from doit_cargo.actions.testing.results import CachedResult, CaseResult, ProgramResult
from doit_cargo.actions.testing.runners import choice
from doit_cargo.actions.testing.test_binaries import DOC, TestBinary
from doit_cargo.engine.base.variables import STRICT
from doit_cargo.engine.execution.observe.inputs import LIBC_VARIABLES
from doit_cargo.engine.state import seen, staleness
from doit_cargo.sharing import action, embedded, keys, machine, values
from doit_cargo.sharing.path_set import NotShared
from doit_cargo.sharing.patience import SECONDS, Patience
from doit_cargo.sharing.success import Success

if TYPE_CHECKING:
    from doit_cargo.actions.testing.compile import TestRequest
    from doit_cargo.actions.testing.test_inputs import TestInputs
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.seen import Row
    from doit_cargo.engine.state.staleness import State
    from doit_cargo.session import Session
    from doit_cargo.sharing.action import Action
    from doit_cargo.sharing.roots import Roots
    from doit_cargo.sharing.share import Sharing


# A store may take so long for each program of tests, beside what it may for the call.
EACH = 0.05


def plan_of(session: Session, name: str) -> tuple[Plan, Mapping[str, str]]:
    """Return the call that compiles the tests of a target, and what a success rests on beside: who ran them."""
    work = selection.work_of(session, name, session.values_for(name))
    runner = choice.runner_of(work)
    nextest = session.machine.tool("cargo-nextest") if runner != choice.CARGO else None
    user = "root" if getattr(os, "geteuid", lambda: 1)() == 0 else "no root"
    return compiling(work), {"runner": f"{runner} {nextest.version if nextest else ''}", "user": user}


def request_of(work: TestRequest) -> BuildRequest | None:
    """Return what a run is about with the store for it; None where nothing is shared of this one."""
    values, session = work.values, work.session
    asks_more = values.text("JUNIT") or values.text("OBSERVE") == STRICT or selection.proves_nothing(work)
    if asks_more or not session.shares(session.row(work.name)):
        return None
    request = session.shared_request(work.name)
    return request if request.shared else None


def fetched(request: BuildRequest) -> bool:
    """Tell whether all tests of a call have passed elsewhere with what is here; there is a receipt of it then."""
    from doit_cargo.engine.execution.same_plan import plan_state_of

    sharing = cast("Sharing", request.shared)
    return sharing.fetched(request.plan, plan_state_of(request, request.plan))


class Programs:
    """The single programs of a call, each known by its content: where not all have passed elsewhere, some may have."""

    def __init__(self, request: BuildRequest, receipt: Receipt, world: TestInputs) -> None:
        self.request, self.receipt, self.world = request, receipt, world
        self.shared = cast("Sharing", request.shared)
        count, stores = len(receipt["programs"]), self.shared.settings.reads
        self.patience = {address: Patience(SECONDS + EACH * count) for address in stores}

    def passed(self, program: TestBinary) -> CachedResult | None:
        """Return the success of a program elsewhere with what is here."""
        one = self._sharing(program)
        found = one.passed(self.request.plan, self.receipt["plan"]) if one and not one.settings.verifies else None
        result = _read(found[1]) if found else None
        if found is None or result is None:
            return None
        world = self.world.scope(program).world
        rows = [_as_given(row, world) if row[0] == "variable" else row for row in found[0]["seen"]]
        return CachedResult(result, self.world.identity(program), rows)

    def all_passed(self, programs: Iterable[TestBinary], state: str, runner: str) -> dict[str, CachedResult]:
        """Return the successes elsewhere that hold here, by program; they are kept here, too."""
        found = {}
        for program in programs:
            kept = self.passed(program)
            if kept and not self.world.changes(program, kept):
                with contextlib.suppress(OSError):  # only time is lost
                    results.keep(state, choice.counting(program, runner)[0], program, kept)
                found[program.identity] = kept
        return found

    def publish(self, program: TestBinary, kept: CachedResult) -> None:
        """Publish that a program has passed, if that is all that there is to say of it."""
        one = self._sharing(program)
        if one is None or one.settings.verifies or kept.reasons or kept.result.flaky:
            return
        state = staleness.empty(one.request.environ, ())
        state["seen"] = kept.seen
        told = {"finished": time.time(), "seconds": kept.result.seconds, "warnings": (), "unseen": ()}
        receipt = cast("Receipt", {**self.receipt, **told})
        told_of = _written(kept.result)
        one.publish(self.request.plan, lambda: Success(receipt, state, {}, self._bound([(program, kept)]), told_of))

    def publish_all(self, receipt: Receipt, passed: Collection[tuple[TestBinary, CachedResult]]) -> None:
        """Publish that all programs of a call have passed."""

        def made() -> Success:
            for program, one in passed:
                if one.reasons:
                    raise NotShared(f"{program.package}: {one.reasons[0]}")
                if one.result.flaky:
                    raise NotShared(f"{program.package}: {', '.join(one.result.flaky)} is flaky")
            state = _state(receipt, tuple(self.request.workspace.built_in))
            return Success(receipt, state, {}, self._bound(passed), receipt["passed"])

        self.shared.publish(self.request.plan, made)

    def _bound(self, passed: Collection[tuple[TestBinary, CachedResult]]) -> set[str]:
        """Return what of the machine tests rest on: its processor, and the paths that programs know when they run."""
        roots = keys.roots_of(self.request, self.request.plan)
        rows = [row for _, one in passed for row in one.seen]
        ran = [row[1] for row in rows if row[0] == "read" and row[1] in self.receipt["outputs"]]
        ran += [program.path for program, _ in passed if program.kind != DOC]
        bound = {keys.CPU, *embedded.in_loaded(dict.fromkeys(ran), roots), *self._told(passed, roots)}
        if any(program.kind == DOC and one.result.count for program, one in passed):
            bound |= set(roots.folders)  # they are compiled where they run, and told their own place
        if machine.has_gpu_library(row[1] for row in rows):
            bound.add(keys.GPU)
        return bound

    def _told(self, passed: Collection[tuple[TestBinary, CachedResult]], roots: Roots) -> set[str]:
        """Return the folders whose paths a program has asked for, as that of its package (`CARGO_MANIFEST_DIR`)."""
        values = [
            self.world.scope(program).world.environ.get(row[1], "")
            for program, one in passed
            for row in one.seen
            if row[0] == "variable" and row[1] not in ("PATH", *LIBC_VARIABLES)
        ]
        return {name for name, folder in roots.folders.items() if any(folder in value for value in values)}

    def _sharing(self, program: TestBinary) -> Sharing | None:
        # What names our observer, say, is another one in each run.
        given, outside = self.world.scope(program).world.environ, self.request.environ
        environ = {name: value for name, value in given.items() if not seen.volatile(name)}
        environ |= {name: value for name, value in outside.items() if seen.volatile(name)}
        try:
            key = self._key(program, environ)
        except NotShared:
            return None
        one = type(self.shared)(self.shared.settings, self.request._replace(environ=environ), {}, key)
        one.patience = self.patience
        return one

    def _key(self, program: TestBinary, environ: Mapping[str, str]) -> Action:
        roots = keys.roots_of(self.request, self.request.plan)
        lines = {name: roots.text(text) for name, text in self.shared.more.items()}
        for (kind, subject), value in self.world.identity(program).items():
            if kind == "env" and seen.volatile(subject):
                continue
            if kind == "env":
                lines[f"{kind} {subject}"] = roots.text(values.value_of(subject, environ))
            elif isinstance(value, bytes | None):
                lines[f"{kind} {roots.symbolic(subject)}"] = value.hex() if value else "absent"
        if program.kind == DOC:
            lines["rustdoc"] = machine.tool("rustdoc", environ, self.request.workspace.root)
        words = [keys.FORMAT, __version__, "tests of", program.package, program.kind, program.name]
        return action.make([*words, *map(roots.text, program.argv)], machine.platform_of(), lines)


def _as_given(row: Row, world: seen.World) -> Row:
    return [*row[:2], seen.take(row[0], row[1], row[3], world), row[3]]


def _written(result: ProgramResult) -> str:
    cases = [[case.name, case.outcome, case.seconds] for case in result.cases]
    return json.dumps([result.passed, result.ignored, result.seconds, cases, result.has_case_results])


def _read(text: str) -> ProgramResult | None:
    try:
        passed, ignored, seconds, cases, told = json.loads(text)
        known = [CaseResult(str(name), str(outcome), took and float(took)) for name, outcome, took in cases]
        counts = int(passed), 0, int(ignored), float(seconds)
    except (ValueError, TypeError):
        return None
    return ProgramResult(True, *counts, known, kept=True, has_case_results=bool(told))


def _state(receipt: Receipt, built_in: tuple[str, ...]) -> State:
    """Return what compilation and tests rest on as one. Raises `NotShared`."""
    build, tests = receipt["build"], receipt["tests"]
    below = tuple(os.path.join(folder, "") for folder in built_in)
    made = {*build["units"], *build["outputs"]}
    absent = dict(build["absent"])
    for folder, (stamp, names) in tests["absent"].items():
        absent[folder] = (stamp, tuple(dict.fromkeys([*absent.get(folder, (None, ()))[1], *names])))
    return {
        **build,
        "env": {**build["env"], **tests["env"]},
        "which": {**build["which"], **tests["which"]},
        "files": {**build["files"], **tests["files"]},
        "trees": {**build["trees"], **tests["trees"]},
        "seen": [*build["seen"], *not_made(tests["seen"], made, below)],
        "absent": absent,
        "always_stale_reason": build["always_stale_reason"] or tests["always_stale_reason"],
    }


def not_made(rows: Iterable[Row], made: set[str], below: tuple[str, ...]) -> Iterator[Row]:
    """Yield the rows that speak of no product of the compilation. Raises `NotShared` for what else is built there."""
    folders = {os.path.dirname(path) for path in made}
    for row in rows:
        kind, path = row[0], row[1]
        if not f"{path}/".startswith(below):
            yield row
        elif path not in made and not (kind != "list" and any(f"{one}/".startswith(f"{path}/") for one in folders)):
            raise NotShared(f"a test looks at {path}, which its compilation does not make")
