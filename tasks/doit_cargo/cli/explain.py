"""`doit-cargo help TARGET`, `doit help TARGET`: what a target does, takes, needs, rests on and leaves."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator

from doit_cargo.engine.base.errors import Absent, UserError
from doit_cargo.engine.base.model import ALONE, FREE, MODELS
from doit_cargo.engine.base.secrets import shown_words
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.console import reporter, screen
from doit_cargo.session import CARGO, GROUP, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.targets.listing import Row


WIDTH, HEAD, NARROW = 111, 14, 79
# Of these an example from the workspace says more.
OF_HERE = ("FEATURES", "PACKAGE")


def explain(session: Session, names: Iterable[str]) -> None:
    """Print what is to know about each target; raises `UserError` for an unknown one before the first."""
    rows = [session.row(name) for name in names]
    session.variables(*(row["name"] for row in rows))
    for position, row in enumerate(rows):
        print("\n" if position else "", end="")
        tell(row["name"], row["doc"], _facts(session, row))


def tell(name: str, doc: str, facts: Iterable[tuple[str, list[str]]]) -> None:
    """Print what a word is, and facts about it under their heads."""
    first, *rest = screen.wrapped(f"{name}  {doc}", screen.width(WIDTH) - 1, "  ")
    print("\n".join([screen.bold(name) + first[len(name) :], *rest]))
    for head, lines in facts:
        for number, line in enumerate(lines):
            for more, text in enumerate(_wrapped(line)):
                print(f"  {head if not number and not more else '':10} {text}")


def _wrapped(line: str) -> list[str]:
    """Return a line in pieces that fit; what stands in two columns goes on in the second."""
    start = re.match(r"\S+ {2,}", line)
    room = screen.width(WIDTH) - HEAD - 1
    hang = start.end() if start and start.end() < room // 2 else 2
    longest = max(map(len, line.split()), default=0)  # which is never broken
    return list(screen.wrapped(line, room, " " * max(2, min(hang, room - longest))))


def _facts(session: Session, row: Row) -> Iterator[tuple[str, list[str]]]:
    yield "make", [f"make {row['make_name']}"]
    yield from _work(session, row)
    if row["takes"]:
        yield "variables", _variables(session, row)
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
    yield "runs", [shlex.join(shown_words(plan.invocation.argv))]
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
    return f" ({counted(len(receipt['plan']['files']) + len(receipt['build']['files']), 'file')} on record)"


def _watched(session: Session, row: Row) -> str:
    if "TARGETS" in row["takes"]:
        return "each triple is skipped by itself, while nothing changed for it"
    if not row["watch"]:
        return "it runs each time that it is asked for"
    return f"skipped while what it watches is the same{_on_record(session, row)}"


def _variables(session: Session, row: Row) -> list[str]:
    """Return a line a variable, with an example where there is room for it."""
    from doit_cargo.engine.base.variables import BY_NAME

    roomy = screen.width(WIDTH) > NARROW
    heads = {name: f"{name}={example_of(session, name)}" if roomy else name for name in row["takes"]}
    width = max(map(len, heads.values()))
    return [f"{head:{width}}  {BY_NAME[name].doc}" for name, head in heads.items()]


def example_of(session: Session, name: str) -> str:
    """Return a value of a variable, one of this workspace where it has such; it is valid in any case."""
    from doit_cargo.cli.shell import completion
    from doit_cargo.engine.base.variables import BY_NAME

    if name not in OF_HERE:
        return BY_NAME[name].example
    known = [word for word, _ in completion.values(completion.kept(session.start), f"{name}=")]
    own = [word.partition("=")[2] for word in known if not word.endswith(("=all", "=default"))]
    return own[0] if own else BY_NAME[name].example


def _lane(row: Row) -> str:
    texts = {FREE: "anything", ALONE: "nothing: it changes what others use"}
    shared = "models" if row["pool"] == MODELS else "target directory"
    return f"with -n, {texts.get(row['pool'], f'all but targets that use the same {shared}')}"


def exists(session: Session, name: str) -> bool:
    """Tell whether a word is a target of the workspace."""
    return any(row["name"] == name.replace("-", "_") for row in session.listing)
