"""One call in one workspace: its facts, its targets, its runs, each worked out when it is first needed.

The place where catalogue and engine meet. Both doors come through here; nothing is computed at import.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from doit_cargo import __version__
from doit_cargo.engine import freshness, receipts
from doit_cargo.engine.errors import COULD_NOT_RUN, Absent, Problem, UserError
from doit_cargo.engine.freshness import Change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.catalogue import Entry
    from doit_cargo.engine.model import Plan, Target, Workspace
    from doit_cargo.engine.profiles import Library
    from doit_cargo.engine.toolchain import Machine
    from doit_cargo.engine.variables import Values


class Session:
    """A workspace as one call sees it. `raw` are the variables of the command line, not yet checked."""

    def __init__(self, start: str, environ: Mapping[str, str], raw: Mapping[str, str]) -> None:
        self.start = os.path.abspath(start)
        self.environ = environ
        self.raw = raw
        self._plans: dict[str, Plan] = {}

    @cached_property
    def _facts(self) -> dict[str, Any]:
        """Cargo's facts of the workspace: from the cache where nothing that they rest on changed."""
        root, passed = receipts.find_root(self.start, self.environ)
        if root:
            cached = receipts.load(os.path.join(receipts.state_directory(root, self.environ), "workspace"))
            if self._holds(cached, passed):
                return dict(cached["facts"])  # type: ignore[index]
        return self._read_facts()

    def _holds(self, cached: object, passed: list[str]) -> bool:
        if not isinstance(cached, dict) or cached.get("version") != __version__:
            return False
        if any(manifest not in cached["state"]["files"] for manifest in passed):
            return False
        return next(freshness.Check(cached["state"], self.environ, time.time_ns()).changes(), None) is None

    def _read_facts(self) -> dict[str, Any]:
        from doit_cargo.engine import ledger, recorder, toolchain, workspace

        started = time.time_ns()
        facts = workspace.read_metadata(self.start, self.environ)
        known = workspace.from_metadata(facts)
        state = recorder.empty_state(self.environ, ("cargo",))
        files = [
            os.path.join(known.root, "Cargo.toml"),
            *recorder.manifests(known),
            *recorder.config_files(known.root, self.environ),
            *toolchain.pin_candidates(known.root, self.environ),
            *toolchain.toolchain_identity(known.root, self.environ),
        ]
        state["files"] = {path: ledger.read_settled(path, started) for path in dict.fromkeys(files)}
        state["env"] = {name: freshness.public_value(name, self.environ[name]) for name in state["guarded"]}
        state["trees"] = recorder.discovery_state(known)
        self._keep(known.root, {"version": __version__, "facts": facts, "state": state})
        return facts

    def _keep(self, root: str, data: dict[str, Any]) -> None:
        state = receipts.state_directory(root, self.environ)
        with contextlib.suppress(OSError):  # a cache: without it the next call asks cargo again
            receipts.prepare(state)
            receipts.store(os.path.join(state, "workspace"), data)

    @cached_property
    def workspace(self) -> Workspace:
        from doit_cargo.engine import workspace

        return workspace.from_metadata(self._facts)

    @property
    def root(self) -> str:
        return str(self._facts["root"])

    @property
    def state(self) -> str:
        return receipts.state_directory(self.root, self.environ)

    @cached_property
    def machine(self) -> Machine:
        from doit_cargo.engine.toolchain import Machine

        return Machine(self.environ, directory=self.root, cache=os.path.join(self.state, "tools.json"))

    @cached_property
    def library(self) -> Library:
        from doit_cargo.engine.profiles import Library

        return Library.load(self.workspace)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        from doit_cargo import catalogue

        return catalogue.load(self.workspace, self.library, self.machine)

    @cached_property
    def listing(self) -> tuple[dict[str, Any], ...]:
        """What `list` shows of each target, available or not; cached, since doit asks for it on every call."""
        path = os.path.join(self.state, "catalogue")
        cached = receipts.load(path)
        facts = repr(self._facts)
        if isinstance(cached, dict) and cached.get("basis") == (__version__, self.machine.platform, facts):
            changes = freshness.Check(cached["state"], self.environ, time.time_ns()).changes()
            if next(changes, None) is None:
                return tuple(cached["listing"])
        listing = tuple(_listed(entry) for entry in self.entries)
        self._keep_listing(path, facts, listing)
        return listing

    def _keep_listing(self, path: str, facts: str, listing: tuple[dict[str, Any], ...]) -> None:
        from doit_cargo.engine import recorder

        now = time.time_ns()
        state = recorder.empty_state(self.environ, ("nvcc", "python3"))
        for layer in self.library.layers:
            stamps, names = freshness.list_tree(layer.directory, ("watched",))
            state["trees"][layer.directory] = (("watched",), freshness.settle_all(stamps, now), names)
            for name in names:
                file = os.path.join(layer.directory, name)
                state["files"][file] = recorder.read_settled_or_hash(file, now)
        overlay = os.path.join(self.root, "profiles")
        if overlay not in state["trees"]:
            state["files"][overlay] = recorder.read_settled_or_hash(overlay, now)
        basis = (__version__, self.machine.platform, facts)
        with contextlib.suppress(OSError):  # a cache: without it the next call works it out again
            receipts.store(path, {"basis": basis, "state": state, "listing": listing})

    def target(self, name: str) -> Target:
        """Return an available target. Raises `UserError` for an unknown name, `Absent` for one that is not here."""
        from doit_cargo import catalogue

        entry = catalogue.find(name, self.entries)
        if not entry.available:
            raise Absent(Problem(_with_name(entry.target.name, entry.reason)))
        return entry.target

    def variables(self, targets: tuple[Target, ...]) -> Values:
        """Return the checked variables of the command line."""
        from doit_cargo.engine import variables

        everywhere = {entry.target.name: entry.target.takes for entry in self.entries}
        return variables.parse(self.raw, {target.name: target.takes for target in targets}, everywhere)

    def plan(self, target: Target) -> Plan:
        """Return the plan of a cargo target."""
        if target.name not in self._plans:
            from doit_cargo.engine import plan

            values = self.variables((target,))
            self._plans[target.name] = plan.make(target, values, self.workspace, self.library, self.machine)
        return self._plans[target.name]

    def prepare(self, names: list[str]) -> None:
        """Find all bad input of the asked targets before the first of them starts. Raises `UserError`."""
        stale = [name for name in names if self._must_run(name)]
        if not stale and not self.raw:
            return
        targets = tuple(self.target(name) for name in names)
        self.variables(targets)
        for target in targets:
            if target.command and target.name in stale:
                self.plan(target)

    def _must_run(self, name: str) -> bool:
        receipt, changes = self.verdict(name)
        return receipt is None or bool(changes) or self.forced

    @property
    def forced(self) -> bool:
        """FORCE=1: run whatever the receipts say."""
        return self.raw.get("FORCE", "").lower() not in ("", "0", "false", "no")

    def verdict(self, name: str, explain: bool = False) -> tuple[dict[str, Any] | None, list[Change]]:
        """Return (receipt, changes) of a target; no change is the proof that nothing needs to run."""
        return receipts.verdict(self.state, self.key(name), self.environ, explain)

    def last_receipt(self, name: str) -> dict[str, Any] | None:
        """Return the last success that a failed run has put aside, or None."""
        return receipts.last_receipt(self.state, self.key(name))

    def key(self, name: str) -> tuple[str, ...]:
        return receipts.key_of(name, self.raw)

    def run(self, name: str) -> bool:
        """Run a target that is not up to date. Returns whether it succeeded; raises `UserError` if it could not run."""
        target = self.target(name)
        values = self.variables((target,))
        if target.action:
            return _call(target.action, self, values)
        from doit_cargo.engine.execute import Request, execute

        request = Request(
            target=target.name,
            key=self.key(target.name),
            root=self.root,
            state=self.state,
            environ=self.environ,
            variables=values,
            make_plan=lambda: self.plan(target),
            workspace=lambda: self.workspace,
            machine=lambda: self.machine,
        )
        return execute(request)


def _with_name(name: str, reason: str) -> str:
    return reason if reason.startswith(name) else f"{name} is not available here: {reason}"


def _listed(entry: Entry) -> dict[str, Any]:
    target = entry.target
    return {
        "name": target.name,
        "make_name": target.make_name,
        "family": target.family,
        "doc": target.doc,
        "available": entry.available,
        "reason": entry.reason.removeprefix(f"{target.name} "),
        "after": target.after,
        "action": bool(target.action),
        "takes": target.takes,
    }


def _call(action: str, session: Session, values: Values) -> bool:
    """Call "module:function" with the session; its result is whether it succeeded."""
    import importlib

    module, _, function = action.partition(":")
    try:
        return bool(getattr(importlib.import_module(module), function)(session, values))
    except OSError as error:
        raise UserError(Problem(f"{error.filename or action}: {error.strerror or error}"), COULD_NOT_RUN) from None
