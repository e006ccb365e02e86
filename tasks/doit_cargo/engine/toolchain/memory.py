"""How much memory a new process could have: what the machine has free, cut by a cgroup's limit and by the shell's.

Knows Linux's files; elsewhere it says that it does not know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from doit_cargo.engine.base.paths import ancestors

# What the kernel gives back before it kills counts as free: files read or written lately, as a build leaves them.
VERSION_2 = ("memory.max", "memory.current", "inactive_file")
VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def available(root: str = os.sep) -> int:
    """Return the bytes that a new process could have; 0 where the system does not say."""
    free = _of_machine(root)
    return min([free, *_left_in_cgroups(root), *_allowed_by_shell()]) if free else 0


def _of_machine(root: str) -> int:
    return _field(os.path.join(root, "proc/meminfo"), "MemAvailable:") * 1024


def _left_in_cgroups(root: str) -> Iterator[int]:
    """Yield what is left below the limit of each control group that this process is in, whole or in part."""
    mounts = os.path.join(root, "sys/fs/cgroup")
    for line in _lines(os.path.join(root, "proc/self/cgroup")):
        _, controllers, group = (*line.strip().split(":", 2), "", "")[:3]
        if not controllers:
            yield from _left_below(mounts, group, VERSION_2)
        elif "memory" in controllers.split(","):
            yield from _left_below(os.path.join(mounts, "memory"), group, VERSION_1)


def _left_below(mount: str, group: str, names: tuple[str, str, str]) -> Iterator[int]:
    """Look at a group and those around it; in a container its path is the host's, and only the mount's top is there."""
    limit_name, used_name, given_back = names
    for folder in ancestors(os.path.join(mount, group.strip("/"))):
        limit, used = (_number(os.path.join(folder, name)) for name in (limit_name, used_name))
        if limit is not None and used is not None:
            spare = _field(os.path.join(folder, "memory.stat"), given_back)
            yield max(0, limit - max(0, used - spare))
        if folder == mount:
            return


def _allowed_by_shell() -> Iterator[int]:
    """Yield the limits of `ulimit -v` and `ulimit -d`, which no process below this one can pass."""
    try:
        import resource
    except ImportError:
        return
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            yield limit


def _number(path: str) -> int | None:
    text = next(_lines(path), "").strip()
    return int(text) if text.isdigit() else None


def _field(path: str, name: str) -> int:
    """Return the number behind a name in a file of lines "name number"; 0 if it is not there."""
    words = next((words for words in map(str.split, _lines(path)) if len(words) > 1 and words[0] == name), ())
    return int(words[1]) if words and words[1].isdigit() else 0


def _lines(path: str) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError:
        return
