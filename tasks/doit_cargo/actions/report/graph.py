"""A graph of named things as a picture (SVG), as DOT or as Mermaid; and `doit-cargo graph TARGET`.

Names are data of others: each form escapes them. The layout is one of layers, as wide as the longest way through.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping
from html import escape
from itertools import pairwise
from typing import NamedTuple

from doit_cargo.actions import file_to_write, write_report
from doit_cargo.engine.base.errors import DONE, Problem, UserError
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.console import reporter
from doit_cargo.session import CARGO, Session

ROW, GAP, LETTER, EDGE = 34, 70, 7.5, 12
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1b1f24}rect{fill:#f6f8fa;stroke:#57606a}path{fill:none;stroke:#57606a}"
    ".stale rect{stroke-dasharray:5 3;stroke-width:2}.failed rect{stroke-width:3}"
    "@media screen and (prefers-color-scheme:dark)"
    "{text{fill:#e6edf3}rect{fill:#22272e;stroke:#9ea7b3}path{stroke:#9ea7b3}}"
)
FORMS = ("svg", "dot", "mermaid")


class Diagram(NamedTuple):
    """Nodes with what is said of each, and edges from one to what it rests on. `kinds` are classes of nodes."""

    nodes: Mapping[str, str]
    edges: tuple[tuple[str, str], ...]
    kinds: Mapping[str, str] = {}

    def label(self, name: str) -> str:
        said = self.nodes[name]
        return f"{name}: {said}" if said else name


def graph(session: Session, options: argparse.Namespace) -> int:
    """`graph`: the parts of a group, or the crates that a target is built from, as a picture."""
    chosen = [form for form in FORMS if getattr(options, form)]
    if len(options.targets) != 1 or len(chosen) > 1:
        fix = "for example: doit-cargo graph ci --svg --output ci.svg"
        raise UserError(Problem("graph draws one target in one form: --svg, --dot or --mermaid", fix))
    row = session.row(options.targets[0])
    made = of_packages(session, row["name"]) if row["kind"] == CARGO else of_target(session, row["name"])
    text = {"svg": svg, "dot": dot, "mermaid": mermaid}[(chosen or ["mermaid"])[0]](made)
    if not options.output:
        print(text)
        return DONE
    write_report(file_to_write(session, options.output, start=os.getcwd()), text + "\n")
    print(f"{options.output}: {counted(len(made.nodes), 'node')}, {counted(len(made.edges), 'edge')}")
    return DONE


def of_target(session: Session, name: str, states: Mapping[str, str] | None = None) -> Diagram:
    """Return a target with all that runs before it or is a part of it."""
    names = session.with_parts([name])
    edges = tuple((one, part) for one in names for part in session.row(one)["after"])
    known = states or {}
    kinds = {one: known[one].partition(" ")[0] for one in names if one in known}
    return Diagram({one: known.get(one, "") for one in names}, edges, kinds)


def of_packages(session: Session, name: str) -> Diagram:
    """Return the members of the workspace that a cargo target is built from, and what each rests on."""
    members = session.workspace.packages
    places = {package.directory: package.name for package in members.values()}
    rests = {
        package.name: [places[one.path] for one in package.dependencies if one.path in places]
        for package in members.values()
    }
    found, waiting = {}, list(session.plan(name).packages) or list(members)
    while waiting:
        one = waiting.pop()
        if one in rests and one not in found:
            found[one] = ""
            waiting += rests[one]
    edges = dict.fromkeys((one, other) for one in found for other in rests[one] if other != one)
    return Diagram(dict(sorted(found.items())), tuple(edges))


def dot(made: Diagram) -> str:
    """Return a graph for Graphviz."""
    lines = [f"  {_quoted(name)} [label={_quoted(made.label(name))}];" for name in made.nodes]
    lines += [f"  {_quoted(one)} -> {_quoted(other)};" for one, other in made.edges]
    return "\n".join(["digraph {", "  rankdir=LR;", *lines, "}"])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def mermaid(made: Diagram) -> str:
    """Return a graph for Mermaid, as Markdown pages show it."""
    numbers = {name: f"n{number}" for number, name in enumerate(made.nodes)}
    lines = [f'  {numbers[name]}["{_entity(made.label(name))}"]' for name in made.nodes]
    lines += [f"  {numbers[one]} --> {numbers[other]}" for one, other in made.edges]
    return "\n".join(["flowchart LR", *lines])


def _entity(text: str) -> str:
    """Return text in which nothing but letters, digits and plain marks stands for itself (Mermaid's own `#NUMBER;`)."""
    return "".join(letter if letter.isalnum() or letter in " _-.,:/" else f"#{ord(letter)};" for letter in text)


def svg(made: Diagram, title: str = "") -> str:
    """Return a graph as a picture that stands alone, light or dark as the reader has it."""
    columns = layers(made)
    widths = [max(len(made.label(name)) for name in column) * LETTER + 2 * EDGE for column in columns]
    places: dict[str, tuple[float, float, float]] = {}
    left = 1.0
    for column, width in zip(columns, widths, strict=True):
        for number, name in enumerate(column):
            places[name] = (left, 1 + number * (ROW + EDGE), width)
        left += width + GAP
    height = max((len(column) for column in columns), default=0) * (ROW + EDGE)
    said = title or f"{counted(len(made.nodes), 'node')}, {counted(len(made.edges), 'edge')}"
    size = f'viewBox="0 0 {max(left - GAP, 1) + 1:.0f} {height:.0f}" width="{max(left - GAP, 1) + 1:.0f}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>', f"<title>{escape(said)}</title>"]
    lines += [f"<style>{STYLE}</style>"]
    lines += [_edge(places[one], places[other]) for one, other in made.edges]
    lines += [_node(made, name, *places[name]) for name in made.nodes]
    return "\n".join([*lines, "</svg>"])


def _edge(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    x, y = start[0] + start[2], start[1] + ROW / 2
    to_x, to_y = end[0], end[1] + ROW / 2
    middle = (x + to_x) / 2
    return f'<path d="M{x:.0f} {y:.0f}C{middle:.0f} {y:.0f} {middle:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"/>'


def _node(made: Diagram, name: str, x: float, y: float, width: float) -> str:
    box = f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{ROW}" rx="5"/>'
    text = f'<text x="{x + EDGE:.0f}" y="{y + ROW / 2 + 5:.0f}">{escape(made.label(name))}</text>'
    return f'<g class="{escape(made.kinds.get(name, ""), quote=True)}">{box}{text}</g>'


def layers(made: Diagram) -> list[list[str]]:
    """Return the nodes in columns, each left of all that it rests on; in a column near what leads there."""
    rests: dict[str, list[str]] = {name: [] for name in made.nodes}
    for one, other in made.edges:
        rests[one].append(other)
    order = [name for name in reversed(reporter.roots_first(rests)) if name in rests]
    depth = dict.fromkeys(order, 0)
    for name in order:
        for other in rests[name]:
            if order.index(other) > order.index(name):  # of a cycle of dev-dependencies one edge runs back
                depth[other] = max(depth[other], depth[name] + 1)
    columns: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in order:
        columns[depth[name]].append(name)
    for before, column in pairwise(columns):
        column.sort(key=lambda name: _middle(before, [one for one in before if name in rests[one]]))
    return columns


def _middle(column: list[str], leading: Iterable[str]) -> float:
    places = [column.index(name) for name in leading]
    return sum(places) / len(places) if places else len(column)
