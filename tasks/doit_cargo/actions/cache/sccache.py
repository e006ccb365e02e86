"""Installing sccache and switching it on, its statistics, and emptying its cache.

Each action is (session, values) -> success. What one build makes of the cache is for engine/sccache.py.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from doit_cargo.actions import installing, require_consent
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.files import bytes_below
from doit_cargo.engine.base.tables import size_of
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import sccache
from doit_cargo.engine.plan import settings

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.sccache import Statistics
    from doit_cargo.engine.toolchain.tools import Tool
    from doit_cargo.session import Session

WANTED = ">=0.8"


def program(session: Session) -> Tool:
    """Return sccache; the rows have it checked, so that only a program that cannot tell its version is none."""
    found = session.machine.tool("sccache")
    if found is None:
        raise UserError(Problem("sccache is not here", "doit-cargo setup_sccache"), COULD_NOT_RUN)
    return found


def setup_sccache(session: Session, values: Values) -> bool:
    """Install what is missing, switch the cache on for this checkout, and say how it is configured."""
    steps = []
    if not _is_here(session):
        steps.append(f"install sccache ({' '.join(_installer())})")
    if settings.read(session.root, session.environ).get("sccache") is not True:
        steps.append(f"switch sccache on in {_settings_file(session)}")
    if steps:
        require_consent(values, "setup_sccache", " and ".join(steps))
    if not _is_here(session) and not installing.install(session, "sccache", _installer(), WANTED):
        return False
    settings.write(session.root, session.environ, "sccache", value=True)
    _tell_configuration(session)
    return True


def _is_here(session: Session) -> bool:
    return session.machine.has("sccache", WANTED)


def _installer() -> list[str]:
    """Return the command that installs sccache: into our own environment, but never into the system's Python."""
    if sys.prefix != sys.base_prefix:
        return [sys.executable, "-m", "pip", "install", f"sccache{WANTED}"]
    return ["cargo", "install", "--locked", "sccache"]


def _settings_file(session: Session) -> str:
    return reporter.relative(settings.path_of(session.root, session.environ), session.root)


def _tell_configuration(session: Session) -> None:
    found = program(session)
    reporter.note(
        "setup_sccache", f"{_settings_file(session)}: sccache = true; builds here use it, SCCACHE=0 leaves it out"
    )
    reporter.note(
        "setup_sccache", f"cache: {place_of(storage(session))}; SCCACHE_DIR and SCCACHE_CACHE_SIZE change that"
    )
    for name in sorted(name for name in session.environ if name.startswith("SCCACHE_")):
        reporter.note("setup_sccache", f"from your environment: {name}")
    if session.environ.get("CARGO_INCREMENTAL") == "1":
        reporter.note("setup_sccache", "CARGO_INCREMENTAL=1 is set: sccache refuses that, so builds go without it")
    reporter.done("setup_sccache", f"sccache {found.version} at {found.path}; doit-cargo check_sccache tries it out")


def free_port() -> int:
    """Return a port of this computer that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def own_server(found: Tool, environ: Mapping[str, str], **changes: str) -> Iterator[dict[str, str]]:
    """Give an environment whose sccache server is our own, on a free port; stop that server in the end."""
    own = {name: value for name, value in environ.items() if name != "SCCACHE_SERVER_UDS"}
    own.update(changes, SCCACHE_SERVER_PORT=str(free_port()))
    try:
        yield own
    finally:
        if sccache.is_running(own):
            sccache.ask(found.path, "--stop-server", own)


def storage(session: Session) -> Statistics:
    """Return the statistics of the configured cache: of its running server, else of one started to ask.

    Raises `UserError` (could not run) if none starts or answers.
    """
    found = program(session)
    if sccache.is_running(session.environ):
        return _answer(found, session.environ)
    with own_server(found, session.environ) as environ:
        problem = sccache.start(found.path, environ)
        if problem:
            fix = "correct the SCCACHE_* variables or sccache's own config file, or start the cache that they name"
            raise UserError(Problem(f"sccache's server does not start: {problem}", fix), COULD_NOT_RUN)
        return _answer(found, environ)


def _answer(found: Tool, environ: Mapping[str, str]) -> Statistics:
    told = sccache.statistics(found.path, environ)
    if told is None:
        fix = f"another program may hold its port: set SCCACHE_SERVER_PORT; {found.path} --show-stats tells more"
        raise UserError(Problem("sccache's server does not tell its statistics", fix), COULD_NOT_RUN)
    return told


def place_of(told: Statistics) -> str:
    """Return where a cache is, and how large it may grow."""
    return told.location + (f", up to {told.limit / 2**30:.0f} GiB" if told.limit else "")


def sccache_stats(session: Session, _: Any) -> bool:
    """Show the server's own table."""
    found = program(session)
    if not sccache.is_running(session.environ):
        reporter.note(
            "sccache_stats", f"no server is running, so nothing is counted; cache: {place_of(storage(session))}"
        )
        return True
    answered, said = sccache.ask(found.path, "--show-stats", session.environ)
    print(said)
    return answered


def sccache_zero_stats(session: Session, _: Any) -> bool:
    """Zero the counters; a server that does not run has none."""
    if not sccache.is_running(session.environ):
        reporter.note("sccache_zero_stats", "no server is running: there are no counters")
        return True
    answered, said = sccache.ask(program(session).path, "--zero-stats", session.environ)
    if not answered:
        reporter.failed("sccache_zero_stats", said)
        return False
    reporter.done("sccache_zero_stats", "the counters are at zero")
    return True


def cache_stats_ci(session: Session, values: Values) -> bool:
    """Print the statistics as one table, and put them where CI shows them. Fails below HIT_RATE_MIN."""
    if not sccache.is_running(session.environ):
        problem = Problem("no sccache server is running, so no build has used it", "build with SCCACHE=1 first")
        raise UserError(problem, COULD_NOT_RUN)
    told = _answer(program(session), session.environ)
    rows = _table(told)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value}")
    _write_summary(session.environ.get("GITHUB_STEP_SUMMARY", ""), rows)
    asked = values.text("HIT_RATE_MIN")
    if not asked:
        return True
    if told.counts.cacheable and told.counts.rate >= float(asked):
        reporter.done(
            "cache_stats_ci", f"{told.counts.rate:.0f} % of the cacheable compilations were hits, {asked} % asked"
        )
        return True
    reporter.failed("cache_stats_ci", f"{told.counts.rate:.0f} % of {told.counts.cacheable} were hits, {asked} % asked")
    return False


def _table(told: Statistics) -> list[tuple[str, str]]:
    counts = told.counts
    return [
        ("requests", str(counts.requests)),
        ("hits", str(counts.hits)),
        ("misses", str(counts.misses)),
        ("hit rate", f"{counts.rate:.1f} %" if counts.cacheable else "-"),
        ("errors", str(counts.errors)),
        *((f"never cached: {reason}", str(count)) for reason, count in sorted(counts.not_cached.items())),
        ("cache", place_of(told)),
        ("size", size_of(told.size)),
        ("sccache", told.version),
    ]


def _write_summary(path: str, rows: list[tuple[str, str]]) -> None:
    """Append a Markdown table to the job's summary (GitHub Actions, "Adding a job summary")."""
    if not path:
        return
    lines = ["### Compiler cache", "", "| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)]
    with open(path, "a", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")


def clean_cache(session: Session, values: Values) -> bool:
    """Stop the server and remove what it keeps. Only folders that sccache makes are touched."""
    told = storage(session)
    if not told.folder:
        fix = "empty it with the means of that service; a cache that others share is not ours to empty"
        raise UserError(Problem(f"the cache is not on this computer's disk: {told.location}", fix), COULD_NOT_RUN)
    ours, others = _contents(told.folder)
    is_running = sccache.is_running(session.environ)
    if not ours and not is_running:
        reporter.done("clean_cache", f"nothing of a cache is in {told.folder}, and no server runs")
        return True
    require_consent(values, "clean_cache", f"empty {told.folder} ({size_of(bytes_below(*ours))})")
    if is_running:
        sccache.ask(program(session).path, "--stop-server", session.environ, sccache.START_SECONDS)
    ours, others = _contents(told.folder)  # the server may have written until now
    freed = bytes_below(*ours)
    for path in ours:
        shutil.rmtree(path)
    if others:
        reporter.note("clean_cache", f"left in {told.folder}, not of sccache's making: {', '.join(others[:5])}")
    server = "the server is stopped" if is_running else "no server ran"
    reporter.done("clean_cache", f"{told.folder} is empty: {size_of(freed)} freed; {server}")
    return True


def _contents(folder: str) -> tuple[list[str], list[str]]:
    """Return (folders of sccache's making, names of anything else): a folder for each first digit of a key."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return [], []
    is_ours = {name: name in "0123456789abcdef" or name == "preprocessor" for name in names}
    return [os.path.join(folder, name) for name in names if is_ours[name]], [n for n in names if not is_ours[n]]
