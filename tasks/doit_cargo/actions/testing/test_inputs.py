"""What the outcome of a test program rests on, and the state by which the launcher proves that all of it still holds.

The program itself, what its runner is told, what the profile declares, and what was seen while it ran last. Where not
all could be seen, a success counts only if the profile says that all is declared (`[inputs] complete`); then every file
of the package counts too, and of the local packages below it every file but sources. Nothing here runs anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.actions import LOGS, TEST_LOGS
from doit_cargo.actions.testing import selection
from doit_cargo.actions.testing.results import CachedResult, Identity, Label
from doit_cargo.actions.testing.runners import choice, libtest
from doit_cargo.actions.testing.test_binaries import DOC, TestBinary
from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.base.process.processes import environment_of
from doit_cargo.engine.base.secrets import kept_words, shown_digest
from doit_cargo.engine.execution.observe import receipt
from doit_cargo.engine.execution.observe.inputs import Scope
from doit_cargo.engine.plan import compiler_cache, declared
from doit_cargo.engine.state import dir_listing, fingerprint, seen, staleness
from doit_cargo.engine.state.staleness import Change
from doit_cargo.engine.toolchain import rustup

if TYPE_CHECKING:
    from doit_cargo.actions.testing.compile import TestRequest
    from doit_cargo.engine.state.dir_listing import Tree
    from doit_cargo.engine.state.fingerprint import Stamp
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.staleness import State

# What of another package's folder is no data: sources count through what they are compiled to.
SOURCES = (".rs", ".md", "Cargo.toml")
COMPILERS = ("rustc", "cargo")


class Compilation(NamedTuple):
    """A finished compilation: its receipt, the plan of it, and the variables that its programs are given beside.

    `settings` are files that may tell their runner when a test has failed, and `names` variables that do.
    """

    receipt: Receipt
    plan: Plan
    extra: Mapping[str, str]
    settings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def toolchain(self) -> list[str]:
        """Return the folders of the toolchain; the receipt proves what lies there."""
        programs = [path for path in self.receipt["plan"]["tools"] if os.path.basename(path) in COMPILERS]
        roots = {os.path.dirname(os.path.dirname(path)) for path in programs}
        return sorted(root for root in roots if os.path.isdir(os.path.join(root, "lib", "rustlib")) and root != "/usr")


def of_call(work: TestRequest, receipt: Receipt, plan: Plan, runner: str) -> TestInputs:
    """Return the inputs of what a call has compiled, in the world as that call sees it."""
    session = work.session
    extra = selection.extra_variables(session, work.values)
    built = Compilation(receipt, plan, extra, *choice.settings_of(session, runner))
    own = [os.path.join(session.root, name) for name in (LOGS, TEST_LOGS)]
    crates = [os.path.join(rustup.cargo_home(session.environ), name) for name in ("registry", "git")]
    return TestInputs(built, session.workspace, session.environ, [session.state, *own, *crates, *built.toolchain()])


class _Contents:
    """Digests of files, each read once a call, or not at all where the build has read it."""

    def __init__(self, known: Mapping[str, tuple[Stamp | None, bytes | None]]) -> None:
        self._known = known
        self._read: dict[str, bytes | None] = {}
        self.stamps: dict[str, Stamp | None] = {}

    def digest(self, path: str) -> bytes | None:
        if path not in self._read:
            self.stamps[path] = stamp = fingerprint.signature(path)
            old, content = self._known.get(path, (None, None))
            self._read[path] = content if stamp and stamp == old else fingerprint.digest(path)
        return self._read[path]

    def kept(self, path: str) -> tuple[Stamp | None, bytes | None]:
        """Return (signature, digest) as a freshness state holds them."""
        content = self.digest(path)
        return fingerprint.settled(self.stamps[path], time.time_ns()), content


class TestInputs:
    """Everything that test programs rest on, as it was when it was first asked for."""

    def __init__(
        self, built: Compilation, workspace: Workspace, environ: Mapping[str, str], dropped: Iterable[str]
    ) -> None:
        self.built = built
        self.workspace = workspace
        self.environ = environ
        self.declared = built.plan.profile.inputs
        self.base = environment_of(built.plan.invocation, environ)
        self._contents = _Contents({**built.receipt["build"]["files"], **built.receipt["build"]["outputs"]})
        self._ignored = receipt.ignored(self.declared.ignore, workspace.root, environ)
        self._dropped = (*dropped, *self._ignored.paths)
        self._files: dict[str, tuple[str, ...]] = {}
        self._trees: dict[str, Tree] = {}

    def scope(self, program: TestBinary) -> Scope:
        """Return what the states of what a program is seen to do are taken with."""
        world = seen.World(libtest.environment_of(program, self.base, self.built.extra))
        return Scope(self._dropped, world, self._ignored.variables)

    def identity(self, program: TestBinary) -> Identity:
        """Return what the outcome of a program rests on beside what it is seen to do."""
        given = {**self.environ, **self.built.extra}
        libraries = program.libraries if program.kind == DOC else ()
        found: dict[Label, object] = {
            ("program", path): self._contents.digest(path) for path in (program.path, *libraries) if os.path.isabs(path)
        }
        found.update((("file", path), self._contents.digest(path)) for path in self._named())
        names = (*staleness.guarded_names(self.environ), *self.declared.env, *_outside(program))
        values = {name: given.get(name) for name in names} | dict(self.built.plan.invocation.env)
        for name, value in values.items():
            if not compiler_cache.changes_nothing(name, value):
                found["env", name] = staleness.public_value(name, value)
        if not (program.kind == DOC or program.own_harness):
            found.update(self._settings(given))
        found["argument", "arguments"] = repr(kept_words(program.argv))
        if program.kind == DOC:
            found["program", "rustdoc"] = repr(sorted(self.built.receipt["plan"]["tools"].items()))
        return found

    def declared_of(self, program: TestBinary) -> Identity:
        """Return what a program rests on of which not all was seen, as far as the profile says that this is all."""
        if not self.is_complete(program.package):
            return {}
        binaries = [value for name, (_, value) in program.env.items() if name.startswith("CARGO_BIN_EXE_")]
        found: dict[Label, object] = {("program", path): self._contents.digest(path) for path in binaries}
        found.update((("file", path), self._contents.digest(path)) for path in self._package_files(program.package))
        return found

    def is_complete(self, package: str) -> bool:
        """Tell whether the profile says that what it declares is all that the tests of a package rest on."""
        return package in self.declared.complete or declared.ALL in self.declared.complete

    def changes(self, program: TestBinary, kept: CachedResult, keeps_flaky: bool = False) -> list[Change]:
        """Return why a success does not count now; nothing if it does."""
        found = differences(kept.identity, self.identity(program))
        if kept.reasons and not self.is_complete(program.package):
            found += [Change("always", program.package, "", reason) for reason in kept.reasons]
        elif kept.reasons:
            found += differences(kept.declared, self.declared_of(program))
        if kept.result.flaky and not keeps_flaky:
            found.append(Change("run", program.package, "", f"{', '.join(kept.result.flaky)}: flaky"))
        rows = [row for row in kept.seen if not self._ignored.holds(row)]
        told = {change.subject for change in found}
        moved = seen.changes(rows, self.scope(program).world)
        return [*found, *(change for change in moved if change.subject not in told)]

    def _settings(self, given: Mapping[str, str]) -> Identity:
        """Return what the runner is told, as far as it is: settings that are not there do not tell it from another."""
        found: dict[Label, object] = {("file", path): self._contents.digest(path) for path in self.built.settings}
        found.update({("env", name): staleness.public_value(name, given.get(name)) for name in self.built.names})
        return {label: value for label, value in found.items() if value is not None}

    def _named(self) -> tuple[str, ...]:
        """Return the files that the profile declares."""
        if "" not in self._files:
            named = declared.of(self.workspace, self.declared.files)
            for folder, rule in named.folders.items():
                self._tree(folder, rule)
            self._files[""] = tuple(dict.fromkeys([*named.files, *named.found()]))
        return self._files[""]

    def _package_files(self, name: str) -> tuple[str, ...]:
        if name not in self._files:
            own = self.workspace.packages.get(name)
            places = {**({name: own.directory} if own else {}), **dict(self._rests_on(name))}
            self._files[name] = tuple(
                os.path.join(directory, file)
                for member, directory in places.items()
                for file in self._tree(directory, ("package", *self.workspace.built_in))
                if member == name or not file.endswith(SOURCES)
            )
        return self._files[name]

    def _rests_on(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield (package, directory) of the local packages below this one; dev-dependencies only of its own."""
        waiting, known = [name], {name}
        while waiting:
            current = waiting.pop()
            package = self.workspace.packages.get(current)
            for edge in package.dependencies if package else ():
                if edge.path and edge.name not in known and (edge.kind != "dev" or current == name):
                    known.add(edge.name)
                    waiting.append(edge.name)
                    yield edge.name, edge.path

    def _tree(self, directory: str, rule: tuple[str, ...]) -> tuple[str, ...]:
        if directory not in self._trees:
            self._trees[directory] = dir_listing.tree_of(directory, rule, time.time_ns())
        return self._trees[directory][2] or ()

    def moved(self, program: TestBinary) -> str:
        """Return a file of a program's identity that is not the one any more that was looked at, or nothing."""
        labels = (*self.identity(program), *self.declared_of(program))
        paths = [path for kind, path in labels if kind in ("program", "file") and path in self._contents.stamps]
        return next((path for path in paths if fingerprint.signature(path) != self._contents.stamps[path]), "")

    def state(self, kept: Sequence[tuple[TestBinary, CachedResult]]) -> State:
        """Return the freshness state of all that these successes rest on beside the compiled files."""
        state = staleness.empty(self.environ, ())
        names = dict.fromkeys((*staleness.guarded_names(self.environ), *self.declared.env, *self.built.names))
        names.update(dict.fromkeys(name for program, _ in kept for name in _outside(program)))
        rows = [row for _, one in kept for row in one.seen if not self._ignored.holds(row)]
        state["env"] = {name: staleness.public_value(name, self.environ.get(name)) for name in names}
        receipt.put(state, rows, seen.World(self.environ), self._ignored.variables)
        fallen_back = (path for _, one in kept if one.reasons for _, path in one.declared)
        for path in (*self.built.settings, *self._named(), *fallen_back):
            state["files"][path] = self._contents.kept(path)
        state["trees"].update(self._trees)
        return state


def _outside(program: TestBinary) -> Iterator[str]:
    """Yield the variables on whose outer value cargo builds a program's, such as LD_LIBRARY_PATH. Of PATH counts only
    where it leads.
    """
    return (name for name in program.env if name != "PATH")


def differences(known: Identity, now: Identity) -> list[Change]:
    """Return what differs between what a kept result rested on and the world: of files, programs, variables."""
    changes = []
    for label in dict.fromkeys([*known, *now]):
        old, new = known.get(label), now.get(label)
        if old == new and (label in known) == (label in now):
            continue
        kind, subject = label
        if kind == "env":
            changes.append(Change(kind, subject, shown_digest(str(old or "")), shown_digest(str(new or ""))))
        else:
            became = "new" if old is None else "deleted" if new is None else "changed"
            changes.append(Change("file" if kind == "file" else "output", subject, "", became))
    return changes


TestInputs.__test__ = False  # type: ignore[attr-defined]
