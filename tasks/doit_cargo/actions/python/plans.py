"""How a Python crate is built: by which interpreter, with which profile, and the arguments of maturin.

Finds all bad input of the family before anything starts. Runs nothing but interpreters that tell what they are.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doit_cargo.actions.python import crates
from doit_cargo.actions.python.crates import PythonCrate
from doit_cargo.engine.base.errors import BAD_INPUT, COULD_NOT_RUN, Absent, Problem, UserError
from doit_cargo.engine.base.model import Plan, Target
from doit_cargo.engine.base.variables import CARGO
from doit_cargo.engine.cargo import pyo3
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.preflight.preflight import PreflightFacts
    from doit_cargo.engine.toolchain.python import Python
    from doit_cargo.session import Session

NAME = "build_python"
# The first that this checkout and this computer can build is taken; PROFILE takes another.
PROFILES = ("cuda", "metal", "release")
NO_PYTHON = "skipped: no Python is here"


def interpreter(session: Session, values: Values) -> Python | None:
    """Return the Python of PYTHON, PYO3_PYTHON, the active environment or PATH; None if there is none.

    Raises `UserError` for a PYTHON or PYO3_PYTHON that is no Python.
    """
    from doit_cargo.engine.toolchain import python

    named = values.text("PYTHON")
    if named:
        found = python.ask(python.program_in(session.machine, named) or named)
        if found is None:
            fix = "give a Python 3 program, its name on PATH, or the folder of a virtual environment"
            raise UserError(Problem(f"PYTHON={named} is no Python", fix), BAD_INPUT)
        return found
    tool = session.machine.tool("python")
    answer = python.ask_found(tool.path, session.root) if tool else None
    if answer is None and session.environ.get(pyo3.PYTHON):
        what = f"PYO3_PYTHON={session.environ[pyo3.PYTHON]} is no Python"
        raise UserError(Problem(what, "correct it, or unset it to take the Python of the active environment"))
    return answer


def tell_no_python(session: Session) -> None:
    """Say that a target is skipped, and how to get what it lacks."""
    from doit_cargo.engine.toolchain.tools import how_to_get

    way = how_to_get("python", session.machine.package_manager)
    reporter.note(session.current, f"{NO_PYTHON}; {way}, or name one: PYTHON=path")


def check(session: Session, values: Values) -> None:
    """Find bad input before anything starts: PYTHON, PACKAGE, FEATURES, PROFILE."""
    python = interpreter(session, values)
    for crate in crates.chosen(session, values):
        plan_of(session, values, crate)
        if python:
            require_version(crate, python)


def require_version(crate: PythonCrate, python: Python) -> None:
    """Raise `UserError` if a crate's requires-python leaves an interpreter out."""
    from doit_cargo.engine.toolchain.versions import satisfies

    if crate.requires_python and not satisfies(python.version, crate.requires_python):
        what = f"{crate.name} is for Python {crate.requires_python}, and this is {python}"
        fix = "name another one: PYTHON=path, or activate its environment"
        raise UserError(Problem(what, fix, os.path.join(crate.directory, "pyproject.toml")), COULD_NOT_RUN)


def plan_of(session: Session, values: Values, crate: PythonCrate) -> Plan:
    """Return the cargo plan by which a crate is built: of PROFILE, else of the first profile that can be built here."""
    from doit_cargo.engine.preflight import preflight

    if values.text("PROFILE"):
        return _plan(session, values, crate, PROFILES[-1])
    passed_over: list[str] = []
    for profile in PROFILES[:-1]:
        try:
            made = _plan(session, values, crate, profile)
        except Absent as absent:
            passed_over.append(f"{profile}: {absent.problems[0].what}")
            continue
        problems = preflight.check(made, session.machine, session.root, known(session, made, crate))
        if not problems:
            return made._replace(notes=(f"profile {profile}: this machine has what it needs", *made.notes))
        passed_over.append(f"{profile}: {problems[0].what}")
    return _plan(session, values, crate, PROFILES[-1])


def known(session: Session, plan: Plan, crate: PythonCrate) -> PreflightFacts:
    """Return what pre-flight should know of a crate's plan."""
    return session.known(plan, NAME, workspace=crate.workspace)


def _plan(session: Session, values: Values, crate: PythonCrate, profile: str) -> Plan:
    from doit_cargo.engine.base.variables import Values as Chosen
    from doit_cargo.engine.plan import plan

    target = Target(NAME, "python", "", "build", profile=(profile,), member=crate.name, takes=CARGO)
    if not session.library.has(profile):
        raise Absent(Problem(f"the pack {session.library.pack.name} has no profile {profile}"))
    asked = Chosen({name: value for name, value in values.by_name.items() if name not in ("PACKAGE", "PYTHON", "YES")})
    made = plan.make(target, asked, crate.workspace, session.library, session.machine)
    return made._replace(files=(*made.files, *session.library.pack.files, session.workspace.manifest))


@dataclass(frozen=True, slots=True)
class WheelBuild:
    """A crate with all that its build takes. `aside` is where maturin puts the wheel, `place` where it ends up."""

    crate: PythonCrate
    plan: Plan
    python: Python

    @property
    def target_directory(self) -> str:
        elsewhere = self.plan.invocation.env.get("CARGO_TARGET_DIR")
        return os.path.join(self.crate.workspace.root, elsewhere or self.crate.workspace.target_directory)

    @property
    def profile_folder(self) -> str:
        from doit_cargo.engine.cargo import units

        name = self.plan.cargo_profile
        return os.path.join(self.target_directory, units.profile_folder(name))

    @property
    def aside(self) -> str:
        return os.path.join(self.target_directory, f"doit-cargo-wheel-{os.getpid()}")

    def argv(self, maturin: str) -> list[str]:
        """Return maturin's arguments: those that cargo would get, the interpreter, and where the wheel goes."""
        words = list(self.plan.invocation.argv[2:])
        if "--package" in words:
            position = words.index("--package")
            del words[position : position + 2]
        place = ["--manifest-path", self.crate.manifest, "--interpreter", self.python.base, "--out", self.aside]
        return [maturin, "build", *words, *place]


def builds_of(session: Session, values: Values, python: Python) -> list[WheelBuild]:
    """Return what is to be built."""
    return [WheelBuild(crate, plan_of(session, values, crate), python) for crate in crates.chosen(session, values)]
