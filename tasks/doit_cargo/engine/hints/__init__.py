"""Hints: from a failing log to the cause and what mends it, on this computer.

`read` answers for any log; `after_failure` says it after a run. Loaded only when something has failed.
"""

from __future__ import annotations

import io
import os
from typing import IO, NamedTuple

from doit_cargo.engine.base import paths
from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.model import Workspace
from doit_cargo.engine.base.toml.locations import TomlFile
from doit_cargo.engine.console import reporter
from doit_cargo.engine.hints import check, fixes, floor, rules
from doit_cargo.engine.hints.recogniser import recognise
from doit_cargo.engine.hints.rules import Found, HintRules, how_it_ended
from doit_cargo.engine.hints.systems import LogSystem
from doit_cargo.engine.plan.profiles.packs import HINTS_FILE, OVERLAY
from doit_cargo.engine.toolchain import platform


class Hint(NamedTuple):
    """A cause in words. `lines` are (number, text); `system` is the one that `fix` is for, `fixes` those of others.

    `confidence` is "cause", "likely", or "look here" where only the place is known.
    """

    name: str
    category: str
    confidence: str
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


# Beginning with a rank: how sure its hints are.
CONFIDENCE = {1: "cause", 5: "likely", 7: "look here"}


def read(stream: IO[bytes], known: HintRules, own_system: bool = True, status: int = 0, root: str = "") -> list[Hint]:
    """Return the hints of a log, best first. `own_system`: it was written here; else its lines tell on which system.

    `status` is the exit status of the program that wrote it (negative for a signal), 0 where that is not known; `root`
    the workspace that it is of.
    """
    here = platform.operating_system()
    reading = recognise(stream, known, how_it_ended(status))
    place = reading.place
    system = here if own_system else place.system or _only_system(reading.found) or here
    manager = _manager() if system == here else fixes.MANAGERS[system]
    if system == "linux" and place.manager and not own_system:
        manager = place.manager
    where = place._replace(system=system, manager=manager)
    return [_hint(one, known, where, root) for one in reading.found]


def _only_system(found: list[Found]) -> str:
    """Return the one system on which the first cause can happen, or nothing."""
    keys = list(found[0].hint.fix) if found else []
    return keys[0] if len(keys) == 1 and keys[0] in rules.SYSTEMS else ""


def _manager() -> str:
    def which(name: str) -> str:
        return paths.which(name, os.environ)

    return platform.package_manager(platform.operating_system(), which)


def _hint(found: Found, known: HintRules, place: LogSystem, root: str) -> Hint:
    hint = found.hint
    fix = fixes.fix_of(found, known, place)
    if root and hint is floor.BUILD_SCRIPT:
        name, _, version = found.values["crate"][0].partition(" v")
        fix = "; ".join(part for part in (fix, fixes.about(name, version, root)) if part)
    return Hint(
        name=hint.name,
        category=hint.category,
        confidence=CONFIDENCE[max(rank for rank in CONFIDENCE if rank <= hint.rank)],
        cause=fixes.cause_of(found),
        fix=fix,
        system=place.system,
        fixes=fixes.all_fixes(found, known),
        lines=found.lines,
        evidence=hint.evidence,
    )


def load(workspace: Workspace | None) -> tuple[HintRules, list[Problem]]:
    """Return what is known here: what ships, and the user's file over it unless that has problems."""
    path, label = _own_file(workspace) if workspace else ("", "")
    if not path or not os.path.isfile(path):
        return rules.known(), []
    try:
        file = TomlFile.read(path, label)
    except UserError as error:
        return rules.known(), error.problems
    problems = check.problems_of(file, frozenset(rules.shipped()["hint"]))
    return (rules.known() if problems else rules.build(rules.shipped(), file.values)), problems


def _own_file(workspace: Workspace) -> tuple[str, str]:
    folder = str(workspace.settings.get("profiles") or OVERLAY)
    return os.path.join(workspace.root, folder, HINTS_FILE), f"{folder.rstrip('/')}/{HINTS_FILE}"


def after_failure(target: str, log: str, workspace: Workspace, status: int = 0) -> None:
    """Say what the log of a failed run tells. Whatever goes wrong here, the run's own end stays as it is.

    `status` is that of the program: a log may end without a word where a signal or the loader ended it.
    """
    try:
        with open(log, "rb") as stream:
            _say(target, stream, reporter.relative(log, workspace.root), workspace, status)
    except Exception as error:  # noqa: BLE001 - a hint is never worth a traceback in place of the build's own end
        reporter.failed(target, f"no hints: {error}")


def after_end(target: str, status: int, workspace: Workspace) -> None:
    """Say what the exit status of a program tells whose output only the terminal has."""
    _say(target, io.BytesIO(), "", workspace, status)


def _say(target: str, stream: IO[bytes], place: str, workspace: Workspace, status: int) -> None:
    known, problems = load(workspace)
    for problem in problems[:1]:
        reporter.failed(target, f"no hints of your own: {problem}")
    found = read(stream, known, status=status, root=workspace.root)
    for hint in found:
        where = f" ({place}:{hint.lines[0][0]})" if hint.lines else ""
        reporter.failed(target, f"{hint.confidence}: {hint.cause}{where}")
        again = f"; then doit-cargo {target} again" if hint.confidence == "look here" else ""
        reporter.failed(target, f"  fix: {hint.fix}{again}")
