"""Cargo's facts of the workspace at hand: one call of ``cargo metadata``, reduced to what plans need.

`read_metadata` runs cargo and returns a plain dict, fit for a cache on disk; `from_metadata` is pure. Knows nothing
of profiles, targets or doit, and never opens Cargo.lock.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from doit_cargo.engine.base.errors import COULD_NOT_RUN, NoWorkspaceError, Problem, UserError
from doit_cargo.engine.base.model import CargoTarget, Dependency, Package, Workspace
from doit_cargo.engine.base.paths import ancestors, which
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.cargo import FORMAT
from doit_cargo.engine.cargo.config import files

if TYPE_CHECKING:
    from doit_cargo.engine.cargo.facts import DependencyFacts, Facts, PackageFacts, TargetFacts

BUILTIN_CARGO_PROFILES = ("dev", "release", "test", "bench")
_QUERY = ("metadata", "--no-deps", "--offline", "--format-version", "1")
_SHOWN_LINES = 10


_NOT_INSTALLED = re.compile(r"toolchain '([^']+)' is not installed")


def read_metadata(directory: str, environ: Mapping[str, str]) -> Facts:
    """Return the facts of the workspace that holds `directory`."""
    _require_manifest(directory)
    raw, borrowed = _ask_cargo(directory, environ)
    root = raw["workspace_root"]
    names = {package["id"]: package["name"] for package in raw["packages"]}
    configs = [table for _, table in files.read_tables(root, environ)]
    manifest = toml.read(os.path.join(root, "Cargo.toml"))
    return {
        "format": FORMAT,
        "root": root,
        "target_directory": raw["target_directory"],
        "build_directory": _build_directory(raw),
        # Cargo before 1.71 does not say which members are the default: then all of them are.
        "default_members": [names[i] for i in raw.get("workspace_default_members", raw["workspace_members"])],
        "packages": {package["name"]: _reduce_package(package) for package in raw["packages"]},
        "cargo_profiles": _cargo_profiles([manifest, *configs]),
        "build_target": _build_target(configs),
        "resolver": _resolver(manifest),
        "metadata": raw.get("metadata") or {},
        "borrowed": borrowed,
    }


def _build_directory(raw: Mapping[str, Any]) -> str:
    """Return the build directory of cargo's answer; cargo before 1.91 has none and says nothing of it."""
    return str(raw.get("build_directory") or raw["target_directory"])


def read_directories(directory: str, environ: Mapping[str, str], settings: Iterable[str]) -> tuple[str, str]:
    """Return the target directory and the build directory under another environment and `--config` settings."""
    raw, _ = _ask_cargo(directory, environ, settings)
    return raw["target_directory"], _build_directory(raw)


def _require_manifest(directory: str) -> None:
    if _find_upwards(directory, ("Cargo.toml",)):
        return
    raise NoWorkspaceError(
        Problem(
            "no Cargo.toml here or above",
            "cd into a Cargo workspace, or name its folder: doit-cargo -w DIR",
            where=directory,
        )
    )


def _find_upwards(directory: str, names: Iterable[str]) -> str:
    """Return the nearest file of one of these names, from `directory` up to the root of the file system."""
    for folder in ancestors(directory):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return path
    return ""


def _ask_cargo(directory: str, environ: Mapping[str, str], settings: Iterable[str] = ()) -> tuple[dict[str, Any], str]:
    """Return what cargo tells, and the toolchain that told it if the one to take is not there as a whole, else ""."""
    from doit_cargo.engine.toolchain.rustup import active_toolchain

    answer, error = _query(directory, environ, settings)
    if answer is not None:
        return answer, ""
    if not active_toolchain(directory, environ).installed:
        for name in _installed(environ):
            answer, _ = _query(directory, {**environ, "RUSTUP_TOOLCHAIN": name}, settings)
            if answer is not None:
                return answer, name
    raise UserError(_explain(error, directory, environ))


def _query(
    directory: str, environ: Mapping[str, str], settings: Iterable[str] = ()
) -> tuple[dict[str, Any] | None, str]:
    import json

    chosen = (word for setting in settings for word in ("--config", setting))
    command = [_find_cargo(environ), *_QUERY, *chosen]
    done = processes.answer(command, environ, None, directory)
    try:
        if done.started:
            return (json.loads(done.out) if done.ok else None), done.err
        error = done.err.strip()
    except ValueError as wrong:
        error = str(wrong)
    raise UserError(Problem(f"cargo metadata could not be read: {error}", "check `cargo metadata`", directory))


def _installed(environ: Mapping[str, str]) -> list[str]:
    """Return the toolchains that are here, stable ones first."""
    from doit_cargo.engine.toolchain.rustup import rustup_home

    folder = os.path.join(rustup_home(environ), "toolchains")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(names, key=lambda name: (not name.startswith("stable"), name.startswith("nightly"), name))


def _find_cargo(environ: Mapping[str, str]) -> str:
    found = which("cargo", environ)
    if found:
        return found
    from doit_cargo.engine.toolchain.rustup import cargo_home

    fix = "install Rust from https://rustup.rs, then open a new terminal"
    installed = os.path.join(cargo_home(environ), "bin")
    if which("cargo", {**environ, "PATH": installed}):
        fix = f"it is in {installed}: open a new terminal, or add that to PATH"
    raise NoWorkspaceError(Problem("cargo is not on PATH", fix), COULD_NOT_RUN)


def _explain(stderr: str, directory: str, environ: Mapping[str, str]) -> Problem:
    missing = _NOT_INSTALLED.search(stderr)
    if missing:
        return _missing_toolchain(missing[1], directory, environ)
    # rustup adds its own backtrace where RUST_BACKTRACE is set: it says nothing to a user.
    lines = [line for line in stderr.partition("Stack backtrace:")[0].splitlines() if line.strip()]
    shown = "\n    ".join(lines[:_SHOWN_LINES]) or "cargo gave no message"
    what = f"cargo cannot load this workspace; it says:\n    {shown}"
    return Problem(what, "correct that; `cargo metadata --no-deps` checks it", where=_place(stderr, directory))


def _place(stderr: str, directory: str) -> str:
    """Return file:line as cargo prints it (relative to where it ran), or the manifest that it names."""
    arrow = re.search(r"--> (.+?):(\d+):\d+", stderr)
    if arrow:
        return f"{os.path.join(directory, arrow[1])}:{arrow[2]}"
    named: list[str] = re.findall(r"(?:at|read) `([^`]+)`", stderr)
    return named[-1] if named else directory


def _missing_toolchain(name: str, directory: str, environ: Mapping[str, str]) -> Problem:
    fix = f"rustup toolchain install {name}, or set RUSTUP_TOOLCHAIN to an installed one (rustup toolchain list)"
    if environ.get("RUSTUP_TOOLCHAIN"):
        return Problem(f"the toolchain {name} is not installed", fix, where="RUSTUP_TOOLCHAIN")
    path = _find_upwards(directory, ("rust-toolchain", "rust-toolchain.toml"))
    where = f"{path}:{_pin_line(path)}" if path else directory
    return Problem(f"the pinned toolchain {name} is not installed", fix, where)


def _pin_line(path: str) -> int:
    """Return the line of the channel: a rust-toolchain file is TOML, or one bare line."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if re.match(r"\s*[\"']?channel\b", line):
                return number
    return 1


def _reduce_package(package: Mapping[str, Any]) -> PackageFacts:
    return {
        "version": package["version"],
        "manifest": package["manifest_path"],
        "features": package["features"],
        "targets": [_reduce_target(target) for target in package["targets"]],
        "dependencies": [_reduce_dependency(dependency) for dependency in package["dependencies"]],
        "rust_version": package.get("rust_version") or "",
    }


def _reduce_target(target: Mapping[str, Any]) -> TargetFacts:
    return {
        "name": target["name"],
        "kinds": target["kind"],
        "path": target["src_path"],
        "required_features": target.get("required-features") or [],
        "documented": target.get("doc", True),
    }


def _reduce_dependency(dependency: Mapping[str, Any]) -> DependencyFacts:
    return {
        # The name that the manifest gives it, which is also how --features DEPENDENCY/FEATURE calls it.
        "name": dependency.get("rename") or dependency["name"],
        "path": dependency.get("path") or "",
        "kind": dependency.get("kind") or "",
        "optional": dependency["optional"],
        "features": dependency.get("features") or [],
        "default_features": dependency.get("uses_default_features", True),
        "target": dependency.get("target") or "",
        "package": dependency["name"] if dependency.get("rename") else "",
    }


def _cargo_profiles(tables: Iterable[Mapping[str, Any]]) -> list[str]:
    names = [name for table in tables for name in _table(table, "profile")]
    return list(dict.fromkeys([*BUILTIN_CARGO_PROFILES, *names]))


def _resolver(manifest: Mapping[str, Any]) -> int:
    """Return the version of cargo's resolver: as the root manifest says, else by the edition of the root package."""
    workspace, package = _table(manifest, "workspace"), _table(manifest, "package")
    edition = package.get("edition")
    if isinstance(edition, Mapping):
        edition = _table(workspace, "package").get("edition")
    asked = str(workspace.get("resolver") or package.get("resolver") or "")
    return int(asked) if asked.isdigit() else {"2021": 2, "2024": 3}.get(str(edition), 1)


def _build_target(configs: Iterable[Mapping[str, Any]]) -> str:
    for config in configs:
        target = _table(config, "build").get("target")
        if isinstance(target, str):
            return target
    return ""


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = table.get(key)
    return found if isinstance(found, Mapping) else {}


def from_metadata(facts: Facts) -> Workspace:
    """Return the workspace that `read_metadata` described. Pure: the same facts give the same workspace."""
    return Workspace(
        root=facts["root"],
        target_directory=facts["target_directory"],
        packages={name: _package(name, package) for name, package in facts["packages"].items()},
        default_members=tuple(facts["default_members"]),
        cargo_profiles=tuple(facts["cargo_profiles"]),
        metadata=facts["metadata"],
        build_target=facts["build_target"],
        build_directory=facts["build_directory"],
        resolver=facts["resolver"],
    )


def facts_of(raw: Mapping[str, Any]) -> PackageFacts:
    """Return what is kept of a package of ``cargo metadata``, a member or any other."""
    return _reduce_package(raw)


def package_of(name: str, facts: PackageFacts) -> Package:
    """Return the package that `facts_of` described."""
    return _package(name, facts)


def _package(name: str, facts: PackageFacts) -> Package:
    return Package(
        name=name,
        version=facts["version"],
        directory=os.path.dirname(facts["manifest"]),
        manifest=facts["manifest"],
        features={feature: tuple(enables) for feature, enables in facts["features"].items()},
        cargo_targets=tuple(
            CargoTarget(t["name"], tuple(t["kinds"]), t["path"], tuple(t["required_features"]), t["documented"])
            for t in facts["targets"]
        ),
        dependencies=tuple(
            Dependency(
                one["name"],
                one["path"],
                one["kind"],
                one["optional"],
                tuple(one["features"]),
                one["default_features"],
                one["target"],
                one["package"],
            )
            for one in facts["dependencies"]
        ),
        rust_version=facts["rust_version"],
    )


def edges(workspace: Workspace, dev: bool = False) -> dict[str, tuple[str, ...]]:
    """Return each member's path dependencies inside the workspace; `dev` adds those of its tests and examples.

    The folder tells which member an edge leads to, since a dependency may be renamed.
    """
    by_folder = {os.path.normcase(package.directory): package.name for package in workspace.packages.values()}
    return {name: _edges_of(package, by_folder, dev) for name, package in workspace.packages.items()}


def _edges_of(package: Package, by_folder: Mapping[str, str], dev: bool) -> tuple[str, ...]:
    wanted = (d for d in package.dependencies if d.path and (dev or d.kind != "dev"))
    found = (by_folder.get(os.path.normcase(os.path.normpath(dependency.path))) for dependency in wanted)
    return tuple(dict.fromkeys(name for name in found if name and name != package.name))


def closure(workspace: Workspace, names: Iterable[str], dev: bool = False) -> tuple[str, ...]:
    """Return the packages and all their path dependencies inside the workspace, dependencies first.

    Optional dependencies count, whatever the features. Dev-dependencies count for the named packages only, as in
    cargo, and only where `dev` asks for them; they come last.
    """
    roots = list(names)
    ordered = _reach(edges(workspace), roots)
    if dev:
        with_dev = edges(workspace, dev=True)
        ordered = _reach(edges(workspace), [*ordered, *(name for root in roots for name in with_dev.get(root, ()))])
    return ordered


def dependents(workspace: Workspace, names: Iterable[str], dev: bool = False) -> tuple[str, ...]:
    """Return the packages that depend on any of these, without these, in the order of the workspace.

    With `dev`, also those that only their tests, examples or benches tie to a changed package.
    """
    given = set(names)
    backwards: dict[str, list[str]] = {}
    for name, targets in edges(workspace).items():
        for target in targets:
            backwards.setdefault(target, []).append(name)
    found = set(_reach(backwards, sorted(given)))
    if dev:
        found |= {name for name, targets in edges(workspace, dev=True).items() if found & set(targets)}
    return tuple(name for name in workspace.packages if name in found - given)


def _reach(graph: Mapping[str, Iterable[str]], roots: Iterable[str]) -> tuple[str, ...]:
    """Return everything that the roots reach, each after what it leads to.

    A loop, not a recursion: a workspace may have a chain of a thousand members.
    """
    ordered: dict[str, None] = {}
    started: set[str] = set()
    waiting = [(root, iter((root,))) for root in reversed(list(roots))]
    while waiting:
        name, rest = waiting[-1]
        following = next(rest, None)
        if following is None:
            waiting.pop()
            if name in started:
                ordered.setdefault(name)
        elif following not in started:
            started.add(following)
            waiting.append((following, iter(graph.get(following, ()))))
    return tuple(ordered)
