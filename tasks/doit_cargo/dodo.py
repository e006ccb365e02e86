"""The old path of `targets_of` and `DOIT_CONFIG`: works for one version more, with a warning."""

from __future__ import annotations

import warnings

from doit_cargo.cli.doit.dodo import DOIT_CONFIG, targets_of

__all__ = ["DOIT_CONFIG", "targets_of"]

warnings.warn("doit_cargo.dodo is going away: import from doit_cargo.api instead", DeprecationWarning, stacklevel=2)
