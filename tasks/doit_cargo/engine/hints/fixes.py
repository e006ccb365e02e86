"""A found cause in words: cause and fix with what the log named, the fix for one system and package manager, and who
pulls in a crate whose build script failed.

Knows nothing of how a cause was found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.cargo import lockfile
from doit_cargo.engine.hints.rules import SYSTEMS, Found, HintRules
from doit_cargo.engine.hints.systems import LogSystem
from doit_cargo.engine.preflight.cuda.compiler import cuda_release, cuda_releases
from doit_cargo.engine.preflight.requirements import rules as needs
from doit_cargo.engine.toolchain.platform import FOR_ADMINISTRATORS, install_command
from doit_cargo.engine.toolchain.tools import ROWS, how_to_get

PLACE = re.compile(r"\{(\w+)(?:\|([^{}]*))?\}")
MANAGERS = {"linux": "apt", "macos": "brew", "windows": "winget"}
# Debian's names of machines, by how a target triple begins.
DEBIAN = {"aarch64": "arm64", "armv7": "armhf", "arm": "armel", "i": "i386", "riscv64": "riscv64", "s390x": "s390x"}
DEBIAN |= {"powerpc64le": "ppc64el", "x86_64": "amd64"}
# The newest gcc of toolkits before those of cuda.toml (NVIDIA's installation guides, table of host compilers).
OLD_CUDA = {"10.2": 8, "11.0": 9, "11.1": 10, "11.2": 10, "11.3": 10, "11.4": 10, "11.5": 11, "11.6": 11, "11.7": 11}
# Since which toolkit nvcc knows an architecture that the oldest one of cuda.toml knows (nvcc's release notes).
OLD_SM = {
    52: "6.5",
    53: "7.0",
    60: "8.0",
    61: "8.0",
    62: "8.0",
    70: "9.0",
    72: "9.2",
    75: "10.0",
    80: "11.0",
    86: "11.1",
    87: "11.4",
}
# Compilers of other targets that Debian has.
CROSS = re.compile(r"(?P<cpu>[a-z0-9_]+)-(?P<system>linux-gnu\w*|w64-mingw32)-(?:gcc|g\+\+|c\+\+|cc|ld|ar|ranlib)")
# How to find the package that holds a file, where no table names it.
SEARCH = {
    "apt": "apt-file search {0}.pc; apt-file search lib{0}.so",
    "dnf": "dnf provides '*/{0}.pc' '*/lib{0}.so'",
    "pacman": "pacman -F {0}.pc lib{0}.so",
    "zypper": "zypper search --provides {0}",
    "apk": "apk search {0}",
    "brew": "brew search {0}",
    "winget": "vcpkg search {0}",
}


def cause_of(found: Found) -> str:
    """Return the cause with what the log named."""
    says = f" It says: {found.values['says'][0]}" if "says" in found.values else ""
    means = f"{found.values['means'][0]}. " if "means" in found.values else ""
    toolkits = [one for arch in found.values.get("arch", ()) if (one := toolkits_of(arch))]
    values = {**found.values, "toolkits": tuple(toolkits)} if toolkits else found.values
    return means + _filled(found.hint.cause, values) + says


def toolkits_of(arch: str) -> str:
    """Return which CUDA toolkits know an architecture (sm_120, compute_61, 8.6), or nothing for an unknown one."""
    digits = re.search(r"\d+(?:\.\d)?", arch)
    number = int(digits[0].replace(".", "")) if digits else 0
    known = [release for release, facts in cuda_releases().items() if number in _numbers(facts.get("sm"))]
    if not known:
        return ""
    releases = list(cuda_releases())
    first = OLD_SM.get(number, known[0]) if known[0] == releases[0] else known[0]
    last = "and newer" if known[-1] == releases[-1] else f"to {known[-1]}"
    return f"sm_{number}: CUDA {first} {last}"


def _numbers(value: object) -> list[int]:
    return value if isinstance(value, list) else []


def fix_of(found: Found, knowledge: HintRules, place: LogSystem) -> str:
    """Return what mends it at a place, whose package manager may be unknown ("").

    A cause that only another system knows is mended there.
    """
    told = _fix_on(found, knowledge, place)
    others = ((other, _fix_on(found, knowledge, LogSystem(other, MANAGERS[other]))) for other in SYSTEMS)
    return told or next((f"on {other}: {text}" for other, text in others if text), "")


def _fix_on(found: Found, knowledge: HintRules, place: LogSystem) -> str:
    fix = found.hint.fix
    parts = [_for_nix(found, knowledge) if place.manager == "nix" else _install(found, knowledge, place)]
    parts += [
        _filled(fix[key], {**found.values, **_host_compiler(found, place)})
        for key in (place.system, "any")
        if key in fix
    ]
    return _joined([part for part in parts if part])


def all_fixes(found: Found, knowledge: HintRules) -> dict[str, str]:
    """Return the fix of each system; on Linux with Debian's and Fedora's packages where they differ."""
    ways = {"linux (apt)": ("linux", "apt"), "linux (dnf)": ("linux", "dnf"), "macos": ("macos", "brew")}
    ways["windows"] = ("windows", "winget")
    told = {name: fix_of(found, knowledge, LogSystem(*way)) for name, way in ways.items()}
    if told["linux (apt)"] == told["linux (dnf)"]:
        told = {"linux": told.pop("linux (apt)"), **told}
        del told["linux (dnf)"]
    return {name: text for name, text in told.items() if not text.startswith("on ")}


def _host_compiler(found: Found, place: LogSystem) -> dict[str, tuple[str, ...]]:
    """Return the newest gcc that the CUDA toolkit of a log takes, as {gcc}: nvcc's own word, else what is known."""
    if "gcc" in found.values:
        return {"gcc": found.values["gcc"][:1]}
    known = cuda_release(place.cuda).get("max_gcc") or OLD_CUDA.get(place.cuda) if place.cuda else None
    return {"gcc": (str(known),)} if known else {}


def _install(found: Found, knowledge: HintRules, place: LogSystem) -> str:
    """Return the command that installs what is missing, or nothing."""
    fix, manager = found.hint.fix, place.manager
    if "tool" in fix:
        tool = _filled(fix["tool"], found.values).lower()
        return how_to_get(tool, manager) if tool in ROWS else ""
    if "library" in fix:
        names = found.values.get("library") or found.values.get("header") or ()
        return _install_libraries(names, knowledge, place)
    if place.target and found.hint.category == "openssl-missing":
        return _for_target(("openssl",), knowledge, place)
    if manager in fix:
        packages = fix[manager].replace("{cross}", cross_package(found.values))
        if compiler := _host_compiler(found, place).get("gcc"):
            packages = re.sub(r"(g(?:cc|\+\+))-?\d+", rf"\1-{compiler[0]}", packages)
        return install_command(manager, packages) if packages else ""
    if (not manager or manager in FOR_ADMINISTRATORS) and "apt" in fix:
        packages = fix["apt"].replace("{cross}", cross_package(found.values))
        return f"install {packages} (Debian's names)" if packages else ""
    return ""


def _for_nix(found: Found, knowledge: HintRules) -> str:
    """Return what a nix expression lacks, in Debian's words: its own names are not known here."""
    debian = _install(found, knowledge, LogSystem("linux", "apt"))
    names = debian.partition("apt install ")[2].partition(";")[0]
    return f"add to buildInputs (programs: nativeBuildInputs) what Debian calls {names}" if names else ""


def cross_package(values: Mapping[str, tuple[str, ...]]) -> str:
    """Return Debian's package of a compiler for another target, which is called as the target's tools are."""
    program = next(iter(values.get("program") or values.get("linker") or ()), "")
    found = CROSS.match(program)
    if found is None:
        return "musl-tools" if program == "musl-gcc" else ""
    cpu = found["cpu"].replace("_", "-")
    name = f"mingw-w64-{cpu}" if "mingw" in found["system"] else f"{cpu}-{found['system']}"
    return f"{'g++' if '++' in program else 'gcc'}-{name}"


def _install_libraries(names: tuple[str, ...], knowledge: HintRules, place: LogSystem) -> str:
    """Return how to get the development packages of libraries; of unknown ones, how to find them."""
    manager = place.manager
    if place.target:
        return _for_target(names, knowledge, place)
    known = [knowledge.packages(name, manager) for name in names]
    packages = " ".join(dict.fromkeys(" ".join(known).split()))
    told = [install_command(manager, packages)] if packages else []
    unknown = [name for name, package in zip(names, known, strict=True) if not package]
    for name in unknown[:2]:
        stem = re.sub(r"^lib(?=\w+\.so)|\.(?:so|dylib|h|hpp|lib).*$", "", name.rpartition("/")[2])
        told.append(f"find the package of {name}: {SEARCH.get(manager, SEARCH['apt']).format(stem)}")
    return "; ".join(told)


def _for_target(names: tuple[str, ...], knowledge: HintRules, place: LogSystem) -> str:
    """Return how to get libraries for another target: packages of this computer do not help there."""
    told = f"the library must be there for {place.target}"
    machine = next((name for start, name in DEBIAN.items() if place.target.startswith(start)), "")
    packages = " ".join(knowledge.packages(name, "apt") for name in names).split()
    if place.manager == "apt" and machine and packages and "-gnu" in place.target:
        wanted = " ".join(f"{package}:{machine}" for package in dict.fromkeys(packages))
        told += f": dpkg --add-architecture {machine} && apt-get update && apt install {wanted}"
    return f"{told}; then PKG_CONFIG_ALLOW_CROSS=1 with PKG_CONFIG_SYSROOT_DIR and PKG_CONFIG_PATH of its sysroot"


def _filled(text: str, values: Mapping[str, tuple[str, ...]]) -> str:
    """Return a text with its places filled: {group}, {group|what to say otherwise}, {group|} = in brackets if known."""

    def fill(place: re.Match[str]) -> str:
        name, otherwise = place[1], place[2]
        said = ", ".join(values.get(name, ()))
        if otherwise == "":
            return f" ({said})" if said else ""
        return said or otherwise or name

    return PLACE.sub(fill, text)


def _joined(parts: list[str]) -> str:
    """Join sentences as they begin: "then ..." and "or ..." go on, "(...)" stands behind."""
    told = ""
    for part in parts:
        separator = " " if part.startswith("(") else ", " if part.startswith(("then ", "and ", "or ")) else "; "
        told += (separator if told else "") + part
    return re.sub(r"^(?:then|and|or) ", "", told)


def about(name: str, version: str, root: str) -> str:
    """Return what the workspace at `root` knows of a crate: ``pulled in by app <- zmq; it needs cmake``, or nothing."""
    told = [_way(name, version, root)]
    entry = needs.load().crates.get(name)
    things = dict.fromkeys(rule.thing for rule in entry.rules) if entry else {}
    if things:
        told.append(f"it needs {', '.join(things)}")
    return "; ".join(part for part in told if part)


def _way(name: str, version: str, root: str) -> str:
    try:
        lock = lockfile.read(os.path.join(root, "Cargo.lock"))
    except UserError:
        return ""
    found = next((one for one in lock.named(name) if one.version == version), None)
    way = [one.name for one in lock.path_to(found)] if found else []
    return f"pulled in by {' -> '.join(way[:-1])}" if len(way) > 1 else ""
