"""`doit-cargo completion SHELL`: a script for bash, zsh or fish, and the words that it asks for while one types.

The words come from the listing that the state keeps, without cargo: a shell that waits is worse than one that knows
nothing. Knows the shells' own languages only as the templates have them.
"""

from __future__ import annotations

import os

from doit_cargo.engine.base.errors import DONE, Problem, UserError, unknown
from doit_cargo.engine.base.plain_text import one_line
from doit_cargo.engine.state import receipts, store
from doit_cargo.targets import commands
from doit_cargo.targets.commands import CARGO_WORDS, COMMANDS, GENERAL, OPTIONS, RUNNING, SHELLS, TARGETS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator
    from typing import Any

    from doit_cargo.session import Session
    from doit_cargo.targets.listing import Row

ASK = "complete"
SHORT = {"-w": "workspace", "-n": "process"}
# Variables whose value is a list.
LISTS = ("FEATURES", "PACKAGE", "TARGETS", "COVERAGE")


def completion(_: Session, options: argparse.Namespace) -> int:
    """`completion`: print the script of a shell."""
    if len(options.targets) != 1:
        what = "completion needs the name of one shell"
        raise UserError(Problem(what, 'for example: eval "$(doit-cargo completion bash)" in ~/.bashrc'))
    if options.targets[0] not in SHELLS:
        raise UserError(unknown("shell", options.targets[0], SHELLS))
    print(script(options.targets[0]), end="")
    return DONE


def script(shell: str) -> str:
    """Return the script of a shell, which asks us for words and knows none itself."""
    from importlib import resources

    return resources.files("doit_cargo").joinpath("templates", "completion", f"doit-cargo.{shell}").read_text("utf-8")


# --- the words -------------------------------------------------------------------------------------------------------


def words(argv: list[str]) -> list[tuple[str, str]]:
    """Return what can stand in the place of the last word, each with what it is; nothing where nothing is known.

    `argv` begins with the program (make's words are spelt with dashes and are targets alone); the last may be empty.
    """
    program, *before, last = argv if len(argv) > 1 else [*argv, ""]
    known = kept(_start_in(before))
    if os.path.basename(program) in ("make", "gmake"):
        return _fitting(_of_make(known, before, last), last)
    return _fitting(_after(known, before, last), last)


def _start_in(before: list[str]) -> str:
    places = [before[number + 1] for number, word in enumerate(before[:-1]) if word in ("-w", "-C")]
    return os.path.abspath(places[0] if places else "")


def kept(start: str) -> dict[str, Any]:
    """Return the listing and cargo's facts as the last call has kept them, however old: nothing is run for a word."""
    root, _ = receipts.find_root(start, os.environ)
    state = store.state_directory(root, os.environ) if root else ""
    listing: Any = store.load(os.path.join(state, "catalogue"))
    facts: Any = store.load(os.path.join(state, "workspace"))
    rows = listing["value"] if isinstance(listing, dict) else ()
    return {"rows": [row for row in rows if row["available"] and row["listed"]], "facts": facts, "root": root}


def _fitting(found: Iterable[tuple[str, str]], last: str) -> list[tuple[str, str]]:
    begin = last.replace("-", "_") if not last.startswith("-") else last
    return [(word, text) for word, text in found if word.startswith(last) or word.replace("-", "_").startswith(begin)]


def _of_make(known: dict[str, Any], before: list[str], last: str) -> Iterator[tuple[str, str]]:
    yield from values(known, last) if "=" in last else ()
    yield from ((row["make_name"], row["doc"]) for row in known["rows"])
    yield from ((name, COMMANDS[name].doc) for name in commands.OF_MAKE)
    yield from _still(known, ("make",))
    yield from _variables(known, before)


def _after(known: dict[str, Any], before: list[str], last: str) -> Iterator[tuple[str, str]]:
    command = next((word for word in before if word in COMMANDS), "")
    option = _option(before[-1]) if before else None
    name, equals, value = last.partition("=")
    if option and option.metavar:
        yield from _offered(known, option.offers, last)
    elif last.startswith("-") and equals:
        found = _option(name)
        yield from ((f"{name}={word}", text) for word, text in _offered(known, found.offers if found else (), value))
    elif equals:
        yield from values(known, last)
    elif last.startswith("-"):
        own = {one: OPTIONS[one] for one in COMMANDS[command].options} if command else RUNNING
        yield from ((f"--{one}", row.doc) for one, row in {**own, **GENERAL}.items())
    elif command:
        yield from _words_of(known, command, before, last)
    elif "help" in before:
        yield from _offered(known, (commands.TARGET,), last)
        yield from ((one, row.doc) for one, row in {**COMMANDS, **_all_variables()}.items())
    else:
        yield from _targets(known, before)
        yield from ((one, row.doc) for one, row in COMMANDS.items() if not before)
        yield from ((one, f"cargo's word for {target}") for one, target in CARGO_WORDS.items() if len(one) > 1)


def _option(word: str) -> commands.Option | None:
    name = SHORT.get(word, word.removeprefix("--") if word.startswith("--") else "")
    return {**OPTIONS, **RUNNING, **GENERAL}.get(name)


def _words_of(known: dict[str, Any], command: str, before: list[str], last: str) -> Iterator[tuple[str, str]]:
    """Yield what can stand behind a command; of one that takes targets, its own words stand first."""
    row = COMMANDS[command]
    if row.words != TARGETS or before[-1] == command:
        yield from _offered(known, row.offers, last)
    if row.words == TARGETS and (not row.offers or before[-1] != command):
        yield from _targets(known, before)


def _targets(known: dict[str, Any], before: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the targets, and behind one of them the variables that it takes."""
    yield from ((row["name"], row["doc"]) for row in known["rows"])
    yield from _variables(known, before) if any(_row(known, word) for word in before) else ()


def names(known: dict[str, Any], command: str) -> Iterator[tuple[str, str]]:
    """Yield the names that a command takes: of packages, profiles, families, targets."""
    yield from _offered(known, COMMANDS[command].offers, "")


def _offered(known: dict[str, Any], offers: Iterable[str], last: str) -> Iterator[tuple[str, str]]:
    """Yield the words of a row, and the names that it stands for."""
    for kind in offers:
        if kind == commands.TARGET:
            yield from ((row["name"], row["doc"]) for row in known["rows"])
        elif kind == commands.FAMILY:
            yield from ((family, "family") for family in dict.fromkeys(row["family"] for row in known["rows"]))
        elif kind == commands.PACKAGE:
            yield from ((name, "package") for name in _packages(known))
        elif kind == commands.PROFILE:
            yield from ((name, "feature profile") for name in _profiles(known))
        elif kind == commands.STILL:
            yield from _still(known)
        elif kind == commands.FILE:
            yield from _files(last)
        else:
            yield kind, ""


def _still(known: dict[str, Any], kinds: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield what an older build file still does, of these kinds, if any are named; not what is any word."""
    path = os.path.join(known["root"], "profiles", "pack.toml")
    text = ""
    if known["root"] and os.path.isfile(path):
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    if "[migrated]" not in text:
        return
    from doit_cargo.engine.base.toml import toml

    table = toml.loads(text).get("migrated", {})
    if not kinds or table.get("kind") in kinds:
        yield from ((name, f"kept in {table.get('file')}") for name in table.get("kept", ()) if "%" not in name)


def _files(last: str) -> Iterator[tuple[str, str]]:
    """Yield the files and folders that a path can go on to."""
    folder, begin = os.path.split(last)
    here = os.path.expanduser(folder) or "."
    for name in sorted(os.listdir(here)) if os.path.isdir(here) else ():
        if begin.startswith(".") or not name.startswith("."):
            yield os.path.join(folder, name) + ("/" if os.path.isdir(os.path.join(here, name)) else ""), ""


def _all_variables() -> dict[str, Any]:
    from doit_cargo.engine.base.variables import BY_NAME

    return BY_NAME


def _row(known: dict[str, Any], word: str) -> Row | None:
    name = CARGO_WORDS.get(word, receipts.normalise(word))
    return next((row for row in known["rows"] if row["name"] == name), None)


def _variables(known: dict[str, Any], before: list[str]) -> Iterator[tuple[str, str]]:
    known_names = _all_variables()
    given = {word.partition("=")[0] for word in before}
    takes = dict.fromkeys(name for word in before if (row := _row(known, word)) for name in row["takes"])
    yield from ((f"{name}=", known_names[name].doc) for name in takes if name not in given and name in known_names)


def values(known: dict[str, Any], last: str) -> Iterator[tuple[str, str]]:
    """Yield the values of a variable that is being typed; of a list, behind what is there already."""
    name, _, value = last.partition("=")
    head = value[: value.rfind(",") + 1] if name in LISTS else ""
    for word, text in _values_of(known, name):
        yield f"{name}={head}{word}", text


def _values_of(known: dict[str, Any], name: str) -> Iterator[tuple[str, str]]:
    row = _all_variables().get(name)
    lists: dict[str, Iterable[str]] = {
        "PACKAGE": ["all", *_packages(known)],
        "FEATURES": _features(known),
        "PROFILE": _profiles(known),
        "BIN": _programs(known),
        "LOG": sorted(row["name"] for row in known["rows"]),
    }
    if name in ("TARGET", "TARGETS"):
        yield from ((triple, "triple") for triple in _triples())
    elif name in lists:
        yield from ((word, "") for word in lists[name])
    elif row:
        yield from ((word, row.doc) for word in row.offers)


def _packages(known: dict[str, Any]) -> list[str]:
    facts = known["facts"]
    return sorted(facts["value"]["packages"]) if isinstance(facts, dict) else []


def _features(known: dict[str, Any]) -> list[str]:
    found = known["facts"]["value"]["packages"].values() if isinstance(known["facts"], dict) else ()
    return sorted({str(name) for package in found for name in package["features"]})


def _programs(known: dict[str, Any]) -> list[str]:
    found = known["facts"]["value"]["packages"].values() if isinstance(known["facts"], dict) else ()
    return sorted({str(one["name"]) for package in found for one in package["targets"] if "bin" in one["kinds"]})


def _profiles(known: dict[str, Any]) -> list[str]:
    files = {path for row in known["rows"] for path in row["files"] if path.endswith(".toml")}
    folders = {os.path.dirname(path) for path in files} | {os.path.join(known["root"], "profiles")}
    names = {name for folder in folders if os.path.isdir(folder) for name in os.listdir(folder)}
    return sorted(name[:-5] for name in names if name.endswith(".toml") and name not in NO_PROFILES)


NO_PROFILES = ("pack.toml", "hints.toml", "sysdeps.toml", "Cargo.toml", "deny.toml")


def _triples() -> list[str]:
    """Return the triples whose standard library rustup has here, as its folders tell."""
    home = os.environ.get("RUSTUP_HOME") or os.path.join(os.path.expanduser("~"), ".rustup")
    found: set[str] = set()
    for toolchain in os.listdir(os.path.join(home, "toolchains")) if os.path.isdir(home) else ():
        below = os.path.join(home, "toolchains", toolchain, "lib", "rustlib")
        found |= (
            {name for name in os.listdir(below) if name.count("-") > 1 and not name.startswith("manifest-")}
            if os.path.isdir(below)
            else set()
        )
    return sorted(found)


def answer(argv: list[str]) -> int:
    """Print the words, one a line, each with what it is behind a tab."""
    for word, text in words(argv):
        print(f"{word}\t{one_line(text)[:80]}")
    return DONE
