"""How large programs are: by crate and function through cargo-bloat, and over time from the history of builds.

cargo-bloat needs symbols and relinks without `strip`, so it builds into a directory of its own: the programs that
other targets made stay as they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doit_cargo.actions import finished, log_path, planned, run_tool
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, FAILED, Problem, UserError
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.base.tables import counted, minute, size_of
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import history

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.history import Build
    from doit_cargo.session import Session

SHOWN, SHOWN_ANALYSIS = 20, 50
WIDTH = 100  # of the names of functions: generics make them endless
REPORT = "bloat-analysis.txt"
THRESHOLD = history.GROWTH_PERCENT


def check(session: Session, values: Values) -> None:
    """Raise `UserError` for variables that do not fit this workspace, or packages without a program."""
    plan = planned.plan_of(session, values, "build")
    planned.require_program(plan, values.text("BIN"))


def bloat_check(session: Session, values: Values) -> bool:
    """Print what of each program comes from which crate and which function."""
    for package, binary in _programs(session, values):
        for words in (("--crates",), ()):
            if not _bloat(session, values, package, binary, *words, "-n", str(values.number("N") or SHOWN)):
                return False
    reporter.done(session.current, "nothing in the workspace's own target directory was relinked")
    return True


def _programs(session: Session, values: Values) -> list[tuple[str, str]]:
    """Return (package, binary) of the programs to look at."""
    plan = planned.plan_of(session, values, "build")
    found = planned.owners(session, plan)
    wanted = values.text("BIN")
    return [pair for pair in found if not wanted or pair[1] == wanted]


def _bloat(session: Session, values: Values, package: str, binary: str, *words: str) -> bool:
    argv, env, unset = _bloat_call(session, values, package, binary, *words)
    log = log_path(session, f"{session.current}-{binary}")
    outcome = run_tool(session, session.current, argv, env=env, unset=unset, log=log)
    if not outcome.ok:
        return finished(session, session.current, outcome, "", log)
    return True


def _bloat_call(
    session: Session, values: Values, package: str, binary: str, *words: str
) -> tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]:
    """Return the argument list of cargo-bloat for one program, and what to set in and take from the environment."""
    from doit_cargo.engine.base.variables import Values as Typed

    rest = Typed({name: value for name, value in values.by_name.items() if name not in ("PACKAGE", "VERBOSE")})
    directory = planned.scratch_directory(session, "bloat")
    plan = planned.plan_of(session, rest, "bloat", ("--bin", binary, *words), member=package, package="")
    # It sets strip = false by itself, against every profile (tried with 0.12.1, also against --config).
    call = plan.invocation.with_arguments("--target-dir", directory)
    return call.argv, {**call.env, "CARGO_BUILD_BUILD_DIR": directory}, call.unset


@dataclass(frozen=True, slots=True)
class CrateSize:
    """Bytes that a crate has in a program's code."""

    name: str
    size: int


def binary_analysis(session: Session, values: Values) -> bool:
    """Write .logs/bloat-analysis.txt: size and history of each program, its crates and its largest functions."""
    plan = planned.plan_of(session, values, "build")
    shown = values.number("N") or SHOWN_ANALYSIS
    sections = []
    for package, binary in _programs(session, values):
        path = next(path for path in plan.outputs if os.path.splitext(os.path.basename(path))[0] == binary)
        if not os.path.isfile(path):
            raise UserError(Problem(f"{path} is not there", "doit-cargo build makes it"), COULD_NOT_RUN)
        crates = _json(session, values, package, binary, "--crates", "-n", "0")
        functions = _json(session, values, package, binary, "-n", str(shown))
        sections.append("\n".join(_section(session, path, crates, functions, shown)))
    text = "\n\n".join(sections) + "\n"
    place = os.path.join(os.path.dirname(log_path(session, session.current)), REPORT)
    atomic.write(place, text)
    print(text, end="")
    reporter.done(
        session.current, f"{counted(len(sections), 'program')}; report: {reporter.relative(place, session.root)}"
    )
    return True


def _json(session: Session, values: Values, package: str, binary: str, *words: str) -> dict[str, object]:
    """Return cargo-bloat's answer; a failure is told with its log."""
    from doit_cargo.engine.base.model import Invocation

    argv, env, unset = _bloat_call(session, values, package, binary, *words, "--message-format", "json")
    environ = processes.environment_of(Invocation(argv, session.root, env, unset), session.environ)
    done = processes.answer(argv, environ, None, session.root, shows_errors=True)
    if not done.ok:
        what = f"cargo bloat ended with status {done.status}"
        raise UserError(Problem(what, f"bloat_check BIN={binary} shows the same in a log"), FAILED)
    found: dict[str, object] = json.loads(done.out)
    return found


def shares(found: Mapping[str, object], kind: str) -> list[CrateSize]:
    """Return the entries of cargo-bloat's JSON ("crates" or "functions"), the largest first."""
    entries = found.get(kind)
    named = [
        CrateSize(" ".join(filter(None, (entry.get("crate"), entry["name"]))), int(entry["size"]))
        for entry in (entries if isinstance(entries, list) else ())
    ]
    return sorted(named, key=lambda share: -share.size)


def _section(
    session: Session, path: str, crates: dict[str, object], functions: dict[str, object], shown: int
) -> Iterator[str]:
    """Yield the lines about one program. Sizes of crates are those of their code (.text)."""
    code = int(str(crates.get("text-section-size", 0)))
    size = os.path.getsize(path)
    yield f"{reporter.relative(path, session.root)}: {size:,} bytes ({size_of(size)})"
    whole = size_of(_file_size(crates))
    yield f"  code (.text) {size_of(code)}; with symbols the file has {whole}"
    for line in _recent(session, path):
        yield f"  {line}"
    for title, kind, found in (("crates", "crates", crates), ("functions", "functions", functions)):
        yield f"  largest {title}:"
        for share in shares(found, kind)[:shown]:
            text = size_of(share.size)
            yield f"    {100 * share.size / max(code, 1):5.1f} %  {text:>9}  {share.name[:WIDTH]}"


def _file_size(found: dict[str, object]) -> int:
    return int(str(found.get("file-size", 0)))


def _recent(session: Session, path: str) -> Iterator[str]:
    """Yield the last sizes of a program on record."""
    name = os.path.relpath(path, session.workspace.target_directory).replace(os.sep, "/")
    builds = [build for build in history.read(session.state) if build.sizes and name in build.sizes]
    for build in builds[-3:]:
        yield f"{minute(build.time)}  {build.commit or '-':12}  {(build.sizes or {})[name]:>12,} bytes  {build.target}"


def binary_size_track(session: Session, values: Values) -> bool:
    """Print the sizes on record, oldest first, each with its change since the build before of its kind."""
    builds = [build for build in history.read(session.state) if build.sizes and build.work != history.NOTHING]
    rows = [(build, path) for build in builds for path in build.sizes or {}]
    if not rows:
        fix = "every build that makes a program adds a line: doit-cargo build"
        raise UserError(Problem("no size is on record here yet", fix), COULD_NOT_RUN)
    print(f"   {'when':16}  {'commit':12}  {'bytes':>13} {'change':>8}  program, target, features")
    for build, path in rows[-(values.number("N") or SHOWN) :]:
        print(_history_line(build, path, builds))
    reporter.done(session.current, f"{counted(len(builds), 'build')} on record, {counted(len(rows), 'size')}")
    return True


def _history_line(build: Build, path: str, builds: list[Build]) -> str:
    only = build._replace(sizes={path: (build.sizes or {})[path]})
    earlier = [one for one in builds if one is not build and one.time <= build.time]
    grown = next(iter(history.growths(earlier, only)), None)
    change = f"{grown.percent:+.1f}%" if grown else "-"
    features = ",".join(build.features)
    what = f"{path}  {build.target}{f'  [{features}]' if features else ''}"
    return f"   {minute(build.time)}  {build.commit or '-':12}  {(only.sizes or {})[path]:13,} {change:>8}  {what}"


def verify_binary_size(session: Session, values: Values) -> bool:
    """Compare the programs of `build` with the earlier size on record; fail where one grew by more than allowed."""
    allowed = float(values.text("SIZE_THRESHOLD") or history.allowed_growth(session.workspace.settings))
    plan = planned.plan_of(session, values, "build")
    builds = history.read(session.state)
    found = [growth for path in plan.outputs if (growth := _growth_on_disk(session, path, builds))]
    if not found:
        fix = "it is compared with the size of an earlier build: build again after a change"
        raise UserError(Problem("there is no earlier size to compare with", fix), COULD_NOT_RUN)
    for growth in found:
        since = f" since {growth.commit}" if growth.commit else ""
        print(f"   {growth.program:40} {growth.before:13,} -> {growth.after:13,} {growth.percent:+7.1f}%{since}")
    grown = [growth.program for growth in found if history.too_large(growth, allowed)]
    if grown:
        reporter.failed(session.current, f"{', '.join(grown)} grew by more than {allowed:g} %")
        return False
    reporter.done(session.current, f"{counted(len(found), 'program')}, none grew by more than {allowed:g} %")
    return True


def _growth_on_disk(session: Session, path: str, builds: list[Build]) -> history.Growth | None:
    """Return the size of a program as it is, beside the last other size on record of the kind that made it."""
    name = os.path.relpath(path, session.workspace.target_directory).replace(os.sep, "/")
    if not os.path.isfile(path):
        return None
    size = os.path.getsize(path)
    made = next((build for build in reversed(builds) if (build.sizes or {}).get(name) == size), None)
    if made is None:
        return None
    same = [build for build in builds if build.programs.get(name) == made.programs[name]]
    last = next((build for build in reversed(same) if (build.sizes or {})[name] != size), None)
    if last is None:
        return history.Growth(name, size, size, made.commit) if len(same) > 1 else None
    return history.Growth(name, (last.sizes or {})[name], size, last.commit)
