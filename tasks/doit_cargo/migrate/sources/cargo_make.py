"""A Makefile.toml as a source of recordings: cargo-make runs each task of the file in the box.

The tasks that cargo-make brings itself are not of the file; one that the file changes is.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.paths import which
from doit_cargo.migrate.recording.box import Box
from doit_cargo.migrate.sources.source import Old, Source, variables_of

SCRIPTS = ("script", "script_runner", "script_path", "script_extension")
# Keys by which a task may do something else another time.
CHOOSING = (
    "condition",
    "condition_script",
    "watch",
    "plugin",
    "install_crate",
    "install_script",
    "cwd",
    "linux",
    "mac",
)
CHOOSING_MORE = ("windows", "ignore_errors", "force", "fork", "cleanup_task")


def program() -> str:
    """Return the path of cargo-make. Raises `UserError` where there is none."""
    found = which("cargo-make", os.environ)
    if not found:
        raise UserError(Problem("cargo-make is not on PATH", "cargo install cargo-make"), COULD_NOT_RUN)
    return found


def source(box: Box, path: str) -> Source:
    """Return a Makefile.toml as a source."""
    make = program()
    tasks, env, text = _read(box, path)

    def call(name: str, given: Mapping[str, str]) -> list[str]:
        words = [word for key, value in given.items() for word in ("--env", f"{key}={value}")]
        quiet = ("--loglevel", "error", "--disable-check-for-updates", "--no-workspace")
        return [make, "make", *quiet, "--makefile", path, *words, name or "default"]

    return Source(
        kind="cargo-make",
        file=path,
        targets=tuple(Old(name, _line(name, text), text, _unsure(name, tasks, {})) for name in tasks),
        call=call,
        listens=True,
        default="default" if "default" in tasks else "",
        variables={**dict.fromkeys(env, ("1",)), **variables_of(text)},
        asks_for=tuple(os.path.normpath(name) for name in re.findall(r'"(\.?[\w./-]*\.env[\w.-]*)"', text)),
    )


def _read(box: Box, path: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return the tasks, the variables and the text of a file and of all that it extends. Raises `UserError`."""
    with open(os.path.join(box.checkout, path), encoding="utf-8") as stream:
        text = stream.read()
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(Problem(f"is not TOML: {error}", "correct it", path)) from None
    tasks: dict[str, Any] = {}
    env: dict[str, Any] = {}
    for other in _extended(table):
        place = os.path.normpath(os.path.join(os.path.dirname(path), other))
        if os.path.isfile(os.path.join(box.checkout, place)):
            more, set_there, said = _read(box, place)
            tasks, env, text = {**tasks, **more}, {**env, **set_there}, text + said
    return {**tasks, **table.get("tasks", {})}, {**env, **table.get("env", {})}, text


def _extended(table: Mapping[str, Any]) -> Iterator[str]:
    extend = table.get("extend", [])
    for each in extend if isinstance(extend, list) else [extend]:
        yield str(each.get("path", "") if isinstance(each, dict) else each)


def _line(name: str, text: str) -> int:
    found = re.search(rf"^\[tasks\.\"?{re.escape(name)}\"?\]", text, re.MULTILINE)
    return text[: found.start()].count("\n") + 1 if found else 0


def _unsure(name: str, tasks: Mapping[str, Any], seen: dict[str, None]) -> str:
    """Return why a run of a task does not show all that it may do; what it depends on or runs counts."""
    task = tasks.get(name)
    if not isinstance(task, dict) or name in seen:
        return ""
    seen[name] = None
    if any(key in task for key in SCRIPTS):
        return f"{name} is a script of its own"
    for key in (*CHOOSING, *CHOOSING_MORE):
        if key in task:
            return f"{name} has {key}, of which a recording does not show all"
    if re.search(r"\$\{@\}|@@|CARGO_MAKE_TASK_ARGS", str(task)):
        return "takes arguments"
    return next((why for part in _parts(task) if (why := _unsure(part, tasks, seen))), "")


def _parts(task: Mapping[str, Any]) -> Iterator[str]:
    for key in ("dependencies", "run_task", "extend", "alias"):
        found = task.get(key, [])
        for each in found if isinstance(found, list) else [found]:
            yield str(each.get("name", "") if isinstance(each, dict) else each)
