"""The old path of what `doit_cargo.api` offers: works for one version more, with a warning."""

from __future__ import annotations

import warnings

from doit_cargo.engine.base.model import *  # noqa: F403 - whatever a user's file took from here

warnings.warn(
    "doit_cargo.engine.model is going away: import from doit_cargo.api instead", DeprecationWarning, stacklevel=2
)
