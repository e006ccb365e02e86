"""Features across a workspace: what each turns on in which package, and what that leaves half on.

Follows Cargo's rules (Cargo book, "Features"): ``feature``, ``dep:NAME``, ``NAME/feature`` and ``NAME?/feature``.
Knows packages and features, and no target of ours.
"""

from __future__ import annotations

from doit_cargo.engine.cargo.resolver.graph import FeatureGraph, FeatureState

__all__ = ["FeatureGraph", "FeatureState"]
