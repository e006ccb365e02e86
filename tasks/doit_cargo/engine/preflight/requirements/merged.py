"""One thing that crates need, with all of them: who is named in a message, and which versions fit all.

Looks at nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.preflight.check_context import WRONG, CheckRow
from doit_cargo.engine.preflight.requirements.requirement import Need
from doit_cargo.engine.toolchain.tools import Tool
from doit_cargo.engine.toolchain.versions import satisfies


class Wanted(NamedTuple):
    """A thing and every need of it, at least one."""

    thing: str
    needs: tuple[Need, ...]

    @property
    def specifier(self) -> str:
        """All version specifiers in one: PEP 440 joins with a comma."""
        return _joined(self.needs)

    @property
    def subject(self) -> str:
        """Who needs it, as a message begins: the first crate and the way to it, and how many more."""
        return subject_of(self.needs)

    @property
    def needed_by(self) -> str:
        """All of them for the report: ``openssl-sys (dynamo-llm -> reqwest), curl-sys``."""
        return ", ".join(dict.fromkeys(map(_named, self.needs)))

    @property
    def modules(self) -> tuple[str, ...]:
        return next((need.modules for need in self.needs if need.modules), ())

    @property
    def get(self) -> str:
        return next((need.get for need in self.needs if need.get), "")

    @property
    def place_variables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for need in self.needs for name in need.place_env))

    @property
    def only_warn(self) -> bool:
        return all(need.only_warn for need in self.needs)

    @property
    def doubt(self) -> str:
        """Why none of the crates may need it after all, by the one that the message names."""
        first = _crates(self.needs)[0]
        return next(need.doubt for need in self.needs if need.crate == first) if self.only_warn else ""

    def misfits(self, tool: Tool | None, fix: str = "") -> Iterator[CheckRow]:
        """Yield one row if a tool that is there does not fit every crate; the crates that it does not fit are named."""
        if tool is None or not tool.version:
            return
        bad = tuple(need for need in self.needs if not satisfies(tool.version, need.version))
        if bad:
            specifiers = _joined(bad)
            what = f"{subject_of(bad)} needs {self.thing} {specifiers}, found {tool.version} at {tool.path}"
            fix = fix or f"get {self.thing} {specifiers}"
            yield CheckRow(self.thing, WRONG, tool.version, tool.path, self.needed_by, what, fix)


def _joined(needs: tuple[Need, ...]) -> str:
    clauses = [clause for need in needs for clause in need.version.split(",") if clause]
    return ",".join(dict.fromkeys(clauses))


def subject_of(needs: tuple[Need, ...]) -> str:
    """Return ``openssl-sys (for dynamo-llm -> reqwest; 2 more crates too)``: one crate, so that "needs" follows."""
    crates = _crates(needs)
    first = next(need for need in needs if need.crate == crates[0])
    above = f"for {' -> '.join(_short(first.chain[:-1]))}" if len(first.chain) > 1 else ""
    others = len(crates) - 1
    more = f"{others} more {'crate' if others == 1 else 'crates'} too" if others else ""
    inside = "; ".join(filter(None, [above, more]))
    return f"{_with_feature(first)} ({inside})" if inside else _with_feature(first)


def _crates(needs: tuple[Need, ...]) -> list[str]:
    """Return the crates, those first that surely need it and are nearest to what was asked for."""
    return list(dict.fromkeys(need.crate for need in sorted(needs, key=lambda need: (need.only_warn, len(need.chain)))))


def _short(chain: tuple[str, ...]) -> tuple[str, ...]:
    return chain if len(chain) <= 3 else (chain[0], "...", chain[-1])


def _named(need: Need) -> str:
    above = f" ({' -> '.join(_short(need.chain[:-1]))})" if len(need.chain) > 1 else ""
    return f"{_with_feature(need)}{above}"


def _with_feature(need: Need) -> str:
    return f"{need.crate} [{need.feature}]" if need.feature else need.crate
