"""One call's dealings with the store: fetch what is proven to be this result, or publish the one that was just built.

Nothing here ends a build: what goes wrong is told in one line, and cargo runs. What is fetched is checked whole before
the first file gets its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from doit_cargo.engine.base.errors import FAILED, Problem, UserError
from doit_cargo.engine.base.plain_text import one_line
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution.request import machine_of
from doit_cargo.sharing import (
    action,
    calls,
    documentation,
    embedded,
    index,
    keys,
    machine,
    miss,
    path_set,
    result,
    settings,
    success,
    values,
    verify,
)
from doit_cargo.sharing.action import Action
from doit_cargo.sharing.carriers import Carrier, CarrierError
from doit_cargo.sharing.fetched import Fetched, take
from doit_cargo.sharing.index import Known
from doit_cargo.sharing.miss import Candidate
from doit_cargo.sharing.path_set import Here, NotShared, PathSet
from doit_cargo.sharing.patience import OF_A_PERSON, Patience, is_left_alone, leave_alone
from doit_cargo.sharing.patient import Store
from doit_cargo.sharing.result import File, SharedResult, UnsoundError
from doit_cargo.sharing.roots import Roots
from doit_cargo.sharing.success import Success
from doit_cargo.sharing.wire import Digest

if TYPE_CHECKING:
    from doit_cargo.engine.base.launch import Share
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.staleness import State
    from doit_cargo.sharing.settings import ShareSettings

MOST_SHOWN = 20
T = TypeVar("T")


def of(request: BuildRequest, share: Share, root: str, more: Mapping[str, str]) -> Sharing | None:
    """Return what a call may share, None for nothing; `more` is what key 1 says beside. Raises `UserError`."""
    word = request.variables.text("SHARE")
    found = settings.of(share, root, request.environ, word) if settings.takes(share, request.target) else None
    return Sharing(found, request, more) if found else None


class Sharing:
    """What one call shares. Built where a store is configured and cargo would run."""

    def __init__(
        self, found: ShareSettings, request: BuildRequest, more: Mapping[str, str], key: Action | None = None
    ) -> None:
        self.settings = found
        self.request = request
        self.more = more
        # One that is given is that of a single program of tests: of these nothing is told one by one.
        self.key = key
        self.is_one_of_many = key is not None
        # Of each store its own: one that is sick says nothing of the next one.
        self.patience: dict[str, Patience] = {}
        self.why = ""

    # --- fetching ----------------------------------------------------------------------------------------------------

    def fetched(self, plan: Plan, state: State) -> bool:
        """Fetch the result of a call where somebody has it; tell why not, in one line. Returns whether it is here."""
        if self.settings.verifies:
            return False
        started = time.monotonic()
        for address in self.settings.reads:
            found = self.asked(address, lambda store: self._find(store, plan, state), "built here")
            if found and self._taken(found, plan, state, started):
                return True
        return False

    def asked(self, address: str, work: Callable[[Store], T], instead: str) -> T | None:
        """Do something with a store; say what came of it where that is nothing, and what was waited for that."""
        if is_left_alone(self.request.state, address):
            return None
        name, patience = settings.shown(address), self.patience.setdefault(address, Patience())
        before = patience.waited
        opened: Store | None = None
        try:
            opened = Store(address, settings.access(address, self.settings), patience)
            return work(opened)
        except NotShared as reason:
            self._note(f"not shared: {reason}")
        except UnsoundError as reason:
            self._note(f"what {name} has as this result {reason}: {instead}")
        except CarrierError as error:
            text = f"shared cache {name} {error} (waited {patience.waited - before:.1f} s): {instead}"
            self._note(text, is_told=error.is_sick)
            if error.is_sick:
                leave_alone(self.request.state, address)
        except OSError as error:
            self._note(f"not shared: {error.strerror or error}: {instead}")
        except UserError as error:
            self._note(f"not shared: {error}")
        finally:
            if opened:
                opened.close()
        return None

    def _ignored(self, name: str) -> bool:
        return values.is_ignored(name, self.settings.ignored)

    def _note(self, text: str, *, is_told: bool = False) -> None:
        if is_told or not self.is_one_of_many:
            reporter.note(self.request.target, one_line(text))  # a store has a say in it

    def passed(self, plan: Plan, state: State) -> tuple[State, str] | None:
        """Return what a program of tests that has passed elsewhere rests on, as it is here, and what is told of it."""
        for address in self.settings.reads:
            found = self.asked(address, lambda store: self._known(store, plan, state), "run here")
            if found:
                return found[0].state, str(found[1].told["passed"])
        return None

    def _find(self, store: Store, plan: Plan, state: State) -> Fetched | None:
        found = self._known(store, plan, state)
        return self._downloaded(store.slow, *found, plan, keys.roots_of(self.request, plan)) if found else None

    def _known(self, store: Store, plan: Plan, state: State) -> tuple[Candidate, SharedResult] | None:
        """Return the result that fits; tell why there is none."""
        roots = keys.roots_of(self.request, plan)
        key = self.first(plan, state, roots)
        known = index.read(store.quick, key, self.settings.keys)
        found, candidates = self._search(store.quick, self._candidates(known, key, roots, plan))
        if found is None:
            self._note(self._miss(store.quick, candidates, bool(known)))
        return found

    def first(self, plan: Plan, state: State, roots: Roots) -> Action:
        """Return key 1 of a call, worked out once. Raises `NotShared`."""
        if self.key is None:
            self.key = keys.first(self.request, plan, state, roots, self.more)
        return self.key

    def _candidates(self, known: list[Known], key: Action, roots: Roots, plan: Plan) -> Iterator[Candidate]:
        """Yield the path sets that can be compared here, each with the key that it gives."""
        here = path_set.Here(roots, self.request.environ)
        for one in known:
            try:
                state = here.state(one.paths)
                lines = self._lines(one.paths, one.bound, state, here, plan)
            except NotShared as reason:
                self.why = str(reason)
                continue
            yield Candidate(one, state, keys.second(key, lines), lines, here)

    def _lines(self, paths: PathSet, bound: tuple[str, ...], state: State, here: Here, plan: Plan) -> dict[str, str]:
        roots = here.roots
        lines = path_set.manifest(
            paths, state, here, self._ignored, lambda name: roots.text(values.value_of(name, self.request.environ))
        )
        told = {keys.CPU: machine.cpu()} if keys.CPU in bound else {}
        if keys.GPU in bound:
            told[keys.GPU] = machine.gpu(machine_of(self.request, plan))
        return lines | keys.bound_lines(bound, roots, told) | values.of_secret(lines)

    def _search(
        self, carrier: Carrier, candidates: Iterable[Candidate]
    ) -> tuple[tuple[Candidate, SharedResult] | None, list[Candidate]]:
        """Return the first that has a result, and those that were looked at."""
        seen = []
        for candidate in candidates:
            seen.append(candidate)
            answer = None if path_set.has_appeared(candidate.lines) else self._result(carrier, candidate)
            if answer:
                candidate.state["absent"] = candidate.here.absence(candidate.known.paths)
                return (candidate, answer), seen
        return None, seen

    def _result(self, carrier: Carrier, candidate: Candidate) -> SharedResult | None:
        name = candidate.key.digest
        content = carrier.entry(name)
        return result.of_entry(carrier, content, name, self.settings.keys) if content else None

    def _downloaded(
        self, carrier: Carrier, candidate: Candidate, answer: SharedResult, plan: Plan, roots: Roots
    ) -> Fetched:
        places = result.places(answer, roots, plan.writes)
        missing = set(plan.outputs) - set(places.values())
        if missing:
            raise UnsoundError(f"lacks {os.path.basename(missing.pop())}")
        if plan.invocation.argv[1] == "doc":
            documentation.require_alone(places.values())
        return Fetched.download(carrier, answer, places, candidate.state)

    def _miss(self, carrier: Carrier, candidates: list[Candidate], is_known: bool) -> str:
        """Return why no known result fits: what differs from the one that is nearest."""
        if not candidates:
            if is_known:
                return f"not shared: {self.why}"
            return "not shared yet: nobody has built this with these dependencies, settings and tools"
        try:
            return miss.told(miss.differences(carrier, candidates))
        except CarrierError:
            return miss.told([])

    def _taken(self, found: Fetched, plan: Plan, state: State, started: float) -> bool:
        try:
            text = take(found, self.request, plan, state)
        except (OSError, UserError) as error:
            self._note(f"not shared: it cannot be put here ({getattr(error, 'strerror', '') or error}): built here")
            return False
        finally:
            found.discard()
        reporter.done(self.request.target, one_line(f"{time.monotonic() - started:.1f} s: {text}"))
        return True

    # --- explaining --------------------------------------------------------------------------------------------------

    def explained(self, plan: Plan, state: State) -> list[str]:
        """Return whether each store has the result of a call, or all that differs from what it knows."""
        found = []
        for address in self.settings.reads:
            name, patience = settings.shown(address), Patience(OF_A_PERSON)
            try:
                store = Store(address, settings.access(address, self.settings), patience)
                try:
                    found += [f"{name}: {line}" for line in self._explain(store.quick, plan, state)]
                finally:
                    store.close()
            except (NotShared, UnsoundError) as reason:
                found.append(f"{name}: not fetched: {reason}")
            except CarrierError as error:
                found.append(f"{name}: not fetched: it {error} (waited {patience.waited:.1f} s)")
        return found

    def _explain(self, carrier: Carrier, plan: Plan, state: State) -> list[str]:
        roots = keys.roots_of(self.request, plan)
        key = self.first(plan, state, roots)
        known = index.read(carrier, key, self.settings.keys)
        found, candidates = self._search(carrier, self._candidates(known, key, roots, plan))
        if found:
            result.places(found[1], roots, plan.writes)
            told, files = found[1].told, found[1].files
            what = _counted(len(files), sum(one.digest.size for one in files))
            return [f"would be fetched: built by {told['machine']}, {what}"]
        if not known:
            others = calls.known(carrier, self._calls())
            differences = [miss.differing(one, key.parts) for one in others]
            if any(differences):
                return [miss.told(differences, MOST_SHOWN).replace("not shared", "not shared yet", 1)]
        if not candidates:
            return [self._miss(carrier, candidates, bool(known))]
        differences = miss.differences(carrier, candidates)
        return [
            f"known build {number}: {miss.told([names], MOST_SHOWN).removeprefix('not shared: ')}"
            for number, names in enumerate(differences, 1)
        ]

    def _calls(self) -> Action:
        return calls.name_of(self.request.target, self.request.workspace.packages)

    # --- publishing --------------------------------------------------------------------------------------------------

    def published(self, plan: Plan, receipt: Receipt, observed: Mapping[str, object]) -> None:
        """Publish a success that was just built; `observed` is what the ledger knows of each unit."""
        self.publish(plan, lambda: success.of_build(plan, receipt, observed))

    def publish(self, plan: Plan, made: Callable[[], Success]) -> None:
        """Publish a success, or compare it with what is stored. Raises `UserError` where that is something else."""
        self.patience = {}  # what was waited before the build was not lost
        if self.settings.verifies:
            for address in self.settings.reads:
                said = self.asked(address, lambda store: self._compare(store, plan, made()), "not compared")
                if said:
                    raise UserError(Problem(f"SHARE=verify: {said}", verify.FIX), FAILED)
        elif self.settings.writes:
            self.asked(self.settings.writes, lambda store: self._publish(store, plan, made()), "not published")

    def _publish(self, store: Store, plan: Plan, one: Success) -> None:
        started = time.monotonic()
        key, second, known, files, log = self._made(plan, one)
        there = store.quick.entry(second.digest)
        if there is None or not self._is_result(store.quick, there, second.digest):
            self._upload(store.slow, second, files, log, one)
        index.keep(store.slow, key, known, self.settings.keys, settings.signing_key())
        if not self.is_one_of_many:
            calls.keep(store.slow, self._calls(), key)
        size = sum(os.path.getsize(path) for path in files.values())
        self._note(f"shared: {_counted(len(files), size)} in {time.monotonic() - started:.1f} s")

    def _compare(self, store: Store, plan: Plan, one: Success) -> str:
        """Return how a success differs from what is stored as its result; say so where nothing does."""
        _, second, _, files, _ = self._made(plan, one)
        there = store.quick.entry(second.digest)
        answer = result.of_entry(store.quick, there, second.digest, self.settings.keys) if there else None
        if answer is None:
            self._note("nothing is stored as this result: there is nothing to compare with")
            return ""
        differences, text = verify.compare(store.slow, answer, files)
        if not differences:
            self._note(text)
        return "; ".join(differences)

    def _is_result(self, carrier: Carrier, content: bytes, key: Digest) -> bool:
        try:
            return result.of_entry(carrier, content, key, self.settings.keys) is not None
        except (UnsoundError, CarrierError):
            return False

    def _made(self, plan: Plan, one: Success) -> tuple[Action, Action, Known, dict[File, str], bytes]:
        """Return both keys of a success, its path set, its files and its log. Raises `NotShared`."""
        roots = keys.roots_of(self.request, plan)
        key = self.first(plan, one.receipt["plan"], roots)
        success.require_whole(one)
        state = path_set.with_neighbours(one.state, roots)
        paths = path_set.of(state, roots, self._ignored)
        if not self.is_one_of_many and not path_set.is_whole(paths):
            raise NotShared("it rests on no source of the workspace")
        log = b"" if self.is_one_of_many else success.log_of(plan.log)
        secret = values.secret_values(self.request.environ)
        warnings = "\n".join(one.receipt["warnings"]).encode()
        bound = embedded.scan(one.files, [warnings, one.passed.encode()], roots, secret)
        values.require_no_secret(log, secret, "its log")
        names = tuple(sorted({*bound, *one.bound}))
        lines = self._lines(paths, names, state, path_set.Here(roots, self.request.environ), plan)
        if path_set.has_appeared(lines):
            raise NotShared("something has appeared that was looked for in vain")
        known = Known(paths, names, Digest.of(action.text(lines)))
        return key, keys.second(key, lines), known, success.files_of(one, roots), log

    def _upload(self, carrier: Carrier, key: Action, files: Mapping[File, str], log: bytes, one: Success) -> None:
        """Keep all files of a result, and only then the entry that names them."""
        answer = SharedResult(key.digest.hash, tuple(files), Digest.of(log), success.told_of(one))
        content = result.pack(answer, settings.signing_key())
        paths = {file.digest: path for file, path in files.items()}
        for blob in carrier.missing(paths):
            with open(paths[blob], "rb") as stream:
                carrier.keep(blob, stream)
        action.keep_blobs(carrier, {**key.blobs, Digest.of(log): log, Digest.of(content): content})
        carrier.keep_entry(key.digest, result.entry_of(answer, content))


def _counted(count: int, size: int) -> str:
    from doit_cargo.engine.base.tables import size_of

    return f"{count} file{'' if count == 1 else 's'}, {size_of(size)}" if count else "that it passes"
