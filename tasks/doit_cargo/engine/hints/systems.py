"""Of which system a log is: its paths and names tell, as they tell the distribution, a target of a cross build, CUDA.

Knows what systems look like in logs, nothing of causes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SYSTEMS = {
    "linux": re.compile(
        r"(?<![\w.])/(?:home|root|usr|opt|mnt|etc|var(?!/folders))/|linux-(?:gnu|musl)|\.so\b|\bapt(?:-get)?\b"
    ),
    "macos": re.compile(
        r"(?<!\w)/(?:Users|Applications|Library|var/folders)/|apple-darwin|\.dylib\b|\bxcrun\b|\bXcode\b|/opt/homebrew/"
    ),
    "windows": re.compile(r"\b[A-Za-z]:\\|pc-windows|\.exe\b|\.dll\b|\bLNK\d{4}\b|\.lib\b"),
}
# What names a Linux distribution; the first that a log shows.
MANAGERS = {
    "nix": re.compile(r"/nix/store/"),
    "pkg": re.compile(r"freebsd|/usr/ports/", re.IGNORECASE),
    "apk": re.compile(r"-alpine-linux-musl|\bapk add\b|[:-]alpine\b|\bAlpine Linux\b", re.IGNORECASE),
    "pacman": re.compile(r"\bpacman -S|/x86_64-pc-linux-gnu/|\bArch Linux\b|\bManjaro\b", re.IGNORECASE),
    "zypper": re.compile(r"\bzypper\b|-suse-linux|\bopenSUSE\b", re.IGNORECASE),
    "dnf": re.compile(
        r"-redhat-linux|\b(?:dnf|yum|microdnf) (?:-y )?install|\.(?:el\d|fc\d\d)\b"
        r"|\b(?:Fedora|CentOS|RHEL|Rocky|AlmaLinux)\b|manylinux(?:2014|_2_(?:17|28))|gcc-toolset|devtoolset",
        re.IGNORECASE,
    ),
    "apt": re.compile(r"\bapt(?:-get)? |-linux-gnu/|\b(?:Debian|Ubuntu)\b"),
}
# A target folder of cargo's, an option, and what openssl-sys and others print of a build script's environment.
TARGETS = (
    re.compile(
        r"[/\\]target[/\\](?P<target>(?:aarch64|arm\w*|i[56]86|riscv64gc|powerpc64le|s390x|x86_64)-[a-z0-9]+-[a-z0-9-]+)"
        r"[/\\](?:debug|release)[/\\]"
    ),
    re.compile(r"--target[= ](?P<target>[a-z0-9_]+-[a-z0-9_]+-[a-z0-9_-]+)"),
    re.compile(r"\$HOST = (?P<host>\S+)\s+\$TARGET = (?!(?P=host)\s)(?P<target>[a-z0-9_]+-[a-z0-9_-]+)"),
)
HERE = ("x86_64-unknown-linux-gnu", "x86_64-pc-windows-msvc", "x86_64-apple-darwin", "aarch64-apple-darwin")
CUDA = re.compile(
    r"\bcuda[-_/ v]*(?:version |toolkit |release )?:? ?(\d\d\.\d)\b|\bCudart? ?(\d\d\.\d)\b", re.IGNORECASE
)


# What only one system's tools say.
DECIDING = {
    "macos": re.compile(r"for architecture (?:arm64|x86_64)|mach-o|apple-darwin|\bdyld\[|/Users/|\bcodesign\b"),
    "windows": re.compile(r"\bLNK\d{4}\b|pc-windows|link\.exe|\b[A-Z]:\\(?:Users|Program Files)"),
}


# A message for everybody names every distribution.
ADVICE = re.compile(r"On (?:Ubuntu|Debian|Fedora|Arch)\b[^\n]{0,30}:\s*\n.*")
DEBIAN = re.compile(r"\b(?:Ubuntu|Debian)\b")
FEDORA = re.compile(r"\bFedora\b")


class LogSystem(NamedTuple):
    """What a log tells of where it was written, "" for what it does not tell.

    `system` is "linux", "macos" or "windows"; `manager` the package manager of its distribution; `target` the triple
    of a cross build; `cuda` the toolkit's version.
    """

    system: str = ""
    manager: str = ""
    target: str = ""
    cuda: str = ""


def of(text: str) -> LogSystem:
    """Return what the beginning and the lines of causes of a log tell."""
    lines = ADVICE.sub("", text).split("\n")
    text = "\n".join(line for line in lines if not (FEDORA.search(line) and DEBIAN.search(line)))
    counts = {name: len(pattern.findall(text)) for name, pattern in SYSTEMS.items()}
    for name, pattern in DECIDING.items():
        counts[name] += 10 * len(pattern.findall(text))
    best = max(counts, key=lambda name: counts[name])
    manager = next((name for name, pattern in MANAGERS.items() if pattern.search(text)), "") if counts["linux"] else ""
    targets = (pattern.search(text) for pattern in TARGETS)
    target = next((found["target"] for found in targets if found), "")
    toolkit = CUDA.search(text)
    return LogSystem(
        best if counts[best] else "linux" if manager else "",
        manager,
        "" if target in HERE or "wasm" in target else target,
        toolkit[1] if toolkit else "",
    )
