"""The words of the design as frozen types. Data only: nothing here reads a file or runs a program.

Paths are absolute strings in the platform's own form unless a field says otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.launch import FeatureSet, Launch, ModelSource, OwnProgram, Rule, Service, Share


class CargoTarget(NamedTuple):
    """A lib, bin, test, example, bench or build script of a package (``targets`` in ``cargo metadata``)."""

    name: str
    kinds: tuple[str, ...]
    path: str
    required_features: tuple[str, ...] = ()
    documented: bool = True


class Dependency(NamedTuple):
    """An edge of a manifest. `path` is set for path dependencies; `kind` is "", "dev" or "build".

    `features` and `default_features` are what the manifest turns on in it; `target` is the triple or `cfg(...)` for
    which it is there, empty for all. `package` is set where the manifest gives the package another name.
    """

    name: str
    path: str = ""
    kind: str = ""
    optional: bool = False
    features: tuple[str, ...] = ()
    default_features: bool = True
    target: str = ""
    package: str = ""

    @property
    def package_name(self) -> str:
        return self.package or self.name


class Package(NamedTuple):
    """A member of the workspace."""

    name: str
    version: str
    directory: str
    manifest: str
    features: Mapping[str, tuple[str, ...]]
    cargo_targets: tuple[CargoTarget, ...]
    dependencies: tuple[Dependency, ...]
    rust_version: str = ""

    @property
    def binaries(self) -> tuple[str, ...]:
        return tuple(t.name for t in self.cargo_targets if "bin" in t.kinds)

    @property
    def has_build_script(self) -> bool:
        return any("custom-build" in t.kinds for t in self.cargo_targets)


class Workspace(NamedTuple):
    """What ``cargo metadata --no-deps`` says of the workspace at hand.

    `cargo_profiles`, `build_target` (the triple of ``build.target``) and `resolver` (the version of cargo's feature
    resolver) come from the root manifest and cargo's config files; `metadata` is ``[workspace.metadata]``. Intermediate
    artefacts and fingerprints lie in `build_directory`, where cargo's ``build.build-dir`` names another place than the
    target directory.
    """

    root: str
    target_directory: str
    packages: Mapping[str, Package]
    default_members: tuple[str, ...]
    cargo_profiles: tuple[str, ...] = ("dev", "release", "test", "bench")
    metadata: Mapping[str, object] = {}
    build_target: str = ""
    build_directory: str = ""
    resolver: int = 2

    @property
    def manifest(self) -> str:
        return os.path.join(self.root, "Cargo.toml")

    @property
    def kept_in(self) -> str:
        """Where fingerprints, dep-info and output of build scripts are; `built_in` is all that builds write into."""
        return self.build_directory or self.target_directory

    @property
    def built_in(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.target_directory, self.kept_in)))

    def is_built(self, path: str) -> bool:
        return path.startswith((self.target_directory + os.sep, self.kept_in + os.sep))

    def owner_of(self, path: str) -> str:
        """Return the innermost member that holds a file, "" for none."""
        holders = [one for one in self.packages.values() if path.startswith(one.directory + os.sep)]
        return max(holders, key=lambda one: len(one.directory)).name if holders else ""

    @property
    def settings(self) -> Mapping[str, object]:
        """``[workspace.metadata.doit-cargo]``, or nothing where that is no table."""
        found = self.metadata.get("doit-cargo")
        return found if isinstance(found, Mapping) else {}


def name_of_member(package: Package) -> str:
    """Return how a package is called inside the name of a target: small letters, digits, single underscores."""
    words = "".join(letter if letter.isalnum() else " " for letter in package.name.lower())
    return "_".join(words.split())


PLATFORMS = ("linux", "macos", "windows")
# The names that `Machine.detect` answers to; a profile may use any of them in [env].
DETECTORS = ("cuda_root", "msvc_cl", "nvcc_directory", "pyo3_python", "python", "sccache")


class MachineFacts(Protocol):
    """What a plan asks of the machine at hand; tests inject a small stand-in."""

    @property
    def platform(self) -> str:
        """Return "linux", "macos" or "windows"."""
        ...

    @property
    def environ(self) -> Mapping[str, str]: ...

    def has(self, tool: str, specifier: str = "") -> bool: ...

    def detect(self, name: str) -> str | None: ...


class Setting(NamedTuple):
    """A value and the place that set it, as ``file:line``."""

    value: object
    where: str


class DeclaredInputs(NamedTuple):
    """Inputs that cargo is blind to, declared by a profile. `packages` empty = every member.

    `files` are names of files and folders, and patterns; `places` are the file:line of each. Of the packages in
    `complete` ("all": of every one) the tests rest on nothing else; `ignore` are paths and variables that are read and
    change no result. `observe` says how builds are observed, if the profile does.
    """

    files: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    complete: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    observe: str = ""


# What [cargo] of a profile comes to where nothing is said.
CARGO_DEFAULTS = {"profile": Setting("dev", "default"), "locked": Setting(False, "default")}


class Profile(NamedTuple):
    """A feature profile, composed from everything that it extends; every value knows who set it.

    `features` keeps order. `cargo` has the keys of ``[cargo]`` but `config`, which maps dotted cargo config keys to
    TOML values (``profile.release.lto`` -> ``"fat"``). `env` maps a name to a string, to ``None`` (removed from the
    environment) or to ``{"detect": NAME}``. `needs` maps a tool to a PEP 440 specifier ("" = any version).
    `inputs` are files and variables that cargo cannot see (read by a proc macro, say) and the packages to
    rebuild when they change.
    """

    name: str
    doc: str = ""
    features: tuple[Setting, ...] = ()
    default_features: Setting = Setting(True, "default")
    cargo: Mapping[str, Setting] = CARGO_DEFAULTS
    config: Mapping[str, Setting] = {}
    env: Mapping[str, Setting] = {}
    needs: Mapping[str, Setting] = {}
    platforms: Setting = Setting((), "default")
    inputs: DeclaredInputs = DeclaredInputs()
    files: tuple[str, ...] = ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(str(setting.value) for setting in self.features)

    @property
    def triple(self) -> str:
        return str(self.cargo["target"].value) if "target" in self.cargo else ""


# What may run beside a target (`doit -n`): CARGO shares cargo's target directory, so one at a time; FREE shares
# nothing; ALONE changes sources or removes what others use. MODELS shares the folder of models, and so keeps its order.
POOLS = CARGO, FREE, ALONE = "cargo", "free", "alone"
MODELS = "models"


class Target(NamedTuple):
    """One thing that a user asks for: a row of a family module.

    A target is one of three kinds. A cargo call: `command` is cargo's subcommand (or two), `flags` are fixed arguments
    of it and `passthrough_args` those after ``--``. An action: `action` is "module:function", called with (session,
    values); `watch` ("module:function", same arguments) returns the `ActionInputs` that it rests on, so that it is
    skipped while that holds; without it the action runs each time; one with a role (`package`) exists only where a
    package plays it. A group: neither, it only has `after`.

    `check` (same form) raises `UserError` for bad input before anything starts; `session.current` is the target's name.
    A cargo call without one is checked by being planned.

    `profile` lists feature profiles, of which the first one whose needs this machine meets is taken. `package` is a
    role, "all" (the whole workspace) or "" (cargo's own selection); `member` names a package instead. `after` names
    targets that run before. `takes` names the variables it accepts; a group takes those of its parts. `needs` are tools
    that must be here, each a name with or without a specifier (``maturin>=1.4``), checked before it starts. `packs`:
    empty = every workspace. `absence` ("module:function", called with workspace and library) returns why the target
    does not exist in a checkout, "" if it does. `rule` is the pattern ("test_<package>") of a row that a rule made of a
    member. `program` is what the action of a TOML file's row runs; `where` is the file:line of such a row. `services`
    must answer before it starts: names of the pack's services, or "gpu". `writes` are files, relative to the
    workspace's root, that a cargo call leaves beside its binaries: a build script may write into the source tree.
    `equivalent_command` is the cargo call for which an action stands, to compare with what an old Makefile calls; if
    the action names profiles, its packages and features are added. `handler` is for a cargo call that is only the first
    step of the work: a module with `run(session, name, values) -> success`, which takes the place of the plain call,
    `explain(session, name)`, which answers `why`, and `plans(session, values)`. `shows` ("module:function" with session
    and values) returns the plans that an action carries out, for `plan`; without it, what an action runs is decided as
    it runs. `sharer` is a module that names an action's results for other machines. `pool` says what may run beside it.
    `root_files` must stand in the workspace's root, else the target is absent. `feature_set` takes the place of the
    profile's features. `relevance` (as `absence`) returns why a target that would run means nothing here: it is not
    listed. In `doc`, `{package}` and `{mode}` stand for what is built here, and how. Of a group: `keep_going` runs all
    parts whatever becomes of one; `requires_all_parts` makes it absent if one of its parts is.
    """

    name: str
    family: str
    doc: str
    command: str = ""
    flags: tuple[str, ...] = ()
    passthrough_args: tuple[str, ...] = ()
    profile: tuple[str, ...] = ()
    package: str = ""
    action: str = ""
    after: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    packs: tuple[str, ...] = ()
    member: str = ""
    watch: str = ""
    check: str = ""
    absence: str = ""
    needs: tuple[str, ...] = ()
    rule: str = ""
    program: OwnProgram | None = None
    where: str = ""
    services: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    equivalent_command: tuple[str, ...] = ()
    handler: str = ""
    shows: str = ""
    sharer: str = ""
    feature_set: FeatureSet | None = None
    pool: str = CARGO
    root_files: tuple[str, ...] = ()
    keep_going: bool = False
    requires_all_parts: bool = False
    relevance: str = ""

    @property
    def is_group(self) -> bool:
        return not self.command and not self.action

    @property
    def kind(self) -> str:
        """Return "group", "action" or "cargo"."""
        return "group" if self.is_group else "action" if self.action else "cargo"

    @property
    def make_name(self) -> str:
        return self.name.replace("_", "-")


class Duplicates(NamedTuple):
    """Which packages may be in a lock in several versions (``[duplicates]``): NAME or NAME@VERSION -> file:line."""

    allowed: Mapping[str, str] = {}
    limit: Setting | None = None


class Pack(NamedTuple):
    """A folder of profiles that fit one known project.

    `roles` maps a role to package names in order of preference; an empty tuple means cargo's own selection.
    `optional_packages` maps a package to the tool it needs to be part of a whole-workspace build. `targets` are rows
    of its own, and of the user's folder over it; `services` are what they may need to be running. `quick` names the
    packages or roles whose unit tests are the smoke test; empty = all. `languages` are formatted even without a
    configuration for them. `deliberate` maps a rule about cargo's settings to why what it finds is meant so. `migrated`
    says what of an older build file was taken over, `requires` for which versions of doit-cargo the pack is.
    """

    name: str
    roles: Mapping[str, tuple[str, ...]]
    rules: Mapping[str, Rule]
    profiles: tuple[str, ...]
    optional_packages: Mapping[str, str] = {}
    satellites: tuple[str, ...] = ()
    platform_triples: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    launches: Mapping[str, Launch] = {}
    models: Mapping[str, ModelSource] = {}
    targets: tuple[Target, ...] = ()
    services: Mapping[str, Service] = {}
    quick: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    duplicates: Duplicates = Duplicates()
    deliberate: Mapping[str, Setting] = {}
    feature_sets: Mapping[str, FeatureSet] = {}
    migrated: Mapping[str, Any] = {}
    share: Share = Share()
    requires: str = ""


class ActionInputs(NamedTuple):
    """What an action rests on, listed before it runs: nothing here changed = it need not run again.

    `files` are absolute paths, of which absent ones must stay absent; `folders` maps a directory to the rule by which
    it is listed (`dir_listing.list_tree`), and every file so found counts; `variables` are names; `tools` are names of
    the machine's tools; `outputs` are what it leaves; `packages` are the members concerned, for the message;
    `always_stale_reason` says why it must run each time, if it must. An action that `mends` what it rests on has proven
    nothing before it finds nothing to mend. The list is asked for again after the run: what only then is known counts
    too, and what it was `seen` to rest on (rows of `engine.state.seen`). Of `listings` the names count alone, of
    `stamps` times. What `answers` prints is what it is for: it is kept, and printed again where nothing has changed.
    """

    files: tuple[str, ...] = ()
    folders: Mapping[str, tuple[str, ...]] = {}
    variables: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    always_stale_reason: str = ""
    mends: bool = False
    listings: Mapping[str, tuple[str, ...]] = {}
    stamps: tuple[str, ...] = ()
    answers: bool = False
    seen: tuple[list[Any], ...] = ()


class Invocation(NamedTuple):
    """One process: an argument list, what we set in and take from the environment, and where it runs."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = {}
    unset: tuple[str, ...] = ()
    path_prepend: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The triple that the arguments ask for, "" for none."""
        return self.argv[self.argv.index("--target") + 1] if "--target" in self.argv else ""

    def with_arguments(self, *words: str) -> Invocation:
        """Return the call with arguments added, before those that are for the programs that it runs."""
        position = self.argv.index("--") if "--" in self.argv else len(self.argv)
        return self._replace(argv=(*self.argv[:position], *words, *self.argv[position:]))


class Plan(NamedTuple):
    """Target x profile x workspace, all decided; nothing has run.

    `packages` are the packages that cargo is asked for (the default members where the argv names none).
    `outputs` are the binaries to expect, `writes` other files that the call must leave. `files` are those that
    shaped this plan (profiles, pack, manifests, templates), `folders` those in which a new file could; `notes` are
    said to the user before the run. `state` is set on a plan that was kept from the last success, checked then and
    still holding: it needs no pre-flight.
    """

    target: str
    profile: Profile
    packages: tuple[str, ...]
    features: tuple[str, ...]
    cargo_profile: str
    invocation: Invocation
    outputs: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    needs: Mapping[str, str] = {}
    log: str = ""
    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_remade: bool = False
    state: Mapping[str, Any] | None = None
