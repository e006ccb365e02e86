"""TOML: read by `tomllib`, where what is nested too deeply or a giant number is wrong as well; how it writes a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from doit_cargo.engine.base.paths import ordinary

if TYPE_CHECKING:
    from tomllib import TOMLDecodeError

DEEP = 100
LONG = 4300

__all__ = ["TOMLDecodeError", "load", "loads", "read", "read_or_none", "text_at", "toml_text"]


def __getattr__(name: str) -> Any:
    """Give the parser's error to those who name it: what is imported to read TOML is imported when some is read."""
    if name != "TOMLDecodeError":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import tomllib

    return tomllib.TOMLDecodeError


def loads(text: str) -> dict[str, Any]:
    """Return a document. Raises `TOMLDecodeError`."""
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise tomllib.TOMLDecodeError(f"it is nested too deeply (at line {_deep_line(text)}, column 1)") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python makes no integer of so many digits
        line = next((number for number, one in enumerate(text.split("\n"), 1) if len(one) > LONG), 1)
        raise tomllib.TOMLDecodeError(f"a number is too long (at line {line}, column 1)") from None


def _deep_line(text: str) -> int:
    depth = 0
    for number, line in enumerate(text.split("\n"), 1):
        depth += line.count("[") + line.count("{")
        if depth > DEEP:
            return number
        depth -= line.count("]") + line.count("}")
    return 1


def load(stream: IO[bytes]) -> dict[str, Any]:
    """Return the document of a file that is open. Raises `TOMLDecodeError`, or `ValueError` if it is not UTF-8."""
    return loads(stream.read().decode())


def read(path: str) -> dict[str, Any]:
    """Return the document of a file, nothing for one that is not there or is none: who needs it tells what is wrong."""
    return read_or_none(path) or {}


def read_or_none(path: str) -> dict[str, Any] | None:
    """Return the document of a file, None where it cannot be read."""
    try:
        with open(ordinary(path), "rb") as stream:
            return load(stream)
    except (OSError, ValueError):
        return None


def text_at(table: Mapping[str, object], key: str) -> str:
    """Return the text under a key, "" where there is none or another kind of value."""
    value = table.get(key)
    return value if isinstance(value, str) else ""


def toml_text(text: str) -> str:
    """Return a TOML basic string. JSON's escapes are TOML's too; DEL is the one that JSON leaves alone."""
    import json

    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
