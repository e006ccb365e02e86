"""`doit-cargo report`: one page that needs no network, from what is on record.

Tables are there without a script; uPlot draws the charts beside them. Names come from manifests, logs and file names
of others: the template escapes each, the data of the charts cannot end their script, and nothing but our own scripts
may run on the page.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

import doit_cargo
from doit_cargo.actions import LOGS, file_to_write, write_report
from doit_cargo.actions.report import gather, graph
from doit_cargo.engine.base import private
from doit_cargo.engine.base.errors import DONE, UserError
from doit_cargo.engine.base.files import read_text
from doit_cargo.engine.base.tables import counted, minute
from doit_cargo.engine.console import reporter
from doit_cargo.engine.execution import history

if TYPE_CHECKING:
    from doit_cargo.session import Session

FILE = "report.html"
OWN = os.path.join(doit_cargo.DIRECTORY, "data", "report")
GROUP = "ci"


def report(session: Session, options: argparse.Namespace) -> int:
    """`report`: write the page, tell where, and with --open show it."""
    path = file_to_write(session, options.output or "", os.path.join(LOGS, FILE))
    if not options.output:
        private.folder(os.path.dirname(path))
    found = content(session)
    write_report(path, page(found))
    many = (
        (len(found["now"]), "result"),
        (found["builds"]["count"], "build"),
        (len(found["tests"]["runs"]), "test run"),
    )
    counts = ", ".join(counted(number, one) for number, one in many)
    print(f"{reporter.relative(path, session.root)}: {counts}")
    if options.open:
        import pathlib
        import webbrowser

        webbrowser.open(pathlib.Path(path).as_uri())
    return DONE


def content(session: Session) -> dict[str, Any]:
    """Return all that the page tells, as plain data."""
    found, built = gather.now(session), history.read(session.state)
    return {
        "workspace": os.path.basename(session.root),
        "made": minute(time.time()),
        "version": doit_cargo.__version__,
        "now": found,
        "failures": gather.failures(session),
        "skips": gather.skips(session),
        "fetched": gather.fetched(session),
        "builds": gather.builds(built),
        "sizes": gather.sizes(session, built),
        "crates": gather.crates(session),
        "tests": gather.tests(session),
        "group": _picture(session, {one["name"]: one["state"] for one in reversed(found)}),
    }


def _picture(session: Session, states: dict[str, str]) -> str:
    try:
        return graph.svg(graph.of_target(session, session.row(GROUP)["name"], states), f"The parts of {GROUP}")
    except UserError:
        return ""


def page(found: dict[str, Any]) -> str:
    """Return the page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("doit_cargo", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    scripts = [_script("uplot", "uPlot.iife.min.js"), _script("charts.js")]
    style = _own("uplot", "uPlot.min.css") + _own("page.css")
    return environment.get_template("report.html.j2").render(
        **found,
        style=style,
        scripts=scripts,
        data=_data({"builds": found["builds"]["points"], "sizes": [_series(one) for one in found["sizes"]]}),
        policy="; ".join(
            ["default-src 'none'", "style-src 'unsafe-inline'", f"script-src {' '.join(map(_hash, scripts))}"]
        ),
    )


def _series(one: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"{one['program']} ({one['profile']})", "points": one["points"]}


def _own(*names: str) -> str:
    return read_text(os.path.join(OWN, *names))


def _script(*names: str) -> str:
    """Return a script; one of others stands behind its licence."""
    licence = _own(names[0], "LICENSE") if names[1:] else ""
    return (f"/*\n{licence}*/\n" if licence else "") + _own(*names)


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _data(found: object) -> str:
    """Return JSON that can stand in a page: no letter of it can begin or end a tag."""
    text = json.dumps(found, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
