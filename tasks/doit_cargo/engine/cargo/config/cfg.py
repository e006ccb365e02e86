"""`cfg(...)` of a target section: whether it holds for a target, given what `rustc --print cfg` says of it.

Grammar: Rust reference, "Conditional compilation". What cannot be read holds nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_TOKEN = re.compile(r'\s*(?:([A-Za-z_][\w]*)|"((?:\\.|[^"\\])*)"|([(),=]))')


def holds(expression: str, facts: Iterable[str]) -> bool:
    """Tell whether `cfg(...)` holds; `facts` are lines such as ``unix`` and ``target_os="linux"``."""
    known = frozenset(facts)
    tokens = _tokens(expression)
    try:
        value, rest = _expression(tokens, known)
    except (IndexError, ValueError):
        return False
    return value and not rest


def _tokens(text: str) -> list[str]:
    found, position = [], 0
    while match := _TOKEN.match(text, position):
        word, quoted, mark = match.groups()
        found.append(mark or word or f'"{quoted}"')
        position = match.end()
    return [*found, "?"] if text[position:].strip() else found


def _expression(tokens: list[str], known: frozenset[str]) -> tuple[bool, list[str]]:
    name, rest = tokens[0], tokens[1:]
    if rest[:1] == ["("]:
        values, rest = _list(rest[1:], known)
        return _combine(name, values), rest
    if rest[:1] == ["="]:
        return f"{name}={rest[1]}" in known, rest[2:]
    return name == "true" or name in known, rest


def _list(tokens: list[str], known: frozenset[str]) -> tuple[list[bool], list[str]]:
    values: list[bool] = []
    while tokens[0] != ")":
        value, tokens = _expression(tokens, known)
        values.append(value)
        if tokens[0] == ",":
            tokens = tokens[1:]
    return values, tokens[1:]


def _combine(name: str, values: list[bool]) -> bool:
    if name in ("not", "cfg"):
        (value,) = values
        return value if name == "cfg" else not value
    if name in ("all", "any"):
        return all(values) if name == "all" else any(values)
    raise ValueError(name)
