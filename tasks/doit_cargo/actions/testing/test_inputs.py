"""What the outcome of a test program rests on, and the state by which the launcher proves that all of it still holds.

Of a package's own folder every file counts, of the local packages that it rests on every file but sources, which count
through the compiled program; beside them the files outside, the variables and the programs that their sources name
(digest_cache.py), what the profile declares, and CARGO*/RUST* variables. Nothing here runs anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from doit_cargo.actions.testing.digest_cache import Contents
from doit_cargo.actions.testing.results import CachedResult, Identity, Label
from doit_cargo.actions.testing.test_binaries import DOC, Program
from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.base.secrets import kept_words, shown_digest
from doit_cargo.engine.plan import declared
from doit_cargo.engine.state import dir_listing, staleness
from doit_cargo.engine.state import fingerprint as stamps
from doit_cargo.engine.state.staleness import Change

# What of another package's folder is no data: sources count through what they are compiled to.
SOURCES = (".rs", ".md", "Cargo.toml")
LOADED = (".so", ".dylib", ".dll")


class Compilation(NamedTuple):
    """A finished compilation: its receipt, the plan of it, and the variables that its programs are given beside.

    `settings` are files that may tell their runner when a test has failed, and `names` variables that do.
    """

    receipt: Mapping[str, Any]
    plan: Plan
    programs: tuple[Program, ...]
    extra: Mapping[str, str]
    settings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class _Folder:
    """A listed directory: the rule, the stamps of its folders, the names of its files."""

    rule: tuple[str, ...]
    stamps: stamps.Stamps
    names: tuple[str, ...]


@dataclass(slots=True)
class _Package:
    """What the tests of one package rest on, apart from the programs themselves."""

    files: dict[str, None] = field(default_factory=dict)
    absent: dict[str, None] = field(default_factory=dict)
    folders: dict[str, None] = field(default_factory=dict)
    variables: dict[str, None] = field(default_factory=dict)
    programs: dict[str, None] = field(default_factory=dict)
    libraries: list[str] = field(default_factory=list)
    always: str = ""


class TestInputs:
    """Everything that test programs may look at, as it was when it was first asked for."""

    def __init__(self, built: Compilation, workspace: Workspace, environ: Mapping[str, str], state: str) -> None:
        self.built = built
        self.workspace = workspace
        self.environ = environ
        self.contents = Contents(state)
        self.folders: dict[str, _Folder] = {}
        self._packages: dict[str, _Package] = {}
        self._listed: dict[str, frozenset[str]] = {}
        self._sources: dict[str, list[str]] = {}
        self._libraries: dict[str, list[str]] = {}
        self._learn()

    def _learn(self) -> None:
        for part in ("files", "outputs"):
            for path, (stamp, content) in self.built.receipt["build"][part].items():
                self.contents.teach(path, stamp, content)
        for path, packages in self.built.receipt["owners"].items():
            kept = self._sources if path.endswith(".rs") else self._libraries if path.endswith(LOADED) else {}
            for package in packages:
                kept.setdefault(package, []).append(path)

    # --- one program -------------------------------------------------------------------------------------------------

    def identity(self, program: Program) -> Identity:
        """Return everything that the outcome of a program rests on."""
        package = self.package(program.package)
        found: dict[Label, object] = {("file", path): self.contents.digest(path) for path in package.files}
        found.update((("file", path), None) for path in package.absent)
        found.update((("program", path), self.contents.digest(path)) for path in self._compiled(program))
        given = {**self.environ, **self.built.extra}
        for name in (*self._variables(package), *_outside(program)):
            found["env", name] = staleness.public_value(name, given.get(name))
        for name in package.programs:
            found["tool", name] = staleness.which(name, self.environ.get("PATH", ""))
        if not (program.kind == DOC or program.own_harness):
            found.update(self._settings(given))
        if package.always:
            found["always", package.always] = time.time_ns()  # like no other
        found["argument", "arguments"] = repr(kept_words(program.argv))
        for name, value in self.built.plan.invocation.env.items():
            found["env", name] = staleness.public_value(name, value)
        if program.kind == DOC:
            found["file", os.path.join(self.workspace.root, "Cargo.lock")] = self.contents.digest(
                os.path.join(self.workspace.root, "Cargo.lock")
            )
            found["program", "rustdoc"] = repr(sorted(self.built.receipt["plan"]["tools"].items()))
        return found

    def _settings(self, given: Mapping[str, str]) -> Identity:
        """Return what the runner is told, as far as it is: settings that are not there do not tell it from another."""
        found: dict[Label, object] = {("file", path): self.contents.digest(path) for path in self.built.settings}
        found.update({("env", name): staleness.public_value(name, given.get(name)) for name in self.built.names})
        return {label: value for label, value in found.items() if value is not None}

    def _compiled(self, program: Program) -> Iterator[str]:
        """Yield the executable, the package's programs that it may start, and libraries that it may load."""
        own = self.workspace.packages.get(program.package)
        binaries = {value for name, (_, value) in program.env.items() if name.startswith("CARGO_BIN_EXE_")}
        names = own.binaries if own and program.kind == "test" else ()
        folder = os.path.dirname(os.path.dirname(program.path))
        yield from (path for path in (program.path, *program.libraries) if os.path.isabs(path))
        yield from sorted(binaries or {os.path.join(folder, name) for name in names})
        yield from self.package(program.package).libraries

    def _variables(self, package: _Package) -> Iterator[str]:
        yield from staleness.guarded_names(self.environ)
        yield from self.built.plan.profile.inputs.env
        yield from package.variables

    # --- one package -------------------------------------------------------------------------------------------------

    def package(self, name: str) -> _Package:
        """Return what the tests of a package rest on."""
        if name not in self._packages:
            self._packages[name] = self._look_at(name)
        return self._packages[name]

    def _look_at(self, name: str) -> _Package:
        found = _Package()
        own = self.workspace.packages.get(name)
        directories = {name: own.directory} if own else {}
        others = dict(self._rests_on(name))
        for member, directory in {**directories, **others}.items():
            for file in self._listed_in(found, directory, ("package", *self.workspace.built_in)):
                if member == name or not file.endswith(SOURCES):
                    found.files[os.path.join(directory, file)] = None
            self._add_named(found, member, directory)
            found.libraries += self._loadable(member)
        named = declared.of(self.workspace, self.built.plan.profile.inputs.files)
        found.files.update(dict.fromkeys([*named.files, *named.found()]))
        for folder, rule in named.folders.items():
            self.folder(folder, rule)
            found.folders[folder] = None
        for variable, value in self.built.extra.items():
            if variable in found.variables:
                self._add_given(found, value)
        return found

    def _listed_in(self, found: _Package, directory: str, rule: tuple[str, ...]) -> tuple[str, ...]:
        """Return the files of a folder that tests rest on; tests whose folder holds too much are never skipped."""
        try:
            names = self.folder(directory, rule).names
            dir_listing.require_readable(directory, names)
        except dir_listing.TooLarge as error:
            found.always = error.problems[0].what
            return ()
        found.folders[directory] = None
        return names

    def _add_given(self, found: _Package, value: str) -> None:
        """Take a file or folder that the caller hands to the tests."""
        if os.path.isfile(value):
            found.files[value] = None
        elif os.path.isabs(value) and os.path.isdir(value):
            self._add_folder(found, value)

    def _rests_on(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield (package, directory) of the local packages below this one; dev-dependencies only of its own."""
        waiting, seen = [name], {name}
        while waiting:
            current = waiting.pop()
            package = self.workspace.packages.get(current)
            for edge in package.dependencies if package else ():
                if edge.path and edge.name not in seen and (edge.kind != "dev" or current == name):
                    seen.add(edge.name)
                    waiting.append(edge.name)
                    yield edge.name, edge.path

    def _loadable(self, member: str) -> list[str]:
        """Return the shared libraries of a package that a program may load: its bytes do not hold theirs."""
        package = self.workspace.packages.get(member)
        kinds = {kind for one in package.cargo_targets for kind in one.kinds} if package else set()
        return self._libraries.get(member, []) if kinds & {"dylib", "cdylib"} else []

    def folder(self, directory: str, rule: tuple[str, ...]) -> _Folder:
        """Return a directory, listed once."""
        if directory not in self.folders:
            stamps, names = dir_listing.list_tree(directory, rule)
            self.folders[directory] = _Folder(rule, stamps, names)
        return self.folders[directory]

    # --- what sources name -------------------------------------------------------------------------------------------

    def _add_named(self, found: _Package, member: str, directory: str) -> None:
        for source in self._sources.get(member, ()):
            named = self.contents.named(source)
            found.variables.update(dict.fromkeys(named.variables))
            found.programs.update(dict.fromkeys(named.programs))
            for text in named.paths:
                self._add_path(found, text, directory)

    def _add_path(self, found: _Package, text: str, directory: str) -> None:
        """Take what a literal leads to outside of all packages: from the package's folder, or from one above it."""
        climbs = ".." in text.split("/")  # "...false" is no path
        bases = [directory] if climbs else self._above(directory)
        first = text.lstrip("/").partition("/")[0]
        for base in bases:
            if not climbs and first not in self._names_in(base):
                continue
            path = os.path.normpath(os.path.join(base, text.lstrip("/")))
            if os.path.isfile(path):
                if not self._is_covered(path):
                    found.files[path] = None
            elif os.path.isdir(path):
                self._add_folder(found, path)
            elif climbs and "/" in text and not self._is_covered(path):
                found.absent[path] = None

    def _names_in(self, directory: str) -> frozenset[str]:
        if directory not in self._listed:
            try:
                self._listed[directory] = frozenset(os.listdir(directory))
            except OSError:
                self._listed[directory] = frozenset()
        return self._listed[directory]

    def _above(self, directory: str) -> list[str]:
        """Return the folders above a package, up to the workspace."""
        bases = []
        root = self.workspace.root
        while directory != root and directory.startswith(root + os.sep):
            directory = os.path.dirname(directory)
            bases.append(directory)
        return bases

    def _is_covered(self, path: str) -> bool:
        """Tell whether a path lies in a package, which has its own rules, or where only builds and runs write."""
        places = [*self.workspace.built_in, *(one.directory for one in self.workspace.packages.values())]
        own = (".git", ".doit-cargo", ".logs", ".testlogs")
        places += [os.path.join(self.workspace.root, name) for name in own]
        return any(path == place or path.startswith(place + os.sep) for place in places if place != self.workspace.root)

    def _add_folder(self, found: _Package, path: str) -> None:
        holds_packages = any(
            one.directory == path or one.directory.startswith(path + os.sep) for one in self.workspace.packages.values()
        )
        builds = any(place.startswith(path + os.sep) for place in self.workspace.built_in)
        if holds_packages or self._is_covered(path) or builds:
            return
        names = self._listed_in(found, path, ("watched",))
        found.files.update((os.path.join(path, name), None) for name in names)

    # --- after the run, and the launcher's proof ---------------------------------------------------------------------

    def moved(self, programs: Iterable[Program]) -> dict[str, str]:
        """Return package -> a file that changed since it was looked at, of the packages of these programs."""
        changed = {}
        for name in {program.package for program in programs}:
            package = self.package(name)
            compiled = [path for one in programs if one.package == name for path in self._compiled(one)]
            path = self.contents.moved([*package.files, *package.absent, *compiled]) or self._relisted(package)
            if path:
                changed[name] = path
        return changed

    def _relisted(self, package: _Package) -> str:
        for directory in package.folders:
            listing = self.folders[directory]
            if dir_listing.list_tree(directory, listing.rule)[1] != listing.names:
                return directory
        return ""

    def state(self, programs: Collection[Program]) -> dict[str, Any]:
        """Return the freshness state of all that these programs rest on beside the compiled files."""
        from doit_cargo.engine.execution.evidence import recorder

        now = time.time_ns()
        packages = [self.package(name) for name in dict.fromkeys(program.package for program in programs)]
        tools = dict.fromkeys(name for package in packages for name in package.programs)
        state = recorder.empty_state(self.environ, tools)
        names = dict.fromkeys(name for package in packages for name in self._variables(package))
        names.update(dict.fromkeys(name for program in programs for name in _outside(program)))
        names.update(dict.fromkeys(self.built.names))
        state["env"] = {name: staleness.public_value(name, self.environ.get(name)) for name in names}
        state["files"].update((path, self.contents.kept(path)) for path in self.built.settings)
        for package in packages:
            state["always_stale_reason"] = state["always_stale_reason"] or package.always
            state["files"].update((path, self.contents.kept(path)) for path in package.files)
            state["files"].update((path, (None, None)) for path in package.absent)
            for directory in package.folders:
                folder = self.folders[directory]
                state["trees"][directory] = (folder.rule, stamps.settle_all(folder.stamps, now), folder.names)
        return state


def _outside(program: Program) -> Iterator[str]:
    """Yield the variables on whose outer value cargo builds a program's, such as LD_LIBRARY_PATH. Of PATH counts only
    where it leads.
    """
    return (name for name in program.env if name != "PATH")


def nearest_differences(kept: Iterable[CachedResult], now: Identity) -> list[Change]:
    """Return what differs from that success which is most like the world now; nothing without a success."""
    return min((differences(one.identity, now) for one in kept), key=len, default=[])


def _what_became(old: object, new: object, named: bool) -> str:
    if old is None and new is None:
        return "named now, and not there" if named else "named no more, and not there"
    return "new" if old is None else "deleted" if new is None else "changed"


def differences(known: Identity, now: Identity) -> list[Change]:
    """Return what differs between what a kept result rested on and the world: of files, programs, variables."""
    changes = []
    for label in dict.fromkeys([*known, *now]):
        old, new = known.get(label), now.get(label)
        if old == new and (label in known) == (label in now):
            continue
        kind, subject = label
        if kind == "always":
            changes.append(Change("always", "tests", "", subject))
        elif kind in ("env", "tool"):
            changes.append(Change(kind, subject, shown_digest(str(old or "")), shown_digest(str(new or ""))))
        else:
            what = _what_became(old, new, named=label in now)
            changes.append(Change("file" if kind == "file" else "output", subject, "", what))
    return changes


TestInputs.__test__ = False  # type: ignore[attr-defined]
