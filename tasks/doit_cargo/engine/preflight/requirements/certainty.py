"""How sure a need is: what sysdeps.toml says of a crate, held against the version and the sources that are at hand.

Of a member or path dependency its own manifest and build script decide, and a row of ours only warns. Of a crate from
elsewhere a row holds for the versions that it was read in. Knows no thing and looks at no program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from doit_cargo.engine.preflight.requirements.build_script import MAYBE, YES, BuildScript
from doit_cargo.engine.preflight.requirements.crates import Crate, CrateGraph, closure
from doit_cargo.engine.preflight.requirements.requirement import Need
from doit_cargo.engine.preflight.requirements.rules import NeedRule


class Certainty:
    """Weighs the needs of one graph of crates."""

    def __init__(self, graph: CrateGraph) -> None:
        self._graph = graph
        self._scripts: dict[str, BuildScript] = {}

    def weighed(self, need: Need, rule: NeedRule, crate: Crate, read: tuple[str, ...]) -> Iterator[Need]:
        """Yield the need with what speaks against it, if it is one at all."""
        if rule.in_scripts and not self._is_used(crate):
            return
        if not crate.surely:
            yield _doubted(need, "whether it is built is known after cargo fetch")
        elif not crate.certain and (rule.features or rule.unless_features):
            yield _doubted(need, "whether its features need it is known after cargo fetch")
        elif rule.own:
            yield need
        elif crate.directory:
            if self._script(crate.name).names(need.thing):
                yield _doubted(need, f"a guess: its build script has the word {need.thing}")
        elif rule.in_scripts and crate.name not in self._surely:
            yield _doubted(need, "only if a build script finds a feature on that is off in the manifest")
        elif may_be_stale(crate.version, read):
            known = f"known of {crate.name} {', '.join(read)}" if read else "known of no certain version"
            yield _doubted(need, f"{known}; this is {crate.version}")
        else:
            yield need

    def _is_used(self, crate: Crate) -> bool:
        return crate.name in self._surely or crate.name in self._perhaps

    @cached_property
    def _surely(self) -> frozenset[str]:
        return closure(self._used(YES), self._graph.below)

    @cached_property
    def _perhaps(self) -> frozenset[str]:
        return closure(self._used(MAYBE), self._graph.below)

    def _used(self, verdict: str) -> list[str]:
        """Return the crates that some package's build script uses with this certainty, by the scripts at hand."""
        users = self._graph.of_scripts.items()
        return [name for name, packages in users if any(self._verdict(one, name) == verdict for one in packages)]

    def _verdict(self, package: str, name: str) -> str:
        script = self._script(package)
        return script.uses_crate(name) if script.directory else YES

    def _script(self, package: str) -> BuildScript:
        """Return the build script of a package, with all features that any variant of it is built with."""
        if package not in self._scripts:
            variants = [crate for crate in self._graph.crates if crate.name == package]
            directory = next((crate.directory for crate in variants if crate.directory), "")
            features = {feature for crate in variants for feature in crate.features}
            self._scripts[package] = BuildScript(directory, features)
        return self._scripts[package]


def _doubted(need: Need, doubt: str) -> Need:
    return need._replace(only_warn=True, doubt=doubt)


def may_be_stale(version: str, read: tuple[str, ...]) -> bool:
    """Tell whether a crate is newer than what is compatible (as cargo has it) with any version that was read."""
    if not version:
        return False
    return not any(_series(version) <= _series(one) for one in read)


def _series(version: str) -> list[int]:
    """Return the numbers of a version up to the first that is not 0: ``0.13`` of 0.13.5, ``1`` of 1.2."""
    parts = [int(part) for part in re.findall(r"\d+", re.split(r"[+-]", version, maxsplit=1)[0])]
    first = next((place for place, part in enumerate(parts) if part), len(parts))
    return parts[: first + 1]
