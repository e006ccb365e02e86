"""The make-like variables of a call (``JOBS=4 FEATURES=cuda``): one table, strict types, all problems at once.

Knows which values make sense by themselves; whether a package or a feature exists is for the plan to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from doit_cargo.engine.errors import Collector, unknown

Value = bool | int | str | tuple[str, ...]

OFF = frozenset({"", "0", "false", "no"})
ALL = "all"


class _InvalidError(Exception):
    """A value that its type refuses; the text is what the value is not."""


# --- types: each takes the raw, non-empty text ---------------------------------------------------------------------


def _flag(text: str) -> bool:
    return text.strip().lower() not in OFF


def _positive(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text.strip()) or int(text) < 1:
        raise _InvalidError("is not a whole number above 0")
    return int(text)


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text.strip()) or not 1 <= int(text) <= 65535:
        raise _InvalidError("is not a port (1 to 65535)")
    return int(text)


def _word(text: str) -> str:
    if len(text.split()) != 1:
        raise _InvalidError("is not one name")
    return text.strip()


def _text(text: str) -> str:
    return text


def _triple(text: str) -> str:
    # A path to a target specification is cargo's other accepted form.
    if not re.fullmatch(r"[\w.]+(-[\w.]+){1,4}|[^-].*\.json", text.strip()):
        raise _InvalidError("is not a target triple such as x86_64-unknown-linux-gnu")
    return text.strip()


def _triples(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(_triple, _words(text))))


def _percent(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text.strip()) or int(text) > 100:
        raise _InvalidError("is not a whole percentage (0 to 100)")
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in re.split(r"[,\s]+", text) if word))


def _features(text: str) -> tuple[str, ...]:
    for word in _words(text):
        if not re.fullmatch(r"-?[\w+.-]+(/[\w+.-]+)?", word) or word.startswith("--"):
            raise _InvalidError(f"holds {word!r}, which is no name of a feature")
    return _words(text)


def _packages(text: str) -> tuple[str, ...]:
    words = _words(text)
    if ALL in words and len(words) > 1:
        raise _InvalidError("names packages beside 'all'")
    for word in words:
        if not re.fullmatch(r"\w[\w-]*", word):
            raise _InvalidError(f"holds {word!r}, which is no name of a package")
    return words


# --- the table -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variable:
    """A row: the name, how its text is read, and what it does, with an example that is always valid."""

    name: str
    read: Callable[[str], Value]
    doc: str
    example: str


TABLE = (
    Variable("JOBS", _positive, "how many jobs cargo runs at once", "4"),
    Variable("VERBOSE", _flag, "cargo shows every command it runs (-vv)", "1"),
    Variable("FEATURES", _features, "features to add to those of the profile; -NAME removes one", "cuda,-mkl"),
    Variable("PACKAGE", _packages, "packages to act on instead of the target's own; all = the whole workspace", "all"),
    Variable("PROFILE", _word, "a feature profile, or a cargo profile, instead of the target's own", "low_memory"),
    Variable("TARGET", _triple, "the triple to build for", "x86_64-unknown-linux-gnu"),
    Variable("MODEL", _text, "the model to run or test with", "qwen2.5-1.5b"),
    Variable("PORT", _port, "the port a server listens on", "1234"),
    Variable("FORCE", _flag, "run even if nothing changed", "1"),
    Variable("WITHOUT_PREFLIGHT", _flag, "start cargo without the checks before it", "1"),
    Variable("TARGETS", _triples, "the triples to build for, instead of the pack's", "aarch64-unknown-linux-gnu"),
    Variable("PYTHON", _text, "the Python to build for or to install into: a program or an environment", ".venv"),
    Variable("SCCACHE", _flag, "compile through sccache, where it is found; 0 = without it", "1"),
    Variable("HIT_RATE_MIN", _percent, "fail if fewer per cent of the cacheable compilations were hits", "60"),
    Variable("YES", _flag, "do it without asking", "1"),
    Variable("JSON", _flag, "print JSON instead of text", "1"),
    Variable("OUTPUT", _text, "the file to write, from the workspace's root", "docs/features.md"),
    Variable("CARGO_CACHE", _flag, "clean cargo's own cache of downloads too", "1"),
)
BY_NAME = {variable.name: variable for variable in TABLE}

# What every target that calls cargo takes.
CARGO = ("JOBS", "VERBOSE", "FEATURES", "PACKAGE", "PROFILE", "TARGET", "SCCACHE", "FORCE", "WITHOUT_PREFLIGHT")
# The same of a target that stands for one package.
MEMBER = tuple(name for name in CARGO if name != "PACKAGE")


@dataclass(frozen=True, slots=True)
class Values:
    """The variables of one call, typed. A variable that was not given is off, None or empty."""

    by_name: Mapping[str, Value] = field(default_factory=dict)

    def flag(self, name: str) -> bool:
        return self.by_name.get(name) is True

    def choice(self, name: str) -> bool | None:
        """Return what a flag says, None if it was not given: on, off and no opinion are three things."""
        value = self.by_name.get(name)
        return value if isinstance(value, bool) else None

    def number(self, name: str) -> int | None:
        value = self.by_name.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def text(self, name: str) -> str:
        value = self.by_name.get(name, "")
        return value if isinstance(value, str) else ""

    def words(self, name: str) -> tuple[str, ...]:
        value = self.by_name.get(name, ())
        return value if isinstance(value, tuple) else ()


NONE = Values()


def parse(
    raw: Mapping[str, str], takes: Mapping[str, Iterable[str]], everywhere: Mapping[str, Iterable[str]] | None = None
) -> Values:
    """Return the typed values, or raise all problems at once.

    `takes` maps each target asked for to the variables it takes; `everywhere` maps all targets, for the message
    that says who does take a variable. An empty value counts as not given, as in make.
    """
    problems = Collector()
    values: dict[str, Value] = {}
    asked = {target: set(names) for target, names in takes.items()}
    for name, text in raw.items():
        variable = BY_NAME.get(name)
        if variable is None:
            problems.problems.append(unknown("variable", name, tuple(BY_NAME)))
        elif not any(name in names for names in asked.values()):
            problems.add(*_nobody_takes(name, tuple(asked), everywhere or takes))
        else:
            _read(variable, text, values, problems)
    problems.raise_if_any()
    return Values(values)


def _read(variable: Variable, text: str, values: dict[str, Value], problems: Collector) -> None:
    if not text.strip():
        return
    try:
        values[variable.name] = variable.read(text)
    except _InvalidError as wrong:
        fix = f"{variable.doc}, for example {variable.name}={variable.example}"
        problems.add(f"{variable.name}={text} {wrong}", fix)


def _nobody_takes(name: str, asked: tuple[str, ...], everywhere: Mapping[str, Iterable[str]]) -> tuple[str, str]:
    takers = sorted(target for target, names in everywhere.items() if name in names)
    listed = ", ".join(takers[:12]) + (f" and {len(takers) - 12} more" if len(takers) > 12 else "")
    what = f"{' and '.join(asked) or 'no target'} {'take' if len(asked) > 1 else 'takes'} no {name}"
    return what, f"leave it out; it is for {listed}" if listed else "leave it out; no target here takes it"
