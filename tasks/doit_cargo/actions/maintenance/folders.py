"""What the maintenance targets do: folders, cleaning, and what this workspace and machine are.

Each action is (session, values) -> whether it succeeded. Knows the engine, not doit.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from doit_cargo import __version__
from doit_cargo.actions import LOGS, TEST_LOGS, ask
from doit_cargo.actions.maintenance import housekeeping
from doit_cargo.engine.base import atomic, private
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.files import read_text
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.base.process.processes import GIT
from doit_cargo.engine.base.secrets import masked
from doit_cargo.engine.base.tables import counted, size_of
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import build_places
from doit_cargo.engine.state import lock, receipts, store
from doit_cargo.engine.toolchain.rustup import cargo_home

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

LAST_LINES = 15


def setup_dirs(session: Session, _: Any) -> bool:
    """Make the folders for logs, invisible to git."""
    for name in (LOGS, TEST_LOGS):
        folder = os.path.join(session.root, name)
        private.folder(folder)
        ignore = os.path.join(folder, ".gitignore")
        if not os.path.exists(ignore):
            atomic.write(ignore, "*\n")
    reporter.note("setup_dirs", f"{LOGS} and {TEST_LOGS} are there")
    return True


def clean(session: Session, _: Any) -> bool:
    """`cargo clean`, and nothing may count as up to date afterwards."""
    return _clean(session, "clean")


def _clean(session: Session, name: str) -> bool:
    with lock.RunLock(session.state), build_places.held(session.workspace.built_in):
        receipts.forget(session.state)
        status = processes.shown(["cargo", "clean"], session.environ, session.root)
    if status == 0:
        reporter.note(
            name, f"{reporter.relative(session.workspace.target_directory, session.root)} is gone, and all receipts"
        )
    return status == 0


def clean_all(session: Session, values: Values) -> bool:
    """Also test logs, coverage and all logs but the last build's: that is what one reads after a failure.

    Cargo's own cache is shared with other projects: only CARGO_CACHE=1 empties it.
    """
    if not _clean(session, "clean_all"):
        return False
    _remove_older_logs(session)
    _remove(session, "clean_all", (TEST_LOGS, "coverage"))
    if values.flag("CARGO_CACHE"):
        home = cargo_home(session.environ)
        for path, size in housekeeping.empty_downloads(home).items():
            reporter.note("clean_all", f"removed {path}: {size_of(size)}")
    return True


def _remove_older_logs(session: Session) -> None:
    folder = os.path.join(session.root, LOGS)
    older = [name for name in _names(folder) if name not in ("build.log", ".gitignore")]
    for name in older:
        store.remove(os.path.join(folder, name))
    if older:
        reporter.note("clean_all", f"removed {counted(len(older), 'log')}; the last build's stays: {LOGS}/build.log")


def _names(folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def clean_logs(session: Session, _: Any) -> bool:
    """Remove the logs of builds and tests."""
    _remove(session, "clean_logs", (LOGS, TEST_LOGS))
    return True


def clean_tests(session: Session, _: Any) -> bool:
    """Remove test logs and every test program with its fingerprint, so that tests are compiled and run anew."""
    from doit_cargo.actions import testing

    with lock.RunLock(session.state), build_places.held(session.workspace.built_in):
        testing.forget(session.state)
        removed = [path for fingerprint in _test_fingerprints(session) for path in _remove_unit(fingerprint)]
    reporter.note("clean_tests", f"removed {counted(len(removed), 'file')} of test programs")
    _remove(session, "clean_tests", (TEST_LOGS,))
    return True


def _test_fingerprints(session: Session) -> Iterator[str]:
    """Yield the fingerprint folders of units that were compiled as tests, in every profile and target triple."""
    target = glob.escape(session.workspace.kept_in)
    for depth in ("*", os.path.join("*", "*")):
        for mark in glob.glob(os.path.join(target, depth, ".fingerprint", "*", "test-*.json")):
            yield os.path.dirname(mark)


def _remove_unit(fingerprint: str) -> Iterator[str]:
    """Remove what cargo keeps of one unit; its files bear the unit's hash."""
    mark = os.path.basename(fingerprint).rpartition("-")[2]
    dependencies = os.path.join(os.path.dirname(os.path.dirname(fingerprint)), "deps")
    for path in glob.glob(os.path.join(glob.escape(dependencies), f"*-{glob.escape(mark)}*")):
        store.remove(path)
        yield path
    shutil.rmtree(fingerprint, ignore_errors=True)
    yield fingerprint


def _remove(session: Session, name: str, folders: Iterable[str]) -> None:
    for folder in folders:
        path = os.path.join(session.root, folder)
        if os.path.isdir(path):
            try:
                shutil.rmtree(path)
            except OSError as error:
                problem = Problem(
                    f"cannot remove {error.filename}: {error.strerror}", "close what uses it and try again"
                )
                raise UserError(problem, COULD_NOT_RUN) from None
            reporter.note(name, f"removed {folder}")


def version(session: Session, _: Any) -> bool:
    """Print the versions that a bug report needs."""
    print(f"doit-cargo  {__version__}")
    for tool in ("cargo", "rustc"):
        found = session.machine.tool(tool)
        print(f"{tool:11} {found.version if found else _lacking(session, tool)}")
    versions = {package.version for package in session.workspace.packages.values()}
    print(f"workspace   {', '.join(sorted(versions))}")
    return True


def info(session: Session, _: Any) -> bool:
    """Print what was found: workspace, pack, members, toolchain, tools."""
    workspace = session.workspace
    rows = [
        ("workspace", workspace.root),
        ("target directory", workspace.target_directory),
        *(("build directory", path) for path in workspace.built_in[1:]),
        ("pack", session.library.pack.name),
        ("members", f"{len(workspace.packages)}: {', '.join(sorted(workspace.packages))}"),
        ("platform", session.machine.platform),
        ("toolchain", session.machine.toolchain().name),
        *((tool, _found(session, tool)) for tool in ("cargo", "rustc", "linker", "nvcc", "sccache", "python")),
        ("state", session.state),
    ]
    for name, value in rows:
        print(f"{name:17} {value}")
    return True


def _found(session: Session, tool: str) -> str:
    found = session.machine.tool(tool)
    return f"{found.version}  {found.path}" if found else _lacking(session, tool)


def _lacking(session: Session, tool: str) -> str:
    pinned = session.machine.toolchain()
    lacks = pinned.pinned and not pinned.installed and tool in ("cargo", "rustc")
    return f"not found: the pinned toolchain {pinned.name} is not installed" if lacks else "not found"


def diagnose(session: Session, _: Any) -> bool:
    """Print what a bug report needs: versions, workspace, variables, disk, git, the end of the latest log."""
    version(session, None)
    info(session, None)
    for name in sorted(session.environ):
        if name.startswith(("CARGO", "RUST", "CUDA", "NVCC", "DOIT_CARGO")):
            print(f"{name:17} {masked(name, session.environ[name])}")
    usage = shutil.disk_usage(session.root)
    print(f"{'disk':17} {size_of(usage.free)} of {size_of(usage.total)} free")
    git = ask(session, [*GIT, "describe", "--always", "--dirty", "--tags"])
    print(f"{'git':17} {git.out.strip() if git.status == 0 else 'no repository'}")
    found = housekeeping.logs(session)
    if found:
        latest = max(found.values(), key=os.path.getmtime)
        lines = read_text(latest).splitlines()[-LAST_LINES:]
        print(f"the end of {reporter.relative(latest, session.root)}:")
        print("".join(f"  {line}\n" for line in lines), end="")
    return True
