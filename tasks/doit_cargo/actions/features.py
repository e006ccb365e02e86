"""What `features`, validate_features and feature_docs do: show the features of a workspace, and judge a set of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from doit_cargo.actions import file_to_write, write_report
from doit_cargo.engine.base.errors import DONE, FAILED, Absent, Collector, Problem, UserError, unknown
from doit_cargo.engine.base.files import read_text
from doit_cargo.engine.base.model import Package, Profile
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.base.variables import parse
from doit_cargo.engine.cargo.resolver import FeatureGraph
from doit_cargo.engine.cargo.resolver.half_enabled import of_selection
from doit_cargo.engine.cargo.resolver.page import page, valid
from doit_cargo.engine.cargo.resolver.report import Feature, features, to_json
from doit_cargo.engine.console import reporter
from doit_cargo.engine.plan import features as of_plan
from doit_cargo.engine.plan.selection import select
from doit_cargo.engine.toolchain.triples import host_of

if TYPE_CHECKING:
    from doit_cargo.engine.base.launch import FeatureSet
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.cargo.facts import PackageFacts
    from doit_cargo.session import Session

PAGE = "docs/features.md"
TIMEOUT = 60  # seconds
SHOWN = 8  # features in a line


def show(session: Session, options: argparse.Namespace) -> int:
    """`features`: every feature of every member, what it turns on, its rules, and who uses it."""
    graph, unread = graph_of(session)
    found = _chosen(_features(session, graph), options.targets, session)
    if options.output or options.check:
        if options.targets or options.json:
            raise UserError(Problem("the page has all packages", "leave the packages and --json out, or the page"))
        return _page(session, options.output or PAGE, options.check)
    if options.json:
        print(json.dumps({"features": to_json(found), "unread": unread}, indent=2))
        return DONE
    for package in dict.fromkeys(feature.package for feature in found):
        print(f"{package}:")
        for feature in found:
            if feature.package == package:
                _print(feature, whole=bool(options.targets))
    if not found:
        print("no member has features")
    if unread:
        print(unread)
    return DONE


def _chosen(found: list[Feature], packages: Iterable[str], session: Session) -> list[Feature]:
    wanted = list(packages)
    for name in wanted:
        if name not in session.workspace.packages:
            raise UserError(unknown("package", name, tuple(session.workspace.packages)))
    return [feature for feature in found if not wanted or feature.package in wanted]


def _print(feature: Feature, whole: bool) -> None:
    lines = [("turns on", [*feature.own, *feature.members]), ("outside", feature.outside), ("rules", valid(feature))]
    lines += [("profiles", feature.profiles), ("programs", feature.binaries)]
    default = "  (default)" if feature.is_default else ""
    print(f"  {feature.name}{default}")
    for label, parts in lines:
        if parts:
            print(f"    {label:9} {_line(feature, label, list(parts), whole)}")


def _line(feature: Feature, label: str, parts: list[str], whole: bool) -> str:
    """Return one line of a feature. Where all packages are shown, some turn on hundreds: the first tell what it is."""
    between = "; " if label == "rules" else ", "
    if whole or len(parts) <= SHOWN:
        return between.join(parts)
    more = f"and {len(parts) - SHOWN} more (doit-cargo features {feature.package})"
    return f"{between.join(parts[:SHOWN])} {more}"


def _features(session: Session, graph: FeatureGraph) -> list[Feature]:
    return features(graph, session.library.pack.rules, (judged.profile for judged in _judged(session, graph, "")))


def validate_features(session: Session, values: Values) -> bool:
    """Judge FEATURES, or one profile, or all of the profiles and feature sets: do they exist, do the rules allow them,
    is anything half on.
    """
    if not values.words("FEATURES") and not values.text("PROFILE"):
        return _validate_profiles(session)
    name = "build" if _is_here(session, "build") else "check"
    plan = session.new_plan(name)
    graph, _ = graph_of(session)
    problems = _half_problems(
        graph, plan.packages, plan.features, bool(plan.profile.default_features.value), "FEATURES"
    )
    for problem in problems:
        reporter.failed("validate_features", str(problem))
    if not problems:
        chosen = ", ".join(plan.features) or "no features"
        reporter.done("validate_features", f"{chosen}: valid for {shortened(plan.packages, 4)}")
    return not problems


def _is_here(session: Session, name: str) -> bool:
    return any(row["name"] == name and row["available"] for row in session.listing)


def _validate_profiles(session: Session) -> bool:
    graph, _ = graph_of(session)
    checked, problems = 0, dict[str, None]()
    for judged in _judged(session, graph, session.machine.platform):
        text = f"{judged.profile.name} ({', '.join(judged.profile.feature_names)})"
        checked += bool(judged.profile.features)
        if not judged.is_read:
            problems |= dict.fromkeys(map(str, judged.problems))
        elif judged.profile.features and judged.problems and not judged.is_elsewhere:
            problems |= {f"{text}: {problem}": None for problem in judged.problems}
        elif judged.profile.features:
            reporter.note("validate_features", f"{text}: {judged.reason or 'valid'}")
    problems |= dict.fromkeys(map(str, set_problems(session)))
    for problem in problems:
        reporter.failed("validate_features", problem)
    if not problems:
        sets = len(session.library.pack.feature_sets)
        more = f" and {counted(sets, 'feature set')}" if sets else ""
        reporter.done("validate_features", f"{checked} feature profiles{more}; FEATURES=a,b checks a set of your own")
    return not problems


class JudgedProfile(NamedTuple):
    """A feature profile and what is wrong with it; `is_read` is False where its file says nothing that we can read,
    `is_elsewhere` True where it is not for this checkout or platform, as what we ship may be.
    """

    profile: Profile
    problems: tuple[Problem, ...] = ()
    is_read: bool = True
    is_elsewhere: bool = False

    @property
    def reason(self) -> str:
        """Why it is not valid, empty if it is."""
        text = "; ".join(problem.what for problem in self.problems)
        return f"not here: {text}" if self.is_elsewhere else text


def _judged(session: Session, graph: FeatureGraph, platform: str) -> list[JudgedProfile]:
    """Return the feature profiles, judged; for no platform, each on its own."""
    found = []
    for name in session.library.names():
        try:
            profile = session.library.compose(name)
        except UserError as error:
            found.append(JudgedProfile(Profile(name), tuple(error.problems), is_read=False))
        else:
            found.append(_against(session, graph, profile, platform))
    return found


def _against(session: Session, graph: FeatureGraph, profile: Profile, platform: str) -> JudgedProfile:
    """Judge the features of a profile for all members: do they exist, do the rules allow them, is anything half on."""
    asked = of_plan.asked_for(profile, (), Collector())
    packages = tuple(session.workspace.packages)
    try:
        of_plan.require_existing(asked, packages, session.workspace)
    except UserError as error:
        # What we ship names features of the projects that it is for; the user's own profile means this one.
        return JudgedProfile(profile, tuple(error.problems), is_elsewhere=not session.library.is_own(profile.name))
    rules = session.library.pack.rules
    try:
        of_plan.check_rules(asked, rules if platform else of_plan.anywhere(rules), platform, f"this is {platform}")
    except UserError as error:
        return JudgedProfile(profile, tuple(error.problems), is_elsewhere=isinstance(error, Absent))
    halves = _half_problems(graph, packages, tuple(asked), bool(profile.default_features.value), profile.name)
    return JudgedProfile(profile, tuple(halves))


def _half_problems(
    graph: FeatureGraph, packages: Iterable[str], asked: tuple[str, ...], default: bool, where: str
) -> list[Problem]:
    return [
        Problem(f"half a set: {half}", f"add {half.feature} beside {', '.join(asked)}", where)
        for half in of_selection(graph, packages, asked, default)
    ]


def set_problems(session: Session) -> list[Problem]:
    """Return what is wrong with each set of the pack, on any platform: its package, its features, the rules."""
    return [found for one in session.library.pack.feature_sets.values() for found in _problems_of(session, one)]


def _problems_of(session: Session, one: FeatureSet) -> list[Problem]:
    pack, workspace = session.library.pack, session.workspace
    try:
        target = session.targets[f"check_set_{one.name.replace('-', '_')}"]
        packages = select(target, parse({}, {}), workspace, pack, session.machine).packages
    except Absent:
        return [unknown("package or role", one.package, (*workspace.packages, *pack.roles), one.where)]
    asked = of_plan.asked_for(Profile(""), (), Collector(), one)
    try:
        of_plan.require_existing(asked, packages, workspace)
        of_plan.check_rules(asked, of_plan.anywhere(pack.rules), "", "")
    except UserError as error:
        return error.problems
    return []


def feature_docs(session: Session, values: Values) -> bool:
    """Write the page of features."""
    return _page(session, values.text("OUTPUT"), check=False) == DONE


def _page(session: Session, asked: str, check: bool) -> int:
    """Write the page, or compare it. It holds what the checkout says and nothing of this machine."""
    graph = FeatureGraph.of(session.workspace)
    rules = [
        rule
        for name, rule in session.library.pack.rules.items()
        if any(name in graph.packages[one].features for one in graph.members)
    ]
    profiles = [(judged.profile, judged.reason) for judged in _judged(session, graph, "")]
    text = page(_features(session, graph), profiles, rules)
    output = asked or PAGE
    path = file_to_write(session, "" if check else asked, output)
    if check:
        same = read_text(path) == text
        print(f"{output} is up to date" if same else f"{output} differs; doit-cargo feature_docs OUTPUT={output}")
        return DONE if same else FAILED
    write_report(path, text)
    reporter.done("feature_docs", f"wrote {output}")
    return DONE


def graph_of(session: Session) -> tuple[FeatureGraph, str]:
    """Return the graph, and a sentence where the manifests of dependencies are not on this machine."""
    others, failure = _dependencies(session)
    unread = f"Features of dependencies are not known here: {failure}" if failure else ""
    return FeatureGraph.of(session.workspace, others), unread


def _dependencies(session: Session) -> tuple[list[Package], str]:
    """Ask cargo for the manifests of all dependencies. It downloads nothing and leaves Cargo.lock alone.

    What only other systems need is often not here: a build downloads what it compiles. Then those go without.
    """
    from doit_cargo import cache
    from doit_cargo.engine.cargo import metadata

    def ask() -> tuple[dict[str, PackageFacts], str]:
        host = host_of(session.machine)
        found, failure = _ask_cargo(session)
        return _ask_cargo(session, "--filter-platform", host) if failure and host else (found, failure)

    found, failure = cache.dependencies(session.state, session.workspace, session.environ, ask)
    return [metadata.package_of(name, facts) for name, facts in found.items()], failure


def _ask_cargo(session: Session, *more: str) -> tuple[dict[str, PackageFacts], str]:
    command = ["cargo", "metadata", "--offline", "--locked", "--all-features", "--format-version", "1", *more]
    # Cargo asks rustc for the target; a wrapper of a config file that is not installed must not stop that.
    environ = {**session.environ, "RUSTC_WRAPPER": "", "RUSTC_WORKSPACE_WRAPPER": ""}
    done = processes.answer(command, environ, TIMEOUT, session.root)
    if not done.started or not done.in_time:
        return {}, done.err.strip()
    try:
        if done.ok:
            return _packages(json.loads(done.out), session), ""
    except ValueError as error:
        return {}, str(error)
    lines = done.err.strip().splitlines()
    return {}, next((line.removeprefix("error: ") for line in lines if line.startswith("error")), "cargo fails")


def _packages(metadata: Mapping[str, Any], session: Session) -> dict[str, PackageFacts]:
    """Return the packages outside the workspace of which there is one version: two cannot be told apart by name."""
    from doit_cargo.engine.cargo import metadata as workspace

    raw = [package for package in metadata["packages"] if package["name"] not in session.workspace.packages]
    names = [package["name"] for package in raw]
    return {package["name"]: workspace.facts_of(package) for package in raw if names.count(package["name"]) == 1}
