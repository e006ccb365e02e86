"""fmt and fmt_check: every language that people write here, by its own formatter, which names the files concerned.

ruff and clang-format are optional: where one is missing its files are skipped, and that is said. They are used where a
project has chosen them (a configuration of theirs is there) or its pack says so.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from doit_cargo.actions import ask, log_path, shown_log
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.files import read_text
from doit_cargo.engine.base.model import ActionInputs
from doit_cargo.engine.base.paths import ancestors
from doit_cargo.engine.base.process.processes import GIT, Answer
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import dir_listing, fingerprint
from doit_cargo.engine.toolchain.tools import how_to_get

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

# What rustfmt says of a file that it reads, if it is asked to be verbose.
TOLD = re.compile(r"^Formatting (.+)$|^Using rustfmt config file (.+) for ")
# How settings of ruff name others that they rest on.
EXTENDS = re.compile(r"""^extend\s*=\s*["'](.+?)["']""", re.MULTILINE)
# Windows takes 32,767 characters of arguments.
FILES_A_CALL = 200


@dataclass(frozen=True, slots=True)
class Language:
    """A language: its formatter, the endings of its files, and the files by which a project has chosen it."""

    name: str
    label: str
    tool: str
    endings: tuple[str, ...]
    configuration: tuple[str, ...]


RUST = Language("rust", "Rust", "rustfmt", (".rs",), ("rustfmt.toml", ".rustfmt.toml"))
PYTHON = Language("python", "Python", "ruff", (".py", ".pyi"), ("ruff.toml", ".ruff.toml", "pyproject.toml"))
C = Language(
    "c",
    "C and CUDA",
    "clang-format",
    (".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".metal"),
    (".clang-format", "_clang-format", ".clang-format-ignore"),
)
LANGUAGES = (RUST, PYTHON, C)
ENDINGS = tuple(ending for language in LANGUAGES for ending in (*language.endings, *language.configuration))
GIT_FILES = (".gitignore", ".git/info/exclude")
HOMES = ("HOME", "XDG_CONFIG_HOME", "APPDATA")
# In `session.found`: the files that rustfmt has told that it read.
READ = "files that rustfmt read"


def watch(session: Session, _: Values) -> ActionInputs:
    """Return every formatted file, the configurations, also those above the workspace and the user's own, and the
    formatters. What rustfmt has read besides, it tells after the run: a module may lie anywhere.
    """
    above = [os.path.join(folder, name) for folder in list(ancestors(session.root))[1:] for name in _configurations()]
    of_user = _of_the_user(session.environ)
    extended = _extended([*_below(session, PYTHON.configuration), *above, *of_user])
    ignored = [os.path.join(session.root, name) for name in GIT_FILES]
    read = session.found.get(READ, ())
    return ActionInputs(
        files=(*above, *of_user, *extended, *ignored, *_manifests(session), *read),
        folders={
            session.root: (dir_listing.SOURCES, session.workspace.target_directory, *ENDINGS, ".gitignore"),
        },
        tools=tuple(language.tool for language in LANGUAGES),
        variables=("CLANG_FORMAT_STYLE", *HOMES),
        mends=session.current == "fmt",
    )


def _of_the_user(environ: Mapping[str, str]) -> list[str]:
    """Return where rustfmt and ruff look for settings of the user (each one's documentation, "Configuration")."""
    home = environ.get("HOME") or os.path.expanduser("~")
    folders = [environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")]
    if sys.platform == "darwin":
        folders.append(os.path.join(home, "Library", "Application Support"))
    if os.name == "nt":
        folders = [environ.get("APPDATA") or os.path.join(home, "AppData", "Roaming")]
    found = [os.path.join(home, name) for name in RUST.configuration]
    for language in (RUST, PYTHON):
        found += [os.path.join(folder, language.tool, name) for folder in folders for name in language.configuration]
    return found


def _extended(settings: Iterable[str]) -> list[str]:
    """Return the settings that these of ruff rest on by `extend`, wherever they lie (its documentation, "Settings")."""
    found: dict[str, None] = {}
    waiting = list(settings)
    for path in waiting:
        for name in EXTENDS.findall(read_text(path)):
            above, below = os.path.dirname(path), os.path.expandvars(os.path.expanduser(name))
            named = os.path.normpath(os.path.join(above, below))
            if named not in found:
                found[named] = None
                waiting.append(named)
    return list(found)


def _below(session: Session, names: tuple[str, ...]) -> list[str]:
    """Return the files of these names in the workspace."""
    rule = (dir_listing.SOURCES, session.workspace.target_directory, *names)
    return [os.path.join(session.root, name) for name in dir_listing.list_tree(session.root, rule)[1]]


def _configurations() -> list[str]:
    return [name for language in LANGUAGES for name in language.configuration]


def _manifests(session: Session) -> list[str]:
    """Return the manifests: they tell rustfmt the edition, and cargo which files there are."""
    members = [package.manifest for package in session.workspace.packages.values()]
    return [session.workspace.manifest, *members, *(os.path.join(one, "Cargo.toml") for one in satellites(session))]


def satellites(session: Session) -> list[str]:
    """Return the folders of the workspaces beside this one that the pack names and that are here."""
    members = {package.directory for package in session.workspace.packages.values()}
    folders = [os.path.normpath(os.path.join(session.root, name)) for name in session.library.pack.satellites]
    return [one for one in folders if os.path.isfile(os.path.join(one, "Cargo.toml")) and one not in members]


def files_of(session: Session) -> dict[str, list[str]]:
    """Return language -> its files, relative to the root, without those that git ignores."""
    rule = (dir_listing.SOURCES, session.workspace.target_directory, *ENDINGS)
    names = dir_listing.list_tree(session.root, rule)[1]
    kept = _not_ignored(session)
    wanted = [name for name in names if kept is None or name.replace(os.sep, "/") in kept]
    return {one.name: [name for name in wanted if name.endswith(one.endings)] for one in LANGUAGES}


def _not_ignored(session: Session) -> set[str] | None:
    """Return the files that git tracks or would add; None where git cannot say."""
    answer = ask(session, [*GIT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
    return set(answer.out.split("\0")) - {""} or None if answer.status == 0 else None


def _is_chosen(session: Session, language: Language) -> bool:
    """Tell whether the project has chosen a formatter: Rust has one; the others show by their configuration."""
    if language is RUST or language.name in session.library.pack.languages:
        return True
    above = [os.path.join(folder, name) for folder in ancestors(session.root) for name in language.configuration]
    return any(_configures(path, language.tool) for path in (*_below(session, language.configuration), *above))


def _configures(path: str, tool: str) -> bool:
    if os.path.basename(path) != "pyproject.toml":
        return os.path.isfile(path)
    return f"[tool.{tool}" in read_text(path)


@dataclass(slots=True)
class _Work:
    """What one language comes to: its files, those that are not formatted, and what its formatter could not do."""

    language: Language
    files: list[str]
    unformatted: list[str]
    troubles: list[str]
    text: str


def fmt_check(session: Session, values: Values) -> bool:
    """Name every file that is not formatted."""
    works = [_checked(session, language, files) for language, files in _to_format(session, "fmt_check")]
    _write_log(session, "fmt_check", works)
    if values.flag("VERBOSE"):
        for work in works:
            print(_difference(session, work), end="")
    bad = list(dict.fromkeys(name for work in works for name in work.unformatted))
    for name in bad:
        reporter.failed("fmt_check", f"{name} is not formatted")
    return _ended(
        session, "fmt_check", works, bad, f"{len(bad)} of {_total(works)} files are not formatted: doit-cargo fmt"
    )


def fmt(session: Session, _: Values) -> bool:
    """Format everything; name the files that changed."""
    found = list(_to_format(session, "fmt"))
    before = {name: _stamp(session, name) for _, files in found for name in files}
    works = [_formatted(session, language, files) for language, files in found]
    changed = [name for name, stamp in before.items() if _stamp(session, name) != stamp]
    _write_log(session, "fmt", works)
    for name in changed:
        reporter.note("fmt", f"formatted {name}")
    return _ended(session, "fmt", works, changed, "")


def _ended(session: Session, target: str, works: list[_Work], concerned: list[str], failure: str) -> bool:
    troubles = list(dict.fromkeys(trouble for work in works for trouble in work.troubles))
    for trouble in troubles:
        reporter.failed(target, trouble)
    log = shown_log(session, target)
    if troubles or (failure and concerned):
        text = failure if failure and concerned else "not all files could be read"
        reporter.failed(target, f"{text}; log: {log}")
        return False
    counts = ", ".join(f"{len(work.files)} {work.language.label}" for work in works if work.files)
    what = "all formatted" if failure else f"{len(concerned)} of {_total(works)} files formatted anew"
    reporter.done(target, f"{what}: {counts or 'no files'}; log: {log}")
    return True


def _total(works: Iterable[_Work]) -> int:
    return sum(len(work.files) for work in works)


def _stamp(session: Session, name: str) -> object:
    return fingerprint.signature(os.path.join(session.root, name))


def _to_format(session: Session, target: str) -> Iterator[tuple[Language, list[str]]]:
    """Yield each language that has files here and a formatter; say which ones are left alone, and why."""
    for name, files in files_of(session).items():
        language = next(one for one in LANGUAGES if one.name == name)
        if not files:
            continue
        count = f"{len(files)} {language.label} file{'' if len(files) == 1 else 's'}"
        if not _is_chosen(session, language):
            known = " or ".join(language.configuration[:2])
            reporter.note(target, f"{count} left alone: nothing here configures {language.tool} ({known})")
        elif session.machine.tool(language.tool) is None:
            command = how_to_get(language.tool, session.machine.package_manager)
            reporter.note(target, f"{count} skipped: {language.tool} is not installed, get it with: {command}")
        else:
            yield language, files


def _checked(session: Session, language: Language, files: list[str]) -> _Work:
    check = {"rust": _check_rust, "python": _check_python, "c": _check_c}[language.name]
    return _work(session, language, files, check)


def _formatted(session: Session, language: Language, files: list[str]) -> _Work:
    write = {"rust": _write_rust, "python": _write_python, "c": _write_c}[language.name]
    return _work(session, language, files, write)


Formatter = Callable[["Session", list[str]], Iterator[tuple[Answer, list[str], bool]]]
"""(session, files) -> for each call: the answer, the unformatted files that it names, whether it did its work."""


def _work(session: Session, language: Language, files: list[str], formatter: Formatter) -> _Work:
    work = _Work(language, files, [], [], "")
    for answer, names, is_done in formatter(session, files):
        work.text += answer.transcript
        work.unformatted += [_relative(session, name) for name in names]
        if not is_done:
            work.troubles.append(f"{language.tool} ended with status {answer.status}: {_first_lines(answer)}")
    return work


def _relative(session: Session, name: str) -> str:
    return reporter.relative(os.path.normpath(os.path.join(session.root, name)), session.root)


def _first_lines(answer: Answer) -> str:
    lines = [line for line in (answer.err or answer.out).splitlines() if line.strip()]
    return "\n   ".join(lines[:6])


def _cargo_fmt(session: Session, *words: str) -> Iterator[Answer]:
    """Call `cargo fmt` in the workspace and in each satellite: it reaches one workspace a call."""
    for folder in (session.root, *satellites(session)):
        yield ask(session, ["cargo", "fmt", "--all", *words], cwd=folder)


def _check_rust(session: Session, _: list[str]) -> Iterator[tuple[Answer, list[str], bool]]:
    for answer in _cargo_fmt(session, "--", "--check", "--files-with-diff", "--verbose"):
        lines = answer.out.splitlines()
        names = list(dict.fromkeys(line for line in lines if line.endswith(".rs") and os.path.isabs(line)))
        _keep_read(session, lines)
        yield answer, names, answer.status == 0 or (bool(names) and "error" not in answer.err)


def _write_rust(session: Session, _: list[str]) -> Iterator[tuple[Answer, list[str], bool]]:
    for answer in _cargo_fmt(session, "--", "--verbose"):
        _keep_read(session, answer.out.splitlines())
        yield answer, [], answer.status == 0


def _keep_read(session: Session, lines: Iterable[str]) -> None:
    told = [one or other for line in lines for one, other in TOLD.findall(line)]
    session.found[READ] = (*session.found.get(READ, ()), *map(os.path.normpath, told))


def _ruff(session: Session, files: list[str], *words: str) -> Iterator[Answer]:
    tool = session.machine.tool("ruff")
    for some in _some(files):
        yield ask(session, [tool.path if tool else "ruff", "format", "--no-cache", "--force-exclude", *words, *some])


def _check_python(session: Session, files: list[str]) -> Iterator[tuple[Answer, list[str], bool]]:
    # "Would reformat: a.py"; newer ones write "unformatted: File would be reformatted" and then " --> a.py:1:1".
    pattern = r"^Would reformat: (.+)$|^unformatted: [^\n]*\n *--> (.+?):\d+:\d+$"
    for answer in _ruff(session, files, "--check"):
        names = [one or other for one, other in re.findall(pattern, answer.out, re.MULTILINE)]
        yield answer, list(dict.fromkeys(names)), answer.status == 0 or (answer.status == 1 and bool(names))


def _write_python(session: Session, files: list[str]) -> Iterator[tuple[Answer, list[str], bool]]:
    for answer in _ruff(session, files):
        yield answer, [], answer.status == 0


def _clang_format(session: Session, files: list[str], *words: str) -> Iterator[Answer]:
    tool = session.machine.tool("clang-format")
    for some in _some(files):
        yield ask(session, [tool.path if tool else "clang-format", *words, "--", *some])


def _check_c(session: Session, files: list[str]) -> Iterator[tuple[Answer, list[str], bool]]:
    pattern = r"^(.+?):\d+:\d+: (?:warning|error): code should be clang-formatted"
    for answer in _clang_format(session, files, "--dry-run", "-Werror"):
        names = list(dict.fromkeys(re.findall(pattern, answer.err, re.MULTILINE)))
        yield answer, names, answer.status == 0 or bool(names)


def _write_c(session: Session, files: list[str]) -> Iterator[tuple[Answer, list[str], bool]]:
    for answer in _clang_format(session, files, "-i"):
        yield answer, [], answer.status == 0


def _some(files: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(files), FILES_A_CALL):
        yield files[start : start + FILES_A_CALL]


def _difference(session: Session, work: _Work) -> str:
    """Return what formatting would change, as the formatter itself shows it; clang-format shows places only."""
    if not work.unformatted:
        return ""
    if work.language is RUST:
        return "".join(answer.out for answer in _cargo_fmt(session, "--", "--check", "--color", "never"))
    if work.language is PYTHON:
        return "".join(answer.out for answer in _ruff(session, work.unformatted, "--diff"))
    return work.text


def _write_log(session: Session, target: str, works: Iterable[_Work]) -> None:
    atomic.write(log_path(session, target), f"# doit-cargo {target}\n" + "".join(work.text for work in works))
