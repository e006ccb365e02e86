"""The ci family: what runs before a commit, in CI and before a release. Groups of other targets only."""

from __future__ import annotations

from functools import partial

from doit_cargo.engine.base.model import Target

# CI wants every result of one run, not the first failure of each push.
_all_results = partial(Target, family="ci", keep_going=True)
_until_a_failure = partial(Target, family="ci")

TARGETS: tuple[Target, ...] = (
    _all_results(
        name="ci",
        doc="Run all checks of CI, each once and each whatever becomes of the others.",
        after=("fmt_check", "check", "lint", "test", "check_duplicates"),
    ),
    _all_results(
        name="ci_fast",
        doc="Run the checks of CI that run no tests.",
        after=("fmt_check", "check", "lint", "check_duplicates"),
    ),
    _all_results(
        name="ci_full",
        doc="Run the checks of CI, the documentation, licences and the audit of dependencies.",
        after=("ci", "doc", "deny", "audit"),
    ),
    _until_a_failure(
        name="pre_commit",
        doc="Format, check, lint and test before a commit, until something fails.",
        after=("fmt", "check", "lint", "test"),
    ),
    _until_a_failure(
        name="quick",
        doc="Check formatting and types and run the smoke test, for a look in between.",
        after=("fmt_check", "check", "test_quick"),
    ),
    _until_a_failure(
        name="pre_deploy",
        doc="Run the checks of CI, build for release and try the programs.",
        after=("ci", "build", "verify_binary", "verify_binary_help"),
        requires_all_parts=True,
    ),
    _until_a_failure(
        name="pre_deploy_quick",
        doc="Check types, build for release and try the programs.",
        after=("check", "build", "verify_binary"),
        requires_all_parts=True,
    ),
    _until_a_failure(
        name="smoke_test",
        doc="Build for release and see the programs tell their version and their usage.",
        after=("verify_binary", "verify_binary_help"),
        requires_all_parts=True,
    ),
    _until_a_failure(
        name="smoke_test_quick",
        doc="Build for release and see the programs tell their version.",
        after=("verify_binary",),
        requires_all_parts=True,
    ),
    _until_a_failure(
        name="deploy_check",
        doc="Do all that comes before a release: the checks, the build, the package and its verification.",
        after=("pre_deploy", "deploy_verify"),
        requires_all_parts=True,
    ),
)
