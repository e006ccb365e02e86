"""The Makefile shim: every target under its make name, variables passed on safely.

Written for GNU make 3.81 and later with any POSIX shell (Git Bash included). Knows the listing of targets only.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable

from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.plain_text import for_make

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.targets.listing import Row


MARK = "# Written by doit-cargo"
# Commands of doit-cargo that make sense without an argument, which make has no way to give.
COMMANDS = {
    "features": "List every feature of every member, what it turns on, its rules, and who uses it.",
    "list": "List the targets that exist here, under the names that doit and doit-cargo know.",
    "profile": "List the feature profiles.",
}
# What GNU make reads instead of a Makefile where it finds it (GNU make manual, "Makefile Names").
READ_FIRST = ("GNUmakefile", "makefile")


def render(listing: Iterable[Row]) -> str:
    """Return the text of the shim for the available targets."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from doit_cargo.engine.base.variables import BY_NAME

    rows: list[Row] = [
        {**row, "family": for_make(row["family"]), "doc": for_make(row["doc"])} for row in listing if row["available"]
    ]
    families = {family: [row for row in rows if row["family"] == family] for family in _families(rows)}
    environment = Environment(  # noqa: S701 - a Makefile is no HTML
        loader=PackageLoader("doit_cargo"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template("makefile.j2")
    return template.render(
        mark=MARK,
        variables=sorted(BY_NAME),
        families=families.items(),
        commands={name: doc for name, doc in COMMANDS.items() if name not in {row["name"] for row in rows}},
        aliases={row["name"]: row["make_name"] for row in rows if row["name"] != row["make_name"]},
    )


def _families(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row["family"] for row in rows))


def write(path: str, text: str, force: bool) -> str:
    """Write the shim, never over somebody else's Makefile; return what to tell the user."""
    old = _read(path)
    if old == text:
        return f"{path} is up to date"
    if old is not None and not old.startswith(MARK) and not force:
        fix = "doit-cargo makefile --output Makefile.doit keeps both; --force replaces it"
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
    if os.path.exists(path) and not os.path.isfile(path):
        what = "cannot read: this is no ordinary file"
        raise UserError(Problem(what, "give another file with --output", path), COULD_NOT_RUN)
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as stream:
            return stream.read().replace("\r\n", "\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        fix = "make it readable, or give another file with --output"
        raise UserError(Problem(f"cannot read: {error.strerror}", fix, path), COULD_NOT_RUN) from None
