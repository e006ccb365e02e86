"""Whose word a checkout is: what it brings that would run while one only looks, and whether the user has agreed.

Python rows (tasks/project.py) and programs that files of cargo and rustup name run when targets are listed, planned or
explained, but only after `doit-cargo trust`. That is kept in the user's own state folder, by checkout and by the
content of each file; DOIT_CARGO_TRUST=1 (or --trust) agrees for one call. docs/security.md tells the whole of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from doit_cargo.engine.base import own_key
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.paths import ancestors, ordinary, which
from doit_cargo.engine.state import store

VARIABLE = "DOIT_CARGO_TRUST"
FIX = f"read it, then: doit-cargo trust; in CI: {VARIABLE}=1 or --trust"
PYTHON = os.path.join("tasks", "project.py")
# Cargo's settings that name a program which cargo runs before it builds anything.
PROGRAMS = ("rustc", "rustc-wrapper", "rustc-workspace-wrapper", "rustdoc")
CREDENTIALS = ("credential-provider", "global-credential-providers")
# Those that come with cargo and run nothing of a checkout.
PROVIDERS = frozenset({"cargo:token", "cargo:libsecret", "cargo:wincred", "cargo:macos-keychain"})
# What [env] of a config file could do to the programs that we ask.
STEERING = ("LD_", "DYLD_", "GIT_", "PYTHON", "BASH_ENV", "RUSTUP_")
DEEPEST = 8  # as includes may go in a circle
STEERING_NAMES = frozenset({"ENV", "PATH"})


class Brought(NamedTuple):
    """A file of the checkout that takes part in looking; `why` says how, empty for one that belongs to another."""

    path: str
    why: str = ""
    where: str = ""


# What makes a folder part of what came as one: cargo and rustup read their settings from all folders above.
MARKS = (".git", "Cargo.toml", ".cargo", "rust-toolchain", "rust-toolchain.toml")


def checkout_of(start: str) -> str:
    """Return the folder that came as one: the repository at hand, else the outermost folder with a manifest; and what
    lies around it (a superproject, an archive), as far as it is not the user's home or above that.
    """
    found = _project_of(os.path.realpath(start))
    home = os.path.realpath(os.path.expanduser("~"))
    for level in ancestors(os.path.dirname(found)):
        if level == os.path.dirname(level) or (home + os.sep).startswith(level + os.sep):
            break
        if any(os.path.exists(os.path.join(level, mark)) for mark in MARKS):
            found = level
    return found


def _project_of(start: str) -> str:
    found = start
    for level in ancestors(start):
        if os.path.exists(os.path.join(level, ".git")):
            return level
        if os.path.exists(os.path.join(level, "Cargo.toml")):
            found = level
    return found


def brought(start: str) -> list[Brought]:
    """Return all that a checkout brings and that would run while one only looks."""
    levels = _levels(start)
    return [one for level in levels for one in (*_python(level), *_programs(level, levels[-1]))]


def _levels(start: str) -> list[str]:
    """Return the folders from here up to that of the checkout."""
    checkout = checkout_of(start)
    levels = list(ancestors(os.path.realpath(start)))
    return levels[: levels.index(checkout) + 1]


def of_python(root: str) -> list[Brought]:
    """Return the Python files that make the rows of a workspace."""
    return list(_python(os.path.realpath(root)))


def _python(level: str) -> Iterator[Brought]:
    main = os.path.join(level, PYTHON)
    if not os.path.isfile(main):
        return
    yield Brought(main, "its Python makes targets", main)
    for folder, folders, names in os.walk(os.path.dirname(main)):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        paths = (os.path.join(folder, name) for name in sorted(names) if name.endswith(".py"))
        yield from (Brought(path) for path in paths if path != main)


def _programs(level: str, checkout: str) -> Iterator[Brought]:
    from doit_cargo.engine.base.files import line_of

    for name in ("rust-toolchain", "rust-toolchain.toml"):
        path = os.path.join(level, name)
        key, named = _toolchain(path)
        if named and _is_below(os.path.join(level, named), checkout):
            yield Brought(path, f"rustup takes the toolchain {named!r} of this checkout", line_of(path, key))
            yield from _contents(os.path.join(level, named, "bin"))
    configs = [os.path.join(level, ".cargo", name) for name in ("config", "config.toml")]
    for path in configs:  # grows by what they include
        table = _toml(path)
        for key, why, program in _settings(table, os.path.dirname(os.path.dirname(path)), checkout):
            yield Brought(path, why, line_of(path, key))
            if program and os.path.isfile(program):
                yield Brought(program)
        for included in _included(path, table):
            if not _is_below(included, checkout):
                why = f"it includes {included}, which lies elsewhere and may name programs"
                yield Brought(path, why, line_of(path, "include"))
            elif included not in configs:
                configs.append(included)


def _toolchain(path: str) -> tuple[str, str]:
    """Return (key, path) of a toolchain that is named by its folder; also in the legacy form, one bare line."""
    table = _toml(path).get("toolchain")
    if isinstance(table, dict):
        found = next((key for key in ("path", "channel") if isinstance(table.get(key), str)), "")
        named = table.get(found, "")
    else:
        found, named = "", _content(path).decode("utf-8", "replace").strip()
    return (found, named) if found == "path" or os.path.isabs(named) else (found, "")


def _contents(folder: str) -> Iterator[Brought]:
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    yield from (Brought(path) for name in names if os.path.isfile(path := os.path.join(folder, name)))


def _settings(config: Mapping[str, Any], level: str, checkout: str) -> Iterator[tuple[str, str, str]]:
    """Yield (key, why, program) of the settings of a config file by which cargo would run something of the checkout."""
    build = config.get("build")
    for key in PROGRAMS:
        named = build.get(key) if isinstance(build, dict) else None
        if (
            isinstance(named, str)
            and _is_below(program := os.path.normpath(os.path.join(level, named)), checkout)
            and "/" in named
        ):
            yield key, f"cargo runs build.{key} = {named!r} of this checkout", program
    for path, value in _walk(config):
        providers = [str(one) for one in _listed(value)]
        if (path[-1] in CREDENTIALS or "credential-alias" in path) and not PROVIDERS.issuperset(providers):
            yield path[-1], f"cargo asks {' '.join(providers)!r} for credentials", os.path.join(level, providers[0])
    for name in config.get("env", ()):
        if name in STEERING_NAMES or name.startswith(STEERING):
            yield name, f"[env] sets {name} for the programs that are asked", ""


def _included(path: str, config: Mapping[str, Any]) -> list[str]:
    """Return the paths that a config file includes, whether they are there or not."""
    entries = config.get("include", [])
    found = [entry.get("path") if isinstance(entry, dict) else entry for entry in _listed(entries)]
    return [os.path.normpath(os.path.join(os.path.dirname(path), name)) for name in found if isinstance(name, str)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _walk(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _walk(value, (*above, key))
        else:
            yield (*above, key), value


def _toml(path: str) -> Mapping[str, Any]:
    """Return a file's content, nothing for one that is missing or broken: cargo then says so and runs nothing."""
    if not os.path.isfile(path):
        return {}
    from doit_cargo.engine.base.toml import toml

    return toml.read(path)


def _is_below(path: str, folder: str) -> bool:
    return os.path.realpath(path).startswith(folder + os.sep) or os.path.normpath(path).startswith(folder + os.sep)


def record_path(start: str) -> str:
    """Return where trust in the checkout at hand is kept. Raises OSError where a user has no state folder."""
    name = own_key.blake2b(os.fsencode(checkout_of(start)), digest_size=16).hexdigest()
    return os.path.join(own_key.folder(), "trusted", name)


def _record(start: str) -> dict[str, str]:
    try:
        found = store.load(record_path(start))
    except OSError:
        return {}
    known = isinstance(found, dict) and found.get("folder") == checkout_of(start)
    return found["files"] if known else {}  # type: ignore[index]


def _digest(content: bytes) -> str:
    return own_key.blake2b(content, digest_size=16).hexdigest()


def _content(path: str) -> bytes:
    try:
        with open(ordinary(path), "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def agreed(environ: Mapping[str, str]) -> bool:
    """Tell whether the caller agrees to whatever this checkout brings."""
    return environ.get(VARIABLE, "").lower() not in ("", "0", "false", "no")


def doubts(found: list[Brought], start: str, environ: Mapping[str, str]) -> list[Brought]:
    """Return what of this has not been agreed to, or has changed since."""
    if not found or agreed(environ):
        return []
    record = _record(start)
    return [one for one in found if record.get(one.path) != _digest(_content(one.path))]


def is_python_trusted(root: str, environ: Mapping[str, str]) -> bool:
    """Tell whether a project's own rows may be loaded: there are none, or the user has agreed to what makes them."""
    return not doubts(of_python(root), root, environ)


def trusted_text(path: str, start: str, environ: Mapping[str, str]) -> bytes:
    """Return the very bytes of a file that were agreed to. Raises `UserError` for others."""
    content = _content(path)
    if not agreed(environ) and _record(start).get(path) != _digest(content):
        raise UserError(Problem("this file is not trusted", FIX, path), COULD_NOT_RUN)
    return content


def require_programs(start: str, environ: Mapping[str, str]) -> None:
    """Raise `UserError` where cargo, only asked, would run a program of the checkout that nobody has agreed to."""
    levels = _levels(start)
    found = [one for level in levels for one in _programs(level, levels[-1])]
    doubtful = doubts(found, start, environ)
    if doubtful:
        told = [one for one in doubtful if one.why] or [one for one in found if one.why]
        raise UserError(
            [Problem(f"{one.why}, and you have not trusted it yet", FIX, one.where) for one in told], COULD_NOT_RUN
        )


def may_ask(program: str, directory: str, environ: Mapping[str, str]) -> bool:
    """Tell whether a program may run only to say what it is: one of the checkout if it is on PATH or trusted.

    A name is looked for on the PATH of `environ`, which a profile may have set. Trust is in what was there when it was
    given: a program that came or changed later waits.
    """
    found = program if os.sep in program else which(program, {"PATH": os.defpath, **environ})
    if not found:
        return True  # and cannot run
    if not _is_below(found, checkout_of(directory)) or agreed(environ):
        return True
    on_path = os.path.dirname(found) in os.environ.get("PATH", "").split(os.pathsep)
    return on_path or found.startswith(sys.prefix + os.sep) or _was_there(found, directory)


def _was_there(program: str, directory: str) -> bool:
    """Tell whether a program is as it was when the checkout was trusted: its change time moves with every write."""
    if not _record(directory):
        return False
    try:
        given = os.stat(record_path(directory)).st_mtime_ns
        return max(os.lstat(program).st_ctime_ns, os.stat(program).st_ctime_ns) <= given
    except OSError:
        return False


def trust(start: str) -> list[Brought]:
    """Agree to all that the checkout brings as it is now; return it. Raises OSError."""
    found = brought(start)
    files = {**_record(start), **{one.path: _digest(_content(one.path)) for one in found}}
    store.store(record_path(start), {"folder": checkout_of(start), "files": files})
    return found


def revoke(start: str) -> bool:
    """Take all trust in the checkout back; return whether there was any. Raises OSError."""
    path = record_path(start)
    there = os.path.exists(path)
    store.remove(path)
    return there
