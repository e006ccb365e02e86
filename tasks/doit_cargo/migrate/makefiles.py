"""The targets of an existing Makefile, as make itself sees them: names, parts, and the lines that each would run.

Make is asked for its database and for a dry run of each target. A dry run expands variables (and so runs what
``$(shell ...)`` says while it reads the file) but starts no recipe, save lines that begin with ``+``: a target with
such a line is not asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.state.receipts import normalise

SECONDS = 60
NO_TARGET = "# Not a target:"
# A goal that no Makefile has: make reads the file and stops.
NO_GOAL = "doit-cargo-asks-for-nothing"
NO_NAME = re.compile(r"[^a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class OldTarget:
    """A target of a Makefile. `lines` are the expanded lines of its own recipe; `unread` says why there are none."""

    name: str
    line: int
    parts: tuple[str, ...]
    is_phony: bool
    lines: tuple[str, ...] = field(default=())
    unread: str = ""


def name_of(make_name: str) -> str:
    """Return the name of a target for what make calls it."""
    name = NO_NAME.sub("_", normalise(make_name).lower()).strip("_")
    return re.sub("_+", "_", name) if name[:1].isalpha() else f"target_{name}"


def read(path: str, environ: Mapping[str, str]) -> list[OldTarget]:
    """Return the targets of a Makefile in the order in which they stand there; files and patterns are left out.

    Raises `UserError` for a file that make cannot read, or without make.
    """
    if not os.path.isfile(path):
        raise UserError(Problem("there is no such file", "give the Makefile to read", path))
    database = _database(path, environ)
    found = [target for entry in _entries(database) if (target := _target(entry))]
    names = {target.name for target, _ in found}
    wanted = [(target, recipe) for target, recipe in found if target.is_phony or recipe or target.parts]
    wanted.sort(key=lambda pair: (pair[0].line or 10**6, pair[0].name))
    return [_with_lines(target, recipe, path, names, environ) for target, recipe in wanted]


def _database(path: str, environ: Mapping[str, str]) -> str:
    words = ("--print-data-base", "--no-builtin-rules", "--no-builtin-variables", "--question", NO_GOAL)
    done = _make(path, words, environ)
    said = done.err.strip().splitlines() or ["make printed nothing"]
    wrong = [line for line in said if "***" in line and NO_GOAL not in line]
    if "\n# Files\n" in done.out and not wrong:
        return done.out.partition("\n# Files\n")[2]
    raise _unreadable(path, next((line for line in said if re.match(r".+?:\d+: ", line)), [*wrong, *said][0]))


def _unreadable(path: str, said: str) -> UserError:
    place = re.match(r"(.+?:\d+): (.*)", said)
    where, what = (place[1], place[2]) if place else (path, said)
    return UserError(Problem(f"make cannot read this Makefile: {what}", "correct it; make -n tells the same", where))


def _make(path: str, words: tuple[str, ...], environ: Mapping[str, str]) -> processes.Answer:
    folder, name = os.path.split(os.path.abspath(path))
    clean = {key: value for key, value in environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    done = processes.answer(["make", "--file", name, *words], {**clean, "LC_ALL": "C"}, SECONDS, folder)
    if not done.started:
        raise UserError(Problem("make is not on PATH", "install GNU make", path), COULD_NOT_RUN)
    if not done.in_time:
        what = f"make did not answer within {SECONDS} s"
        raise UserError(Problem(what, "see what its $(shell ...) calls wait for", path), COULD_NOT_RUN)
    return done


def _entries(database: str) -> Iterator[str]:
    """Yield the database's paragraphs that are targets."""
    for entry in re.split(r"\n\n+", database.strip()):
        if not entry.startswith(NO_TARGET) and re.match(r"[^\s#%][^=\n]*:", entry):
            yield entry


def _target(entry: str) -> tuple[OldTarget, tuple[str, ...]] | None:
    head, *rest = entry.split("\n")
    name, _, parts = head.partition(":")
    if name.startswith(".") or "%" in name or " " in name.strip():
        return None
    place = re.search(r"^# +recipe to execute \(from '.*', line (\d+)\)", entry, re.MULTILINE)
    recipe = tuple(line[1:] for line in rest if line.startswith("\t"))
    words = tuple(word for word in parts.lstrip(":").partition("|")[0].split() if word)
    phony = any("Phony target" in line for line in rest)
    return OldTarget(name.strip(), int(place[1]) if place else 0, words, phony), recipe


def _with_lines(
    target: OldTarget, recipe: tuple[str, ...], path: str, names: set[str], environ: Mapping[str, str]
) -> OldTarget:
    parts = tuple(part for part in target.parts if part in names)
    made = replace(target, parts=parts)
    if not recipe:
        return made
    if any(re.match(r"[@-]*\+", line) for line in recipe):
        unread = "its recipe has a line that begins with +, which make runs even in a dry run"
        return replace(made, unread=unread)
    leave = tuple(word for part in target.parts for word in ("--old-file", part))
    done = _make(path, ("--dry-run", "--always-make", *leave, "--", target.name), environ)
    if done.status:
        return replace(made, unread=next(iter(done.err.strip().splitlines()), "make failed"))
    return replace(made, lines=tuple(_joined(done.out)))


def _joined(text: str) -> Iterator[str]:
    """Yield lines, those that end in a backslash with what follows them; without make's own remarks."""
    waiting = ""
    for line in text.splitlines():
        waiting += line
        if waiting.endswith("\\"):
            waiting = waiting[:-1] + " "
        else:
            if waiting.strip() and not re.match(r"make(\[\d+\])?: ", waiting):
                yield waiting
            waiting = ""
    if waiting.strip():
        yield waiting
