"""Rules about config files beyond profiles: dead variables, aliases, jobs, paths of a machine, flags, sccache."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from doit_cargo.engine.base.errors import nearest
from doit_cargo.engine.base.model import Setting
from doit_cargo.engine.cargo.config import keys
from doit_cargo.engine.cargo.config.layers import CONFIG, shadowed, shown
from doit_cargo.engine.cargo.config.rustflags import Rustflags, pairs, resolve, words
from doit_cargo.engine.preflight.config.findings import (
    ERROR,
    MEND,
    NOTE,
    Finding,
    SettingsCase,
    member_configs,
    own_layers,
    toml,
)

# An absolute path, alone or inside a flag: /opt/cuda/lib64, -L/opt/cuda, C:\Tools.
MACHINE_PATH = re.compile(r"(?:^|[=,]|-[LI] ?)(?:/[\w.+-]+(?:/[\w.+ -]+)+|[A-Za-z]:[\\/]\S)")
NATIVE = "-C target-cpu=native"
OF_CARGO = re.compile(
    r"CARGO_(PROFILE|BUILD|NET|HTTP|TERM|REGISTRIES|INSTALL)_|CARGO_TARGET_\w+_(RUSTFLAGS|LINKER|RUNNER)$"
)


def ignored_files(case: SettingsCase) -> Iterator[Finding]:
    """Config files that cargo does not read, or only where one would not expect it."""
    root = case.settings.root
    for taken, ignored in shadowed(root, case.settings.environ):
        what = f"cargo ignores this file, since {shown(taken, root)} lies beside it"
        yield Finding(
            ERROR, "ignored-file", what, "merge the two and remove the one without ending", shown(ignored, root)
        )
    for path in member_configs(case.workspace):
        what = "cargo reads this file only if it runs in or below that folder; targets run in the workspace root"
        fix = "move what all need to the root's .cargo/config.toml"
        yield Finding(NOTE, "member-config", what, fix, shown(path, root))


def dead_variables(case: SettingsCase) -> Iterator[Finding]:
    """Variables in [env] that cargo itself reads, but from its own environment only."""
    for layer in case.settings.layers:
        for name in layer.table(("env",)) if layer.kind == CONFIG else ():
            if is_read_by_cargo(str(name)):
                what = f"[env] {name} has no effect on cargo, which reads the variable before it reads [env]"
                instead = keys.READ_BY_CARGO.get(str(name), "the key of the same name in this file")
                fix = f"write {instead}" + (f"; {MEND.replace('writes it so', 'takes it out')}" if layer.ours else "")
                yield Finding(ERROR, "dead-variable", what, fix, layer.where(("env", str(name))))


def is_read_by_cargo(name: str) -> bool:
    """Tell whether cargo reads a variable for itself."""
    return name in keys.READ_BY_CARGO or bool(OF_CARGO.match(name))


def machine_paths(case: SettingsCase) -> Iterator[Finding]:
    """Absolute paths in config files that everybody gets."""
    for layer in own_layers(case.settings):
        if layer.file and case.committed(layer.file.path):
            for path, text in _texts(layer.values):
                if MACHINE_PATH.search(text):
                    what = f"{'.'.join(path)} holds a path of one machine: {text}"
                    fix = "set it in the environment, in CARGO_HOME's config.toml, or in a profile with a detector"
                    yield Finding(NOTE, "machine-path", what, fix, layer.where(path))


def _texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*path, str(key)))
    elif isinstance(value, list):
        for text in pairs(words(value)) if path[-1:] == ("rustflags",) else value:
            yield from _texts(text, path)
    elif isinstance(value, str):
        yield path, value


def aliases(case: SettingsCase) -> Iterator[Finding]:
    """Aliases that cannot work: shell commands, names of cargo's own commands, cargo profiles that nobody defines."""
    for layer in case.settings.layers:
        for name, value in layer.table(("alias",)).items() if layer.kind == CONFIG else ():
            command = words(value)
            where = layer.where(("alias", str(name)))
            if command and command[0].startswith("!"):
                what = f"alias.{name} = {toml(value)}: cargo runs no shell; it will look for a command {command[0]!r}"
                yield Finding(ERROR, "alias", what, "take it out; a target of your own can call the program", where)
            if name in keys.COMMANDS:
                what = f"alias.{name} is ignored: {name} is a command of cargo"
                yield Finding(ERROR, "alias", what, "give it another name", where)
            yield from _unknown_profile(case, str(name), command, where)


def _unknown_profile(case: SettingsCase, name: str, command: list[str], where: str) -> Iterator[Finding]:
    asked = [word.partition("=")[2] for word in command if word.startswith("--profile=")]
    asked += [command[i + 1] for i, word in enumerate(command[:-1]) if word == "--profile"]
    for profile in asked:
        if profile not in case.profiles:
            guess = nearest(profile, tuple(case.profiles))
            fix = f"did you mean {guess}?" if guess else f"define [profile.{profile}] in Cargo.toml"
            yield Finding(
                ERROR, "alias", f"alias.{name} asks for the cargo profile {profile}, which is not defined", fix, where
            )


def fixed_jobs(case: SettingsCase) -> Iterator[Finding]:
    """A fixed number of jobs in a file that every machine gets."""
    for layer in own_layers(case.settings):
        found = layer.get(("build", "jobs"))
        if found and isinstance(found.value, int):
            here = f"; this machine has {case.cores} cores" if case.cores else ""
            what = f"build.jobs = {found.value} holds for every machine that checks this out{here}"
            yield Finding(
                NOTE, "jobs", what, "take it out: cargo counts the cores; JOBS=n sets it for one call", found.where
            )


def jobs(case: SettingsCase) -> Setting:
    """Return how many jobs cargo takes without JOBS, and who says so."""
    found = case.settings.first(("build", "jobs"))
    if found is None or found.value in ("default", 0):
        return Setting(case.cores, "the cores that this process may use")
    number = int(str(found.value)) if str(found.value).lstrip("-").isdigit() else case.cores
    return Setting(number if number > 0 else max(1, case.cores + number), found.where)


def silenced_flags(case: SettingsCase) -> Iterator[Finding]:
    """Rustflags that another source of rustflags keeps from rustc."""
    told: set[tuple[str, ...]] = set()
    for flags in all_rustflags(case):
        by_environment = flags.active is not None and flags.active.of_environment
        if not flags.active or not flags.lost or (by_environment and flags.triple != case.host):
            continue
        wanted = [flag for flag in flags.lost if flag != NATIVE or _is_of_this_cpu(flags.triple, case.host)]
        for source in flags.silenced:
            key = (flags.active.name, *source.places)
            if key not in told and set(pairs(source.flags)) & set(wanted):
                told.add(key)
                yield _silenced(flags, source.name, source.places, [f for f in pairs(source.flags) if f in wanted])


def _is_of_this_cpu(triple: str, host: str) -> bool:
    """Tell whether `native` can mean this machine's CPU on a target; elsewhere to leave it out is right."""
    return triple.partition("-")[0] == host.partition("-")[0]


def _silenced(flags: Rustflags, name: str, places: tuple[str, ...], lost: list[str]) -> Finding:
    assert flags.active
    active, fix = flags.active, "write all flags in one of the two: cargo takes one source and never joins them"
    what = f"{name} ({', '.join(lost)}) does not reach rustc on {flags.triple}: {active.name} takes its place"
    if active.of_environment:
        fix = f"unset {active.name}, or add these flags to it"
        return Finding(NOTE, "silenced-flags", what, fix, ", ".join(places))
    return Finding(ERROR, "silenced-flags", f"{what} ({', '.join(active.places)})", fix, ", ".join(places))


def all_rustflags(case: SettingsCase) -> list[Rustflags]:
    """Return the flags of this machine's target, and of every target that a config file has a section for."""
    sections = [key for key in case.settings.keys(("target",)) if not key.startswith("cfg(")]
    triples = [triple for triple in dict.fromkeys([case.host, *sections]) if triple]
    return [resolve(case.settings, triple, lambda triple=triple: case.facts(triple)) for triple in triples]  # type: ignore[misc]


def sccache(case: SettingsCase) -> Iterator[Finding]:
    """A compiler cache beside incremental compilation."""
    wrapper = _wrapper(case)
    if wrapper is None or "sccache" not in os.path.basename(str(wrapper.value)):
        return
    reached = _incremental_variable(case)
    if reached:
        what = f"CARGO_INCREMENTAL=1 ends every build with sccache ({wrapper.where}): sccache refuses to run"
        fix = "take one of the two out; the target dev_fast does without sccache"
        yield Finding(ERROR, "sccache", what, fix, reached)
        return
    for name in ("dev", "release"):
        found = case.profiles[name].keys["incremental"] if name in case.profiles else None
        if found and found.value is True:
            what = f"profile.{name} compiles members incrementally, so sccache ({wrapper.where}) caches none of them"
            fix = f"profile.{name}.incremental = false caches them, dev_fast goes without sccache"
            yield Finding(NOTE, "sccache", what, fix, wrapper.where if found.is_default else found.where)


def _incremental_variable(case: SettingsCase) -> str:
    """Return who sets CARGO_INCREMENTAL=1 for sccache: the environment, or [env], which rustc and its wrapper get."""
    if "CARGO_INCREMENTAL" in case.settings.environ:
        return "CARGO_INCREMENTAL" if case.settings.environ["CARGO_INCREMENTAL"] == "1" else ""
    found = case.settings.first(("env", "CARGO_INCREMENTAL"))
    value = found.value.get("value") if found and isinstance(found.value, Mapping) else found and found.value
    return found.where if found and str(value) == "1" else ""


def _wrapper(case: SettingsCase) -> Setting | None:
    """Return the program that stands before rustc; RUSTC_WRAPPER, even empty, wins."""
    environ = case.settings.environ
    if "RUSTC_WRAPPER" in environ:
        return Setting(environ["RUSTC_WRAPPER"], "RUSTC_WRAPPER") if environ["RUSTC_WRAPPER"] else None
    return case.settings.first(("build", "rustc-wrapper"))
