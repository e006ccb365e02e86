"""A named set of features that a pack lists for check, lint and test: data only."""

from __future__ import annotations

from typing import NamedTuple


class FeatureSet(NamedTuple):
    """Features that belong together (``[feature-sets.NAME]`` of a pack), in the place of a profile's own."""

    name: str
    features: tuple[str, ...] = ()
    default_features: bool = True
    all_features: bool = False
    package: str = "all"
    where: str = ""

    @property
    def words(self) -> str:
        """The set as it stands in a sentence."""
        base = "all features" if self.all_features else "the defaults" if self.default_features else "no defaults"
        return ", ".join([base, *self.features])
