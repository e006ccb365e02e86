"""What a profile file and a pack.toml may hold: one table of typed keys each, and the check against it.

A new key is one row here. Knows nothing of how profiles are found or composed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from doit_cargo.engine.base.errors import Problem, unknown
from doit_cargo.engine.base.model import DETECTORS, PLATFORMS, POOLS
from doit_cargo.engine.base.toml.locations import Path, TomlFile
from doit_cargo.engine.base.variables import OBSERVE

Check = Callable[[Any, str, str], list[Problem]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of value: how messages call it, an example, the test, and what is wrong with a value that passed it."""

    says: str
    example: str
    accepts: Callable[[Any], bool]
    finer: Check | None = None

    def check(self, value: Any, key: str, where: str) -> list[Problem]:
        if not self.accepts(value):
            return [Problem(f"{key} must be {self.says}, not {_shown(value)}", f"write it like {self.example}", where)]
        return self.finer(value, key, where) if self.finer else []


# Languages beside Rust that `fmt` knows.
FORMATTED = ("python", "c")

# A section: its keys, each with the kind of its value or a section of its own. "*" stands for any other key.
Section = Mapping[str, "Kind | Section"]
ANY = "*"


def _shown(value: Any) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a table"}
    kind = names.get(type(value), "a date")
    return f"{kind} ({str(value).lower()})" if kind in {"a boolean", "a number"} else kind


# --- kinds ---------------------------------------------------------------------------------------------------------


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


TEXT = Kind("a string", '"text"', _is_text)
SHA256 = Kind("a string", '"64 hexadecimal digits"', _is_text, _sha256)
FLAG = Kind("true or false", "true", lambda value: isinstance(value, bool))
POSITIVE = Kind("a whole number above 0", "4", _is_positive)
LIST = Kind("a list of strings", '["one", "two"]', _is_list)


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


_goal = _plain(GOAL, "a goal of make")
BUILD_FILE = Kind("a string", '"make"', _is_text, _build_file)
PLAIN_FILE = Kind("a string", '"Makefile"', _is_text, _plain(FILE, "a file of the checkout"))
PLAIN_GOAL = Kind("a string", '"all"', _is_text, _plain(GOAL, "a goal of make", is_optional=True))
PLAIN_GOALS = Kind("a list of strings", '["all", "test-%"]', _is_list, _plain(PATTERN, "a goal of make"))
PLAIN_VARIABLES = Kind("a list of strings", '["FEATURES"]', _is_list, _plain(VARIABLE, "a variable"))
PLAIN_TARGET = Kind("a string", '"build"', _is_text, _plain(_TARGET, "a target"))
NAMES = Kind("a string or a list of strings", '["one", "two"]', lambda value: _is_text(value) or _is_list(value))
FEATURES = Kind("a list of strings", '["cuda", "-mkl"]', _is_list, _features)
ON_PLATFORMS = Kind("a list of strings", '["linux", "windows"]', _is_list, _platforms)
TRIPLES = Kind("a list of strings", '["aarch64-unknown-linux-gnu"]', _is_list, _triples)
LANGUAGES = Kind("a list of strings", '["python", "c"]', _is_list, _languages)
DUPLICATES = Kind("a list of strings", '["syn", "windows-sys@0.52.0"]', _is_list, _duplicates)
COUNT = Kind("a whole number", "3", lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0)
LANE = Kind("a string", '"free"', _is_text, _lane)
OBSERVING = Kind("a string", '"off"', _is_text, _observe)
CONFIG = Kind("a table", '{ profile.release.lto = "thin" }', lambda value: isinstance(value, dict))
VARIABLES = Kind("a list of strings", '["MODEL_DIR"]', _is_list, _variables)
IGNORED = Kind("a list of strings", '["BUILD_ID", "CI_*", "~/.cache/x"]', _is_list, _ignored)
ENV = Kind("a string, { unset = true } or { detect = NAME }", '{ detect = "cuda_root" }', _is_env, _detector)
SPECIFIER = Kind("a string", '">=12.4"', _is_text, _specifier)

# --- the two tables --------------------------------------------------------------------------------------------------

PROFILE: Section = {
    "doc": TEXT,
    "extends": NAMES,
    "features": FEATURES,
    "default-features": FLAG,
    "platforms": ON_PLATFORMS,
    "cargo": {"profile": TEXT, "config": CONFIG, "jobs": POSITIVE, "target": TEXT, "locked": FLAG},
    "env": {ANY: ENV},
    "needs": {ANY: SPECIFIER},
    "inputs": {
        "files": LIST,
        "env": VARIABLES,
        "packages": LIST,
        "complete": LIST,
        "ignore": IGNORED,
        "observe": OBSERVING,
    },
}

# A row of the user's own, or of a pack (model.Target): a cargo call, a program, or a group.
TARGET: Section = {
    "doc": TEXT,
    "family": TEXT,
    "command": TEXT,
    "flags": LIST,
    "passed": LIST,
    "profile": NAMES,
    "package": TEXT,
    "run": LIST,
    "cwd": TEXT,
    "env": {ANY: TEXT},
    "after": LIST,
    "takes": LIST,
    "needs": LIST,
    "services": LIST,
    "platforms": ON_PLATFORMS,
    "inputs": {"files": LIST, "env": VARIABLES},
    "outputs": LIST,
    "lane": LANE,
    "keep-going": FLAG,
}

PACK: Section = {
    "doc": TEXT,
    "requires": SPECIFIER,
    "detect": {"packages": LIST},
    "roles": {ANY: LIST},
    "rules": {ANY: {"requires": LIST, "conflicts": LIST, "platforms": ON_PLATFORMS}},
    "packages": {ANY: {"needs": TEXT}},
    "satellites": LIST,
    "feature-sets": {ANY: {"features": LIST, "default-features": FLAG, "all-features": FLAG, "package": TEXT}},
    "services": {ANY: {"doc": TEXT, "variable": TEXT, "default": TEXT, "path": TEXT, "get": TEXT, "start": TEXT}},
    "platform-triples": TRIPLES,
    "serve": {ANY: {"binary": TEXT, "serve": LIST, "talk": LIST, "mcp": LIST, "plain": LIST, "gguf": LIST}},
    "models": {ANY: {"doc": TEXT, "repo": TEXT, "file": TEXT, "revision": TEXT, "size": POSITIVE, "sha256": SHA256}},
    "format": {"languages": LANGUAGES},
    "duplicates": {"allow": DUPLICATES, "max": COUNT},
    "target": {ANY: TARGET},
    "tests": {"quick": LIST},
    # What of an older build file was taken over (doit_cargo.migrate writes it, the Makefile shim reads it).
    "migrated": {
        "kind": BUILD_FILE,
        "file": PLAIN_FILE,
        "default": PLAIN_GOAL,
        "variables": PLAIN_VARIABLES,
        "kept": PLAIN_GOALS,
        "taken": {ANY: {"target": PLAIN_TARGET, "variables": PLAIN_VARIABLES, "environment": PLAIN_VARIABLES}},
    },
}

# [workspace.metadata.doit-cargo] of the root Cargo.toml.
SETTINGS: Section = {"pack": TEXT, "profiles": TEXT, "sccache": FLAG, "size-growth": POSITIVE, "deliberate": LIST}


def is_known(file: TomlFile, section: Section) -> bool:
    """Tell whether a file is meant for us: a TOML file without any key that we know is somebody else's."""
    return any(key in section for key in file.values)


def problems_of(file: TomlFile, section: Section) -> Iterator[Problem]:
    """Yield everything that is wrong with the types and names in a file."""
    return check(file, section, file.values, ())


def check(file: TomlFile, section: Section, table: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Yield everything that is wrong with a table that stands at `path` in a file."""
    for key, value in table.items():
        kind = section.get(key) or section.get(ANY)
        where = file.where(*path, key)
        if path[-1:] == ("env",):
            yield from variable_problems(key, dotted(path), where)
        if path == ("migrated", "taken"):
            yield from _goal(key, dotted(path), where)
        if _holds_nul(value):
            yield Problem(f"{dotted((*path, key))} holds a NUL character, which no program takes", "remove it", where)
        elif kind is None:
            yield unknown(f"key of [{dotted(path)}]" if path else "key", key, tuple(section), where)
        elif isinstance(kind, Kind):
            yield from kind.check(value, dotted((*path, key)), where)
        elif isinstance(value, dict):
            yield from check(file, kind, value, (*path, key))
        else:
            what = f"{dotted((*path, key))} must be a table, not {_shown(value)}"
            yield Problem(what, f"write [{dotted((*path, key))}]", where)


def _holds_nul(value: Any) -> bool:
    return "\0" in value if isinstance(value, str) else isinstance(value, list) and any(map(_holds_nul, value))


def dotted(path: Path) -> str:
    """Return a path of keys as TOML writes it, quoted where it must be."""
    return ".".join(part if re.fullmatch(r"[\w-]+", part, re.ASCII) else toml_text(part) for part in map(str, path))


def toml_text(text: str) -> str:
    """Return a TOML basic string. JSON's escapes are TOML's too; DEL is the one that JSON leaves alone."""
    import json

    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
