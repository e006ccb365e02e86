"""Targets that run through the feature sets of a pack: check, lint and test for each set, and all of them in a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from doit_cargo.engine.base.launch import FeatureSet
from doit_cargo.engine.base.model import Target
from doit_cargo.targets import check, test

WORK = ("check", "lint", "test")


def rows(sets: Iterable[FeatureSet]) -> Iterator[Target]:
    """Yield a target for each set and each of `WORK`, and a group over all sets that goes on after a failure."""
    known = {target.name: target for target in (*check.TARGETS, *test.TARGETS)}
    found = list(sets)
    for name in WORK if found else ():
        made = [_of_set(known[name], one) for one in found]
        yield from made
        yield Target(
            name=f"{name}_sets",
            family=known[name].family,
            doc=f"Run {name} with each feature set of the pack: {', '.join(one.name for one in found)}.",
            after=tuple(target.name for target in made),
            keep_going=True,
        )


def _of_set(target: Target, one: FeatureSet) -> Target:
    name = one.name.replace("-", "_")
    return target._replace(
        name=f"{target.name}_set_{name}",
        doc=f"{target.doc.rstrip('.')}, with the feature set {one.name}: {one.words}.",
        package=one.package,
        feature_set=one,
        rule=f"{target.name}_set_<set>",
    )
