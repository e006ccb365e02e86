"""A mirror of crates.io for one call (REGISTRY): source replacement by `--config`, which wins over every config file.

Cargo book, "Source Replacement". Packages of git repositories and of other registries do not go through it.
"""

from __future__ import annotations

from doit_cargo.engine.base.variables import Values

NAME = "doit-cargo-mirror"


def settings(values: Values) -> list[tuple[str, str]]:
    """Return (dotted key, value) of cargo's configuration, nothing without REGISTRY."""
    index = values.text("REGISTRY")
    return [(f"source.{NAME}.registry", index), ("source.crates-io.replace-with", NAME)] if index else []


def arguments(values: Values) -> list[str]:
    """Return the same as arguments of a cargo call."""
    return [word for key, value in settings(values) for word in ("--config", f'{key}="{value}"')]
