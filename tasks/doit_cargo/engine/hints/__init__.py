"""Hints: from a failing log to the cause and what mends it, on this computer.

`read` answers for any log; `after_failure` says it after a run. Loaded only when something has failed.
"""

from __future__ import annotations

import os
from typing import IO, NamedTuple

from doit_cargo.engine.base import paths
from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.model import Workspace
from doit_cargo.engine.base.toml.locations import TomlFile
from doit_cargo.engine.console import reporter
from doit_cargo.engine.hints import check, fixes, rules
from doit_cargo.engine.hints.recogniser import Found, recognise
from doit_cargo.engine.hints.rules import HintRules
from doit_cargo.engine.plan.profiles.packs import HINTS_FILE, OVERLAY
from doit_cargo.engine.toolchain import platform


class Hint(NamedTuple):
    """A cause in words. `lines` are (number, text); `system` is the one that `fix` is for, `fixes` those of others."""

    name: str
    category: str
    cause: str
    fix: str
    system: str
    fixes: dict[str, str]
    lines: tuple[tuple[int, str], ...]
    evidence: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        found = self._asdict()
        found["lines"] = [{"number": number, "text": text} for number, text in self.lines]
        return found


def read(stream: IO[bytes], known: HintRules, own_system: bool = True) -> list[Hint]:
    """Return the hints of a log, best first. `own_system`: it was written here; else its lines tell on which system."""
    here = platform.operating_system()
    reading = recognise(stream, known)
    system = here if own_system else reading.system or _only_system(reading.found) or here
    manager = _manager() if system == here else fixes.MANAGERS[system]
    return [_hint(one, known, system, manager) for one in reading.found]


def _only_system(found: list[Found]) -> str:
    """Return the one system on which the first cause can happen, or nothing."""
    keys = list(found[0].hint.fix) if found else []
    return keys[0] if len(keys) == 1 and keys[0] in rules.SYSTEMS else ""


def _manager() -> str:
    def which(name: str) -> str:
        return paths.which(name, os.environ)

    return platform.package_manager(platform.operating_system(), which)


def _hint(found: Found, known: HintRules, system: str, manager: str) -> Hint:
    hint = found.hint
    return Hint(
        name=hint.name,
        category=hint.category,
        cause=fixes.cause_of(found),
        fix=fixes.fix_of(found, known, system, manager),
        system=system,
        fixes=fixes.all_fixes(found, known),
        lines=found.lines,
        evidence=hint.evidence,
    )


def load(workspace: Workspace | None) -> tuple[HintRules, list[Problem]]:
    """Return what is known here: what ships, and the user's file over it unless that has problems."""
    shipped = rules.shipped()
    path, label = _own_file(workspace) if workspace else ("", "")
    if not path or not os.path.isfile(path):
        return rules.build(shipped), []
    try:
        file = TomlFile.read(path, label)
    except UserError as error:
        return rules.build(shipped), error.problems
    problems = check.problems_of(file, frozenset(shipped["hint"]))
    return rules.build(shipped, {} if problems else file.values), problems


def _own_file(workspace: Workspace) -> tuple[str, str]:
    folder = str(workspace.settings.get("profiles") or OVERLAY)
    return os.path.join(workspace.root, folder, HINTS_FILE), f"{folder.rstrip('/')}/{HINTS_FILE}"


def after_failure(target: str, log: str, workspace: Workspace) -> None:
    """Say what the log of a failed run tells. Whatever goes wrong here, the run's own end stays as it is."""
    try:
        known, problems = load(workspace)
        for problem in problems[:1]:
            reporter.failed(target, f"no hints of your own: {problem}")
        with open(log, "rb") as stream:
            found = read(stream, known)
    except Exception as error:  # noqa: BLE001 - a hint is never worth a traceback in place of the build's own end
        reporter.failed(target, f"no hints: {error}")
        return
    place = reporter.relative(log, workspace.root)
    for hint in found:
        reporter.failed(target, f"cause: {hint.cause} ({place}:{hint.lines[0][0]})")
        reporter.failed(target, f"  fix: {hint.fix}")
