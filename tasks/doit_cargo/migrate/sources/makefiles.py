"""A Makefile as a source of recordings: make itself is asked for its database, inside the box.

Reading a Makefile runs what ``$(shell ...)`` says in it; in the box nothing of that stays. Written for GNU make 3.81 to
4.4: no option that came later.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.paths import which
from doit_cargo.makefile import is_ours
from doit_cargo.migrate.recording.box import TIMED_OUT, Box
from doit_cargo.migrate.recording.lines import ASKS_THE_SHELL, tested_files
from doit_cargo.migrate.sources.source import OF_A_PERSON, OF_MAKE, Old, Source, variables_of

NAMES = ("GNUmakefile", "makefile", "Makefile")
# An old GNUmakefile gets this name, since the shim takes its place.
MOVED_ASIDE = "GNUmakefile.old"
# A goal that no Makefile has: make reads the file and stops.
NO_GOAL = "doit-cargo-asks-for-nothing"
INCLUDE = re.compile(r"^[ \t]*-?s?include[ \t]+(.+)$", re.MULTILINE)
# What make finds out itself while it reads the file, and no stand-in sees.
UNSEEN = (
    (re.compile(r"\$[({](?:wildcard|file)\b(?!\s+[\w./-]+\))"), "takes the files that are there (wildcard)"),
    (re.compile(r"(?<!\$)\$(?:\?|[({]\?[DF]?[)}])"), "asks which files are newer ($?)"),
    (re.compile(r"\$[({](?:if|and|or)\b[^\n]*\$[({]realpath\b"), "takes the files that are there (realpath)"),
    (re.compile(r"\$[({](?:MAKEFLAGS|MFLAGS|MAKE_VERSION|MAKELEVEL|MAKE_HOST|\.FEATURES)\b"), "asks make about itself"),
)
# With these a part of a target may be another thing by itself.
NOT_PARTED = re.compile(
    r"MAKECMDGOALS|\.SECONDEXPANSION|\$[({]eval\b|\.EXTRA_PREREQS|^[^\t#\n:=]*%[^\n:=]*:[^\n:=]*=", re.MULTILINE
)
SHELL = re.compile(r"(?:\$[({]shell\b|!=)(.*)")
OPTIONAL = re.compile(r"^[ \t]*(?:-|s)include[ \t]+([^#\n]+)", re.MULTILINE)
# Files that a Makefile takes if they are there; a workspace's own are, and others' are not ours to move.
ASKED_FOR = re.compile(r"\$[({](?:wildcard|realpath)\s+([\w./-]+)[)}]")
SET_HERE = re.compile(
    r"^ *(?:(?:export|override|private) +)*([A-Za-z_]\w*)[ \t]*(?:[:+!]|::|:::)?=|^ *unexport[ \t]+([\w \t]+)$",
    re.MULTILINE,
)
ALWAYS_THERE = re.compile(r"(?:^|/)Cargo\.|^/|\.\.|\$")
CALLS_MAKE = re.compile(r"\$[({]MAKE[)}]|\bg?make\b")
# A recipe that leaves a file of its target's name says that name.
WRITES = r"(?:>|-[oO]|--output|\b(?:touch|cp|mv|ln|install|mkdir|git|curl|wget|tar|python3?)\b[^\n;&|]*)"
NAMES_ITSELF = re.compile(r"\$(?:@|[({]@[DF]?[)}])")


@dataclass(frozen=True, slots=True)
class MakeTarget:
    """A target of make's database."""

    name: str
    line: int
    parts: tuple[str, ...]
    is_phony: bool
    recipe: tuple[str, ...]
    settings: tuple[str, ...]


def text_of(root: str, path: str) -> str:
    """Return the text of a Makefile with all that it includes by a plain name."""
    seen: dict[str, str] = {}

    def visit(name: str) -> None:
        if name in seen or not os.path.isfile(os.path.join(root, name)):
            return
        with open(os.path.join(root, name), encoding="utf-8", errors="replace") as stream:
            seen[name] = stream.read()
        for words in INCLUDE.findall(seen[name]):
            for word in words.split():
                visit(re.sub(r"\$\((?:CURDIR|dir [^)]*)\)/?", "", word))

    visit(path)
    return "\n".join(seen.values())


def program() -> str:
    """Return the path of make. Raises `UserError` where there is none."""
    names = ("gmake", "make") if "bsd" in sys.platform else ("make", "gmake")
    found = next(filter(None, (which(name, os.environ) for name in names)), None)
    if not found:
        raise UserError(Problem("make is not on PATH", "install GNU make"), COULD_NOT_RUN)
    return found


def source(box: Box, path: str) -> Source:
    """Return a Makefile as a source. Raises `UserError` for one that make cannot read."""
    text = text_of(box.checkout, path)
    make, shell = program(), box.shell("/bin/sh")
    aside: dict[str, str] = {}
    file = path
    if path in (MOVED_ASIDE, NAMES[0]):
        # It is recorded under the name that it had, which its own calls of make look for.
        aside, file, path = _moved_aside(box.checkout, path), MOVED_ASIDE, NAMES[0]

    def call(name: str, given: Mapping[str, str]) -> list[str]:
        words = [f"{key}={value}" for key, value in given.items()]
        return [make, "-f", path, f"SHELL={shell}", *words, *([name] if name else [])]

    database = _database(box, call(NO_GOAL, {}), path, aside)
    plain_database = _database(box, [make, "-f", path, NO_GOAL], path, aside)
    own_shell = re.search(r"^# makefile.*\nSHELL :?= ?(.*)$", plain_database, re.MULTILINE)
    if own_shell:
        box.shell(own_shell[1])
    entries = {entry.name: entry for entry in _entries(database)}
    files = [*_made(box, entries.values(), ""), *(_made_elsewhere(box, text, path) if CALLS_MAKE.search(text) else ())]
    known = [each.path for each in files if each.is_known]
    optional = [name for words in OPTIONAL.findall(text) for name in words.split() if not ALWAYS_THERE.search(name)]
    plain = {name: entry for name, entry in entries.items() if "%" not in name}
    wanted = [each for each in plain.values() if _is_for_people(each)]
    goal = re.search(r"^\.DEFAULT_GOAL :?= ?(.*)$", database, re.MULTILINE)
    return Source(
        kind="make",
        file=file,
        targets=tuple(_old(box, entry, entries, text) for entry in sorted(wanted, key=_place(text))),
        call=call,
        default=goal[1] if goal else "",
        patterns=tuple(name for name in entries if "%" in name),
        variables=variables_of(text),
        gives_environment=True,
        asks_for=tuple(_asked_for([*optional, *ASKED_FOR.findall(text), *tested_files(text), *known])),
        absent=tuple(name for name in optional if not os.path.lexists(os.path.join(box.checkout, name))),
        sets=tuple(sorted(_set_in(text))),
        gone=tuple(name for name in NAMES if name != path and is_ours(os.path.join(box.checkout, name))),
        aside=aside,
        makes=tuple(each.path for each in files),
    )


def _set_in(text: str) -> set[str]:
    names = {name for one, more in SET_HERE.findall(text) for name in (one, *more.split()) if name}
    return names - OF_A_PERSON - OF_MAKE


def _asked_for(names: Iterable[str]) -> Iterator[str]:
    yield from dict.fromkeys(os.path.normpath(name) for name in names if not ALWAYS_THERE.search(name))


@dataclass(frozen=True, slots=True)
class _Made:
    """A target that may be a file; `is_known` where there is one, or its name or its recipe says so."""

    path: str
    is_known: bool


def _made(box: Box, entries: Iterable[MakeTarget], folder: str) -> Iterator[_Made]:
    """Yield the files whose age decides whether make does anything for them."""
    for entry in entries:
        path = os.path.normpath(os.path.join(folder, entry.name))
        is_made = entry.recipe and not entry.is_phony and "%" not in entry.name and entry.name not in NAMES
        if is_made and not ALWAYS_THERE.search(path):
            yield _Made(path, _is_file_name(entry) or os.path.isfile(os.path.join(box.checkout, path)))


def _is_file_name(entry: MakeTarget) -> bool:
    recipe = "\n".join(entry.recipe)
    says_so = re.search(rf"{WRITES}[ =]*[\"']?{re.escape(entry.name)}(?![\w-])", recipe)
    return "/" in entry.name or "." in entry.name.strip(".") or bool(NAMES_ITSELF.search(recipe) or says_so)


def _made_elsewhere(box: Box, text: str, path: str) -> Iterator[_Made]:
    """Yield those of the other Makefiles that a text may give to make, by a folder or a name in it."""
    seen, texts = {os.path.normpath(path)}, [("", text)]
    while texts:
        above, said = texts.pop()
        for word in sorted(set(re.findall(r"[\w./-]+", said))):
            place = os.path.normpath(os.path.join(above, word))
            inside = [os.path.join(place, name) for name in NAMES]
            found = next((each for each in [*inside, place] if os.path.isfile(os.path.join(box.checkout, each))), "")
            is_read = found and (
                found != place or re.search(rf"(?:MAKE[)}}]|\bmake\b)[^\n;&|]*-f *{re.escape(word)}", said)
            )
            if not is_read or found in seen or ALWAYS_THERE.search(place):
                continue
            seen.add(found)
            folder, name = os.path.split(found) if found != place else (above, os.path.relpath(place, above or "."))
            texts.append((folder, text_of(box.checkout, found)))
            with contextlib.suppress(UserError):  # what make cannot read, no target of it can do
                database = _database(box, [program(), "-C", folder or ".", "-f", name, NO_GOAL], found, {})
                yield from _made(box, _entries(database), folder)


def _is_for_people(entry: MakeTarget) -> bool:
    """Tell whether a target does something, and is none that a file of the build asks for."""
    if entry.name == NO_GOAL or entry.name in NAMES or entry.name.endswith(".mk"):
        return False
    return entry.is_phony or bool(entry.recipe) or bool(entry.parts)


def _moved_aside(root: str, path: str) -> dict[str, str]:
    """Return the text of an old GNUmakefile, whose place the shim takes. Raises `UserError` where it cannot move."""
    if path == NAMES[0] and os.path.lexists(os.path.join(root, MOVED_ASIDE)):
        raise UserError(Problem(f"{path} would become {MOVED_ASIDE}, which is there already", "rename it", MOVED_ASIDE))
    try:
        with open(os.path.join(root, path), encoding="utf-8", newline="") as stream:
            return {NAMES[0]: stream.read()}
    except UnicodeDecodeError as error:
        raise UserError(Problem(f"is not UTF-8: {error}", "correct it", path)) from None


def _database(box: Box, words: list[str], path: str, files: Mapping[str, str]) -> str:
    outcome = box.run([words[0], "-pRrq", *words[1:]], box.environment(), files=files)
    said = outcome.err.strip().splitlines() or ["make printed nothing"]
    wrong = [line for line in said if "***" in line and NO_GOAL not in line]
    if "\n# Files\n" in outcome.out and not wrong:
        return outcome.out
    if outcome.status == TIMED_OUT:
        raise UserError(Problem("make does not come to an end with this file", "see what it waits for", path))
    first = next((line for line in said if re.match(r".+?:\d+: ", line)), [*wrong, *said][0])
    place = re.match(r"(.+?:\d+): (.*)", first)
    where, what = (place[1], place[2]) if place else (path, first)
    raise UserError(Problem(f"make cannot read this Makefile: {what}", "correct it; make -n tells the same", where))


def _entries(database: str) -> Iterator[MakeTarget]:
    """Yield the targets and pattern rules of a database."""
    _, _, files = database.partition("\n# Files\n")
    rules = re.search(r"\n# (?:Pattern|Implicit) Rules\n(.*?)\n# (?:\d+|No) implicit rules", database, re.DOTALL)
    for entry in re.split(r"\n\n+", "\n\n".join([rules[1] if rules else "", files])):
        if not entry.startswith("# Not a target:"):
            yield from _entry(entry)


def _entry(entry: str) -> Iterator[MakeTarget]:
    """Yield the target of a paragraph. Lines before its head are its own variables or, as comments, remarks."""
    lines = entry.split("\n")
    settings = tuple(line[2:] for line in lines if re.match(r"# [\w.]+ [:?+!]?= ", line))
    heads = [line for line in lines if re.match(r"[^\s#][^=\n]*?::?(?![=:])", line) and not _is_setting(line)]
    if not heads:
        return
    names, _, parts = heads[0].partition(":")
    place = re.search(r"^#\s+(?:recipe|commands) to execute \(from ['`](.*)', line (\d+)\)", entry, re.MULTILINE)
    recipe = tuple(line[1:] for line in lines if line.startswith("\t"))
    words = tuple(word for word in parts.lstrip(":").replace("|", " ").split() if word)
    phony = any("Phony target" in line for line in lines)
    for name in names.split():
        if not re.match(r"\.[A-Z_]+$|\.$", name):
            yield MakeTarget(name, int(place[2]) if place else 0, words, phony, recipe, settings)


def _is_setting(line: str) -> bool:
    return bool(re.match(r"[^:=]*:\s*(?:export |override )?\s*\w+\s*[:?+!]*=", line))


def _place(text: str) -> Callable[[MakeTarget], tuple[int, str]]:
    """Return the key by which targets are in the order in which they stand in the file."""

    def key(entry: MakeTarget) -> tuple[int, str]:
        found = re.search(rf"^[^#\t\n:=]*(?<![\w-]){re.escape(entry.name)}(?![\w-])[^=\n]*:(?!=)", text, re.MULTILINE)
        return (found.start() if found else 10**9, entry.name)

    return key


def _old(box: Box, entry: MakeTarget, entries: Mapping[str, MakeTarget], text: str) -> Old:
    closure = list(_closure(entry, entries, {}))
    written = "\n".join(line for each in closure for line in (*each.recipe, *each.settings, *each.parts))
    found = re.search(rf"^[^#\t\n:=]*(?<![\w-]){re.escape(entry.name)}(?![\w-])[^=\n]*:(?!=)", text, re.MULTILINE)
    line = text[: found.start()].count("\n") + 1 if found else entry.line
    parts = [each.name for each in closure[1:]]
    # What is asked for together may change what each does.
    parts += ["MAKECMDGOALS"] if re.search(r"MAKECMDGOALS|\bMAKEFLAGS\b.*=", text) else []
    reached = _with_variables(written, text, {each.name for each in closure})
    unsure, decided = _unsure(reached), tuple(_decided(box, closure))
    is_parted = not NOT_PARTED.search(text)
    leads = tuple(_leads_known(box, closure, entries, text)) if is_parted else ()
    # What the file finds out while it is read may be another thing once the first part is there.
    is_read_alike = is_parted and not unsure and not SHELL.search(reached)
    fronts = [names[0] for names in _leads(entry, entries, {}) if len(names) == 1] if is_read_alike else []
    return Old(
        entry.name,
        line,
        reached,
        _skips(decided) or unsure,
        tuple(parts),
        leads,
        () if unsure else decided,
        tuple(fronts),
    )


def _leads_known(
    box: Box, closure: list[MakeTarget], entries: Mapping[str, MakeTarget], text: str
) -> Iterator[tuple[str, ...]]:
    """Yield what a target may begin with, where a run shows all of what comes behind it."""
    for names in dict.fromkeys(_leads(closure[0], entries, {})):
        seen: dict[str, None] = {}
        for name in names:
            found = _entry_of(name, entries)
            _ = list(_closure(found, entries, seen)) if found else []
        rest = [each for each in closure if each.name not in seen]
        written = "\n".join(line for each in rest for line in (*each.recipe, *each.settings))
        reached = _with_variables(written, text, {each.name for each in rest})
        if seen and not _unsure(reached) and not any(_decided(box, rest)):
            yield names


def _leads(entry: MakeTarget, entries: Mapping[str, MakeTarget], seen: dict[str, None]) -> Iterator[tuple[str, ...]]:
    """Yield the beginnings of what make does for a target, as lists of targets: the first of the first, and so on.

    A target that has settings gives them to what it comes after, so there the old file is not asked for a part.
    """
    if entry.name in seen or entry.settings or not entry.parts:
        return
    seen[entry.name] = None
    if first := _entry_of(entry.parts[0], entries):
        yield from _leads(first, entries, seen)
    yield from (entry.parts[:size] for size in range(1, len(entry.parts) + 1))


def _closure(entry: MakeTarget, entries: Mapping[str, MakeTarget], seen: dict[str, None]) -> Iterator[MakeTarget]:
    """Yield a target and all that it comes after."""
    if entry.name in seen:
        return
    seen[entry.name] = None
    yield entry
    for part in entry.parts:
        if found := _entry_of(part, entries):
            yield from _closure(found, entries, seen)


def _entry_of(name: str, entries: Mapping[str, MakeTarget]) -> MakeTarget | None:
    """Return what is said of a target: by its name, or else by a pattern, as one of that name."""
    found = entries.get(name)
    if found and (found.recipe or found.parts or found.is_phony):
        return found
    pattern = next((each for each in entries.values() if _fits(each.name, name)), None)
    if not pattern:
        return found
    before, _, after = pattern.name.partition("%")
    stem = name[len(before) : len(name) - len(after)]
    return replace(pattern, name=name, parts=tuple(part.replace("%", stem, 1) for part in pattern.parts))


def _fits(pattern: str, name: str) -> bool:
    before, percent, after = pattern.partition("%")
    return bool(percent) and bool(before or after) and name.startswith(before) and name.endswith(after)


def _with_variables(written: str, text: str, names: Collection[str]) -> str:
    """Return the recipes of some targets with the assignments of every variable that they reach."""
    definitions: dict[str, list[str]] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        found = re.match(r"[ \t]*(?:export |override |private )*([A-Za-z_]\w*)[ \t]*[:?+!]*=(.*)", line)
        if found:
            definitions.setdefault(found[1], []).append(line)
    # Conditionals, exports and what starts another make count for all; so does a head whose names are made up.
    settings = re.compile(r"\s*((?:else\s+)?ifn?(?:eq|def)\b|(?:un)?export\b)")
    everywhere = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        head = re.match(r"([^\t#=:]*):(?!=)[^=;]*\$[^=;]*", line)
        is_ours = head and (re.search(r"[$%]", head[1]) or not {*head[1].split()}.isdisjoint(names))
        everywhere += [line] if settings.match(line) else [head[0]] if head and is_ours else []
    reached, rest = [written, *everywhere], [written, *everywhere]
    if re.search(r"\$[({]MAKE[)}]|\bmake\b", written):
        return text
    while rest:
        for name in variables_of(rest.pop()):
            lines = definitions.pop(name, [])
            reached += lines
            rest += lines
    return "\n".join(reached)


def _decided(box: Box, closure: list[MakeTarget]) -> Iterator[str]:
    """Yield the files that make may leave as they are: those that are there, or that a name or a recipe tells of."""
    for each in closure:
        is_there = os.path.exists(os.path.join(box.checkout, each.name)) or box.lays_below(each.name)
        if each.recipe and not each.is_phony and (is_there or _is_file_name(each)):
            yield each.name


def _skips(decided: tuple[str, ...]) -> str:
    return f"make skips {decided[0]} while that file is newer than what it is made of" if decided else ""


def _unsure(reached: str) -> str:
    """Return why a run of a target does not show all that it may do."""
    plain = re.sub(r"\\\n", " ", reached)
    if any(ASKS_THE_SHELL.search(text.replace("$$", "$")) for text in SHELL.findall(plain)):
        return "what a $(shell ...) finds out is not seen"
    return next((reason for pattern, reason in UNSEEN if pattern.search(plain)), "")
