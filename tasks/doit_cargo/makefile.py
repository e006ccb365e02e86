"""The Makefile shim: every target under its make name, variables passed on safely.

Written for GNU make 3.81 and later with any POSIX shell (Git Bash included). Knows the listing of targets only.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.paths import ordinary
from doit_cargo.engine.base.plain_text import for_make
from doit_cargo.targets import commands

if TYPE_CHECKING:
    from doit_cargo.session import Session

MARK = "# Written by doit-cargo"
COMMANDS = {name: commands.COMMANDS[name].doc for name in commands.OF_MAKE}
# How a person calls what is kept, by the kind of the file.
CALLED = {"make": "make", "just": "just", "cargo-make": "cargo make", "alias": "cargo", "npm": "npm run"}
# Variables that change nothing of what is built.
OF_NO_BUILD = ("FORCE", "OBSERVE", "WITHOUT_PREFLIGHT")
Row = dict[str, Any]
# What GNU make reads instead of a Makefile where it finds it (GNU make manual, "Makefile Names").
READ_FIRST = ("GNUmakefile", "makefile")


def render(listing: Sequence[Mapping[str, Any]], moved: Mapping[str, Any] | None = None) -> str:
    """Return the text of the shim: the same on every machine, since targets that are absent here are in it too.

    `moved` is the table [migrated] of a pack: what of an older build file was taken over, and where the rest is.
    """
    from doit_cargo.engine.base.variables import BY_NAME

    # What is no Makefile cannot be passed on to.
    moved = moved if moved and moved["kind"] == "make" else None
    taken = moved["taken"] if moved else {}
    everything = {row["name"]: row for row in listing}
    # What means nothing in this workspace goes on by its name, as any other: the answer is the reason.
    rows = [_row(row, taken, everything) for row in listing if row["listed"] and not row["rule"]]
    names = {row["make_name"] for row in rows}
    rows += [_old_row(name, row["target"], everything) for name, row in taken.items() if name not in names]
    rows = [{**row, "family": for_make(row["family"]), "doc": for_make(row["doc"])} for row in rows]
    families = {family: [row for row in rows if row["family"] == family] for family in _families(rows)}
    others = {name: doc for name, doc in COMMANDS.items() if name not in {row["make_name"] for row in rows}}
    return filled(
        "makefile.j2",
        mark=MARK,
        variables=sorted(BY_NAME),
        families=families.items(),
        commands=others,
        names=[*(row["make_name"] for row in rows), *others],
        rules=_rules(listing),
        moved=moved,
        default=(moved or {}).get("default") or "help",
    )


def filled(template: str, *, marks: tuple[str, str] = ("{{", "}}"), **values: Any) -> str:
    """Return the text of one of our templates that is no HTML; `marks` are what stands around a value in it."""
    import json

    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - no HTML
        loader=PackageLoader("doit_cargo"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        variable_start_string=marks[0],
        variable_end_string=marks[1],
    )
    environment.filters["text"] = json.dumps  # a JSON string is a YAML string
    return environment.get_template(template).render(values)


def moved(session: Session) -> dict[str, Any] | None:
    """Return the table [migrated] of the pack, if an older build file was taken over: checked, since it goes into a
    Makefile as it is."""
    table = session.library.pack.migrated
    empty = {
        "kind": "make",
        "file": "",
        "default": "",
        "variables": [],
        "sets": [],
        "absent": [],
        "kept": [],
        "taken": {},
    }
    of_each = {"target": "", "variables": [], "environment": [], "parts": []}
    taken = {name: {**of_each, **row} for name, row in table.get("taken", {}).items()}
    return {**empty, **table, "taken": taken} if table.get("file") else None


class Kept(NamedTuple):
    """What an older build file still does: its names, and how to call them; one with `%` is any word."""

    file: str
    call: str
    names: tuple[str, ...]

    def has(self, name: str) -> bool:
        """Tell whether a name is one of them."""
        parts = (one.partition("%") for one in self.names if "%" in one)
        fits = (len(name) > len(a + b) and name.startswith(a) and name.endswith(b) for a, _, b in parts)
        return name in self.names or any(fits)

    @property
    def text(self) -> str:
        """The call of each, one a line."""
        return "\n".join([f"kept in {self.file}:", *(f"  {self.call} {name}" for name in self.names)])


def kept(session: Session) -> Kept | None:
    """Return what an older build file still does, None for nothing. Most packs have no such table, and are not read."""
    folder = str(session.workspace.settings.get("profiles") or "profiles")
    if "[migrated]" not in (_read(os.path.join(session.root, folder, "pack.toml")) or ""):
        return None
    found = moved(session)
    return Kept(found["file"], CALLED[found["kind"]], tuple(found["kept"])) if found and found["kept"] else None


def file_name(session: Session) -> str:
    """Return the name of the shim: where an old Makefile keeps its place, make must find ours first."""
    found = moved(session)
    return "GNUmakefile" if found and found["kind"] == "make" else "Makefile"


def is_ours(path: str) -> bool:
    """Tell whether a file is a shim."""
    return (_read(path) or "").startswith(MARK)


def _row(row: Mapping[str, Any], taken: Mapping[str, Any], everything: Mapping[str, Mapping[str, Any]]) -> Row:
    """Return a row with the settings that the shim has for its name. An old target of that name may be another row."""
    name = row["make_name"]
    if name in taken:
        target = taken[name]["target"]
        doc = everything.get(target, row)["doc"]
        return {**row, "doc": doc, "settings": _settings(name, target, everything)}
    return {**row, "settings": _takes(name, row["takes"])}


def _old_row(name: str, target: str, everything: Mapping[str, Mapping[str, Any]]) -> Row:
    """Return a row for an old name that is spelt otherwise than the target that stands for it."""
    doc = everything.get(target, {}).get("doc", "")
    return {"make_name": name, "doc": doc, "family": "old names", "settings": _settings(name, target, everything)}


def _settings(name: str, target: str, everything: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the settings of an old name. What the environment sets was nothing to it, whatever that is to us."""
    known = everything.get(target, {}).get("takes", ())
    row = f"doit_row_{name} := {target}\n" if target != name.replace("-", "_") else ""
    return _takes(name, [variable for variable in known if variable in OF_NO_BUILD]) + row


def _takes(name: str, variables: Sequence[str]) -> str:
    return f"doit_takes_{name} := {','.join(variables)}\n" if variables else ""


def _rules(listing: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return the patterns of the targets that rules make, each with the variables that they take."""
    return {row["rule"].partition("<")[0].replace("_", "-") + "%": row["takes"] for row in listing if row["rule"]}


def _families(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(row["family"]) for row in rows))


def write(path: str, text: str, force: bool) -> str:
    """Write the shim, never over somebody else's Makefile; return what to tell the user."""
    old = _read(path)
    if old == text:
        return f"{path} is up to date"
    if old is not None and not old.startswith(MARK) and not force:
        fix = "doit-cargo migrate takes it over; --output Makefile.doit keeps both; --force replaces it"
        raise UserError(Problem("this Makefile was not written by doit-cargo", fix, path))
    try:
        atomic.write(path, text, makes_folder=False)
    except OSError as error:
        fix = "free some space, make the folder writable, or give another file with --output"
        raise UserError(Problem(f"cannot write: {error.strerror}", fix, path), COULD_NOT_RUN) from None
    return f"wrote {path}{_shadow(path)}"


def _shadow(path: str) -> str:
    """Return what to tell where make would read another file than the one that was written."""
    folder, name = os.path.split(path)
    if name == "GNUmakefile":
        return ""
    if name != "Makefile":
        return f"; make -f {name} reads it"
    # Where letter case does not matter, makefile is the Makefile.
    others = (other for other in READ_FIRST if os.path.exists(os.path.join(folder, other)))
    first = next((other for other in others if not os.path.samefile(os.path.join(folder, other), path)), "")
    return f"; make reads {first} instead, unless it is told: make -f Makefile" if first else ""


def difference(path: str, text: str) -> str:
    """Return how the file on disk differs from `text`, as a unified diff; empty if it does not."""
    old = _read(path)
    if old is None:
        return f"{path} is not there; doit-cargo makefile writes it"
    lines = difflib.unified_diff(old.splitlines(True), text.splitlines(True), path, "as doit-cargo writes it", n=1)
    return "".join(lines)


def _read(path: str) -> str | None:
    try:
        with open(ordinary(path), encoding="utf-8", errors="replace", newline="") as stream:
            return stream.read().replace("\r\n", "\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        fix = "make it readable, or give another file with --output"
        raise UserError(Problem(f"cannot read: {error.strerror}", fix, path), COULD_NOT_RUN) from None
