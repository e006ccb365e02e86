"""Where a plan builds: cargo's target and build directory as this very call has them, and one run at a time there.

Several workspaces may share such a directory, so its lock lies in it. Another cargo that waited for ours there may put
its own programs in the place of ours at once. Knows nothing of how what is built is proven.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise

from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import fingerprint
from doit_cargo.engine.state.lock import FileLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from doit_cargo.engine.cargo.messages import BuildReport
    from doit_cargo.engine.execution.evidence.inputs import Inputs
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.execution.run import Outcome

LOCK = ".doit-cargo.lock"
VARIABLES = frozenset({"CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR", "CARGO_HOME"})
SETTINGS = ("target-dir", "build-dir")
# What cargo writes into a directory that it makes itself (bford.info/cachedir): backups leave it out.
TAG = "CACHEDIR.TAG"
TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n"

_held: dict[str, FileLock] = {}


def of(plan: Plan, workspace: Workspace, environ: Mapping[str, str]) -> Workspace:
    """Return the workspace with the directories of this plan: a profile may set others than those of the shell."""
    call = plan.invocation
    words = [value for flag, value in pairwise(call.argv) if flag == "--config"]
    redirected = any(name in VARIABLES for name in (*call.env, *call.unset))
    if not redirected and not any(name in word for word in words for name in SETTINGS):
        return workspace
    from doit_cargo.engine.cargo.metadata import read_directories

    target, build = read_directories(workspace.root, processes.environment_of(call, environ), words)
    return workspace._replace(target_directory=target, build_directory=build)


@contextlib.contextmanager
def held(directories: Iterable[str]) -> Iterator[None]:
    """Hold the locks of these directories; call it with the lock of the workspace's state held.

    All processes take them in one order, by name, and one that holds some and needs more gives them back first: so
    no two can wait for each other.
    """
    wanted = {os.path.realpath(path) for path in directories}
    before = set(_held)
    if wanted <= before:
        yield
        return
    _release(before)
    try:
        _take(before | wanted)
        yield
    finally:
        _release(set(_held) - before)


def _take(directories: Iterable[str]) -> None:
    for directory in sorted(directories):
        lock = FileLock(os.path.join(directory, LOCK))
        try:
            _prepare(directory)
            if not lock.take():
                lock.refuse_ancestor()
                sys.stderr.write(f"waiting for another doit-cargo run that builds in {directory} ({lock.holder()})\n")
                sys.stderr.flush()
                lock.wait()
        except OSError:
            continue  # where we cannot write, cargo cannot either, and tells why
        lock.sign(f", in {os.getcwd()}")
        _held[directory] = lock


def _release(directories: Iterable[str]) -> None:
    for directory in sorted(directories):
        _held.pop(directory).release()


def _prepare(directory: str) -> None:
    """Make a directory as cargo would. Raises OSError."""
    if os.path.isdir(directory):
        return
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, TAG), "w", encoding="ascii") as stream:
        stream.write(TAG_TEXT)


def require(plan: Plan) -> None:
    """Raise `UserError` if something that cargo should have left is not there."""
    missing = [path for path in (*plan.outputs, *plan.writes) if not os.path.exists(path)]
    if missing:
        what = f"cargo ended well, but {missing[0]} is not there"
        raise UserError(Problem(what, f"see the log: {plan.log}"), code=1)


def until_own(
    request: BuildRequest, compiled: Callable[[bool], tuple[Outcome, Inputs]], again: bool
) -> tuple[Outcome, Inputs]:
    """Run cargo, and once more if somebody else has written its outputs since. Raises `UserError` if that goes on."""
    outcome, inputs = compiled(again)
    foreign = _written_since(inputs, outcome.report)
    if not (outcome.ok and foreign):
        return outcome, inputs
    name = os.path.relpath(foreign[0], request.workspace.root)
    reporter.note(request.target, f"another program wrote {name} as soon as cargo had ended: cargo runs once more")
    second, inputs = compiled(True)
    second.seconds += outcome.seconds
    if second.ok and _written_since(inputs, second.report):
        what = f"another program writes {name} whenever cargo has ended"
        raise UserError(Problem(what, "end it, or have it build in a CARGO_TARGET_DIR of its own"), code=1)
    return second, inputs


def _written_since(inputs: Inputs, report: BuildReport) -> list[str]:
    stamps = {path: fingerprint.signature(path) for path in inputs.outputs}
    return [path for path, stamp in stamps.items() if stamp and 0 < report.finished_ns < stamp[3]]
