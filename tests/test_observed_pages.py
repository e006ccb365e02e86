"""What the pages of a package with several programs rest on: all that each of them was seen to read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from calling import Said, call, linux
from conftest import needs_cargo, write

pytestmark = [needs_cargo, linux, pytest.mark.slow]

MACRO = """\
#[proc_macro]
pub fn text(name: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let name = name.to_string().replace('"', "");
    format!("{:?}", std::fs::read_to_string(name).unwrap()).parse().unwrap()
}
"""
NAMES = ("alpha", "beta", "gamma")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A package with three programs, of which each takes a text by a macro that says nothing to cargo."""
    package = '[package]\nname = "{}"\nversion = "0.1.0"\nedition = "2021"\n'
    write(tmp_path / "Cargo.toml", '[workspace]\nresolver = "2"\nmembers = ["macros", "app"]\n')
    write(tmp_path / "macros/Cargo.toml", package.format("macros") + "[lib]\nproc-macro = true\n")
    write(tmp_path / "macros/src/lib.rs", MACRO)
    write(tmp_path / "app/Cargo.toml", package.format("app") + '[dependencies]\nmacros = { path = "../macros" }\n')
    for name in NAMES:
        text = f'/// What it takes.\npub const TEXT: &str = macros::text!("{name}.txt");\nfn main() {{}}\n'
        write(tmp_path / f"app/src/bin/{name}.rs", text)
        write(tmp_path / f"{name}.txt", "first")
    return tmp_path


def texts(root: Path) -> list[str]:
    pages = [(root / f"target/doc/{name}/constant.TEXT.html").read_text() for name in NAMES]
    return [found[1] for page in pages if (found := re.search(r"(first|second)", re.sub("<.*?>", "", page)))]


def test_what_each_program_of_a_package_reads_counts_for_its_pages(root: Path) -> None:
    def doc() -> Said:
        return call(root, "doit-cargo", "doc")

    assert (doc().status, texts(root), doc().out[:7]) == (0, ["first"] * 3, "-- doc ")
    for number, name in enumerate(NAMES, 1):
        write(root / f"{name}.txt", "second")
        said = doc()
        assert (said.status, texts(root)) == (0, ["second"] * number + ["first"] * (3 - number)), said.out
        assert doc().out.startswith("-- doc ")
