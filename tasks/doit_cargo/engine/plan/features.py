"""Which features a plan turns on: those of the profile, changed by FEATURES, checked against manifests and rules.

`cargo metadata` decides what exists; the pack's rules say what makes sense together.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from doit_cargo.engine.base.errors import Absent, Collector, Problem, UserError, unknown
from doit_cargo.engine.base.launch import FeatureSet, Rule
from doit_cargo.engine.base.model import Package, Plan, Profile, Workspace
from doit_cargo.engine.base.plain_text import shortened

VARIABLE = "FEATURES"


def asked_for(
    profile: Profile,
    words: tuple[str, ...],
    problems: Collector,
    chosen: FeatureSet | None = None,
    defaults: Iterable[Package] = (),
) -> dict[str, str]:
    """Return each feature and who asks for it: a file:line, or FEATURES. Removing what is not set is a problem.

    `defaults` are the packages whose default features are on.
    """
    asked = {str(setting.value): setting.where for setting in profile.features}
    if chosen:
        asked = dict.fromkeys(chosen.features, chosen.where)
    for word in words:
        if not word.startswith("-"):
            asked.setdefault(word, VARIABLE)
        elif asked.pop(word[1:], None) is None:
            problems.problems.append(_not_removed(word[1:], profile, asked, list(defaults)))
    return asked


def _not_removed(name: str, profile: Profile, asked: Mapping[str, str], defaults: list[Package]) -> Problem:
    """Return why a feature cannot be removed: nothing sets it, or default does, which cargo only takes away whole."""
    feature = name.rpartition("/")[2]
    by = [package for package in defaults if feature in turned_on(package, ["default"])]
    if not by:
        fix = f"leave it out; the profile {profile.name} sets {', '.join(profile.feature_names) or 'none'}"
        return Problem(f"the feature {name!r} cannot be removed, it is not set", fix, VARIABLE)
    others = {one: None for package in by for one in _without(feature, package)} if feature != "default" else {}
    kept = ",".join(dict.fromkeys([*others, *(one for one in asked if asked[one] == VARIABLE)]))
    fix = "NO_DEFAULT_FEATURES=1" + (f" FEATURES={kept}" if kept else "")
    through = "" if feature == "default" else " through default"
    what = f"the feature {name!r} cannot be removed: it is on{through} in {', '.join(one.name for one in by[:4])}"
    return Problem(what, fix, VARIABLE)


def _without(feature: str, package: Package) -> list[str]:
    """Return what the default features of a package turn on, except one feature and those that turn it on."""
    names = [one for one in package.features["default"] if not one.startswith("dep:") and "?" not in one]
    return [one for one in names if feature not in turned_on(package, [one])]


def that_it_has(asked: Mapping[str, str], package: Package) -> dict[str, str]:
    """Leave out what a profile sets for other packages: each member has a target, whatever the profile is made for."""
    return {name: origin for name, origin in asked.items() if origin == VARIABLE or name in package.features}


def require_existing(asked: Mapping[str, str], packages: tuple[str, ...], workspace: Workspace) -> None:
    """Raise for features that no selected package has: `Absent` if a profile wants one, else bad input."""
    lacking = {name: problem for name in asked if (problem := _lacking(name, asked[name], packages, workspace))}
    of_variable = [problem for name, problem in lacking.items() if asked[name] == VARIABLE]
    if of_variable:
        raise UserError(of_variable)
    if lacking:
        raise Absent(list(lacking.values()))


def _lacking(name: str, origin: str, packages: tuple[str, ...], workspace: Workspace) -> Problem | None:
    package, slash, feature = name.rpartition("/")
    if slash:
        return _lacking_in_package(package, feature, origin, packages, workspace)
    selected = [workspace.packages[each] for each in packages]
    if any(feature in each.features for each in selected):
        return None
    if len(selected) == 1:
        return _without_feature(selected[0], feature, origin, workspace)
    known = sorted({each for package in selected for each in package.features})
    what = (
        f"none of the selected packages ({shortened(packages, 4)}) has the feature {feature!r}, asked for by {origin}"
    )
    having = [one.name for one in workspace.packages.values() if feature in one.features]
    fix = (
        f"{', '.join(having[:4])} has it: add PACKAGE={having[0]}" if having else unknown("feature", feature, known).fix
    )
    return Problem(what, fix, where=_shown(workspace.manifest, workspace))


def _lacking_in_package(
    name: str, feature: str, origin: str, packages: tuple[str, ...], workspace: Workspace
) -> Problem | None:
    """Check PACKAGE/FEATURE: cargo takes selected packages and their direct dependencies."""
    reachable = {d.name for each in packages for d in workspace.packages[each].dependencies}
    if name not in packages and name not in reachable:
        what = f"{name}/{feature} names neither a selected package nor a dependency of one"
        return Problem(what, unknown("package", name, (*packages, *sorted(reachable))).fix, where=origin)
    package = workspace.packages.get(name)
    if package is None or feature in package.features:
        return None
    return _without_feature(package, feature, origin, workspace)


def _without_feature(package: Package, feature: str, origin: str, workspace: Workspace) -> Problem:
    what = f"the package {package.name} has no feature {feature!r}, asked for by {origin}"
    return Problem(what, unknown("feature", feature, tuple(package.features)).fix, _shown(package.manifest, workspace))


def _shown(path: str, workspace: Workspace) -> str:
    return os.path.relpath(path, workspace.root).replace(os.sep, "/")


def check_rules(asked: Mapping[str, str], rules: Mapping[str, Rule], platform: str, place: str) -> None:
    """Raise for features that cannot go together, or not on this platform.

    Whole names count, as asked for; `place` is how a message calls the platform. A platform that a profile's own
    feature does not fit makes the target `Absent`.
    """
    names = {name.rpartition("/")[2]: origin for name, origin in asked.items()}
    active = [rules[name] for name in names if name in rules]
    misfits = [rule for rule in active if rule.platforms and platform not in rule.platforms]
    problems = [*_unmet(active, names), *_conflicts(active, names)]
    problems += [_misfit(rule, place, names[rule.feature]) for rule in misfits]
    if problems and len(problems) == len(misfits) and all(names[rule.feature] != VARIABLE for rule in misfits):
        raise Absent(problems)
    if problems:
        raise UserError(problems)


def _unmet(active: list[Rule], names: Mapping[str, str]) -> list[Problem]:
    return [
        Problem(
            f"{rule.feature} requires the feature {required}",
            f"add {required} to FEATURES, or take {rule.feature} out (the rule: {rule.where})",
            where=names[rule.feature],
        )
        for rule in active
        for required in rule.requires
        if required not in names
    ]


def _conflicts(active: list[Rule], names: Mapping[str, str]) -> list[Problem]:
    """Report each pair once, whichever of the two names the other."""
    pairs: dict[tuple[str, ...], Problem] = {}
    for rule in active:
        for other in rule.conflicts:
            if other in names:
                first, second = sorted((rule.feature, other))
                what = f"{first} and {second} exclude each other"
                where = VARIABLE if VARIABLE in (names[first], names[second]) else names[second]
                pairs.setdefault((first, second), Problem(what, f"keep one of them (the rule: {rule.where})", where))
    return list(pairs.values())


def _misfit(rule: Rule, place: str, origin: str) -> Problem:
    what = f"the feature {rule.feature} is only for {' and '.join(rule.platforms)}; {place}"
    return Problem(what, f"take {rule.feature} out (the rule: {rule.where})", where=origin)


def anywhere(rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """Return rules without the platforms that they name."""
    return {name: rule._replace(platforms=()) for name, rule in rules.items()}


def enabled(package: Package, features: tuple[str, ...], default_features: bool) -> set[str]:
    """Return the features of a package that the asked ones turn on, by its own table."""
    own = [name.removeprefix(f"{package.name}/") for name in features]
    return turned_on(package, [*own, "default"] if default_features else own)


def enabled_in(plan: Plan, package: Package) -> set[str]:
    """Return the features of a package that a plan's own cargo call turns on."""
    argv = plan.invocation.argv
    if "--all-features" in argv:
        return set(package.features)
    return enabled(package, plan.features, "--no-default-features" not in argv)


def turned_on(package: Package, names: Iterable[str]) -> set[str]:
    """Return the features among `names` and all that they turn on in their own package."""
    waiting = list(names)
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in package.features and name not in found:
            found.add(name)
            waiting.extend(package.features[name])
    return found
