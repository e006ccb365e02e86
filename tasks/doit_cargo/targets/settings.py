"""The settings family: what cargo's profiles, flags and features really come to, and the mend. Rows only."""

from __future__ import annotations

from doit_cargo.engine.base.model import CARGO as ONE_AT_A_TIME
from doit_cargo.engine.base.model import FREE, Target
from doit_cargo.engine.base.variables import CARGO

_WATCH = "doit_cargo.actions.resolved:watch"


def _action(
    name: str,
    module: str,
    doc: str,
    takes: tuple[str, ...],
    after: tuple[str, ...] = (),
    packs: tuple[str, ...] = (),
    absence: str = "",
    watch: str = "",
) -> Target:
    return Target(
        name=name,
        family="settings",
        doc=doc,
        action=f"doit_cargo.actions.{module}:{name}",
        takes=takes,
        after=after,
        packs=packs,
        absence=absence,
        watch=watch,
        pool=FREE if watch else ONE_AT_A_TIME,
    )


TARGETS: tuple[Target, ...] = (
    _action(
        "check_profiles",
        "cargo_settings.profiles",
        "Show what each cargo profile comes to and who sets it, and fail on dead, silenced or refused settings.",
        ("PROFILE", "VERBOSE", "JSON"),
    ),
    _action(
        "fix_profiles",
        "cargo_settings.profiles",
        "Move all cargo profiles to the workspace's Cargo.toml, with the same effect, after showing the difference.",
        ("YES",),
    ),
    _action(
        "check_rustflags",
        "cargo_settings.profiles",
        "Show which rustflags reach rustc, and fail if RUSTFLAGS or a target section drops the workspace's own.",
        ("PROFILE",),
    ),
    _action(
        "check_tokio_cfg",
        "cargo_settings.profiles",
        "Check that --cfg tokio_unstable reaches rustc on every target, which the runtime's console needs.",
        ("PROFILE",),
        packs=("dynamo",),
    ),
    _action(
        "check_jobs",
        "cargo_settings.profiles",
        "Show how many jobs cargo runs here and who says so, and fail on a number fixed for every machine.",
        ("JOBS",),
    ),
    _action(
        "verify_profile",
        "cargo_settings.verify",
        "Compare the flags that cargo gives rustc with what the cargo profile says, without compiling anything.",
        ("PROFILE", "PACKAGE", "FEATURES", "TARGET", "FORCE"),
        watch=_WATCH,
    ),
    _action(
        "verify_strip",
        "cargo_settings.verify",
        "Read the symbol tables of the built programs and compare them with the strip setting of the cargo profile.",
        CARGO,
        after=("build",),
        absence="doit_cargo.engine.plan.selection:without_programs",
    ),
    _action(
        "validate_features",
        "features",
        "Check FEATURES against the manifests and the rules of the pack, or without FEATURES every feature profile "
        "and feature set.",
        ("FEATURES", "PACKAGE", "PROFILE", "TARGET", "FORCE"),
        watch=_WATCH,
    ),
    _action(
        "feature_docs",
        "features",
        "Write the page of all features: what each turns on, its rules, and the profiles that use it.",
        ("OUTPUT",),
    ),
)
