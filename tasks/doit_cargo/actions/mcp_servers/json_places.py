"""Where each value of a JSON text stands: the standard library gives values without lines, messages need file:line."""

from __future__ import annotations

import json
from typing import Any

Path = tuple[str | int, ...]
MAX_DEPTH = 50
SPACE = " \t\r\n"


class BadJsonError(Exception):
    """What is wrong with a text, and in which line."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


class JsonText:
    """A JSON text, read: `value`, and the line of each key and list item by its path. Duplicate keys are errors."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: dict[Path, int] = {}
        self._scalar = json.JSONDecoder().raw_decode
        self.value, end = self._read(self._skip(0), ())
        if self._skip(end) != len(text):
            raise self._bad("more text after the end of the JSON value", self._skip(end))

    def line(self, *path: str | int) -> int:
        """Return the line of a value, or of the nearest one around it."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def _bad(self, what: str, position: int) -> BadJsonError:
        return BadJsonError(what, self._text.count("\n", 0, position) + 1)

    def _skip(self, position: int) -> int:
        while position < len(self._text) and self._text[position] in SPACE:
            position += 1
        return position

    def _read(self, position: int, path: Path) -> tuple[Any, int]:
        if len(path) > MAX_DEPTH:
            raise self._bad(f"more than {MAX_DEPTH} levels deep", position)
        self._lines.setdefault(path, self._text.count("\n", 0, position) + 1)
        opening = self._text[position : position + 1]
        if opening == "{":
            return self._object(position, path)
        if opening == "[":
            return self._list(position, path)
        try:
            return self._scalar(self._text, position)
        except (json.JSONDecodeError, RecursionError):
            raise self._bad(
                "a value is expected here: text in double quotes, a number, true, false, null, { or [", position
            ) from None

    def _object(self, position: int, path: Path) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        position = self._skip(position + 1)
        while self._text[position : position + 1] != "}":
            if self._text[position : position + 1] != '"':
                raise self._bad("a key in double quotes is expected here", position)
            start = position
            key, position = self._key(position)
            if key in found:
                raise self._bad(f"the key {key!r} stands here twice", start)
            self._lines[(*path, key)] = self._text.count("\n", 0, start) + 1
            position = self._after(position, ":", "':' is expected after a key")
            found[key], position = self._read(position, (*path, key))
            position = self._next(position, "}")
        return found, position + 1

    def _key(self, position: int) -> tuple[str, int]:
        try:
            key, end = self._scalar(self._text, position)
            return str(key), end
        except json.JSONDecodeError as error:
            raise self._bad(error.msg, position) from None

    def _list(self, position: int, path: Path) -> tuple[list[Any], int]:
        found: list[Any] = []
        position = self._skip(position + 1)
        while self._text[position : position + 1] != "]":
            value, position = self._read(position, (*path, len(found)))
            found.append(value)
            position = self._next(position, "]")
        return found, position + 1

    def _next(self, position: int, closing: str) -> int:
        """Return the place of the next member, or of the closing bracket."""
        position = self._skip(position)
        if self._text[position : position + 1] == closing:
            return position
        after = self._after(position, ",", f"',' or '{closing}' is expected here")
        if self._text[after : after + 1] == closing:
            raise self._bad("JSON has no comma before a closing bracket", position)
        return after

    def _after(self, position: int, mark: str, problem: str) -> int:
        position = self._skip(position)
        if self._text[position : position + 1] != mark:
            raise self._bad(problem, position)
        return self._skip(position + 1)
