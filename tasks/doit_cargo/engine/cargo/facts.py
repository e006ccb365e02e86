"""What is kept of `cargo metadata` between calls: plain data that `marshal` can store. Types alone."""

from __future__ import annotations

from typing import TypedDict


class DependencyFacts(TypedDict):
    """One dependency of a member, by the name that the manifest gives it."""

    name: str
    path: str
    kind: str
    optional: bool
    features: list[str]
    default_features: bool
    target: str
    # The package's own name where the manifest gives it another, or "".
    package: str


class TargetFacts(TypedDict):
    """One cargo target of a member."""

    name: str
    kinds: list[str]
    path: str
    required_features: list[str]
    documented: bool


class PackageFacts(TypedDict):
    """What is kept of a member."""

    version: str
    manifest: str
    features: dict[str, list[str]]
    targets: list[TargetFacts]
    dependencies: list[DependencyFacts]
    rust_version: str


class Facts(TypedDict):
    """What cargo tells of a workspace, as far as it is kept: plain data."""

    format: int
    root: str
    target_directory: str
    build_directory: str
    default_members: list[str]
    packages: dict[str, PackageFacts]
    cargo_profiles: list[str]
    build_target: str
    resolver: int
    metadata: dict[str, object]
    # The toolchain that answered in the place of a pinned one that is not installed, or "".
    borrowed: str
