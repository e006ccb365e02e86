"""Whether the feature sets of a pack can be at all: their package, their features, the rules. Knows no platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doit_cargo.engine.base.errors import Absent, Collector, Problem, UserError, unknown
from doit_cargo.engine.base.model import Profile
from doit_cargo.engine.base.variables import parse
from doit_cargo.engine.plan import features
from doit_cargo.engine.plan.selection import select

if TYPE_CHECKING:
    from doit_cargo.engine.base.launch import FeatureSet
    from doit_cargo.session import Session


def problems(session: Session) -> list[Problem]:
    """Return what is wrong with each set of the pack."""
    return [found for one in session.library.pack.feature_sets.values() for found in _problems_of(session, one)]


def _problems_of(session: Session, one: FeatureSet) -> list[Problem]:
    pack, workspace = session.library.pack, session.workspace
    try:
        target = session.targets[f"check_set_{one.name.replace('-', '_')}"]
        packages = select(target, parse({}, {}), workspace, pack, session.machine).packages
    except Absent:
        return [unknown("package or role", one.package, (*workspace.packages, *pack.roles), one.where)]
    asked = features.asked_for(Profile(""), (), Collector(), one)
    try:
        features.require_existing(asked, packages, workspace)
        features.check_rules(asked, features.anywhere(pack.rules), "", "")
    except UserError as error:
        return error.problems
    return []
