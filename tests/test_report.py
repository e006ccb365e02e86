"""The report as a browser shows it, and graphs in each form: what is on record, escaped, without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from calling import Said, call, posix, small_workspace
from conftest import needs_cargo, write
from doit_cargo.actions.report import graph
from doit_cargo.engine.base import own_key
from doit_cargo.engine.execution.history import Build

pytestmark = [needs_cargo, posix, pytest.mark.slow]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="chromium is not on PATH: apt-get install chromium")
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">&amp;"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = small_workspace(tmp_path_factory.mktemp("report") / "ws")
    write(root / "low/src/lib.rs", "#[test]\nfn holds() {}\n")
    assert call(root, "doit-cargo", "dev", "test_low").status == 0
    return root


def recorded(root: Path, builds: list[Build]) -> None:
    """Put builds on record as the state keeps them."""
    lines = [json.dumps(own_key.sealed(build._asdict())) + "\n" for build in builds]
    write(root / ".doit-cargo/history.jsonl", "".join(lines))


def build(number: int, target: str = "dev", work: str = "cold") -> Build:
    sizes = {"debug/app": 1_000_000 + number * 1000, f"debug/{HOSTILE}": 5}
    return Build(target, 1.7e9 + number * 60, 30.0 if work == "cold" else 3.0, work, "dev", "dev", sizes=sizes)


class Tables(HTMLParser):
    """The cells of each section, and the elements of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.section, self.rows, self.tags = "", dict[str, list[list[str]]](), set[str]()
        self.in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "section":
            self.section = str(dict(attrs)["id"])
        elif tag == "tr":
            self.rows.setdefault(self.section, []).append([])
        elif tag in ("td", "th"):
            self.in_cell = True
            self.rows[self.section][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.in_cell:
            self.rows[self.section][-1][-1] += data


def written(root: Path, *words: str) -> str:
    assert call(root, "doit-cargo", "report", *words).status == 0
    return (root / ".logs/report.html").read_text()


def shown(page: Path) -> str:
    """Return the page as a browser has it after its scripts."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_the_tables_tell_what_is_on_record_without_a_script(root: Path) -> None:
    recorded(root, [build(1), build(2, work="incremental"), build(3, work="incremental")])
    write(root / "app/src/lib.rs", "// An edit.\n")
    try:
        page = Tables(written(root))
    finally:
        write(root / "app/src/lib.rs", "")
    now = {row[0]: row[1:3] for row in page.rows["now"][1:]}
    assert now == {"dev": ["stale", "file app/src/lib.rs: changed"], "test_low": ["up to date", ""]}
    assert page.rows["builds"][1:3] == [
        ["dev", "cold", "1", "30.0 s", "30.0 s"],
        ["dev", "incremental", "2", "3.0 s", "3.0 s"],
    ]
    assert page.rows["saved"][1:] == [["incremental", "2", "0.9"]]
    assert page.rows["sizes"][1][:4] == ["debug/" + HOSTILE, "dev", "5 bytes", "5 bytes"]
    assert page.rows["sizes"][2][4:] == ["+0.1 %", "within 5 %"]
    edits = {row[0]: row[1] for row in page.rows["edits"][1:]}
    assert edits == {"low": "2 of 2", "app": "1 of 2"}
    assert {row[0] for row in page.rows["crates"][1:]} == {"app", "low"}
    assert all(float(row[1]) > 0 for row in page.rows["crates"][1:])
    assert ["low", "1", "0"] in [row[:1] + row[2:4] for row in page.rows["tests"][1:]]
    assert "img" not in page.tags


def test_a_page_of_a_workspace_that_never_built_says_what_leaves_a_record(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "ws")
    text = written(root)
    assert text.count('class="none"') == 7
    assert Tables(text).rows == {}


@needs_chromium
def test_a_browser_draws_ten_thousand_builds_and_runs_nothing_of_others(root: Path) -> None:
    works = ("cold", "incremental", "nothing", HOSTILE)
    recorded(root, [build(number, HOSTILE, works[number % 4]) for number in range(10_000)])
    written(root)
    text = shown(root / ".logs/report.html")
    assert 'data-drawn="6"' in text  # four kinds of work, two programs
    assert "<title>ws: builds and tests</title>" in text
    assert not re.search(r"<img|https?://(?!www\.w3\.org|github\.com/leeoniya)", text)
    assert text.count("<canvas") == 6


@needs_chromium
def test_a_page_fits_a_telephone(root: Path, tmp_path: Path) -> None:
    recorded(root, [build(number)._replace(time=1.7e9 + number * 86_400, commit="0123456789ab") for number in range(9)])
    framed = escape(written(root).replace("<details>", "<details open>"), quote=True)
    script = "const page = this.contentDocument.documentElement; document.title = page.scrollWidth - page.clientWidth"
    frame = f'<iframe srcdoc="{framed}" style="border:0;width:420px" onload="{script}"></iframe>'
    write(tmp_path / "frame.html", f"<!doctype html><title></title>{frame}")
    assert "<title>0</title>" in shown(tmp_path / "frame.html")


def test_nothing_but_the_own_scripts_may_run(root: Path) -> None:
    text = written(root)
    assert re.search(r"default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;; script-src &#39;sha256-", text)
    assert text.count("<script") == 3
    assert not re.search(r'(src|href)="(?!#)', text)


# --- graphs ----------------------------------------------------------------------------------------------------------


def drawn(root: Path, *words: str) -> Said:
    return call(root, "doit-cargo", "graph", *words)


def test_a_group_is_drawn_with_its_parts_and_a_build_with_its_crates(root: Path) -> None:
    group = ElementTree.fromstring(drawn(root, "ci", "--svg").out)
    texts = [one.text for one in group.iter("{http://www.w3.org/2000/svg}text")]
    assert {"ci", "check", "test"} <= set(texts)
    assert drawn(root, "dev", "--dot").out == (
        'digraph {\n  rankdir=LR;\n  "app" [label="app"];\n  "low" [label="low"];\n  "app" -> "low";\n}\n'
    )
    assert drawn(root, "dev").out == 'flowchart LR\n  n0["app"]\n  n1["low"]\n  n0 --> n1\n'


def test_a_graph_can_go_to_a_file(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "dev.svg"
    assert drawn(root, "dev", "--svg", f"--output={path}") == Said(0, f"{path}: 2 nodes, 1 edge\n", "")
    assert ElementTree.fromstring(path.read_text()).tag.endswith("svg")


@pytest.mark.parametrize("words", [("dev", "check"), ("dev", "--svg", "--dot"), ()])
def test_one_target_in_one_form_is_asked_for(root: Path, words: tuple[str, ...]) -> None:
    said = drawn(root, *words)
    assert (said.status, said.out) == (3, "")
    assert "for example: doit-cargo graph ci --svg" in said.err


def test_names_of_others_stay_names_in_each_form() -> None:
    made = graph.Diagram({HOSTILE: '"]; x', "b": ""}, ((HOSTILE, "b"), ("b", HOSTILE)), {HOSTILE: '"><script>'})
    picture = ElementTree.fromstring(graph.svg(made))
    assert [one.tag.rpartition("}")[2] for one in picture.iter() if "script" in one.tag] == []
    assert f'{HOSTILE}: "]; x' in [one.text for one in picture.iter()]
    assert "<" not in graph.mermaid(made)
    assert graph.mermaid(made).count('"') == 4
    quoted = re.sub(r"\\.", "", graph.dot(made))
    assert quoted.count('"') == 16


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not on PATH")
def test_graphviz_reads_what_is_for_it(root: Path) -> None:
    command = ["dot", "-Tsvg", "-o", os.devnull]
    subprocess.run(command, input=drawn(root, "ci", "--dot").out, text=True, check=True)


def test_skips_and_failures_are_on_the_page(root: Path) -> None:
    assert call(root, "doit-cargo", "dev").status == 0
    assert call(root, "doit-cargo", "dev").status == 0  # a skip
    write(root / "app/src/lib.rs", "no rust\n")
    try:
        assert call(root, "doit-cargo", "dev").status == 1
        page = Tables(written(root))
    finally:
        write(root / "app/src/lib.rs", "")
    ended = next(row for row in page.rows["now"] if row[1] == "failed")
    assert [ended[0], ended[4]] == ["dev", ".logs/dev.log"]
    skipped = next(row for row in page.rows["saved"] if row[0] == "dev" and len(row) == 3)
    assert int(skipped[1]) >= 1
