"""Coverage of the tests, through cargo-llvm-cov: the tests run once, then each report is made from the same data.

Knows cargo-llvm-cov's command line and the summary of llvm-cov's JSON; which LLVM fits is for `toolchain.llvm`.
cargo-llvm-cov stands in RUSTC_WRAPPER itself and calls a wrapper that was there before it. sccache ends such a build if
CARGO_INCREMENTAL=1, and caches no member while cargo compiles tests incrementally, which it does unless told not to. So
RUSTC_WRAPPER is emptied (unset, a config file's rustc-wrapper would come back), and CARGO_INCREMENTAL is left as it is:
coverage is the same with and without. Its target directory is its own, so `target/debug` is left alone.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doit_cargo.actions import explain, log_path, planned, run_tool, shown_log
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, FAILED, Problem, UserError
from doit_cargo.engine.base.variables import COVERAGE_FORMATS
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state import store
from doit_cargo.engine.toolchain.native.llvm import FoundLlvm, LlvmTools, find_coverage_tools

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

FOLDER = "coverage"
OPEN = "open"
# What the report step of cargo-llvm-cov takes of the arguments of the run, and whether a value follows.
OF_REPORT = {"--release": False, "--profile": True, "--target": True, "--package": True, "--locked": False}
UNCOMPRESSED = "-Cllvm-args=-enable-name-compression=false"


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of code that tests could reach, and those that they did."""

    count: int = 0
    covered: int = 0

    @property
    def percent(self) -> float:
        return 100.0 * self.covered / self.count if self.count else 100.0

    def plus(self, other: Lines) -> Lines:
        return Lines(self.count + other.count, self.covered + other.covered)


def test_coverage(session: Session, values: Values) -> bool:
    """Run the tests with coverage, write the reports that COVERAGE names, and hold the floor of COVERAGE_MIN."""
    plan = planned.plan_of(session, values, "llvm-cov", ("--no-report", "--no-fail-fast"))
    call = plan.invocation._replace(env={**plan.invocation.env, "RUSTC_WRAPPER": ""})
    planned.require(session, values, plan._replace(invocation=call))
    tools = _require_llvm(session)
    plan = _for_coverage(session, plan, tools)
    _say_setup(session, tools)
    _drop_old_profiles(session)
    tests = run_tool(session, plan.target, plan.invocation.argv, env=plan.invocation.env, unset=plan.invocation.unset)
    if tests.interrupted:
        reporter.failed(plan.target, "interrupted; no report was made")
        return False
    summary = _write_reports(session, values, plan)
    if summary is None:
        explain(session, plan.target, tests)
        log = shown_log(session, plan.target)
        raise UserError(Problem("no coverage was recorded", f"see the log: {log}"), FAILED)
    judged = _judge(session, values, summary, tests.status)
    explain(session, plan.target, tests)
    return judged


def check(session: Session, values: Values) -> None:
    """Raise `UserError` for variables that do not fit this workspace."""
    planned.plan_of(session, values, "llvm-cov")


def _drop_old_profiles(session: Session) -> None:
    """Remove what an earlier run recorded: a run that does not get to its tests must not be told its figures."""
    folder = glob.escape(os.path.join(session.workspace.target_directory, "llvm-cov-target"))
    for ending in ("profraw", "profdata"):
        for path in glob.glob(os.path.join(folder, f"*.{ending}")):
            store.remove(path)


def _say_setup(session: Session, tools: LlvmTools) -> None:
    reporter.note(session.current, f"LLVM {tools.version} ({tools.where}) reads the profiles")
    wrapper = os.path.basename(session.environ.get("RUSTC_WRAPPER", ""))
    if wrapper:
        reporter.note(session.current, f"RUSTC_WRAPPER={wrapper} is left out: cargo-llvm-cov takes its place")


def _require_llvm(session: Session) -> LlvmTools:
    """Return coverage tools that read this rustc's profiles. Raises `UserError` that says why others do not."""
    found = find_coverage_tools(session.machine)
    if found.tools is None:
        raise UserError(_llvm_problem(session.current, found, session.machine.package_manager), COULD_NOT_RUN)
    return found.tools


def _llvm_problem(target: str, found: FoundLlvm, manager: str) -> Problem:
    llvm = found.rustc_llvm.partition(".")[0]
    what = f"{target} needs llvm-cov and llvm-profdata that read the profiles of rustc's LLVM {found.rustc_llvm}"
    for tools in found.unfit:
        what += f"; {tools.profdata} is of LLVM {tools.version or '(unknown)'} and does not"
    ways = ["rustup component add llvm-tools"]
    ways += [f"apt install llvm-{max(int(llvm or 0) - 3, 19)}"] if manager == "apt" else []
    ways += ['pip install "doit-cargo[coverage]" (Linux on x86_64)', "or set LLVM_COV and LLVM_PROFDATA"]
    return Problem(what, ", ".join(ways))


def _for_coverage(session: Session, plan: Plan, tools: LlvmTools) -> Plan:
    """Return the plan with the environment that cargo-llvm-cov needs; settings that it has no option for, too."""
    call = plan.invocation
    env = {**call.env, "RUSTC_WRAPPER": "", "LLVM_COV": tools.cov, "LLVM_PROFDATA": tools.profdata}
    # It would install rustup's component by itself, and takes the end of its input for a yes.
    env["CARGO_LLVM_COV_SETUP"] = "no"
    argv, settings = _settings_as_variables(call.argv)
    env.update(settings)
    if not tools.compressed:
        env.update(_flag_added({**session.environ, **env}, session, UNCOMPRESSED))
    return plan._replace(invocation=call._replace(argv=argv, env=env))


def _settings_as_variables(argv: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the arguments without `--config KEY=VALUE`, and the same settings as cargo's variables.

    >>> _settings_as_variables(("cargo", "--config", 'profile.dev.lto="thin"', "-v"))
    (('cargo', '-v'), {'CARGO_PROFILE_DEV_LTO': 'thin'})
    """
    words: list[str] = []
    settings = {}
    rest = iter(argv)
    for word in rest:
        if word == "--config":
            key, _, value = next(rest, "").partition("=")
            settings["CARGO_" + key.upper().replace(".", "_").replace("-", "_")] = value.strip('"')
        else:
            words.append(word)
    return tuple(words), settings


def _flag_added(environ: Mapping[str, str], session: Session, flag: str) -> dict[str, str]:
    """Return the variable that adds a flag for rustc beside those that count now (Cargo book, "build.rustflags").

    RUSTFLAGS, once set, would hide what config files say; so the flag joins the source that is in force.
    """
    for name, between in (("CARGO_ENCODED_RUSTFLAGS", "\x1f"), ("RUSTFLAGS", " ")):
        if name in environ:
            return {name: f"{environ[name]}{between}{flag}".strip(between)}
    from doit_cargo.engine.toolchain.platform import host_triple

    of_target = f"CARGO_TARGET_{host_triple(session.machine.platform).upper().replace('-', '_')}_RUSTFLAGS"
    name = of_target if of_target in environ or _has_target_flags(session) else "CARGO_BUILD_RUSTFLAGS"
    return {name: f"{environ.get(name, '')} {flag}".strip()}


def _has_target_flags(session: Session) -> bool:
    """Tell whether any of cargo's config files sets rustflags for a target."""
    from doit_cargo.engine.cargo.config.files import read_tables

    tables = (table.get("target") for _, table in read_tables(session.root, session.environ))
    entries = [entry for targets in tables if isinstance(targets, Mapping) for entry in targets.values()]
    return any(isinstance(entry, Mapping) and "rustflags" in entry for entry in entries)


def _write_reports(session: Session, values: Values, plan: Plan) -> dict[str, Any] | None:
    """Write the reports asked for; return llvm-cov's summary, or None where it has nothing to report."""
    formats = dict.fromkeys(values.words("COVERAGE") or ("html",))
    if OPEN in formats:
        formats = {"html": None, **formats}
    kept = os.path.join(session.state, "coverage.json")
    store.prepare(session.state)
    store.remove(kept)
    if not _report(session, plan, "--json", "--summary-only", "--output-path", kept):
        return None
    for name in formats:
        if name != OPEN:
            _write_report(session, plan, name)
    if OPEN in formats:
        _open(session, os.path.join(session.root, FOLDER, "html", "index.html"))
    with open(kept, encoding="utf-8") as stream:
        return dict(json.load(stream)["data"][0])


def _report(session: Session, plan: Plan, *words: str) -> bool:
    """Run cargo-llvm-cov's report step, silent where all is well."""
    call = plan.invocation
    argv = ("cargo", "llvm-cov", "report", *_of_report(call.argv), *words)
    log = log_path(session, f"{plan.target}-report")
    return run_tool(session, plan.target, argv, env=call.env, unset=call.unset, log=log).ok


def _of_report(argv: tuple[str, ...]) -> Iterator[str]:
    """Yield those arguments of the run by which the report finds the same programs."""
    words = iter(argv)
    for word in words:
        if word in OF_REPORT:
            yield word
            if OF_REPORT[word]:
                yield next(words)


def _write_report(session: Session, plan: Plan, name: str) -> None:
    option, file = COVERAGE_FORMATS[name]
    folder = os.path.join(session.root, FOLDER)
    atomic.write(os.path.join(folder, ".gitignore"), "*\n")
    path = os.path.join(folder, file)
    place = ("--output-dir", folder) if name == "html" else ("--output-path", path)
    if not _report(session, plan, option, *place):
        log = shown_log(session, f"{plan.target}-report")
        raise UserError(Problem(f"the report {name} could not be written", f"see the log: {log}"), FAILED)
    reporter.note(plan.target, f"{name}: {reporter.relative(path, session.root)}")


def _open(session: Session, path: str) -> None:
    import webbrowser

    if not webbrowser.open(f"file://{path}"):
        reporter.note(
            session.current, f"no browser could be opened: open {reporter.relative(path, session.root)} yourself"
        )


def by_package(summary: Mapping[str, Any], session: Session) -> dict[str, Lines]:
    """Return package -> lines, of the members that have any."""
    found: dict[str, Lines] = {}
    for file in summary["files"]:
        name = session.workspace.owner_of(file["filename"]) or "(other)"
        lines = file["summary"]["lines"]
        found[name] = found.get(name, Lines()).plus(Lines(lines["count"], lines["covered"]))
    return dict(sorted(found.items()))


def _judge(session: Session, values: Values, summary: Mapping[str, Any], tests: int) -> bool:
    """Print the figures; tell failed tests and a floor that is not reached. Return whether all is well."""
    total = Lines(summary["totals"]["lines"]["count"], summary["totals"]["lines"]["covered"])
    for name, lines in by_package(summary, session).items():
        print(f"   {name:32} {lines.percent:6.1f} %  {lines.covered:6} of {lines.count} lines")
    log = shown_log(session, session.current)
    figure = f"line coverage {total.percent:.2f} %: {total.covered} of {total.count} lines"
    floor = float(values.text("COVERAGE_MIN") or 0)
    if tests:
        reporter.failed(session.current, f"tests failed (status {tests}); {figure}; log: {log}")
    elif total.percent < floor:
        missing = floor * total.count / 100 - total.covered
        reporter.failed(
            session.current, f"{figure}, which is under COVERAGE_MIN={floor:g} by {missing:.0f} lines; log: {log}"
        )
    else:
        reporter.done(session.current, f"{figure}; log: {log}")
    return not tests and total.percent >= floor
