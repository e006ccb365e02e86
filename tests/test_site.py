"""The documentation as a site: it builds without a warning, and a link that leads nowhere fails the build."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from calling import Said, call

pytest.importorskip("material", reason="the extra docs is not installed")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


def built(root: Path, site: Path) -> Said:
    return call(root, sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site))


def test_the_site_builds_and_a_dead_link_stops_it(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "docs", copy / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", copy)
    said = built(copy, tmp_path / "site")
    assert said.status == 0, said.err
    page = (tmp_path / "site/cheatsheet/index.html").read_text()
    assert ("<table>" in page, 'href="https://fonts' in page) == (True, False)
    text = (copy / "docs/index.md").read_text()
    (copy / "docs/index.md").write_text(f"{text}\n[nowhere](no-such-page.md) and [no place](cheatsheet.md#no-place)\n")
    said = built(copy, tmp_path / "again")
    assert said.status == 1
    assert ("no-such-page.md" in said.err, "no-place" in said.err) == (True, True)
