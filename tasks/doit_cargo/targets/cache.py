"""The cache family: sccache, from its installation to a build's numbers. Rows only; actions/cache/ does the work."""

from __future__ import annotations

from doit_cargo.engine.base.model import Target


def _action(name: str, doc: str, takes: tuple[str, ...] = (), module: str = "sccache") -> Target:
    action = f"doit_cargo.actions.cache.{module}:{name}"
    needs = () if name == "setup_sccache" else ("sccache",)
    return Target(name=name, family="cache", doc=doc, action=action, takes=takes, needs=needs)


TARGETS: tuple[Target, ...] = (
    _action(
        "setup_sccache",
        "Install the compiler cache sccache if it is missing, and switch it on for this checkout; asks first.",
        takes=("YES",),
    ),
    _action(
        "check_sccache",
        "Check that sccache works: a crate is compiled twice in a scratch folder, and the second time must be a hit.",
        module="proof",
    ),
    _action(
        "verify_sccache",
        "Verify that builds of this workspace go through sccache: its smallest library is built twice, aside.",
        takes=("PROFILE", "SCCACHE"),
        module="proof",
    ),
    _action("sccache_stats", "Show what sccache's server has counted, if it runs."),
    _action("sccache_zero_stats", "Set the counters of sccache's server to zero."),
    _action(
        "cache_stats_ci",
        "Print the cache's statistics for CI, also into GitHub's job summary; HIT_RATE_MIN sets a floor.",
        takes=("HIT_RATE_MIN",),
    ),
    _action(
        "clean_cache",
        "Stop sccache's server and empty its cache on this computer's disk; asks first.",
        takes=("YES",),
    ),
)
