"""One call in one workspace: its facts, its targets, its runs, each worked out when it is first needed.

The place where catalogue and engine meet. Both entry points come through here; nothing is computed at import.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, cast

from doit_cargo import cache
from doit_cargo.engine.base import own_key, secrets
from doit_cargo.engine.base.errors import Absent, Problem, UserError
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import receipts, store
from doit_cargo.engine.state.staleness import Change
from doit_cargo.targets import again, handlers
from doit_cargo.targets.answers import ANSWERS, no_target
from doit_cargo.targets.commands import CARGO_WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.base.model import ActionInputs, Plan, Target, Workspace
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.cargo.affected import Affected
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.plan.profiles import Library
    from doit_cargo.engine.preflight import preflight
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.toolchain import Machine
    from doit_cargo.targets.listing import Row

FETCHING = "cargo resolves the crates and downloads those that are not here yet, to tell what they need"
SYSDEPS = "sysdeps.toml"  # knowledge about crates, in the folder of one's own profiles
# A variable that names a store, whatever the pack says.
SHARE, VERIFY = "DOIT_CARGO_SHARE", "verify"
CARGO, ACTION, GROUP = "cargo", "action", "group"
# What no variable of the command line changes.
UNVARYING = ("_facts", "workspace", "machine", "library", "listing", "_rows_by_name", "targets")


class Session:
    """A workspace as one call sees it."""

    def __init__(self, start: str, environ: Mapping[str, str], raw: Mapping[str, str]) -> None:
        self.start = os.path.abspath(start)
        self.environ = environ
        self._given = raw
        self.interrupted = False
        # Target -> the variables with which it repeats nothing but what failed.
        self.narrowed: dict[str, dict[str, str]] = {}
        self._plans: dict[str, Plan] = {}
        self.asked: list[str] = []  # the targets that the call is about
        self._prepared: list[str] = []
        self.found: dict[object, Any] = {}  # what actions have found out in this call
        self._own_thread = threading.local()
        self._verdicts: dict[str, tuple[Receipt | None, list[Change]]] = {}

    @cached_property
    def raw(self) -> Mapping[str, str]:
        """The variables of the command line, not yet checked; what SINCE means is in PACKAGE."""
        if not self._given.get("SINCE"):
            return self._given
        from doit_cargo.engine.cargo import affected

        return affected.in_package(self._given, self.affected)

    @cached_property
    def affected(self) -> Affected:
        """What changes since the commit of SINCE can affect."""
        from doit_cargo.engine.cargo import affected
        from doit_cargo.engine.execution.past import readers

        given = {name: value for name, value in self._given.items() if name not in ("SINCE", "PACKAGE")}
        rows = map(self.known_row, self.with_parts([receipts.normalise(name) for name in self.asked]))
        keys = [receipts.key_of(row["name"], _taken(row, given)) for row in rows if row and row["kind"] != GROUP]
        read = readers.Record(self.state, keys, self.workspace, self.environ)
        return affected.since(self._given["SINCE"].strip(), self.workspace, self.environ, read.readers_of)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker process needs that does not share this one's memory: the call; all else it finds out."""
        return {"start": self.start, "raw": self.raw, "environ": dict(self.environ), "key": own_key.key()}

    def __setstate__(self, call: dict[str, Any]) -> None:
        self.__init__(call["start"], call["environ"], call["raw"])  # type: ignore[misc]
        own_key.use(call["key"])

    def with_variables(self, given: Mapping[str, str]) -> Session:
        """Return the same call with other variables; what no variable changes is not found out again."""
        call = Session(self.start, self.environ, given)
        call.__dict__.update((name, found) for name, found in vars(self).items() if name in UNVARYING)
        return call

    @property
    def current(self) -> str:
        """The name of the target whose action runs."""
        return str(getattr(self._own_thread, "current", ""))

    @current.setter
    def current(self, name: str) -> None:
        self._own_thread.current = name

    @cached_property
    def _facts(self) -> cache.Remembered:
        return cache.facts(self.start, self.environ)

    @cached_property
    def workspace(self) -> Workspace:
        from doit_cargo.engine.cargo import metadata

        return metadata.from_metadata(self._facts.value)

    @property
    def root(self) -> str:
        return str(self._facts.value["root"])

    def files_of(self, row: Row) -> tuple[str, ...]:
        """Return the files that shape a cargo call and are known before any run: none of them is a source file."""
        lock = os.path.join(self.root, "Cargo.lock")
        if row["kind"] != CARGO:
            return ()
        return (*self._facts.files, *row["files"], *((lock,) if os.path.exists(lock) else ()))

    @property
    def state(self) -> str:
        return store.state_directory(self.root, self.environ)

    @cached_property
    def machine(self) -> Machine:
        from doit_cargo.engine.toolchain import Machine

        return Machine(self.environ, directory=self.root, cache=os.path.join(self.state, "tools.json"))

    @cached_property
    def library(self) -> Library:
        from doit_cargo.engine.plan.profiles import Library

        return Library.load(self.workspace)

    @cached_property
    def listing(self) -> tuple[Row, ...]:
        """All targets, available here or not; doit asks for them on every call."""
        return cache.listing(self.state, self.root, self._facts.mark, self.environ, lambda: self.library, self._rows)

    def _rows(self) -> tuple[Row, ...]:
        from doit_cargo.targets import catalogue, listing

        rows = [listing.row_of(entry) for entry in catalogue.load(self.workspace, self.library, self.machine)]
        if self.library.pack.share.store:
            from doit_cargo.sharing import settings

            rows = [{**row, "shares": settings.takes(self.library.pack.share, row["name"])} for row in rows]
        return tuple(rows)

    @cached_property
    def _rows_by_name(self) -> dict[str, Row]:
        return {row["name"]: row for row in self.listing}

    def known_row(self, name: str) -> Row | None:
        """Return a target, available here or not, or None."""
        return self._rows_by_name.get(name)

    def row(self, name: str) -> Row:
        """Return an available target. Raises `UserError` for an unknown name, `Absent` for one that is not here."""
        wanted = receipts.normalise(name)
        wanted = wanted if wanted in self._rows_by_name else CARGO_WORDS.get(wanted, wanted)
        found = self._rows_by_name.get(wanted)
        if not (found and found["available"]) and cache.forget_listing(self.state):
            # A file may have appeared that the listing does not rest on, such as a pyproject.toml.
            del self.listing, self._rows_by_name
            found = self._rows_by_name.get(wanted)
        if found is None:
            raise UserError(no_target(name, [row["name"] for row in self.listing if row["available"]]))
        if not found["available"]:
            reason = found["reason"].removeprefix(f"{wanted} ")
            what = f"{wanted} is not here: {reason}" if reason.startswith("the ") else f"{wanted} {reason}"
            raise Absent(Problem(what, ANSWERS.get(wanted, "")))
        return found

    def variables(self, *names: str) -> Values:
        """Return the checked variables of the command line, for these targets."""
        from doit_cargo.engine.base import variables

        everywhere = {row["name"]: row["takes"] for row in self.listing}
        wanted = {name: everywhere[name] for name in names}
        raw = self.raw if any("SINCE" in takes for takes in wanted.values()) else self._given
        return variables.parse(raw, wanted, everywhere)

    def plan(self, name: str) -> Plan:
        """Return the plan of a cargo target: the one of its last success while it holds, else a new one."""
        if name not in self._plans:
            self._plans[name] = self.stored_plan(self.key(name)) or self.new_plan(name)
        return self._plans[name]

    def stored_plan(self, key: tuple[str, ...]) -> Plan | None:
        """Return the plan of the last success of `key` while it holds, or None."""
        from doit_cargo.engine.plan import serialize

        receipt = receipts.load_receipt(self.state, key) or receipts.last_receipt(self.state, key)
        if (
            receipt is None
            or not receipt["stored_plan"]
            or receipt["cosmetic_options"] != self.cosmetic_options
            or not receipts.plan_holds(receipt, self.environ)
        ):
            return None
        return serialize.plan_from_data(receipt["stored_plan"], receipt["plan"])

    @property
    def cosmetic_options(self) -> tuple[str, ...]:
        """Variables that a result does not depend on, but the argument list does."""
        return tuple(secrets.kept(self.raw.get(name, "")) for name in again.COSMETIC)

    @cached_property
    def targets(self) -> dict[str, Target]:
        """The rows of the targets that the listing has, by name."""
        from doit_cargo.targets import catalogue

        return {target.name: target for target in catalogue.targets(self.workspace, self.library, self.environ)}

    def new_plan(self, name: str) -> Plan:
        """Return a plan made from scratch."""
        return self.plan_of(self.targets[name])

    def plan_of(self, target: Target) -> Plan:
        """Return the plan of a row, which need not be the listing's own: an action may stand for a cargo call."""
        from doit_cargo.engine.plan import plan

        return plan.make(target, self.values_for(target.name), self.workspace, self.library, self.machine)

    def parts(self, name: str) -> list[str]:
        """Return a target alone, or in their order the targets that a group is made of."""
        row = self.row(name)
        return [one for part in row["after"] for one in self.parts(part)] if row["kind"] == GROUP else [row["name"]]

    def prepare(self, names: list[str]) -> None:
        """Find all bad input of the asked targets before the first of them starts. Raises `UserError`."""
        if names == self._prepared:
            return
        self._prepared = self.asked = names
        parts = self.with_parts(names)
        for name in parts:
            if name not in self._verdicts:
                self._verdicts[name] = self._look(name)
        stale = [name for name in parts if self.forced or self._verdicts[name][1]]
        if not stale and not self.raw:
            return
        self.variables(*(self.row(name)["name"] for name in names))
        for name in stale:
            row = self.row(name)
            if row["check"]:
                self.current = name
                handlers.call(row["check"], self, self.values_for(name))
            elif row["kind"] == CARGO:
                self.plan(name)

    def with_parts(self, names: list[str]) -> list[str]:
        """Return the targets and everything that runs before them, each once, parts first."""
        found: dict[str, None] = {}
        for name in names:
            for part in self.with_parts(list(self._rows_by_name[name]["after"])) if name in self._rows_by_name else ():
                found.setdefault(part)
            found.setdefault(name)
        return list(found)

    def take_as_stale(self, name: str) -> None:
        """Ask no more whether a target is fresh: the launcher has looked a moment ago; the run itself looks again."""
        self._verdicts[name] = None, [Change("run", name)]

    @property
    def forced(self) -> bool:
        """FORCE=1 or SHARE=verify: run whatever the receipts say."""
        return self.raw.get("FORCE", "").lower() not in ("", "0", "false", "no") or self.raw.get("SHARE") == VERIFY

    def verdict(self, name: str, explain: bool = False) -> tuple[Receipt | None, list[Change]]:
        """Return (receipt, changes) of a target; no change is the proof that nothing needs to run.

        What `prepare` has found counts once, and only until something runs.
        """
        if not explain and name in self._verdicts:
            return self._verdicts.pop(name)
        return self._look(name, explain)

    def _look(self, name: str, explain: bool = False) -> tuple[Receipt | None, list[Change]]:
        receipt, changes = self.verdict_of(self.key(name), explain)
        if receipt and not changes and self.raw.get("OBSERVE") == "strict" and receipt.get("unseen"):
            changes = [Change("always", "OBSERVE=strict", "", receipt["unseen"][0])]
        return receipt, changes

    def verdict_of(self, key: tuple[str, ...], explain: bool = False) -> tuple[Receipt | None, list[Change]]:
        """Return (receipt, changes) of any result on record, as the call that would renew it finds them."""
        return again.verdict(self, key, explain)

    def last_receipt(self, name: str) -> Receipt | None:
        """Return the last success that a failed run has put aside, or None."""
        return receipts.last_receipt(self.state, self.key(name))

    def key(self, name: str, more: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Return the words that name a result of a target, with `more` variables than the call's."""
        return receipts.key_of(name, {**self._variables_of(name), **(more or {})})

    def values_for(self, name: str) -> Values:
        """Return the checked variables of one target."""
        from doit_cargo.engine.base import variables

        raw = self._variables_of(name)
        return variables.parse(raw, {name: raw})

    def _variables_of(self, name: str) -> dict[str, str]:
        """Return the variables of a target: those of the command line that it takes.

        Whoever is asked for beside it, and whether it runs by itself or as a part, changes neither what it does nor the
        name of its result. That each variable is taken by a target that was asked for, `variables` checks.
        """
        row = self.known_row(name) if self.raw else None
        return _taken(row, self.raw) if row else {}

    def has_run(self) -> None:
        """Forget what was known to be fresh: something has run, here or in a worker."""
        self._verdicts.clear()

    def run(self, name: str) -> bool:
        """Run a target that is not up to date. Returns whether it succeeded; raises `UserError` if it could not run."""
        self.has_run()
        row = self.row(name)
        values = self.values_for(row["name"])
        if row["kind"] == GROUP:
            reporter.done(row["name"], f"{', '.join(row['after'])}: all well")
            return True
        self._require(row)
        if row["kind"] == ACTION and not row["sharer"] and values.text("SHARE") not in ("", "off"):
            reporter.note(row["name"], "SHARE changes nothing here: results of this target are not shared")
        if row["kind"] == ACTION:
            return self._act(row, values)
        if row["handler"]:
            return bool(handlers.module(row["handler"]).run(self, row["name"], values))
        from doit_cargo.engine.execution.execute import execute

        outcome = execute(self.shared_request(row["name"]))
        self.interrupted |= outcome is not None and outcome.interrupted
        return outcome is None or outcome.ok

    def _act(self, row: Row, values: Values) -> bool:
        self.current = row["name"]
        if not row["watch"]:
            return handlers.call(row["action"], self, values) is not False
        from doit_cargo.engine.base import model
        from doit_cargo.engine.execution import action_cache

        request = action_cache.ActionRequest(
            state=self.state,
            key=self.key(row["name"]),
            root=self.root,
            manifests=tuple(package.manifest for package in self.workspace.packages.values()),
            machine=self.machine,
            lock="" if row["pool"] in (model.CARGO, model.ALONE) else row["name"],
            watch=lambda: cast("ActionInputs", handlers.call(row["watch"], self, values)),
            act=lambda: cast("bool | None", handlers.call(row["action"], self, values)),
            shared=handlers.module(row["sharer"]).of(self, row["name"]) if row["sharer"] and self.shares(row) else None,
        )
        return action_cache.run(request)

    def known(
        self, plan: Plan, name: str, fetch: Callable[[], None] | None = None, workspace: Workspace | None = None
    ) -> preflight.PreflightFacts:
        """Return what pre-flight should know of a target's plan; `fetch` is called if cargo has to download first.

        `workspace` is that of the plan where it is not the session's own, such as a satellite's.
        """
        from doit_cargo.engine.preflight import preflight
        from doit_cargo.engine.state import footprint

        workspace = workspace or self.workspace
        machine = self.machine.at(workspace.root, processes.environment_of_tools(plan.invocation, self.environ))
        overlays = tuple(os.path.join(folder, SYSDEPS) for folder in plan.folders or self.library.directories)
        inferred = cache.needs(self.state, plan, workspace, machine, overlays, fetch)
        return preflight.PreflightFacts(workspace, inferred, footprint.past(self.state, self.key(name)))

    def _require(self, row: Row) -> None:
        """Raise for all tools and services that a target's row names and that are not here."""
        tools = row["needs"] if row["kind"] == ACTION else ()
        if tools or row["services"]:
            from doit_cargo.engine.preflight import preflight

            wanted = [self.library.pack.services[name] for name in row["services"]]
            preflight.require_here(row["name"], tools, wanted, self.machine)

    def request(self, name: str, plan: Plan) -> BuildRequest:
        """Return what running a cargo call for a target is about."""
        from doit_cargo.engine.execution.request import BuildRequest

        return BuildRequest(
            target=name,
            key=self.key(name),
            state=self.state,
            environ=self.environ,
            variables=self.values_for(name),
            cosmetic_options=self.cosmetic_options,
            plan=plan,
            workspace=self.workspace,
            machine=self.machine,
            known=lambda: self.known(plan, name, lambda: reporter.note(name, FETCHING)),
        )

    def shares(self, row: Row) -> bool:
        """Tell whether results of a target may be shared: a pack says so, or a variable names a store."""
        return row["shares"] or bool(self.environ.get(SHARE))

    def shared_request(self, name: str) -> BuildRequest:
        """Return what running a target is about, with the store for its results, where one is configured."""
        row = self.row(name)
        name, own = row["name"], row["sharer"]
        if row["kind"] != CARGO and not own:
            raise UserError(Problem(f"results of {name} are not shared", "share why build, for example"))
        plan, more = handlers.module(own).shared_plan(self, name) if own else (self.plan(name), {})
        request = self.request(name, plan)
        if not self.shares(row):
            return request
        from doit_cargo.sharing import share

        return request._replace(shared=share.of(request, self.library.pack.share, self.root, more))


def _taken(row: Row, given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if name in row["takes"]}
