"""What targets rest on that only ask cargo how it resolves the workspace: the answer is kept, and given again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doit_cargo.engine.base.model import ActionInputs
from doit_cargo.engine.cargo import discovery
from doit_cargo.engine.cargo.resolved_from import VENDORED, resolved_from
from doit_cargo.engine.toolchain import pin_candidates

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session


def watch(session: Session, _: Values) -> ActionInputs:
    """Return all that cargo resolves from, and the profiles and packs that shape the question."""
    workspace, library = session.workspace, session.library
    rests = resolved_from(workspace, session.environ)
    places = dict(discovery.member_globs(workspace.root))
    for package in workspace.packages.values():
        places |= discovery.all_discovery_rules(package.directory, everything=True)
    return ActionInputs(
        files=(*rests.files, *pin_candidates(workspace.root, session.environ), *library.pack.files),
        folders={**dict.fromkeys(rests.vendored, VENDORED), **dict.fromkeys(library.directories, ("watched",))},
        listings=places,
        tools=("cargo", "rustc"),
        stamps=rests.downloads,
        answers=True,
    )
