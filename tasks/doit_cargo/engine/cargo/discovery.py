"""Where cargo looks besides the sources: manifests, config files, and places where a file's mere appearance counts.

Knows Cargo's rules (Cargo book: "Configuration", "Target auto-discovery", "The workspace section") and reads no
build output.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping

from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.base.paths import ancestors, ordinary
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.toolchain.rustup import cargo_home

TESTING_COMMANDS = frozenset({"test", "bench", "clippy", "nextest", "llvm-cov"})
CONFIG_NAMES = ("config", "config.toml")  # where both exist, cargo takes the first and warns
TEST_FOLDERS = ("tests", "examples", "benches")


def manifests(workspace: Workspace) -> list[str]:
    """Return the manifests of the members, and of path dependencies outside the workspace as far as they are named."""
    found = [package.manifest for package in workspace.packages.values()]
    found += [
        os.path.join(dependency.path, "Cargo.toml")
        for package in workspace.packages.values()
        for dependency in package.dependencies
        if dependency.path
    ]
    return list(dict.fromkeys(found))


def path_dependencies(directory: str) -> list[str]:
    """Return the directories that a manifest outside the workspace names; none for one that cannot be read."""
    manifest = toml.read(os.path.join(directory, "Cargo.toml"))
    tables = [manifest, *manifest.get("target", {}).values()]
    found = [
        dependency["path"]
        for table in tables
        for key in ("dependencies", "build-dependencies")
        for dependency in table.get(key, {}).values()
        if isinstance(dependency, dict) and "path" in dependency
    ]
    return [os.path.normpath(os.path.join(directory, path)) for path in found]


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
