"""The features as a page of Markdown, for the documentation of a workspace. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from doit_cargo.engine.base.launch import Rule
from doit_cargo.engine.base.model import Profile
from doit_cargo.engine.base.plain_text import for_markdown
from doit_cargo.engine.cargo.resolver.report import Feature

HEAD = "<!-- Written by `doit-cargo feature_docs`: change manifests, rules and profiles instead. -->"

LIMIT = (
    "What a feature turns on, across the packages of this workspace. Of other packages only those features are listed "
    "that are asked of them, not what these turn on in turn; `doit-cargo features` follows them where sources are here."
)


def page(found: list[Feature], profiles: Iterable[tuple[Profile, str]], rules: Iterable[Rule]) -> str:
    """Return the page. `profiles` come with why each is not valid, empty if it is."""
    parts = [HEAD, "# Features", LIMIT, *_sets(profiles), *_rules(rules)]
    for package in dict.fromkeys(feature.package for feature in found):
        parts.append(f"## {for_markdown(package)}")
        parts.append(_table([feature for feature in found if feature.package == package]))
    return "\n\n".join(parts) + "\n"


def _sets(profiles: Iterable[tuple[Profile, str]]) -> list[str]:
    rows = [
        f"| {_codes([profile.name])} | {_codes(profile.feature_names)} | {_cell(reason) or 'valid'} |"
        for profile, reason in profiles
        if profile.features
    ]
    head = "| Profile | Features | Judgement |\n| --- | --- | --- |"
    return ["## Sets that have a name", "\n".join([head, *rows])] if rows else []


def _rules(rules: Iterable[Rule]) -> list[str]:
    rows = []
    for rule in rules:
        rows += [f"| `{rule.feature}` without `{name}` | {rule.where} |" for name in rule.requires]
        rows += [f"| `{rule.feature}` with `{name}` | {rule.where} |" for name in rule.conflicts]
        if rule.platforms:
            rows.append(f"| `{rule.feature}` elsewhere than on {' and '.join(rule.platforms)} | {rule.where} |")
    head = "| Not valid | Rule |\n| --- | --- |"
    return ["## Sets that are refused", "\n".join([head, *rows])] if rows else []


def _table(features: list[Feature]) -> str:
    head = "| Feature | Turns on here | Turns on elsewhere | Valid | Profiles |\n| --- | --- | --- | --- | --- |"
    return "\n".join([head, *map(_row, features)])


def _row(feature: Feature) -> str:
    default = " (default)" if feature.is_default else ""
    here = _codes((*feature.own, *feature.members)) or "its own code"
    reasons = _cell("; ".join(valid(feature)))
    return (
        f"| {_codes([feature.name])}{default} | {here} | {_codes(feature.outside)} | {reasons} "
        f"| {_codes(feature.profiles)} |"
    )


def valid(feature: Feature) -> list[str]:
    """Return what speaks against a feature."""
    parts = list(feature.reasons)
    parts += [f"half: {half}" for half in feature.halves]
    if feature.likely:
        parts.append(f"misspelt? {feature.likely} in the packages that it leads to")
    return parts


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{for_markdown(name)}`" for name in names)


def _cell(text: str) -> str:
    return for_markdown(text)
