"""Target x profile x workspace -> `Plan`: everything decided and rendered, nothing run.

`decision` settles what a target means here, `render` writes the arguments; this module puts the two together with the
environment, the outputs to expect and the files that shaped the plan.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TypedDict

from doit_cargo.engine.base.model import Invocation, MachineFacts, Plan, Profile, Target, Workspace
from doit_cargo.engine.base.secrets import masked, shown_words
from doit_cargo.engine.base.variables import Values
from doit_cargo.engine.cargo import pyo3, units
from doit_cargo.engine.cargo.discovery import config_files
from doit_cargo.engine.cargo.metadata import closure
from doit_cargo.engine.console.reporter import relative
from doit_cargo.engine.plan import clippy, compiler_cache, declared, features, mirror, render, settings
from doit_cargo.engine.plan.cross_cpu import Portable, portable
from doit_cargo.engine.plan.decision import Decision, PlanCase, decide, platform_of
from doit_cargo.engine.plan.profiles import Library
from doit_cargo.engine.plan.selection import NAMED, WHOLE
from doit_cargo.engine.toolchain.platform import host_triple
from doit_cargo.engine.toolchain.triples import COMMANDS, plain
from doit_cargo.engine.toolchain.versions import split_need

LOGS = ".logs"
# Where rustc compiles incrementally it hands on comments of before, and pages that show them again stay old.
DOC, INCREMENTAL = "doc", "CARGO_INCREMENTAL"
# Cargo's four built-in profiles share two folders; any other has one of its own name.


def make(target: Target, values: Values, workspace: Workspace, library: Library, machine: MachineFacts) -> Plan:
    """Return the plan of a target that calls cargo."""
    case = PlanCase(target, values, workspace, library, machine)
    decision = decide(case)
    env, unset = _environment(case, decision)
    cache = compiler_cache.choose(workspace, machine, values, {**env, **dict.fromkeys(unset, "")})
    env.update(cache.env)
    cross = _portable(decision, workspace, {**machine.environ, **env}, machine)
    env.update(cross.env)
    bindings = _bindings(case, decision, env)
    env.update(bindings.env)
    declared.require(workspace, decision.profile.inputs)
    return Plan(
        target=target.name,
        profile=decision.profile,
        packages=decision.selection.packages,
        features=decision.features,
        cargo_profile=decision.cargo_profile,
        invocation=Invocation(
            argv=render.arguments(render.CARGO, _context(case, decision, cross)),
            cwd=workspace.root,
            env=env,
            unset=unset,
            path_prepend=_path_prepend(decision.profile, machine),
        ),
        outputs=_outputs(case, decision, env),
        writes=tuple(os.path.join(workspace.root, *path.split("/")) for path in target.writes),
        needs=_needs(decision, case.target),
        log=os.path.join(workspace.root, LOGS, f"{target.make_name}.log"),
        files=(*_files(decision, workspace, library, machine.environ), *clippy.files(target, workspace)),
        folders=library.directories,
        notes=(*decision.notes, *cache.notes, *_cross_notes(cross, workspace), *_collisions(case, decision)),
        is_remade=bindings.are_in_it,
    )


def _portable(decision: Decision, workspace: Workspace, environ: Mapping[str, str], machine: MachineFacts) -> Portable:
    """Return what keeps this computer's CPU out of a build for others."""
    if decision.triple in ("", host_triple(machine.platform)):
        return Portable()
    return portable(workspace.root, environ, decision.triple)


def _bindings(case: PlanCase, decision: Decision, env: Mapping[str, str]) -> pyo3.Bindings:
    """Return what PyO3 is told, where one of the packages uses it."""
    members = case.workspace.packages
    users = [members[name] for name in closure(case.workspace, decision.selection.packages)]
    users = [package for package in users if pyo3.uses_pyo3(package)]
    if not users:
        return pyo3.Bindings()
    as_module = case.target.command != "test" and all(map(pyo3.is_extension, users))
    known = pyo3.told(_folder(case, decision, env))
    return pyo3.bindings(known, case.machine.detect("pyo3_python") or "", {**case.machine.environ, **env}, as_module)


def _cross_notes(cross: Portable, workspace: Workspace) -> tuple[str, ...]:
    if not cross.places:
        return ()
    places = ", ".join(dict.fromkeys(relative(place, workspace.root) for place in cross.places))
    return (f"target-cpu=native of {places} is for this computer: left out of this cross build",)


def _context(case: PlanCase, decision: Decision, cross: Portable) -> dict[str, object]:
    """Return the variables of the template cargo.j2."""
    profile, selection = decision.profile, decision.selection
    return {
        "command": case.target.command,
        "cargo_profile": decision.cargo_profile,
        "whole_workspace": selection.how == WHOLE,
        "excluded": selection.excluded,
        "packages": selection.packages if selection.how == NAMED else (),
        "features": decision.features,
        "default_features": decision.default_features,
        "all_features": decision.all_features,
        "triple": decision.triple,
        "switches": [name for name, setting in profile.cargo.items() if setting.value is True],
        "config": [
            *((key, setting.value) for key, setting in profile.config.items()),
            *cross.config,
            *mirror.settings(case.values),
        ],
        "jobs": case.values.number("JOBS") or (profile.cargo["jobs"].value if "jobs" in profile.cargo else None),
        "verbose": case.values.flag("VERBOSE"),
        "flags": case.target.flags,
        "passed": (*case.target.passthrough_args, *clippy.mark(case.target, case.workspace)),
    }


def _environment(case: PlanCase, decision: Decision) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what is set in the environment, and what is removed; a detector fills in only what the user left unset."""
    context = {
        "root": case.workspace.root,
        "target_directory": case.workspace.target_directory,
        "target": case.target.name,
        "profile": decision.profile.name,
        "platform": decision.platform,
    }
    env: dict[str, str] = {}
    for name, setting in decision.profile.env.items():
        if isinstance(setting.value, str):
            env[name] = render.text(setting.value, context, setting.where)
        elif isinstance(setting.value, Mapping) and not case.machine.environ.get(name):
            found = case.machine.detect(str(setting.value["detect"]))
            if found:
                env[name] = found
    if case.target.command == DOC and not case.target.where and INCREMENTAL not in {**case.machine.environ, **env}:
        env[INCREMENTAL] = "0"
    return env, tuple(name for name, setting in decision.profile.env.items() if setting.value is None)


def _path_prepend(profile: Profile, machine: MachineFacts) -> tuple[str, ...]:
    """Return the folder of nvcc where PATH lacks it: build scripts call it by its name."""
    directory = machine.detect("nvcc_directory") if "nvcc" in profile.needs else None
    on_path = [os.path.normcase(folder) for folder in machine.environ.get("PATH", "").split(os.pathsep)]
    return (directory,) if directory and os.path.normcase(directory) not in on_path else ()


def _needs(decision: Decision, target: Target) -> dict[str, str]:
    """Return the tools that the profile, the packages and the row itself name, each with a specifier."""
    needs = {tool: str(setting.value) for tool, setting in decision.profile.needs.items()}
    for tool, specifier in map(split_need, target.needs):
        needs[tool] = ",".join(filter(None, (needs.get(tool), specifier)))
    for tool in decision.selection.needs:
        needs.setdefault(tool, "")
    return needs


def _files(decision: Decision, workspace: Workspace, library: Library, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the files that shaped the plan, or will once they appear."""
    manifests = [workspace.manifest, *(package.manifest for package in workspace.packages.values())]
    template = render.template_path(render.CARGO)
    settled = [*config_files(workspace.root, environ), settings.path_of(workspace.root, environ)]
    return tuple(dict.fromkeys([*decision.profile.files, *library.pack.files, *manifests, template, *settled]))


def _outputs(case: PlanCase, decision: Decision, env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the binaries to expect of a build; other commands leave nothing that a user runs."""
    if case.target.command not in COMMANDS.values():
        return ()
    folder, triple = _folder(case, decision, env), _triple(case, decision, env)
    ending = executable_ending(triple, decision.platform)
    names = dict.fromkeys(name for name, _ in _binaries(decision, case.workspace))
    return tuple(os.path.join(folder, name + ending) for name in names)


def _collisions(case: PlanCase, decision: Decision) -> tuple[str, ...]:
    """Return a note for each program that several packages put into one place: cargo keeps the one it writes last."""
    if case.target.command not in COMMANDS.values():
        return ()
    makers: dict[str, list[str]] = {}
    for name, package in _binaries(decision, case.workspace):
        makers.setdefault(name, []).append(package)
    return tuple(
        f"{len(found)} packages make a program named {name} ({', '.join(found)}) in one place, where the last one "
        f"written stays: build one of them with PACKAGE={found[0]}, or rename the others"
        for name, found in makers.items()
        if len(found) > 1
    )


def _triple(case: PlanCase, decision: Decision, env: Mapping[str, str]) -> str:
    environ = {**case.machine.environ, **env}
    return decision.triple or environ.get("CARGO_BUILD_TARGET") or case.workspace.build_target


def _folder(case: PlanCase, decision: Decision, env: Mapping[str, str]) -> str:
    """Return where cargo puts what this plan builds."""
    # The user's own CARGO_TARGET_DIR is in cargo's answer already.
    root = os.path.join(case.workspace.root, env.get("CARGO_TARGET_DIR") or case.workspace.target_directory)
    triple_folder = os.path.basename(plain(_triple(case, decision, env))).removesuffix(".json")
    return os.path.join(root, triple_folder, units.profile_folder(decision.cargo_profile))


def executable_ending(triple: str, platform: str) -> str:
    """Return how the file name of a program ends."""
    if triple.startswith("wasm"):
        return ".wasm"
    return ".exe" if (platform_of(triple) if triple else platform) == "windows" else ""


def _binaries(decision: Decision, workspace: Workspace) -> Iterable[tuple[str, str]]:
    """Yield the binaries of the selected packages whose required features are on, each with its package."""
    for name in decision.selection.packages:
        package = workspace.packages[name]
        on = features.enabled(package, decision.features, decision.default_features)
        on |= set(package.features) if decision.all_features else set()
        for cargo_target in package.cargo_targets:
            if "bin" in cargo_target.kinds and on.issuperset(cargo_target.required_features):
                yield cargo_target.name, name


class JsonStep(TypedDict):
    """One process: `env` is set, `unset` removed, `path_prepend` put before PATH."""

    argv: list[str]
    env: dict[str, str]
    unset: list[str]
    path_prepend: list[str]
    cwd: str


class JsonPlan(TypedDict):
    """A plan as JSON can carry it."""

    target: str
    profile: str
    packages: list[str]
    features: list[str]
    cargo_profile: str
    steps: list[JsonStep]
    # Absolute paths.
    outputs: list[str]
    # Tool -> PEP 440 specifier, "" for any version.
    needs: dict[str, str]
    log: str
    # Sentences for the user.
    notes: list[str]


def to_json(plan: Plan) -> JsonPlan:
    """Return a plan as JSON can carry it."""
    step = plan.invocation
    return {
        "target": plan.target,
        "profile": plan.profile.name,
        "packages": list(plan.packages),
        "features": list(plan.features),
        "cargo_profile": plan.cargo_profile,
        "steps": [
            {
                "argv": list(shown_words(step.argv)),
                "env": {name: masked(name, value) for name, value in step.env.items()},
                "unset": list(step.unset),
                "path_prepend": list(step.path_prepend),
                "cwd": step.cwd,
            }
        ],
        "outputs": [*plan.outputs, *plan.writes],
        "needs": dict(plan.needs),
        "log": plan.log,
        "notes": list(plan.notes),
    }
