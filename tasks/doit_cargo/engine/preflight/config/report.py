"""The truth about cargo's settings in one workspace: profiles, flags and findings, gathered once.

Puts the other modules of this package together; the only one that asks git, and rustc for the facts of a target.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache

from doit_cargo.engine.base.model import Setting, Workspace
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.base.process.processes import GIT
from doit_cargo.engine.cargo.config.effective import CargoProfile, Value, Values, profiles
from doit_cargo.engine.cargo.config.layers import ConfigLayers
from doit_cargo.engine.preflight.config import findings, lints, unknown_keys
from doit_cargo.engine.preflight.config.findings import ERROR, NOTE, Finding, SettingsCase, member_files

RULES: tuple[Callable[[SettingsCase], Iterator[Finding]], ...] = (
    findings.refused,
    findings.overridden,
    findings.member_profiles,
    findings.lost_strip,
    unknown_keys.misspelt,
    unknown_keys.variables,
    lints.ignored_files,
    lints.dead_variables,
    lints.aliases,
    lints.silenced_flags,
    lints.sccache,
    lints.fixed_jobs,
    lints.machine_paths,
)


def gather(
    workspace: Workspace,
    environ: Mapping[str, str],
    arguments: Mapping[str, Setting] | None = None,
    host: str = "",
    cores: int = 0,
    deliberate: Mapping[str, Setting] | None = None,
) -> SettingsCase:
    """Return the case of a workspace. `arguments` is what a feature profile passes with --config; `deliberate` is what
    the pack says of rules.
    """
    settings = ConfigLayers(workspace.root, environ, arguments)
    composed, refused = profiles(settings)

    @cache
    def facts(triple: str) -> tuple[str, ...]:
        return rustc_facts(triple, workspace.root, environ)

    return SettingsCase(
        settings=settings,
        profiles=composed,
        refused=tuple(refused),
        workspace=workspace,
        host=host,
        facts=facts,
        committed=_committed(workspace.root, environ),
        cores=cores,
        members=member_files(workspace),
        deliberate=deliberate or {},
    )


def look(case: SettingsCase) -> list[Finding]:
    """Return everything that the rules find, errors first."""
    found = [judged(case, finding) for rule in RULES for finding in rule(case)]
    return sorted([*found, *_idle(case, found)], key=lambda finding: finding.severity != ERROR)


def judged(case: SettingsCase, finding: Finding) -> Finding:
    """Return a finding as the workspace has it: what is said to be deliberate is told, and fails nothing."""
    meant = case.deliberate.get(finding.rule)
    if meant is None:
        return finding
    return replace(finding, severity=NOTE, what=f"{finding.what}; deliberate: {meant.value} ({meant.where})", fix="")


def _idle(case: SettingsCase, found: list[Finding]) -> Iterator[Finding]:
    """Yield a note for what is called deliberate and is not found: it is gone, or its rule is misspelt."""
    rules = {finding.rule for finding in found}
    for rule, meant in case.deliberate.items():
        if rule not in rules:
            what = f"{rule} is said to be deliberate, and no rule of that name finds anything here"
            yield Finding(NOTE, "idle", what, "take it out, or correct its name (docs/profiles-truth.md)", meant.where)


def rustc_facts(triple: str, directory: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lines of ``rustc --print cfg`` for a target; none where rustc does not know it."""
    command = ["rustc", "--print", "cfg", *(("--target", triple) if triple else ())]
    return tuple(_output(command, directory, environ).splitlines())


def _committed(root: str, environ: Mapping[str, str]) -> Callable[[str], bool]:
    @cache
    def known() -> frozenset[str] | None:
        listed = _output([*GIT, "ls-files", "-z", "--", ".cargo", "*/.cargo"], root, environ)
        inside = _output([*GIT, "rev-parse", "--is-inside-work-tree"], root, environ).strip() == "true"
        names = (name for name in listed.split("\0") if name)
        return frozenset(os.path.realpath(os.path.join(root, name)) for name in names) if inside else None

    def committed(path: str) -> bool:
        files = known()
        return files is None or os.path.realpath(path) in files

    return committed


def _output(command: list[str], directory: str, environ: Mapping[str, str]) -> str:
    """Return what a program prints, nothing where it fails or is not there."""
    done = processes.answer(command, environ, 20, directory)
    return done.out if done.ok else ""


def to_json(case: SettingsCase, found: list[Finding]) -> dict[str, object]:
    """Return everything as JSON can carry it; docs/profiles-truth.md has the fields."""
    return {
        "profiles": {name: _profile(profile) for name, profile in case.profiles.items()},
        "rustflags": [
            {
                "triple": flags.triple,
                "source": flags.active.name if flags.active else "",
                "flags": list(flags.active.flags) if flags.active else [],
                "where": list(flags.active.places) if flags.active else [],
                "silenced": [source.name for source in flags.silenced],
            }
            for flags in lints.all_rustflags(case)
        ],
        "jobs": {"value": lints.jobs(case).value, "where": lints.jobs(case).where},
        "findings": [
            {"severity": one.severity, "rule": one.rule, "where": one.where, "what": one.what, "fix": one.fix}
            for one in found
        ],
    }


def _profile(profile: CargoProfile) -> dict[str, object]:
    return {
        "chain": list(profile.chain),
        "folder": profile.folder,
        "keys": _values(profile.keys),
        "build_override": _values(profile.build_override),
        "packages": {spec: _values(values) for spec, values in profile.packages.items()},
    }


def _values(values: Values) -> dict[str, object]:
    return {key: _value(value) for key, value in values.items()}


def _value(value: Value) -> dict[str, object]:
    over = [{"value": one.value, "where": one.where} for one in value.over]
    return {"value": value.value, "where": value.where, "over": over}
