"""The bench family: rows only; actions/measure/bench.py and targets.py do the work."""

from __future__ import annotations

from collections.abc import Iterator

from doit_cargo.engine.base.model import Package, Target, name_of_member
from doit_cargo.engine.base.variables import CARGO, MEMBER
from doit_cargo.targets import relevance

ACTIONS = "doit_cargo.actions.measure.bench.targets"
LIKE = ("cargo", "bench")
# A benchmark is run each time that it is asked for: there is nothing to force.
OF_CARGO = tuple(name for name in CARGO if name != "FORCE")


def _bench(name: str, doc: str, *takes: str, action: str = "bench", check: str = "check_bench") -> Target:
    return Target(
        name=name,
        family="bench",
        doc=doc,
        action=f"{ACTIONS}:{action}",
        check=f"{ACTIONS}:{check}",
        shows=f"{ACTIONS}:show_bench",
        equivalent_command=LIKE,
        package="all",
        profile=("bench",),
        takes=(*OF_CARGO, "BASELINE", *takes),
        relevance=relevance.BENCHES,
    )


TARGETS: tuple[Target, ...] = (
    _bench(
        "bench",
        "Run the benchmarks of the workspace, and keep their figures under the name of BASELINE.",
    ),
    _bench(
        "bench_quick",
        "Run all benchmarks with few samples where they can, the bench program among them.",
        "MODEL",
    ),
    _bench("bench_full", "Run all benchmarks with all samples, the bench program among them.", "MODEL"),
    _bench(
        "bench_compare",
        "Run the benchmarks and compare them with those of BASELINE: fails where one is slower by more than "
        "BENCH_THRESHOLD percent and than the noise.",
        "BENCH_THRESHOLD",
        "MODEL",
        action="bench_compare",
        check="check_compare",
    ),
    Target(
        name="bench_save",
        family="bench",
        doc="Keep the figures of the last benchmarks under the name of BASELINE.",
        action=f"{ACTIONS}:bench_save",
        check=f"{ACTIONS}:check_save",
        relevance=relevance.BENCHES,
        takes=("BASELINE",),
    ),
)


def of_member(package: Package) -> Iterator[Target]:
    """Yield the target that runs the benchmarks of one member, if it has any."""
    if any("bench" in target.kinds for target in package.cargo_targets):
        yield Target(
            name=f"bench_{name_of_member(package)}",
            family="bench",
            doc=f"Run the benchmarks of the package {package.name}.",
            action=f"{ACTIONS}:bench",
            check=f"{ACTIONS}:check_bench",
            shows=f"{ACTIONS}:show_bench",
            equivalent_command=LIKE,
            profile=("bench",),
            member=package.name,
            takes=(*(name for name in MEMBER if name != "FORCE"), "BASELINE"),
            rule="bench_<package>",
        )
