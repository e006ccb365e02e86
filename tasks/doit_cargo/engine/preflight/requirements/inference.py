"""From the crates of a plan to what they need: which rules of sysdeps.toml hold for this very build.

What variables decide is decided when a need is checked, so that an inference can be kept. Looks at no program.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from doit_cargo.engine.base.model import Plan
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.plan.decision import platform_of
from doit_cargo.engine.preflight.requirements.certainty import Certainty
from doit_cargo.engine.preflight.requirements.crates import Crate, CrateGraph, Refusal, from_cargo
from doit_cargo.engine.preflight.requirements.lock_graph import from_lock
from doit_cargo.engine.preflight.requirements.requirement import Inference, Need
from doit_cargo.engine.preflight.requirements.rules import Knowledge, NeedRule
from doit_cargo.engine.toolchain.rustup import cargo_home
from doit_cargo.engine.toolchain.versions import satisfies


def infer(
    plan: Plan,
    directory: str,
    environ: Mapping[str, str],
    knowledge: Knowledge,
    triple: str,
    fetch: Callable[[], None] | None = None,
) -> Inference:
    """Return what the crates of a plan need, by cargo's own resolution, else by the lock.

    Without `fetch` nothing is downloaded and no file is written. With it, which is called before, cargo may do what
    the plan's own command would do first: download sources, complete Cargo.lock.
    """
    graph, problem = _graph(plan, directory, environ, knowledge, triple, fetch)
    manifests = os.path.join(cargo_home(environ), "registry", "src", "*")
    needs = tuple(_needs(graph, knowledge, triple, manifests))
    return Inference(needs, graph.basis, graph.why, problem, triple, len(graph.crates))


def _graph(
    plan: Plan,
    directory: str,
    environ: Mapping[str, str],
    knowledge: Knowledge,
    triple: str,
    fetch: Callable[[], None] | None,
) -> tuple[CrateGraph, str]:
    answer = from_cargo(plan, directory, environ)
    insists = bool({"--locked", "--frozen"} & set(plan.invocation.argv))
    if isinstance(answer, Refusal) and fetch and (answer.sources_missing or (answer.lock_stale and not insists)):
        fetch()
        answer = from_cargo(plan, directory, environ, fetch=True, locked=insists)
    if isinstance(answer, CrateGraph):
        return answer, ""
    graph = from_lock(plan, directory, environ, triple, knowledge.optional, _why(answer))
    return graph, answer.error.strip() if (fetch and answer.sources_missing) or (answer.lock_stale and insists) else ""


def _why(answer: Refusal) -> str:
    if answer.lock_stale:
        return "Cargo.lock is absent or out of date (cargo generate-lockfile writes it anew)"
    return (
        "sources are not downloaded (cargo fetch gets them)"
        if answer.sources_missing
        else f"cargo tree says: {answer.first_line}"
    )


def _needs(graph: CrateGraph, knowledge: Knowledge, triple: str, manifests: str) -> Iterator[Need]:
    certainty = Certainty(graph)
    for crate in graph.crates:
        entry = knowledge.crates.get(crate.name)
        if entry:
            for rule in entry.rules:
                for need in _apply(rule, crate, graph, knowledge, triple):
                    yield from certainty.weighed(need, rule, crate, entry.versions)
        elif "system-deps" in graph.dependencies(crate.name):
            yield from _declared(crate, manifests)


def _apply(rule: NeedRule, crate: Crate, graph: CrateGraph, knowledge: Knowledge, triple: str) -> Iterator[Need]:
    if not (_fits(rule, crate, triple) and _concerns(rule, crate, graph)):
        return
    on = _features_hold(rule, crate, graph)
    if not on and not rule.if_env:
        return
    library = knowledge.libraries.get(rule.thing)
    yield Need(
        thing=rule.thing,
        version=rule.version,
        crate=crate.name,
        feature=rule.features[0] if rule.features else "",
        chain=crate.chain,
        modules=library.modules if library else (),
        get=library.get if library else "",
        unless_env=rule.unless_env,
        only_if_env=rule.only_if_env if on else rule.if_env,
        place_env=rule.place_env,
        only_warn=rule.only_warn,
    )


def _fits(rule: NeedRule, crate: Crate, triple: str) -> bool:
    """Return whether the crate's version and the target are those of the rule."""
    if rule.crates and crate.version and not satisfies(_plain(crate.version), rule.crates):
        return False
    if rule.platforms and platform_of(triple) not in rule.platforms:
        return False
    return (not rule.targets or triple.startswith(rule.targets)) and not triple.startswith(
        rule.unless_targets or ("|",)
    )


def _plain(version: str) -> str:
    """Return the numbers of a crate's version, which PEP 440 orders as semver does: 300.5.2+3.5.2, 2.0.0-rc.10."""
    return re.split(r"[+-]", version, maxsplit=1)[0]


def _concerns(rule: NeedRule, crate: Crate, graph: CrateGraph) -> bool:
    """Return whether any dependant makes the crate do what the rule is about."""
    if rule.in_scripts and crate.name not in graph.in_scripts:
        return False
    if rule.with_any and not graph.dependencies(crate.name) & set(rule.with_any):
        return False
    if not rule.not_for and not rule.unless_beside:
        return True
    dependants = graph.dependants(crate.name)
    counting = [
        name
        for name in dependants
        if name not in rule.not_for and not graph.dependencies(name) & set(rule.unless_beside)
    ]
    return bool(counting) or not dependants


def _features_hold(rule: NeedRule, crate: Crate, graph: CrateGraph) -> bool:
    if crate.certain:
        return set(rule.features) <= crate.features and not set(rule.unless_features) & crate.features
    below = graph.dependencies(crate.name)
    if rule.shown_by:
        shown = bool(below & set(rule.shown_by))
        return (shown or not rule.features) and not (shown and rule.unless_features)
    if set(rule.unless_features) & (graph.asked | crate.features):
        return False
    hints = {*rule.asked, *rule.features}
    return not rule.features or "default" in hints or bool(hints & (graph.asked | crate.features))


def _declared(crate: Crate, manifests: str) -> Iterator[Need]:
    """Yield the libraries in ``[package.metadata.system-deps]``, in the version that the crate's features ask for."""
    for name, value in _metadata(crate, manifests).items():
        table = value if isinstance(value, dict) else {"version": value}
        versions = [str(table.get("version", ""))]
        versions += [str(more["version"]) for key, more in table.items() if _is_version_of(key, more, crate.features)]
        wanted = table.get("feature")
        if table.get("optional") or (wanted and wanted not in crate.features):
            continue
        newest = max(versions, key=_numbers)
        yield Need(
            thing=str(table.get("name", name)),
            version=f">={newest}" if re.fullmatch(r"[\d.]+", newest) else "",
            crate=crate.name,
            chain=crate.chain,
            modules=(str(table.get("name", name)),),
        )


def _is_version_of(key: str, value: object, features: Iterable[str]) -> bool:
    return isinstance(value, dict) and "version" in value and key in features


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _metadata(crate: Crate, manifests: str) -> dict[str, Any]:
    places = (
        [crate.directory] if crate.directory else glob.glob(os.path.join(manifests, f"{crate.name}-{crate.version}"))
    )
    found: Any = toml.read(os.path.join(places[0], "Cargo.toml")) if places else {}
    for key in ("package", "metadata", "system-deps"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
