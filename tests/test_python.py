"""Wheels: built, skipped with proof, installed, tried out in a fresh environment; and PyO3 that is compiled once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from calling import TOOL_PROJECT, Said, call, environment, posix, small_workspace
from conftest import needs_cargo, write
from doit_cargo.engine.cargo import pyo3
from doit_cargo.engine.cargo.pyo3 import bindings, difference, told
from doit_cargo.engine.state.dir_listing import list_tree
from observing import observer

needs_maturin = pytest.mark.skipif(
    shutil.which("maturin", path=environment()["PATH"]) is None,
    reason="maturin is not here: the extra python brings it",
)
pytestmark = [needs_cargo, needs_maturin]
MODEL = Path(__file__).parents[1] / "examples/mistralrs"
# An active environment changes which Python is taken: the tests name theirs. Nothing here has to be fast.
SETTLED = {
    "VIRTUAL_ENV": "",
    "CONDA_PREFIX": "",
    "PYO3_PYTHON": sys.executable,
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
}
OLD = 1_000_000_000


def run(folder: Path, *words: str, **variables: str) -> Said:
    return call(folder, "doit-cargo", *words, **{**SETTLED, **variables})


def compiled(said: Said) -> set[str]:
    """Return the packages that cargo said it compiles."""
    return set(re.findall(r"Compiling (\S+) v", said.err))


def last(said: Said) -> str:
    return said.out.splitlines()[-1] if said.out else ""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scale model with its wheel, built once."""
    root = tmp_path_factory.mktemp("python") / "model"
    shutil.copytree(MODEL, root, ignore=shutil.ignore_patterns("target", ".logs", ".doit-cargo", "__pycache__"))
    built = run(root, "build_python", "PROFILE=release")
    if "failed to download" in built.err or "Could not resolve" in built.err:
        pytest.skip("the registry of crates cannot be reached, and PyO3 is not on this computer")
    assert built.status == 0, built.out + built.err
    return root


def sources(root: Path) -> dict[Path, bytes]:
    """Return the files that a person would own, by path."""
    made = ("target", ".logs", ".testlogs", ".doit-cargo")
    files = (path for path in root.rglob("*") if path.is_file() and not set(made) & set(path.parts))
    return {path: path.read_bytes() for path in files}


@pytest.fixture
def restored(model: Path) -> Iterator[Path]:
    """The model, whose sources are taken back after the test."""
    before = sources(model)
    yield model
    for path, content in sources(model).items():
        if path not in before:
            path.unlink()
        elif content != before[path]:
            path.write_bytes(before[path])


def build(root: Path, *words: str, **variables: str) -> Said:
    return run(root, "build_python", "PROFILE=release", *words, **variables)


def wheel(root: Path) -> Path:
    (found,) = (root / "target/wheels").glob("mistralrs-*.whl")
    return found


# --- building --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_wheel_is_built_once_and_then_proven(model: Path) -> None:
    with zipfile.ZipFile(wheel(model)) as archive:
        names = archive.namelist()
    assert any(name.endswith((".so", ".pyd")) for name in names)
    again = build(model)
    assert (again.status, again.err) == (0, "")
    assert re.fullmatch(r"-- build_python  up to date: 7 packages, \d+ inputs unchanged\n", again.out)
    assert not list(model.rglob("doit-cargo-wheel-*"))


@pytest.mark.slow
def test_an_edit_below_the_module_rebuilds_what_rests_on_it(restored: Path) -> None:
    source = restored / "mistralrs-mcp/src/config.rs"
    source.write_text(source.read_text() + "\n// an edit\n")
    said = build(restored)
    assert ".. build_python  file mistralrs-mcp/src/config.rs: changed" in said.out
    assert compiled(said) == {"mistralrs-mcp", "mistralrs-core", "mistralrs-pyo3"}
    assert re.match(
        r"ok build_python  [\d.]+ s: target/wheels/mistralrs-0\.6\.0-\S+\.whl \d+ kB, no features", last(said)
    )


@pytest.mark.slow
def test_content_under_an_old_time_and_a_file_outside_of_all_packages_are_seen(restored: Path) -> None:
    build(restored)
    for name in ("mistralrs-mcp/src/rpc.rs", "build_nvcc.rs"):  # the second is in no package
        path = restored / name
        path.write_text(path.read_text() + "\n// an edit\n")
        os.utime(path, (OLD, OLD))
        said = build(restored)
        assert f".. build_python  file {name}: changed" in said.out
        assert "mistralrs-pyo3" in compiled(said)


@pytest.mark.slow
def test_stubs_tests_and_a_damaged_wheel_count_but_no_leavings(restored: Path) -> None:
    build(restored)
    write(restored / "mistralrs-pyo3/.pytest_cache/x", "")
    write(restored / "mistralrs-pyo3/tests/__pycache__/x.pyc", "")
    assert build(restored).out.startswith("-- build_python  up to date")
    with (restored / "mistralrs-pyo3/mistralrs.pyi").open("a") as stream:
        stream.write("\n# an edit\n")
    assert (compiled(said := build(restored)), said.status) == (set(), 0)
    with zipfile.ZipFile(wheel(restored)) as archive:
        assert any(archive.read(name).endswith(b"# an edit\n") for name in archive.namelist() if name.endswith(".pyi"))
    stubs = restored / "mistralrs-pyo3/mistralrs.pyi"
    before = stubs.stat().st_mode
    stubs.chmod(0o755)  # which maturin packs, too
    assert last(build(restored)).startswith("ok build_python")
    stubs.chmod(before)
    assert [last(build(restored))[:2] for _ in range(2)] == ["ok", "--"]
    wheel(restored).write_bytes(b"damaged")
    assert (build(restored).status, zipfile.is_zipfile(wheel(restored))) == (0, True)
    wheel(restored).unlink()
    assert (build(restored).status, zipfile.is_zipfile(wheel(restored))) == (0, True)


@pytest.mark.slow
def test_a_failed_build_leaves_the_wheel_and_no_receipt(restored: Path) -> None:
    build(restored)
    good = wheel(restored).read_bytes()
    write(restored / "mistralrs-pyo3/src/lib.rs", "compile_error!();\n")
    said = build(restored)
    assert (said.status, wheel(restored).read_bytes()) == (1, good)
    assert re.search(r"!! build_python  failed after [\d.]+ s with status 1; log: \.logs/build-python\.log", said.err)
    assert build(restored).status == 1


@pytest.mark.slow
def test_features_are_checked_against_the_satellite(model: Path) -> None:
    said = build(model, "FEATURES=mlk")
    assert (said.status, "mistralrs-pyo3 has no feature 'mlk'" in said.err) == (3, True)
    assert "did you mean 'mkl'?" in said.err
    rule = build(model, "FEATURES=flash-attn")
    assert (rule.status, "flash-attn requires the feature cuda" in rule.err) == (3, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "variables", "status", "message"),
    [
        (["PYTHON=nonsense"], {}, 3, "PYTHON=nonsense is no Python"),
        (["PYTHON=Cargo.toml"], {}, 3, "PYTHON=Cargo.toml is no Python"),
        (["PACKAGE=pyo3"], {}, 3, "PACKAGE: unknown Python crate 'pyo3'\n  fix: known: mistralrs-pyo3"),
        ([], {"PYO3_PYTHON": "/no/python"}, 3, "PYO3_PYTHON=/no/python is no Python"),
        (["TARGET=x86_64-unknown-linux-gnu"], {}, 3, "build_python takes no TARGET"),
    ],
)
def test_bad_input_is_told_before_anything_starts(
    model: Path, words: list[str], variables: dict[str, str], status: int, message: str
) -> None:
    said = build(model, *words, **variables)
    assert (said.status, message in said.err, said.out) == (status, True, "")


@pytest.mark.slow
@posix
@pytest.mark.parametrize("target", ["build_python", "test_python", "install_python", "wheel"])
def test_without_a_python_it_is_skipped_with_the_reason(model: Path, tmp_path: Path, target: str) -> None:
    for name in ("cargo", "rustc", "cc", "uname"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    program = Path(sys.executable).parent / "doit-cargo"
    for _ in range(2):  # a skip for lack of something is no success to build on
        said = call(model, str(program), target, PATH=str(tmp_path), VIRTUAL_ENV="", CONDA_PREFIX="")
        assert said.status == 0, said.err
        assert "skipped: no Python is here; " in said.out
        assert ", or name one: PYTHON=path" in said.out


@pytest.mark.slow
def test_a_python_that_the_project_does_not_want_is_refused(restored: Path) -> None:
    project = restored / "mistralrs-pyo3/pyproject.toml"
    project.write_text(project.read_text().replace('requires-python = ">=3.11"', 'requires-python = ">=3.99"'))
    said = build(restored)
    assert said.status != 0
    assert "mistralrs-pyo3 is for Python >=3.99, and this is Python 3." in said.err


# --- using -----------------------------------------------------------------------------------------------------------


SEES = """\
import os, pathlib

def test_seen(tmp_path):
    prompts = [path.read_text() for path in pathlib.Path(__file__).parents[2].glob("prompts/*.txt")]
    (tmp_path / "made").write_text("".join(prompts))
    assert ((tmp_path / "made").read_text(), os.environ.get("SEES")) == ("one", None)
"""


@pytest.mark.slow
def test_the_wheel_is_tried_in_a_fresh_environment_once(restored: Path) -> None:
    write(restored / "mistralrs-pyo3/tests/test_seen.py", SEES)
    write(restored / "prompts/one.txt", "one")
    said = run(restored, "test_python", "PROFILE=release")
    if "No matching distribution" in said.out + said.err:
        pytest.skip("PyPI cannot be reached")
    assert said.status == 0, said.out + said.err
    assert re.search(
        r"ok test_python  [\d.]+ s: mistralrs imported, tests passed; 7 tests, 0 skipped; log: ", last(said)
    )
    assert last(run(restored, "test_python", "PROFILE=release")).startswith("-- test_python  up to date")
    assert not list((restored / "mistralrs-pyo3").rglob("*.pyc"))
    write(restored / "notes.txt", "read by no test")
    assert last(run(restored, "test_python", "PROFILE=release")).startswith("-- test_python  up to date")
    seen = json.loads(run(restored, "observe", "test_python", "PROFILE=release", "--json").out)["seen"]
    assert ("reads", "prompts/one.txt") in {(one["verb"], one["subject"]) for one in seen}
    write(restored / "prompts/one.txt", "two")  # outside of the crate, by a name that stands nowhere
    for _ in range(2):
        broken = run(restored, "test_python", "PROFILE=release")
        assert (broken.status, "1 failed, 6 passed" in broken.out) == (1, True)
    write(restored / "prompts/one.txt", "one")
    assert run(restored, "test_python", "PROFILE=release").status == 0
    test = restored / "mistralrs-pyo3/tests/test_mistralrs.py"
    test.write_text(test.read_text().replace('"toy model"', '"another"'))
    assert run(restored, "why", "test_python", "PROFILE=release", SEES="1").out.splitlines() == [
        "test_python is stale:",
        "  env       SEES: unset -> ***",
        "  file      mistralrs-pyo3/tests/test_mistralrs.py: changed",
    ]


@pytest.mark.slow
def test_installing_needs_an_environment_and_mends_a_damaged_one(model: Path, tmp_path: Path) -> None:
    build(model)
    base = os.path.realpath(sys.executable)
    refused = run(model, "install_python", "PROFILE=release", PYO3_PYTHON=base)
    assert (refused.status, "no virtual environment is active, and Python 3." in refused.err) == (2, True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    into = ("install_python", "PROFILE=release", f"PYTHON={tmp_path / 'venv'}")
    said = run(model, *into)
    assert said.status == 0, said.out + said.err
    assert re.match(r"ok install_python  [\d.]+ s: mistralrs-0\.6\.0-\S+ in ", last(said))
    assert last(run(model, *into)).startswith("-- install_python  up to date")
    (module,) = (tmp_path / "venv").rglob("mistralrs/__init__.py")
    module.write_text("damaged")
    assert last(run(model, *into)).startswith("ok install_python")
    asked = "import mistralrs; print(mistralrs.backends())"
    python = tmp_path / "venv/bin/python"
    assert subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout == "[]\n"


@posix
@pytest.mark.slow
def test_a_python_of_the_operating_system_is_never_touched(model: Path, tmp_path: Path) -> None:
    managed = tmp_path / "managed"
    answer = subprocess.run([sys.executable, "-I", "-c", _FACTS], capture_output=True, text=True, check=True).stdout
    write(managed, f"#!/bin/sh\necho '{answer.strip()}'\n").chmod(0o755)
    for words in ([], ["YES=1"]):
        said = run(model, "install_python", "PROFILE=release", f"PYTHON={managed}", *words)
        assert (said.status, "belongs to the operating system (PEP 668)" in said.err) == (2, True)


_FACTS = """
import json, sys
base = sys._base_executable
print(json.dumps({"version": "3.11.9", "implementation": "cpython", "executable": base, "base": base, "prefix": "/usr",
    "is_environment": False, "site_packages": "/usr/lib/none", "is_managed": True}))
"""


# --- any workspace ---------------------------------------------------------------------------------------------------


def test_a_workspace_without_a_python_crate_has_no_such_target(tmp_path: Path) -> None:
    small_workspace(tmp_path)
    said = call(tmp_path, "doit-cargo", "build_python")
    assert (said.status, "build_python needs a crate that maturin builds" in said.err) == (3, True)
    assert "build_python" not in call(tmp_path, "doit-cargo", "list").out
    write(tmp_path / "deep/er/py/pyproject.toml", '[build-system]\nbuild-backend = "maturin"\n')
    write(tmp_path / "deep/er/py/Cargo.toml", MODULE.format(workspace="[workspace]\n"))
    write(tmp_path / "deep/er/py/src/lib.rs", "")
    assert "unknown feature" not in call(tmp_path, "doit-cargo", "build_python", "FEATURES=x").err
    assert "the package pymod has no feature 'x'" in call(tmp_path, "doit-cargo", "build_python", "FEATURES=x").err


PROGRAM = {
    "note.txt": "one",
    "tool/README.md": "words",
    "tool/LICENSE": "words",
    "tool/legal/data/one.txt": "words",
    "tool/Cargo.toml": '[workspace]\nmembers = ["py"]\nresolver = "2"\n[workspace.package]\nlicense-file = "LICENSE"\n',
    "tool/Cargo.lock": 'version = 4\n\n[[package]]\nname = "tool"\nversion = "0.1.0"\n',
    "tool/py/pyproject.toml": TOOL_PROJECT
    + """\
readme = "../README.md"
[tool.maturin]
bindings = "bin"
data = "../legal"
""",
    "tool/py/Cargo.toml": """\
[package]
name = "tool"
version = "0.1.0"
edition = "2021"
license-file.workspace = true
""",
    "tool/py/build.rs": 'fn main() { println!("cargo:rerun-if-env-changed=ASKED"); }\n',
    "tool/py/src/main.rs": 'fn main() { println!("{}{:?}", include_str!("../../../note.txt"), option_env!("READ")) }\n',
}


UNSAID = """\
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=SAID={} {}", std::fs::read_to_string("../../unsaid.txt").unwrap(), env("UNSAID"));
}
fn env(name: &str) -> String { std::env::var(name).unwrap_or_default() }
"""


@pytest.mark.slow
def test_a_wheel_is_made_from_what_is_there_whoever_read_it_without_saying_so(tmp_path: Path) -> None:
    observer()
    small_workspace(tmp_path)
    for name, text in {
        **PROGRAM,
        "unsaid.txt": "one",
        "tool/py/python/tool/run.sh": "",
        "tool/py/build.rs": UNSAID,
    }.items():
        write(tmp_path / name, text)
    project = tmp_path / "tool/py/pyproject.toml"
    write(project, project.read_text().replace("[tool.maturin]", '[tool.maturin]\npython-source = "python"'))
    write(tmp_path / "tool/py/src/main.rs", 'fn main() { println!("{}", env!("SAID")) }\n')

    def says(**variables: str) -> tuple[str, bool]:
        built = build(tmp_path, **variables)
        assert (built.status, built.out[:2]) == (0, ".."), built.out + built.err
        assert build(tmp_path, **variables).out.startswith("-- build_python  up to date")
        [wheel] = (tmp_path / "target/wheels").glob("tool-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (tmp_path / "packed").write_bytes(archive.read("tool-0.1.0.data/scripts/tool"))
            mode = archive.getinfo("tool/run.sh").external_attr >> 16
        (tmp_path / "packed").chmod(0o755)
        said = subprocess.run([tmp_path / "packed"], capture_output=True, text=True, check=True).stdout
        return said.strip(), bool(mode & 0o100)

    assert says() == ("one", False)
    write(tmp_path / "unsaid.txt", "two")
    assert says() == ("two", False)
    assert says(UNSAID="x") == ("two x", False)
    (tmp_path / "tool/py/python/tool/run.sh").chmod(0o755)
    assert says(UNSAID="x") == ("two x", True)


@pytest.mark.slow
def test_what_only_the_compiler_knows_counts_from_the_first_build_on(tmp_path: Path) -> None:
    small_workspace(tmp_path)
    for name, text in PROGRAM.items():
        write(tmp_path / name, text)
    built = build(tmp_path)
    assert built.status == 0, built.out + built.err
    assert build(tmp_path).out.startswith("-- build_python  up to date")
    assert build(tmp_path, ASKED="1").out.startswith(".. build_python  env ASKED: unset -> ***\n")
    assert build(tmp_path, READ="1").out.splitlines()[:2] == [
        ".. build_python  env READ: unset -> ***",
        ".. build_python  env ASKED: *** -> unset",
    ]
    # What the wheel says of itself, from outside of the crate.
    build(tmp_path)
    for name in ("tool/README.md", "tool/LICENSE", "tool/legal/data/one.txt"):
        write(tmp_path / name, "other words")
        assert build(tmp_path).out.startswith(f".. build_python  file {name}: changed\n")
        assert build(tmp_path).out.startswith("-- build_python  up to date")
    (tmp_path / ".doit-cargo").rename(tmp_path / "forgotten")
    shutil.rmtree(tmp_path / "tool/target")
    build(tmp_path)
    write(tmp_path / "note.txt", "two")
    assert build(tmp_path).out.startswith(".. build_python  file note.txt: changed\n")


MODULE = """\
[package]
name = "pymod"
version = "0.1.0"
edition = "2021"
[lib]
crate-type = ["cdylib"]
{workspace}[dependencies]
"""
MEMBER = MODULE.format(workspace="") + 'pyo3 = { version = "0.30", features = ["abi3-py311", "extension-module"] }\n'
SOURCE = """\
use pyo3::prelude::*;
#[pymodule]
fn pymod(module: &Bound<'_, PyModule>) -> PyResult<()> { module.add("one", 1) }
"""


@pytest.fixture
def member(model: Path, tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A workspace whose member is a module of PyO3, and the variables by which it shares the model's compiled PyO3."""
    root = tmp_path / "ws"
    write(
        root / "Cargo.toml",
        '[workspace]\nresolver = "2"\nmembers = ["app", "pymod"]\n[profile.release]\nopt-level = 3\n',
    )
    write(root / "app/Cargo.toml", '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n')
    write(root / "app/src/main.rs", "fn main() {}\n")
    write(root / "pymod/Cargo.toml", MEMBER)
    write(root / "pymod/src/lib.rs", SOURCE)
    shutil.copy(model / "mistralrs-pyo3/Cargo.lock", root / "Cargo.lock")
    yield root, {"CARGO_TARGET_DIR": str(model / "mistralrs-pyo3/target"), "CARGO_NET_OFFLINE": "true"}
    run(model, "clean")  # what was built here is nobody's any more


@pytest.mark.slow
def test_cargo_and_maturin_in_turn_compile_pyo3_once(member: tuple[Path, dict[str, str]]) -> None:
    root, variables = member
    seen = [run(root, target, **variables) for target in ("build_all", "build_python", "build_all", "build_python")]
    assert [said.status for said in seen] == [0, 0, 0, 0], seen[-1].err
    assert [compiled(said) - {"app"} for said in seen] == [{"pymod"}, set(), set(), set()]
    write(root / "pymod/src/lib.rs", SOURCE.replace("1", "2"))
    seen = [run(root, target, **variables) for target in ("build_python", "build_all")]
    assert [compiled(said) for said in seen] == [{"pymod"}, set()]
    assert [said.out for said in seen if "another Python" in said.out or "compiled again" in said.out] == []
    # So it is with cargo alone, and the next call of ours says so.
    write(root / "pymod/src/lib.rs", SOURCE)
    plain = call(root, "cargo", "build", "--release", "--workspace", **{**SETTLED, **variables})
    assert {"pyo3-ffi", "pyo3"} <= compiled(plain)
    said = run(root, "build_python", **variables)
    assert (
        "PyO3 was compiled again, since it was told something else than before: PYO3_CONFIG_FILE: unset -> " in said.out
    )
    assert compiled(run(root, "build_all", **variables)) == set()


# --- what PyO3 is told -----------------------------------------------------------------------------------------------

PY = "/usr/bin/python3.11"


@pytest.mark.parametrize(
    ("known", "environ", "as_module", "expected"),
    [
        ({}, {}, True, {"PYO3_PYTHON": PY}),
        ({}, {"PYO3_PYTHON": "/mine"}, True, {}),
        ({}, {"PYO3_CONFIG_FILE": "/mine"}, True, {}),
        ({}, {"PYO3_NO_PYTHON": "1"}, True, {}),
        (
            {"PYO3_PYTHON": PY, "PYO3_ENVIRONMENT_SIGNATURE": "s", "PYO3_NO_PYTHON": None},
            {},
            True,
            {"PYO3_PYTHON": PY, "PYO3_ENVIRONMENT_SIGNATURE": "s"},
        ),
        ({"PYO3_PYTHON": PY, "PYO3_ENVIRONMENT_SIGNATURE": "s"}, {}, False, {"PYO3_PYTHON": PY}),
        ({"PYO3_PYTHON": "/other", "PYO3_ENVIRONMENT_SIGNATURE": "s"}, {}, True, {"PYO3_PYTHON": PY}),
        ({"PYO3_CONFIG_FILE": "/gone"}, {}, True, {"PYO3_PYTHON": PY}),
        ({"PYO3_CONFIG_FILE": __file__}, {}, True, {"PYO3_PYTHON": PY, "PYO3_CONFIG_FILE": __file__}),
    ],
)
def test_a_cargo_call_takes_over_what_pyo3_was_told(
    known: dict[str, str | None], environ: Mapping[str, str], as_module: bool, expected: dict[str, str]
) -> None:
    assert dict(bindings(known, PY, environ, as_module).env) == expected


def test_only_what_was_known_can_differ() -> None:
    assert difference({"PYO3_PYTHON": "/other"}, {"PYO3_PYTHON": PY}) == f"PYO3_PYTHON: /other -> {PY}"
    assert difference({"PYO3_PYTHON": PY}, {"PYO3_PYTHON": PY}) == ""
    assert difference({}, {"PYO3_PYTHON": PY}) == ""


def test_a_fingerprint_that_cargo_wrote_otherwise_tells_nothing(tmp_path: Path) -> None:
    place = tmp_path / ".fingerprint/pyo3-ffi-0/run-build-script-build-script-build.json"
    assert told(str(tmp_path)) == {}
    for text in ("", "[]", '{"local": 1}', '{"local": [1, {"RerunIfEnvChanged": 1}]}', '{"local": [{"Other": {}}]}'):
        write(place, text)
        assert told(str(tmp_path)) == {}
    changed = [{"RerunIfEnvChanged": {"var": "PYO3_X", "val": None}}, {"RerunIfEnvChanged": {"var": "A", "val": "b"}}]
    write(place, json.dumps({"local": changed}))
    assert told(str(tmp_path)) == {"PYO3_X": None}
    assert pyo3.EXTENSION.startswith(pyo3.PREFIX)


def test_sources_are_listed_without_what_pythons_tools_leave(tmp_path: Path) -> None:
    for name in (
        "src/lib.rs",
        "tests/test.py",
        "tests/__pycache__/x",
        ".venv/pyvenv.cfg",
        ".venv/a",
        "inner/Cargo.toml",
        "target/a",
    ):
        write(tmp_path / name, "")
    assert list_tree(str(tmp_path), ("module", str(tmp_path / "target")))[1] == ("src/lib.rs", "tests/test.py")
