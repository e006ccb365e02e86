"""What cargo tells of a build: its JSON messages, dep-info files and build-script output.

Reads only; knows nothing of receipts. Formats: Cargo book, "External tools" (JSON messages), "Build scripts"
(`cargo::KEY=VALUE`); rustc's dep-info with `# env-dep:` lines. shared facts: docs/design.md, "Freshness".
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from typing import Any

from doit_cargo.engine.base import NamedTuple


class Unit(NamedTuple):
    """One compiler artifact that cargo reported, fresh or just compiled."""

    package: str
    package_id: str
    manifest: str
    kinds: tuple[str, ...]
    name: str
    source: str
    features: tuple[str, ...]
    files: tuple[str, ...]
    executable: str
    fresh: bool
    is_test: bool = False

    @property
    def is_local(self) -> bool:
        """A path package: only these can change under cargo's feet."""
        return self.package_id.startswith("path+")

    @property
    def directory(self) -> str:
        return os.path.dirname(self.manifest)


class Script(NamedTuple):
    """One run of a build script."""

    package: str
    package_id: str
    out_dir: str
    given: tuple[str, ...] = ()  # variables that cargo sets for the package's rustc on its behalf

    @property
    def output(self) -> str:
        """The file in which cargo keeps what the script printed."""
        return os.path.join(os.path.dirname(self.out_dir), "output")


class Located(NamedTuple):
    """A message of rustc's at a place. `level` is "error" or "warning"."""

    level: str
    file: str
    line: int
    column: int
    title: str
    text: str


class BuildReport:
    """All messages of one cargo call. `failed` maps a package with errors to the kinds of what did not compile; cargo
    writes nothing after `finished_ns`, and lets others write.
    """

    __slots__ = ("errors", "failed", "finished_ns", "first_unit_ns", "located", "scripts", "units", "warnings")

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.scripts: list[Script] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.located: list[Located] = []
        self.failed: dict[str, tuple[str, ...]] = {}
        self.first_unit_ns = 0
        self.finished_ns = 0

    def feed(self, line: str) -> str:
        """Take one line of cargo's standard output; return the text that a person should see, if any."""
        if not line.startswith("{"):
            return line
        try:
            message = json.loads(line)
        except ValueError:
            return line
        return self._take(message) if isinstance(message, dict) else line

    def _take(self, message: dict[str, Any]) -> str:
        reason = message.get("reason")
        self.first_unit_ns = self.first_unit_ns or time.time_ns()
        if reason == "compiler-artifact":
            self.units.append(_unit(message))
        elif reason == "build-script-executed":
            identity = str(message["package_id"])
            given = ("OUT_DIR", *(str(name) for name, _ in message.get("env", ())))
            self.scripts.append(Script(package_name(identity), identity, str(message["out_dir"]), given))
        elif reason == "compiler-message":
            self._note_failure(message)
            return self._diagnostic(message["message"])
        elif reason == "build-finished":
            self.finished_ns = time.time_ns()
        return ""

    def _note_failure(self, message: dict[str, Any]) -> None:
        if str(message["message"].get("level", "")).startswith("error"):
            name = package_name(str(message["package_id"]))
            kinds = (*self.failed.get(name, ()), *message["target"]["kind"])
            self.failed[name] = tuple(dict.fromkeys(kinds))

    def _diagnostic(self, message: object) -> str:
        if not isinstance(message, dict):
            return ""
        rendered = str(message.get("rendered") or "")
        self.located += _located(message)
        if message.get("level") == "warning":
            self.warnings.append(rendered)
        elif str(message.get("level", "")).startswith("error"):
            self.errors.append(rendered)
        return rendered

    @property
    def compiled(self) -> tuple[str, ...]:
        """Packages of which something was compiled, in cargo's order."""
        return tuple(dict.fromkeys(unit.package for unit in self.units if not unit.fresh))

    @property
    def packages(self) -> tuple[str, ...]:
        """Local packages of this build."""
        return tuple(dict.fromkeys(unit.package for unit in self.units if unit.is_local))


def _located(message: dict[str, Any]) -> Iterator[Located]:
    """Yield the place that a message is about: its first primary span, in a file."""
    level = str(message.get("level", ""))
    if not level.startswith(("error", "warning")):
        return
    spans = [span for span in message.get("spans") or () if isinstance(span, dict) and span.get("is_primary")]
    for span in spans[:1]:
        code = message.get("code") or {}
        place = str(span.get("file_name", "")), int(span.get("line_start", 0)), int(span.get("column_start", 0))
        title = str(code.get("code") or "") if isinstance(code, dict) else ""
        label = f"\n{span['label']}" if span.get("label") else ""
        yield Located(
            "error" if level.startswith("error") else "warning", *place, title, f"{message.get('message', '')}{label}"
        )


def package_name(package_id: str) -> str:
    """Return the name in a package id (Cargo book, "Package ID specifications").

    >>> package_name("path+file:///w/app#0.1.0"), package_name("registry+https://x/index#serde@1.0.0")
    ('app', 'serde')
    """
    url, _, fragment = package_id.partition("#")
    name, at, _ = fragment.partition("@")
    if at:
        return name
    if not fragment[:1].isdigit():
        return fragment
    path = url.partition("?")[0].rstrip("/")
    if "%" not in path:
        return path.rpartition("/")[2]
    from urllib.parse import unquote

    return os.path.basename(unquote(path))


def _unit(message: dict[str, Any]) -> Unit:
    target = message["target"]
    identity = str(message["package_id"])
    return Unit(
        package=package_name(identity),
        package_id=identity,
        manifest=str(message["manifest_path"]),
        kinds=tuple(target["kind"]),
        name=str(target["name"]),
        source=str(target["src_path"]),
        features=tuple(message.get("features") or ()),
        files=tuple(message.get("filenames") or ()),
        executable=str(message.get("executable") or ""),
        fresh=bool(message.get("fresh")),
        is_test=bool(message.get("profile", {}).get("test")),
    )


# What cargo sets itself for each call of rustc, whatever the environment holds (Cargo book, "Environment variables").
SET_BY_CARGO = frozenset(
    {"CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_CRATE_NAME"}
    | {f"CARGO_PKG_VERSION{part}" for part in ("", "_MAJOR", "_MINOR", "_PATCH", "_PRE")}
    | {f"CARGO_PKG_{part}" for part in ("AUTHORS", "NAME", "DESCRIPTION", "HOMEPAGE", "REPOSITORY", "README")}
    | {f"CARGO_PKG_{part}" for part in ("LICENSE", "LICENSE_FILE", "RUST_VERSION")}
)


class DepInfo(NamedTuple):
    """Source files (as rustc wrote them) and names of variables that a unit read."""

    files: tuple[str, ...]
    variables: tuple[str, ...]


def read_dep_info(path: str) -> DepInfo:
    """Read a `.d` file. Blanks in names are escaped by a backslash. Raises OSError."""
    files: dict[str, None] = {}
    variables: dict[str, None] = {}
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            if line.startswith("# env-dep:"):
                variables[line[10:].rstrip("\n").partition("=")[0]] = None
            elif not line.startswith("#") and ": " in line:
                _, _, names = line.rstrip("\n").partition(": ")
                files.update(dict.fromkeys(split_escaped(names)))
    return DepInfo(tuple(files), tuple(variables))


def written_as(path: str) -> str:
    """Return the path under which rustc wrote a dep-info file, "" where that cannot be told."""
    return first_line(path).partition(": ")[0].replace("\\ ", " ")


def first_line(path: str) -> str:
    """Return the first line of a file of cargo's, "" for none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.readline().rstrip("\n")
    except OSError:
        return ""


def split_escaped(names: str) -> Iterator[str]:
    r"""Split at blanks that no backslash escapes.

    >>> list(split_escaped(r"a.rs with\ blank.rs b.rs"))
    ['a.rs', 'with blank.rs', 'b.rs']
    """
    kept = ""
    for part in names.split(" "):
        if part.endswith("\\"):
            kept += part[:-1] + " "
        elif kept or part:
            yield kept + part
            kept = ""


def _dep_info_files(unit: Unit, links: HardLinks) -> list[str]:
    found: dict[str, None] = {}
    for path in unit.files:
        directory, name = os.path.split(path)
        if os.path.basename(directory) == "deps":
            candidates = [os.path.join(directory, _stem(name) + ".d")]
        elif "custom-build" in unit.kinds:
            candidates = [entry.path for entry in _entries(directory) if entry.name.endswith(".d")]
        else:
            twins = [os.path.splitext(twin)[0] + ".d" for twin in _unlibbed(links.of(path))]
            # An example that is only checked has no second name.
            candidates = twins or [os.path.join(links.kept_beside(path), _stem(name) + ".d")]
        found.update(dict.fromkeys(path for path in candidates if os.path.exists(path)))
    return list(found) or _by_name(unit, links)


def _stem(name: str) -> str:
    stem = os.path.splitext(name)[0]
    return stem[3:] if stem.startswith("lib") else stem


def _unlibbed(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        directory, name = os.path.split(path)
        yield os.path.join(directory, _stem(name) + os.path.splitext(name)[1])


class HardLinks:
    """Cargo's own copies of outputs: hard links in `deps/` or beside. Reads each directory once.

    Cargo puts outputs into the target directory and the copies into the build directory, mostly the same one.
    """

    def __init__(self, target_directory: str = "", build_directory: str = "") -> None:
        self.target_directory = target_directory
        self.build_directory = build_directory or target_directory
        self._directories: dict[str, dict[int, list[str]]] = {}
        self._dep_info: dict[tuple[str, ...], list[str]] = {}

    def kept_beside(self, path: str) -> str:
        """Return the folder of the build directory that stands for the folder of an output."""
        directory = os.path.dirname(path)
        below = self.target_directory + os.sep
        if self.build_directory == self.target_directory or not directory.startswith(below):
            return directory
        return os.path.join(self.build_directory, directory.removeprefix(below))

    def dep_info_files(self, unit: Unit) -> list[str]:
        """Return the dep-info files of a unit; of several candidates all: too many inputs only cost a check."""
        if unit.files not in self._dep_info:
            self._dep_info[unit.files] = _dep_info_files(unit, self)
        return self._dep_info[unit.files]

    def of(self, path: str) -> list[str]:
        """Return the other names of a file, there where cargo makes them."""
        try:
            inode = os.stat(path).st_ino
        except OSError:
            return []
        directory = self.kept_beside(path)
        places = (os.path.join(directory, "deps"), directory)
        return [other for place in places for other in self._index(place).get(inode, ()) if other != path]

    def _index(self, directory: str) -> dict[int, list[str]]:
        if directory not in self._directories:
            index: dict[int, list[str]] = {}
            for entry in _entries(directory):
                index.setdefault(entry.inode(), []).append(entry.path)
            self._directories[directory] = index
        return self._directories[directory]


def _by_name(unit: Unit, links: HardLinks) -> list[str]:
    """Where no hard link leads back (a file system without them): every variant that bears the unit's name."""
    name = unit.name.replace("-", "_") + "-"
    return [
        entry.path
        for directory in {os.path.join(links.kept_beside(path), "deps") for path in unit.files}
        for entry in _entries(directory)
        if entry.name.endswith(".d") and entry.name.replace("-", "_", entry.name.count("-") - 1).startswith(name)
    ]


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return []


class ScriptOutput(NamedTuple):
    """What a build script asked for. `paths` are absolute; `static_libraries` are files that it links in, and
    `link_arguments` words for the linker, which may name more.
    """

    paths: tuple[str, ...]
    variables: tuple[str, ...]
    static_libraries: tuple[str, ...]
    link_arguments: tuple[str, ...] = ()

    @property
    def watches_package(self) -> bool:
        """Without any rerun-if line cargo reruns the script for every file of the package."""
        return not self.paths and not self.variables


def read_script_output(path: str, package_directory: str) -> ScriptOutput:
    """Read what a build script printed. Raises OSError."""
    values: dict[str, list[str]] = {}
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            if line.startswith("cargo:"):
                key, _, value = line.rstrip("\n").removeprefix("cargo:").removeprefix(":").partition("=")
                values.setdefault(key, []).append(value)
    watched = [os.path.join(package_directory, value) for value in values.get("rerun-if-changed", ())]
    return ScriptOutput(
        tuple(dict.fromkeys(watched)),
        tuple(dict.fromkeys(values.get("rerun-if-env-changed", ()))),
        tuple(_static_libraries(values)),
        tuple(word for key, found in values.items() if key.startswith("rustc-link-arg") for word in found),
    )


def _static_libraries(values: dict[str, list[str]]) -> Iterator[str]:
    searched = [
        value.partition("=")[2] if value.startswith(("native=", "all=")) else value
        for value in values.get("rustc-link-search", ())
        if not value.startswith(("dependency=", "crate=", "framework="))
    ]
    for library in values.get("rustc-link-lib", ()):
        kind, equals, name = library.partition("=")
        if not equals or not kind.startswith("static"):
            continue
        for directory in searched:
            for file in (f"lib{name}.a", f"{name}.lib"):
                if os.path.isfile(os.path.join(directory, file)):
                    yield os.path.join(directory, file)
