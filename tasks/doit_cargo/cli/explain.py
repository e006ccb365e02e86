"""`doit-cargo help TARGET`, `doit help TARGET`: what a target does, takes, needs, rests on and leaves."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from doit_cargo.engine.base.errors import Absent, UserError
from doit_cargo.engine.base.model import ALONE, FREE, MODELS
from doit_cargo.engine.base.secrets import shown_words
from doit_cargo.engine.console import reporter
from doit_cargo.session import CARGO, GROUP, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.targets.listing import Row


WIDTH = 97


def explain(session: Session, names: Iterable[str]) -> None:
    """Print what is to know about each target; raises `UserError` for an unknown one before the first."""
    rows = [session.row(name) for name in names]
    session.variables(*(row["name"] for row in rows))
    for position, row in enumerate(rows):
        print("\n" if position else "", end="")
        print(f"{row['name']}  {row['doc']}")
        for head, lines in _facts(session, row):
            for number, line in enumerate(lines):
                for rest, text in enumerate(_wrapped(line)):
                    print(f"  {head if not number and not rest else '':10} {text}")


def _wrapped(line: str) -> list[str]:
    """Return a line in pieces that fit; what stands in two columns goes on in the second."""
    start = re.match(r"\S+ {2,}", line)
    indent = " " * (start.end() if start else 0)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _facts(session: Session, row: Row) -> Iterator[tuple[str, list[str]]]:
    yield "make", [f"make {row['make_name']}"]
    yield from _work(session, row)
    if row["takes"]:
        yield "variables", _variables(row)
    if row["after"]:
        yield "before it", [", ".join(row["after"])] if row["kind"] != GROUP else []
    each = "-TRIPLE" if "TARGETS" in row["takes"] else ""
    yield "log", [f".logs/{row['make_name']}{each}.log"] if row["kind"] != GROUP else []
    yield "beside it", [_lane(row)] if row["kind"] != GROUP else []


def _work(session: Session, row: Row) -> Iterator[tuple[str, list[str]]]:
    if row["kind"] == GROUP:
        yield "parts", [f"{name}: {session.row(name)['doc']}" for name in row["after"]]
        end = "all parts, whatever becomes of one" if row["keep_going"] else "until one fails"
        yield "runs", [end]
    elif row["kind"] == CARGO:
        yield from _cargo(session, row)
    else:
        yield "needs", [", ".join(row["needs"])] if row["needs"] else []
        yield "inputs", [_watched(session, row)]


def _cargo(session: Session, row: Row) -> Iterator[tuple[str, list[str]]]:
    try:
        plan = session.new_plan(row["name"])
    except Absent:
        return
    except UserError as error:
        yield "problem", [problem.what for problem in error.problems]
        return
    yield "runs", [" ".join(shown_words(plan.invocation.argv))]
    yield "profile", [f"{plan.profile.name}: {plan.profile.doc}"]
    yield "packages", [", ".join(plan.packages)]
    yield (
        "needs",
        [", ".join(f"{name}{specifier}" for name, specifier in {"cargo": "", "rustc": "", **plan.needs}.items())],
    )
    rests = "the sources that cargo names, manifests, Cargo.lock, config files, toolchain, profiles, variables"
    yield "inputs", [f"{rests}{_on_record(session, row)}; skipped while they are the same"]
    yield "outputs", [reporter.relative(path, session.root) for path in plan.outputs]
    yield "", [f"note: {note}" for note in plan.notes]


def _on_record(session: Session, row: Row) -> str:
    receipt, _ = session.verdict(row["name"], explain=True)
    if receipt is None:
        return ""
    return f" ({len(receipt['plan']['files']) + len(receipt['build']['files'])} files on record)"


def _watched(session: Session, row: Row) -> str:
    if "TARGETS" in row["takes"]:
        return "each triple is skipped by itself, while nothing changed for it"
    if not row["watch"]:
        return "it runs each time that it is asked for"
    return f"skipped while what it watches is the same{_on_record(session, row)}"


def _variables(row: Row) -> list[str]:
    from doit_cargo.engine.base.variables import BY_NAME

    shown = [BY_NAME[name] for name in row["takes"]]
    width = max(len(f"{one.name}={one.example}") for one in shown)
    return [f"{f'{one.name}={one.example}':{width}}  {one.doc}" for one in shown]


def _lane(row: Row) -> str:
    texts = {FREE: "anything", ALONE: "nothing: it changes what others use"}
    shared = "models" if row["pool"] == MODELS else "target directory"
    return f"with -n, {texts.get(row['pool'], f'all but targets that use the same {shared}')}"


def exists(session: Session, name: str) -> bool:
    """Tell whether a word is a target of the workspace."""
    return any(row["name"] == name.replace("-", "_") for row in session.listing)
