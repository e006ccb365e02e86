"""What the housekeeping targets do: logs, cargo's cache of downloads, what ran when, measures of the code."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from doit_cargo.actions import LOGS, TEST_LOGS, confirmed
from doit_cargo.actions.maintenance import failures
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError, unknown
from doit_cargo.engine.base.files import bytes_below, read_text
from doit_cargo.engine.base.tables import counted, minute, size_of
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import dir_listing, footprint, journal, receipts
from doit_cargo.engine.toolchain.rustup import cargo_home
from doit_cargo.sharing import savings

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.state.journal import End
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.session import Session

# What cargo can download again (Cargo book, "Cargo Home"); the index it would have to ask anew.
DOWNLOADS = ("registry/cache", "registry/src", "git/db", "git/checkouts")
OTHERS = ("registry/index", "bin", "advisory-db", "advisory-dbs")
LEAST_FREE = 1_000_000_000
CARGO_LOCKS = (".package-cache", ".package-cache-mutate")


def logs(session: Session) -> dict[str, str]:
    """Return name -> path of every log, by the names of their targets."""
    folders = [os.path.join(session.root, name) for name in (LOGS, TEST_LOGS)] + [os.path.join(session.state, "logs")]
    found: dict[str, str] = {}
    for folder in folders:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if name.endswith(".log"):
                found.setdefault(receipts.normalise(name.removesuffix(".log")), os.path.join(folder, name))
    return found


def check_log(session: Session, values: Values) -> None:
    """Require that the log that LOG names is there."""
    if _wanted_log(session, values) not in logs(session):
        raise UserError(unknown("log", values.text("LOG") or "build", tuple(logs(session)), "LOG"))


def _wanted_log(session: Session, values: Values) -> str:
    """Return whose log to show: what LOG names, else what failed last, else the latest build."""
    failed = failures.last(session)
    name = os.path.basename(failed.log) if failed and failed.log else "build"
    return receipts.normalise(values.text("LOG") or name).removesuffix(".log")


def show_log(session: Session, values: Values) -> bool:
    """Print the log of what failed last, else of the latest build, or of the target that LOG names."""
    path = logs(session)[_wanted_log(session, values)]
    with open(path, encoding="utf-8", errors="replace") as stream:
        shutil.copyfileobj(stream, sys.stdout)
    written = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(os.path.getmtime(path)))
    reporter.done("show_log", f"{reporter.relative(path, session.root)}, written {written}")
    return True


def cargo_cache_size(session: Session, _: Any) -> bool:
    """Print how large each part of cargo's home is."""
    home = cargo_home(session.environ)
    sizes = {name: bytes_below(os.path.join(home, *name.split("/"))) for name in (*DOWNLOADS, *OTHERS)}
    for name, size in sizes.items():
        if size:
            again = "  can be downloaded again" if name in DOWNLOADS else ""
            print(f"{size_of(size):>10}  {name}{again}")
    free = shutil.disk_usage(home if os.path.isdir(home) else session.root).free
    total = sum(sizes.values())
    reporter.done("cargo_cache_size", f"{size_of(total)} in {home}; {size_of(free)} free on that disk")
    return True


def clean_cargo_cache(session: Session, values: Values) -> bool:
    """Remove what cargo can download again, after asking: other workspaces use it too."""
    home = cargo_home(session.environ)
    sizes = _downloads(home)
    if not sizes:
        reporter.done("clean_cargo_cache", f"nothing to remove in {home}")
        return True
    for path, size in sizes.items():
        print(f"{size_of(size):>10}  {path}")
    if not confirmed(values, f"Remove {size_of(sum(sizes.values()))}? Every workspace downloads its packages again."):
        raise UserError(Problem("nothing was removed", "YES=1 removes it"), COULD_NOT_RUN)
    removed = empty_downloads(home)
    reporter.done("clean_cargo_cache", f"removed {size_of(sum(removed.values()))} of {home}")
    return True


def _downloads(home: str) -> dict[str, int]:
    paths = (os.path.join(home, *name.split("/")) for name in DOWNLOADS)
    return {path: size for path in paths if (size := bytes_below(path))}


def empty_downloads(home: str) -> dict[str, int]:
    """Remove what cargo can download again; return the sizes of what is gone. Raises `UserError` where a cargo runs."""
    found = _downloads(home)
    with _cargo_kept_out(home) if found else contextlib.nullcontext():
        for path in found:
            shutil.rmtree(path)
    return found


@contextlib.contextmanager
def _cargo_kept_out(home: str) -> Iterator[None]:
    """Hold cargo's own locks of its cache: a download that runs must not lose its files."""
    if os.name == "nt":
        yield
        return
    import fcntl

    with contextlib.ExitStack() as held:
        for name in CARGO_LOCKS:
            stream = held.enter_context(open(os.path.join(home, name), "ab"))
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                what = f"a cargo is using {home} now: nothing was removed"
                raise UserError(Problem(what, "try again when it has ended"), COULD_NOT_RUN) from None
        yield


class OnRecord(NamedTuple):
    """The last success of a result: what of it is now, when it ended (Unix time), and how long it took."""

    target: str
    state: str
    finished: float
    seconds: float

    @property
    def when(self) -> str:
        return minute(self.finished)


def on_record(session: Session) -> list[OnRecord]:
    """Return the last success of each target here, the latest first."""
    found = [one for one in receipts.last_successes(session.state) if session.known_row(one["key"][0])]
    ends = journal.last_of_each(journal.ends(session.state))
    return [_looked_at(session, one, ends) for one in sorted(found, key=lambda each: -float(each["finished"]))]


def _looked_at(session: Session, one: Receipt, ends: Mapping[tuple[str, ...], End]) -> OnRecord:
    receipt, changes = session.verdict_of(one["key"])
    now = journal.since(ends, one["key"]) if receipt is None else "stale" if changes else "up to date"
    return OnRecord(" ".join(one["key"]), now, float(one["finished"]), float(one["seconds"]))


def status(session: Session, values: Values) -> bool:
    """Print each result on record (`test_status`: of tests): whether it holds, when it was made, how long it took."""
    of_tests = session.current == "test_status"
    names = {row["name"] for row in session.listing if row["name"].startswith("test") or not of_tests}
    found = [one for one in on_record(session) if one.target.partition(" ")[0] in names]
    failed = [end for end in journal.failures(session.state) if end.target in names]
    if values.flag("JSON"):
        print(json.dumps([{**one._asdict(), "finished": one.when} for one in found], indent=2))
        return True
    width = max([12, *(len(one.state) for one in found), *(len(end.end) for end in failed)])
    for one in found:
        print(f"{one.state:{width}}  {one.when}  {one.seconds:8.1f} s  {one.target}")
    for end in failed:
        when = minute(end.time)
        print(f"{end.end:{width}}  {when}  {end.seconds:8.1f} s  {' '.join(end.words)}  {end.log}".rstrip())
    if not of_tests:
        _tell_savings(session)
        _warn_of_disk(session)
    text = f"{counted(len(found), 'result')} on record" if found else "no result is on record yet"
    skips = [skip for skip in journal.skips(session.state) if skip.target in names]
    if skips:
        have = "skip has" if len(skips) == 1 else "skips have"
        text += f"; {len(skips)} {have} saved {journal.took(sum(skip.seconds for skip in skips))}"
    if failed:
        text += f"; {journal.summed(failed)}: {failed[-1].asking} tells why, doit-cargo rerun does it again"
    reporter.done(session.current, text)
    return True


def _warn_of_disk(session: Session) -> None:
    """Warn before a build fills the disk: while one more of the largest so far would still fit, but no third."""
    place = session.workspace.kept_in
    free, took = footprint.free_space(place), footprint.largest(session.state)
    if free and free < max(LEAST_FREE, 2 * took):
        past = f", and a build here has taken {size_of(took)}" if took else ""
        text = f"warning: {size_of(free)} are free where {reporter.relative(place, session.root)} is{past}"
        reporter.note(session.current, f"{text}; doit-cargo gc --dry-run shows what can go")


def _tell_savings(session: Session) -> None:
    """Tell what was fetched from other machines instead of being built here, if anything was."""
    fetched = savings.by_target(session.state)
    count, size, minutes = (sum(one[name] for one in fetched) for name in ("count", "bytes", "minutes"))
    if count:
        note = f"{count} result{'' if count == 1 else 's'} of other machines fetched ({size_of(size)})"
        reporter.note(session.current, f"{note}; building them took {savings.time_of(60 * minutes)} there")


MARKS = {
    "unsafe": re.compile(r"\bunsafe\b"),
    "unwrap": re.compile(r"\.(?:unwrap|expect)\("),
    "todo": re.compile(r"\b(?:TODO|FIXME|XXX)\b|\b(?:todo|unimplemented)!"),
    "allow": re.compile(r"#!?\[allow\("),
    "tests": re.compile(r"#\[(?:\w+::)*test\b"),
}


def quality_metrics(session: Session, _: Any) -> bool:
    """Print for each member: files, lines, and how often what reviewers look for stands there."""
    rule = (dir_listing.SOURCES, session.workspace.target_directory, ".rs")
    head = ("package", "files", "lines", *MARKS)
    counts: dict[str, list[int]] = {}
    for name, package in sorted(session.workspace.packages.items()):
        paths = [os.path.join(package.directory, file) for file in dir_listing.list_tree(package.directory, rule)[1]]
        counts[name] = _measures([path for path in paths if session.workspace.owner_of(path) == name])
    total = tuple(map(sum, zip(*counts.values(), strict=True)))
    rows: list[tuple[object, ...]] = [head, *((name, *counted) for name, counted in counts.items()), ("all", *total)]
    width = max(len(str(row[0])) for row in rows)
    for row in rows:
        print(f"{row[0]:{width}}" + "".join(f"{value:>9}" for value in row[1:]))
    reporter.done("quality_metrics", f"{counted(len(counts), 'package')}; counts are of the text, comments included")
    return True


def _measures(paths: list[str]) -> list[int]:
    texts = [read_text(path) for path in paths if os.path.isfile(path)]
    lines = sum(text.count("\n") for text in texts)
    return [len(texts), lines, *(sum(len(mark.findall(text)) for text in texts) for mark in MARKS.values())]
