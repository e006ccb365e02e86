"""How cargo would start each test program: asked of cargo itself, which calls a recorder in their place.

`cargo test` starts test executables through a `runner` and doc tests through `RUSTDOC`. With both set to a script that
only writes down its arguments, directory and environment, one call compiles everything and tells, for any version of
cargo, what exactly it would run. Tried: neither setting makes cargo compile anything anew. A runner of the user's own
is kept behind the recorder, so that it stands in the recorded command.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from doit_cargo.actions.testing.test_binaries import DOC, TestBinary, kind_of
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.model import Plan, Workspace
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.base.toml.toml import toml_text
from doit_cargo.engine.cargo.config import cfg
from doit_cargo.engine.cargo.config.files import read_tables
from doit_cargo.engine.cargo.messages import BuildReport
from doit_cargo.engine.preflight.config.report import rustc_facts
from doit_cargo.engine.state import store

RECORD = "_DOIT_CARGO_RECORD"
SCRIPT = "record.cmd" if os.name == "nt" else "record.sh"
# An expression that is true of every target.
EVERY = "'cfg(all())'"
MARK = b"doit-cargo: one more program"
# The environment of the shell's own start: what the shell itself adds is not in it. Elsewhere `env -0` comes near.
SHELL = """\
#!/bin/sh
umask 077
{
    printf '%s\\0' 'doit-cargo: one more program' "$PWD" "$#" "$@"
    cat "/proc/$$/environ" 2>/dev/null || env -0
} >> "$_DOIT_CARGO_RECORD"
"""
PYTHON = """\
import os, sys
words = ["doit-cargo: one more program", os.getcwd(), str(len(sys.argv) - 1), *sys.argv[1:]]
words += [f"{name}={value}" for name, value in os.environ.items()]
with open(os.environ["_DOIT_CARGO_RECORD"], "ab") as stream:
    stream.write(b"".join(os.fsencode(word) + b"\\0" for word in words))
"""
# What the recorder, the shell before it and the observer bring in.
NOT_CARGO_S = frozenset({RECORD, "RUSTDOC", "_", "PWD", "OLDPWD", "SHLVL", "DOIT_CARGO_OBSERVE", "DOIT_CARGO_RUN"})
OBSERVER = re.compile(r":?[^:]*/observe-[0-9a-f]+\.so$")


class Recorder(NamedTuple):
    """Where a recorded call writes, and the user's own runner."""

    script: str
    record: str
    runner: tuple[str, ...]


class _Own(NamedTuple):
    """A runner that the user has set: its words, and how it is written ("variable", "string", "list" or "")."""

    words: tuple[str, ...] = ()
    form: str = ""
    triple: str = ""


def prepare(plan: Plan, state: str, workspace: Workspace, environ: Mapping[str, str]) -> tuple[Recorder, Plan]:
    """Return a recorder, and the plan with it in place. Raises `UserError` where it cannot be written."""
    own = _own_runner(plan, workspace, environ)
    recorder = Recorder(_write_script(state), os.path.join(state, "test-programs"), own.words)
    call = plan.invocation
    store.remove(recorder.record)
    env = {**call.env, "RUSTDOC": recorder.script, RECORD: recorder.record}
    words = (recorder.script, *own.words)
    if own.form in ("string", "variable") and " " in recorder.script:
        fix = "write the runner as a list in .cargo/config.toml, or set DOIT_CARGO_STATE to a folder without blanks"
        raise UserError(Problem(f"a runner as one text cannot hold the path {recorder.script}", fix), COULD_NOT_RUN)
    if own.form == "variable":
        return recorder, plan._replace(invocation=call._replace(env={**env, _variable(own.triple): " ".join(words)}))
    # Cargo merges only values of one type.
    listed = "[" + ", ".join(toml_text(word) for word in words) + "]"
    setting = f"target.{own.triple or EVERY}.runner={toml_text(' '.join(words)) if own.form == 'string' else listed}"
    return recorder, plan._replace(invocation=call.with_arguments("--config", setting)._replace(env=env))


def _write_script(state: str) -> str:
    on_windows = os.name == "nt"
    path = os.path.join(state, SCRIPT)
    text = f'@"{sys.executable}" -I -S "{path}.py" %*\n' if on_windows else SHELL
    try:
        store.prepare(state)
        for name, content in ((path, text), *([(path + ".py", PYTHON)] if on_windows else [])):
            _write_program(name, content)
    except OSError as error:
        raise UserError(store.unwritable(state, error), COULD_NOT_RUN) from None
    return path


def _write_program(path: str, text: str) -> None:
    try:
        with open(path, encoding="utf-8") as stream:
            known = stream.read() == text and os.access(path, os.X_OK)
    except OSError:
        known = False
    if not known:
        atomic.write(path, text, mode=0o755)  # cargo starts it


def _own_runner(plan: Plan, workspace: Workspace, environ: Mapping[str, str]) -> _Own:
    """Return the runner that the user has set; without one cargo needs no triple."""
    variables = [name for name in environ if name.startswith("CARGO_TARGET_") and name.endswith("_RUNNER")]
    runners = list(_runners(workspace.root, environ))
    if not variables and not runners:
        return _Own()
    triple = _triple(plan, workspace, environ)
    if environ.get(_variable(triple)):
        return _Own(tuple(environ[_variable(triple)].split()), "variable", triple)
    for key, runner, base in runners:
        if key == triple:
            return _Own(_words(runner, base), "string" if isinstance(runner, str) else "list", triple)
    expressions = [runner for runner in runners if runner[0].startswith("cfg(")]
    facts = rustc_facts(triple, workspace.root, environ) if expressions else ()
    # Cargo takes one of these only where the triple has none, so ours goes under the triple.
    found = next((_words(runner, base) for key, runner, base in expressions if cfg.holds(key, facts)), ())
    return _Own(found, "list", triple)


def _variable(triple: str) -> str:
    return f"CARGO_TARGET_{triple.upper().replace('-', '_').replace('.', '_')}_RUNNER"


def _runners(root: str, environ: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    """Yield (triple or cfg, runner, the folder that holds `.cargo`) of cargo's config files, the strongest first."""
    for path, content in read_tables(root, environ):
        targets = content.get("target")
        for key, entry in targets.items() if isinstance(targets, Mapping) else ():
            if isinstance(entry, Mapping) and "runner" in entry:
                yield key, entry["runner"], os.path.dirname(os.path.dirname(path))


def _words(runner: object, base: str) -> tuple[str, ...]:
    """Return a runner's words; a path with a separator is relative to the folder of `.cargo` (Cargo book)."""
    words = runner.split() if isinstance(runner, str) else list(runner) if isinstance(runner, list) else []
    first = os.path.join(base, words[0]) if words and (os.sep in words[0] or "/" in words[0]) else "".join(words[:1])
    return (first, *words[1:]) if words else ()


def _triple(plan: Plan, workspace: Workspace, environ: Mapping[str, str]) -> str:
    asked = plan.invocation.target or environ.get("CARGO_BUILD_TARGET", "") or workspace.build_target
    if asked:
        return os.path.basename(asked).removesuffix(".json")
    said = processes.answer(["cargo", "-vV"], environ, None, workspace.root).out
    return next((line[6:] for line in said.splitlines() if line.startswith("host: ")), "")


class _Start(NamedTuple):
    """One call of the recorder."""

    cwd: str
    argv: tuple[str, ...]
    env: dict[str, str]


def read(
    recorder: Recorder, base: Mapping[str, str], report: BuildReport, workspace: Workspace
) -> tuple[TestBinary, ...]:
    """Return the programs in cargo's order. `base` is the environment that cargo was given.

    Where cargo was called a second time, since something had to be made anew, the second time counts.
    """
    executables = {unit.executable: unit for unit in report.units if unit.is_test and unit.executable}
    members = {package.directory: name for name, package in workspace.packages.items()}
    found: dict[str, TestBinary] = {}
    for start in _starts(recorder.record):
        env = _set_by_cargo(start.env, base)
        last = start.argv[len(recorder.runner)] if len(start.argv) > len(recorder.runner) else ""
        if last in executables:
            unit = executables[last]
            kind = kind_of(unit.kinds)
            own = _has_own_harness(unit.manifest, kind, unit.name)
            program = TestBinary(unit.package, kind, unit.name, last, start.argv, start.cwd, env, (), own)
        elif "--test" in start.argv:
            program = _doc_tests(start, recorder, members, env, base)
        else:
            continue
        found.pop(program.identity, None)
        found[program.identity] = program
    store.remove(recorder.record)
    return tuple(found.values())


def _starts(path: str) -> Iterator[_Start]:
    try:
        with open(path, "rb") as stream:
            words = stream.read().split(b"\0")
    except OSError:
        return
    marks = [position for position, word in enumerate(words) if word == MARK] + [len(words)]
    for begin, end in itertools.pairwise(marks):
        cwd, count, *rest = (os.fsdecode(word) for word in words[begin + 1 : end])
        pairs = (word.partition("=") for word in rest[int(count) :] if "=" in word)
        yield _Start(cwd, tuple(rest[: int(count)]), {name: value for name, _, value in pairs})


def _set_by_cargo(env: Mapping[str, str], base: Mapping[str, str]) -> dict[str, tuple[str | None, str]]:
    ours = {name for name in env if name.startswith("CARGO_TERM_")} | NOT_CARGO_S
    if preload := env.get("LD_PRELOAD"):
        without = OBSERVER.sub("", preload)
        env, ours = ({**env, "LD_PRELOAD": without}, ours) if without else (env, ours | {"LD_PRELOAD"})
    return {
        name: (base.get(name), value) for name, value in env.items() if base.get(name) != value and name not in ours
    }


def _doc_tests(
    start: _Start,
    recorder: Recorder,
    members: Mapping[str, str],
    env: Mapping[str, tuple[str | None, str]],
    base: Mapping[str, str],
) -> TestBinary:
    words = _plain_arguments(start.argv, recorder.runner)
    crate = words[words.index("--crate-name") + 1]
    externs = [words[position + 1] for position, word in enumerate(words) if word == "--extern"]
    libraries = tuple(path for _, equals, path in (name.partition("=") for name in externs) if equals)
    own = next((path for path in libraries if f"lib{crate}-" in os.path.basename(path)), crate)
    package = members.get(start.env.get("CARGO_MANIFEST_DIR", ""), start.env.get("CARGO_PKG_NAME", crate))
    rustdoc = base.get("RUSTDOC") or base.get("CARGO_BUILD_RUSTDOC") or "rustdoc"
    return TestBinary(package, DOC, crate, own, (rustdoc, *words), start.cwd, env, libraries)


def _plain_arguments(argv: Sequence[str], runner: Sequence[str]) -> list[str]:
    """Return rustdoc's arguments without the recorder, and with errors for people instead of programs."""
    dropped = ("--test-runtool", "--test-runtool-arg", "--error-format", "--json")
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        if word in dropped:
            next(words, None)
        elif not word.startswith(tuple(f"{name}=" for name in dropped)):
            kept.append(word)
    for position, word in enumerate(runner):
        kept += ["--test-runtool-arg" if position else "--test-runtool", word]
    return kept


def _has_own_harness(manifest: str, kind: str, name: str) -> bool:
    """Tell whether a manifest declares a target with ``harness = false``."""
    tables = toml.read(manifest).get(kind, [])
    rows = [tables] if isinstance(tables, dict) else tables
    return any(row.get("harness") is False and row.get("name", name) == name for row in rows if isinstance(row, dict))
