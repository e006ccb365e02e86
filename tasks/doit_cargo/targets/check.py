"""The check family: type checking, formatting and linting. Rows only."""

from __future__ import annotations

from functools import partial

from doit_cargo.engine.base.launch import Service
from doit_cargo.engine.base.model import ALONE, FREE, Target
from doit_cargo.engine.base.variables import CARGO
from doit_cargo.targets import relevance

_check = partial(Target, family="check", command="check", profile=("check",), takes=CARGO)
_clippy = partial(_check, command="clippy", flags=("--all-targets",), passthrough_args=("-D", "warnings"))
_ACTIONS = "doit_cargo.actions"
_action = partial(Target, family="check", pool=FREE)
_format = partial(_action, watch=f"{_ACTIONS}.check.formatting:watch", needs=("rustfmt",))

TARGETS: tuple[Target, ...] = (
    _check(
        name="check",
        doc="Type-check the whole workspace, without packages whose tools are missing here.",
        package="all",
    ),
    _check(
        name="check_server",
        doc="Type-check {package} and what it depends on.",
        package="server",
        relevance=relevance.SERVER,
    ),
    _format(
        name="fmt",
        doc="Format all code, satellites included: Rust by rustfmt, Python by ruff, C, CUDA and Metal by clang-format.",
        action=f"{_ACTIONS}.check.formatting:fmt",
        equivalent_command=("cargo", "fmt", "--all"),
        takes=("FORCE",),
        pool=ALONE,
    ),
    _format(
        name="fmt_check",
        doc="Check that all code is formatted, and name the files that are not.",
        action=f"{_ACTIONS}.check.formatting:fmt_check",
        equivalent_command=("cargo", "fmt", "--all", "--", "--check"),
        takes=("FORCE", "VERBOSE"),
    ),
    _clippy(
        name="lint",
        doc="Lint all cargo targets of the whole workspace with clippy, where warnings are errors.",
        package="all",
    ),
    _clippy(
        name="lint_server",
        doc="Lint all cargo targets of {package} with clippy, where warnings are errors.",
        package="server",
        relevance=relevance.SERVER,
    ),
    _check(
        name="doc",
        doc="Build the documentation of all members, without that of their dependencies.",
        command="doc",
        flags=("--no-deps",),
        package="all",
    ),
    _action(
        name="doc_open",
        doc="Build the documentation and open it in a browser.",
        action=f"{_ACTIONS}.check.documentation:doc_open",
        check=f"{_ACTIONS}.check.documentation:check_package",
        equivalent_command=("cargo", "doc", "--workspace", "--no-deps", "--open"),
        after=("doc",),
        takes=("PACKAGE",),
    ),
    _action(
        name="lint_python",
        doc="Lint the Python code with ruff.",
        action=f"{_ACTIONS}.check.linting:lint_python",
        needs=("ruff",),
    ),
    _action(
        name="lint_fix",
        doc="Let clippy and ruff correct what they can; on a git tree with uncommitted changes only with YES=1.",
        action=f"{_ACTIONS}.check.linting:lint_fix",
        shows=f"{_ACTIONS}.check.linting:show_fix",
        equivalent_command=("cargo", "clippy", "--fix", "--workspace", "--all-targets"),
        takes=(*(name for name in CARGO if name not in ("FORCE", "WITHOUT_PREFLIGHT")), "YES"),
        needs=("clippy", "git"),
        pool=ALONE,
    ),
)


def of_service(service: Service) -> Target:
    """Return the target that checks whether a service of the pack answers."""
    name = service.name.lower().replace("-", "_")
    return Target(
        name=f"check_{name}",
        family="check",
        doc=f"Check that {service.doc or service.name} answers." if service.variable else "Check that there is a GPU.",
        action="doit_cargo.actions.check.service_check:check",
        services=(service.name,),
        relevance="" if service.variable else relevance.CUDA,
        pool=FREE,
    )
