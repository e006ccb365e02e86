"""Units as they lie in a target directory: by which file cargo knows one again, whether cargo compiled it there, and
how one is dropped so that cargo makes it anew.

A unit's *key* is its hash file, ``.fingerprint/PACKAGE-HASH/KIND-NAME``. Its *fingerprint file* is the one whose
modification time cargo compares the sources with. Knows nothing of contents, nor of who asks.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping

from doit_cargo.engine.base import NamedTuple
from doit_cargo.engine.cargo.messages import HardLinks, Unit
from doit_cargo.engine.state.fingerprint import TICK_NS, changed_before, signature

FINGERPRINTS = ".fingerprint"
SCRIPT_RUN = "run-build-script"
DOCUMENTATION = "doc-"
# No compiler call is shorter; a tool that copies a small file writes and stamps it within this time.
SHORTEST_CALL_NS = 10_000_000
# Where cargo's own profiles build; any other is a folder of its own name (Cargo book, "Build cache").
PROFILE_FOLDERS = {"dev": "debug", "test": "debug", "release": "release", "bench": "release"}
LOCKS = (".cargo-lock", ".cargo-build-lock")
# What cargo and we put into a target directory beside folders of profiles and target triples, and what marks these.
OWN_PARTS = frozenset({"doc", "package", "tmp", "cargo-timings", ".rustc_info.json", "CACHEDIR.TAG"})
OWN_PARTS |= {".doit-cargo.ledger", ".doit-cargo.lock", ".rustdoc_fingerprint.json", ".future-incompat-report.json"}
MARKS = (*LOCKS, FINGERPRINTS, "CACHEDIR.TAG")


def profile_folder(cargo_profile: str) -> str:
    """Return the folder of the target directory in which a cargo profile builds."""
    return PROFILE_FOLDERS.get(cargo_profile, cargo_profile)


def fingerprint_file(key: str) -> str:
    """Return the file whose time cargo compares with."""
    directory, name = os.path.split(key)
    if name.startswith(SCRIPT_RUN):
        return os.path.join(run_folder(key), "output")
    return key if is_documentation(key) else os.path.join(directory, "dep-" + name)


def run_folder(key: str) -> str:
    """Return where the run of a build script left what it made and printed."""
    directory = os.path.dirname(key)
    return os.path.join(os.path.dirname(os.path.dirname(directory)), "build", os.path.basename(directory))


def package_of(key: str) -> str:
    """Return the package of a unit."""
    return os.path.basename(os.path.dirname(key)).rpartition("-")[0]


def profile_of_key(key: str) -> str:
    """Return the folder of a cargo profile in which a unit lies."""
    return os.path.dirname(os.path.dirname(os.path.dirname(key)))


def is_documentation(key: str) -> bool:
    """Tell whether a key is that of pages, which all variants of a package write into one folder."""
    return os.path.basename(key).startswith(DOCUMENTATION)


def identity(key: str) -> tuple[object, object]:
    """Return what changes whenever the unit is made anew, copied or touched."""
    return signature(key), signature(fingerprint_file(key))


def compiled_here(key: str) -> bool:
    """Tell whether cargo itself wrote this unit where it lies: a copy, however its times were set, looks different.

    Cargo writes the hash file last, and sets the fingerprint file back to the moment at which rustc began.
    """
    last, seen = signature(key), signature(fingerprint_file(key))
    if not last or not seen or last[0] != last[3] or os.name == "nt":
        return False
    if os.path.basename(key).startswith(SCRIPT_RUN):
        compiled = list(_compiled_scripts(key))
        return bool(compiled) and all(map(compiled_here, compiled)) and seen[0] <= seen[3] <= last[3] + TICK_NS
    return seen[3] - seen[0] >= SHORTEST_CALL_NS and abs(last[3] - seen[3]) < TICK_NS


def _compiled_scripts(key: str) -> Iterator[str]:
    """Yield the programs of which one left this run of a build script: those of a cross build lie with the host's."""
    folder = os.path.dirname(key)
    profile = os.path.dirname(os.path.dirname(folder))
    host = os.path.join(os.path.dirname(os.path.dirname(profile)), os.path.basename(profile))
    for place in (profile, host):
        for found in folders_of(place, (os.path.basename(folder).rpartition("-")[0],)):
            yield from (one for one in _hash_files(found) if os.path.basename(one).startswith("build-script-"))


def unchanged_since(key: str, sources: Iterable[str]) -> bool:
    """Tell whether no source was written, replaced or even touched since cargo began with the unit."""
    seen = signature(fingerprint_file(key))
    found = [signature(path) for path in sources]
    return bool(seen) and all(stamp and changed_before(stamp, seen[0]) for stamp in found if seen)


def as_old_as(key: str, path: str) -> bool:
    """Tell whether a file was last written before the end of its unit's call."""
    last, made = signature(key), signature(path)
    return last is not None and made is not None and made[0] <= last[0] + TICK_NS


class Placed(NamedTuple):
    """A unit's key, and the dep-info file that rustc left for it."""

    key: str
    dep_info: str


def placed(unit: Unit, links: HardLinks) -> list[Placed]:
    """Return where a unit lies: once, but for variants that nothing in a message tells apart."""
    found = [Placed(key, info) for info in links.dep_info_files(unit) for key in _keys_beside(info, unit.package)]
    return found or list(_by_name(unit, links))


def _keys_beside(dep_info: str, package: str) -> Iterator[str]:
    directory, name = os.path.split(dep_info)
    mark = os.path.splitext(name)[0].rpartition("-")[2]
    return keys_in(profile_of(directory), f"{package}-{mark}")


def keys_in(profile: str, folder: str) -> Iterator[str]:
    """Yield the keys in one of the folders that cargo keeps for units, ``PACKAGE-HASH``."""
    return _hash_files(os.path.join(profile, FINGERPRINTS, folder))


def keys_of(profiles: Iterable[str]) -> Iterator[str]:
    """Yield the keys of all units that lie in these folders of cargo profiles."""
    for profile in profiles:
        for folder in _names(os.path.join(profile, FINGERPRINTS)):
            yield from keys_in(profile, folder)
            yield from _script_keys(os.path.join(profile, FINGERPRINTS, folder))


def _by_name(unit: Unit, links: HardLinks) -> Iterator[Placed]:
    """Yield what bears the name of a cargo target: of a library without a hash in its file's name, the unit without.

    Also two packages that have a program of one name: the file under that name leads to one of them only.
    """
    name = unit.name.replace("-", "_")
    found = [
        (key, os.path.join(profile, "deps", f"{name}-{os.path.dirname(key).rpartition('-')[2]}.d"))
        for profile in dict.fromkeys(profile_of(links.kept_beside(path)) for path in unit.files)
        for folder in folders_of(profile, (unit.package,))
        for key in _hash_files(folder)
        if _names_target(key, name, "test-" if unit.is_test else "")
    ]
    for key, info in found:
        plain = os.path.join(os.path.dirname(info), name + ".d")
        if not unit.executable and os.path.exists(plain) and not os.path.exists(info):
            yield Placed(key, plain)
        elif unit.executable and os.path.exists(os.path.splitext(info)[0] + os.path.splitext(unit.executable)[1]):
            yield Placed(key, info)


def _names_target(key: str, name: str, start: str) -> bool:
    kind = os.path.basename(key)
    return kind.startswith(start or ("lib-", "bin-", "example-")) and kind.replace("-", "_").endswith("_" + name)


def profile_of(directory: str) -> str:
    """Return the folder of a cargo profile (``target/debug``) in which a folder of artefacts lies."""
    above = os.path.dirname(directory)
    if os.path.basename(directory) in ("deps", "examples"):
        return above
    return os.path.dirname(above) if os.path.basename(above) == "build" else directory


def _hash_files(folder: str) -> Iterator[str]:
    names = set(_names(folder))
    for name in sorted(names):
        if name.startswith("dep-") and name.removeprefix("dep-") in names:
            yield os.path.join(folder, name.removeprefix("dep-"))


def documentation_keys(unit: Unit, target_directory: str) -> tuple[str, ...]:
    """Return the keys of a documented unit; several where variants differ in more than features."""
    name = unit.name.replace("-", "_")
    return tuple(
        key
        for profile in profiles(target_directory)
        for folder in folders_of(profile, (unit.package,))
        for entry in _names(folder)
        if entry.startswith(DOCUMENTATION) and not entry.endswith(".json")
        if _names_target_of_docs(entry, name) and _has_features(key := os.path.join(folder, entry), unit)
    )


def _names_target_of_docs(entry: str, name: str) -> bool:
    return entry.replace("-", "_").endswith("_" + name)


def _has_features(key: str, unit: Unit) -> bool:
    try:
        with open(key + ".json", encoding="utf-8") as stream:
            return set(json.loads(json.load(stream)["features"])) == set(unit.features)
    except (OSError, ValueError, KeyError, TypeError):
        return True


def script_key(out_dir: str) -> str:
    """Return the key of a build script's run by its OUT_DIR, or an empty string."""
    folder = os.path.dirname(out_dir)
    profile = os.path.dirname(os.path.dirname(folder))
    place = os.path.join(profile, FINGERPRINTS, os.path.basename(folder))
    return next(_script_keys(place), "")


def _script_keys(folder: str) -> Iterator[str]:
    names = (name for name in _names(folder) if name.startswith(SCRIPT_RUN) and not name.endswith(".json"))
    return (os.path.join(folder, name) for name in names)


def script_runs(target_directory: str, package: str) -> Iterator[str]:
    """Yield the keys of all runs of a package's build script, in all variants."""
    for profile in profiles(target_directory):
        for folder in folders_of(profile, (package,)):
            yield from _script_keys(folder)


def profiles(target_directory: str) -> Iterator[str]:
    """Yield the folder of each cargo profile: `target/PROFILE` and `target/TRIPLE/PROFILE`."""
    for name in _names(target_directory):
        folder = os.path.join(target_directory, name)
        for place in (folder, *(os.path.join(folder, below) for below in _names(folder) if below != FINGERPRINTS)):
            if os.path.isdir(os.path.join(place, FINGERPRINTS)):
                yield place


def folders_of(profile: str, packages: Collection[str], kind: str = FINGERPRINTS) -> Iterator[str]:
    """Yield the folders that cargo keeps for the units of packages, in all variants."""
    top = os.path.join(profile, kind)
    for name in _names(top):
        if re.fullmatch("[0-9a-f]{16}", name.rpartition("-")[2]) and name.rpartition("-")[0] in packages:
            yield os.path.join(top, name)


def packages(target_directory: str) -> set[str]:
    """Return the names of all packages of which something was built."""
    found = (_names(os.path.join(profile, FINGERPRINTS)) for profile in profiles(target_directory))
    return {name.rpartition("-")[0] for names in found for name in names}


def pages_of(target_directory: str, package: str) -> Iterator[str]:
    """Yield the keys of a package's pages, in all variants."""
    for profile in profiles(target_directory):
        for folder in folders_of(profile, (package,)):
            names = (name for name in _names(folder) if name.startswith(DOCUMENTATION) and not name.endswith(".json"))
            yield from (os.path.join(folder, name) for name in names)


def drop_packages(target_directory: str, packages: Collection[str]) -> None:
    """Make cargo build every unit of these packages anew, in all variants. Raises OSError."""
    for profile in list(profiles(target_directory)):
        with locked(profile):
            for folder in list(folders_of(profile, packages)):
                forget_incremental(_hash_files(folder))
                remove(folder)
            for folder in list(folders_of(profile, packages, "build")):
                remove(folder)


def drop(keys: Iterable[str]) -> None:
    """Make cargo build these units anew; a build script runs again in an empty folder. Raises OSError."""
    for key in keys:
        folder = os.path.dirname(key)
        with locked(os.path.dirname(os.path.dirname(folder))):
            if is_documentation(key):
                _remove_files(key, key + ".json")
                continue
            forget_incremental((key,))
            remove(folder)
            if os.path.basename(key).startswith(SCRIPT_RUN):
                remove(run_folder(key))


def forget_incremental(keys: Iterable[str]) -> None:
    """Remove what rustc keeps of these units to compile them faster. Raises OSError.

    Its files are hard links of those in `deps`: a copy over these changes them unseen.
    """
    for key in keys:
        place = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(key))), "incremental")
        for name in _names(place):
            if name.rpartition("-")[0] == crate_of(key):
                remove(os.path.join(place, name))


def crate_of(key: str) -> str:
    """Return the crate that a unit compiles, as rustc calls it."""
    kind = "^(test-)?(lib|bin|example|bench|integration-test|build-script)-"
    return re.sub(kind, "", os.path.basename(key)).replace("-", "_")


def copied(target_directory: str, packages: Iterable[str], known: Mapping[str, object]) -> list[str]:
    """Return the local compiled units that neither we know nor cargo wrote where they lie.

    `packages` are local ones; others betray themselves, since cargo keeps what is incremental for local ones only.
    """
    found = []
    for profile in profiles(target_directory):
        kept = {name.rpartition("-")[0] for name in _names(os.path.join(profile, "incremental"))}
        built = {name.rpartition("-")[0] for name in _names(os.path.join(profile, FINGERPRINTS))}
        local = {name for name in built if name.replace("-", "_") in kept}.union(packages) if kept else ()
        keys = (key for folder in folders_of(profile, local) for key in _hash_files(folder))
        found += [key for key in keys if known.get(key) != identity(key) and not compiled_here(key)]
    return found


def _remove_files(*paths: str) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def remove(path: str) -> None:
    """Remove a folder or a file; that it is gone is fine. Raises OSError."""
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil

        shutil.rmtree(path)
    else:
        _remove_files(path)


@contextlib.contextmanager
def locked(profile: str) -> Iterator[None]:
    """Hold cargo's own locks of a profile, so that no running cargo loses what it is about to write."""
    if os.name == "nt":
        yield
        return
    import fcntl

    with contextlib.ExitStack() as stack:
        for name in LOCKS:
            path = os.path.join(profile, name)
            if os.path.exists(path):
                stream = stack.enter_context(open(path, "rb"))
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    print(f"waiting for another cargo that builds in {profile}", file=sys.stderr, flush=True)
                    fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def is_made(path: str, folders: Iterable[str]) -> bool:
    """Tell whether a path lies in what cargo makes in these target and build directories. Others may put files there
    too, such as a generator of schemas.
    """
    heads = (os.path.join(folder, "") for folder in folders)
    return any(path.startswith(head) and _is_part(head, path[len(head) :].partition(os.sep)[0]) for head in heads)


def parts_of(folder: str) -> list[str]:
    """Return what cargo makes in a target or build directory: its files and folders."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if _is_part(folder, name)]


def _is_part(folder: str, name: str) -> bool:
    path = os.path.join(folder, name)
    return name in OWN_PARTS or _has_mark(path) or any(map(_has_mark, _folders_in(path)))


def _has_mark(path: str) -> bool:
    return any(os.path.lexists(os.path.join(path, mark)) for mark in MARKS)


def _folders_in(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir()]
    except OSError:
        return []
