"""What cargo makes of a difference: another text in the environment, a manifest or a config file may mean the same.

Asked only where something differs, never on the way of a plain skip. What each rule compares is recorded with the
success; what a build itself asks for by name is compared by its text. When in doubt, it is a difference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from doit_cargo.engine.base.toml import toml

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan, Workspace
    from doit_cargo.engine.state.receipts import Meaning, Receipt
    from doit_cargo.engine.state.staleness import Change, State

DEFAULT_PROFILE = {"build": "dev", "check": "dev", "clippy": "dev", "doc": "dev", "test": "dev", "bench": "release"}
# A profile that another one stands on, with those that cargo derives from it for tests and benchmarks.
FAMILIES = {name: family for family in (("dev", "test"), ("release", "bench")) for name in family}
TARGET_DIRECTORY = ("CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR")
HOMES = ("HOME", "USERPROFILE", "CARGO_HOME", "RUSTUP_HOME")
RUSTDOC_FLAGS = ("RUSTDOCFLAGS", "CARGO_ENCODED_RUSTDOCFLAGS", "CARGO_BUILD_RUSTDOCFLAGS")
WITHOUT_RUSTDOC = ("build", "check", "clippy")
# Tables of a config file that change how cargo talks and downloads, never what it makes (tried with cargo 1.95).
WITHOUT_RESULT = ("term", "net", "http", "cargo-new", "cache", "future-incompat-report")
# What a config file below a home may hold to mean the same below another home: nothing that could be a path.
WITHOUT_PATHS = frozenset({"profile", "registry", "registries"})


def recorded(
    plan: Plan,
    workspace: Workspace,
    environ: Mapping[str, str],
    states: tuple[State, ...],
    exact: tuple[Collection[str], Collection[str]],
    previous: Receipt | None = None,
) -> Meaning | None:
    """Return what a success keeps to compare with; None for a call that is not plain cargo in the workspace's root.

    `exact` are the files and the variables of which the text itself counts. What the receipt of the success before has
    found out of equal contents is taken from there.
    """
    argv = plan.invocation.argv
    if os.path.basename(argv[0]) != "cargo" or argv[1] not in DEFAULT_PROFILE:
        return None
    if plan.invocation.cwd not in ("", workspace.root):
        return None
    root, (files, variables), folders = workspace.root, exact, _folders(plan)
    target = _target_directory(root, environ)
    return {
        "root": root,
        "command": argv[1],
        "exact": tuple(variables),
        "profiles": tuple(_profiles(argv, root, environ)),
        "target": target if target == workspace.target_directory else "",
        "toolchain": _toolchain(root, environ),
        "home": _home(root, environ),
        "read": tuple(path for path in files if path.startswith(folders)),
        "tables": dict(_tables(root, argv[1], environ, states, files, _known(argv[1], previous))),
    }


def _folders(plan: Plan) -> tuple[str, ...]:
    """Return the folders of profiles: what lies there shapes a plan, and may be read by others besides."""
    return tuple(os.path.join(folder, "") for folder in plan.folders)


def is_same(receipt: Receipt, change: Change, environ: Mapping[str, str]) -> bool:
    """Tell whether cargo would make the same of what has changed since the success of a receipt."""
    meaning = receipt.get("meaning")
    if not meaning:
        return False
    if change.kind == "env":
        return change.subject not in meaning["exact"] and _is_same_variable(change.subject, meaning, environ)
    return change.kind == "file" and _is_same_table(change.subject, meaning)


def _is_same_variable(name: str, meaning: Meaning, environ: Mapping[str, str]) -> bool:
    root = meaning["root"]
    if name in TARGET_DIRECTORY:
        return bool(meaning["target"]) and _target_directory(root, environ) == meaning["target"]
    if name == "RUSTUP_TOOLCHAIN":
        return bool(meaning["toolchain"] == _toolchain(root, environ))
    if name in HOMES:
        return meaning["toolchain"] == _toolchain(root, environ) and _is_same_home(meaning, environ)
    if name in RUSTDOC_FLAGS:
        return meaning["command"] in WITHOUT_RUSTDOC
    return name.startswith("CARGO_PROFILE_") and _is_of_another_profile(name, meaning, environ.get(name))


def _target_directory(root: str, environ: Mapping[str, str]) -> str:
    """Return where cargo builds, as cargo writes the path; "" where it refuses to."""
    for name in TARGET_DIRECTORY:
        if name in environ:
            return os.path.join(root, environ[name]) if environ[name] else ""
    from doit_cargo.engine.cargo.config import files

    for path, table in files.read_tables(root, environ):
        value = table.get("build", {}).get("target-dir")
        if value is not None:
            return os.path.join(os.path.dirname(os.path.dirname(path)), str(value))
    return os.path.join(root, "target")


def _toolchain(root: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the programs of the toolchain that is taken; the settings that choose it may lie elsewhere."""
    from doit_cargo.engine.toolchain import rustup

    found = rustup.toolchain_identity(root, environ)
    return tuple(path for path in found if os.path.basename(path) != "settings.toml")


def _home(root: str, environ: Mapping[str, str]) -> tuple[str, bytes | None]:
    """Return cargo's home and what its config says; None where that may mean something else in another place."""
    from doit_cargo.engine.toolchain import rustup

    home = os.path.join(root, rustup.cargo_home(environ))
    places = [os.path.join(home, name) for name in ("config", "config.toml")]  # cargo takes the first that is there
    taken = next(filter(os.path.lexists, places), "")
    table = toml.read_or_none(taken) if taken else {}
    kept = None if table is None else _with_result(table, "")
    return home, None if kept is None or not kept.keys() <= WITHOUT_PATHS else _digest(kept)


def _is_same_home(meaning: Meaning, environ: Mapping[str, str]) -> bool:
    """Another home with equal settings is the same to what needs no sources from there: the path goes into a build."""
    home, settings = _home(meaning["root"], environ)
    if home == meaning["home"][0]:
        return True
    if meaning["command"] not in ("build", "check") or settings is None or settings != meaning["home"][1]:
        return False
    try:
        with open(os.path.join(meaning["root"], "Cargo.lock"), "rb") as stream:
            return b"\nsource = " not in stream.read()
    except OSError:
        return False


def _profiles(argv: tuple[str, ...], root: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield cargo's profiles that a call rests on; nothing where that cannot be told."""
    named = [value for flag, value in pairwise(argv) if flag == "--profile"]
    first = named[0] if named else "release" if {"--release", "-r"} & set(argv) else DEFAULT_PROFILE[argv[1]]
    if any(word.startswith("--profile=") for word in argv):
        return
    waiting, found = [first], dict.fromkeys(("test", "bench") if argv[1] in ("test", "bench") else ())
    while waiting:
        name = waiting.pop()
        if name in FAMILIES:
            found.update(dict.fromkeys(FAMILIES[name]))
        elif name not in found:
            found[name] = None
            waiting += (bases := list(_bases(name, root, environ)))
            if not bases:
                return
    yield from found


def _bases(name: str, root: str, environ: Mapping[str, str]) -> Iterator[str]:
    from doit_cargo.engine.cargo.config import files, layers

    variable = environ.get(layers.variable(("profile", name, "inherits")))
    if variable:
        yield variable
    manifest = toml.read(os.path.join(root, "Cargo.toml"))
    for table in (manifest, *(table for _, table in files.read_tables(root, environ))):
        value = table.get("profile", {}).get(name, {}).get("inherits")
        if isinstance(value, str):
            yield value


def _is_of_another_profile(name: str, meaning: Meaning, value: str | None) -> bool:
    """Tell whether a variable sets a profile that the call does not use, to what cargo takes: it reads all of them."""
    from doit_cargo.engine.cargo.config import keys, layers

    used = [layers.variable(("profile", profile, "")) for profile in meaning["profiles"]]
    if not used or name.startswith(tuple(used)):
        return False
    key = next((key for key in keys.ALLOWED if name.endswith(layers.variable((key,)).removeprefix("CARGO"))), "")
    if value is None:
        return True
    now = layers.plain(value)
    return any(type(now) is type(allowed) and now == allowed for allowed in keys.ALLOWED.get(key, ()))


def _tables(
    root: str,
    command: str,
    environ: Mapping[str, str],
    states: tuple[State, ...],
    exact: Collection[str],
    known: Mapping[tuple[str, bytes | None], bytes],
) -> Iterator[tuple[str, bytes]]:
    """Yield what the manifests and config files say that a success rested on, as far as nobody reads them as a text."""
    from doit_cargo.engine.cargo import discovery
    from doit_cargo.engine.state import fingerprint

    settings = frozenset(discovery.config_files(root, environ))
    for state in states:
        for path, (_, content) in state["files"].items():
            if path in exact or not (path in settings or os.path.basename(path) == "Cargo.toml"):
                continue
            said = known.get((path, content))
            if said is None and (said := _said(path, command)) is not None and fingerprint.digest(path) != content:
                continue
            if said is not None:
                yield path, said


def _known(command: str, previous: Receipt | None) -> dict[tuple[str, bytes | None], bytes]:
    """Return what is known of files and their contents from the success before."""
    meaning = previous.get("meaning") if previous else None
    if not previous or not meaning or meaning["command"] != command:
        return {}
    tables, parts = meaning["tables"], (previous["plan"], previous["build"])
    files = [(path, kept[1]) for part in parts for path, kept in part["files"].items() if path in tables]
    return {(path, content): tables[path] for path, content in files}


def _is_same_table(path: str, meaning: Meaning) -> bool:
    known = meaning["tables"].get(path)
    # Of two config files in one folder cargo takes the one without an ending.
    shadows = os.path.basename(path) == "config" and os.path.exists(path + ".toml")
    return known is not None and not shadows and _said(path, meaning["command"]) == known


def _said(path: str, command: str) -> bytes | None:
    """Return the digest of what a file says to a command; a config file that is not there says nothing."""
    if os.path.basename(path) == "Cargo.toml":
        table = toml.read_or_none(path)
        return None if table is None else _digest(table)
    table = toml.read_or_none(path) if os.path.lexists(path) else {}
    return None if table is None else _digest(_with_result(table, command))


def config_text(path: str, command: str) -> str | None:
    """Return what a config file says that may change what a command makes, "" for nothing, None for no TOML."""
    table = toml.read_or_none(path)
    kept = None if table is None else _with_result(table, command)
    return None if kept is None else _digest(kept).hex() if kept else ""


def _with_result(table: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Return a config file without what changes no result. An alias counts if it bears the name of the command."""
    kept = {name: value for name, value in table.items() if name not in WITHOUT_RESULT}
    aliases = kept.pop("alias", {})
    if isinstance(aliases, dict) and command in aliases:
        kept["alias"] = aliases[command]
    build = kept.get("build")
    if isinstance(build, dict):
        kept["build"] = {name: value for name, value in build.items() if name != "jobs"}
    return {name: value for name, value in kept.items() if value != {}}


def _digest(table: Mapping[str, Any]) -> bytes:
    from doit_cargo.engine.base.own_key import blake2b

    text = json.dumps(table, sort_keys=True, default=repr)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
