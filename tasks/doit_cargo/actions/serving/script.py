"""What a script for test_tui_auto may say: a line a step, a verb and a text.

    # a comment
    timeout 10
    expect >
    send Hello!
    match answer|reply
    key ctrl-d
    exit 0

`expect` waits for a text, `match` for a regular expression; `send` types a line, `key` presses one key; `timeout` holds
for the steps after it; `exit` waits until the program ends by itself with this status. Without `exit` the program is
ended after the last step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from doit_cargo.engine.base.errors import Problem, UserError, unknown

VERBS = ("exit", "expect", "key", "match", "send", "timeout")
KEYS = {f"ctrl-{letter}": chr(ord(letter) - 96) for letter in "abcdefghijklmnopqrstuvwxyz"} | {
    "backspace": "\x7f",
    "down": "\x1b[B",
    "enter": "\r",
    "escape": "\x1b",
    "left": "\x1b[D",
    "right": "\x1b[C",
    "tab": "\t",
    "up": "\x1b[A",
}
MAX_STEPS = 1000

# The interactive mode of mistral.rs and of its scale model.
DEFAULT = r"""
expect >
send \help
expect \exit
send \exit
exit 0
"""


class ScriptStep(NamedTuple):
    """A line of a script; `where` is its file:line."""

    verb: str
    text: str
    where: str


def parse(text: str, name: str) -> tuple[ScriptStep, ...]:
    """Return the steps of a script; raises `UserError` with all that is wrong with it."""
    steps = list(_steps(text, name))
    problems = [problem for step in steps for problem in _problems(step)]
    if not steps:
        problems = [Problem("the script has no step", "for example: expect >", name)]
    if len(steps) > MAX_STEPS:
        problems = [Problem(f"the script has more than {MAX_STEPS} steps", "split it", name)]
    if problems:
        raise UserError(problems)
    return tuple(steps)


def _steps(text: str, name: str) -> Iterator[ScriptStep]:
    for number, line in enumerate(text.splitlines(), start=1):
        verb, _, rest = line.strip().partition(" ")
        if verb and not verb.startswith("#"):
            yield ScriptStep(verb, rest.strip(), f"{name}:{number}")


def _problems(step: ScriptStep) -> Iterator[Problem]:
    if step.verb not in VERBS:
        yield unknown("step", step.verb, VERBS, step.where)
    elif not step.text and step.verb != "send":
        yield Problem(f"{step.verb} needs a text", f"for example: {step.verb} {_example(step.verb)}", step.where)
    elif step.verb == "key" and step.text not in KEYS:
        yield unknown("key", step.text, tuple(KEYS), step.where)
    elif step.verb == "timeout" and not re.fullmatch(r"[1-9]\d{0,3}", step.text):
        yield Problem(f"timeout {step.text} is not a time in seconds", "for example: timeout 10", step.where)
    elif step.verb == "exit" and not re.fullmatch(r"\d{1,3}", step.text):
        yield Problem(f"exit {step.text} is not a status (0 to 255)", "for example: exit 0", step.where)
    elif step.verb == "match" and (wrong := _wrong_expression(step.text)):
        yield Problem(f"{step.text!r} is not a regular expression: {wrong}", "expect takes plain text", step.where)


def _example(verb: str) -> str:
    return {"exit": "0", "key": "enter", "timeout": "10"}.get(verb, ">")


def _wrong_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        return str(error)
    return ""
