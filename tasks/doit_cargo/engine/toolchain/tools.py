"""Which tools there are: how each is called, asked for its version and got. A new tool is one row of `ROWS`.

Knows nothing of this computer: it looks at no file (but to resolve a link) and runs no program.
"""

import os

from doit_cargo.engine.toolchain.platform import install_command


class Tool:
    """A program that was found. `version` is "" if it did not say; `root` is the toolkit's (nvcc: the CUDA root).

    `family` is "gcc", "clang" or "msvc" for compilers; `companions` are further files that stand for it.
    """

    __slots__ = ("companions", "family", "name", "path", "real_path", "root", "version")

    def __init__(
        self,
        name: str,
        path: str,
        version: str = "",
        *,
        real_path: str = "",
        root: str = "",
        family: str = "",
        companions: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.path = path
        self.version = version
        self.real_path = real_path or os.path.realpath(path)
        self.root = root
        self.family = family
        self.companions = companions

    def __repr__(self) -> str:
        return f"Tool({self.name!r}, {self.path!r}, version={self.version!r}, root={self.root!r})"


class ToolRequest:
    """A program that something asks for: its name there, who asks ("" = a default), and its path ("" = nowhere)."""

    __slots__ = ("asked", "path", "triple", "where")

    def __init__(self, asked: str, where: str, path: str, triple: str = "") -> None:
        self.asked = asked
        self.where = where
        self.path = path
        self.triple = triple


class ToolRow:
    """How to find a tool, ask its version and get it.

    `environment` names variables that decide over PATH. `component` marks a rustup proxy; `extra` one that an extra of
    doit-cargo installs beside the Python that runs us, where PATH need not lead. `get` lists ways,
    separated by ";": a package manager and its packages ("*" = any of Unix), or "pip", "cargo", "rustup"
    (a component) or "any" and a sentence.
    """

    __slots__ = ("argv", "component", "environment", "executables", "extra", "get", "name", "pattern")

    def __init__(
        self,
        name: str,
        *executables: str,
        get: str = "",
        argv: tuple[str, ...] = ("--version",),
        pattern: str = r"(\d+(?:\.\d+)+)",
        environment: tuple[str, ...] = (),
        component: bool = False,
        extra: bool = False,
    ) -> None:
        self.name = name
        self.executables = executables or (name,)
        self.argv = argv
        self.pattern = pattern
        self.environment = environment
        self.component = component
        self.extra = extra
        self.get = get


# https://rustup.rs
RUSTUP = "brew rustup; winget Rustlang.Rustup; any curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
BUILD_TOOLS = 'Microsoft.VisualStudio.2022.BuildTools --override "--add Microsoft.VisualStudio.Workload.VCTools"'
# "gcc (Debian 12.2.0-14) 12.2.0", "g++ (Homebrew GCC 13.2.0) 13.2.0", "Apple clang version 15.0.0": not the bracket.
COMPILER = r"(?:clang version |\) |^\S+ )(\d+(?:\.\d+)+)"
# Who links is a compiler or a linker by itself: "Debian LLD 14.0.6 (compatible ...)", "mold 2.30.0 (...)".
LINKER = r"(?:clang version |LLD |\) |^\S+ )(\d+(?:\.\d+)+)"
C_COMPILER = (
    "apt build-essential; dnf gcc gcc-c++; zypper gcc gcc-c++; pacman base-devel; apk build-base; "
    f"winget {BUILD_TOOLS}; any xcode-select --install"
)
PYTHON = (
    "apt python3 python3-dev; dnf python3 python3-devel; zypper python3 python3-devel; apk python3 python3-dev; "
    "brew python@3.12; * python; winget Python.Python.3.12"
)
PKG_CONFIG = "apt pkg-config; dnf pkgconf-pkg-config; zypper pkgconf-pkg-config; winget bloodrock.pkg-config-lite"
PROTOC = "apt protobuf-compiler libprotobuf-dev; dnf protobuf-compiler protobuf-devel; zypper protobuf-devel"

ROWS: dict[str, ToolRow] = {
    row.name: row
    for row in (
        ToolRow("cargo", component=True, get=RUSTUP),
        ToolRow("rustc", component=True, get=RUSTUP, environment=("RUSTC", "CARGO_BUILD_RUSTC")),
        ToolRow("rustup", pattern=r"rustup (\S+)", get=RUSTUP),
        ToolRow("rustfmt", component=True, get="rustup rustfmt"),
        ToolRow("clippy", "cargo-clippy", component=True, get="rustup clippy"),
        ToolRow("cc", pattern=COMPILER, environment=("CC",), get=C_COMPILER),
        ToolRow("c++", pattern=COMPILER, environment=("CXX",), get=C_COMPILER),
        ToolRow("gcc", pattern=COMPILER, get="* gcc"),
        ToolRow("g++", pattern=COMPILER, get="apt g++; dnf gcc-c++; zypper gcc-c++; * gcc"),
        ToolRow("gfortran", pattern=COMPILER, get="apt gfortran; dnf gcc-gfortran; zypper gcc-fortran; * gcc"),
        ToolRow("clang", pattern=COMPILER, get="brew llvm; * clang; winget LLVM.LLVM"),
        ToolRow("linker", pattern=LINKER, get=C_COMPILER),  # rustc's: linkers.py finds it
        ToolRow("lld", "ld.lld", "lld", get="* lld; winget LLVM.LLVM"),
        ToolRow("mold", get="* mold"),
        ToolRow("link.exe", get=f"winget {BUILD_TOOLS}"),
        ToolRow("cl.exe", get=f"winget {BUILD_TOOLS}"),
        ToolRow("nvcc", pattern=r"release (\d+\.\d+)(?:, V(\S+))?", environment=("NVCC",)),
        ToolRow("nvidia-smi", get="any install NVIDIA's driver"),
        ToolRow(
            "libclang", get="apt libclang-dev; dnf clang-devel; apk clang-dev; brew llvm; * clang; winget LLVM.LLVM"
        ),
        ToolRow("python", "python", "python3", environment=("PYO3_PYTHON",), get=PYTHON),
        ToolRow("maturin", get="pip doit-cargo[python]", extra=True),
        ToolRow("ruff", get="pip ruff"),
        ToolRow("pytest", get="pip pytest"),
        ToolRow(
            "sccache", get="brew sccache; pacman sccache; winget Mozilla.sccache; pip doit-cargo[cache]", extra=True
        ),
        ToolRow("git", get="* git; winget Git.Git"),
        ToolRow("git-lfs", get="* git-lfs; winget GitHub.GitLFS"),
        ToolRow("make", "make", "gmake", environment=("MAKE",), get="* make; winget ezwinports.make"),
        ToolRow("ninja", get="apt ninja-build; dnf ninja-build; * ninja; winget Ninja-build.Ninja"),
        ToolRow("cmake", environment=("CMAKE",), get="* cmake; winget Kitware.CMake"),
        ToolRow("pkg-config", "pkg-config", "pkgconf", environment=("PKG_CONFIG",), get=f"{PKG_CONFIG}; * pkgconf"),
        ToolRow("protoc", environment=("PROTOC",), get=f"{PROTOC}; * protobuf; winget Google.Protobuf"),
        ToolRow("nasm", argv=("-v",), get="* nasm; winget NASM.NASM"),
        ToolRow("perl", get="* perl; winget StrawberryPerl.StrawberryPerl"),
        ToolRow("capnp", get="apt capnproto; dnf capnproto; * capnproto"),
        ToolRow("glslc", get="apt glslc; dnf glslc; * shaderc; winget KhronosGroup.VulkanSDK"),
        ToolRow("clang-format", get="apt clang-format; brew clang-format; pip clang-format"),
        ToolRow("node", get="brew node; * nodejs; winget OpenJS.NodeJS"),
        ToolRow("etcdctl", argv=("version",), get="apt etcd-client; dnf etcd; brew etcd"),
        ToolRow("xcrun", get="any xcode-select --install"),
        ToolRow("cargo-nextest", get="cargo cargo-nextest"),
        ToolRow("cargo-deny", get="cargo cargo-deny"),
        ToolRow("cargo-audit", get="cargo cargo-audit"),
        ToolRow("cargo-bloat", argv=("bloat", "--version"), get="cargo cargo-bloat; pip doit-cargo[size]"),
        ToolRow("cargo-cache", get="cargo cargo-cache"),
        ToolRow("cargo-llvm-cov", argv=("llvm-cov", "--version"), get="cargo cargo-llvm-cov; pip doit-cargo[coverage]"),
        ToolRow("cargo-tarpaulin", get="cargo cargo-tarpaulin"),
        ToolRow("cargo-zigbuild", get="pip doit-cargo[cross]", extra=True),
        ToolRow("cargo-xwin", get="pip cargo-xwin", extra=True),
        ToolRow("samply", get="cargo samply"),
        ToolRow("perf", get="apt linux-perf; * perf"),
        ToolRow("flamegraph", get="cargo flamegraph"),
        ToolRow("heaptrack", get="* heaptrack"),
        ToolRow("valgrind", get="* valgrind"),
        ToolRow("gnu-time", "time", get="apt time; dnf time; pacman time; zypper time; apk time"),
    )
}


def row_of(name: str) -> ToolRow:
    """Return the row of `name`; a tool that no row knows is a program of that name that answers --version."""
    return ROWS.get(name) or ToolRow(name)


OTHER_WAYS = {
    "rustup": "rustup component add {}",
    "cargo": "cargo install --locked {}",
    "pip": 'pip install "{}"',
    "any": "{}",
}


def how_to_get(name: str, manager: str) -> str:
    """Return the command that gets a tool on a system with this package manager."""
    return choose_way(row_of(name).get, manager) or f"install {name} and put it on PATH"


def choose_way(get: str, manager: str) -> str:
    """Return the command for a system with this package manager from ways written as in `ToolRow.get`.

    "" if none fits.
    """
    packages = packages_for(get, manager)
    if packages:
        return install_command(manager, packages)
    ways = _ways(get)
    for way, command in OTHER_WAYS.items():
        if way in ways:
            return command.format(ways[way])
    return ""


def packages_for(get: str, manager: str) -> str:
    """Return the packages of this package manager, "" where it has none."""
    ways = _ways(get)
    return ways.get(manager) or (ways.get("*", "") if manager not in ("", "winget") else "")


def _ways(get: str) -> dict[str, str]:
    return {way: what for way, _, what in (entry.strip().partition(" ") for entry in get.split(";"))}
