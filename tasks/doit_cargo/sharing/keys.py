"""The two keys of a result. Key 1 is known before anything is built: the call, the plan, the tools. Key 2 adds what the
files, folders and variables of a path set are.

A key that says too little would give a wrong result, so whatever cannot be told raises `NotShared`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from doit_cargo import DIRECTORY, __version__
from doit_cargo.engine.cargo.discovery import config_files
from doit_cargo.engine.execution import build_places, equivalence
from doit_cargo.engine.execution.request import machine_of
from doit_cargo.engine.plan.profiles.packs import shipped_directory
from doit_cargo.engine.state import fingerprint
from doit_cargo.engine.toolchain.rustup import cargo_home, rustup_home
from doit_cargo.sharing import action, machine, path_set, values
from doit_cargo.sharing.action import Action
from doit_cargo.sharing.roots import CARGO_HOME, OURS, REPOSITORY, RUSTUP_HOME, TARGET, WORKSPACE, Roots, repository

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.state.staleness import State

# Raised whenever the meaning of a key or a result changes.
FORMAT = "doit-cargo sharing 1"
# Where cargo's and rustup's homes are, and where it builds: what is in them counts, and a folder whose path is within a
# result is in key 2. Which toolchain it is says the compiler.
PLACES = frozenset({"HOME", "USERPROFILE", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"}) | build_places.VARIABLES
CPU, GPU = "cpu", "gpu"
COMMANDS = ("build", "check", "clippy", "doc", "test")


def roots_of(request: BuildRequest, plan: Plan) -> Roots:
    """Return the named folders of a call."""
    places = build_places.of(plan, request.workspace, request.environ)
    folders = {
        WORKSPACE: request.workspace.root,
        CARGO_HOME: cargo_home(request.environ),
        RUSTUP_HOME: rustup_home(request.environ),
        OURS: DIRECTORY,
        "profiles": shipped_directory(),
        REPOSITORY: repository(request.workspace.root),
        TARGET: places.target_directory,
    }
    apart = {"build": places.kept_in} if places.kept_in != places.target_directory else {}
    return Roots(folders | apart)


def first(request: BuildRequest, plan: Plan, state: State, roots: Roots, more: Mapping[str, str]) -> Action:
    """Return key 1 of a call. `state` is what the plan rests on, `more` says what else counts. Raises `NotShared`."""
    if plan.invocation.argv[1] not in COMMANDS or request.more:
        raise path_set.NotShared(f"results of cargo {plan.invocation.argv[1]} are not shared")
    configs = _configs(request, plan)
    lines = path_set.plan_lines(
        state,
        roots,
        lambda path, content: _told(path, content, configs, request),
        lambda name: "" if name in PLACES else roots.text(values.value_of(name, request.environ)),
    )
    lines |= {f"set {name}": _value_set(name, value, roots) for name, value in plan.invocation.env.items()}
    lines |= machine.facts(plan, request.workspace.root, machine_of(request, plan), state["which"], request.environ)
    lines |= more
    lines |= values.of_secret(lines)
    lines["unset"] = " ".join(sorted(plan.invocation.unset))
    lines["path"] = " ".join(map(roots.text, plan.invocation.path_prepend))
    lines["config"] = " ".join(_placed((path for path, text in configs.items() if text), roots))
    words = [FORMAT, __version__, *request.key, *map(roots.text, _without_looks(plan.invocation.argv))]
    return action.make(words, machine.platform_of(), lines)


def _value_set(name: str, value: str, roots: Roots) -> str:
    return roots.text(values.value_of(name, {name: value}))


def _configs(request: BuildRequest, plan: Plan) -> dict[str, str]:
    """Return cargo's config files, the nearest first, which wins, with what each says that counts: "" for nothing."""
    found = {}
    for path in config_files(request.workspace.root, request.environ):
        text = equivalence.config_text(path, plan.invocation.argv[1]) if os.path.isfile(path) else ""
        found[path] = "cannot be read" if text is None else text
    return found


def _placed(paths: Iterable[str], roots: Roots) -> list[str]:
    """Return files by their names below the named folders: where a config file lies may count."""
    return [name for path in paths if (name := roots.symbolic(path)) != path]


def _told(path: str, content: bytes, configs: Mapping[str, str], request: BuildRequest) -> str | None:
    """Return what a file of a plan says beside its content: a config file what counts of it, our own nothing."""
    settings = os.path.join(rustup_home(request.environ), "settings.toml"), "/etc/rustup/settings.toml"
    if path in settings or path.startswith(os.path.join(request.state, "")):
        return ""
    if path in configs and fingerprint.digest(path) == content:
        return configs[path]
    return None


def _without_looks(argv: Iterable[str]) -> list[str]:
    """Leave out of a call how many jobs it runs, and how much it says."""
    found, words = [], iter(argv)
    for word in words:
        if word == "--jobs":
            next(words, None)
        elif word != "-vv":
            found.append(word)
    return found


def bound_lines(bound: Iterable[str], roots: Roots, machine_: Mapping[str, str]) -> dict[str, str]:
    """Return what a result holds beside what it was made from: the places that it embeds, and the machine's kind.

    Raises `NotShared`.
    """
    lines = {}
    for name in bound:
        if name == REPOSITORY and WORKSPACE in bound:
            continue  # which lies in it
        if name in (CPU, GPU):
            lines[name] = machine_.get(name, "")
        elif name in roots.folders:
            lines[f"{path_set.ROOT} {name}"] = roots.folders[name]
        else:
            raise path_set.NotShared(f"it is bound to something unknown ({name})")
    return lines


def second(key: Action, lines: Mapping[str, str]) -> Action:
    """Return key 2: key 1, and the subjects of a path set with what they are."""
    return action.make([FORMAT, key.digest.hash], machine.platform_of(), lines)
