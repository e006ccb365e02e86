"""What a user should know before cargo starts: flags that the environment drops, another Python, other features.

Notes, never obstacles; worked out only when a target really runs. What has been built in a target directory, the
ledger there remembers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.cargo import pyo3, units
from doit_cargo.engine.cargo.discovery import TESTING_COMMANDS
from doit_cargo.engine.cargo.metadata import dependents
from doit_cargo.engine.cargo.resolver import FeatureGraph, FeatureState
from doit_cargo.engine.execution.evidence.invalidation import Ledger
from doit_cargo.engine.execution.run import Outcome
from doit_cargo.engine.toolchain.triples import plain

if TYPE_CHECKING:
    from doit_cargo.engine.execution.evidence.ledger_data import Features, Variant

SHOWN = 6
KEPT = 40  # variants of one sort that are remembered
# Cargo profiles whose libraries are the same: `cargo test` compiles them with dev.
SAME_LIBRARIES = {"test": "dev", "bench": "release"}
# Read by pyo3-build-config's `find_interpreter` (0.20 to 0.30), each with a rerun-if-env-changed.
ALWAYS = ("PYO3_CONFIG_FILE", "PYO3_ENVIRONMENT_SIGNATURE", "PYO3_NO_PYTHON", "PYO3_CROSS", "PYO3_CROSS_LIB_DIR")
ENVIRONMENTS = ("VIRTUAL_ENV", "CONDA_PREFIX")


def notes(plan: Plan, environ: Mapping[str, str], workspace: Workspace, ledger: Ledger) -> Iterator[str]:
    """Yield the sentences."""
    seen = processes.environment_of(plan.invocation, environ)
    yield from _dropped_flags(plan, seen, workspace)
    yield from _other_python(plan, seen, workspace, ledger)
    yield from _other_features(plan, workspace, ledger)


def learn(plan: Plan, environ: Mapping[str, str], workspace: Workspace, ledger: Ledger, outcome: Outcome) -> None:
    """Remember in the ledger what a call of cargo has built: all variants after a success, pyo3 in any case."""
    report = outcome.report
    if any(unit.package.startswith("pyo3") for unit in report.units):
        seen = processes.environment_of(plan.invocation, environ)
        ledger.data["python"] = {name: seen.get(name, "") for name in read_by_pyo3(seen)}
    if not outcome.ok:
        return
    known = ledger.data.setdefault("variants", {}).setdefault(_kind(plan), [])
    variant = _variant(_state(plan, workspace))
    if variant not in known:
        known.append(variant)
        del known[:-KEPT]


def _dropped_flags(plan: Plan, environ: Mapping[str, str], workspace: Workspace) -> Iterator[str]:
    """Tell of rustflags in config files that a variable takes the place of."""
    if not any(name in environ for name in ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS")):
        return
    from doit_cargo.engine.cargo.config.layers import ConfigLayers
    from doit_cargo.engine.cargo.config.rustflags import pairs, resolve
    from doit_cargo.engine.preflight.config.report import rustc_facts

    triple = _triple(plan, environ, workspace)
    flags = resolve(
        ConfigLayers(workspace.root, environ, plan.profile.config),
        triple,
        lambda: rustc_facts(triple, workspace.root, environ),
    )
    for source in flags.silenced:
        lost = [flag for flag in pairs(source.flags) if flag in flags.lost]
        if lost and flags.active:
            what = f"{flags.active.name} takes the place of {source.name} ({', '.join(source.places)})"
            yield f"{what}: rustc does not get {', '.join(lost)}"


def _triple(plan: Plan, environ: Mapping[str, str], workspace: Workspace) -> str:
    from doit_cargo.engine.toolchain.platform import host_triple

    return plan.invocation.target or environ.get("CARGO_BUILD_TARGET") or workspace.build_target or host_triple()


def read_by_pyo3(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables that pyo3's build script looks at: PYO3_PYTHON, without it the virtual environment,
    without that PATH.
    """
    if environ.get("PYO3_PYTHON"):
        return (*ALWAYS, "PYO3_PYTHON")
    found = (*ALWAYS, "PYO3_PYTHON", *ENVIRONMENTS)
    return found if any(environ.get(name) for name in ENVIRONMENTS) else (*found, "PATH")


def _other_python(plan: Plan, environ: Mapping[str, str], workspace: Workspace, ledger: Ledger) -> Iterator[str]:
    """Tell that pyo3 will be built again, since it was last built here for another Python."""
    # The fingerprints know of calls that were not ours, too.
    told = pyo3.told(profile_folder(plan, environ, workspace))
    known = {name: value or "" for name, value in told.items()} or ledger.data.get("python", {})
    changed = [name for name, value in known.items() if environ.get(name, "") != value]
    if not changed:
        return
    users = _pyo3_users(plan, workspace)
    if users:
        listed = "; ".join(
            f"{name} was {known[name] or 'unset'}, is {environ.get(name) or 'unset'}" for name in changed
        )
        yield (
            f"pyo3 was last built here for another Python ({listed}): it compiles again, and with it {_names(users)}; "
            "one PYO3_PYTHON for all calls avoids that, or a CARGO_TARGET_DIR for each Python"
        )


def profile_folder(plan: Plan, environ: Mapping[str, str], workspace: Workspace) -> str:
    """Return where this call builds, such as ``target/release``."""
    triple = plan.invocation.target or environ.get("CARGO_BUILD_TARGET") or workspace.build_target
    return os.path.join(workspace.kept_in, plain(triple), units.profile_folder(plan.cargo_profile))


def _pyo3_users(plan: Plan, workspace: Workspace) -> tuple[str, ...]:
    """Return the members of this build that rest on pyo3."""
    state = _state(plan, workspace)
    if "pyo3" not in state.outside and "pyo3" not in state.features:
        return ()
    direct = [
        name
        for name in state.features
        if name in workspace.packages and any(edge.name == "pyo3" for edge in workspace.packages[name].dependencies)
    ]
    return tuple(name for name in (*direct, *dependents(workspace, direct)) if name in state.features)


def _state(plan: Plan, workspace: Workspace) -> FeatureState:
    argv = plan.invocation.argv
    tests = argv[1] in TESTING_COMMANDS or "--all-targets" in argv
    default = "--no-default-features" not in argv
    return FeatureGraph.of(workspace).turn_on(plan.packages, plan.features, default, tests)


def _variant(state: FeatureState) -> Variant:
    return _sorted(state.features), _sorted(state.outside)


def _sorted(features: Mapping[str, Iterable[str]]) -> Features:
    return tuple((name, tuple(sorted(found))) for name, found in sorted(features.items()))


def _kind(plan: Plan) -> str:
    """Return the sort of libraries that a call makes: calls of the same sort can share them."""
    argv = plan.invocation.argv
    mode = "check" if argv[1] in ("check", "clippy") else "doc" if argv[1] == "doc" else "build"
    return f"{mode} {SAME_LIBRARIES.get(plan.cargo_profile, plan.cargo_profile)} {plan.invocation.target}"


def _other_features(plan: Plan, workspace: Workspace, ledger: Ledger) -> Iterator[str]:
    """Tell which packages that are built here already must be compiled once more, with other features."""
    known = ledger.data.get("variants", {}).get(_kind(plan), [])
    if not known:
        return
    state = _state(plan, workspace)
    built = [dict(variant[0]) for variant in known]
    members = _new_variants(state.features, built)
    outside = _new_variants(state.outside, [dict(variant[1]) for variant in known])
    again = [f"{name} ({text})" for name, text in {**members, **outside}.items()]
    if again:
        users = [name for name in _resting_on(workspace, members, outside, state) if any(name in one for one in built)]
        compiles, them = ("this compiles", "it") if len(again) == 1 else ("these compile", "them")
        others = f", and with {them} {_names(users)}" if users else ""
        yield f"other features than built here so far: {_names(again)}; {compiles} once more{others}"


def _new_variants(wanted: Mapping[str, Iterable[str]], known: list[dict[str, tuple[str, ...]]]) -> dict[str, str]:
    """Return the packages that were built before, but never with these features, each with what is new."""
    found = {}
    for name, features in wanted.items():
        before = [set(variant[name]) for variant in known if name in variant]
        if before and set(features) not in before:
            found[name] = _difference(set(features), before[-1])
    return found


def _difference(now: set[str], before: set[str]) -> str:
    return " ".join([*(f"+{name}" for name in sorted(now - before)), *(f"-{name}" for name in sorted(before - now))])


def _resting_on(
    workspace: Workspace, members: Mapping[str, str], outside: Mapping[str, str], state: FeatureState
) -> tuple[str, ...]:
    direct = {
        name
        for name, package in workspace.packages.items()
        if any(edge.name in outside for edge in package.dependencies if edge.kind != "dev")
    }
    changed = [*members, *sorted(direct & set(state.features))]
    users = {*changed, *dependents(workspace, changed)} & set(state.features)
    return tuple(sorted(users - set(members)))


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    return shortened(listed, SHOWN)
