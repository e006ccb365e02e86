"""What a workspace is, for the comments that `init` writes: programs, bindings, generated code, features that exclude
each other.

Everything but the exclusions is cargo's own metadata; those are guessed by name and say so. Reads no source file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from doit_cargo.engine.base.model import Package, Workspace
from doit_cargo.engine.plan.features import turned_on

# Groups of features of which people mean one at a time, by the names that crates use.
EXCLUSIVE = (
    ("cuda", "metal", "rocm", "hip", "vulkan", "wgpu", "sycl"),
    ("native-tls", "rustls", "rustls-tls"),
    ("openssl", "rustls"),
    ("tokio", "async-std", "smol"),
    ("runtime-tokio", "runtime-async-std"),
    ("mkl", "accelerate", "openblas"),
    ("sqlite", "postgres", "mysql"),
    ("x11", "wayland"),
)
# A dependency that tells what a package is for.
BINDINGS = {
    "pyo3": "Python (PyO3)",
    "napi": "Node.js (napi)",
    "wasm-bindgen": "WebAssembly (wasm-bindgen)",
    "jni": "Java (JNI)",
    "uniffi": "several languages (UniFFI)",
    "cxx": "C++ (cxx)",
}
GENERATORS = {
    "cbindgen": "writes C headers (cbindgen)",
    "bindgen": "reads C headers (bindgen, needs libclang)",
    "prost-build": "compiles protobuf files (needs protoc)",
    "tonic-build": "compiles protobuf files (needs protoc)",
    "tonic-prost-build": "compiles protobuf files (needs protoc)",
    "cc": "compiles C or C++ (cc)",
    "cmake": "runs cmake",
    "bindgen_cuda": "compiles CUDA (needs nvcc)",
    "cudaforge": "compiles CUDA (needs nvcc)",
}
IGNORED_FOLDERS = frozenset({"target", "node_modules", ".git", ".venv", "vendor"})


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found, each a list of (package, what); `exclusive` are (package, features that seem to exclude each
    other); `satellites` are folders of workspaces that this one does not reach."""

    binaries: tuple[tuple[str, str], ...] = ()
    bindings: tuple[tuple[str, str], ...] = ()
    generators: tuple[tuple[str, str], ...] = ()
    macros: tuple[str, ...] = ()
    benches: tuple[tuple[str, str], ...] = ()
    examples: tuple[tuple[str, str], ...] = ()
    features: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exclusive: tuple[tuple[str, ...], ...] = field(default=())
    satellites: tuple[str, ...] = ()
    build_scripts: tuple[str, ...] = ()


def find(workspace: Workspace) -> Findings:
    """Return what a workspace is."""
    packages = list(workspace.packages.values())
    return Findings(
        binaries=tuple(_targets(packages, "bin")),
        bindings=tuple(_by_dependency(packages, BINDINGS)),
        generators=tuple(_by_dependency(packages, GENERATORS)),
        macros=tuple(p.name for p in packages if any("proc-macro" in t.kinds for t in p.cargo_targets)),
        benches=tuple(_targets(packages, "bench")),
        examples=tuple(_targets(packages, "example")),
        features=tuple((p.name, names) for p in packages if (names := written_features(p))),
        exclusive=tuple(_exclusive(packages)),
        satellites=tuple(_satellites(workspace)),
        build_scripts=tuple(p.name for p in packages if p.has_build_script),
    )


def written_features(package: Package) -> tuple[str, ...]:
    """Return the features to choose from: without those that cargo makes of optional dependencies."""
    return tuple(name for name, on in package.features.items() if name != "default" and on != (f"dep:{name}",))


def _targets(packages: Iterable[Package], kind: str) -> Iterator[tuple[str, str]]:
    for package in packages:
        for target in package.cargo_targets:
            if kind in target.kinds:
                yield package.name, target.name


def _by_dependency(packages: Iterable[Package], known: dict[str, str]) -> Iterator[tuple[str, str]]:
    for package in packages:
        names = dict.fromkeys(dependency.name for dependency in package.dependencies if dependency.kind != "dev")
        for text in dict.fromkeys(known[name] for name in names if name in known):
            yield package.name, text


def _exclusive(packages: Iterable[Package]) -> Iterator[tuple[str, ...]]:
    """Yield each group of features that one package has together, once."""
    seen: dict[tuple[str, ...], None] = {}
    for package in packages:
        for group in EXCLUSIVE:
            found = tuple(name for name in group if name in package.features)
            if len(found) > 1 and not any(found[0] in _closure(package, each) for each in found[1:]):
                seen[found] = None
    yield from seen


def _closure(package: Package, feature: str) -> set[str]:
    """Return what a feature turns on in its own package: one that implies another does not exclude it."""
    return turned_on(package, package.features.get(feature, ()))


def _satellites(workspace: Workspace) -> Iterator[str]:
    """Yield folders below the root with a manifest that is no member's, outermost first."""
    members = {os.path.normpath(package.directory) for package in workspace.packages.values()}
    members.add(os.path.normpath(workspace.root))
    for folder, below, files in os.walk(workspace.root):
        below[:] = sorted(n for n in below if n not in IGNORED_FOLDERS and not n.startswith("."))
        if os.path.normpath(folder) == os.path.normpath(workspace.target_directory):
            below.clear()
        elif "Cargo.toml" in files and os.path.normpath(folder) not in members:
            below.clear()
            yield os.path.relpath(folder, workspace.root).replace(os.sep, "/")
