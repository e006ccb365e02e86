"""One target from "is there anything to do?" to its receipt: the steps of a run, in one visible order.

Knows the other engine modules and nothing of doit or of the command line.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

from doit_cargo import __version__
from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.base.paths import can_write_below
from doit_cargo.engine.base.plain_text import without_passwords
from doit_cargo.engine.base.secrets import kept_words, masked
from doit_cargo.engine.cargo import units
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import advice, build_places, causes, equivalence, history, run, sccache
from doit_cargo.engine.execution.evidence import pages, proven, recorder, untracked_inputs, written
from doit_cargo.engine.execution.evidence.inputs import Early, Inputs, gather
from doit_cargo.engine.execution.evidence.invalidation import Ledger, Root, making_anew
from doit_cargo.engine.execution.evidence.observed import Stale
from doit_cargo.engine.execution.evidence.snapshot import Snapshot
from doit_cargo.engine.execution.observing import Watch, is_strict
from doit_cargo.engine.execution.past import estimate
from doit_cargo.engine.execution.request import BuildRequest
from doit_cargo.engine.execution.run import Outcome
from doit_cargo.engine.execution.same_plan import plan_state_of
from doit_cargo.engine.plan import declared
from doit_cargo.engine.plan.serialize import plan_to_data
from doit_cargo.engine.state import fingerprint, footprint, lock, receipts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from doit_cargo.engine.cargo.messages import BuildReport
    from doit_cargo.engine.execution.observe.observer import Observation
    from doit_cargo.engine.execution.run import Meanwhile
    from doit_cargo.engine.state.fingerprint import Kept
    from doit_cargo.engine.state.receipts import Meaning, Receipt, StoredPlan
    from doit_cargo.engine.state.staleness import Change, State


def execute(request: BuildRequest) -> Outcome | None:
    """Bring the target up to date. Returns what came of it, None if nothing had to run.

    Raises `UserError` if cargo could not be started, or was not since the machine lacks something.
    """
    with lock.RunLock(request.state):
        receipt, changes = receipts.verdict(
            request.state, request.key, request.environ, explain=True, alike=equivalence.is_same
        )
        verifies = request.variables.text("SHARE") == "verify"
        anew = request.variables.flag("FORCE") or verifies or is_strict(request.variables, receipt)
        if receipt and not changes and not anew:
            reporter.skipped(request.target, receipt)  # another run has just done it
            return None
        plan, plan_state, previous = _prepared(request, receipt, changes)
        if request.shared and not anew and request.shared.fetched(plan, plan_state):
            return None
        return _build(request, plan, plan_state, previous, changes)


def execute_locked(request: BuildRequest, receipt: Receipt | None, changes: list[Change]) -> Outcome:
    """Run cargo under a lock that the caller holds, with the verdict that the caller has found."""
    return _build(request, *_prepared(request, receipt, changes), changes)


def _prepared(
    request: BuildRequest, receipt: Receipt | None, changes: list[Change]
) -> tuple[Plan, State, Receipt | None]:
    """Return the plan, what it rests on and the last success, and tell why something is to be done."""
    previous = receipt or receipts.last_receipt(request.state, request.key)
    plan, plan_state = _planned(request)
    told = changes
    if previous:
        kept = stored(request.more.typed if request.more else plan)
        told = causes.with_makers(causes.without_same_profiles(changes, previous, kept), previous)
    reporter.reasons(request.target, told, previous)
    return plan, plan_state, previous


def _planned(request: BuildRequest) -> tuple[Plan, State]:
    """Return the plan, checked against this machine, and the state that it rests on."""
    plan = request.plan
    if plan.state is not None:  # one that is made anew has been asked
        declared.require(request.workspace, plan.profile.inputs)
    for note in plan.notes:
        reporter.note(request.target, note)
    if request.variables.flag("WITHOUT_PREFLIGHT"):
        reporter.note(request.target, "WITHOUT_PREFLIGHT=1: nothing was checked before cargo starts")
    else:
        _check(request, plan)
    return plan, cast("State", plan.state) if plan.state is not None else plan_state_of(request, plan)


def _check(request: BuildRequest, plan: Plan) -> None:
    """Raise what would stop the plan, tell what may; of a plan that has held, only what can have changed meanwhile."""
    from doit_cargo.engine.preflight import preflight

    known = request.known()
    again = plan.state is not None
    for warning in preflight.require(plan, request.machine, request.workspace.root, known, again=again):
        reporter.note(request.target, f"warning: {warning}")


class _Build(NamedTuple):
    """One build under way: what was decided, what cargo has seen here so far, and the inputs as they were before."""

    request: BuildRequest
    plan: Plan
    workspace: Workspace
    ledger: Ledger
    before: Snapshot
    watch: Watch
    previous: Receipt | None


def _build(
    request: BuildRequest, plan: Plan, plan_state: State, previous: Receipt | None, changes: list[Change]
) -> Outcome:
    """The story of a run: show cargo what it would miss, run it, prove what it calls fresh, keep the receipt."""
    expected = estimate.expect(request, plan, changes, previous)
    workspace = build_places.of(plan, request.workspace, request.environ)
    with build_places.held(workspace.built_in):
        build = _begin(request, plan, workspace, previous)
        meter = footprint.Meter(workspace.kept_in)
        outcome, inputs = _prove(build, *_compile(build))
        advice.learn(plan, request.environ, workspace, build.ledger, outcome)
        if outcome.ok:
            build_places.require(plan)
            footprint.keep(request.state, request.key, meter.read())
            receipt = _receipt(build, outcome, plan_state, inputs)
            _keep(request, receipt)
            estimate.learn(request, plan, outcome, inputs.made, expected)
        else:
            recorder.learn(inputs, outcome.report, build.ledger, build.before)
            build.watch.learn(build.ledger, inputs, outcome.report)
        build.ledger.finish()
        _tell_end(request, build.plan, outcome, workspace)
        if outcome.ok and request.shared:
            request.shared.published(build.plan, receipt, build.ledger.data["observed"])
        return outcome


def _begin(request: BuildRequest, plan: Plan, workspace: Workspace, previous: Receipt | None) -> _Build:
    """Compare with what cargo has seen, make it look at what it would miss, and take the last proof away."""
    ledger = Ledger(workspace.kept_in, workspace.target_directory)
    for note in advice.notes(plan, request.environ, workspace, ledger):
        reporter.note(request.target, note)
    if previous:
        ledger.adopt(previous)
    _let_settle(os.path.join(workspace.root, "Cargo.lock"))
    receipts.withdraw(request.state, request.key)
    anew = (*_to_write_again(plan, previous), *_without_pages_of_the_gone(request.target, plan, previous, workspace))
    watch = Watch(request, plan, workspace)
    stale = watch.stale(ledger, previous)
    reporter.seen(request.target, stale, request.workspace.root)
    keys = [one.key for one in stale]
    before, healing = ledger.begin(untracked_inputs.values(request, plan, ledger), _roots(workspace), anew, keys)
    recorder.list_members(workspace, plan, before)
    reporter.healed(request.target, healing, request.workspace.root)
    plan = plan._replace(log=_writable_log(request, plan))
    return _Build(request, plan, workspace, ledger, before, watch, previous)


def _compile(build: _Build, again: bool = False) -> tuple[Outcome, Inputs]:
    """Run cargo until its programs are those that lie there."""
    return build_places.until_own(build.request, partial(_compile_once, build), again)


def _compile_once(build: _Build, again: bool) -> tuple[Outcome, Inputs]:
    """Run cargo, and gather what the call depended on. The log of a second call goes on after the first."""
    early = Early(build.plan, build.workspace)

    def meanwhile(report: BuildReport, lives: Callable[[], bool]) -> None:
        build.watch.prepare()
        while lives() and early.take(report):
            pass

    with build.watch.observing(build.ledger) as observation:
        outcome = _run(build.request, build.plan, again, observation, meanwhile)
    inputs = gather(build.plan, build.workspace, outcome.report, build.request.environ, early, build.request.state)
    written.take(inputs.made, build.before)
    return outcome, inputs


def _prove(build: _Build, outcome: Outcome, inputs: Inputs) -> tuple[Outcome, Inputs]:
    """Have built anew, once, what cargo calls fresh without a proof that it was made from what is there now.

    Raises `UserError` if cargo still compiles nothing for it.
    """
    doubts, seen = _doubts(build, outcome, inputs)
    if not (doubts or seen):
        return outcome, inputs
    proven.learn(inputs.made, build.ledger, build.before)
    told = [(doubt.one.package, doubt.changed) for doubt in doubts]
    reporter.unproven(build.request.target, told, build.request.workspace.root)
    reporter.seen(build.request.target, seen, build.request.workspace.root)
    with making_anew(build.workspace.kept_in):
        proven.build_anew(doubts, build.workspace.kept_in)
        units.drop(dict.fromkeys(one.key for one in seen))
    second, inputs = _compile(build, again=True)
    second.seconds += outcome.seconds
    doubts, seen = _doubts(build, second, inputs)
    for package in (*(doubt.one.package for doubt in doubts), *(one.package for one in seen)):
        build.ledger.finish()
        what = f"cargo ended well, but compiled nothing of {package}, which is not what its sources make"
        raise UserError(Problem(what, f"cargo clean, and build again; the log: {build.plan.log}"), code=1)
    return second, inputs


def _doubts(build: _Build, outcome: Outcome, inputs: Inputs) -> tuple[Sequence[proven.Doubt], Sequence[Stale]]:
    """Return the units that cargo calls fresh without a proof, and those of which something that was seen changed."""
    if not outcome.ok:
        return (), ()
    seen = build.watch.doubts(build.ledger, inputs, outcome.report)
    return proven.doubts(inputs.made, build.ledger, build.before), seen


def _to_write_again(plan: Plan, previous: Receipt | None) -> tuple[str, ...]:
    """Return the packages to build anew since a file that they write is gone or edited: cargo does not look at it."""
    left = previous["build"]["left"] if previous else {}
    changed = [path for path in plan.writes if path in left and fingerprint.digest(path) != left[path][1]]
    return plan.packages if changed else ()


def _without_pages_of_the_gone(
    target: str, plan: Plan, previous: Receipt | None, workspace: Workspace
) -> tuple[str, ...]:
    """Remove the pages of crates that are gone; return the packages of which all is to be documented anew then."""
    gone = pages.without_source(plan, previous, workspace)
    if not gone:
        return ()
    pages.remove(gone, workspace)
    names = ", ".join(os.path.basename(folder) for folder in gone)
    reporter.note(
        target, f"documents all anew without the pages of {names}, which no crate of this workspace makes any more"
    )
    return tuple(workspace.packages)


def _run(
    request: BuildRequest, plan: Plan, again: bool, observation: Observation | None, meanwhile: Meanwhile
) -> Outcome:
    """Run cargo; where it compiles through sccache, say what came of that."""
    count = sccache.Count(plan.invocation, request.environ)
    if count.problem:
        reporter.note(request.target, f"sccache does not start, so this call goes without it: {count.problem}")
    outcome = _call(request, plan._replace(invocation=count.invocation), again, observation, meanwhile)
    counts = count.taken()
    if counts:
        reporter.note(request.target, str(counts))
        sccache.remember(counts, request.target, os.path.join(request.state, sccache.LAST_RUN))
    return outcome


def _remember(request: BuildRequest, plan: Plan, outcome: Outcome) -> None:
    """Keep what the build took and how large its programs are; tell of one that grew."""
    workspace = request.workspace
    build = history.record(request.state, plan, outcome, workspace.target_directory, request.environ)
    if build is None:
        return
    allowed = history.allowed_growth(workspace.settings)
    for growth in history.growths(history.read(request.state), build):
        if history.too_large(growth, allowed):
            reporter.grown(request.target, growth.program, growth.before, growth.after, growth.commit)


def _call(
    request: BuildRequest, plan: Plan, again: bool, observation: Observation | None, meanwhile: Meanwhile
) -> Outcome:
    hidden, appends = (request.more.hidden, request.more.appends) if request.more else (None, False)
    title = f"doit-cargo {request.target}"
    return run.run(plan.invocation, request.environ, plan.log, title, hidden, appends or again, observation, meanwhile)


def _let_settle(path: str) -> None:
    """Wait out the tick in which a file was written: pre-flight's own cargo may just have completed the lock."""
    stamp = fingerprint.signature(path)
    left = stamp[3] + fingerprint.TICK_NS - time.time_ns() if stamp else 0
    if 0 < left <= fingerprint.TICK_NS:
        time.sleep(left / 1e9 + 0.001)


def _tell_end(request: BuildRequest, plan: Plan, outcome: Outcome, workspace: Workspace) -> None:
    """Tell how the call ended, remember what a build took, and name the cause of a failure."""
    if outcome.ok and request.more:
        reporter.compiled(request.target, outcome)
    else:
        reporter.finished(request.target, plan, outcome, request.workspace.root)
    if request.environ.get("GITHUB_ACTIONS") == "true":
        from doit_cargo.engine.console import github

        github.annotate(outcome.report.located, workspace.root, request.environ)
    if outcome.ok and plan.invocation.argv[1] == "build":
        _remember(request, plan, outcome)
    if outcome.status and not outcome.interrupted:
        from doit_cargo.engine import hints

        hints.after_failure(request.target, plan.log, workspace, outcome.status)


def _drop_known(files: dict[str, Kept], known: Mapping[str, Kept]) -> None:
    """Leave out what the plan's state holds in the same form: no skip shall ask twice for one file."""
    for path in [path for path, entry in files.items() if known.get(path, ("", ""))[1] == entry[1]]:
        del files[path]


def _writable_log(request: BuildRequest, plan: Plan) -> str:
    """Return where the log goes: beside the state where the sources are read-only."""
    if can_write_below(os.path.dirname(plan.log)):
        return plan.log
    return os.path.join(request.state, "logs", os.path.basename(plan.log))


def _roots(workspace: Workspace) -> dict[str, Root]:
    wanted = {"lib", "rlib", "cdylib", "dylib", "staticlib", "proc-macro", "bin", "custom-build"}
    return {
        name: Root(package.directory, tuple(t.path for t in package.cargo_targets if wanted & set(t.kinds)))
        for name, package in workspace.packages.items()
    }


def _receipt(build: _Build, outcome: Outcome, plan_state: State, inputs: Inputs) -> Receipt:
    request, plan, workspace = build.request, build.plan, build.workspace
    state = _build_state(build, outcome, inputs)
    seen = build.watch.keep(state, build.ledger, inputs, outcome.report)
    _drop_known(state["files"], plan_state["files"])
    receipt: Receipt = {
        "key": request.key,
        "state": request.state,
        "cosmetic_options": request.cosmetic_options,
        "stored_plan": stored(request.more.typed if request.more else plan),
        "version": __version__,
        "plan": plan_state,
        "build": state,
        "meaning": _meaning(build, inputs, (plan_state, state)),
        "packages": outcome.report.packages,
        "graph": recorder.graph(outcome.report, workspace),
        "owners": inputs.owners,
        "observed": seen.units,
        "unseen": seen.unseen,
        "manifests": tuple(package.manifest for package in workspace.packages.values()),
        "warnings": tuple(map(without_passwords, outcome.warnings)),
        "seconds": outcome.seconds,
        "finished": time.time(),
        "log": plan.log,
        "features": plan.features,
        "outputs": tuple(state["outputs"]),
    }
    if request.more:
        receipt["programs"] = request.more.keeps(outcome)
    return receipt


def _meaning(build: _Build, inputs: Inputs, states: tuple[State, ...]) -> Meaning | None:
    """Return what cargo makes of texts; of what somebody else reads too, the text counts."""
    own = declared.of(build.workspace, build.plan.profile.inputs.files)
    read = (row[1] for row in states[1]["seen"] if row[0] == "read")
    files = {*inputs.seen_by_cargo, *inputs.unseen, *own.files, *own.found(), *read}
    variables = {*inputs.variables, *build.plan.profile.env}
    request, exact = build.request, (files, variables)
    return equivalence.recorded(build.plan, request.workspace, request.environ, states, exact, build.previous)


def _build_state(build: _Build, outcome: Outcome, inputs: Inputs) -> State:
    """Return the state of a success, and have the ledger keep what it saw."""
    request, plan = build.request, build.plan
    untracked_inputs.learn(request, plan, build.ledger, inputs)
    state = recorder.build_state(inputs, outcome.report, build.ledger, build.before, request.environ)
    now = time.time_ns()
    state["left"] = {path: recorder.read_settled_or_hash(path, now) for path in plan.writes}
    return state


def stored(plan: Plan) -> StoredPlan | None:
    """Return a plan as it is kept for the next run; None where it must be made anew or holds a secret."""
    step = plan.invocation
    hides = any(masked(name, value) != value for name, value in step.env.items())
    hides = hides or kept_words(step.argv) != step.argv
    return None if plan.is_remade or hides else plan_to_data(plan)


def _keep(request: BuildRequest, receipt: Receipt) -> None:
    try:
        receipts.keep(receipt)
        causes.keep_lock(request.state, request.workspace.root)
    except OSError as error:
        reporter.note(
            request.target, f"built, but the receipt could not be kept ({error.strerror}): the next call builds again"
        )
