"""A justfile as a source of recordings: just itself says what it holds (`just --dump`) and runs each recipe."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.paths import which
from doit_cargo.migrate.recording.box import Box
from doit_cargo.migrate.recording.lines import ASKS_THE_SHELL
from doit_cargo.migrate.sources.source import Old, Source, variables_of

# Functions of just that only turn words into others; all else tells of the machine, the day, the files or the caller.
PURE = frozenset(
    {"append", "capitalize", "clean", "encode_uri_component", "error", "extension", "file_name", "file_stem"}
    | {"kebabcase", "lowercamelcase", "lowercase", "parent_directory", "parent_dir", "prepend", "quote", "replace"}
    | {"replace_regex", "semver_matches", "shoutykebabcase", "shoutysnakecase", "snakecase", "titlecase", "trim"}
    | {"trim_end", "trim_end_match", "trim_end_matches", "trim_start", "trim_start_match", "trim_start_matches"}
    | {"uppercamelcase", "uppercase", "without_extension", "join", "assert", "justfile_directory", "source_directory"}
)


def program() -> str:
    """Return the path of just. Raises `UserError` where there is none."""
    found = which("just", os.environ)
    if not found:
        raise UserError(Problem("just is not on PATH", "pip install rust-just"), COULD_NOT_RUN)
    return found


def source(box: Box, path: str) -> Source:
    """Return a justfile as a source. Raises `UserError` for one that just cannot read."""
    just = program()
    outcome = box.run([just, "--justfile", path, "--dump", "--dump-format", "json"], box.environment())
    if outcome.status:
        said = next(iter(outcome.err.strip().splitlines()), "just printed nothing")
        raise UserError(Problem(f"just cannot read this file: {said}", "correct it", path))
    dump = json.loads(outcome.out)
    shell = dump["settings"].get("shell") or {"command": "sh", "arguments": ["-cu"]}
    line = box.shell(which(shell["command"], box.environ) or shell["command"])
    options = [just, "--justfile", path, "--shell", line, *(f"--shell-arg={word}" for word in shell["arguments"])]

    def call(name: str, given: Mapping[str, str]) -> list[str]:
        return [*options, *(f"{key}={value}" for key, value in given.items()), *([name] if name else [])]

    recipes = dump["recipes"]
    text = _text(box, path)
    return Source(
        kind="just",
        file=path,
        targets=tuple(_old(name, dump, text) for name in sorted(recipes, key=lambda name: _line(name, text))),
        call=call,
        default=dump.get("first") or "",
        # Only what the file defines can be set on just's command line.
        variables={name: words for name, words in variables_of(text).items() if name in dump["assignments"]},
        notes=tuple(_notes(dump)),
        asks_for=tuple(_dotenv(dump["settings"])),
    )


def _dotenv(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the file from which just takes variables if it is there: what it says is of this checkout alone."""
    wanted = [settings.get(f"dotenv_{key}") for key in ("filename", "path", "load", "required")]
    named = next((os.path.normpath(each) for each in wanted if isinstance(each, str)), ".env")
    if any(wanted) and not named.startswith(("/", "..")):
        yield named


def _notes(dump: Mapping[str, Any]) -> Iterator[str]:
    aliases = [f"{name} = {alias['target']}" for name, alias in dump["aliases"].items()]
    if aliases:
        yield f"aliases stay with just: {', '.join(aliases)}"
    if dump["modules"]:
        yield f"modules stay with just: {', '.join(dump['modules'])}"
    with_words = [name for name, recipe in dump["recipes"].items() if recipe["parameters"]]
    if with_words:
        yield f"with arguments of their own, these stay with just: {', '.join(with_words)}"


def _text(box: Box, path: str) -> str:
    with open(os.path.join(box.checkout, path), encoding="utf-8", errors="replace") as stream:
        return stream.read()


def _line(name: str, text: str) -> int:
    found = re.search(rf"^@?{re.escape(name)}\b[^\n=]*:(?!=)", text, re.MULTILINE)
    return text[: found.start()].count("\n") + 1 if found else 0


def _old(name: str, dump: Mapping[str, Any], text: str) -> Old:
    return Old(name, _line(name, text), text, _unsure(name, dump, {}))


def _impure(node: object, values: Mapping[str, Any], seen: set[str]) -> Iterator[str]:
    """Yield the functions that an expression of a dump calls, itself or through variables, and that are not pure."""
    parts = list(node.values()) if isinstance(node, Mapping) else node if isinstance(node, list) else []
    kind, name = (*parts[:2], "", "")[:2]
    if kind == "call" and isinstance(name, str) and name not in PURE:
        yield name
    if kind == "backtick" and ASKS_THE_SHELL.search(str(name)):
        yield f"`{name}`"
    if kind == "variable" and isinstance(name, str) and name not in seen:
        seen.add(name)
        yield from _impure(values.get(name), values, seen)
    for part in parts:
        yield from _impure(part, values, seen)


def _unsure(name: str, dump: Mapping[str, Any], seen: dict[str, None]) -> str:
    """Return why a run of a recipe does not show all that it may do; what it depends on counts."""
    recipe = dump["recipes"].get(name)
    if recipe is None or name in seen:
        return "" if name in seen else f"{name} is of a module"
    seen[name] = None
    if any(each["default"] is None and each["kind"] != "star" for each in recipe["parameters"]):
        return "takes arguments"
    if recipe["shebang"] or any("script" in str(each) for each in recipe["attributes"]):
        return f"{name} is a script of its own"
    if any(
        re.search(r"confirm|cache|working-directory|no-cd|parallel|platform|unix|linux|macos|windows|bsd", str(each))
        for each in recipe["attributes"]
    ):
        return f"{name} has an attribute that a recording does not show"
    values = {name: each["value"] for name, each in dump["assignments"].items()}
    given = [each["value"] for each in dump["assignments"].values() if each["export"] or dump["settings"]["export"]]
    used = [recipe["body"], recipe["dependencies"], recipe["parameters"], given]
    if found := next(_impure(used, values, set()), ""):
        return f"{found if found.startswith('`') else f'{found}()'} may say something else another time"
    parts = (each["recipe"] for each in recipe["dependencies"])
    return next((why for part in parts if (why := _unsure(part, dump, seen))), "")
