"""From decided values to an argument list and environment texts, through Jinja templates.

Knows the templates and nothing of what the values mean. Values are data: whatever they hold, each stays in the one
argument that the template puts it in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import doit_cargo
from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.toml.toml import toml_text

if TYPE_CHECKING:
    import jinja2

CARGO = "cargo.j2"

# A value stands between two of these until its line is cut out, so that blanks of the template can be told from
# blanks of the value. No argument of a process can hold one.
_EDGE = "\0"


def template_path(name: str) -> str:
    """Return where a template lies; plans depend on its content."""
    return os.path.join(doit_cargo.DIRECTORY, "templates", name)


def arguments(name: str, context: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the argument list that a template gives: one line, one argument."""
    lines = (line.strip() for line in _environment().get_template(name).render(context).split("\n"))
    return tuple(line.replace(_EDGE, "") for line in lines if line)


def text(template: str, context: Mapping[str, Any], where: str) -> str:
    """Return the value of an environment variable; ``{{ root }}`` and the like are filled in."""
    if "{{" not in template:
        return template
    import jinja2

    try:
        return _environment().from_string(template).render(context).replace(_EDGE, "")
    except jinja2.TemplateError as error:
        fix = "known in env values: " + ", ".join(sorted(context))
        raise UserError(Problem(f"{template!r} cannot be filled in: {error}", fix, where)) from None


def toml_value(value: Any) -> str:
    """Return a value as TOML writes it, on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return toml_text(value)
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{toml_text(key)} = {toml_value(item)}" for key, item in value.items())
        return "{ " + ", ".join(pairs) + " }"
    return str(value)


@cache
def _environment() -> jinja2.Environment:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Profiles come with a checkout: their templates reach the values that they are given, and no Python behind them.
    # Arguments are no markup: escaping would change them.
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(os.path.dirname(template_path(CARGO))),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        finalize=_mark,
    )
    environment.filters["toml"] = toml_value
    return environment


def _mark(value: Any) -> str:
    plain = str(value)
    if any(character in plain for character in "\n\r\0"):
        fix = "take it out of the profile or variable that it comes from"
        raise UserError(Problem(f"an argument cannot hold a line break: {plain!r}", fix))
    return f"{_EDGE}{plain}{_EDGE}"
