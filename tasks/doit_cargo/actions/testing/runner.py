"""One run of a test target, step by step: compile, see what has passed before, run the rest, keep, report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from doit_cargo.actions import TEST_LOGS, log_path, write_report
from doit_cargo.actions.testing import reporting, results, selection, test_inputs
from doit_cargo.actions.testing.compile import Compiled, TestRequest, compile_tests
from doit_cargo.actions.testing.observing import Sighting, Sightings, TestWatch
from doit_cargo.actions.testing.results import CachedResult, ProgramResult
from doit_cargo.actions.testing.runners import choice, libtest
from doit_cargo.actions.testing.test_binaries import TestBinary
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError, nearest
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.base.variables import STRICT
from doit_cargo.engine.console import reporter, terminal
from doit_cargo.engine.execution import build_places
from doit_cargo.engine.state import lock, receipts, store
from doit_cargo.engine.state.staleness import Change

if TYPE_CHECKING:
    from doit_cargo.actions.testing import sharing
    from doit_cargo.actions.testing.runners.nextest import NextestRequest
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.observe.observer import Observation
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.session import Session


def run(session: Session, name: str, values: Values) -> bool:
    """Run the tests of a target; return whether all passed. Raises `UserError` if they could not run."""
    work = selection.work_of(session, name, values)
    runner = choice.runner_of(work)
    if not selection.has_targets(work):
        reporter.note(name, f"no tests: {_packages_text(work)} nothing of that kind")
        return True
    with lock.RunLock(session.state), build_places.held(session.workspace.built_in):
        receipts.withdraw(session.state, session.key(name))
        started = time.monotonic()
        shared = None
        if session.shares(session.row(name)):
            from doit_cargo.actions.testing import sharing

            shared = sharing.request_of(work)
            if shared and not session.forced and sharing.fetched(shared):
                return True
        compiled = compile_tests(work)
        return compiled is not None and _Run(work, compiled, runner, started, shared).go()


def _packages_text(work: TestRequest) -> str:
    return f"{work.packages[0]} has" if len(work.packages) == 1 else f"{len(work.packages)} packages have"


class _Run:
    """The programs of a run, and what has come of them so far."""

    def __init__(
        self, work: TestRequest, compiled: Compiled, runner: str, started: float, shared: BuildRequest | None
    ) -> None:
        self.work, self.compiled, self.runner, self.started = work, compiled, runner, started
        self.session = work.session
        self.programs = selection.wanted(work, compiled.programs)
        self.extra = selection.extra_variables(work.session, work.values)
        self.world = test_inputs.of_call(work, compiled.receipt, compiled.plan, runner)
        asked = work.values.text("OBSERVE") or self.world.declared.observe
        self.watch = TestWatch.of(self.session.environ, self.world.built.toolchain(), asked)
        self.keeps_flaky = work.values.flag("KEEP_FLAKY")
        self.changes: dict[str, list[Change]] = {}
        self.results: dict[str, ProgramResult] = {}
        self.sightings: Sightings = {}
        self.proven: dict[str, CachedResult] = {}
        self.chosen = runner
        self.manner = libtest.OutputOptions(
            work.values.words("TEST"), work.values.flag("NOCAPTURE"), work.values.flag("VERBOSE")
        )
        self.log = log_path(self.session, work.name, TEST_LOGS)
        self.others: sharing.Programs | None = None
        if shared:
            from doit_cargo.actions.testing import sharing

            self.others = sharing.Programs(shared, compiled.receipt, self.world)

    def go(self) -> bool:
        stale = self._stale()
        if self.work.values.text("SHARD").startswith("all/"):
            selection.require_all_shards(self.work, self.programs, stale)
        self.chosen = choice.chosen(self.session.state, stale, self.runner)
        self._say_what_runs(stale)
        self._run(stale)
        if not self.session.interrupted:
            self._require_matches()
        self._keep(stale)
        return self._report()

    def _stale(self) -> list[TestBinary]:
        """Return the programs to run; take the others' results from where they are kept."""
        stale = []
        for program in self.programs:
            kept = self._kept(program)
            if kept and not self._must_run:
                self.results[program.identity] = kept.result
                self.proven[program.identity] = kept
            else:
                stale.append(program)
        if self.others and stale and not self._must_run:
            return self._passed_elsewhere(self.others, stale)
        return stale

    def _passed_elsewhere(self, others: sharing.Programs, stale: list[TestBinary]) -> list[TestBinary]:
        """Take what has passed on other machines with what is here; return the rest."""
        passed = others.all_passed(stale, self.session.state, self.runner)
        self.results.update((name, kept.result) for name, kept in passed.items())
        self.proven.update(passed)
        if passed:
            of_all = f"{len(passed)} of {counted(len(stale), 'test program')}"
            reporter.note(self.work.name, f"{of_all} passed on other machines")
        return [program for program in stale if program.identity not in passed]

    def _kept(self, program: TestBinary) -> CachedResult | None:
        """Return the result that is kept of a program with today's inputs."""
        nearest_changes: list[Change] = []
        for kept in self._all_kept(program):
            changes = self.world.changes(program, kept, self.keeps_flaky)
            if not changes:
                return kept
            nearest_changes = min(nearest_changes or changes, changes, key=len)
        self.changes[program.identity] = nearest_changes
        return None

    def _all_kept(self, program: TestBinary) -> list[CachedResult]:
        return choice.kept(self.session.state, program, self.runner)

    @property
    def _must_run(self) -> bool:
        return self.session.forced or selection.proves_nothing(self.work)

    def _say_what_runs(self, stale: list[TestBinary]) -> None:
        packages = list(dict.fromkeys(program.package for program in stale))
        others = len({program.package for program in self.programs}) - len(packages)
        reasons = {program.package: reason for program in reversed(stale) if (reason := self._reason(program))}
        if not stale or (len(stale) == len(self.programs) and not reasons):
            return
        names = shortened([f"{name} ({reasons[name]})" if name in reasons else name for name in packages], 6)
        before = f"; those of {counted(others, 'package')} passed before" if others else ""
        reporter.note(self.work.name, f"runs the tests of {names}{before}")

    def _reason(self, program: TestBinary) -> str:
        """Return the first thing that differs from the last success, if that is not the program itself."""
        changes = self.changes.get(program.identity, ())
        change = next((change for change in changes if change.kind not in ("output", "run")), None)
        if change is None:
            return ""
        subject = reporter.relative(change.subject, self.session.root)
        if change.kind == "always":
            return change.new
        return f"{subject} {change.new}" if change.kind in ("file", "listing") else f"{change.kind} {subject}"

    def _run(self, stale: list[TestBinary]) -> None:
        if not self._must_run or self.session.forced:
            for program in stale:
                self._drop(program)
        by_nextest = [one for one in stale if self._runner_for(one) != choice.CARGO]
        if by_nextest:
            self._run_nextest(by_nextest)
        with libtest.log_file(self.log) as log:
            directly = [program for program in stale if program not in by_nextest]
            for number, program in enumerate(directly):
                if not self.session.interrupted:
                    if not (self.manner.prints or self.manner.shows):
                        terminal.draw("Testing", number, len(directly), f"{program.package} {program.title}")
                    self._run_directly(program, log)

    def _runner_for(self, program: TestBinary) -> str:
        return choice.CARGO if choice.is_for_cargo(program) else self.chosen

    def _run_nextest(self, programs: list[TestBinary]) -> None:
        from doit_cargo.actions.testing.runners import nextest

        with self.watch.look() as look:
            try:
                found, outcome = nextest.run_programs(self._request(programs, look.observation), self._ignored)
            except UserError:
                self._explain()
                raise
            self.sightings.update(look.of_programs(programs, self.world.scope))
        self.session.interrupted = self.session.interrupted or outcome.interrupted
        self.results.update(found)

    def _request(self, programs: list[TestBinary], observation: Observation | None) -> NextestRequest:
        from doit_cargo.actions.testing.runners import nextest

        configured = self.work.name == "test_nextest"
        retries = self.work.values.number("RETRIES")
        return nextest.NextestRequest(
            plan=self.compiled.plan,
            programs=programs,
            environ=self.session.environ,
            extra=self.extra,
            manner=self.manner,
            state=self.session.state,
            log=self.log,
            target=self.work.name,
            retries=retries if configured else 0,
            configured=configured,
            observation=observation,
        )

    def _ignored(self, program: TestBinary) -> list[str]:
        return libtest.ignored_tests(program, self._environment(program), self.manner)

    def _environment(self, program: TestBinary) -> dict[str, str]:
        return libtest.environment_of(program, self.world.base, self.extra)

    def _run_directly(self, program: TestBinary, log: Any) -> None:
        def interrupted() -> None:
            self.session.interrupted = True

        with self.watch.look() as look:
            environ = self._environment(program)
            result = libtest.run_program(program, environ, self.manner, log, interrupted, look.observation)
            self.sightings[program.identity] = look.of_program(program, self.world.scope(program))
        terminal.erase()
        self.results[program.identity] = result
        if not result.ok and not (self.manner.shows or self.manner.prints):
            reporting.show_failure(program, result)

    def _require_matches(self) -> None:
        """Raise if TEST leaves nothing: a run of no tests proves nothing."""
        asked = self.manner.tests
        if not asked or any(result.count and result.has_case_results for result in self.results.values()):
            return
        known = tuple(case.name for one in self.programs for kept in self._all_kept(one) for case in kept.result.cases)
        guess = nearest(asked[0], known)
        fix = (
            f"did you mean {guess!r}?"
            if guess
            else "give a part of a test's name, such as a module; letter case counts"
        )
        packages = list(dict.fromkeys(program.package for program in self.programs))
        what = f"TEST={','.join(asked)}: no test matches in {shortened(packages, 4)}"
        raise UserError(Problem(what, fix), code=1)

    def _keep(self, ran: list[TestBinary]) -> None:
        """Keep what proves something: a whole program that passed at once, from inputs that stood still."""
        notes: dict[str, None] = {}
        for program in ran:
            result = self.results.get(program.identity)
            if result is None or not result.ok:
                self._drop(program)
            elif not (selection.proves_nothing(self.work) or result.why):
                moved = self.world.moved(program)
                seen = self.sightings[program.identity]
                reasons = [*seen.reasons, *([f"{moved} changed while it ran"] if moved else [])]
                notes.update(dict.fromkeys(self._store(program, result, Sighting(seen.rows, reasons))))
        for note in notes:
            reporter.note(self.work.name, note)
        self._keep_whole()

    def _drop(self, program: TestBinary) -> None:
        """Take away a success that counts now: what runs has not passed until it has."""
        try:
            for runner in choice.counting(program, self.runner):
                results.drop(self.session.state, runner, program, lambda kept: not self.world.changes(program, kept))
        except OSError as error:
            raise UserError(store.unwritable(self.session.state, error), COULD_NOT_RUN) from None

    def _store(self, program: TestBinary, result: ProgramResult, seen: Sighting) -> Iterator[str]:
        """Keep a success; yield what is to be said of it."""
        last = next(iter(self._all_kept(program)), None)
        kept = CachedResult(
            result,
            self.world.identity(program),
            seen.rows,
            tuple(seen.reasons),
            self.world.declared_of(program) if seen.reasons else {},
            tuple(sorted(change.subject for change in self.changes.get(program.identity, ()))),
        )
        kept.times = last.times + 1 if last and last.because == kept.because else 1
        try:
            results.keep(self.session.state, self._runner_for(program), program, kept)
        except OSError as error:
            yield f"passed, but that could not be kept ({error.strerror}): the next call runs it again"
            return
        if not self.world.changes(program, kept, self.keeps_flaky):
            self.proven[program.identity] = kept
            if self.others:
                self.others.publish(program, kept)
        if kept.reasons and not self.world.is_complete(program.package) and (not last or last.reasons != kept.reasons):
            yield reporting.runs_each_time(self.work.name, program.package, kept.reasons, self.session.root)
        if kept.times == reporting.TOO_OFTEN:
            yield from reporting.differs_each_time(program.package, kept.because, self.session.root)

    def _keep_whole(self) -> None:
        """Keep one receipt of all of it, for the launcher."""
        all_kept = self.programs and self.proven.keys() >= {program.identity for program in self.programs}
        passed = len(self.results) == len(self.programs) and all(result.ok for result in self.results.values())
        asks_more = selection.proves_nothing(self.work) or self.work.values.text("JUNIT")
        if not all_kept or not passed or asks_more or self.compiled.broken or self.session.interrupted:
            return
        proven = [(program, self.proven[program.identity]) for program in self.programs]
        state = self.world.state(proven)
        key = self.session.key(self.work.name)
        receipt: Receipt = {
            **self.compiled.receipt,
            "key": key,
            "programs": (),
            "parts": ("plan", "build", "tests"),
            "tests": state,
            "passed": self._passed_text(len(state["files"]) + len(state["seen"]) + len(state["absent"])),
            "seconds": time.monotonic() - self.started,
            "finished": time.time(),
        }
        try:
            store.store(receipts.receipt_path(self.session.state, key), receipt)
        except OSError:
            return  # only time is lost: what each program rested on is kept
        if self.others:
            self.others.publish_all(receipt, proven)

    def _passed_text(self, inputs: int) -> str:
        inputs += sum(len(self.compiled.receipt[part]["files"]) for part in ("plan", "build"))
        count = sum(result.passed for result in self.results.values())
        ignored = sum(result.ignored for result in self.results.values())
        more = f" ({ignored} ignored)" if ignored else ""
        packages = len(self.work.packages)
        return (
            f"passed before: {counted(count, 'test')}{more} in {counted(packages, 'package')}, "
            f"{inputs} inputs unchanged"
        )

    def _report(self) -> bool:
        found = reporting.rows(self.work.packages, self.programs, self.results, self.compiled.broken)
        reporting.print_table(found)
        failures = reporting.failures_in(self.programs, self.results)
        place = reporter.relative(self.log, self.session.root)
        self._write_junit()
        ok = reporting.close(self.work.name, found, failures, time.monotonic() - self.started, place)
        if len(self.results) == len(self.programs) and not self.compiled.broken and not self.session.interrupted:
            self.session.narrowed[self.work.name] = reporting.narrowed(self.work, self.programs, self.results)
        if not ok and not self.session.interrupted:
            self._explain()
        if self.work.values.text("OBSERVE") == STRICT and (unseen := self._unseen()):
            reporter.failed(self.work.name, f"OBSERVE=strict: {'; '.join(unseen)}")
            return False
        return ok and not self.session.interrupted

    def _explain(self) -> None:
        """Say what the log tells of a test that did not fail by itself: a library that is missing, a signal."""
        from doit_cargo.engine import hints

        if os.path.isfile(self.log):
            hints.after_failure(self.work.name, self.log, self.session.workspace)

    def _unseen(self) -> list[str]:
        """Return why not all that programs rest on was seen, but where the profile says that all is declared."""
        seen = ((program, self.sightings.get(program.identity)) for program in self.programs)
        return [
            reporting.runs_each_time(self.work.name, program.package, sighting.reasons, self.session.root)
            for program, sighting in seen
            if sighting and sighting.reasons and not self.world.is_complete(program.package)
        ]

    def _write_junit(self) -> None:
        asked = self.work.values.text("JUNIT")
        if not asked:
            return
        from doit_cargo.actions.testing.runners import junit

        path = junit.path_of(self.session.root, TEST_LOGS, self.work.name, asked)
        try:
            write_report(path, junit.report(self.programs, self.results, self.compiled.broken))
        except OSError as error:
            fix = "give a file that can be written: JUNIT=path, or JUNIT=1"
            raise UserError(Problem(f"cannot write {path}: {error.strerror}", fix, "JUNIT"), COULD_NOT_RUN) from None
        reporter.note(self.work.name, f"JUnit report: {reporter.relative(path, self.session.root)}")
