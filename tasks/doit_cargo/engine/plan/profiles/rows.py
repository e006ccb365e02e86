"""Targets as TOML: ``[target.NAME]`` tables of pack.toml, for packs and for users who write no Python.

The keys are those of a row in Python, so both end as `model.Target`; types and key names are checked in files.py,
names of packages, profiles and other targets where all rows meet (catalogue). Knows no workspace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from doit_cargo.engine.base import variables
from doit_cargo.engine.base.errors import Problem, UserError, unknown
from doit_cargo.engine.base.launch import OwnProgram
from doit_cargo.engine.base.model import CARGO, FREE, Target
from doit_cargo.engine.base.toml.locations import TomlFile

OWN_FAMILY = "project"
KINDS = ("command", "run", "after")
# Keys that say something about a cargo call only, or about a program only.
OF_CARGO = ("flags", "passed", "profile", "package")
OF_PROGRAMS = ("cwd", "env", "inputs")
OF_BOTH = ("outputs", "lane")
OF_GROUPS = ("keep-going",)
RUN, WATCH = "doit_cargo.actions.program:run", "doit_cargo.actions.program:watch"
# A cargo call that runs tests gets what the family test has: results by package, kept for each program.
TESTING = "doit_cargo.actions.testing"
# A row with nothing but `needs` and `services` checks those.
CHECK = "doit_cargo.actions.program:check"


def targets_of(files: Iterable[TomlFile], pack: str) -> tuple[Target, ...]:
    """Return the rows of several files, the last of a name winning; raises `UserError` with all that is wrong."""
    found: dict[str, Target] = {}
    problems: list[Problem] = []
    for file in files:
        for name, table in file.values.get("target", {}).items():
            wrong = list(_problems(file, name, table))
            problems += wrong
            if not wrong:
                found[name.replace("-", "_")] = _target(file, name.replace("-", "_"), table, pack)
    if problems:
        raise UserError(problems)
    return tuple(found.values())


def _problems(file: TomlFile, name: str, table: Mapping[str, Any]) -> Iterator[Problem]:
    path = ("target", name)
    kinds = [kind for kind in KINDS[:2] if table.get(kind)]
    if len(kinds) > 1 or not (kinds or any(table.get(key) for key in ("after", "needs", "services"))):
        what = f"[target.{name}] must have `command` (a cargo call), `run` (a program) or only `after` (a group)"
        yield Problem(what, 'write for example command = "clippy", or run = ["tool", "argument"]', file.where(*path))
    if not table.get("doc"):
        yield Problem(f"[target.{name}] has no doc", 'say what it does: doc = "Build the docs."', file.where(*path))
    for keys, fits, kind in (
        (OF_CARGO, "command" in kinds, "a cargo call (`command`)"),
        (OF_PROGRAMS, "run" in kinds, "a program (`run`)"),
        (OF_BOTH, bool(kinds), "what runs something (`command`, `run`)"),
        (OF_GROUPS, not kinds, "a group (only `after`)"),
    ):
        for key in [key for key in keys if key in table and not fits]:
            yield Problem(f"[target.{name}] has `{key}`, which is for {kind}", "leave it out", file.where(*path, key))
    if "command" in kinds and table.get("lane") == FREE:
        what = f"[target.{name}] is a cargo call: it shares the target directory, so its lane cannot be {FREE!r}"
        yield Problem(what, "leave it out", file.where(*path, "lane"))
    for index, variable in enumerate(table.get("takes", [])):
        if variable not in variables.BY_NAME:
            yield unknown("variable", variable, tuple(variables.BY_NAME), file.where(*path, "takes", index))


def _target(file: TomlFile, name: str, table: Mapping[str, Any], pack: str) -> Target:
    profiles = table.get("profile", "dev")
    inputs = table.get("inputs", {})
    is_program, is_cargo = bool(table.get("run")), bool(table.get("command"))
    is_declared = bool(inputs.get("files") or inputs.get("env"))
    is_watched = is_program and (is_declared or "outputs" in table)
    runs_tests = table.get("command") == "test" and "--no-run" not in table.get("flags", ())
    takes = variables.CARGO if is_cargo else ("FORCE",) if is_watched else ()
    takes = takes if is_declared or not is_watched else (*takes, "OBSERVE")
    return Target(
        name=name,
        family=str(table.get("family", OWN_FAMILY if pack == "base" else pack)),
        doc=table["doc"],
        command=table.get("command", ""),
        flags=tuple(table.get("flags", ())),
        passthrough_args=tuple(table.get("passed", ())),
        profile=((profiles,) if isinstance(profiles, str) else tuple(profiles)) if is_cargo else (),
        package=table.get("package", ""),
        action=RUN if is_program else CHECK if not is_cargo and not table.get("after") else "",
        watch=WATCH if is_watched else "",
        after=tuple(part.replace("-", "_") for part in table.get("after", ())),
        takes=tuple(dict.fromkeys([*takes, *(variables.TESTS if runs_tests else ()), *table.get("takes", ())])),
        needs=tuple(table.get("needs", ())),
        platforms=tuple(table.get("platforms", ())),
        services=tuple(table.get("services", ())),
        handler=TESTING if runs_tests else "",
        check=f"{TESTING}:check" if runs_tests else "",
        writes=tuple(table.get("outputs", ())) if is_cargo else (),
        pool=table.get("lane", CARGO),
        keep_going=table.get("keep-going", False),
        program=_program(table, inputs) if is_program else None,
        where=file.where("target", name) if name in file.values["target"] else file.where("target"),
    )


def _program(table: Mapping[str, Any], inputs: Mapping[str, Any]) -> OwnProgram:
    return OwnProgram(
        argv=tuple(table["run"]),
        cwd=table.get("cwd", ""),
        env=dict(table.get("env", {})),
        files=tuple(inputs.get("files", ())),
        variables=tuple(inputs.get("env", ())),
        outputs=tuple(table.get("outputs", ())),
    )
