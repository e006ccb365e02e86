"""What a value in our TOML files may be: each kind with its name, its example, its test and its JSON Schema.

Knows no key and no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from doit_cargo.engine.base.errors import Problem, unknown
from doit_cargo.engine.base.model import DETECTORS, PLATFORMS, POOLS
from doit_cargo.engine.base.variables import OBSERVE

Check = Callable[[Any, str, str], list[Problem]]
Schema = Mapping[str, object]


class Kind(NamedTuple):
    """A type of value: how messages call it, an example, the test, what is wrong with a value that passed it, and what
    an editor is told of it. In a table of keys also what the key means, with an example of the whole line.
    """

    says: str
    example: str
    accepts: Callable[[Any], bool]
    finer: Check | None = None
    schema: Mapping[str, object] = {}
    meaning: str = ""
    line: str = ""

    def means(self, meaning: str, line: str) -> Kind:
        """Return this kind as one key has it."""
        return self._replace(meaning=meaning, line=line)

    def check(self, value: Any, key: str, where: str) -> list[Problem]:
        if not self.accepts(value):
            fix = f"write it like {self._as_text(value, key, where) or self.example}"
            return [Problem(f"{key} must be {self.says}, not {shown(value)}", fix, where)]
        return self.finer(value, key, where) if self.finer else []

    def _as_text(self, value: Any, key: str, where: str) -> str:
        """Return a number as the text that would be right here, or nothing."""
        text = str(value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return (
            f'"{text}"'
            if is_number and self.accepts(text) and not (self.finer and self.finer(text, key, where))
            else ""
        )


# Languages beside Rust that `fmt` knows.
FORMATTED = ("python", "c")

# Who publishes results.
SHARE_WRITES = ("never", "ci")

# A section: its keys, each with the kind of its value or a section of its own. "*" stands for any other key.
Section = Mapping[str, "Kind | Section"]
ANY = "*"


def shown(value: Any) -> str:
    """Return how a message calls a value of the wrong type."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a table"}
    kind = names.get(type(value), "a date")
    return f"{kind} ({str(value).lower()})" if kind in {"a boolean", "a number"} else kind


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_env(value: Any) -> bool:
    if isinstance(value, dict):
        return value == {"unset": True} or (list(value) == ["detect"] and isinstance(value["detect"], str))
    return isinstance(value, str)


def _features(value: list[str], key: str, where: str) -> list[Problem]:
    bad = [name for name in value if not re.fullmatch(r"-?\w[\w+.-]*(/\w[\w+.-]*)?", name)]
    fix = "a name of Cargo's, PACKAGE/FEATURE, or -FEATURE to remove one"
    return [Problem(f"{key} holds {name!r}, which is no name of a feature", fix, where) for name in bad]


def _triple(value: str, key: str, where: str) -> list[Problem]:
    return [] if value.endswith(".json") else _triples([value], key, where)  # a file is cargo's other form


def _triples(value: list[str], key: str, where: str) -> list[Problem]:
    bad = [name for name in value if not re.fullmatch(r"[\w.]+(-[\w.]+){1,4}", name)]
    fix = "as rustc writes it, such as aarch64-unknown-linux-gnu; rustc --print target-list shows all"
    return [Problem(f"{key} holds {name!r}, which is no target triple", fix, where) for name in bad]


def _platforms(value: list[str], _key: str, where: str) -> list[Problem]:
    return [unknown("platform", name, PLATFORMS, where) for name in value if name not in PLATFORMS]


def _lane(value: str, _key: str, where: str) -> list[Problem]:
    return [] if value in POOLS else [unknown("lane", value, POOLS, where)]


def _observe(value: str, _key: str, where: str) -> list[Problem]:
    return [] if value in OBSERVE else [unknown("way to observe", value, OBSERVE, where)]


def _share_write(value: str, _key: str, where: str) -> list[Problem]:
    return [] if value in SHARE_WRITES else [unknown("way to write", value, SHARE_WRITES, where)]


def _languages(value: list[str], _key: str, where: str) -> list[Problem]:
    return [unknown("language", name, FORMATTED, where) for name in value if name not in FORMATTED]


def _duplicates(value: list[str], key: str, where: str) -> list[Problem]:
    bad = [name for name in value if not re.fullmatch(r"[\w-]+(@\d[\w.+-]*)?", name)]
    fix = 'a package such as "syn", or one version of it: "windows-sys@0.52.0"'
    return [Problem(f"{key} holds {name!r}, which is no package of a Cargo.lock", fix, where) for name in bad]


def _detector(value: Any, _key: str, where: str) -> list[Problem]:
    if isinstance(value, str) or "unset" in value or value["detect"] in DETECTORS:
        return []
    return [unknown("detector", value["detect"], DETECTORS, where)]


def _specifier(value: str, key: str, where: str) -> list[Problem]:
    if not value.strip():
        return []
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(value)
    except InvalidSpecifier:
        fix = 'a PEP 440 specifier such as ">=12.4,<14", or "" for any version'
        return [Problem(f"{key} = {value!r} is not a version specifier", fix, where)]
    return []


def _sha256(value: str, key: str, where: str) -> list[Problem]:
    if re.fullmatch(r"[0-9a-f]{64}", value):
        return []
    return [Problem(f"{key} is no SHA-256", "64 hexadecimal digits in small letters, as sha256sum prints them", where)]


STRING: Schema = {"type": "string"}


def _one_of(words: Iterable[str]) -> Schema:
    return {"enum": list(words)}


def _listed(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _string(example: str, finer: Check | None = None, schema: Schema = STRING) -> Kind:
    return Kind("a string", example, _is_text, finer, schema)


def _strings(example: str, finer: Check | None = None, items: Schema = STRING) -> Kind:
    return Kind("a list of strings", example, _is_list, finer, _listed(items))


TEXT = _string('"text"')
SHA256 = _string('"64 hexadecimal digits"', _sha256, {"type": "string", "pattern": "^[0-9a-f]{64}$"})
FLAG = Kind("true or false", "true", lambda value: isinstance(value, bool), schema={"type": "boolean"})
POSITIVE = Kind("a whole number above 0", "4", _is_positive, schema={"type": "integer", "minimum": 1})
LIST = _strings('["one", "two"]')


def _variables(value: list[str], key: str, where: str) -> list[Problem]:
    return [problem for name in value for problem in variable_problems(name, key, where)]


def _ignored(value: list[str], key: str, where: str) -> list[Problem]:
    """Return what is wrong with names of variables and paths: a path has no pattern, and is not the root itself."""
    problems = []
    for name in value:
        if "/" in name or "." in name:
            if "*" in name or not name.strip("./~"):
                fix = "name a file or a folder, which stands for all that it holds"
                problems.append(Problem(f"{key}: {name!r} would ignore more than can be told", fix, where))
        elif "*" in name[:-1] or not name.strip("*"):
            fix = "one * may stand at the end, after the beginning of the names: CI_*"
            problems.append(Problem(f"{key}: {name!r} is no name of a variable", fix, where))
        else:
            problems += variable_problems(name, key, where)
    return problems


def _ignored_variables(value: list[str], key: str, where: str) -> list[Problem]:
    fix = "take it out: what a build has read counts on each machine, whatever it is"
    paths = [name for name in value if "/" in name or "." in name]
    return [Problem(f"{key}: {name!r} is no variable", fix, where) for name in paths] or _ignored(value, key, where)


def variable_problems(name: str, key: str, where: str) -> list[Problem]:
    """Return what keeps a text from being the name of an environment variable."""
    if name and not set("=\0") & set(name):
        return []
    return [Problem(f"{key} names {name!r}, which no environment variable can be called", "correct the name", where)]


# The build files that can be taken over, and what of them a Makefile can name: make and a shell take these as they are.
BUILD_FILES = ("make", "just", "cargo-make", "alias", "npm")
GOAL = re.compile(r"(?!-|\.[A-Z_]+$|\.$|doit_|.*(?:^|/)\.\.(?:/|$))[A-Za-z0-9_./@+-]+", re.ASCII)
VARIABLE = re.compile(r"(?!doit_|DOIT_CARGO$)[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
FILE = re.compile(r"(?!-|/|.*(?:^|/)\.\.(?:/|$))[A-Za-z0-9_./+-]+", re.ASCII)
PATTERN = re.compile(r"(?!-|doit_)[A-Za-z0-9_./@+-]*%?[A-Za-z0-9_./@+-]*", re.ASCII)
_TARGET = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


def _plain(pattern: re.Pattern[str], what: str, is_optional: bool = False) -> Check:
    """Return a check that a text, or each of a list, is a name that goes into a Makefile as it is."""

    def wrong(value: str | list[str], key: str, where: str) -> list[Problem]:
        names = [value] if isinstance(value, str) else value
        bad = [name for name in names if not pattern.fullmatch(name) and not (is_optional and name == "")]
        fix = "doit-cargo migrate writes this table; correct it, or remove it and migrate again"
        return [Problem(f"{key} holds {name!r}, which is no plain name of {what}", fix, where) for name in bad]

    return wrong


def _build_file(value: str, _key: str, where: str) -> list[Problem]:
    return [] if value in BUILD_FILES else [unknown("kind of build file", value, BUILD_FILES, where)]


goal_problems = _plain(GOAL, "a goal of make")
BUILD_FILE = _string('"make"', _build_file, _one_of(BUILD_FILES))
PLAIN_FILE = _string('"Makefile"', _plain(FILE, "a file of the checkout"))
PLAIN_GOAL = _string('"all"', _plain(GOAL, "a goal of make", is_optional=True))
PLAIN_GOALS = _strings('["all", "test-%"]', _plain(PATTERN, "a goal of make"))
PLAIN_VARIABLES = _strings('["FEATURES"]', _plain(VARIABLE, "a variable"))
PLAIN_TARGET = _string('"build"', _plain(_TARGET, "a target"))
NAMES = Kind(
    "a string or a list of strings",
    '["one", "two"]',
    lambda value: _is_text(value) or _is_list(value),
    schema={"oneOf": [STRING, _listed(STRING)]},
)
FEATURES = _strings('["cuda", "-mkl"]', _features)
ON_PLATFORMS = _strings('["linux", "windows"]', _platforms, _one_of(PLATFORMS))
TRIPLE = _string('"aarch64-unknown-linux-gnu"', _triple)
TRIPLES = _strings('["aarch64-unknown-linux-gnu"]', _triples)
LANGUAGES = _strings('["python", "c"]', _languages, _one_of(FORMATTED))
DUPLICATES = _strings('["syn", "windows-sys@0.52.0"]', _duplicates)
COUNT = Kind(
    "a whole number",
    "3",
    lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    schema={"type": "integer", "minimum": 0},
)
LANE = _string('"free"', _lane, _one_of(POOLS))
SHARE_WRITE = _string('"ci"', _share_write, _one_of(SHARE_WRITES))
OBSERVING = _string('"off"', _observe, _one_of(OBSERVE))
CONFIG = Kind(
    "a table",
    '{ profile.release.lto = "thin" }',
    lambda value: isinstance(value, dict),
    schema={"type": "object", "propertyNames": {"pattern": "^[^.]*$"}},
)
VARIABLES = _strings('["MODEL_DIR"]', _variables)
IGNORED = _strings('["BUILD_ID", "CI_*", "~/.cache/x"]', _ignored)
IGNORED_VARIABLES = _strings('["CI", "GITHUB_*"]', _ignored_variables)


def _only(key: str, value: Schema) -> Schema:
    return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}


ENV = Kind(
    "a string, { unset = true } or { detect = NAME }",
    '{ detect = "cuda_root" }',
    _is_env,
    _detector,
    schema={"oneOf": [STRING, _only("unset", {"const": True}), _only("detect", _one_of(DETECTORS))]},
)
SPECIFIER = _string('">=12.4"', _specifier)
