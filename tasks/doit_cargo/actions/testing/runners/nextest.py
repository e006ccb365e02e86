"""Run test programs with cargo-nextest: the same build selection, so that it compiles nothing, and only the programs
that are stale. What came of each test it tells in a JUnit report of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

from doit_cargo.actions.testing.results import FAILED, IGNORED, PASSED, CaseResult, ProgramResult
from doit_cargo.actions.testing.runners.libtest import OutputOptions
from doit_cargo.actions.testing.test_binaries import TestBinary
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.model import Plan
from doit_cargo.engine.base.paths import can_write_below
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.base.toml.toml import toml_text
from doit_cargo.engine.console import terminal
from doit_cargo.engine.console.terminal import CountedLines
from doit_cargo.engine.execution import run
from doit_cargo.engine.state import store

if TYPE_CHECKING:
    from doit_cargo.engine.execution.observe.observer import Observation
    from doit_cargo.engine.execution.run import Outcome

TESTS_FAILED = 100  # nextest's exit status (its book, "Exit codes")
PROFILE = "doit-cargo"
# Arguments of cargo's under the names that nextest has for them; it starts tests with --jobs and --profile of its own.
RENAMED = {"--profile": "--cargo-profile", "--jobs": "--build-jobs"}


# What nextest says of a test that has ended; those that passed are told where we ask for it, to count them.
COUNTS = CountedLines(
    re.compile(r"^ +(?:(PASS|LEAK)|[A-Z][A-Z-]+) \[ *[\d.]+s\] +(?:\( *\d+/\d+\) +)?(.*)$"),
    re.compile(r"^ +Starting (\d+) tests? "),
)
# What changes the outcome of a test, beside those that this module sets itself (nextest's book, "Environment").
VARIABLES = ("NEXTEST_RETRIES", "NEXTEST_FLAKY_RESULT", "NEXTEST_TEST_THREADS", "NEXTEST_USER_CONFIG_FILE")


def settings_files(root: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return nextest's settings of a workspace and of the user, existing or not, and the scripts that they start."""
    home = environ.get("HOME") or os.path.expanduser("~")
    own = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    if os.name == "nt":
        own = environ.get("APPDATA") or os.path.join(home, "AppData", "Roaming")
    user = environ.get("NEXTEST_USER_CONFIG_FILE") or os.path.join(own, "nextest", "config.toml")
    repository = os.path.join(root, ".config", "nextest.toml")
    return (repository, os.path.join(root, user), *_scripts(repository, root))


def _scripts(path: str, root: str) -> Iterator[str]:
    """Yield the files that a configuration's setup scripts and wrappers name (nextest's book, "Setup scripts")."""
    waiting: list[object] = [value for key, value in toml.read(path).items() if key.startswith("script")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            yield from (os.path.join(root, word) for word in value.split() if "." in word or "/" in word)


class NextestRequest(NamedTuple):
    """A run of nextest. `retries`: None leaves it to nextest's configuration, which `configured` wants in full."""

    plan: Plan
    programs: Sequence[TestBinary]
    environ: Mapping[str, str]
    extra: Mapping[str, str]
    manner: OutputOptions
    state: str
    log: str
    target: str
    retries: int | None = 0
    configured: bool = False
    observation: Observation | None = None


def run_programs(
    request: NextestRequest, ignored: Callable[[TestBinary], list[str]]
) -> tuple[dict[str, ProgramResult], Outcome]:
    """Run the programs; return what came of each, by its identity, and of nextest itself.

    Raises `UserError` if nextest could not run them.
    """
    report = os.path.join(request.state, "nextest.xml")
    store.remove(report)
    call = request.plan.invocation
    invocation = call._replace(argv=_argv(request, report), env={**call.env, **request.extra})
    outcome = run.run_tool(
        invocation,
        request.environ,
        request.log,
        f"doit-cargo {request.target}",
        appends=True,
        observation=request.observation,
        counts=COUNTS if _counts(request) else None,
    )
    if outcome.status not in (0, TESTS_FAILED) and not outcome.interrupted:
        what = f"cargo nextest ended with status {outcome.status}: it did not run the tests"
        other = "" if request.configured else "; RUNNER=cargo runs them without nextest"
        raise UserError(Problem(what, f"see {request.log}{other}"), COULD_NOT_RUN)
    suites = _suites(report)
    found = {one.identity: _result(suites.get(one.nextest_id), ignored(one)) for one in request.programs}
    if outcome.status and all(result.ok for result in found.values()):
        found = {name: replace(result, ok=False, why=_why(outcome)) for name, result in found.items()}
    return found, outcome


def _counts(request: NextestRequest) -> bool:
    """Tell whether to draw how many tests have passed: not where the user has other words of nextest's to see."""
    return terminal.draws() and not (request.configured or request.manner.shows or request.manner.prints)


def _why(outcome: Outcome) -> str:
    return "interrupted" if outcome.interrupted else f"cargo nextest ended with status {outcome.status}"


def _argv(request: NextestRequest, report: str) -> tuple[str, ...]:
    words = request.plan.invocation.argv[2:]
    end = words.index("--") if "--" in words else len(words)
    argv: list[str] = ["cargo", "nextest", "run", *(RENAMED.get(word, word) for word in words[:end] if word != "-vv")]
    config = os.path.join(request.state, "nextest.toml")
    _write_config(config, report, "" if can_write_below(request.plan.invocation.cwd) else request.state)
    argv += ["--profile", PROFILE, "--tool-config-file", f"{PROFILE}:{config}", "--no-tests", "pass", "--no-fail-fast"]
    argv += ["--retries", str(request.retries)] if request.retries is not None else []
    argv += [] if request.configured else ["--ignore-default-filter"]
    argv += ["--no-capture"] if request.manner.prints else []
    level = "all" if request.manner.shows else "pass" if _counts(request) else "fail"
    argv += ["--cargo-quiet", "--status-level", level, "--final-status-level", "none", "--hide-progress-bar"]
    threads = request.environ.get("RUST_TEST_THREADS", "")
    argv += ["--test-threads", threads] if threads.isdigit() and not request.configured else []
    argv += ["--filterset", " + ".join(f"binary_id(={one.nextest_id})" for one in request.programs)]
    passed = (*words[end + 1 :], *request.manner.tests)
    return (*argv, "--", *passed) if passed else tuple(argv)


def _write_config(path: str, report: str, elsewhere: str) -> None:
    """Write what we ask of nextest; it keeps its own files below the workspace, unless they must go `elsewhere`."""
    text = f"[store]\ndir = {toml_text(os.path.join(elsewhere, 'nextest'))}\n\n" if elsewhere else ""
    text += f"[profile.{PROFILE}.junit]\npath = {toml_text(report)}\nstore-success-output = false\n"
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise UserError(store.unwritable(path, error), COULD_NOT_RUN) from None


def _suites(report: str) -> dict[str, ElementTree.Element]:
    try:
        # Written a moment ago by nextest, for us.
        root = ElementTree.parse(report).getroot()  # noqa: S314
    except (OSError, ElementTree.ParseError):
        return {}
    return {suite.get("name", ""): suite for suite in root.iter("testsuite")}


def _result(suite: ElementTree.Element | None, ignored: list[str]) -> ProgramResult:
    cases = [_case(case) for case in suite.iter("testcase")] if suite is not None else []
    failed = [case for case in cases if case.outcome == FAILED]
    flaky = tuple(
        case.get("name", "")
        for case in (suite.iter("testcase") if suite is not None else ())
        if case.find("flakyFailure") is not None
    )
    seen = {case.name for case in cases}
    skipped = [CaseResult(name, IGNORED) for name in ignored if name not in seen]
    return ProgramResult(
        ok=not failed,
        passed=len(cases) - len(failed),
        failed=len(failed),
        ignored=len(skipped),
        seconds=sum(case.seconds or 0 for case in cases),
        cases=[*cases, *skipped],
        flaky=flaky,
    )


def _case(case: ElementTree.Element) -> CaseResult:
    broken = next((case.find(name) for name in ("failure", "error") if case.find(name) is not None), None)
    seconds = float(case.get("time", "0") or 0)
    if broken is None:
        return CaseResult(case.get("name", ""), PASSED, seconds)
    return CaseResult(
        case.get("name", ""), FAILED, seconds, broken.get("message", "") or (broken.text or "").strip()[:500]
    )
