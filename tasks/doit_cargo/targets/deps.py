"""The deps family: what the workspace depends on, why, in how many versions, and whether it may. Rows only."""

from __future__ import annotations

from functools import partial

from doit_cargo.engine.base.model import ALONE, FREE, Target

_ACTIONS = "doit_cargo.actions.deps.dependencies"
_action = partial(Target, family="deps", pool=FREE)
_WATCH = "doit_cargo.actions.resolved:watch"
_tree = partial(
    _action,
    profile=("check",),
    takes=("PACKAGE", "FEATURES", "PROFILE", "TARGET", "REGISTRY", "FORCE"),
    watch=_WATCH,
)

TARGETS: tuple[Target, ...] = (
    _tree(
        name="deps_tree",
        doc="Show the dependency tree of {package}, or of PACKAGE.",
        action=f"{_ACTIONS}:deps_tree",
        check=f"{_ACTIONS}:check_tree",
        shows=f"{_ACTIONS}:show_tree",
        equivalent_command=("cargo", "tree"),
        package="server",
    ),
    _tree(
        name="deps_duplicates",
        doc="Show the part of the dependency tree that leads to packages in several versions.",
        action=f"{_ACTIONS}:deps_duplicates",
        check=f"{_ACTIONS}:check_tree",
        shows=f"{_ACTIONS}:show_tree",
        equivalent_command=("cargo", "tree", "--duplicates"),
        package="all",
    ),
    _action(
        name="deps_why",
        doc="Show who depends on PACKAGE, up to the members of the workspace, with all features or those of FEATURES.",
        action=f"{_ACTIONS}:deps_why",
        equivalent_command=("cargo", "tree", "--workspace", "--invert"),
        check=f"{_ACTIONS}:check_why",
        watch=_WATCH,
        takes=("PACKAGE", "FEATURES", "TARGET", "REGISTRY", "FORCE"),
    ),
    _action(
        name="deps_update",
        doc="Update Cargo.lock, or PACKAGE in it, after showing what would change and asking.",
        action=f"{_ACTIONS}:deps_update",
        equivalent_command=("cargo", "update"),
        takes=("PACKAGE", "REGISTRY", "YES"),
        pool=ALONE,
    ),
    _action(
        name="check_duplicates",
        doc="Show packages that Cargo.lock has in several versions, and fail beyond DUP_MAX or what the pack allows.",
        action=f"{_ACTIONS}:check_duplicates",
        watch=f"{_ACTIONS}:watch_duplicates",
        takes=("DUP_MAX", "FORCE"),
    ),
    _action(
        name="audit",
        doc="Check Cargo.lock against the RustSec advisory database, with cargo-audit.",
        action="doit_cargo.actions.deps.advisories:audit",
        equivalent_command=("cargo", "audit"),
        check="doit_cargo.actions.deps.advisories:check_database",
        takes=("ADVISORY_DB",),
        needs=("cargo-audit",),
    ),
    _action(
        name="deny",
        doc="Check bans, licences and sources as deny.toml has them, with cargo-deny.",
        action="doit_cargo.actions.deps.advisories:deny",
        equivalent_command=("cargo", "deny", "check", "bans", "licenses", "sources"),
        watch="doit_cargo.actions.deps.advisories:watch_deny",
        takes=("FORCE",),
        needs=("cargo-deny",),
        root_files=("deny.toml",),
    ),
    _action(
        name="deny_advisories",
        doc="Check advisories as deny.toml has them, with cargo-deny and the network.",
        action="doit_cargo.actions.deps.advisories:deny_advisories",
        equivalent_command=("cargo", "deny", "check", "advisories"),
        needs=("cargo-deny",),
        root_files=("deny.toml",),
    ),
)
