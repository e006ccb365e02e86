"""The make-like variables of a call (``JOBS=4 FEATURES=cuda``): one table, strict types, all problems at once.

Knows which values make sense by themselves; whether a package or a feature exists is for the plan to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.errors import Collector, unknown
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.secrets import is_secret

Value = bool | int | str | tuple[str, ...]

# Reports of coverage: the option of cargo-llvm-cov that makes one, and the file below coverage/.
COVERAGE_FORMATS = {
    "html": ("--html", "html/index.html"),
    "lcov": ("--lcov", "lcov.info"),
    "json": ("--json", "coverage.json"),
    "text": ("--text", "coverage.txt"),
    "cobertura": ("--cobertura", "cobertura.xml"),
}

# Mirrors of crates.io whose sparse index is not at the usual place (their own pages, 2026).
MIRROR_PATHS = {"rsproxy.cn": "index"}
OFF = frozenset({"0", "false", "no", "off"})
ON = frozenset({"1", "true", "yes", "on"})
# How the processes of a build are observed (docs/observing.md).
STRICT = "strict"
OBSERVE = ("off", "preload", "strace")
# What a call does with the results of other machines (docs/beyond-one-machine.md).
SHARE = ("off", "read", "write", "verify")
RUNNERS = ("cargo", "nextest")
ALL = "all"


class _InvalidError(Exception):
    """A value that its type refuses; the text is what the value is not."""


def _flag(text: str) -> bool:
    word = text.strip().lower()
    if word not in OFF | ON and not re.fullmatch("[0-9]+", word):
        raise _InvalidError("is neither on (1, true, yes, on) nor off (0, false, no, off)")
    return word in ON or word.strip("0").isdigit()


def _positive(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text.strip()) or int(text) < 1:
        raise _InvalidError("is not a whole number above 0")
    return int(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text.strip()):
        raise _InvalidError("is not a whole number from 0 to 999")
    return int(text)


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.strip() not in words:
            raise _InvalidError(f"is none of {', '.join(words)}")
        return text.strip()

    return read


def _shard(text: str) -> str:
    number, slash, count = text.strip().partition("/")
    if not slash or not re.fullmatch(r"[1-9][0-9]{0,3}", count) or not re.fullmatch(r"all|[1-9][0-9]{0,3}", number):
        raise _InvalidError("is not NUMBER/COUNT, such as 1/3, nor all/COUNT")
    if number != "all" and int(number) > int(count):
        raise _InvalidError(f"is none of {count} shards")
    return f"{number}/{count}"


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text.strip()) or not 1 <= int(text) <= 65535:
        raise _InvalidError("is not a port (1 to 65535)")
    return int(text)


def _report(text: str) -> str:
    """A file, or whether there is one: then it has its usual place."""
    word = text.strip().lower()
    return "" if word in OFF else "1" if word in ON else text


def _word(text: str) -> str:
    if len(text.split()) != 1:
        raise _InvalidError("is not one name")
    return text.strip()


def _text(text: str) -> str:
    return text


def _percent(text: str) -> str:
    """A share or a change in percent; kept as text, since a variable is a text, a number or a flag."""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})?", text.strip().removesuffix("%").strip()):
        raise _InvalidError("is not a percentage such as 80 or 2.5")
    return text.strip().removesuffix("%").strip()


def _share(text: str) -> str:
    share = _percent(text)
    if float(share) > 100:
        raise _InvalidError("is more than 100 percent")
    return share


def _seconds(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text.strip()) or float(text) <= 0:
        raise _InvalidError("is not a number of seconds above 0")
    return text.strip()


def _baseline(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", text.strip()):
        raise _InvalidError("is not a name of letters, digits, '.', '-' and '_'")
    return text.strip()


def _formats(text: str) -> tuple[str, ...]:
    wrong = [word for word in _words(text) if word not in (*COVERAGE_FORMATS, "open")]
    if wrong:
        raise _InvalidError(f"holds {wrong[0]!r}; known: {', '.join(COVERAGE_FORMATS)}, open")
    return _words(text)


def _timeout(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text.strip()) or not 1 <= int(text) <= 3600:
        raise _InvalidError("is not a time in seconds (1 to 3600)")
    return int(text)


def _arguments(text: str) -> tuple[str, ...]:
    import shlex

    try:
        return tuple(shlex.split(text))
    except ValueError:
        raise _InvalidError("has a quote that does not end") from None


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text.strip()):
        raise _InvalidError("is not an address such as http://127.0.0.1:8080")
    return text.strip().rstrip("/")


def _triple(text: str) -> str:
    # A path to a target specification is cargo's other accepted form.
    if not re.fullmatch(r"[\w.]+(-[\w.]+){1,4}|[^-].*\.json", text.strip()):
        raise _InvalidError("is not a target triple such as x86_64-unknown-linux-gnu")
    return text.strip()


def _triples(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(_triple, _words(text))))


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in re.split(r"[,\s]+", text) if word))


def _names(text: str) -> tuple[str, ...]:
    """Names, or parts of them, which may hold blanks."""
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


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
        if not re.fullmatch(r"\w[\w-]*(@\d[\w.+-]*)?", word):
            raise _InvalidError(f"holds {word!r}, which is no name of a package")
    return words


def _registry(text: str) -> str:
    """Return the index of a mirror of crates.io, as cargo's `source.NAME.registry` takes it."""
    wanted = text.strip()
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?", wanted):
        return f"sparse+https://{wanted}/{MIRROR_PATHS.get(wanted, 'crates.io-index')}/"
    if not re.fullmatch(r"(sparse\+)?(https?|file)://[^\s\"'\\]+", wanted):
        raise _InvalidError("is neither a host nor the address of an index")
    address = wanted.removeprefix("sparse+")
    is_git = wanted.startswith("file:") or address.endswith(".git")
    return address if is_git else f"sparse+{address.rstrip('/')}/"


class Variable(NamedTuple):
    """A row: the name, how its text is read, and what it does, with an example that is always valid; `choices` are the
    only words that it takes, of a list those that may stand in it.
    """

    name: str
    read: Callable[[str], Value]
    doc: str
    example: str
    choices: tuple[str, ...] = ()

    @property
    def offers(self) -> tuple[str, ...]:
        """Return the words that can be its value, as far as the table knows."""
        return ("1", "0") if self.read is _flag else self.choices


TABLE = (
    Variable("JOBS", _positive, "how many jobs cargo runs at once", "4"),
    Variable("VERBOSE", _flag, "show more: cargo's commands (-vv), the differences that fmt_check finds", "1"),
    Variable("FEATURES", _features, "features to add to those of the profile; -NAME removes one", "cuda,-mkl"),
    Variable("ALL_FEATURES", _flag, "turn on all features of the selected packages", "1"),
    Variable("NO_DEFAULT_FEATURES", _flag, "leave the default features off", "1"),
    Variable("PACKAGE", _packages, "packages to act on instead of the target's own; all = the whole workspace", "all"),
    Variable("SINCE", _word, "only the members that changes since this commit can affect", "origin/main"),
    Variable("PROFILE", _word, "a feature profile, or a cargo profile, instead of the target's own", "low_memory"),
    Variable("TARGET", _triple, "the triple to build for", "x86_64-unknown-linux-gnu"),
    Variable("TEST", _names, "run only the tests whose name contains this, or one of these", "tokenizer::,parser::"),
    Variable("TEST_FILE", _words, "run only the test programs of these names (tests/NAME.rs)", "streaming"),
    Variable(
        "SHARD", _shard, "run one part of the test programs, NUMBER/COUNT; all/COUNT asks if all parts passed", "1/3"
    ),
    Variable("WHOLE", _flag, "compile a part's tests by the selection of the whole workspace: all of it, once", "1"),
    Variable("NOCAPTURE", _flag, "show what tests print, also where they pass", "1"),
    Variable(
        "RUNNER",
        _one_of(RUNNERS),
        "what runs the tests: cargo or nextest; default: nextest, if installed, for those that take long",
        "cargo",
        RUNNERS,
    ),
    Variable("RETRIES", _count, "how often nextest runs a failed test again", "2"),
    Variable("KEEP_FLAKY", _flag, "let a test that passes only on a later try count as passed next time", "1"),
    Variable("JUNIT", _report, "write a JUnit report to this file; 1 = .testlogs/TARGET.junit.xml", "report.xml"),
    Variable("MODEL", _text, "the model to run or test with", "qwen2.5-1.5b"),
    Variable("MODEL_DIR", _text, "the folder of the models (default: models)", "models"),
    Variable("MODEL_FILE", _text, "a GGUF file in MODEL_DIR, instead of MODEL", "qwen2.5-1.5b-instruct-q4_k_m.gguf"),
    Variable("PORT", _port, "the port a server listens on", "1234"),
    Variable("BASE_URL", _url, "the server to test, on this machine", "http://127.0.0.1:1234"),
    Variable("MCP_CONFIG", _text, "the file that lists MCP servers (default: MCP_CONFIG.json)", "tests/mcp.json"),
    Variable("SCRIPT", _text, "the lines to type into a program, and what to wait for", "tests/tui.script"),
    Variable("ARGS", _arguments, "more arguments of the program, quoted as in a shell", "--max-seqs 4"),
    Variable("TIMEOUT", _timeout, "how many seconds to wait before giving up", "60"),
    Variable("MISTRALRS_DEBUG", _flag, "debug output of the program", "1"),
    Variable("FORCE", _flag, "run even if nothing changed", "1"),
    Variable("WITHOUT_PREFLIGHT", _flag, "start cargo without the checks before it", "1"),
    Variable("TARGETS", _triples, "the triples to build for, instead of the pack's", "aarch64-unknown-linux-gnu"),
    Variable("PYTHON", _text, "the Python to build for or to install into: a program or an environment", ".venv"),
    Variable("SCCACHE", _flag, "compile through sccache, where it is found; 0 = without it", "1"),
    Variable("SHARE", _one_of(SHARE), "what is shared with other machines: off, read, write, verify", "read", SHARE),
    Variable(
        "OBSERVE",
        _one_of((*OBSERVE, STRICT)),
        "how to see what cargo does not track: preload, strace, off; strict fails for what is not seen",
        "off",
        (*OBSERVE, STRICT),
    ),
    Variable("HIT_RATE_MIN", _share, "fail if fewer per cent of the cacheable compilations were hits", "60"),
    Variable("JSON", _flag, "print JSON instead of text", "1"),
    Variable("OUTPUT", _text, "the file to write, from the workspace's root", "docs/features.md"),
    Variable("REGISTRY", _registry, "a mirror of crates.io to download from: its host, or its index", "rsproxy.cn"),
    Variable("YES", _flag, "do it without asking: install, update, overwrite", "1"),
    Variable("LOG", _word, "the log to show: the name of a target", "build_cuda_full"),
    Variable("DUP_MAX", _count, "how many duplicate packages are allowed", "3"),
    Variable("ADVISORY_DB", _text, "a copy of the RustSec advisory database to use", "advisory-db"),
    Variable("CARGO_CACHE", _flag, "clean cargo's own cache of downloads too", "1"),
    Variable(
        "COVERAGE",
        _formats,
        "reports of coverage to write: html, lcov, json, text, cobertura, open",
        "html,lcov",
        (*COVERAGE_FORMATS, "open"),
    ),
    Variable("COVERAGE_MIN", _share, "the least line coverage in percent; less fails", "80"),
    Variable("BASELINE", _baseline, "the name under which benchmarks are kept, or that they are compared with", "main"),
    Variable("BENCH_THRESHOLD", _percent, "the percentage by which a benchmark may get slower (default 5)", "10"),
    Variable("N", _positive, "how many lines a table shows", "20"),
    Variable("BIN", _word, "the program to take where a package has several", "server"),
    Variable("PROFILER", _word, "the profiler to use instead of the first that is found", "perf"),
    Variable("SECONDS", _seconds, "how long to watch at most", "30"),
    Variable("INTERVAL", _seconds, "seconds between two looks", "2"),
    Variable("SIZE_THRESHOLD", _percent, "the percentage by which a program may grow (default 5)", "2.5"),
)
BY_NAME = {variable.name: variable for variable in TABLE}

# What every target that calls cargo takes.
CARGO = (
    "JOBS",
    "VERBOSE",
    "FEATURES",
    "ALL_FEATURES",
    "NO_DEFAULT_FEATURES",
    "PACKAGE",
    "SINCE",
    "PROFILE",
    "TARGET",
    "REGISTRY",
    "SCCACHE",
    "OBSERVE",
    "SHARE",
    "FORCE",
    "WITHOUT_PREFLIGHT",
)
# The same of a target that stands for one package.
MEMBER = tuple(name for name in CARGO if name not in ("PACKAGE", "SINCE"))
# What targets that run tests take beside.
TESTS = ("TEST", "RUNNER", "NOCAPTURE", "JUNIT")


class Values(NamedTuple):
    """The variables of one call, typed. A variable that was not given is off, None or empty."""

    by_name: Mapping[str, Value] = {}

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
        if variable is None and is_secret(name):
            problems.add(f"{name} is a secret: it is taken from the environment only", f"export {name}=... first")
        elif variable is None:
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
    listed = shortened(takers, 12)
    what = f"{' and '.join(asked) or 'no target'} {'take' if len(asked) > 1 else 'takes'} no {name}"
    return what, f"leave it out; it is for {listed}" if listed else "leave it out; no target here takes it"
