"""One call's dealings with the store: fetch what is proven to be this result, or publish the one that was just built.

Nothing here ends a build: what goes wrong is told in one line, and cargo runs. What is fetched is checked whole before
the first file gets its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution.request import machine_of
from doit_cargo.engine.state import fingerprint
from doit_cargo.sharing import action, embedded, index, keys, machine, path_set, result, settings, values
from doit_cargo.sharing.action import Action
from doit_cargo.sharing.carriers import Carrier, CarrierError, open_store
from doit_cargo.sharing.fetched import Fetched, take
from doit_cargo.sharing.index import Known
from doit_cargo.sharing.path_set import NotShared, PathSet
from doit_cargo.sharing.patience import Patience, is_left_alone, leave_alone
from doit_cargo.sharing.result import File, Result, UnsoundError
from doit_cargo.sharing.roots import Roots
from doit_cargo.sharing.wire import Digest

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.staleness import State
    from doit_cargo.sharing.settings import Settings

# So many known builds are compared with, to tell why none fits.
MOST_COMPARED = 3
MOST_SHOWN = 20


class Candidate(NamedTuple):
    """A path set filled with what is here: the state, the key that it gives, its lines."""

    known: Known
    state: State
    key: Action
    lines: Mapping[str, str]


class Sharing:
    """What one call shares. Built where a store is configured and cargo would run."""

    def __init__(self, found: Settings, request: BuildRequest) -> None:
        self.settings = found
        self.request = request
        self.key: Action | None = None
        self.why = ""

    # --- fetching ----------------------------------------------------------------------------------------------------

    def fetched(self, plan: Plan, state: State) -> bool:
        """Fetch the result of a call where somebody has it; tell why not, in one line. Returns whether it is here."""
        if self.settings.verifies:
            return False
        started = time.monotonic()
        for address in self.settings.reads:
            found = self._asked(address, lambda carrier: self._find(carrier, plan, state), "built here")
            if found and self._taken(found, plan, state, started):
                return True
        return False

    def _asked(self, address: str, work: Callable[[Carrier], Fetched | None], instead: str) -> Fetched | None:
        """Do something with a store; say what came of it where that is nothing."""
        if is_left_alone(self.request.state, address):
            return None
        started, store = time.monotonic(), settings.shown(address)
        carrier: Carrier | None = None
        try:
            carrier = open_store(address, settings.access(address, self.settings))
            return work(carrier)
        except NotShared as reason:
            self._note(f"not shared: {reason}")
        except UnsoundError as reason:
            self._note(f"what {store} has as this result {reason}: {instead}")
        except CarrierError as error:
            self._note(f"shared cache {store} {error} ({time.monotonic() - started:.1f} s): {instead}")
            if error.is_sick:
                leave_alone(self.request.state, address)
        except OSError as error:
            self._note(f"not shared: {error.strerror or error}: {instead}")
        except UserError as error:
            self._note(f"not shared: {error}")
        finally:
            if carrier:
                carrier.close()
        return None

    def _ignored(self, name: str) -> bool:
        return values.is_ignored(name, self.settings.ignored)

    def _note(self, text: str) -> None:
        reporter.note(self.request.target, text)

    def _find(self, carrier: Carrier, plan: Plan, state: State) -> Fetched | None:
        roots = keys.roots_of(self.request, plan)
        key = self._first(plan, state, roots)
        patience = Patience()
        known = patience.ask(lambda: index.read(carrier, key))
        candidates = self._candidates(known, key, roots, plan)
        found = patience.ask(lambda: self._first_result(carrier, candidates))
        if found is None:
            self._note(self._miss(carrier, candidates, patience, bool(known)))
            return None
        candidate, answer = found
        return self._downloaded(carrier, candidate, answer, plan, roots)

    def _first(self, plan: Plan, state: State, roots: Roots) -> Action:
        if self.key is None:
            self.key = keys.first(self.request, plan, state, roots)
        return self.key

    def _candidates(self, known: list[Known], key: Action, roots: Roots, plan: Plan) -> list[Candidate]:
        """Return the path sets that can be compared here, each with the key that it gives."""
        found = []
        for one in known:
            try:
                state = path_set.present(one.paths, roots, self.request.environ)
                lines = self._lines(one.paths, one.bound, state, roots, plan)
            except NotShared as reason:
                self.why = str(reason)
                continue
            found.append(Candidate(one, state, keys.second(key, lines), lines))
        return found

    def _lines(self, paths: PathSet, bound: tuple[str, ...], state: State, roots: Roots, plan: Plan) -> dict[str, str]:
        lines = path_set.manifest(
            paths, state, roots, self._ignored, lambda name: values.value_of(name, self.request.environ)
        )
        here = {keys.CPU: machine.cpu} if keys.CPU in bound else {}
        told = {name: ask() for name, ask in here.items()}
        if keys.GPU in bound:
            told[keys.GPU] = machine.gpu(machine_of(self.request, plan))
        return lines | keys.bound_lines(bound, roots, told)

    def _first_result(self, carrier: Carrier, candidates: list[Candidate]) -> tuple[Candidate, Result] | None:
        for candidate in candidates:
            content = carrier.entry(candidate.key.digest)
            if content is not None:
                answer = result.of_entry(carrier, content, candidate.key.digest, self.settings.keys)
                if answer:
                    return candidate, answer
        return None

    def _downloaded(self, carrier: Carrier, candidate: Candidate, answer: Result, plan: Plan, roots: Roots) -> Fetched:
        places = result.places(answer, roots, plan.writes)
        missing = set(plan.outputs) - set(places.values())
        if missing:
            raise UnsoundError(f"lacks {os.path.basename(missing.pop())}")
        return Fetched.download(carrier, answer, places, candidate.state)

    def _miss(self, carrier: Carrier, candidates: list[Candidate], patience: Patience, is_known: bool) -> str:
        """Return why no known result fits: what differs from the one that is nearest."""
        if not candidates:
            if is_known:
                return f"not shared: {self.why}"
            return "not shared yet: nobody has built this with these dependencies, settings and tools"
        try:
            return _told(patience.ask(lambda: _differences(carrier, candidates)))
        except CarrierError:
            return "not shared: no known build is made from what is here"

    def _taken(self, found: Fetched, plan: Plan, state: State, started: float) -> bool:
        try:
            text = take(found, self.request, plan, state)
        except (OSError, UserError) as error:
            self._note(f"not shared: it cannot be put here ({getattr(error, 'strerror', '') or error}): built here")
            return False
        finally:
            found.discard()
        reporter.done(self.request.target, f"{time.monotonic() - started:.1f} s: {text}")
        return True

    # --- explaining --------------------------------------------------------------------------------------------------

    def explained(self, plan: Plan, state: State) -> list[str]:
        """Return whether each store has the result of a call, or all that differs from what it knows."""
        found = []
        for address in self.settings.reads:
            store = settings.shown(address)
            try:
                carrier = open_store(address, settings.access(address, self.settings))
                try:
                    found += [f"{store}: {line}" for line in self._explain(carrier, plan, state)]
                finally:
                    carrier.close()
            except (NotShared, UnsoundError, CarrierError) as reason:
                found.append(f"{store}: not fetched: {reason}")
        return found

    def _explain(self, carrier: Carrier, plan: Plan, state: State) -> list[str]:
        roots, patience = keys.roots_of(self.request, plan), Patience(5)
        key = self._first(plan, state, roots)
        known = patience.ask(lambda: index.read(carrier, key))
        candidates = self._candidates(known, key, roots, plan)
        found = patience.ask(lambda: self._first_result(carrier, candidates))
        if found:
            result.places(found[1], roots, plan.writes)
            told, files = found[1].told, found[1].files
            what = _counted(len(files), sum(one.digest.size for one in files))
            return [f"would be fetched: built by {told['machine']}, {what}"]
        if not candidates:
            return [self._miss(carrier, candidates, patience, bool(known))]
        differences = patience.ask(lambda: _differences(carrier, candidates))
        return [
            f"known build {number}: {_told([names], MOST_SHOWN).removeprefix('not shared: ')}"
            for number, names in enumerate(differences, 1)
        ]

    # --- publishing --------------------------------------------------------------------------------------------------

    def published(self, plan: Plan, receipt: Receipt, observed: Mapping[str, object]) -> None:
        """Publish a success that was just built; `observed` is what the ledger knows of each unit."""
        if not self.settings.writes:
            return
        self._asked(
            self.settings.writes, lambda carrier: self._publish(carrier, plan, receipt, observed), "not published"
        )

    def _publish(self, carrier: Carrier, plan: Plan, receipt: Receipt, observed: Mapping[str, object]) -> None:
        started = time.monotonic()
        roots = keys.roots_of(self.request, plan)
        key = self._first(plan, receipt["plan"], roots)
        known, lines, files, log = self._made(plan, receipt, observed, roots)
        second = keys.second(key, lines)
        known = known._replace(manifest=Digest.of(action.text(lines)))
        patience = Patience()
        others = patience.ask(lambda: index.read(carrier, key))
        there = patience.ask(lambda: carrier.entry(second.digest))
        if there is None or not self._is_result(carrier, there, second.digest):
            self._upload(carrier, second, files, log, receipt)
        index.keep(carrier, key, known, others)
        size = sum(os.path.getsize(path) for path in files.values())
        self._note(f"shared: {_counted(len(files), size)} in {time.monotonic() - started:.1f} s")

    def _is_result(self, carrier: Carrier, content: bytes, key: Digest) -> bool:
        try:
            return result.of_entry(carrier, content, key, self.settings.keys) is not None
        except (UnsoundError, CarrierError):
            return False

    def _made(
        self, plan: Plan, receipt: Receipt, observed: Mapping[str, object], roots: Roots
    ) -> tuple[Known, dict[str, str], dict[File, str], bytes]:
        """Return what a success rests on and what it left. Raises `NotShared`."""
        if receipt.get("unseen"):
            raise NotShared(f"{receipt['unseen'][0]}, so that nobody knows all that it rests on")
        state = receipt["build"]
        paths = path_set.of(state, roots, self._ignored)
        if not path_set.is_whole(paths):
            raise NotShared("it rests on no source of the workspace")
        outputs = [*state["outputs"], *state["left"]]
        log = _log_of(plan.log)
        texts = [log, "\n".join(receipt["warnings"]).encode()]
        bound = embedded.scan(outputs, texts[1:], roots, values.secret_values(self.request.environ))
        values.require_no_secret(log, values.secret_values(self.request.environ), "its log")
        libraries = path_set.known_names(state, roots)
        for path in outputs:
            embedded.require_libraries(path, libraries)
        names = tuple(sorted({*bound, *_kinds(state, observed, receipt)}))
        lines = self._lines(paths, names, state, roots, plan)
        if any(value == "there" for line, value in lines.items() if line.startswith(path_set.ABSENT)):
            raise NotShared("something has appeared that was looked for in vain")
        files = {_file(path, state, roots): path for path in outputs}
        return Known(paths, names, Digest.of(b"")), lines, files, log

    def _upload(self, carrier: Carrier, key: Action, files: Mapping[File, str], log: bytes, receipt: Receipt) -> None:
        """Keep all files of a result, and only then the entry that names them."""
        answer = Result(key.digest.hash, tuple(files), Digest.of(log), _told_of(receipt))
        content = result.pack(answer, settings.signing_key())
        for one in carrier.missing([one.digest for one in files]):
            path = next(path for file, path in files.items() if file.digest == one)
            with open(path, "rb") as stream:
                carrier.keep(one, stream)
        action.keep_blobs(carrier, {**key.blobs, Digest.of(log): log, Digest.of(content): content})
        carrier.keep_entry(key.digest, result.entry_of(answer, content))


def _file(path: str, state: State, roots: Roots) -> File:
    """Return a file as it was left: one that somebody has replaced since is none of this result."""
    found = result.file_of(path, roots)
    kept = (state["outputs"].get(path) or state["left"][path])[1]
    if fingerprint.digest(path) != kept:
        raise NotShared(f"{os.path.basename(path)} has changed since it was built")
    return found


def _kinds(state: State, observed: Mapping[str, object], receipt: Receipt) -> set[str]:
    """Return what of the machine a result is bound to: build scripts may compile for its processor or GPU."""
    found = set()
    if path_set.scripts_start_programs(observed, receipt.get("observed", ())):
        found.add(keys.CPU)
    if "nvidia-smi" in state["which"]:
        found.add(keys.GPU)
    return found


def _log_of(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(result.MOST_BYTES)
    except OSError:
        return b""


def _told_of(receipt: Receipt) -> dict[str, object]:
    import socket

    return {
        "machine": socket.gethostname(),
        "finished": receipt["finished"],
        "seconds": receipt["seconds"],
        "warnings": list(receipt["warnings"]),
        "packages": list(receipt["packages"]),
        "features": list(receipt["features"]),
    }


def _counted(count: int, size: int) -> str:
    from doit_cargo.engine.base.tables import size_of

    return f"{count} file{'' if count == 1 else 's'}, {size_of(size)}" if count else "that it passes"


def _differences(carrier: Carrier, candidates: list[Candidate]) -> list[list[str]]:
    """Return for each known build the subjects that differ here."""
    import json

    found = []
    for candidate in candidates[:MOST_COMPARED]:
        content = action.small(carrier, candidate.known.manifest)
        known = json.loads(content or b"{}")
        mine = candidate.lines
        found.append([name for name in {**known, **mine} if known.get(name) != mine.get(name)] if known else [])
    return found


def _told(differences: list[list[str]], most: int = 3) -> str:
    known = [names for names in differences if names]
    if not known:
        return "not shared: no known build is made from what is here"
    nearest = min(known, key=len)
    shown = ", ".join(path_set.subject_of(name) for name in nearest[:most])
    more = f" and {len(nearest) - most} more" if len(nearest) > most else ""
    verb = "differs" if len(nearest) == 1 else "differ"
    from_what = "the known build" if len(known) == 1 else f"the nearest of {len(known)} known builds"
    return f"not shared: {shown}{more} {verb} from {from_what}"
