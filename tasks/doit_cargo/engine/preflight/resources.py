"""Disk space and memory before a build, against what past builds of the same target took. Only warnings."""

from __future__ import annotations

import os
from collections.abc import Iterator

from doit_cargo.engine.base.tables import size_of
from doit_cargo.engine.preflight.check_context import OK, WARN, CheckContext, CheckRow
from doit_cargo.engine.preflight.requirements.calls import WITHOUT_COMPILING
from doit_cargo.engine.state.footprint import free_space
from doit_cargo.engine.toolchain import memory

# The smallest debug build of a program fills some 20 MB; a crate of real size some hundred.
FLOOR = 300_000_000


def look_at_disk(look: CheckContext) -> Iterator[CheckRow]:
    """Look whether a build from nothing fits, by the last one's growth; and whether there is any space to speak of."""
    if not _compiles(look) or look.workspace is None:
        return
    directory = look.machine.environ.get("CARGO_TARGET_DIR") or look.workspace.target_directory
    directory = os.path.join(look.workspace.root, directory)
    free, took = free_space(directory), look.past.disk
    wanted = took if took > FLOOR and not _is_built(look) else 0
    if not free or free >= max(FLOOR, wanted):
        yield CheckRow("disk", OK, f"{size_of(free)} free", directory, look.plan.target)
        return
    what = f"{size_of(free)} are free where {directory} is"
    what += f", and a build from nothing has taken {size_of(took)}" if wanted else ""
    fix = "doit-cargo gc, or clean; empty cargo's cache (clean_all CARGO_CACHE=1), or CARGO_TARGET_DIR on a larger disk"
    yield CheckRow("disk", WARN, f"{size_of(free)} free", directory, look.plan.target, what, fix)


def look_at_memory(look: CheckContext) -> Iterator[CheckRow]:
    """Look whether the largest process of a past build would fit into the memory that is free now."""
    if not _compiles(look) or look.workspace is None:
        return
    free, took = memory.available(), look.past.memory
    if not free:
        return
    if not took or free >= took:
        yield CheckRow("memory", OK, f"{size_of(free)} free", "", look.plan.target)
        return
    what = f"{size_of(free)} of memory are free, and one process of the last build took {size_of(took)}"
    fix = "close programs, or fewer jobs and no LTO: JOBS=1, PROFILE=low_memory"
    yield CheckRow("memory", WARN, f"{size_of(free)} free", "", look.plan.target, what, fix)


def _compiles(look: CheckContext) -> bool:
    return look.runs_cargo and bool(look.command) and look.command not in WITHOUT_COMPILING


def _is_built(look: CheckContext) -> bool:
    """Return whether the folder of this cargo profile holds anything: then less than a whole build is to come."""
    return any(os.path.isdir(os.path.dirname(path)) for path in look.plan.outputs)
