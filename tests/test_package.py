"""The package as others get it: what the wheel holds, that it runs without a checkout, the house's one direction."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from calling import MAKE, call, environment, needs_make, posix, small_workspace
from conftest import needs_cargo

REPOSITORY = Path(__file__).parents[1]
TASKS = REPOSITORY / "tasks/doit_cargo"
PACKAGE = "doit_cargo"

# --- the house -------------------------------------------------------------------------------------------------------

# What the engine must not know: it serves the rows, the session and the doors, and they come later.
ENGINE = f"{PACKAGE}.engine"
DOORS = ("line", *(f"doit.{name}" for name in ("bridge", "commands", "dodo", "parallel", "proofs", "run")))
DOIT_KNOWN_TO = {f"{PACKAGE}.cli.{name}" for name in DOORS}


def modules() -> dict[str, Path]:
    """Return every module of the package and its file."""
    found = {}
    for path in sorted(TASKS.rglob("*.py")):
        parts = [PACKAGE, *path.relative_to(TASKS).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path) -> Iterator[str]:
    """Yield all that a module imports, at its top or inside a function: `a.b` and `a.b.c` of `from a.b import c`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph() -> dict[str, set[str]]:
    """Return module -> modules of ours that it imports. A package that only leads to its module is not one of them."""
    known = modules()
    found = {}
    for name, path in known.items():
        names = set(imports_of(path)) & known.keys()
        found[name] = {each for each in names if known[each].name != "__init__.py"}
    return found


def test_imports_go_one_way() -> None:
    imports = graph()
    assert len(imports) > 40
    assert imports[f"{ENGINE}.state.receipts"] >= {f"{ENGINE}.state.staleness"}
    try:
        list(TopologicalSorter(imports).static_order())
    except CycleError as cycle:
        pytest.fail(f"modules import each other: {' <- '.join(cycle.args[1])}")


def test_the_engine_knows_nothing_of_rows_sessions_and_doors() -> None:
    wrong = {
        (name, each)
        for name, others in graph().items()
        for each in others
        if name.startswith(ENGINE) and not each.startswith(ENGINE)
    }
    assert wrong == set()


def test_rows_know_only_what_a_row_is_made_of() -> None:
    from doit_cargo.targets import catalogue

    allowed = {f"{ENGINE}.base.{name}" for name in ("errors", "launch", "model", "variables")}
    allowed.add(f"{ENGINE}.toolchain.tools")
    allowed.add(f"{PACKAGE}.targets.relevance")  # names of questions, each asked by the catalogue
    imports = graph()
    strange = {family: imports[f"{PACKAGE}.targets.{family}"] - allowed for family in catalogue.FAMILIES}
    assert {family: names for family, names in strange.items() if names} == {}


def test_only_the_bridge_and_the_doors_know_doit() -> None:
    knowing = {
        name for name, path in modules().items() if any(each.partition(".")[0] == "doit" for each in imports_of(path))
    }
    assert knowing == DOIT_KNOWN_TO


def test_a_cycle_would_be_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("def f():\n    from doit_cargo.two import g\n")
    (tmp_path / "two.py").write_text("from doit_cargo import one\n")
    monkeypatch.setattr(f"{__name__}.TASKS", tmp_path)
    assert graph() == {"doit_cargo.one": {"doit_cargo.two"}, "doit_cargo.two": {"doit_cargo.one"}}


HEAVY = [
    "argparse",
    "collections",
    "dataclasses",
    "doit",
    "enum",
    "functools",
    "importlib.metadata",
    "jinja2",
]
HEAVY += ["json", "packaging", "re", "shutil", "subprocess", "tempfile", "threading", "tomlkit", "tomllib", "typing"]


def loaded(tmp_path: Path, folder: Path, code: str) -> tuple[int, set[str]]:
    """Run code in a bare interpreter, without site; return its status and the heavy modules that it has loaded."""
    link = tmp_path / "bare" / PACKAGE
    link.parent.mkdir()
    link.symlink_to(TASKS)
    tell = (
        f"import sys; code = run(); print('LOADED', *(name for name in {HEAVY} if name in sys.modules)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"def run():\n    {code}\n{tell}"],
        cwd=folder,
        env={**environment(), "PYTHONPATH": str(link.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    assert last.startswith("LOADED"), done.stderr
    return done.returncode, set(last.split()[1:])


@posix
def test_the_launcher_imports_nothing_heavy(tmp_path: Path) -> None:
    assert loaded(tmp_path, tmp_path, "import doit_cargo.cli.main; return 0") == (0, set())


@posix
@needs_cargo
@pytest.mark.slow
def test_a_skip_loads_nothing_heavy(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "workspace")
    assert call(root, "doit-cargo", "dev").status == 0
    code = "from doit_cargo.cli.main import main; return main(['dev', 'JOBS=2'])"
    assert loaded(tmp_path, root, code) == (0, set())


# --- the wheel -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checkout."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "checkout"
    junk = (".*", "target", "build", "dist", "__pycache__", "*.egg-info")
    shutil.copytree(REPOSITORY, source, ignore=shutil.ignore_patterns(*junk))
    done = run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(source)], place)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = place.glob("*.whl")
    shutil.rmtree(source)
    return found


def run(argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that asks PyPI; skipped where there is no network."""
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if re.search("NewConnectionError|NameResolutionError|ConnectTimeoutError", done.stdout + done.stderr):
        pytest.skip("PyPI cannot be reached")
    return done


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a fresh venv that has the wheel, its dependencies and nothing else."""
    venv = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    scripts = venv / ("Scripts" if os.name == "nt" else "bin")
    done = run([str(scripts / "python"), "-m", "pip", "install", "--quiet", str(wheel)], venv)
    assert done.returncode == 0, done.stdout + done.stderr
    return scripts


def fresh(scripts: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the fresh venv, first on PATH."""
    path = f"{scripts}{os.pathsep}{environment()['PATH']}"
    argv = [shutil.which(words[0], path=path) or words[0], *words[1:]]
    environ = {**environment(), "PATH": path}
    return subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {f"{PACKAGE}/{path.relative_to(TASKS)}" for path in TASKS.rglob("*") if is_shipped(path)}
    profiles = REPOSITORY / "profiles"
    expected |= {f"{PACKAGE}/profiles/{path.relative_to(profiles)}" for path in profiles.rglob("*") if is_shipped(path)}
    assert names == expected
    assert names >= {
        f"{PACKAGE}/{name}"
        for name in (
            "py.typed",
            "templates/makefile.j2",
            "data/cuda.toml",
            "profiles/base/pack.toml",
            "engine/execution/run.py",
        )
    }


def is_shipped(path: Path) -> bool:
    known = (".py", ".toml", ".j2", ".typed", ".c", ".h", ".bash", ".zsh", ".fish")
    return path.suffix in (*known, ".css", ".js", ".gz") or path.name in ("py.typed", "LICENSE")


@posix
@needs_cargo
@pytest.mark.slow
def test_the_wheel_runs_where_no_checkout_is(installed: Path, tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "workspace")
    where = fresh(installed, root, "python", "-c", "import doit_cargo; print(doit_cargo.__file__)")
    assert where.stdout.startswith(str(installed.parent))
    listed, expected = fresh(installed, root, "doit-cargo", "list"), call(root, "doit-cargo", "list")
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, expected.out, "")
    built, skipped = fresh(installed, root, "doit-cargo", "dev"), fresh(installed, root, "doit-cargo", "dev")
    assert (built.returncode, (root / "target/debug/app").exists()) == (0, True)
    assert (skipped.returncode, skipped.stderr) == (0, "")
    assert skipped.stdout.startswith("-- dev  up to date: 2 packages, ")


@posix
@needs_cargo
@needs_make
@pytest.mark.slow
def test_the_wheel_brings_its_templates_packs_and_plugins(installed: Path, tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "workspace")
    assert fresh(installed, root, "doit-cargo", "makefile").stdout == f"wrote {root}/Makefile\n"
    assert call(root, "doit-cargo", "makefile", "--check").status == 0
    version = fresh(installed, root, MAKE, "version").stdout
    assert version.startswith("doit-cargo  ")
    for door in ("doit", "doit-cargo"):
        assert fresh(installed, root, door, "version").stdout == version
    for words in ("why dev", "plan dev", "profiles low_memory", "info"):
        done = fresh(installed, root, "doit", *words.split())
        assert (words, done.returncode, done.stderr) == (words, 0, "")
    assert "doit-cargo" in fresh(installed, root, "doit", "help", "list").stdout.partition("--backend")[2]


@pytest.mark.slow
def test_the_dependencies_are_those_that_the_package_names(installed: Path, tmp_path: Path) -> None:
    assert fresh(installed, tmp_path, "python", "-m", "pip", "check").returncode == 0
    names = fresh(installed, tmp_path, "python", "-m", "pip", "list", "--format=freeze").stdout
    have = {line.partition("==")[0].lower().replace("_", "-") for line in names.splitlines()} - {"pip", "setuptools"}
    assert have >= {"doit-cargo", "doit", "jinja2", "packaging", "tomlkit"}
    # Everything else is what those four need.
    code = "import doit_cargo.engine.plan.render, doit_cargo.engine.base.toml.locations, doit_cargo.cli.doit.commands"
    assert fresh(installed, tmp_path, "python", "-c", code).stderr == ""
