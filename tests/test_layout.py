"""The layout, read from its imports: one direction, few modules a package, no family inside another."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from doit_cargo import engine

SOURCE = Path(__file__).parents[1] / "tasks/doit_cargo"
PACKAGE = "doit_cargo"
MOST_MODULES = 12
# From the ground up. A top-level module or package that is not named here is a mistake.
ORDER = (
    *(f"engine.{name}" for name in engine.PACKAGES),
    *("targets", "cache", "sharing", "session", "makefile", "diagnosis", "actions", "migrate", "cli", "api"),
)
# Old paths, which only lead on for a version.
OLD_PATHS = {"dodo", "engine.model"}
# What one family takes from inside another, and why that is right.
ACROSS = {
    ("serving.program", "models.places"): "a server is started with a model",
    ("serving.program", "mcp_servers.config"): "and with MCP servers",
    ("program", "testing.observing"): "a program of a row is observed as one of a test is",
    ("testing.why", "maintenance.failures"): "the test that failed last is named",
    ("observed", "testing.results"): "what was seen of tests lies with what is kept of them",
}
# What starts a program that goes on, or that has the terminal.
SERVERS = {"actions.serving.foreground", "actions.serving.background"}
PRODUCT = ("actions.serving", "actions.mcp_servers", "actions.models", "actions.measure.vram")


def modules(source: Path) -> dict[str, Path]:
    """Return every module below a folder, by its name in the package."""
    found = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(source: Path) -> dict[str, set[str]]:
    """Return module -> the modules of ours that it imports, wherever that stands, also for types alone."""
    known = modules(source)
    return {name: set(_imports(path, known)) - {name} for name, path in known.items()}


def _imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix(f"{PACKAGE}.") for alias in node.names if _is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom) and _is_ours(str(node.module)):
            base = str(node.module).removeprefix(PACKAGE).removeprefix(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".removeprefix(".")
                yield full if full in known else base


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == PACKAGE


def package(name: str) -> str:
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "engine" and len(parts) > 1 else parts[0]


def back_imports(source: Path) -> list[str]:
    """Return the imports of a later package, and the modules that have no place."""
    wrong = []
    for name, others in imports(source).items():
        if name in ("", "engine", *OLD_PATHS):
            continue
        if package(name) not in ORDER:
            wrong.append(f"{name} has no place")
            continue
        later = ORDER[ORDER.index(package(name)) + 1 :]
        wrong += [
            f"{name} imports {other}" for other in sorted(others) if package(other) in later or other in OLD_PATHS
        ]
    return wrong


def test_packages_import_only_from_those_before_them() -> None:
    assert len(modules(SOURCE)) > 200
    assert back_imports(SOURCE) == []


def test_an_import_that_runs_back_would_be_seen(tmp_path: Path) -> None:
    for path, text in (
        ("engine/base/low.py", "def f():\n    from doit_cargo.engine import execution\n"),
        ("engine/execution/__init__.py", "from doit_cargo.engine.base import low\n"),
        ("engine/attic.py", ""),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert back_imports(tmp_path) == ["engine.attic has no place", "engine.base.low imports engine.execution"]


def test_no_package_has_more_modules_than_fit_in_the_head() -> None:
    count: dict[str, int] = {}
    for path in (*SOURCE.glob("engine/**/*.py"), *SOURCE.glob("actions/**/*.py")):
        if path.name != "__init__.py":
            folder = str(path.parent.relative_to(SOURCE))
            count[folder] = count.get(folder, 0) + 1
    assert {folder: many for folder, many in count.items() if many > MOST_MODULES} == {}


def family(name: str) -> str:
    """Return the family of a module of actions/: its folder, or itself where it is alone."""
    return name.split(".")[1]


def test_no_family_of_actions_uses_another_from_inside() -> None:
    across = {
        (name.removeprefix("actions."), other.removeprefix("actions."))
        for name, others in imports(SOURCE).items()
        for other in others
        if name.startswith("actions.") and other.count(".") > 1 and other.startswith("actions.")
        if family(name) != family(other)
    }
    assert across == set(ACROSS)


def test_a_listing_imports_nothing_of_serving_models_and_mcp(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/lib.rs").touch()
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "plain"\nversion = "0.1.0"\n')
    tell = f"print([name for name in sys.modules if name.startswith({tuple(f'{PACKAGE}.{each}' for each in PRODUCT)})])"
    code = f"import sys\nfrom doit_cargo.cli.main import main\nassert main(['list', '--all']) == 0\n{tell}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout.splitlines()[-1:], done.stderr) == (0, ["[]"], "")


@pytest.mark.parametrize(("old", "names"), [("dodo", "DOIT_CONFIG targets_of"), ("engine.model", "Target")])
def test_an_old_path_goes_on_working_with_a_warning(old: str, names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"{PACKAGE}.{old}", raising=False)
    taken = ", ".join(names.split())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found: dict[str, object] = {}
        exec(f"from {PACKAGE}.{old} import {taken}\nfrom {PACKAGE} import api", found)
    assert [str(each.message) for each in said] == [f"{PACKAGE}.{old} is going away: import from {PACKAGE}.api instead"]
    assert all(found[name] is getattr(found["api"], name) for name in names.split())


def calls_of(source: Path, *names: str) -> list[str]:
    """Return the places that use one of these functions of a module, such as `subprocess.run`."""
    found = []
    for name, path in modules(source).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found += [f"{name}:{node.lineno}"] * (f"{node.value.id}.{node.attr}" in names)
    return found


def within(places: list[str], allowed: set[str]) -> list[str]:
    """Return the places outside of some modules."""
    return [place for place in places if place.partition(":")[0] not in allowed]


def test_programs_are_asked_and_started_in_one_place_each() -> None:
    asked = calls_of(SOURCE, "subprocess.run", "subprocess.check_output", "subprocess.call", "os.system", "os.popen")
    started = calls_of(SOURCE, "subprocess.Popen")

    # A build file is recorded in a box, which is told its work on standard input.
    assert within(asked, {"engine.base.process.processes", "migrate.recording.box"}) == []
    assert (
        within(started, {"engine.base.process.processes", "engine.console.child", "migrate.recording.inside", *SERVERS})
        == []
    )


def test_programs_are_looked_for_in_one_place() -> None:
    assert calls_of(SOURCE, "shutil.which") == []


def test_files_are_written_whole_in_one_place() -> None:
    assert within(calls_of(SOURCE, "os.replace", "os.rename", "os.renames"), {"engine.base.atomic"}) == []


def test_no_class_name_stands_for_two_things() -> None:
    places: dict[str, list[str]] = {}
    for name, path in modules(SOURCE).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
