"""Notes before a run: flags that the environment drops, another Python, other features; and that cargo proves them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import Said
from calling import forked_call as call
from conftest import Spec, make_workspace, needs_cargo, write

pytestmark = [needs_cargo, pytest.mark.slow]

# server -> core -> quant; binding -> core, pyo3 (outside the workspace).
SPEC: Spec = {
    "server": {
        "features": {"cuda": ["core-lib/cuda"]},
        "dependencies": {"core-lib": ""},
        "bins": {"server": []},
    },
    "core-lib": {"features": {"cuda": ["quant/cuda"]}, "dependencies": {"quant": ""}},
    "quant": {"features": {"cuda": []}},
    "binding": {"dependencies": {"core-lib": ""}},
}
MANIFEST = '[package]\nname = "pyo3"\nversion = "0.1.0"\nedition = "2021"\n'
# What pyo3-build-config prints: PYO3_PYTHON, and without it the virtual environment.
SCRIPT = """\
fn main() {
    println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
    let python = std::env::var("PYO3_PYTHON").unwrap_or_default();
    if python.is_empty() { println!("cargo:rerun-if-env-changed=VIRTUAL_ENV"); }
}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_workspace(tmp_path_factory.mktemp("notes") / "ws", SPEC, 'metadata.doit-cargo.pack = "base"\n')
    binding = root / "binding/Cargo.toml"
    write(binding, binding.read_text() + '[dependencies.pyo3]\npath = "../../pyo3"\n')
    write(root.parent / "pyo3/Cargo.toml", MANIFEST)
    write(root.parent / "pyo3/src/lib.rs", "")
    write(root.parent / "pyo3/build.rs", SCRIPT)
    assert tool(root, "dev", "PACKAGE=server").status == 0
    return root


@pytest.fixture
def root(built: Path) -> Iterator[Path]:
    yield built
    (built / ".cargo/config.toml").unlink(missing_ok=True)


def tool(root: Path, *words: str, **variables: str) -> Said:
    cleared = {"VIRTUAL_ENV": "", "PYO3_PYTHON": "", "CONDA_PREFIX": "", "CARGO_HOME": str(root.parent / "no-home")}
    return call(root, "doit-cargo", *words, **{**cleared, **variables})


def notes(said: Said) -> list[str]:
    """Return what was said before cargo started, without why it runs."""
    lines = [line.partition("  ")[2] for line in said.out.splitlines() if line.startswith("..")]
    return [
        line for line in lines if "was last built here for" in line or "so far" in line or "takes the place" in line
    ]


def compiled(said: Said) -> set[str]:
    return set(re.findall(r"Compiling (\S+) v", said.err))


def test_an_exported_rustflags_that_drops_the_workspaces_own_is_told_before_cargo_starts(root: Path) -> None:
    write(root / ".cargo/config.toml", '[build]\nrustflags = ["--cfg", "tokio_unstable"]\n')
    dropped = tool(root, "check", "PACKAGE=quant", RUSTFLAGS="-C debuginfo=0")
    assert notes(dropped) == [
        "RUSTFLAGS takes the place of build.rustflags (.cargo/config.toml:2): rustc does not get --cfg tokio_unstable"
    ]
    assert notes(tool(root, "check", "PACKAGE=quant", RUSTFLAGS="--cfg tokio_unstable -C debuginfo=0")) == []
    assert notes(tool(root, "check", "PACKAGE=quant")) == []
    # On a skip nothing is looked at.
    again = tool(root, "check", "PACKAGE=quant")
    assert (again.out.startswith("-- check"), notes(again)) == (True, [])


def test_other_features_are_told_with_what_compiles_once_more(root: Path) -> None:
    first = tool(root, "dev", "PACKAGE=server", "FEATURES=cuda")
    assert notes(first) == [
        "other features than built here so far: server (+cuda), core-lib (+cuda), quant (+cuda); "
        "these compile once more"
    ]
    assert compiled(first) == {"server", "core-lib", "quant"}
    # Both variants are there now: going back and forth costs nothing, and nothing is said.
    for words in (("FORCE=1",), ("FEATURES=cuda", "FORCE=1")):
        said = tool(root, "dev", "PACKAGE=server", *words)
        assert (notes(said), compiled(said)) == ([], set())
    # Another selection with features that are there.
    assert notes(tool(root, "dev", "PACKAGE=core-lib")) == []


def test_a_dependencys_new_features_take_those_along_that_rest_on_it(root: Path) -> None:
    write(
        root / "quant/Cargo.toml", (root / "quant/Cargo.toml").read_text().replace("cuda = []", "cuda = []\nfast = []")
    )
    said = tool(root, "dev", "PACKAGE=server,quant", "FEATURES=quant/fast")
    assert notes(said) == [
        "other features than built here so far: quant (+fast); this compiles once more, and with it core-lib, server"
    ]
    assert compiled(said) == {"quant", "core-lib", "server"}
    # `check` makes libraries of its own kind: so far only that of quant.
    assert notes(tool(root, "check", "PACKAGE=server,quant", "FEATURES=quant/fast")) == [
        "other features than built here so far: quant (+fast); this compiles once more"
    ]


def test_another_python_is_told_with_what_compiles_again(root: Path) -> None:
    assert notes(tool(root, "dev", "PACKAGE=binding", PYO3_PYTHON="/a")) == []
    other = tool(root, "dev", "PACKAGE=binding", "FORCE=1", PYO3_PYTHON="/b")
    assert notes(other) == [
        "pyo3 was last built here for another Python (PYO3_PYTHON was /a, is /b): it compiles again, and with it "
        "binding; one PYO3_PYTHON for all calls avoids that, or a CARGO_TARGET_DIR for each Python"
    ]
    assert compiled(other) == {"pyo3", "binding"}
    # A build without pyo3 says nothing of it, and forgets nothing.
    assert notes(tool(root, "dev", "PACKAGE=quant", "FORCE=1", PYO3_PYTHON="/a")) == []
    back = tool(root, "dev", "PACKAGE=binding", PYO3_PYTHON="/a")
    assert (len(notes(back)), compiled(back)) == (1, {"pyo3", "binding"})


def test_another_environment_of_the_same_python_compiles_nothing(root: Path) -> None:
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root.parent / name)], check=True)
    tool(root, "dev", "PACKAGE=binding", VIRTUAL_ENV=str(root.parent / "a"))
    other = tool(root, "dev", "PACKAGE=binding", "FORCE=1", VIRTUAL_ENV=str(root.parent / "b"))
    assert (other.status, notes(other), compiled(other)) == (0, [], set())
