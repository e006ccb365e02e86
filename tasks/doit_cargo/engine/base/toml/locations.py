"""Where each key of a TOML text stands: tomllib gives values without lines, messages need file:line.

A small scanner over text that tomllib has accepted already, so it never has to report an error of its own. Knows
nothing of profiles.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.paths import ordinary
from doit_cargo.engine.base.toml import toml

# A path to a value: keys of tables, and the index of an element of an array.
Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})' + r"|'''.*?'''(?:'{0,2})" + r'|"(?:\\.|[^"\\\n])*"' + r"|'[^'\n]*'", re.DOTALL
)
_KEY = re.compile(r'"(?:\\.|[^"\\\n])*"' + r"|'[^'\n]*'" + r"|[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]+")


class TomlFile:
    """A TOML file: its values, and the line of each. `label` is how messages name the file."""

    def __init__(self, path: str, label: str, text: str) -> None:
        self.path = path
        self.label = label
        self.values = _parse(text, label)
        self._text = text

    @cached_property
    def _lines(self) -> dict[Path, int]:
        return _Scanner(self._text).lines

    @classmethod
    def read(cls, path: str, label: str) -> TomlFile:
        """Read a file; one that is not there, not text or not TOML is a `UserError` that names it."""
        try:
            with open(ordinary(path), encoding="utf-8") as file:
                text = file.read()
        except OSError as error:
            raise UserError(Problem(f"cannot be read: {error.strerror}", "make it readable", label)) from None
        except UnicodeDecodeError:
            raise UserError(Problem("is not UTF-8 text", "save it as UTF-8", label)) from None
        return cls(path, label, text)

    def where(self, *path: str | int) -> str:
        """Return file:line of the value, else of what is first below it (a table may only be named on the way to
        another), or of the nearest thing around it that has a line.
        """
        for length in range(len(path), 0, -1):
            within = [line for key, line in self._lines.items() if key[:length] == path[:length]]
            if within:
                return f"{self.label}:{self._lines.get(path[:length]) or min(within)}"
        return f"{self.label}:1"


def _parse(text: str, label: str) -> dict[str, Any]:
    try:
        return toml.loads(text)
    except toml.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        # An error "at end of document" has no line of its own.
        number = int(line[1]) if line else text.count("\n") + 1
        what = re.sub(r" \(at .*\)$", "", str(error))
        raise UserError(Problem(f"is not TOML: {what}", "correct that line", f"{label}:{number}")) from None


class _Scanner:
    """Walk over valid TOML once and note the line on which each key, and each element of an array, begins."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.position = 0
        self.lines: dict[Path, int] = {}
        self._counted = (0, 1)
        table: Path = ()
        self._blank()
        while self.position < len(self.text):
            table = self._statement(table)
            self._blank()

    def _statement(self, table: Path) -> Path:
        """Read a header or a key with its value; return the table that holds what follows."""
        if not self._peek("["):
            self._pair(table)
            return table
        line = self._line()
        brackets = 2 if self._peek("[[") else 1
        self.position += brackets
        header = self._key()
        self._blank()
        self.position += brackets
        self._note(header, line)
        return header

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = (*table, *self._key())
        for length in range(len(table) + 1, len(path) + 1):
            self._note(path[:length], line)
        self._blank()
        self.position += 1  # the equals sign
        self._value(path)

    def _key(self) -> Path:
        parts: list[str] = []
        while True:
            self._blank()
            found = _KEY.match(self.text, self.position)
            if found is None:
                return tuple(parts)
            self.position = found.end()
            parts.append(_plain(found[0]))
            self._blank()
            if not self._peek("."):
                return tuple(parts)
            self.position += 1

    def _value(self, path: Path) -> None:
        self._blank()
        if self._peek("["):
            self._array(path)
        elif self._peek("{"):
            self._inline_table(path)
        else:
            found = _TEXT.match(self.text, self.position) or _SCALAR.match(self.text, self.position)
            self.position = found.end() if found else self.position + 1

    def _array(self, path: Path) -> None:
        index = 0
        while not self._closed("]"):
            self._note((*path, index), self._line())
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: Path) -> None:
        while not self._closed("}"):
            self._pair(path)

    def _closed(self, bracket: str) -> bool:
        """Step over the opening bracket or a comma, and over the closing bracket if nothing else is left."""
        self._blank()
        if self._peek("[") or self._peek("{") or self._peek(","):
            self.position += 1
        self._blank()
        if not self._peek(bracket):
            return self.position >= len(self.text)
        self.position += 1
        return True

    def _peek(self, text: str) -> bool:
        return self.text.startswith(text, self.position)

    def _blank(self) -> None:
        found = _BLANK.match(self.text, self.position)
        self.position = found.end() if found else self.position

    def _line(self) -> int:
        start, line = self._counted
        self._counted = (self.position, line + self.text.count("\n", start, self.position))
        return self._counted[1]

    def _note(self, path: Path, line: int) -> None:
        self.lines.setdefault(path, line)


def _plain(key: str) -> str:
    """Return a key without its quotes and escapes."""
    return str(toml.loads(f"key = {key}")["key"]) if key[0] in "\"'" else key
