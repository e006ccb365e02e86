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
from doit_cargo.migrate.sources.source import Old, Source

# What makes a task one of its own; without any it is one of cargo-make's with other settings.
DOING = ("command", "dependencies", "run_task", "alias", "extend")
SCRIPTS = ("script", "script_runner", "script_path", "script_extension")
# Keys by which a task may do something else another time.
CHOOSING = (
    *("condition", "condition_script", "watch", "plugin", "install_crate", "install_script", "linux", "mac"),
    *("windows", "ignore_errors", "force", "fork", "cleanup_task", "parallel"),
)
# Tasks that run before and behind each other one.
AROUND_ALL = re.compile(r"^(?:init|end|on_error)_task *= *[\"']([^\"']+)", re.MULTILINE)
ALWAYS = ("init", "end")
LOADS = re.compile(r"^(?:\[config\.)?load_script\b", re.MULTILINE)
# What cargo-make sets itself begins so, and may be another value each time; of these, a recording shows a place of the
# checkout for what it is.
OWN = re.compile(r"CARGO_MAKE_(?!(?:WORKSPACE_)?WORKING_DIRECTORY\b)\w+")
# The words that somebody adds to `cargo make NAME`; without any there are none in the call.
ADDED = re.compile(r"\$\{@[^}]*\}|@@split\(CARGO_MAKE_TASK_ARGS\b[^)]*\)|\$\{CARGO_MAKE_TASK_ARGS\}")


def _is_worked_out(name: str, value: object) -> bool:
    """Tell whether a variable of [env] is more than words, unless it is set, and the output of a program, which a
    recording watches."""
    if isinstance(value, Mapping):
        is_default = value.get("condition", {"env_not_set": [name]}) == {"env_not_set": [name]}
        is_known = set(value) <= {"script", "multi_line", "unset", "value", "condition"}
        return not (is_default and is_known) or bool(OWN.search(str(value.get("value", ""))))
    return bool(OWN.search(str(value)))


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
    around = [name for name in AROUND_ALL.findall(text) if name in tasks] + [name for name in ALWAYS if name in tasks]
    read = (*env, *re.findall(r"\$\{(\w+)\}", text))

    def call(name: str, given: Mapping[str, str]) -> list[str]:
        words = [word for key, value in given.items() for word in ("--env", f"{key}={value}")]
        quiet = ("--loglevel", "error", "--disable-check-for-updates")
        return [make, "make", *quiet, "--makefile", path, *words, name or "default"]

    return Source(
        kind="cargo-make",
        file=path,
        targets=tuple(_old(name, tasks, env, text, around) for name in tasks),
        call=call,
        listens=True,
        default="default" if "default" in tasks else "",
        variables={name: ("1",) for name in read if not name.startswith("CARGO_MAKE_")},
        notes=tuple(_notes(tasks)),
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


def _old(name: str, tasks: Mapping[str, Any], env: Mapping[str, Any], text: str, around: list[str]) -> Old:
    seen: dict[str, None] = {}
    unsure = next(filter(None, (_unsure(each, tasks, seen) for each in (name, *around))), "")
    unsure = unsure or ("load_script may say something else another time" if LOADS.search(text) else "")
    asked = next((each for each in env if _is_worked_out(each, env[each])), "")
    written = " ".join([*(str(tasks[each]) for each in seen), *(f"${{{each}}}" for each in env)])
    return Old(name, _line(name, text), written, unsure or (asked and f"{asked} of [env] is worked out anew each time"))


def _unsure(name: str, tasks: Mapping[str, Any], seen: dict[str, None]) -> str:
    """Return why a run of a task does not show all that it may do; what it depends on or runs counts."""
    task = tasks.get(name)
    if name in seen:
        return ""
    if not isinstance(task, dict) or not {*DOING, *SCRIPTS}.intersection(task):
        return f"{name} is, or changes, a task that cargo-make brings"
    seen[name] = None
    return _of_task(name, task) or next((why for part in _parts(task) if (why := _unsure(part, tasks, seen))), "")


def _of_task(name: str, task: Mapping[str, Any]) -> str:
    if any(key in task for key in SCRIPTS):
        return f"{name} is a script of its own"
    if key := next((key for key, value in _keys(task) if key in CHOOSING and value is not False), ""):
        return f"{name} has {key}, of which a recording does not show all"
    if asked := next((each for each, value in task.get("env", {}).items() if _is_worked_out(each, value)), ""):
        return f"{asked} of {name} is worked out anew each time"
    written = ADDED.sub("", str(task))
    if "@@" in written:
        return f"{name} has @@, of which a recording does not show all"
    found = OWN.search(written)
    return f"{name} has {found[0]}, which cargo-make finds out anew each time" if found else ""


def _keys(node: object) -> Iterator[tuple[str, object]]:
    """Yield the keys of a task, and of the tasks that it names, but for those of variables."""
    for key, value in node.items() if isinstance(node, Mapping) else ():
        yield key, value
        yield from _keys(value) if key != "env" else ()
    for each in node if isinstance(node, list) else ():
        yield from _keys(each)


def _notes(tasks: Mapping[str, Any]) -> Iterator[str]:
    named = [name for name, task in tasks.items() if ADDED.search(str(task))]
    if named:
        yield f"with arguments of their own, these stay with cargo make: {', '.join(named)}"


def _parts(task: Mapping[str, Any]) -> Iterator[str]:
    for key in ("dependencies", "run_task", "extend", "alias"):
        found = task.get(key, [])
        for each in found if isinstance(found, list) else [found]:
            names = each.get("name", "") if isinstance(each, dict) else each
            yield from map(str, names if isinstance(names, list) else [names])
