"""sccache around one call: a server that answers before the call, and what the call made of the cache.

The server's counters are compared, before and after, and never set to zero: other builds may share it. Costs nothing
where a call does not compile through sccache. Whether it should is decided in plan/compiler_cache.py.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.base.model import Invocation
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.plan.compiler_cache import WRAPPER, is_sccache, wrapper_of

# sccache itself gives a server ten seconds to start (with 0.16; a remote cache that does not answer takes all of them).
START_SECONDS = 15
ASK_SECONDS = 5
DEFAULT_PORT = 4226
RATE_OF_ALL = 100
# sccache's own word for a compilation from its standard input, as cargo's question which cfgs there are.
STANDARD_INPUT = "-"
# Where the numbers of the last call that used the cache are kept, below the state.
LAST_RUN = "sccache.json"


class Counts(NamedTuple):
    """What a server has counted: requests, of these hits and misses, and the reasons why others were not cached."""

    requests: int = 0
    hits: int = 0
    misses: int = 0
    errors: int = 0
    not_cached: Mapping[str, int] = {}

    def since(self, before: Counts) -> Counts:
        """Return what was counted after `before`. A server that was started or zeroed meanwhile began at nothing."""
        if self.requests < before.requests:
            return self
        reasons = {name: count - before.not_cached.get(name, 0) for name, count in self.not_cached.items()}
        return Counts(
            self.requests - before.requests,
            self.hits - before.hits,
            self.misses - before.misses,
            self.errors - before.errors,
            {name: count for name, count in reasons.items() if count > 0},
        )

    @property
    def cacheable(self) -> int:
        return self.hits + self.misses

    @property
    def rate(self) -> float:
        """Return hits in per cent of the cacheable compilations; 0 where there were none."""
        return RATE_OF_ALL * self.hits / self.cacheable if self.cacheable else 0.0

    def __str__(self) -> str:
        if not self.requests:
            return "sccache: no requests, nothing was compiled"
        text = f"sccache: {self.requests} requests; hits: {self.hits} of {self.cacheable} cacheable"
        text += f" ({self.rate:.0f} %)" if self.cacheable else ""
        rest = [f"{name} {count}" for name, count in sorted(self.not_cached.items(), key=lambda item: -item[1])]
        text += f"; never cached: {', '.join(rest)}" if rest else ""
        return text + (f"; {self.errors} errors of the cache" if self.errors else "")


class Statistics(NamedTuple):
    """The counters of a server and where its cache is. `size` and `limit` are bytes, 0 where it does not say."""

    counts: Counts
    location: str = ""
    size: int = 0
    limit: int = 0
    version: str = ""

    @property
    def folder(self) -> str:
        """Return the folder of a cache on this computer's disk, "" for any other."""
        kind, _, place = self.location.partition(": ")
        return place.strip('"') if kind == "Local disk" else ""


def parse(text: str) -> Statistics:
    """Return what ``sccache --show-stats --stats-format json`` printed. Raises ValueError for anything else."""
    data = json.loads(text)
    stats = data["stats"] if isinstance(data, dict) else None
    if not isinstance(stats, dict):
        raise ValueError("no statistics of sccache")
    counts = Counts(
        int(stats["compile_requests"]),
        _sum(stats["cache_hits"]),
        _sum(stats["cache_misses"]),
        _sum(stats["cache_errors"]) + int(stats["cache_read_errors"]) + int(stats["cache_write_errors"]),
        {_reason(name): int(count) for name, count in stats["not_cached"].items()},
    )
    size, limit = data.get("cache_size") or 0, data.get("max_cache_size") or 0
    return Statistics(counts, str(data.get("cache_location", "")), int(size), int(limit), str(data.get("version", "")))


def _reason(name: str) -> str:
    return "source on standard input" if name == STANDARD_INPUT else name


def _sum(table: Mapping[str, Any]) -> int:
    return sum(table["counts"].values())


def is_running(environ: Mapping[str, str]) -> bool:
    """Tell whether something listens where the server of this environment would; starts nothing."""
    place = environ.get("SCCACHE_SERVER_UDS")
    port = environ.get("SCCACHE_SERVER_PORT", "")
    with contextlib.suppress(OSError, ValueError, OverflowError):
        import socket

        family = getattr(socket, "AF_UNIX", socket.AF_INET) if place else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(ASK_SECONDS)
            probe.connect(place or ("127.0.0.1", int(port or DEFAULT_PORT)))
            return True
    return False


def ask(program: str, argument: str, environ: Mapping[str, str], seconds: float = ASK_SECONDS) -> tuple[bool, str]:
    """Run ``sccache ARGUMENT...``; return whether it succeeded, and what it printed, errors last."""
    done = processes.answer([program, *argument.split()], environ, seconds)
    return done.ok, (done.out if done.ok else f"{done.out}{done.err}").strip()


def start(program: str, environ: Mapping[str, str]) -> str:
    """Start the server unless it runs; return "" or why there is none to talk to."""
    if is_running(environ):
        return "" if statistics(program, environ) else "something else answers at its port"
    started, said = ask(program, "--start-server", environ, START_SECONDS)
    if started or is_running(environ):
        return ""
    lines = [line.removeprefix("sccache: ") for line in said.splitlines() if "Starting the server" not in line]
    return "; ".join(lines[:2]) or "no reason given"


def statistics(program: str, environ: Mapping[str, str]) -> Statistics | None:
    """Return what the server tells, or None if it does not."""
    answered, said = ask(program, "--show-stats --stats-format json", environ)
    try:
        return parse(said) if answered else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class Count:
    """The counters around one call. Where the call goes without sccache, nothing is asked and nothing is said.

    `invocation` is the one to run: without the wrapper where the server does not start, since cargo would fail;
    `problem` says why. `environ` is the process's whole environment, `wrapper` its sccache or "".
    """

    def __init__(self, invocation: Invocation, environ: Mapping[str, str]) -> None:
        self.invocation = invocation
        self.problem = ""
        self.environ = processes.environment_of(invocation, environ)
        wrapper = wrapper_of(invocation.cwd, self.environ)
        self.wrapper = wrapper if is_sccache(wrapper) else ""
        self._before: Statistics | None = None
        if self.wrapper:
            self._begin()

    def _begin(self) -> None:
        self.problem = start(self.wrapper, self.environ)
        if self.problem:
            self.invocation = self.invocation._replace(env={**self.invocation.env, WRAPPER: ""})
            self.wrapper = ""
        else:
            self._before = statistics(self.wrapper, self.environ)

    def taken(self) -> Counts | None:
        """Return what the call added to the counters; None where it went without sccache or the server is mute."""
        after = statistics(self.wrapper, self.environ) if self.wrapper else None
        return after.counts.since(self._before.counts) if after and self._before else None


def remember(counts: Counts, target: str, path: str) -> None:
    """Keep the numbers of the last call that used the cache; that they cannot be kept is no error."""
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            json.dump({"target": target, **counts._asdict()}, stream)
