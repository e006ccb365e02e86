"""What an sccache set-up shares between machines and what it cannot: its storage, and its scheduler of compilations.

Read from sccache's own settings (its docs: Configuration, Distributed quickstart). Starts no server of its.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.preflight.check_context import OK, WARN, CheckRow

SECONDS = 1.0
# Kind of a storage -> the variable that switches it on, and the key of [cache.KIND] that says where it is.
STORAGES = {
    "s3": ("SCCACHE_BUCKET", "bucket"),
    "redis": ("SCCACHE_REDIS", "url"),
    "memcached": ("SCCACHE_MEMCACHED", "url"),
    "gcs": ("SCCACHE_GCS_BUCKET", "bucket"),
    "azure": ("SCCACHE_AZURE_CONNECTION_STRING", "connection_string"),
    "webdav": ("SCCACHE_WEBDAV_ENDPOINT", "endpoint"),
    "gha": ("SCCACHE_GHA_ENABLED", "enabled"),
}
SECRET = ("azure", "redis", "memcached")  # what says where may hold a password
CAN = "single compilations of libraries, under one path of checkout and target directory; never programs, nor tests"
DIST_CAN = "compiles on its builders; linking, build scripts and tests stay here, and all have one target triple"


def rows(environ: Mapping[str, str]) -> Iterator[CheckRow]:
    """Yield what is set up, where sccache is here."""
    path = _path(environ)
    try:
        found = _read(path)
    except (OSError, toml.TOMLDecodeError) as error:
        yield CheckRow("sccache cache", WARN, path=path, what=f"its settings cannot be read: {error}", fix="mend them")
        return
    yield _storage(found, environ)
    dist = found.get("dist")
    if isinstance(dist, Mapping) and dist.get("scheduler_url"):
        yield _scheduler(str(dist["scheduler_url"]), dist)


def _path(environ: Mapping[str, str]) -> str:
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", ""), ".config")
    return environ.get("SCCACHE_CONF") or os.path.join(home, "sccache", "config")


def _read(path: str) -> Mapping[str, Any]:
    if not os.path.exists(path):
        return {}
    with open(path, "rb") as stream:
        return toml.load(stream)


def _storage(found: Mapping[str, Any], environ: Mapping[str, str]) -> CheckRow:
    cache = found.get("cache")
    tables = cache if isinstance(cache, Mapping) else {}
    for kind, (variable, key) in STORAGES.items():
        table = tables.get(kind)
        place = environ.get(variable) or (table.get(key) if isinstance(table, Mapping) else None)
        if place:
            shown = "" if kind in SECRET else f" {place}"
            return CheckRow("sccache cache", OK, kind, what=f"{kind}{shown} shares {CAN}")
    what = f"on this machine's disk: nothing is shared. A bucket, redis or WebDAV would share {CAN}"
    return CheckRow("sccache cache", OK, "disk", what=what)


def _scheduler(address: str, dist: Mapping[str, Any]) -> CheckRow:
    auth = dist.get("auth")
    if not isinstance(auth, Mapping) or not auth.get("type"):
        fix = '[dist.auth] type = "token", token = "..." in the settings of sccache'
        return CheckRow(
            "sccache-dist", WARN, path=address, what="it has no [dist.auth]: no builder takes its work", fix=fix
        )
    try:
        count = int(_ask(address)["num_servers"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"its scheduler does not tell how it is ({error}): sccache compiles here instead"
        return CheckRow(
            "sccache-dist", WARN, path=address, what=what, fix="start sccache-dist scheduler, or take [dist] out"
        )
    if not count:
        fix = "sccache-dist server --config ... on a builder"
        return CheckRow("sccache-dist", WARN, path=address, what="its scheduler knows no builder", fix=fix)
    builders = f"{count} builder{'' if count == 1 else 's'}"
    return CheckRow("sccache-dist", OK, builders, address, what=DIST_CAN)


def _ask(address: str) -> dict[str, Any]:
    """Return what a scheduler says of itself. Raises OSError or ValueError."""
    import urllib.request

    url = address.rstrip("/") + "/api/v1/scheduler/status"
    if not url.startswith(("http://", "https://")):
        raise ValueError("no http:// or https://")
    asked = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310
    with urllib.request.urlopen(asked, timeout=SECONDS) as answer:  # noqa: S310 - the scheme was looked at
        found = json.loads(answer.read(1 << 16))
    if not isinstance(found, dict):
        raise ValueError("no status")
    return found
