"""`doit-cargo guide`: how this workspace is built, in words for a person or a coding agent, made from what is declared.

Everything in it comes from rows, packs, manifests and the history, so that it cannot drift; `--check` fails where the
file says something else. Times differ from computer to computer: they are written, and not compared.
"""

from __future__ import annotations

import argparse
import difflib
import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from doit_cargo.actions import file_to_write
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import DONE, FAILED, Absent, Problem, UserError
from doit_cargo.engine.base.files import read_text
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.execution import history
from doit_cargo.session import Session
from doit_cargo.targets import listing

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan

FILE, AGENTS = "BUILDING.md", "AGENTS.md"
BEGIN, END = "<!-- build guide: written by doit-cargo guide -->", "<!-- end: build guide -->"
TIMES = re.compile(r"## Times\n.*?(?=<!-- end)", re.DOTALL)
# What one does in a workspace, in the order in which one comes to it.
FAMILIES = ("build", "check", "test", "ci", "serve", "python", "bench", "performance", "deps", "deploy")
FOR_AGENTS = ("build", "check", "test", "ci")
MANAGERS = {"Debian, Ubuntu": "apt", "Fedora": "dnf", "macOS": "brew", "Windows": "winget"}


def guide(session: Session, options: argparse.Namespace) -> int:
    """`guide`: write the guide, or with --check compare it; in AGENTS.md only the part between the marks is ours."""
    name = options.output or (AGENTS if options.agents else FILE)
    asked = "" if options.check else options.output or ""
    path = file_to_write(session, asked, name)
    old = read_text(path)
    new = _placed(old, "\n".join([BEGIN, "", *text(session, options.agents), "", END]), path)
    if options.check:
        return _compare(name, old, new)
    atomic.write(path, new)
    print(f"wrote {name}: {counted(len(new.split()), 'word')}")
    return DONE


def _placed(old: str, made: str, path: str) -> str:
    """Return a file with the guide in its place; raises `UserError` for one of somebody else's."""
    if not old:
        return made + "\n"
    if BEGIN not in old or END not in old:
        fix = f"add the lines {BEGIN} and {END} where the guide shall stand, or name another file: --output FILE"
        raise UserError(Problem("this file is not ours to write", fix, path))
    before, _, rest = old.partition(BEGIN)
    return before + made + rest.partition(END)[2]


def _compare(name: str, old: str, new: str) -> int:
    before, now = (TIMES.sub("", each).splitlines() for each in (old, new))
    lines = list(difflib.unified_diff(before, now, name, "as it should be", lineterm="", n=1))
    print("\n".join([*lines, "write it anew: doit-cargo guide"]) if lines else f"{name} is up to date")
    return FAILED if lines else DONE


def text(session: Session, for_agents: bool) -> Iterator[str]:
    """Yield the lines of the guide."""
    rows = [row for row in session.listing if row["available"] and row["listed"]]
    yield "# How this workspace is built"
    yield from ("", *_first_words(for_agents))
    yield from _targets(rows, FOR_AGENTS if for_agents else FAMILIES)
    if not for_agents:
        yield from _members(session)
        yield from _profiles(session)
    yield from _rules(session)
    yield from _needs(session)
    yield from _pitfalls(session)
    if not for_agents:
        yield from _times(session)


def _first_words(for_agents: bool) -> list[str]:
    words = [
        "Each target is run by `doit-cargo TARGET [VAR=value...]`, and skipped if nothing that it rests on changed.",
        "`doit-cargo why TARGET` says what changed, `doit-cargo plan TARGET` what would run, `doit-cargo hint` what",
        "the log of a failed build tells, `doit-cargo doctor TARGET` what this computer lacks.",
    ]
    if for_agents:
        words += [
            "Run targets, not cargo itself: they know features, profiles and tools. `doit-cargo mcp` offers the same",
            "as tools. After a failure read the log that the last line names.",
        ]
    return words


def _targets(rows: Sequence[listing.Row], families: Sequence[str]) -> Iterator[str]:
    chosen = [row for family in families for row in listing.grouped(rows) if row["family"] == family]
    yield from ("", "## Which target for what", "")
    yield from _table(("Target", "What it does"), ((f"`{row['name']}`", _plain(row["doc"])) for row in chosen))


def _members(session: Session) -> Iterator[str]:
    yield from ("", "## Members", "")
    rows = (
        (f"`{one.name}`", ", ".join(f"`{name}`" for name in one.binaries), ", ".join(f"`{f}`" for f in one.features))
        for one in session.workspace.packages.values()
    )
    yield from _table(("Package", "Programs", "Features"), rows)


def _profiles(session: Session) -> Iterator[str]:
    """Yield the profiles that there are here."""
    library = session.library
    profiles = []
    for name in library.pack.profiles:
        try:
            found = library.compose(name)
        except UserError:
            continue
        features = ", ".join(f"`{one.value}`" for one in found.features)
        profiles.append((f"`PROFILE={name}`", _plain(found.doc), features, f"`{found.cargo['profile'].value}`"))
    yield from ("", "## Feature profiles", "")
    yield from _table(("Word", "What it is", "Features", "Cargo profile"), profiles)


def _rules(session: Session) -> Iterator[str]:
    """Yield the rules of the features that members have."""
    rules = [
        (
            f"`{name}`",
            *(", ".join(f"`{one}`" for one in each) for each in (rule.requires, rule.conflicts)),
            ", ".join(rule.platforms),
        )
        for name, rule in session.library.pack.rules.items()
        if any(name in package.features for package in session.workspace.packages.values())
    ]
    if rules:
        yield from ("", "## Rules of features, checked before cargo starts", "")
        yield from _table(("Feature", "Requires", "Excludes", "Only on"), rules)


def _needs(session: Session) -> Iterator[str]:
    """Yield what the default build needs beside Rust, and how each system gets it."""
    from doit_cargo.engine.toolchain.tools import choose_way

    plan = _default(session)
    found = dict(sorted(_wanted(session, plan))) if plan else {}
    yield from ("", "## What it needs", "")
    if not found:
        yield "Rust with a C linker; the crates of `build` ask for nothing else."
        return
    yield from ("Beside Rust with a C linker, as the crates of `build` and its profile ask:", "")
    rows = (
        (f"`{name}`", by, *(_plain(choose_way(get, one)) for one in MANAGERS.values()))
        for name, (by, get) in found.items()
    )
    yield from _table(("What", "For", *MANAGERS), rows)


def _default(session: Session) -> Plan | None:
    try:
        return session.new_plan("build")
    except (Absent, KeyError):
        return None


def _wanted(session: Session, plan: Plan) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each need: its name, who has it, and the ways to get it."""
    from doit_cargo.engine.toolchain.tools import row_of

    for tool in plan.needs:
        yield tool, (f"profile `{plan.profile.name}`", row_of(tool).get)
    for need in session.known(plan, "build", fetch=lambda: None).inferred.needs:
        if not need.doubt:
            yield need.thing, (f"`{need.crate}`", need.get or row_of(need.thing).get)


def _pitfalls(session: Session) -> Iterator[str]:
    """Yield the failures that the workspace's own hints know, and targets that are not here, with the reason: what the
    system lacks is none of the workspace's.
    """
    from doit_cargo.engine import hints
    from doit_cargo.engine.hints import rules

    shipped = {one.name for one in rules.known().hints}
    own = [one for one in hints.load(session.workspace)[0].hints if one.name not in shipped]
    absent = [
        row
        for row in session.listing
        if not (row["available"] or row["rule"]) and row["family"] in FAMILIES and _can_be_mended(row["reason"])
    ]
    if own:
        yield from ("", "## Pitfalls", "")
        yield from _table(
            ("What happens", "What mends it"), ((_plain(one.cause), _plain(_fix(one.fix))) for one in own)
        )
    if absent:
        yield from ("", "## Not in this workspace", "")
        reasons: dict[str, list[str]] = {}
        for row in absent:
            reasons.setdefault(row["reason"], []).append(f"`{row['name']}`")
        yield from (f"- {', '.join(names)}: {_plain(reason)}" for reason, names in reasons.items())


def _can_be_mended(reason: str) -> bool:
    """Tell whether a workspace may come to have what a target lacks: another system or pack is no lack of it."""
    return "this is" not in reason and "pack " not in reason


def _fix(ways: object) -> str:
    return "; ".join(f"{system}: {way}" for system, way in ways.items()) if isinstance(ways, dict) else str(ways)


def _times(session: Session) -> Iterator[str]:
    """Yield the median times of builds on this computer."""
    seconds: dict[tuple[str, str], list[float]] = {}
    for build in history.read(session.state):
        seconds.setdefault((build.target, build.work), []).append(build.seconds)
    rows = [
        (f"`{name}`", work, f"{statistics.median(all_of):.1f} s", str(len(all_of)))
        for (name, work), all_of in sorted(seconds.items())
    ]
    if rows:
        yield from ("", "## Times", "", "On the computer that wrote this; *incremental* compiles a part.", "")
        yield from _table(("Target", "Work", "Median", "Builds"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _plain(words: str) -> str:
    """Return words of others that can stand in a cell of a table."""
    return " ".join(words.split()).replace("|", "\\|").replace("<", "&lt;")
