"""`test_pyo3`: skipped only where there is no Python, and never green where the bindings cannot be linked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from calling import Said, call
from conftest import Spec, make_workspace, needs_cargo, write

pytestmark = [pytest.mark.slow, needs_cargo]

MANIFEST = '[package]\nname = "mistralrs-pyo3"\nversion = "0.1.0"\nedition = "2021"\n'
PASSES = "#[test]\nfn passes() {}\n"
LACKS_PYTHON = 'extern "C" { fn PyErr_Print(); }\n#[test]\nfn prints() { unsafe { PyErr_Print() } }\n'


def workspace(root: Path, source: str, is_member: bool) -> Path:
    """Write a workspace of the pack mistralrs whose bindings are a member, or a workspace of their own."""
    members: Spec = {"mistralrs-core": {}, **({"mistralrs-pyo3": {}} if is_member else {})}
    make_workspace(root, members, "" if is_member else 'exclude = ["mistralrs-pyo3"]\n')
    write(root / "mistralrs-pyo3/Cargo.toml", MANIFEST + ("" if is_member else "[workspace]\n"))
    write(root / "mistralrs-pyo3/src/lib.rs", source)
    return root


def run_it(root: Path, **variables: str) -> Said:
    return call(root, "doit-cargo", "test_pyo3", RUST_BACKTRACE="0", **variables)


@pytest.mark.parametrize("is_member", [True, False], ids=["member", "satellite"])
def test_the_tests_of_the_bindings_run_once(tmp_path: Path, is_member: bool) -> None:
    root = workspace(tmp_path / "ws", PASSES, is_member)
    first, second = run_it(root), run_it(root)
    assert (first.status, second.status) == (0, 0), first
    assert "1 passed, 0 failed" in first.out
    assert "passed before" in second.out
    there = "mistralrs-pyo3 is a workspace of its own: tests are compiled and kept there, paths are from there"
    assert (f".. test_pyo3  {there}" in first.out.splitlines()) != is_member


# The plan of a package with PyO3 is made anew each time, and one with a secret is never written down.
WITH_PYO3 = MANIFEST + '[dependencies]\npyo3 = { path = "pyo3" }\n'
STAND_IN = '[package]\nname = "pyo3"\nversion = "0.1.0"\nedition = "2021"\n'


@pytest.mark.parametrize("cause", ["pyo3", "secret"])
def test_what_passed_is_kept_also_where_its_plan_is_not(tmp_path: Path, cause: str) -> None:
    root = workspace(tmp_path / "ws", PASSES, is_member=True)
    if cause == "pyo3":
        write(root / "mistralrs-pyo3/Cargo.toml", WITH_PYO3)
        write(root / "mistralrs-pyo3/pyo3/Cargo.toml", STAND_IN)
        write(root / "mistralrs-pyo3/pyo3/src/lib.rs", "")
    else:
        write(root / "profiles/test.toml", 'extends = "test"\n[env]\nMY_TOKEN = "not-for-disk"\n')
    first = call(root, "doit-cargo", "test")
    assert (first.status, "1 passed, 0 failed" in first.out) == (0, True), first
    assert call(root, "doit-cargo", "test").out.startswith("-- test  passed before: 1 test in ")
    other = call(root, "doit-cargo", "test_pyo3")
    assert (other.status, "passed before" in other.out) == (0, True), other
    assert call(root, "doit-cargo", "why", "test_pyo3").out.startswith("test_pyo3 ")
    write(root / "mistralrs-pyo3/src/lib.rs", PASSES + "// edited\n")
    assert "test is stale:" in call(root, "doit-cargo", "why", "test").out
    assert call(root, "doit-cargo", "test").status == 0
    kept = [path.read_bytes() for path in (root / ".doit-cargo").rglob("*") if path.is_file()]
    assert not any(b"not-for-disk" in content for content in kept)


def test_without_a_python_they_are_skipped_with_the_reason(tmp_path: Path) -> None:
    root = workspace(tmp_path / "ws", PASSES, is_member=True)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cargo", "rustc", "cc", "sh"):
        (folder / name).symlink_to(str(shutil.which(name)))
    said = run_it(root, PATH=str(folder), VIRTUAL_ENV="", CONDA_PREFIX="")
    assert (said.status, said.err) == (0, "")
    expected = ".. test_pyo3  skipped: mistralrs-pyo3 needs a Python, and none is on PATH or in PYO3_PYTHON\n"
    assert said.out == expected


@pytest.mark.skipif(os.name == "nt", reason="the linker of Windows says it otherwise")
@pytest.mark.parametrize("is_member", [True, False], ids=["member", "satellite"])
def test_bindings_that_cannot_be_linked_fail_with_the_reason(tmp_path: Path, is_member: bool) -> None:
    said = run_it(workspace(tmp_path / "ws", LACKS_PYTHON, is_member))
    assert said.status == 1
    assert "PyErr_Print" in said.err
    assert ".. test_pyo3  the linker lacks Python's symbols: with pyo3's feature extension-module no test " in said.out


def test_a_checkout_without_bindings_says_so(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, {"mistralrs-core": {}})
    said = run_it(root)
    assert said.status == 2, said
    assert "test_pyo3 needs the package mistralrs-pyo3, which this checkout lacks" in said.err
