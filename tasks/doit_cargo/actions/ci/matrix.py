"""`doit-cargo matrix`: the jobs of a build service, from the feature sets and triples of the pack.

One job runs `ci`; each feature set of the pack is checked and tested, and each of its triples is checked.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.actions.features import set_problems
from doit_cargo.engine.base.errors import DONE, UserError
from doit_cargo.engine.base.tables import aligned

if TYPE_CHECKING:
    from doit_cargo.session import Session

FIRST = "ci JUNIT=1"


class MatrixJob(NamedTuple):
    """A job: its name, the words that doit-cargo gets, and the triple whose standard library it needs."""

    name: str
    words: str
    triple: str = ""


def jobs(session: Session) -> list[MatrixJob]:
    """Return the jobs of a workspace. Raises `UserError` for a feature set that no job could run."""
    if wrong := set_problems(session):
        raise UserError(wrong)
    pack = session.library.pack
    names = [name.replace("-", "_") for name in pack.feature_sets]
    sets = [MatrixJob(f"set {name}", f"check_set_{name} test_set_{name}") for name in names]
    triples = [MatrixJob(f"check {triple}", f"check TARGET={triple}", triple) for triple in pack.platform_triples]
    return [MatrixJob("ci", FIRST), *sets, *triples]


def matrix(session: Session, options: argparse.Namespace) -> int:
    """`matrix`: the jobs; as JSON on one line, in the form that GitHub's `fromJSON` takes."""
    found = jobs(session)
    if options.json:
        print(json.dumps({"include": [job._asdict() for job in found]}))
    else:
        print(aligned([("job", "doit-cargo"), *((job.name, job.words) for job in found)]))
    return DONE
