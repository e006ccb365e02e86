"""Which targets mean nothing in a workspace, though they would run: those are not listed, and `list --all` says why.

Each is what a row names as its `relevance`: (workspace, library) -> the reason, "" where the target means something.
What cannot be here at all is the catalogue's business.
"""

from __future__ import annotations

from collections.abc import Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Package, Workspace
    from doit_cargo.engine.plan.profiles import Library

BY = "doit_cargo.targets.relevance"
SERVER, CUDA, PYO3, BENCHES = f"{BY}:server", f"{BY}:cuda", f"{BY}:pyo3", f"{BY}:benches"
EXAMPLES, INTEGRATION, LIBRARIES = f"{BY}:examples", f"{BY}:integration", f"{BY}:libraries"


def server(_: Workspace, library: Library) -> str:
    """No package plays the server: the target would do the same as the one without `_server`."""
    return "" if library.pack.roles.get("server") else "is for a pack that says which package is the server"


def cuda(workspace: Workspace, _: Library) -> str:
    """Nothing here can be built with CUDA."""
    known = any("cuda" in name for one in _members(workspace) for name in (*one.features, *_dependencies(one)))
    return "" if known else "is about CUDA, and no member has a feature or dependency of that name"


def pyo3(workspace: Workspace, _: Library) -> str:
    """Nothing here is a Python module."""
    known = any(name.startswith("pyo3") for one in _members(workspace) for name in _dependencies(one))
    return "" if known else "is about Python bindings, and no member depends on pyo3"


def benches(workspace: Workspace, _: Library) -> str:
    """There is no benchmark."""
    return _without(workspace, "bench", "runs benchmarks, and no member has one")


def examples(workspace: Workspace, _: Library) -> str:
    """There is no example."""
    return _without(workspace, "example", "is about examples, and no member has one")


def integration(workspace: Workspace, _: Library) -> str:
    """There is no integration test."""
    return _without(workspace, "test", "runs integration tests (tests/*.rs), and no member has one")


def libraries(workspace: Workspace, _: Library) -> str:
    """There is no library, and so no doc test."""
    kinds = ("lib", "rlib", "proc-macro", "dylib", "cdylib", "staticlib")
    known = any(set(kinds) & set(target.kinds) for one in _members(workspace) for target in one.cargo_targets)
    return "" if known else "is about libraries, and no member has one"


def _members(workspace: Workspace) -> Iterable[Package]:
    return workspace.packages.values()


def _dependencies(package: Package) -> Iterable[str]:
    return (dependency.name for dependency in package.dependencies)


def _without(workspace: Workspace, kind: str, reason: str) -> str:
    known = any(kind in target.kinds for one in _members(workspace) for target in one.cargo_targets)
    return "" if known else reason
