"""The deploy family: the built programs tried, packed, and the package tried. Rows only."""

from __future__ import annotations

from functools import partial

from doit_cargo.engine.base.model import Target
from doit_cargo.engine.base.variables import CARGO

_ACTIONS = "doit_cargo.actions.deployment"
_of_build = partial(
    Target,
    family="deploy",
    after=("build",),
    takes=CARGO,
    absence="doit_cargo.engine.plan.selection:without_programs",
)

TARGETS: tuple[Target, ...] = (
    _of_build(
        name="verify_binary",
        doc="Build for release and check that the programs are the ones just built and tell a version.",
        action=f"{_ACTIONS}:verify_binary",
    ),
    _of_build(
        name="verify_binary_help",
        doc="Build for release and check that the programs tell their usage.",
        action=f"{_ACTIONS}:verify_binary_help",
    ),
    _of_build(
        name="deploy_package",
        doc="Build for release and pack the programs with README and licence into target/package, with a checksum.",
        action=f"{_ACTIONS}:deploy_package",
    ),
    _of_build(
        name="deploy_verify",
        doc="Unpack the package elsewhere, compare its checksum and see its programs start.",
        action=f"{_ACTIONS}:deploy_verify",
        after=("deploy_package",),
    ),
)
