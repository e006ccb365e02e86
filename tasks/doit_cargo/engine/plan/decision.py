"""What a target means in this checkout, on this machine, with these variables: decided, not yet rendered.

What is absent from this checkout is `Absent`; what the user got wrong is a `UserError` with all of its problems.
Runs nothing: what the machine has, it asks the injected `MachineFacts`. Knows nothing of arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.errors import Absent, Collector, Problem, UserError, unknown
from doit_cargo.engine.base.model import MachineFacts, Profile, Setting, Target, Workspace
from doit_cargo.engine.base.variables import Values
from doit_cargo.engine.plan import features
from doit_cargo.engine.plan.profiles import Library
from doit_cargo.engine.plan.selection import Selection, select

T = TypeVar("T")


class PlanCase(NamedTuple):
    """Everything that a decision rests on."""

    target: Target
    values: Values
    workspace: Workspace
    library: Library
    machine: MachineFacts


class Decision(NamedTuple):
    """The answer: nothing about the target is open any more."""

    profile: Profile
    selection: Selection
    features: tuple[str, ...]
    cargo_profile: str
    triple: str
    platform: str
    notes: tuple[str, ...]
    default_features: bool = True
    all_features: bool = False


class _Choice(NamedTuple):
    """A feature profile, the cargo profile to go with it, and a note where there was a choice."""

    profile: Profile
    cargo_profile: Setting
    notes: tuple[str, ...] = ()


def decide(case: PlanCase) -> Decision:
    """Settle packages, profile and features; raises `Absent`, or all that is wrong with the variables at once."""
    if not case.target.command:
        raise ValueError(f"{case.target.name} calls no cargo: it has an action, no plan")
    problems = Collector()
    platform = _Platform(case.values.text("TARGET"), case.machine)
    _require_platform(case, case.target.platforms, platform)
    selection = _gather(
        problems, lambda: select(case.target, case.values, case.workspace, case.library.pack, case.machine)
    )
    choice = _gather(problems, lambda: _choose(case, selection))
    if selection is None or choice is None:
        raise UserError(problems.problems)
    return _complete(case, choice, selection, problems)


def _complete(case: PlanCase, choice: _Choice, selection: Selection, problems: Collector) -> Decision:
    """Check what hangs on the profile: platform, features, rules, the cargo profile."""
    profile = choice.profile
    platform = _Platform(case.values.text("TARGET") or profile.triple, case.machine)
    _require_platform(case, _names(profile.platforms), platform)
    _require_cargo_targets(case, selection)
    chosen = case.target.feature_set
    default = _default_features(case, profile)
    on = [case.workspace.packages[name] for name in selection.packages] if default else []
    asked = features.asked_for(profile, case.values.words("FEATURES"), problems, chosen, on)
    if case.target.rule and case.target.member:
        asked = features.that_it_has(asked, case.workspace.packages[case.target.member])
    _gather(problems, lambda: features.require_existing(asked, selection.packages, case.workspace))
    _gather(problems, lambda: features.check_rules(asked, case.library.pack.rules, platform.name, platform.place))
    _gather(problems, lambda: _require_cargo_profile(choice, case.workspace))
    problems.raise_if_any()
    return Decision(
        profile=profile,
        selection=selection,
        features=tuple(asked),
        cargo_profile=str(choice.cargo_profile.value),
        triple=platform.triple,
        platform=platform.name,
        notes=(*choice.notes, *selection.notes),
        default_features=default,
        all_features=case.values.flag("ALL_FEATURES") or bool(chosen and chosen.all_features),
    )


def _default_features(case: PlanCase, profile: Profile) -> bool:
    chosen = case.target.feature_set
    said = chosen.default_features if chosen else bool(profile.default_features.value)
    return said and not case.values.flag("NO_DEFAULT_FEATURES")


# Options of cargo that name a cargo target, and the kind that it must be (cargo build --help, "Target Selection").
NAMED_KINDS = {"--bin": "bin", "--example": "example", "--test": "test", "--bench": "bench"}


def _require_cargo_targets(case: PlanCase, selection: Selection) -> None:
    """Raise `Absent` for a bin, test, bench or example that a row names, not by a pattern, and this checkout lacks."""
    for option, name in zip(case.target.flags, case.target.flags[1:], strict=False):
        kind = NAMED_KINDS.get(option) if "*" not in name else None
        packages = [case.workspace.packages[each] for each in selection.packages]
        if kind and not any(t.name == name and kind in t.kinds for each in packages for t in each.cargo_targets):
            names = ", ".join(selection.packages[:3])
            raise Absent(Problem(f"{case.target.name} needs the {kind} {name}, which {names} lacks in this checkout"))


def _gather(problems: Collector, step: Callable[[], T]) -> T | None:
    """Return what a step gives; keep its problems for later, but let `Absent` through."""
    try:
        return step()
    except Absent:
        raise
    except UserError as error:
        problems.problems.extend(error.problems)
        return None


class _Platform:
    """The platform that is built for: that of the triple, or this machine's."""

    def __init__(self, triple: str, machine: MachineFacts) -> None:
        self.triple = triple
        self.name = platform_of(triple) if triple else machine.platform
        self.place = f"the target {triple} is not" if triple else f"this is {machine.platform}"


def platform_of(triple: str) -> str:
    """Return the platform of a target triple; an empty text for one that is none of ours."""
    marks = {"windows": "windows", "apple-darwin": "macos", "linux": "linux"}
    return next((platform for mark, platform in marks.items() if mark in triple), "")


def _require_platform(case: PlanCase, platforms: tuple[str, ...], platform: _Platform) -> None:
    if platforms and platform.name not in platforms:
        raise Absent(Problem(f"{case.target.name} builds only on {' and '.join(platforms)}; {platform.place}"))


def _names(setting: Setting) -> tuple[str, ...]:
    return setting.value if isinstance(setting.value, tuple) else ()


def _choose(case: PlanCase, selection: Selection | None) -> _Choice:
    """Return what PROFILE names, a feature profile before a cargo profile; else the target's own."""
    named = case.values.text("PROFILE")
    if named in case.workspace.cargo_profiles and not case.library.has(named):
        profile, notes = _own_profile(case, selection)
        return _Choice(profile, Setting(named, "PROFILE"), notes)
    if named:
        profile = case.library.compose(_feature_profile(named, case))
        return _Choice(profile, profile.cargo["profile"], _lost_features(profile, case, selection))
    profile, notes = _own_profile(case, selection)
    return _Choice(profile, profile.cargo["profile"], notes)


def _feature_profile(named: str, case: PlanCase) -> str:
    """Return the name of a feature profile, which may be given with ``-`` for ``_``, as make users write names."""
    for name in (named, named.replace("-", "_")):
        if case.library.has(name):
            return name
    raise UserError(case.library.unknown(named, "PROFILE", tuple(case.workspace.cargo_profiles)))


def _lost_features(named: Profile, case: PlanCase, selection: Selection | None) -> tuple[str, ...]:
    """Return a note where PROFILE takes features away that the target stands for: never silently."""
    own, _ = _own_profile(case, selection)
    kept = {*named.feature_names, *case.values.words("FEATURES")}
    lost = [feature for feature in own.feature_names if feature not in kept]
    return (f"PROFILE={named.name} replaces the profile {own.name}: without {', '.join(lost)}",) if lost else ()


def _own_profile(case: PlanCase, selection: Selection | None) -> tuple[Profile, tuple[str, ...]]:
    """Return the first of the target's profiles that nothing stands against, else the last of them.

    Where the last one lacks something too, the checks before a run say what.
    """
    present = [case.library.compose(name) for name in case.target.profile if case.library.has(name)]
    if not present:
        names, pack = " or ".join(case.target.profile), case.library.pack.name
        raise Absent(Problem(f"{case.target.name} needs the profile {names}, which the pack {pack} lacks"))
    passed_over: list[str] = []
    for profile in present[:-1]:
        obstacle = _obstacle(profile, case, selection)
        if not obstacle:
            return profile, (f"profile {profile.name}: this machine has what it needs",)
        passed_over.append(f"{profile.name} {obstacle}")
    chosen = present[-1]
    return chosen, (f"profile {chosen.name}: {'; '.join(passed_over)}",) if passed_over else ()


def _obstacle(profile: Profile, case: PlanCase, selection: Selection | None) -> str:
    platforms = _names(profile.platforms)
    if platforms and case.machine.platform not in platforms:
        return f"is only for {' and '.join(platforms)}"
    needs = {tool: str(setting.value) for tool, setting in profile.needs.items()}
    missing = [f"{tool} {needs[tool]}".rstrip() for tool in needs if not case.machine.has(tool, needs[tool])]
    if missing:
        return f"needs {' and '.join(missing)}, which this machine lacks"
    try:
        asked = features.asked_for(profile, (), Collector())
        features.require_existing(asked, selection.packages if selection else (), case.workspace)
    except Absent as absent:
        return f"does not fit this checkout ({absent.problems[0].what})"
    return ""


def _require_cargo_profile(choice: _Choice, workspace: Workspace) -> None:
    """Raise for a cargo profile that neither the workspace nor the feature profile defines: to build with, or in
    [cargo.config], where cargo says nothing of it.
    """
    asked = {key.split(".")[1]: setting for key, setting in choice.profile.config.items() if key.startswith("profile.")}
    defined = (name for name in asked if f"profile.{name}.inherits" in choice.profile.config)
    known = tuple(dict.fromkeys([*workspace.cargo_profiles, *defined]))
    chosen = choice.cargo_profile
    for name, setting in {**asked, str(chosen.value): chosen}.items():
        if name not in known:
            raise UserError(unknown("cargo profile", name, known, setting.where))
