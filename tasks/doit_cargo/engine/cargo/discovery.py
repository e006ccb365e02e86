"""Where cargo looks besides the sources: manifests, config files, and places where a file's mere appearance counts.

Knows Cargo's rules (Cargo book: "Configuration", "Target auto-discovery", "The workspace section") and reads no
build output.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.base.paths import ancestors, ordinary
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.toolchain.rustup import cargo_home

TESTING_COMMANDS = frozenset({"test", "bench", "clippy", "nextest", "llvm-cov"})
CONFIG_NAMES = ("config", "config.toml")  # where both exist, cargo takes the first and warns
TEST_FOLDERS = ("tests", "examples", "benches")


def manifests(workspace: Workspace) -> list[str]:
    """Return the manifests of the members, and of path dependencies outside the workspace as far as they are named,
    with those that the latter inherit from.
    """
    members = {package.directory: package.manifest for package in workspace.packages.values()}
    named = (one.path for package in workspace.packages.values() for one in package.dependencies if one.path)
    outside = dict.fromkeys(path for path in named if path not in members)
    found = (path for directory in outside for path in manifests_of(directory))
    return list(dict.fromkeys([*members.values(), *found]))


def manifests_of(directory: str) -> list[str]:
    """Return the manifest of a package outside the workspace, and those up to the root of a workspace of its own where
    it inherits from that: one that comes in between would be it.
    """
    path = os.path.join(directory, "Cargo.toml")
    manifest = toml.read(path)
    return [path, *(_roots_of(directory, manifest) if _inherits(manifest) else ())]


def _inherits(table: Mapping[str, Any]) -> bool:
    return table.get("workspace") is True or any(_inherits(one) for one in table.values() if isinstance(one, dict))


def _roots_of(directory: str, manifest: Mapping[str, Any]) -> list[str]:
    """Return the manifests in which cargo looks for a `[workspace]`, up to the one that has it."""
    if "workspace" in manifest:
        return []
    named = manifest.get("package", {}).get("workspace")
    if isinstance(named, str):
        return [os.path.normpath(os.path.join(directory, named, "Cargo.toml"))]
    found = []
    for above in ancestors(os.path.dirname(directory)):
        found.append(os.path.join(above, "Cargo.toml"))
        if "workspace" in toml.read(found[-1]):
            break
    return found


def path_dependencies(directory: str) -> list[str]:
    """Return the directories that a manifest outside the workspace names; none for one that cannot be read."""
    manifest = toml.read(os.path.join(directory, "Cargo.toml"))
    tables = [manifest, *manifest.get("target", {}).values()]
    asked = [
        (name, dependency)
        for table in tables
        for key in ("dependencies", "build-dependencies")
        for name, dependency in table.get(key, {}).items()
        if isinstance(dependency, dict)
    ]
    found = [os.path.join(directory, dependency["path"]) for _, dependency in asked if "path" in dependency]
    inherited = {name for name, dependency in asked if dependency.get("workspace") is True}
    if inherited:
        root = [os.path.join(directory, "Cargo.toml"), *_roots_of(directory, manifest)][-1]
        shared = toml.read(root).get("workspace", {}).get("dependencies", {})
        there = (shared[name] for name in inherited if isinstance(shared.get(name), dict))
        found += [os.path.join(os.path.dirname(root), one["path"]) for one in there if "path" in one]
    return [os.path.normpath(path) for path in found]


def member_globs(root: str) -> dict[str, tuple[str, ...]]:
    """Return {root: rule} for the `members` patterns; none for a manifest that cannot be read."""
    members = toml.read(os.path.join(root, "Cargo.toml")).get("workspace", {}).get("members", [])
    globs = [pattern for pattern in members if any(mark in pattern for mark in "*?[")]
    return {root: ("globs", *globs)} if globs else {}


def discovery_rules(directory: str, plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return where the mere appearance of a file makes a cargo target that this plan would build."""
    argv = plan.invocation.argv
    return all_discovery_rules(directory, argv[1] in TESTING_COMMANDS or "--all-targets" in argv)


def all_discovery_rules(directory: str, everything: bool) -> dict[str, tuple[str, ...]]:
    """Return directory -> rule (Cargo book, "Target auto-discovery")."""
    places: dict[str, tuple[str, ...]] = {
        ".": ("only", "build.rs", "src"),
        "src": ("only", "lib.rs", "main.rs", "bin"),
        "src/bin": ("targets",),
    }
    if everything:
        places["."] += TEST_FOLDERS
        places.update(dict.fromkeys(TEST_FOLDERS, ("targets",)))
    paths = ((os.path.normpath(os.path.join(directory, place)), rule) for place, rule in places.items())
    return {path: rule for path, rule in paths if os.path.isdir(path)}


def config_folders(root: str, environ: Mapping[str, str]) -> list[str]:
    """Return the folders in which cargo looks for config files, the deepest first, cargo's home last."""
    return list(dict.fromkeys([*(os.path.join(above, ".cargo") for above in ancestors(root)), cargo_home(environ)]))


def config_files(root: str, environ: Mapping[str, str]) -> list[str]:
    """Return cargo's config files, existing or not, from `root` upwards and in CARGO_HOME, with what they include."""
    found = [os.path.join(place, name) for place in config_folders(root, environ) for name in CONFIG_NAMES]
    return list(dict.fromkeys(path for name in found for path in (name, *_included(name, 0))))


def _included(path: str, depth: int) -> Iterator[str]:
    """Yield what `include` of a config file names (Cargo book, "Configuration", include)."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
        includes = toml.loads(content.decode()).get("include", []) if b"include" in content else []
    except (OSError, ValueError):
        return
    for entry in [includes] if isinstance(includes, str | dict) else includes:
        name = os.path.join(os.path.dirname(path), entry["path"] if isinstance(entry, dict) else entry)
        yield name
        if depth < 8:
            yield from _included(name, depth + 1)


def download_places(environ: Mapping[str, str]) -> list[str]:
    """Return the folders of CARGO_HOME whose stamps change when sources are downloaded (Cargo book, "Cargo home")."""
    home = cargo_home(environ)
    found = []
    for name in (("registry", "src"), ("registry", "cache"), ("git", "db"), ("git", "checkouts")):
        place = os.path.join(home, *name)
        below = sorted(os.listdir(place)) if os.path.isdir(place) else []
        found += [place, *(os.path.join(place, entry) for entry in below)]
    return found


def included(sources: Iterable[str]) -> list[str]:
    """Return the files that Rust sources take in, and what those take in: for rustdoc, which writes no dep-info."""
    pattern = re.compile(r'(?:\binclude(?:_str|_bytes)?!\s*[\(\[{]\s*|#\s*!?\[\s*path\s*=\s*)"([^"\n]+)"')
    known, waiting = dict.fromkeys(sources), list(sources)
    found: list[str] = []
    while waiting:
        source = waiting.pop()
        try:
            with open(ordinary(source), encoding="utf-8", errors="replace") as stream:
                names = pattern.findall(stream.read())
        except OSError:
            continue
        paths = [os.path.normpath(os.path.join(os.path.dirname(source), name)) for name in names]
        new = [path for path in dict.fromkeys(paths) if path not in known and os.path.isfile(path)]
        known.update(dict.fromkeys(new))
        found += new
        waiting += [path for path in new if path.endswith(".rs")]
    return found
