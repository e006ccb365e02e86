"""What this computer is: its system, architecture, cores, memory and package manager.

Runs no program and knows no tool, no plan and no cargo. The name shadows nothing: imports are absolute.
Imports stay light: the launcher's no-op path loads this module.
"""

import os
import sys

TYPE_CHECKING = False  # `typing` costs milliseconds that the no-op path does not have; mypy knows this name
if TYPE_CHECKING:
    from collections.abc import Callable

SYSTEMS = {"linux": "linux", "darwin": "macos", "win32": "windows", "cygwin": "windows"}
# Rust's names for what `uname -m` and PROCESSOR_ARCHITECTURE say.
ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "i386": "i686", "x86": "i686"}
# ID and ID_LIKE of os-release(5) -> the command that installs packages there.
DISTRIBUTIONS = {
    "debian": "apt",
    "ubuntu": "apt",
    "fedora": "dnf",
    "rhel": "dnf",
    "centos": "dnf",
    "arch": "pacman",
    "suse": "zypper",
    "opensuse": "zypper",
    "alpine": "apk",
}
INSTALL = {
    "apt": "apt install {}",
    "dnf": "dnf install {}",
    "pacman": "pacman -S {}",
    "zypper": "zypper install {}",
    "apk": "apk add {}",
    "brew": "brew install {}",
    "winget": "winget install {}",
}
# How to install without a question.
WITHOUT_QUESTIONS = {
    "apt": ("apt-get", "install", "-y"),
    "dnf": ("dnf", "install", "-y"),
    "pacman": ("pacman", "-S", "--noconfirm", "--needed"),
    "zypper": ("zypper", "--non-interactive", "install"),
    "apk": ("apk", "add"),
    "brew": ("brew", "install"),
    "winget": ("winget", "install", "--accept-package-agreements", "--accept-source-agreements"),
}
FOR_ADMINISTRATORS = frozenset({"apt", "dnf", "pacman", "zypper", "apk"})


class Platform:
    """The computer at hand. `cores` and `memory` (bytes) are what this process may use, 0 = unknown."""

    __slots__ = ("arch", "cores", "memory", "os")

    def __init__(self, os: str, arch: str, cores: int, memory: int) -> None:
        self.os = os
        self.arch = arch
        self.cores = cores
        self.memory = memory

    def __repr__(self) -> str:
        return f"Platform(os={self.os!r}, arch={self.arch!r}, cores={self.cores}, memory={self.memory})"


def current() -> Platform:
    """Return the computer at hand, from a few system calls."""
    return Platform(operating_system(), architecture(), usable_cores(), usable_memory())


def operating_system() -> str:
    """Return "linux", "macos" or "windows"; any other Unix counts as Linux."""
    return SYSTEMS.get(sys.platform, "linux")


def architecture() -> str:
    """Return the machine's architecture under Rust's name."""
    if hasattr(os, "uname"):
        machine = os.uname().machine
    else:
        # A 32-bit Python on 64-bit Windows sees x86 and finds the truth in the W6432 variable.
        machine = os.environ.get("PROCESSOR_ARCHITEW6432") or os.environ.get("PROCESSOR_ARCHITECTURE", "")
    return ARCHITECTURES.get(machine.lower(), machine.lower())


def host_triple(system: str = "", arch: str = "") -> str:
    """Return the target triple that rustup most likely chose for this computer."""
    endings = {"macos": "apple-darwin", "windows": "pc-windows-msvc"}
    libc = "musl" if os.path.exists("/etc/alpine-release") else "gnu"
    return f"{arch or architecture()}-{endings.get(system or operating_system(), 'unknown-linux-' + libc)}"


def usable_cores() -> int:
    """Return the cores that this process may use: its affinity, cut by the container's quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _first_line("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit() and int(quota[1]):
        return max(1, min(affinity, int(quota[0]) // int(quota[1])))
    return affinity


def usable_memory() -> int:
    """Return the memory in bytes, cut by the container's limit; 0 where the system does not say."""
    total = _windows_memory() if sys.platform == "win32" else _unix_memory()
    limit = _first_line("/sys/fs/cgroup/memory.max")
    return min(total, int(limit)) if limit.isdigit() and total else total


def _unix_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


def _windows_memory() -> int:
    """Return the installed memory by GetPhysicallyInstalledSystemMemory (kernel32), which counts in KiB."""
    import ctypes

    kibibytes = ctypes.c_ulonglong(0)
    library = getattr(ctypes, "windll").kernel32  # noqa: B009 - the attribute exists on Windows only
    return kibibytes.value * 1024 if library.GetPhysicallyInstalledSystemMemory(ctypes.byref(kibibytes)) else 0


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""


def package_manager(system: str, which: "Callable[[str], str]", os_release: str = "/etc/os-release") -> str:
    """Return this system's package manager ("apt", "brew", ...), or "" where none is known."""
    if system == "windows":
        return "winget"
    if system == "macos":
        return "brew"
    for family in _families(os_release):
        if family in DISTRIBUTIONS:
            return DISTRIBUTIONS[family]
    return next((manager for manager in INSTALL if manager != "winget" and which(manager)), "")


def _families(os_release: str) -> list[str]:
    """Return ID and then ID_LIKE of os-release(5)."""
    found = {"ID": "", "ID_LIKE": ""}
    try:
        with open(os_release, encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.strip().partition("=")
                if key in found:
                    found[key] = value.strip("\"'")
    except OSError:
        return []
    return f"{found['ID']} {found['ID_LIKE']}".split()


def install_command(manager: str, packages: str) -> str:
    """Return the command that installs `packages`, with `sudo` where this user needs it."""
    if manager not in INSTALL:
        return f"install {packages}"
    administrator = not hasattr(os, "geteuid") or os.geteuid() == 0
    prefix = "" if administrator or manager not in FOR_ADMINISTRATORS else "sudo "
    return prefix + INSTALL[manager].format(packages)


def install_arguments(manager: str, packages: "tuple[str, ...]") -> list[str]:
    """Return the argument list that installs packages without a question."""
    command = install_command(manager, "").split()
    return [*command[: command.index("sudo") + 1 if "sudo" in command else 0], *WITHOUT_QUESTIONS[manager], *packages]
