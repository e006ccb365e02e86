"""What is done with a wheel: installed where the user works, and tried out in a fresh environment of its own."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from doit_cargo.actions import TEST_LOGS, finished, log_path, program, require_consent, run_tool
from doit_cargo.actions.python import crates, plans
from doit_cargo.actions.python.crates import PythonCrate
from doit_cargo.actions.python.plans import interpreter, tell_no_python
from doit_cargo.actions.python.wheel import wheel_of
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.model import ActionInputs
from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.console import reporter
from doit_cargo.engine.toolchain import python as pythons

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.observe.observer import Observation
    from doit_cargo.engine.toolchain.python import Python
    from doit_cargo.session import Session

# The folder below the target directory that holds environments for tests.
ENVIRONMENTS = "doit-cargo-python"
# Optional dependencies of a project that are for its tests.
TEST_EXTRAS = ("test", "tests", "testing")
NO_TESTS_COLLECTED = 5  # pytest's exit code
VARIABLES = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYO3_PYTHON")
# What would lead an interpreter to other modules than those that are installed.
MISLEADING = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__")


def install_python(session: Session, values: Values) -> bool | None:
    """Install the wheels into an environment; never unasked into a system's Python, never where PEP 668 forbids it."""
    python = interpreter(session, values)
    if python is None:
        tell_no_python(session)
        return None
    _require_place(values, python)
    if not python.is_environment:
        require_consent(values, "install_python", f"install into {python}, which is no virtual environment")
    return all(_install(session, python, wheel_of(session, crate)) for crate in crates.chosen(session, values))


def check_install(session: Session, values: Values) -> None:
    """Find bad input, and a place where nothing may be installed, before the wheel is built."""
    plans.check(session, values)
    python = interpreter(session, values)
    if python:
        _require_place(values, python)


def _require_place(values: Values, python: Python) -> None:
    """Raise unless this is an environment, or a Python that the user owns and has named."""
    if python.is_environment:
        return
    fix = "python3 -m venv .venv && . .venv/bin/activate; or name an environment: PYTHON=path"
    if python.is_managed:
        what = f"{python} belongs to the operating system (PEP 668): nothing is installed there"
        raise UserError(Problem(what, fix), COULD_NOT_RUN)
    if not values.text("PYTHON"):
        what = f"no virtual environment is active, and {python} is none"
        raise UserError(Problem(what, fix), COULD_NOT_RUN)


def _install(session: Session, python: Python, wheel: str) -> bool:
    """Put a wheel in place of what is installed, then what it depends on, as far as that is missing."""
    again = ("--force-reinstall", "--no-deps")
    for options in (again, ()) if _requirements(wheel) else (again,):
        outcome = run_tool(session, "install_python", install_command(python, *options, wheel), unset=MISLEADING)
        if not outcome.ok:
            return finished(session, "install_python", outcome, "")
    return finished(session, "install_python", outcome, f"{os.path.basename(wheel)} in {python.prefix}")


def install_command(python: Python, *words: str) -> list[str]:
    """Return the command that installs for an interpreter: with its own pip, ours, or uv."""
    for python_program in (python.executable, sys.executable):
        if _has_pip(python_program):
            own = [] if python_program == python.executable else ["--python", python.executable]
            return [python_program, "-m", "pip", "--disable-pip-version-check", "--no-input", *own, "install", *words]
    uv = which("uv", os.environ)
    if not uv:
        fix = f"{python.executable} -m ensurepip"
        raise UserError(Problem(f"{python} has no pip, and there is no other", fix), COULD_NOT_RUN)
    return [uv, "pip", "install", "--python", python.executable, *words]


def _has_pip(program: str) -> bool:
    return processes.answer([program, "-I", "-c", "import pip"], os.environ, None).ok


def watch_install_python(session: Session, values: Values) -> ActionInputs:
    """Return the wheels and the interpreter, and what is installed as outputs."""
    python = interpreter(session, values)
    if python is None:
        return ActionInputs()
    wheels = [wheel_of(session, crate) for crate in crates.chosen(session, values)]
    return ActionInputs(
        files=(*wheels, python.base, os.path.join(python.prefix, "pyvenv.cfg")),
        variables=VARIABLES,
        tools=("python",),
        outputs=tuple(os.path.join(python.site_packages, name) for wheel in wheels for name in _contents(wheel)),
    )


def _contents(wheel: str) -> list[str]:
    """Return what a wheel puts into site-packages, but for the list of it, which pip writes anew."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    return [name for name in names if ".data/" not in name and not name.endswith(".dist-info/RECORD")]


def _requirements(wheel: str) -> list[str]:
    """Return what a wheel says that it depends on."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode("utf-8", "replace").partition("\n\n")[0].splitlines()
    return [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ")]


def test_python(session: Session, values: Values) -> bool | None:
    """Try each wheel in an environment of its own."""
    python = interpreter(session, values)
    if python is None:
        tell_no_python(session)
        return None
    with program.observing(session, values, {}, [session.workspace.target_directory]) as observation:
        done = [_test(session, crate, python, observation) for crate in crates.chosen(session, values)]
    if all(done):
        program.tell_unseen(session, values)
    return all(done)


def _test(session: Session, crate: PythonCrate, python: Python, observation: Observation | None) -> bool:
    wheel = wheel_of(session, crate)
    folder = os.path.join(session.workspace.target_directory, ENVIRONMENTS, crate.distribution)
    log = log_path(session, "test_python", TEST_LOGS)
    fresh = _fresh_environment(session, python, folder, log)
    extras = [name for name in TEST_EXTRAS if name in crate.project.get("project", {}).get("optional-dependencies", {})]
    wanted = f"{wheel}[{','.join(extras)}]" if extras else wheel
    outcome = run_tool(session, "test_python", install_command(fresh, "--quiet", wanted, "pytest"), log=log)
    if not outcome.ok:
        return finished(session, "test_python", outcome, "", log)
    modules = list(_modules(wheel))
    if not _import(session, fresh, modules, log, observation):
        return False
    return _run_pytest(session, crate, fresh, modules, log, observation)


def _fresh_environment(session: Session, python: Python, folder: str, log: str) -> Python:
    shutil.rmtree(folder, ignore_errors=True)
    outcome = run_tool(session, "test_python", [python.base, "-I", "-m", "venv", "--without-pip", folder], log=log)
    made = pythons.ask(pythons.program_in(session.machine, folder)) if outcome.ok else None
    if made is None:
        fix = "Debian and Ubuntu have venv in a package of its own: apt install python3-venv"
        raise UserError(Problem(f"{python} cannot make a virtual environment", fix, log), COULD_NOT_RUN)
    return made


def _modules(wheel: str) -> Iterator[str]:
    """Yield the modules that a wheel brings, by the names at its top."""
    tops = dict.fromkeys(name.partition("/")[0] for name in _contents(wheel))
    names = (top.partition(".")[0] for top in tops if not top.endswith((".dist-info", ".libs", ".pyi", ".pth")))
    yield from dict.fromkeys(name for name in names if name.isidentifier())


def _import(session: Session, fresh: Python, modules: list[str], log: str, observation: Observation | None) -> bool:
    """Import the modules, and hold that they are those of the fresh environment."""
    code = "import importlib, sys\nfor name in sys.argv[1:]:\n    print(importlib.import_module(name).__file__)"
    argv = [fresh.executable, "-I", "-B", "-c", code, *modules]
    outcome = run_tool(session, "test_python", argv, unset=MISLEADING, log=log, observation=observation)
    return outcome.ok or finished(session, "test_python", outcome, "", log)


def _run_pytest(
    session: Session, crate: PythonCrate, fresh: Python, modules: list[str], log: str, observation: Observation | None
) -> bool:
    """Run the crate's tests against what is installed: pytest's own program keeps the source folder off sys.path."""
    scripts = os.path.dirname(fresh.executable)
    report = os.path.join(os.path.dirname(log), "test-python.xml")
    argv = [os.path.join(scripts, "pytest"), "-p", "no:cacheprovider", f"--junitxml={report}"]
    argv.append(f"--basetemp={os.path.join(fresh.prefix, 'tmp')}")  # the usual one lists what others have left
    env = {
        "VIRTUAL_ENV": fresh.prefix,
        "PATH": os.pathsep.join([scripts, session.environ.get("PATH", "")]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    outcome = run_tool(
        session, "test_python", argv, cwd=crate.directory, env=env, unset=MISLEADING, log=log, observation=observation
    )
    imported = f"{', '.join(modules)} imported"
    if outcome.status == NO_TESTS_COLLECTED and not outcome.interrupted:
        reporter.done(
            "test_python", f"{imported}; {reporter.relative(crate.directory, session.root)} has no tests for pytest"
        )
        return True
    return finished(session, "test_python", outcome, f"{imported}, tests passed; {_counts(report)}", log)


def _counts(report: str) -> str:
    """Return how many tests a JUnit file tells of."""
    from xml.etree import ElementTree

    try:
        suites = ElementTree.parse(report).getroot().iter("testsuite")  # noqa: S314
        numbers: Mapping[str, Any] = next(iter(suites)).attrib
    except (OSError, ElementTree.ParseError, StopIteration):
        return "no report"
    return f"{numbers.get('tests', '0')} tests, {numbers.get('skipped', '0')} skipped"


def watch_test_python(session: Session, values: Values) -> ActionInputs:
    """Return the wheels, the interpreter, and what the tests were seen to rest on."""
    python = interpreter(session, values)
    if python is None:
        return ActionInputs()
    found = crates.chosen(session, values)
    projects = (os.path.join(crate.directory, "pyproject.toml") for crate in found)
    inputs = ActionInputs(
        files=(*(wheel_of(session, crate) for crate in found), *projects, python.base),
        variables=VARIABLES,
        tools=("python",),
        packages=tuple(crate.name for crate in found),
    )
    return program.with_seen(session, inputs)
